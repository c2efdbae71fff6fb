"""Figures of a chip that follow from its target: what publications print as peak values.

Two operations (multiply and add) per cell and MVM, all cores at once, full utilisation.
"""

from __future__ import annotations

from anacc.targets.schema import Target


def peak_throughput(target: Target, mode: str) -> float:
    """Return the peak MVM throughput of one chip in TOPS.

    Raises:
        TargetError: the target does not offer the read mode.
    """
    operations = 2 * target.cells_per_core * target.cores
    return operations / target.read_mode(mode).latency.value / 1e3  # 1 / ns = 1e9 / s


def peak_efficiency(target: Target, mode: str) -> float:
    """Return the peak MVM energy efficiency in TOPS/W; infinite for a mode of zero energy.

    Raises:
        TargetError: the target does not offer the read mode.
    """
    energy = target.read_mode(mode).energy.value
    return 2 * target.cells_per_core / energy / 1e3 if energy else float("inf")


def peak_density(target: Target, mode: str) -> float:
    """Return the peak MVM throughput per area of the cores in TOPS/mm2.

    Raises:
        TargetError: the target does not offer the read mode.
    """
    return peak_throughput(target, mode) / (target.cores * target.area.core.value)


def g_max_counts(target: Target) -> int:
    """Return G_max of one polarity of a cell in ADC counts of a verify read."""
    return target.crossbar.devices_per_polarity.value * target.crossbar.counts_per_device.value


def g_max_microsiemens(target: Target) -> float:
    """Return G_max of one polarity of a cell in microsiemens."""
    return g_max_counts(target) * target.crossbar.conductance_per_count.value


def core_programming_time(target: Target) -> float:
    """Return an upper bound in ns on the time to program all devices of one core."""
    return programming_time(target, target.cells_per_core)


def programming_time(target: Target, cells: int) -> float:
    """Return an upper bound in ns on the time to program some cells of one core.

    ::

        kinds * ceil(cells / write_heads) * max_iterations * iteration_time

    with kinds = 2 * devices_per_polarity: every device takes the largest number of iterations, and
    `write_heads` devices of one kind (polarity and position in the cell) are written at a time.
    """
    kinds = 2 * target.crossbar.devices_per_polarity.value
    groups = -(-cells // target.programming.write_heads.value)
    iterations = target.programming.max_iterations.value
    return kinds * groups * iterations * target.programming.iteration_time.value
