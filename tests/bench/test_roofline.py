"""The micro-benchmark compiles, and knows the products that Python names."""

import shutil
from pathlib import Path

import pytest

from bench import roofline


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> roofline.Roofline:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return roofline.Roofline(tmp_path_factory.mktemp("roofline"))


def test_rates_are_positive(compiled: roofline.Roofline) -> None:
    for name in compiled.products:
        assert compiled.product_rate(name, 0.0, threads=2) > 0
    assert compiled.clock_rate(0.0) > 0
    assert compiled.read_rate(1000, 0.0, threads=2) > 0


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_products_are_those_of_the_c_file(isa: str, nonnegative: bool) -> None:
    source = roofline.SOURCE.read_text(encoding="utf-8")
    for name in (
        *roofline.best_products(isa, "int8", nonnegative),
        *roofline.best_products(isa, "int16", nonnegative),
    ):
        assert f'{{"{name}"' in source


def test_other_instruction_sets_have_no_limit() -> None:
    assert roofline.best_products("neon", "int8", True) == ()


def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(roofline.RooflineError, match="no C compiler"):
        roofline.Roofline(tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(roofline.RooflineError):
        roofline.Roofline(tmp_path)
