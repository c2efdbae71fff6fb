"""The converter's integers against exact rational arithmetic."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anacc.errors import TargetError
from anacc.targets import FINE_CONDUCTANCE_MAX, Target, load_target, most_rows
from anacc.targets.adc import MAX_SHIFT, NOISE_LIMIT, counts_per_charge, fixed_point_scale

HERMES = load_target("hermes")
CELLS = HERMES.adc.full_scale_cells.value[0]


def overridden(tmp_path: Path, text: str) -> Target:
    file = tmp_path / "chip.toml"
    file.write_text('inherit = "hermes"\n' + text, encoding="utf-8")
    return load_target(file)


@given(
    st.fractions(
        min_value=Fraction(1, 2**40), max_value=Fraction(2**40), max_denominator=2**41
    ).filter(lambda ratio: ratio > 0),
    st.integers(1, 40),
)
def test_scale_is_the_nearest_with_that_many_bits(ratio: Fraction, bits: int) -> None:
    a, b = fixed_point_scale(ratio, bits)
    assert 2 ** (bits - 1) <= a < 2**bits
    error = abs(a / Fraction(2) ** b - ratio)
    assert error <= Fraction(2) ** -(b + 1)
    assert error <= ratio / 2**bits
    # A neighbour of a is not nearer.
    assert all(abs((a + d) / Fraction(2) ** b - ratio) >= error for d in (-1, 1))


@pytest.mark.parametrize(
    ("ratio", "bits", "expected"),
    [
        (Fraction(1), 8, (128, 7)),
        (Fraction(1, 2), 8, (128, 8)),
        (Fraction(255), 8, (255, 0)),
        (Fraction(511, 2), 8, (128, -1)),  # rounds up to 2^8, which needs a smaller exponent
        (Fraction(1, 3), 4, (11, 5)),
        (Fraction(3, 2), 1, (1, -1)),  # 1.5 rounds to 2
        (Fraction(5, 4), 2, (3, 1)),  # 2.5 rounds half up
    ],
)
def test_scale_in_known_cases(ratio: Fraction, bits: int, expected: tuple[int, int]) -> None:
    assert fixed_point_scale(ratio, bits) == expected


@pytest.mark.parametrize(("ratio", "bits"), [(Fraction(0), 8), (Fraction(-1), 8), (Fraction(1), 0)])
def test_scale_refuses_what_it_cannot_do(ratio: Fraction, bits: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        fixed_point_scale(ratio, bits)


def test_scale_of_hermes() -> None:
    ratio = Fraction(427, 12 * 127 * 127)
    assert HERMES.counts_per_charge(CELLS) == ratio
    settings = HERMES.adc_settings("4-phase", CELLS, inputs_nonnegative=False)
    assert 2**23 <= settings.a < 2**24
    assert abs(Fraction(settings.a, 2**settings.b) - ratio) <= ratio / 2**24


@pytest.mark.parametrize(
    ("mode", "nonnegative", "phases", "c_max"),
    [
        ("4-phase", True, 4, 427),
        ("4-phase", False, 4, 854),
        ("1-phase", True, 1, 427),
        ("1-phase", False, 1, 427),
    ],
)
def test_range_is_that_of_the_phases_a_counter_serves(
    mode: str, nonnegative: bool, phases: int, c_max: int
) -> None:
    settings = HERMES.adc_settings(mode, CELLS, nonnegative)
    assert (settings.phases, settings.c_max) == (phases, c_max)


@pytest.mark.parametrize("mode", ["4-phase", "1-phase"])
def test_full_scale_charge_gives_all_levels(mode: str) -> None:
    """As many cells as the full scale names, at G_max and full input, just reach the last level."""
    settings = HERMES.adc_settings(mode, CELLS, inputs_nonnegative=True)
    per_cell = HERMES.input.max_code.value * HERMES.crossbar.g_max.value

    def count(charge: int) -> int:
        return (charge * settings.a + (1 << (settings.b - 1))) >> settings.b

    assert count(12 * per_cell) == settings.c_max == 427
    assert count(6 * per_cell) == 214  # 213.5 rounds half up


@given(st.integers(0, 256 * 127 * 127), st.integers(0, 6))
def test_finer_conductances_give_the_same_counts(charge: int, fraction_bits: int) -> None:
    coarse = HERMES.adc_settings("4-phase", CELLS, False)
    fine = HERMES.adc_settings("4-phase", CELLS, False, fraction_bits)
    assert (fine.a, fine.b) == (coarse.a, coarse.b + fraction_bits)
    fine_charge = charge << fraction_bits
    assert (fine_charge * fine.a + 2 ** (fine.b - 1)) >> fine.b == (
        charge * coarse.a + 2 ** (coarse.b - 1)
    ) >> coarse.b


@given(st.integers(0, 256 * 127 * 127))
def test_count_is_the_rounded_exact_count_or_its_neighbour(charge: int) -> None:
    """The error of a / 2^b moves a count only if the exact one is within 2^-24 of a tie."""
    settings = HERMES.adc_settings("4-phase", CELLS, False)
    count = (charge * settings.a + 2 ** (settings.b - 1)) >> settings.b
    exact = charge * HERMES.counts_per_charge(CELLS)
    assert abs(count - exact) <= Fraction(1, 2) + exact / 2**24


@pytest.mark.parametrize("bits", range(8, 31))
@pytest.mark.parametrize("code", [1, 127])
def test_conversions_of_the_most_rows_fit_int64(bits: int, code: int) -> None:
    rows = most_rows(code, bits)
    charge = rows * code * FINE_CONDUCTANCE_MAX + NOISE_LIMIT
    assert charge * (2**bits - 1) + 2 ** (MAX_SHIFT - 1) < 2**63
    assert 2 * rows * code * FINE_CONDUCTANCE_MAX < 2**53
    above = charge + code * FINE_CONDUCTANCE_MAX
    assert above * 2**bits + 2 ** (MAX_SHIFT - 1) >= 2**63 or 2 * above >= 2**53
    assert HERMES.crossbar.rows.value < most_rows(127, HERMES.adc.multiplier_bits.value)


@pytest.mark.parametrize("mode", ["2-phase", "four_phase", ""])
def test_unknown_mode_is_named(mode: str) -> None:
    with pytest.raises(TargetError, match=f"no read mode `{mode}`") as caught:
        HERMES.adc_settings(mode, CELLS, False)
    assert caught.value.hint == "choose one of `4-phase`, `1-phase`"


def test_mode_that_is_not_offered_is_refused(tmp_path: Path) -> None:
    target = overridden(tmp_path, 'read_modes.offered = ["4-phase"]')
    with pytest.raises(TargetError, match="no read mode `1-phase`"):
        target.adc_settings("1-phase", CELLS, False)


def test_full_scale_that_is_not_offered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="full scale of 24 cells") as caught:
        HERMES.adc_settings("4-phase", 24, False)
    assert "12" in str(caught.value.hint) and "adc.full_scale_cells" in str(caught.value.hint)
    target = overridden(tmp_path, "adc.full_scale_cells = [12, 24]")
    narrow, wide = (target.adc_settings("4-phase", cells, False) for cells in (12, 24))
    assert (wide.a, wide.b) == (narrow.a, narrow.b + 1)


@pytest.mark.parametrize("bits", [-1, 7])
def test_conductance_unit_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="0 to 6"):
        HERMES.adc_settings("4-phase", CELLS, False, bits)


@given(st.integers(1, 2047), st.floats(0.1, 1000), st.integers(1, 127), st.integers(1, 127))
def test_counts_per_charge_is_exact(levels: int, cells: float, x: int, g: int) -> None:
    assert counts_per_charge(levels, cells, x, g) * Fraction(cells) * x * g == levels
