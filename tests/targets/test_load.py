"""Reading target files: inheritance, overrides, round trip."""

import json
import os
from pathlib import Path

import pytest

from anacc.errors import TargetError
from anacc.targets import load_target, provenance, target_from_data, target_to_data

HERMES = load_target("hermes")


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_bare_value_inherits_the_unit_and_is_an_assumption(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, "mine.toml", 'inherit = "hermes"\ncrossbar.rows = 128\n'))
    rows = target.crossbar.rows
    assert (rows.value, rows.unit, rows.source, rows.note) == (
        128, "rows", "assumed", "set in mine.toml",
    )  # fmt: skip
    changed = [
        row.key
        for row, old in zip(provenance.rows(target), provenance.rows(HERMES), strict=True)
        if row != old
    ]
    assert changed == ["crossbar.rows"]


def test_table_states_its_own_provenance(tmp_path: Path) -> None:
    text = """
    inherit = "hermes"
    [read_modes.four_phase.latency]
    value = 600
    unit = "ns"
    source = "published"
    note = "A later paper"
    """
    latency = load_target(write(tmp_path, "a.toml", text)).read_mode("4-phase").latency
    assert (latency.value, latency.source, latency.note) == (600.0, "published", "A later paper")
    assert isinstance(latency.value, float)


def test_table_of_value_and_note_is_an_assumption(tmp_path: Path) -> None:
    text = 'inherit = "hermes"\n[grid.rows]\nvalue = 4\nnote = "half a chip"\n'
    rows = load_target(write(tmp_path, "a.toml", text)).grid.rows
    assert (rows.value, rows.unit, rows.source, rows.note) == (4, "rows", "assumed", "half a chip")


def test_grid_override_moves_what_depends_on_it(tmp_path: Path) -> None:
    text = 'inherit = "hermes"\ngrid = { rows = 2, columns = 3 }\ngdpu.count = 2\n'
    target = load_target(write(tmp_path, "small.toml", text))
    assert target.cores == 6
    positions = [target.core_position(core) for core in range(target.cores)]
    assert positions == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [target.core_at(*position) for position in positions] == list(range(6))
    assert [target.column_of(core) for core in range(6)] == [0, 1, 2, 0, 1, 2]
    # Two GDPUs for three columns: the last column has none.
    assert [list(target.gdpus_of(core)) for core in range(3)] == [[0], [1], []]


def test_any_wiring_reaches_all_gdpus(tmp_path: Path) -> None:
    text = 'inherit = "hermes"\ngdpu.wiring = "any"\ngdpu.count = 12\n'
    target = load_target(write(tmp_path, "a.toml", text))
    assert list(target.gdpus_of(0)) == list(range(12))


@pytest.mark.parametrize("core", [-1, 64, 1000])
def test_no_such_core(core: int) -> None:
    for question in (HERMES.core_position, HERMES.column_of, HERMES.gdpus_of):
        with pytest.raises(IndexError, match=str(core)):
            question(core)


@pytest.mark.parametrize("position", [(-1, 0), (0, -1), (8, 0), (0, 8)])
def test_no_such_position(position: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="outside the grid"):
        HERMES.core_at(*position)


def test_chip_without_gdpus(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, "a.toml", 'inherit = "hermes"\ngdpu.count = 0\n'))
    assert list(target.gdpus_of(5)) == []


def test_inheritance_over_files_is_relative_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, "base/first.toml", 'inherit = "hermes"\ncrossbar.rows = 64\ninput.bits = 8\n')
    last = write(
        tmp_path, "mine/last.toml", 'inherit = "../base/first.toml"\ncrossbar.columns = 32\n'
    )
    target = load_target(str(last))
    assert (target.crossbar.rows.value, target.crossbar.columns.value) == (64, 32)
    assert target.crossbar.rows.note == "set in first.toml"
    assert target.crossbar.columns.note == "set in last.toml"


def test_the_nearest_file_wins(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'inherit = "hermes"\ncrossbar.rows = 64\n')
    b = write(tmp_path, "b.toml", 'inherit = "a.toml"\ncrossbar.rows = 32\n')
    assert load_target(b).crossbar.rows.value == 32


def test_an_empty_override_is_the_parent(tmp_path: Path) -> None:
    assert load_target(write(tmp_path, "a.toml", 'inherit = "hermes"\n')) == HERMES


def test_a_file_may_stand_alone(tmp_path: Path) -> None:
    """A file without `inherit` is a whole chip; here hermes with one read mode and no default."""
    lines = []
    for row in provenance.rows(HERMES):
        if row.key.startswith("read_modes.one_phase"):
            continue
        value = ["4-phase"] if row.key == "read_modes.offered" else row.value
        for part, text in {**row._asdict(), "value": value}.items():
            if part != "key":
                lines.append(f"{row.key}.{part} = {json.dumps(text)}")
    target = load_target(write(tmp_path, "whole.toml", "\n".join(lines)))
    assert target.read_modes.one_phase is None
    assert target.crossbar == HERMES.crossbar


def test_round_trip_through_json_keeps_everything(tmp_path: Path) -> None:
    text = 'inherit = "hermes"\ngrid.rows = 3\nadc.full_scale_cells = [6.5, 12, 24]\n'
    for target in (HERMES, load_target(write(tmp_path, "a.toml", text))):
        data = json.loads(json.dumps(target_to_data(target)))
        again = target_from_data(data)
        assert again == target
        assert provenance.rows(again) == provenance.rows(target)
        assert json.dumps(target_to_data(again)) == json.dumps(data)


def test_round_trip_without_a_mode(tmp_path: Path) -> None:
    data = target_to_data(HERMES)
    del data["read_modes"]["one_phase"]
    data["read_modes"]["offered"]["value"] = ["4-phase"]
    target = target_from_data(data)
    assert target_from_data(target_to_data(target)) == target
    file = write(tmp_path, "a.toml", 'inherit = "hermes"\nread_modes.offered = ["4-phase"]\n')
    assert load_target(file).read_modes.one_phase is not None


def test_a_target_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        HERMES.crossbar.rows.value = 1


def test_the_embedded_target_holds_no_folder(tmp_path: Path) -> None:
    file = write(tmp_path, "mine.toml", 'inherit = "hermes"\ngrid.rows = 3\n')
    assert str(tmp_path) not in json.dumps(target_to_data(load_target(file)))


CYCLE = "inherits from itself"


def test_cycles_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'inherit = "b.toml"\n')
    write(tmp_path, "b.toml", 'inherit = "./a.toml"\n')
    own = write(tmp_path, "own.toml", 'inherit = "own.toml"\n')
    for file in (tmp_path / "a.toml", tmp_path / "b.toml", own):
        with pytest.raises(TargetError, match=CYCLE):
            load_target(file)


def test_a_cycle_over_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'inherit = "link.toml"\n')
    (tmp_path / "link.toml").symlink_to(tmp_path / "a.toml")
    with pytest.raises(TargetError, match=CYCLE):
        load_target(tmp_path / "a.toml")


@pytest.mark.parametrize(("files", "fits"), [(7, True), (8, False), (40, False)])
def test_depth_of_inheritance_is_limited(tmp_path: Path, files: int, fits: bool) -> None:
    parent = "hermes"
    for i in range(files):
        write(tmp_path, f"{i}.toml", f'inherit = "{parent}"\n')
        parent = f"{i}.toml"
    if fits:
        assert load_target(tmp_path / parent) == HERMES
    else:
        with pytest.raises(TargetError, match="more than 8 files"):
            load_target(tmp_path / parent)


def test_a_mistake_of_the_parent_is_reported_as_the_parents(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'inherit = "hermes"\ncrossbar.rows = 0\n')
    b = write(tmp_path, "b.toml", 'inherit = "a.toml"\n')
    with pytest.raises(TargetError, match=r"`a\.toml`: `crossbar\.rows` must be greater than 0"):
        load_target(b)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"crossbar = [", "not valid TOML"),
        (b"a = 1\na = 2\n", "not valid TOML"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"#" * (1024 * 1024 + 1), "larger than 1024 KiB"),
        (b'inherit = ["hermes"]', "`inherit` must be a name or a path"),
        (b'inherit = "hermes2"', "there is no target `hermes2`"),
        (b'inherit = "nowhere.toml"', "`nowhere.toml` cannot be read: No such file"),
        (b'inherit = "../"', "not a regular file"),
        (b'inherit = "a\\u0000.toml"', "cannot be read"),
        (b"", "`chip.name` is missing|`chip` is missing"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_unreadable_files(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(TargetError, match=message):
        load_target(file)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    start = 'inherit = "hermes"\n#'
    file = write(tmp_path, "a.toml", start + "x" * (1024 * 1024 - len(start)))
    assert load_target(file) == HERMES


@pytest.mark.parametrize("name", ["hermess", "", "..", "schema", "HERMES"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(TargetError, match="there is no target") as caught:
        load_target(name)
    assert "`hermes`" in str(caught.value.hint)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="not a regular file"):
        load_target(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(TargetError, match="not a regular file"):
        load_target(tmp_path / "pipe.toml")
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(Path("hermes"))
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(loop)
