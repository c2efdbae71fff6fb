"""What the quantities of a target must fulfil together.

One function a rule, listed in `CHECKS`.  A check takes a target whose fields are valid one by one
and returns the first `Problem` it finds, or None.  Its docstring says what the rule protects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anacc.targets.adc import (
    FINE_CONDUCTANCE_BITS,
    MAX_SHIFT,
    counts_per_charge,
    fixed_point_scale,
    most_rows,
)

if TYPE_CHECKING:
    from anacc.targets.schema import Target


MAX_CELLS = 2**25
"""Of a crossbar, for example 4096 x 8192: far more than any that was built."""


MAX_CORES = 2**18
"""Of a chip, for example 512 x 512."""


@dataclass(frozen=True)
class Problem:
    """A broken rule: the dotted key to blame, the reason ("must ..."), and what to do."""

    key: str
    reason: str
    hint: str


def offered_modes_have_tables(target: Target) -> Problem | None:
    """A read mode that a program may choose has a latency and an energy."""
    tables = target.read_modes.tables()
    for name in target.read_modes.offered.value:
        key, table = tables[name]
        if table is None:
            return Problem(
                "read_modes.offered",
                f"lists `{name}`, but the table `{key}` is missing",
                f"add `{key}` or take `{name}` from `read_modes.offered`",
            )
    return None


def modes_have_their_phases(target: Target) -> Problem | None:
    """A mode is computed by the rule of its name, so its table states that number of phases."""
    for name, (key, table) in target.read_modes.tables().items():
        if table is not None and name != f"{table.phases.value}-phase":
            return Problem(
                f"{key}.phases",
                f"is {table.phases.value}, but this is the table of mode `{name}`",
                f"set it to {name[0]}",
            )
    return None


def default_mode_is_offered(target: Target) -> Problem | None:
    """A compile without options finds its read mode."""
    modes = target.read_modes
    if modes.default.value not in modes.offered.value:
        return Problem(
            "read_modes.default",
            f"is `{modes.default.value}`, which `read_modes.offered` does not list",
            f"choose one of {_names(modes.offered.value)}",
        )
    return None


def lists_hold_no_duplicates(target: Target) -> Problem | None:
    """A list of names or settings is a set: a repeated entry is a typing error."""
    lists: dict[str, Sequence[Any]] = {
        "adc.full_scale_cells": target.adc.full_scale_cells.value,
        "read_modes.offered": target.read_modes.offered.value,
        "ldpu.functions": target.ldpu.functions.value,
        "gdpu.functions": target.gdpu.functions.value,
        "bridge.functions": target.bridge.functions.value,
        "links.directions": target.links.directions.value,
    }
    for key, values in lists.items():
        for value in values:
            if values.count(value) > 1:
                return Problem(key, f"lists `{value}` twice", "list each entry once")
    return None


def ldpu_is_affine(target: Target) -> Problem | None:
    """Every count leaves a core through the LDPU's affine step, so it cannot be missing."""
    if "affine" not in target.ldpu.functions.value:
        return Problem(
            "ldpu.functions",
            "must list `affine`, without which no count leaves a core",
            "add `affine` to the list",
        )
    return None


def input_codes_fit_their_bits(target: Target) -> Problem | None:
    """An input code is a sign and a magnitude of one bit less than `input.bits`."""
    largest = 2 ** (target.input.bits.value - 1) - 1
    if target.input.max_code.value > largest:
        return Problem(
            "input.max_code",
            f"is {target.input.max_code.value}, but {target.input.bits.value} bits hold a sign "
            f"and at most {largest}",
            f"set `input.max_code` to {largest} or less, or raise `input.bits`",
        )
    return None


def conversions_are_exact(target: Target) -> Problem | None:
    """The charge of a column times the converter's multiplier stays an exact 64-bit integer, with
    device noise above G_max too."""
    bits = target.adc.multiplier_bits.value
    largest = most_rows(target.input.max_code.value, bits)
    if target.crossbar.rows.value > largest:
        return Problem(
            "crossbar.rows",
            f"is {target.crossbar.rows.value}, but with {bits} bits of the multiplier the 64-bit "
            f"conversion of a column's charge is exact for at most {largest} rows",
            f"use at most {largest} rows, or lower `adc.multiplier_bits`",
        )
    return None


def crossbars_are_bounded(target: Target) -> Problem | None:
    """Whoever checks a program that others made looks at each cell of a crossbar."""
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    if rows * columns > MAX_CELLS:
        return Problem(
            "crossbar.rows",
            f"is {rows}, which with {columns} columns makes {rows * columns} cells, more than the "
            f"{MAX_CELLS} of the largest crossbar that programs may have",
            f"use at most {MAX_CELLS // columns} rows, or fewer columns",
        )
    return None


def grids_are_bounded(target: Target) -> Problem | None:
    """Placing and routing look at each core and link of a chip."""
    rows, columns = target.grid.rows.value, target.grid.columns.value
    if rows * columns > MAX_CORES:
        return Problem(
            "grid.rows",
            f"is {rows}, which with {columns} columns makes {rows * columns} cores, more than the "
            f"{MAX_CORES} of the largest chip that programs may have",
            f"use at most {MAX_CORES // columns} rows, or fewer columns",
        )
    return None


def counts_fit_the_counter(target: Target) -> Problem | None:
    """A counter serves up to two of four phases without overflow."""
    largest = 2**target.adc.counter_bits.value - 1
    phases = 2 if "4-phase" in target.read_modes.offered.value else 1
    levels = target.adc.levels_per_phase.value
    if levels * phases > largest:
        return Problem(
            "adc.levels_per_phase",
            f"is {levels}, but a counter of {target.adc.counter_bits.value} bits that serves "
            f"{phases} phase{'s' if phases > 1 else ''} holds {largest // phases} levels a phase",
            f"set `adc.levels_per_phase` to {largest // phases} or less",
        )
    return None


def scale_fits_int64(target: Target) -> Problem | None:
    """q * a / 2^b is computed in int64 with a rounding shift, in both conductance units."""
    for cells in target.adc.full_scale_cells.value:
        ratio = counts_per_charge(
            target.adc.levels_per_phase.value,
            cells,
            target.input.max_code.value,
            target.crossbar.g_max.value,
        )
        _, b = fixed_point_scale(ratio, target.adc.multiplier_bits.value)
        if not 1 <= b <= MAX_SHIFT - FINE_CONDUCTANCE_BITS:
            return Problem(
                "adc.full_scale_cells",
                f"lists {cells:g}, for which the converter's scale has the exponent {b}, outside "
                f"1 to {MAX_SHIFT - FINE_CONDUCTANCE_BITS}",
                "choose a full scale nearer to the number of cells that conduct at once",
            )
    return None


def pulses_fit_the_latency(target: Target) -> Problem | None:
    """An MVM lasts at least as long as the input pulses of all its phases."""
    pulse = target.input.max_code.value * target.input.time_per_lsb.value
    for key, mode in target.read_modes.tables().values():
        if mode is not None and mode.latency.value < mode.phases.value * pulse:
            return Problem(
                f"{key}.latency",
                f"is {mode.latency.value:g} ns, less than {mode.phases.value} x {pulse:g} ns of "
                "input pulses",
                f"set it to {mode.phases.value * pulse:g} ns or more, or lower "
                "`input.time_per_lsb` or `input.max_code`",
            )
    return None


def gdpus_have_columns(target: Target) -> Problem | None:
    """With `column` wiring GDPU k serves core column k, so there is a column for each GDPU."""
    if target.gdpu.wiring.value == "column" and target.gdpu.count.value > target.grid.columns.value:
        return Problem(
            "gdpu.count",
            f"is {target.gdpu.count.value}, but each GDPU is wired to a core column and "
            f"`grid.columns` is {target.grid.columns.value}",
            f'set `gdpu.count` to {target.grid.columns.value} or less, or `gdpu.wiring` to "any"',
        )
    return None


def table_step_is_power_of_two(target: Target) -> Problem | None:
    """Index and remainder of a table lookup are exact only for a step that is a power of two."""
    table = target.gdpu.tanh_table
    numerator, denominator = (table.input_limit.value / table.segments.value).as_integer_ratio()
    if numerator & (numerator - 1) or denominator & (denominator - 1):
        return Problem(
            "gdpu.tanh_table.segments",
            f"is {table.segments.value} over 0 to {table.input_limit.value:g}, a step that is no "
            "power of two",
            "choose powers of two for `gdpu.tanh_table.segments` and `.input_limit`",
        )
    return None


def tables_have_their_figures(target: Target) -> Problem | None:
    """A GDPU that holds general tables says how large they are."""
    if "table" in target.gdpu.functions.value and target.gdpu.function_table is None:
        return Problem(
            "gdpu.functions",
            "lists `table`, but the table `gdpu.function_table` is missing",
            'add `gdpu.function_table`, or write `inherit = "hermes-ext"`, which has it',
        )
    return None


CHECKS: tuple[Callable[[Target], Problem | None], ...] = (
    offered_modes_have_tables,
    modes_have_their_phases,
    default_mode_is_offered,
    lists_hold_no_duplicates,
    ldpu_is_affine,
    input_codes_fit_their_bits,
    conversions_are_exact,
    crossbars_are_bounded,
    grids_are_bounded,
    counts_fit_the_counter,
    scale_fits_int64,
    pulses_fit_the_latency,
    gdpus_have_columns,
    table_step_is_power_of_two,
    tables_have_their_figures,
)


def first_problem(target: Target) -> Problem | None:
    """Return the first broken rule of `CHECKS`, or None."""
    for check in CHECKS:
        problem = check(target)
        if problem is not None:
            return problem
    return None


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
