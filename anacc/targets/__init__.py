"""Targets: chips as data.

A target is a TOML file in which every value carries its unit, the kind of its source (published,
derived or assumed) and a citation or a reason.  `load_target("hermes")` gives IBM's 64-core chip.
"""

from anacc.targets import provenance
from anacc.targets.adc import FINE_CONDUCTANCE_BITS, FINE_CONDUCTANCE_MAX, AdcSettings, most_rows
from anacc.targets.figures import (
    core_programming_time,
    g_max_counts,
    g_max_microsiemens,
    peak_density,
    peak_efficiency,
    peak_throughput,
    programming_time,
)
from anacc.targets.load import (
    load_target,
    shipped_targets,
    target_from_data,
    target_to_data,
)
from anacc.targets.quantity import Quantity, Source
from anacc.targets.schema import Target
from anacc.targets.settings import Configured, configure

__all__ = [
    "FINE_CONDUCTANCE_BITS",
    "FINE_CONDUCTANCE_MAX",
    "AdcSettings",
    "Configured",
    "Quantity",
    "Source",
    "Target",
    "configure",
    "core_programming_time",
    "g_max_counts",
    "g_max_microsiemens",
    "load_target",
    "most_rows",
    "peak_density",
    "peak_efficiency",
    "peak_throughput",
    "programming_time",
    "provenance",
    "shipped_targets",
    "target_from_data",
    "target_to_data",
]
