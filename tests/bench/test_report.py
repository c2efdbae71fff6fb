"""Results become JSON and tables, and come back."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench import report, results
from bench.cases import CASES, ENGINES, LIMIT
from bench.machine import cpu_fields
from bench.results import CaseResult, Limits, Machine, Measurement, Ratio, Results, Spread
from bench.roofline import Cache, data_caches

ONE = Spread(median=1.0, lower=1.0, upper=1.0, rounds=21)


def sample() -> Results:
    """Results of one case, with an engine that was not there."""
    seconds = Spread(median=0.0123, lower=0.0121, upper=0.0131, rounds=21)
    engine = Measurement(seconds=seconds, relative=ONE, limit=ONE, idle=0.0)
    return Results(
        machine=Machine(
            cpu="A CPU", architecture="x86_64", features=["avx2"], cpus=2, system="Linux 6.1"
        ),
        versions={"anacc": "0.1.0"},
        u8s8_is_exact=False,
        limits=Limits(clock=ONE, products={"multiply": ONE}, reads={"L1": ONE}),
        cases={
            "lstm-1": CaseResult(
                engines={"anacc-1-phase": engine},
                unavailable={"aihwkit-torch": "not installed"},
                rates={"read": ONE},
            )
        },
        ratios=[
            Ratio(text="a figure", value=ONE, at_most=0.85, at_least=None),
            Ratio(text="another", value=None, at_most=None, at_least=15.0),
        ],
    )


def test_results_come_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    sample().save(path)
    assert results.load(path) == sample()


def test_results_of_the_repository_are_those_of_its_page() -> None:
    if not results.PATH.exists():
        pytest.skip("nothing was measured yet")
    assert report.markdown(results.load()) in report.PAGE.read_text(encoding="utf-8")


def test_tables_have_a_row_for_each_engine() -> None:
    goals, case, products, reads = report.tables(sample())
    assert goals.rows == (
        ("a figure", "1 (1-1)", "<= 0.85", "no"),
        ("another", "not measured", ">= 15", ""),
    )
    engines = [name for name in CASES["lstm-1"].engines if name != LIMIT]
    assert [row[0] for row in case.rows] == [ENGINES[name].title for name in engines]
    assert case.rows[0][1:] == ("12.3 (12.1-13.1)", "81.3", "1 (1-1)", "100 (100-100)")
    assert case.rows[-1][1] == "not installed"
    assert products.rows[0][0] == "`multiply`" and reads.rows[0][0] == "L1"
    for table in (goals, case, products, reads):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_terminal_shows_all_tables() -> None:
    text = io.StringIO()
    report.show(sample(), Console(file=text, width=200))
    for table in report.tables(sample()):
        assert table.title in text.getvalue()
    assert "it saturates" in text.getvalue()


def test_page_changes_between_its_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.update_page(sample(), page)
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\nA CPU")
    assert text.endswith(f"\n{report.END}\nafter\n") and "old" not in text
    report.update_page(sample(), page)
    assert page.read_text() == text


@pytest.mark.parametrize("text", ["", report.BEGIN, report.END + report.BEGIN])
def test_page_without_markers_is_refused(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="markers"):
        report.update_page(sample(), page)
    assert page.read_text() == text


def test_page_of_the_repository_has_the_markers() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_the_first_cpu_is_described() -> None:
    text = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: avx2 fma\n\nprocessor\t: 1\n"
    assert cpu_fields(text) == {"processor": "0", "model name": "A CPU", "flags": "avx2 fma"}
    assert cpu_fields("") == {}


def test_data_caches_are_read_from_sysfs(tmp_path: Path) -> None:
    entries = [("1", "Data", "32K"), ("1", "Instruction", "32K"), ("3", "Unified", "32768K")]
    for number, entry in enumerate(entries):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size"), entry, strict=True):
            (folder / name).write_text(f"{value}\n")
    assert data_caches(tmp_path) == [Cache(1, 32 << 10), Cache(3, 32768 << 10)]
    assert data_caches(tmp_path / "missing") == []
