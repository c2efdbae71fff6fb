"""What a target cannot be: each case is one line of a user's file and the sentence it earns."""

import copy
from pathlib import Path
from typing import Any

import pytest

from anacc.errors import TargetError
from anacc.targets import load_target, target_from_data, target_to_data


def refusal(folder: Path, text: str, inherit: bool = True) -> TargetError:
    file = folder / "chip.toml"
    file.write_text(('inherit = "hermes"\n' if inherit else "") + text, encoding="utf-8")
    with pytest.raises(TargetError) as caught:
        load_target(file)
    assert "chip.toml" in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


# (line of the file, dotted key, words of the reason, words of the hint)
IMPOSSIBLE = [
    ('gdpu.functions = ["affine", "table"]', "gdpu.functions", "function_table", "hermes-ext"),
    ("gdpu.function_table.segments = 1", "gdpu.function_table.segments", "or equal to 2", ""),
    ("grid.rows = 0", "grid.rows", "greater than 0, not `0`", "`rows`"),
    ("grid.rows = -8", "grid.rows", "greater than 0", ""),
    ("grid.columns = 70000", "grid.columns", "less than or equal to 65536", ""),
    ("grid.rows = 8.0", "grid.rows", "valid integer", ""),
    ("grid.rows = true", "grid.rows", "valid integer", ""),
    ('grid.rows = "8"', "grid.rows", 'valid integer, not `"8"`', ""),
    ("grid.rows = [8]", "grid.rows", "valid integer", ""),
    ("grid.rows = 1979-05-27", "grid.rows", "valid integer", ""),
    ("grid.max_chips = 0", "grid.max_chips", "greater than 0", ""),
    ("crossbar.rows = 0", "crossbar.rows", "greater than 0", "`rows`"),
    ("crossbar.rows = 65537", "crossbar.rows", "less than or equal to 65536", ""),
    (
        "crossbar.rows = 2839\nadc.multiplier_bits = 30",
        "crossbar.rows",
        "exact for at most 2838 rows",
        "`adc.multiplier_bits`",
    ),
    ("crossbar = { rows = 8192, columns = 4097 }", "crossbar.rows", "33562624 cells", "8190"),
    ("crossbar.columns = 0", "crossbar.columns", "greater than 0", ""),
    ("crossbar.devices_per_polarity = 0", "crossbar.devices_per_polarity", "or equal to 1", ""),
    ("crossbar.g_max = 128", "crossbar.g_max", "less than or equal to 127", "`codes`"),
    ("crossbar.g_max = 0", "crossbar.g_max", "greater than or equal to 1", ""),
    ("input.bits = 9", "input.bits", "less than or equal to 8", ""),
    ("input.bits = 1", "input.bits", "greater than or equal to 2", ""),
    ("input.bits = 6", "input.max_code", "6 bits hold a sign and at most 31", "to 31 or less"),
    ("input.max_code = 0", "input.max_code", "greater than or equal to 1", ""),
    ("input.time_per_lsb = 0", "input.time_per_lsb", "greater than 0", ""),
    ("input.time_per_lsb = 2", "read_modes.four_phase.latency", "4 x 254 ns", "1016"),
    ("adc.levels_per_phase = 0", "adc.levels_per_phase", "greater than 0", ""),
    ("adc.levels_per_phase = 2048", "adc.levels_per_phase", "2 phases holds 2047", "2047"),
    ("adc.counter_bits = 9", "adc.levels_per_phase", "holds 255 levels", "255"),
    ("adc.counter_bits = 13", "adc.counter_bits", "less than or equal to 12", ""),
    ("adc.multiplier_bits = 31", "adc.multiplier_bits", "less than or equal to 30", ""),
    ("adc.full_scale_cells = []", "adc.full_scale_cells", "at least one entry", ""),
    (
        "adc.full_scale_cells = [0]",
        "adc.full_scale_cells",
        "has an entry that must be greater than 0",
        "`cells`",
    ),
    ("adc.full_scale_cells = [12, -1.5]", "adc.full_scale_cells", "greater than 0", ""),
    ("adc.full_scale_cells = [12, 12.0]", "adc.full_scale_cells", "lists `12.0` twice", ""),
    ("adc.full_scale_cells = 12", "adc.full_scale_cells", "must be a list, not `12`", ""),
    ("adc.full_scale_cells = [1e-9]", "adc.full_scale_cells", "exponent", "nearer"),
    ("adc.full_scale_cells = [1e12]", "adc.full_scale_cells", "exponent 69", "nearer"),
    ("read_modes.default = '2-phase'", "read_modes.default", "'4-phase' or '1-phase'", "`4-phase`"),
    ("read_modes.offered = ['1-phase']", "read_modes.default", "does not list", "`1-phase`"),
    ("read_modes.offered = []", "read_modes.offered", "at least one entry", ""),
    ("read_modes.offered = ['4-phase', '4-phase']", "read_modes.offered", "twice", ""),
    ("read_modes.four_phase.phases = 2", "read_modes.four_phase.phases", "1 or 4", ""),
    ("read_modes.four_phase.phases = 1", "read_modes.four_phase.phases", "mode `4-phase`", "4"),
    ("read_modes.one_phase.latency = -1", "read_modes.one_phase.latency", "greater than 0", "`ns`"),
    (
        "read_modes.one_phase.latency = 100",
        "read_modes.one_phase.latency",
        "1 x 127 ns",
        "127",
    ),
    ("read_modes.one_phase.latency = inf", "read_modes.one_phase.latency", "finite", ""),
    ("read_modes.one_phase.latency = nan", "read_modes.one_phase.latency", "finite", ""),
    ("read_modes.one_phase.energy = -0.5", "read_modes.one_phase.energy", "or equal to 0", ""),
    ("ldpu.format = 'float16'", "ldpu.format", "'binary16'", "write 'binary16'"),
    ("ldpu.functions = ['relu']", "ldpu.functions", "must list `affine`", ""),
    ("ldpu.functions = ['affine', 'reLU']", "ldpu.functions", "'relu'", "`relu`"),
    ("gdpu.count = -1", "gdpu.count", "greater than or equal to 0", ""),
    ("gdpu.count = 9", "gdpu.count", "`grid.columns` is 8", '"any"'),
    ("grid.columns = 4", "gdpu.count", "`grid.columns` is 4", "4 or less"),
    ("gdpu.hidden_units = 0", "gdpu.hidden_units", "greater than 0", ""),
    ("gdpu.functions = ['gelu']", "gdpu.functions", 'not `"gelu"`', ""),
    ("gdpu.tanh_table.segments = 1", "gdpu.tanh_table.segments", "or equal to 2", ""),
    ("gdpu.tanh_table.segments = 131072", "gdpu.tanh_table.segments", "or equal to 65536", ""),
    ("gdpu.tanh_table.segments = 500", "gdpu.tanh_table.segments", "no power of two", "powers"),
    ("gdpu.tanh_table.input_limit = 5", "gdpu.tanh_table.segments", "no power of two", ""),
    ("gdpu.tanh_table.interpolation = 'cubic'", "gdpu.tanh_table.interpolation", "nearest", ""),
    ("bridge.functions = ['maxpool']", "bridge.functions", 'not `"maxpool"`', "`max_pool`"),
    ("links.topology = 'torus'", "links.topology", "nearest_neighbour", ""),
    ("links.directions = ['diagonal']", "links.directions", "horizontal", ""),
    ("links.values_per_ns = 0", "links.values_per_ns", "greater than 0", "`values/ns`"),
    ("links.values_per_ns = 1e300", "links.values_per_ns", "less than or equal", ""),
    (f"links.values_per_ns = 1{'0' * 400}", "links.values_per_ns", "must", ""),
    ("links.channel_capacity = 0", "links.channel_capacity", "greater than 0", ""),
    ("links.bits_per_value = 4", "links.bits_per_value", "greater than or equal to 8", ""),
    ("latency.bridge_per_step = -1", "latency.bridge_per_step", "or equal to 0", ""),
    ("energy.gdpu_per_unit = -1", "energy.gdpu_per_unit", "or equal to 0", ""),
    ("area.core = 0", "area.core", "greater than 0", ""),
    ("chip.name = '  '", "chip.name", "at least 1 character", ""),
    ("chip.name = 5", "chip.name", "valid string", ""),
    ("host.format = 'binary64'", "host.format", "'binary32'", ""),
    # Tables of one quantity.
    (
        "[grid.rows]\nvalue = 8\nunit = 'columns'",
        "grid.rows",
        "in `rows`, not in `columns`",
        "`rows`",
    ),
    ("[area.core]\nvalue = 1\nunit = 'um2'", "area.core", "in `mm2`, not in `um2`", "convert"),
    (
        "[grid.rows]\nvalue = 8\nsource = 'measured'\nnote = 'x'",
        "grid.rows",
        "a `source`",
        "'published', 'derived'",
    ),
    ("[grid.rows]\nvalue = 8\nsource = 'published'", "grid.rows", "no `note`", "where"),
    ("[grid.rows]\nvalue = 8\nnote = ' '", "grid.rows", "a `note`", "where"),
    ("[grid.rows]\nvalue = 8\nnote = 7", "grid.rows", "a `note`", "where"),
    ("[grid.rows]\nnote = 'x'", "grid.rows", "lacks `value`", ""),
    ("[grid.rows]", "grid.rows", "lacks `value`", ""),
    # Sections.
    ("grid = 8", "grid", "table of keys", "`grid.rows`"),
    ("gdpu.tanh_table = [1]", "gdpu.tanh_table", "table of keys", "`gdpu.tanh_table.segments`"),
]


@pytest.mark.parametrize(("text", "key", "reason", "hint"), IMPOSSIBLE, ids=lambda v: v[:50])
def test_impossible_values_are_refused_by_name(
    tmp_path: Path, text: str, key: str, reason: str, hint: str
) -> None:
    error = refusal(tmp_path, text)
    assert f": `{key}` " in error.message
    assert reason in error.message
    assert hint in (error.hint or "")
    assert len(error.message) < 400


# (line of the file, key in the message, suggestion)
UNKNOWN = [
    ("crossbar.row = 8", "crossbar.row", "crossbar.rows"),
    ("crosbar.rows = 8", "crosbar", "crossbar"),
    ("crossbar.ROWS = 8", "crossbar.ROWS", "`crossbar.rows`"),
    ("read_modes.two_phase.latency = 8", "read_modes.two_phase", "read_modes.one_phase"),
    ("read_modes.four_phase.latencey = 8", "read_modes.four_phase.latencey", "latency"),
    ("ldpu.levels_per_phase = 8", "ldpu.levels_per_phase", "adc.levels_per_phase"),
    ("[grid.rows]\nvlaue = 8", "grid.rows.vlaue", "grid.rows"),
    ("inherits = 'hermes'", "inherits", "`inherit`"),
    ("xyzzy = 8", "xyzzy", None),
    ('"a\\nb" = 8', "a\\nb", None),
    ("grid.inherit = 'hermes'", "grid.inherit", None),
]


@pytest.mark.parametrize(("text", "key", "near"), UNKNOWN, ids=lambda v: v and v[:30])
def test_unknown_keys_are_refused_with_what_was_meant(
    tmp_path: Path, text: str, key: str, near: str | None
) -> None:
    error = refusal(tmp_path, text)
    assert f"`{key}` is not a key of a target" in error.message
    assert error.hint
    if near is not None:
        assert near in error.hint and "did you mean" in error.hint


def test_quoted_dotted_key(tmp_path: Path) -> None:
    error = refusal(tmp_path, '"crossbar.rows" = 8')
    assert '"crossbar.rows"' in error.message
    assert error.hint == "write it without quotes"


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, "grid.rows = 0\ncrossbar.rows = 0\narea.core = 0")
    assert "`grid.rows` must be greater than 0" in error.message
    assert "also wrong: `area.core`, `crossbar.rows`" in error.message


def test_a_whole_chip_needs_provenance(tmp_path: Path) -> None:
    error = refusal(tmp_path, "crossbar.rows = 128", inherit=False)
    assert "`crossbar.rows` has no unit and no source" in error.message
    assert "inherit" in str(error.hint) and '"rows"' in str(error.hint)


@pytest.mark.parametrize("part", ["value", "unit", "source", "note"])
def test_embedded_quantities_need_all_four_parts(part: str) -> None:
    data = target_to_data(load_target("hermes"))
    del data["gdpu"]["tanh_table"]["segments"][part]
    with pytest.raises(TargetError, match=f"`gdpu.tanh_table.segments` lacks `{part}`"):
        target_from_data(data)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the data of hermes with one part replaced, or removed if value is `...`."""
    data = copy.deepcopy(target_to_data(load_target("hermes")))
    *parents, last = path.split(".")
    table = data
    for parent in parents:
        table = table[parent]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return data


DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("grid", ..., "`grid` is missing"),
        ("grid.rows", ..., "`grid.rows` is missing"),
        ("grid", None, "`grid` is a table of keys"),
        ("grid.rows", 8, "`grid.rows` has no unit"),
        ("grid.rows.value", None, "`grid.rows` must be a valid integer"),
        ("grid.rows.value", DEEP, "`grid.rows` must be a valid integer"),
        ("grid.rows.value", {"value": 8}, "`grid.rows` must be a valid integer"),
        ("grid.rows.unit", 5, "`grid.rows` has a `unit` that must be a valid string"),
        (
            "links.values_per_ns.value",
            float("nan"),
            "`links.values_per_ns` must be a finite number",
        ),
        ("surprise", {}, "`surprise` is not a key"),
        ("read_modes.one_phase", ..., "`read_modes.offered` lists `1-phase`, but the table"),
        ("inherit", "hermes", "`inherit` is not a key"),
    ],
)
def test_embedded_targets_are_not_trusted(path: str, value: Any, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        target_from_data(changed(path, value))
    assert message in caught.value.message
    assert caught.value.message.startswith("target in program")


@pytest.mark.parametrize("data", [None, [], "hermes", 7])
def test_embedded_target_must_be_a_table(data: Any) -> None:
    with pytest.raises(TargetError, match="must be a table"):
        target_from_data(data)
