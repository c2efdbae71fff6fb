"""Declarations: converter settings, weights, tables, channels, units, registers, buffers, loops."""

from __future__ import annotations

import math

import numpy as np

from anacc.program.checks.fault import fault, stream_fault
from anacc.program.image import Image
from anacc.program.model import Code, Format, Loop, Node, Stream, UnitKind
from anacc.program.wire import KINDS, MAX_DEPTH, binary16
from anacc.targets import Target, most_rows

# Elements; bounds on what a damaged program can make the runtime allocate.  A sum of 2**24 codes
# stays below 2**31.
MAX_VECTOR = 2**24
MAX_BUFFER = 2**31 - 1

# Executions of one instruction per sample, and those of all instructions that cannot run at once,
# because they stand in sequential loops.  At some microseconds each, the latter take minutes.
MAX_ITERATIONS = 2**40
MAX_SEQUENTIAL = 2**26

# A shift has 6 bits less than what anacc.targets.adc allows, for fine conductances and noise; a
# count has 12 bits so that its product with a binary16 number is exact in binary32.
MAX_MULTIPLIER = 2**30 - 1
MAX_SHIFT = 56
MAX_COUNT = 4095
LARGEST_CODE = 127


def check_declarations(image: Image, target: Target) -> None:
    """Each declaration makes sense by itself and fits the target.

    Raises:
        ProgramError: one does not.
    """
    code = image.code
    _check_pools(image)
    _check_adcs(code, target)
    _check_weights(image, target)
    _check_tables(image)
    _check_channels(code)
    _check_links(code, target)
    for position, stream in enumerate(code.streams):
        _check_unit(position, stream, target)
        if not 0 <= stream.round < len(code.streams):
            raise stream_fault(
                position,
                stream,
                f"runs in round {stream.round}, but there are {len(code.streams)} streams",
            )
        _check_memory(position, stream)
        _check_loops(position, stream, stream.body, 1, 0)
    if sum(_sequential_steps(stream.body) for stream in code.streams) > MAX_SEQUENTIAL:
        raise fault(f"sequential loops execute more than {MAX_SEQUENTIAL} instructions a sample")


def _check_pools(image: Image) -> None:
    """All constants are finite: no NaN or infinity can arise from them."""
    for name, pool in (("16", image.constants16), ("32", image.constants32)):
        if pool.dtype != f"float{name}":
            raise fault(f"the binary{name} constants are {pool.dtype}")
        if pool.ndim != 1:
            raise fault(f"the binary{name} constants have {pool.ndim} axes instead of one")
        wrong = np.flatnonzero(~np.isfinite(pool))
        if wrong.size:
            raise fault(f"binary{name} constant {wrong[0]} is not finite")


def _check_adcs(code: Code, target: Target) -> None:
    rows = target.crossbar.rows.value
    for position, adc in enumerate(code.adcs):
        where = f"converter setting {position}"
        if adc.phases not in (1, 4):
            raise fault(f"{where} has {adc.phases} phases, not 1 or 4")
        if not 1 <= adc.multiplier <= MAX_MULTIPLIER:
            raise fault(f"{where} has multiplier {adc.multiplier}, not 1 to {MAX_MULTIPLIER}")
        if rows > most_rows(LARGEST_CODE, adc.multiplier.bit_length()):
            raise fault(
                f"{where} has multiplier {adc.multiplier}, too large for {rows} rows of a crossbar"
            )
        if not 0 <= adc.shift <= MAX_SHIFT:
            raise fault(f"{where} has shift {adc.shift}, not 0 to {MAX_SHIFT}")
        if not 1 <= adc.maximum <= MAX_COUNT:
            raise fault(f"{where} has maximum {adc.maximum}, not 1 to {MAX_COUNT}")


def _check_weights(image: Image, target: Target) -> None:
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    if len(image.weights) != len(image.code.weights):
        raise fault(
            f"the program has {len(image.weights)} weight blocks but declares "
            f"{len(image.code.weights)}"
        )
    for position, weight in enumerate(image.code.weights):
        if not (1 <= weight.rows <= rows and 1 <= weight.columns <= columns):
            raise fault(
                f"weight block {position} has {weight.rows} rows and {weight.columns} columns, a "
                f"crossbar {rows} and {columns}"
            )


def _check_tables(image: Image) -> None:
    for position, table in enumerate(image.code.tables):
        if table.entries < 2:
            raise fault(f"table {position} has {table.entries} entries, fewer than two")
        if table.base < 0 or table.base + table.entries > len(image.constants16):
            raise fault(
                f"table {position} ends at constant {table.base + table.entries}, but there are "
                f"{len(image.constants16)}"
            )
        if not _is_binary16(table.limit) or table.limit <= 0:
            raise fault(f"table {position} has the limit {table.limit}, not a positive number")


def _check_channels(code: Code) -> None:
    for position, channel in enumerate(code.channels):
        low, high = (0, 0) if channel.format is Format.TENSOR else (1, MAX_VECTOR)
        if not low <= channel.token_size <= high:
            raise fault(
                f"channel {position} has token size {channel.token_size}, not {low} to {high}"
            )
        if channel.capacity < 1:
            raise fault(f"channel {position} has capacity {channel.capacity}, less than one token")
        if len(set(channel.route)) != len(channel.route) or min(channel.route, default=0) < 0:
            raise fault(f"channel {position} crosses a link twice, or one with a negative number")


def _check_links(code: Code, target: Target) -> None:
    """The links of routes exist: those on each chip in use, and between neighbours."""
    chips = 1 + max((stream.unit.chip for stream in code.streams), default=0)
    links = chips * target.links_per_chip + 2 * (chips - 1)
    for position, channel in enumerate(code.channels):
        if max(channel.route, default=0) >= links:
            raise fault(
                f"channel {position} crosses link {max(channel.route)}, but {chips} "
                f"chip{'' if chips == 1 else 's'} have {links}"
            )


def _check_unit(position: int, stream: Stream, target: Target) -> None:
    """The unit exists in the target.  There is one host, number 0."""
    unit = stream.unit
    if unit.kind not in KINDS:
        raise stream_fault(position, stream, f"there is no unit kind `{unit.kind}`")
    if unit.kind == UnitKind.HOST.value:
        chips, units = 1, 1
    else:
        chips = target.grid.max_chips.value
        units = {
            UnitKind.CORE.value: target.cores,
            UnitKind.GDPU.value: target.gdpu.count.value,
            UnitKind.BRIDGE.value: target.bridge.count.value,
        }[unit.kind]
    if not 0 <= unit.chip < chips:
        raise stream_fault(position, stream, f"runs on chip {unit.chip}, but there are {chips}")
    if not 0 <= unit.index < units:
        raise stream_fault(
            position, stream, f"runs on {unit.kind} {unit.index}, but a chip has {units}"
        )


def _check_memory(position: int, stream: Stream) -> None:
    for number, register in enumerate(stream.registers):
        if register.format is Format.TENSOR:
            raise stream_fault(position, stream, f"register {number} cannot hold a tensor")
        if not 1 <= register.length <= MAX_VECTOR:
            raise stream_fault(
                position,
                stream,
                f"register {number} has {register.length} elements, not 1 to {MAX_VECTOR}",
            )
    buffer = stream.buffer
    if buffer is None:
        return
    # Integers up to 2048 are exact in binary16.
    fills = {Format.INT8: 127, Format.BINARY16: 2048}
    if buffer.format not in fills:
        raise stream_fault(position, stream, f"a buffer cannot hold {buffer.format.value}")
    if not 1 <= buffer.size <= MAX_BUFFER:
        raise stream_fault(
            position, stream, f"the buffer has {buffer.size} elements, not 1 to {MAX_BUFFER}"
        )
    if abs(buffer.fill) > fills[buffer.format]:
        raise stream_fault(
            position,
            stream,
            f"the buffer's fill {buffer.fill} lies outside +-{fills[buffer.format]}",
        )


def _check_loops(
    position: int, stream: Stream, body: tuple[Node, ...], iterations: int, depth: int
) -> None:
    for node in body:
        if not isinstance(node, Loop):
            continue
        if depth == MAX_DEPTH:
            raise stream_fault(position, stream, f"loops nest deeper than {MAX_DEPTH}")
        if stream.unit.kind == UnitKind.HOST.value:
            # A host stream runs on whole tensors over the whole batch.
            raise stream_fault(position, stream, "a host stream cannot hold a loop")
        if node.count < 1:
            raise stream_fault(position, stream, f"a loop has count {node.count}, less than one")
        if not node.body:
            raise stream_fault(position, stream, "a loop is empty")
        inner = iterations * node.count
        if inner > MAX_ITERATIONS:
            raise stream_fault(
                position, stream, f"nested loops make more than {MAX_ITERATIONS} iterations"
            )
        _check_loops(position, stream, node.body, inner, depth + 1)


def _sequential_steps(body: tuple[Node, ...]) -> int:
    """Instructions that run one after another, those of a parallel loop counted once."""
    return sum(
        _sequential_steps(node.body) * (node.count if node.sequential else 1)
        if isinstance(node, Loop)
        else 1
        for node in body
    )


def _is_binary16(value: float) -> bool:
    try:
        binary16(value)
    except ValueError:
        return False
    return math.isfinite(value)
