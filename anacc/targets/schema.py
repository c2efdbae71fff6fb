"""A target: everything that the compiler, the simulator and the reports know of a chip.

`Target` holds one section per part of the chip (see `sections`) and answers the few questions that
need more than one value.  It is immutable, and an instance fulfils every rule of `checks`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from anacc.errors import TargetError, UnknownTargetError
from anacc.targets.adc import (
    FINE_CONDUCTANCE_BITS,
    AdcSettings,
    counts_per_charge,
    fixed_point_scale,
)
from anacc.targets.checks import first_problem
from anacc.targets.quantity import Strict
from anacc.targets.sections import (
    Adc,
    Area,
    Bridge,
    Chip,
    Crossbar,
    Energy,
    Gdpu,
    Grid,
    Host,
    Input,
    Latency,
    Ldpu,
    Links,
    Programming,
    ReadMode,
    ReadModes,
)


class Target(Strict):
    """A chip, as data.

    Cores are numbered row by row: core = row * grid.columns + column.

    Raises:
        pydantic.ValidationError: on construction, for a value that is impossible by itself or
            together with others.  `anacc.targets.load` turns it into a `TargetError`.
    """

    chip: Chip
    grid: Grid
    crossbar: Crossbar
    programming: Programming
    input: Input
    adc: Adc
    read_modes: ReadModes
    ldpu: Ldpu
    gdpu: Gdpu
    bridge: Bridge
    links: Links
    latency: Latency
    energy: Energy
    area: Area
    host: Host

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problem = first_problem(self)
        if problem is not None:
            raise PydanticCustomError(
                "impossible",
                "{key} {reason}",
                {"key": problem.key, "reason": problem.reason, "hint": problem.hint},
            )
        return self

    @property
    def cores(self) -> int:
        """Cores of one chip."""
        return self.grid.rows.value * self.grid.columns.value

    @property
    def cells_per_core(self) -> int:
        """Unit cells (weights) of one core."""
        return self.crossbar.rows.value * self.crossbar.columns.value

    @property
    def links_per_chip(self) -> int:
        """Links on one chip: between neighbouring cores each way, and to and from each GDPU."""
        rows, columns = self.grid.rows.value, self.grid.columns.value
        directions = self.links.directions.value
        across = rows * (columns - 1) * ("horizontal" in directions)
        down = (rows - 1) * columns * ("vertical" in directions)
        return 2 * (across + down + self.gdpu.count.value)

    def core_position(self, core: int) -> tuple[int, int]:
        """Return (row, column) of a core of the grid.

        Raises:
            IndexError: the chip has no such core.
        """
        if not 0 <= core < self.cores:
            raise IndexError(f"core {core} is outside 0 to {self.cores - 1}")
        return divmod(core, self.grid.columns.value)

    def core_at(self, row: int, column: int) -> int:
        """Return the core at a grid position; the inverse of `core_position`.

        Raises:
            IndexError: the position is outside the grid.
        """
        if not (0 <= row < self.grid.rows.value and 0 <= column < self.grid.columns.value):
            raise IndexError(f"position ({row}, {column}) is outside the grid of cores")
        return row * self.grid.columns.value + column

    def column_of(self, core: int) -> int:
        """Return the grid column of a core; raises IndexError as `core_position` does."""
        return self.core_position(core)[1]

    def gdpus_of(self, core: int) -> range:
        """Return the GDPUs that a core can send to: its column's, or all, or none.

        Raises:
            IndexError: the chip has no such core.
        """
        column, count = self.column_of(core), self.gdpu.count.value
        if self.gdpu.wiring.value == "any":
            return range(count)
        return range(column, min(column + 1, count))

    def read_mode(self, name: str) -> ReadMode:
        """Return an offered read mode by its name, `4-phase` or `1-phase`.

        Raises:
            UnknownTargetError: the target does not offer the mode.
        """
        offered = self.read_modes.offered.value
        for mode, (_, table) in self.read_modes.tables().items():
            if mode == name and mode in offered and table is not None:
                return table
        raise UnknownTargetError(
            f"target `{self.chip.name.value}` has no read mode `{name}`",
            "choose one of " + ", ".join(f"`{mode}`" for mode in offered),
        )

    def adc_settings(
        self,
        mode: str,
        full_scale_cells: float,
        inputs_nonnegative: bool,
        conductance_fraction_bits: int = 0,
    ) -> AdcSettings:
        """Return the converter settings of a core.

        The same inputs and conductances give the same counts for every value of
        `conductance_fraction_bits`: a stays, and b grows with the finer unit.

        Args:
            mode: read mode, `4-phase` or `1-phase`.
            full_scale_cells: one of `adc.full_scale_cells`: how many cells at G_max and full
                input make `adc.levels_per_phase` counts in one phase.
            inputs_nonnegative: the layer's inputs cannot be negative.  In 4-phase mode a counter
                then serves one phase instead of two.
            conductance_fraction_bits: conductances are in units of 2^-this of a code, 0 to 6.

        Raises:
            TargetError: the target does not offer the mode or the full scale.
            ValueError: conductance_fraction_bits is out of range.
        """
        phases = self.read_mode(mode).phases.value
        offered = self.adc.full_scale_cells.value
        if full_scale_cells not in offered:
            raise TargetError(
                f"target `{self.chip.name.value}` has no ADC full scale of {full_scale_cells:g} "
                "cells",
                "choose one of "
                + ", ".join(f"{cells:g}" for cells in offered)
                + ", or add it to `adc.full_scale_cells` of the target",
            )
        if not 0 <= conductance_fraction_bits <= FINE_CONDUCTANCE_BITS:
            raise ValueError(f"conductance_fraction_bits must be 0 to {FINE_CONDUCTANCE_BITS}")
        a, b = fixed_point_scale(
            self.counts_per_charge(full_scale_cells), self.adc.multiplier_bits.value
        )
        served = 2 if phases == 4 and not inputs_nonnegative else 1
        return AdcSettings(
            phases=phases,
            a=a,
            b=b + conductance_fraction_bits,
            c_max=served * self.adc.levels_per_phase.value,
        )

    def counts_per_charge(self, full_scale_cells: float) -> Fraction:
        """Return the exact ADC counts per input code times conductance code."""
        return counts_per_charge(
            self.adc.levels_per_phase.value,
            full_scale_cells,
            self.input.max_code.value,
            self.crossbar.g_max.value,
        )
