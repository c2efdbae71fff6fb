"""The sections of a target, one model each, in the order in which a target file lists them.

A field says type, range and unit; what several fields must fulfil together is in `checks`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anacc.targets.quantity import (
    Count,
    CountOrZero,
    NonNegative,
    Positive,
    Quantity,
    Strict,
    Text,
    Unit,
)

ModeName = Literal["4-phase", "1-phase"]
LdpuFunction = Literal["affine", "accumulate", "residual", "relu", "clamp", "requantise"]
GdpuFunction = Literal["affine", "tanh", "sigmoid", "multiply", "add", "table"]
BridgeFunction = Literal[
    "window",
    "pad",
    "max_pool",
    "average_pool",
    "concat",
    "slice",
    "transpose",
    "reshape",
    "requantise",
]
Direction = Literal["horizontal", "vertical"]

# Codes are int8 with -128 unused, so a magnitude has seven bits at most.
Code = Annotated[int, Field(ge=1, le=127)]


class Chip(Strict):
    """What the chip is."""

    name: Annotated[Quantity[Text], Unit("name")]
    process: Annotated[Quantity[Text], Unit("name")]
    die_area: Annotated[Quantity[Positive], Unit("mm2")]
    clock: Annotated[Quantity[Positive], Unit("GHz")]


class Grid(Strict):
    """Cores of one chip, and how many chips a program may use."""

    rows: Annotated[Quantity[Count], Unit("rows")]
    columns: Annotated[Quantity[Count], Unit("columns")]
    max_chips: Annotated[Quantity[Count], Unit("chips")]


class Crossbar(Strict):
    """Unit cells of one core; a cell holds `devices_per_polarity` devices for each of g+ and g-."""

    rows: Annotated[Quantity[Count], Unit("rows")]
    columns: Annotated[Quantity[Count], Unit("columns")]
    devices_per_polarity: Annotated[Quantity[Annotated[int, Field(ge=1, le=16)]], Unit("devices")]
    g_max: Annotated[Quantity[Code], Unit("codes")]
    counts_per_device: Annotated[Quantity[Count], Unit("counts/device")]
    conductance_per_count: Annotated[Quantity[Positive], Unit("uS/count")]


class Programming(Strict):
    """Closed-loop programming of the devices."""

    max_iterations: Annotated[Quantity[Count], Unit("iterations")]
    iteration_time: Annotated[Quantity[Positive], Unit("ns")]
    write_heads: Annotated[Quantity[Count], Unit("devices")]
    error_threshold: Annotated[Quantity[Count], Unit("counts")]


class Input(Strict):
    """Pulse-width coding of the inputs of a crossbar."""

    bits: Annotated[Quantity[Annotated[int, Field(ge=2, le=8)]], Unit("bits")]
    max_code: Annotated[Quantity[Code], Unit("codes")]
    time_per_lsb: Annotated[Quantity[Positive], Unit("ns/LSB")]


class Adc(Strict):
    """The converter of a column: its range, its counter, and the integer scale that models it."""

    levels_per_phase: Annotated[Quantity[Count], Unit("levels")]
    full_scale_cells: Annotated[
        Quantity[Annotated[tuple[Positive, ...], Field(min_length=1, max_length=16)]],
        Unit("cells"),
    ]
    # The LDPU rule multiplies a count by a binary16 number exactly in binary32: 12 + 11 <= 24 bits.
    counter_bits: Annotated[Quantity[Annotated[int, Field(ge=1, le=12)]], Unit("bits")]
    # 30 bits: |q| < 2^31 times the multiplier, plus half a step, stays inside int64.
    multiplier_bits: Annotated[Quantity[Annotated[int, Field(ge=8, le=30)]], Unit("bits")]


class ReadMode(Strict):
    """One read mode: modulation phases; latency and energy of one MVM of one core in full use."""

    # The numerics define the arithmetic of four phases and of one, and of no other number.
    phases: Annotated[Quantity[Literal[1, 4]], Unit("phases")]
    latency: Annotated[Quantity[Positive], Unit("ns")]
    energy: Annotated[Quantity[NonNegative], Unit("nJ")]


class ReadModes(Strict):
    """The read modes that a program may use; a mode that is offered has a table.

    `four_phase` reads each pair of input sign and weight sign in a phase of its own, `one_phase`
    reads all of them together.
    """

    offered: Annotated[
        Quantity[Annotated[tuple[ModeName, ...], Field(min_length=1)]], Unit("names")
    ]
    default: Annotated[Quantity[ModeName], Unit("name")]
    four_phase: ReadMode | None = None
    one_phase: ReadMode | None = None

    def tables(self) -> dict[ModeName, tuple[str, ReadMode | None]]:
        """Return for each mode name the dotted key of its table, and the table if there is one."""
        return {
            "4-phase": ("read_modes.four_phase", self.four_phase),
            "1-phase": ("read_modes.one_phase", self.one_phase),
        }


class Ldpu(Strict):
    """Local digital processing unit of each core."""

    format: Annotated[Quantity[Literal["binary16"]], Unit("name")]
    functions: Annotated[Quantity[tuple[LdpuFunction, ...]], Unit("names")]
    bias: Annotated[Quantity[Literal["ldpu", "crossbar"]], Unit("name")]


class TanhTable(Strict):
    """The table that tanh and sigmoid come from; magnitudes only, for tanh is odd.

    Entry k is tanh(k * input_limit / segments) rounded to `format`, k = 0 .. segments; larger
    magnitudes take the last entry.
    """

    segments: Annotated[Quantity[Annotated[int, Field(ge=2, le=65536)]], Unit("segments")]
    input_limit: Annotated[Quantity[Annotated[float, Field(gt=0, le=64)]], Unit("1")]
    interpolation: Annotated[Quantity[Literal["linear", "nearest"]], Unit("name")]
    format: Annotated[Quantity[Literal["binary16"]], Unit("name")]


class FunctionTable(Strict):
    """A table that can hold any function: one for each stream that needs one.

    Entry k of a table over [-L, L] is f(-L + k * 2 L / segments) rounded to `format`, k = 0 ..
    segments; of an odd function only magnitudes are held, over [0, L].
    """

    segments: Annotated[Quantity[Annotated[int, Field(ge=2, le=65535)]], Unit("segments")]
    interpolation: Annotated[Quantity[Literal["linear", "nearest"]], Unit("name")]
    format: Annotated[Quantity[Literal["binary16"]], Unit("name")]


class Gdpu(Strict):
    """Global digital processing units: gates and state of recurrent cells.

    `function_table` belongs to the function `table`.
    """

    count: Annotated[Quantity[CountOrZero], Unit("units")]
    functions: Annotated[Quantity[tuple[GdpuFunction, ...]], Unit("names")]
    format: Annotated[Quantity[Literal["binary16"]], Unit("name")]
    hidden_units: Annotated[Quantity[Count], Unit("hidden units")]
    wiring: Annotated[Quantity[Literal["column", "any"]], Unit("name")]
    tanh_table: TanhTable
    function_table: FunctionTable | None = None


class Bridge(Strict):
    """Units that move and rearrange activations between layers."""

    count: Annotated[Quantity[CountOrZero], Unit("units")]
    functions: Annotated[Quantity[tuple[BridgeFunction, ...]], Unit("names")]


class Links(Strict):
    """Links between neighbouring cores, channels over them, and links between chips."""

    topology: Annotated[Quantity[Literal["nearest_neighbour"]], Unit("name")]
    directions: Annotated[Quantity[tuple[Direction, ...]], Unit("names")]
    bits_per_value: Annotated[Quantity[Annotated[int, Field(ge=8, le=64)]], Unit("bits")]
    values_per_ns: Annotated[Quantity[Positive], Unit("values/ns")]
    hop_latency: Annotated[Quantity[NonNegative], Unit("ns")]
    channel_capacity: Annotated[Quantity[Count], Unit("tokens")]
    chip_topology: Annotated[Quantity[Literal["chain"]], Unit("name")]
    chip_values_per_ns: Annotated[Quantity[Positive], Unit("values/ns")]
    chip_hop_latency: Annotated[Quantity[NonNegative], Unit("ns")]


class Latency(Strict):
    """Time of the digital work of a step; transfers are in `Links`, MVMs in `ReadModes`."""

    ldpu_per_column: Annotated[Quantity[NonNegative], Unit("ns/column")]
    gdpu_per_unit: Annotated[Quantity[NonNegative], Unit("ns/hidden unit")]
    bridge_per_step: Annotated[Quantity[NonNegative], Unit("ns")]


class Energy(Strict):
    """Energy of the digital work, and how the energy of an MVM scales with the cells it uses."""

    mvm_scaling: Annotated[Quantity[Literal["used_cells", "core"]], Unit("name")]
    ldpu_per_column: Annotated[Quantity[NonNegative], Unit("pJ/column")]
    gdpu_per_unit: Annotated[Quantity[NonNegative], Unit("pJ/hidden unit")]
    link_per_hop: Annotated[Quantity[NonNegative], Unit("pJ/value")]
    chip_link_per_hop: Annotated[Quantity[NonNegative], Unit("pJ/value")]
    bridge_per_value: Annotated[Quantity[NonNegative], Unit("pJ/value")]


class Area(Strict):
    """Silicon area."""

    core: Annotated[Quantity[Positive], Unit("mm2")]


class Host(Strict):
    """The computer that runs what the chip cannot do."""

    format: Annotated[Quantity[Literal["binary32"]], Unit("name")]
    values_per_ns: Annotated[Quantity[Positive], Unit("values/ns")]
    transfer_latency: Annotated[Quantity[NonNegative], Unit("ns")]
