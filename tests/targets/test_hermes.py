"""The shipped chip: every value has a source, and published figures follow from its values."""

import re
import tomllib
from importlib import resources

import numpy as np
import pytest

from anacc.targets import (
    core_programming_time,
    g_max_counts,
    g_max_microsiemens,
    load_target,
    peak_density,
    peak_efficiency,
    peak_throughput,
    provenance,
    shipped_targets,
)
from anacc.targets.keys import units

HERMES = load_target("hermes")
EXTENDED = load_target("hermes-ext")
OWN = {key: unit for key, unit in units().items() if not key.startswith("gdpu.function_table.")}


def test_hermes_is_shipped() -> None:
    assert shipped_targets() == ["hermes", "hermes-ext"]


def test_hermes_ext_adds_tables_and_says_that_they_are_assumed() -> None:
    base = {row.key: row for row in provenance.rows(HERMES)}
    added = [row for row in provenance.rows(EXTENDED) if base.get(row.key) != row]
    assert [row.key for row in added] == [
        "chip.name",
        "gdpu.functions",
        *(key for key in units() if key not in OWN),
    ]
    assert {row.source for row in added} == {"assumed"}
    functions = EXTENDED.gdpu.functions.value
    assert functions == (*HERMES.gdpu.functions.value, "table")
    assert HERMES.gdpu.function_table is None


@pytest.mark.parametrize(
    "row", [*provenance.rows(HERMES), *provenance.rows(EXTENDED)], ids=lambda row: row.key
)
def test_every_value_says_where_it_comes_from(row: provenance.Row) -> None:
    assert row.unit
    assert len(row.note) > 20
    # A publication is cited by authors and year, or by repository and commit.
    cited = re.search(r"et al\..*\((19|20)\d\d\)|IBM/[\w-]+", row.note)
    if row.source == "published":
        assert cited
    if row.source == "derived":
        assert cited and re.search(r"\d", row.note)
    assert not re.search(r"\.md\b|/home|/work|/root|\[[A-Z]{3,4}\]", row.note)


def test_the_file_states_every_key_of_the_schema() -> None:
    text = resources.files("anacc.targets").joinpath("hermes.toml").read_text(encoding="utf-8")
    tables = re.findall(r"^\[(.+)\]$", text, re.MULTILINE)
    assert sorted(tables) == sorted(OWN)
    assert set(tomllib.loads(text)) == {key.split(".")[0] for key in tables}


@pytest.mark.parametrize(
    ("figure", "mode", "printed", "tolerance"),
    [
        # Le Gallo et al. 2023, abstract and Table I: TOPS, TOPS/W, TOPS/mm2, as printed.
        (peak_throughput, "1-phase", 63.1, 0.05),
        (peak_throughput, "4-phase", 16.1, 0.05),
        (peak_efficiency, "1-phase", 9.76, 0.01),
        (peak_efficiency, "4-phase", 2.48, 0.005),
        (peak_density, "1-phase", 1.55, 0.02),
        (peak_density, "4-phase", 0.40, 0.005),
    ],
)
def test_peak_figures(figure, mode: str, printed: float, tolerance: float) -> None:  # type: ignore[no-untyped-def]
    assert figure(HERMES, mode) == pytest.approx(printed, abs=tolerance)


def test_peak_throughput_exactly() -> None:
    assert peak_throughput(HERMES, "1-phase") == pytest.approx(64 * 256 * 256 * 2 / 133 / 1000)


@pytest.mark.parametrize(("mode", "microjoule"), [("4-phase", 3.38), ("1-phase", 0.86)])
def test_mvm_energy_of_all_cores(mode: str, microjoule: float) -> None:
    energy = HERMES.read_mode(mode).energy.value * HERMES.cores
    assert energy == pytest.approx(microjoule * 1000)


def test_conductance_of_the_device_model() -> None:
    """IBM/aihwkit's HermesNoiseModel with two devices has g_max = 20.7 uS."""
    assert g_max_counts(HERMES) == 160
    assert g_max_microsiemens(HERMES) == pytest.approx(20.7)


def test_programming_a_core_takes_a_fraction_of_a_second() -> None:
    # 8 groups a diagonal x 256 diagonals, 4 kinds of devices, 30 iterations of 893 ns.
    assert core_programming_time(HERMES) == pytest.approx(8 * 256 * 4 * 30 * 893)


def test_the_assumed_split_gives_the_published_step_times() -> None:
    """1.52 us a step of ResNet-9, 1.43 us a time step of an LSTM."""
    mvm = HERMES.read_mode("4-phase").latency.value

    def link(values: int) -> float:
        return HERMES.links.hop_latency.value + values / HERMES.links.values_per_ns.value

    columns = HERMES.crossbar.columns.value
    ldpu = HERMES.latency.ldpu_per_column.value
    step = mvm + ldpu * columns + link(columns) + HERMES.latency.bridge_per_step.value
    assert step == pytest.approx(1520)
    lstm = mvm + ldpu * 252 + link(252) + HERMES.latency.gdpu_per_unit.value * 63
    assert lstm == pytest.approx(1430, abs=5)


def test_the_assumed_split_gives_the_published_step_energies() -> None:
    """1.51 uJ a step of ResNet-9, 5.24 uJ a time step of the captioning LSTM."""
    per_cell = HERMES.read_mode("4-phase").energy.value / HERMES.cells_per_core
    per_column = (HERMES.energy.ldpu_per_column.value + HERMES.energy.link_per_hop.value) / 1000

    def energy(layers: list[tuple[int, int]]) -> float:
        rows = HERMES.crossbar.rows.value
        cells = sum(r * c for r, c in layers)
        return per_cell * cells + per_column * sum(-(-r // rows) * c for r, c in layers)

    resnet9 = [(27, 56), (504, 112), (1008, 112), (1008, 112), (1008, 224)]
    resnet9 += 3 * [(2016, 224)] + [(224, 10)]
    assert energy(resnet9) == pytest.approx(1510, abs=5)
    captioner = energy([(504, 2016), (504, 2016), (504, 4064)])
    captioner += 504 * HERMES.energy.gdpu_per_unit.value / 1000
    assert captioner == pytest.approx(5240, abs=5)


def tanh_error_ulp(segments: int, limit: float) -> float:
    """Largest error of the interpolated table over all non-negative binary16 inputs, in ulp."""
    v = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    step = np.float32(limit / segments)
    entries = np.tanh(np.arange(segments + 1) * float(step)).astype(np.float16).astype(np.float32)
    place = np.minimum(v.astype(np.float32), np.float32(limit)) / step
    index = np.minimum(place.astype(np.int64), segments - 1)
    slope = entries[index + 1] - entries[index]
    y = (entries[index] + (place - index.astype(np.float32)) * slope).astype(np.float16)
    exact = np.tanh(v.astype(np.float64))
    ulp = 2.0 ** (np.floor(np.log2(np.maximum(exact, 2.0**-14))) - 10)
    return float(np.max(np.abs(y.astype(np.float64) - exact) / ulp))


def test_tanh_table_is_the_smallest_below_one_ulp() -> None:
    table = HERMES.gdpu.tanh_table
    segments, limit = table.segments.value, table.input_limit.value
    assert table.interpolation.value == "linear"
    assert tanh_error_ulp(segments, limit) < 1
    assert tanh_error_ulp(segments // 2, limit) > 1
    # A table that ends at half the limit leaves the last value one ulp too low.
    assert np.float16(np.tanh(limit / 2)) < np.float16(1) == np.float16(np.tanh(limit))


def test_counts_by_source_add_up() -> None:
    counts = provenance.counts(HERMES)
    assert list(counts) == ["published", "derived", "assumed"]
    assert sum(counts.values()) == len(provenance.rows(HERMES)) == len(OWN)
    assert counts["assumed"] == len(provenance.rows(HERMES, "assumed")) > 0


def test_rows_are_in_schema_order_with_their_units() -> None:
    assert [(row.key, row.unit) for row in provenance.rows(HERMES)] == list(OWN.items())
