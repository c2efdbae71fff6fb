"""Which memory the operations of a group read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

from anacc.program.model import Format
from anacc_runtime.native.draft import Draft, DraftGroup, DraftLoop
from anacc_runtime.native.operations import (
    Fill,
    Gather,
    Operand,
    Operation,
    Scatter,
    TileCall,
    Vector,
)
from anacc_runtime.native.storage import ITEM, Storage


@dataclass(frozen=True)
class Access:
    """What one operand of an operation touches.

    Attributes:
        operand: the address.
        low, high: the bytes [address + low, address + high).
        written: whether they are written, else read.
        loops: the loops around the operation, outermost first.
    """

    operand: Operand
    low: int
    high: int
    written: bool
    loops: tuple[DraftLoop, ...]

    def reach(self) -> tuple[int, int]:
        """The bytes that all iterations of the loops touch, apart from what axes add."""
        spans = [
            stride * (loop.count - 1)
            for stride, loop in zip(self.operand.loops, self.loops, strict=True)
        ]
        low = self.operand.base + self.low + sum(min(span, 0) for span in spans)
        return low, self.operand.base + self.high + sum(max(span, 0) for span in spans)


def accesses(group: DraftGroup, draft: Draft) -> Iterator[Access]:
    """All accesses of a group in the order of its operations; constants are left out."""
    yield from _accesses(group.body, (), draft)


def _accesses(
    body: list[Operation | DraftLoop], loops: tuple[DraftLoop, ...], draft: Draft
) -> Iterator[Access]:
    for node in body:
        if isinstance(node, DraftLoop):
            yield from _accesses(node.body, (*loops, node), draft)
            continue
        for operand, low, high, written in _touched(node, draft):
            if operand.region >= 0:
                yield Access(operand, low, high, written, loops)


def _touched(operation: Operation, draft: Draft) -> Iterator[tuple[Operand, int, int, bool]]:
    match operation:
        case Gather(target, source, dims, element):
            yield source, *_window(dims, element), False
            yield target, 0, element * prod(count for count, _ in dims), True
        case Scatter(target, source, dims, element):
            yield source, 0, element * prod(count for count, _ in dims), False
            yield target, *_window(dims, element), True
        case Fill(target, size, _):
            yield target, 0, size, True
        case TileCall():
            tile = draft.tiles[operation.tile]
            columns = len(tile.scale)
            low = min(offset for offset, _ in tile.runs)
            yield operation.x, low, max(sum(run) for run in tile.runs), False
            for operand, (format, _) in zip(operation.addends, tile.addends, strict=True):
                yield operand, 0, columns * ITEM[format], False
            if operation.value is not None:
                yield operation.value, 0, columns * 2, True
            if operation.codes is not None:
                yield operation.codes, 0, columns, True
        case Vector():
            for number, operand in enumerate(operation.sources):
                yield operand, 0, _source_bytes(operation, number), False
            result = {"quantise": Format.INT8, "maximum": Format.INT8, "sum": Format.INT32}
            item = ITEM[result.get(operation.op, Format.BINARY16)]
            yield operation.target, 0, operation.length * item, True


def _source_bytes(operation: Vector, number: int) -> int:
    if operation.broadcast[number]:
        return 4
    item = ITEM[operation.format] if number == 0 else ITEM[Format.BINARY16]
    return operation.length * operation.vectors * item


def _window(dims: tuple[tuple[int, int], ...], element: int) -> tuple[int, int]:
    spans = [stride * (count - 1) for count, stride in dims]
    return sum(min(span, 0) for span in spans), element + sum(max(span, 0) for span in spans)


def slotted(access: Access, storage: Storage, axes: tuple[int, ...]) -> bool:
    """Whether each position of a group touches its own of equal parts of a storage, the parts
    lying in the order of the positions."""
    slot, rest = divmod(storage.size, prod(axes))
    low, high = access.reach()
    return (
        access.operand.table is None
        and rest == 0
        and access.operand.axes == dense(axes, slot)
        and 0 <= low <= high <= slot
    )


def dense(axes: tuple[int, ...], step: int) -> tuple[int, ...]:
    """The strides of a row-major array with elements of `step` bytes."""
    strides = []
    for count in reversed(axes):
        # The stride of an axis of length 1 moves nothing.
        strides.append(step if count > 1 else 0)
        step *= count
    return tuple(reversed(strides))


def rewrite(
    body: list[Operation | DraftLoop],
    change: Callable[[Operand], Operand],
) -> None:
    """Replace each operand of a body."""
    for position, node in enumerate(body):
        if isinstance(node, DraftLoop):
            rewrite(node.body, change)
        else:
            body[position] = _rewritten(node, change)


def _rewritten(operation: Operation, change: Callable[[Operand], Operand]) -> Operation:
    match operation:
        case Gather(target, source) | Scatter(target, source):
            return replace(operation, target=change(target), source=change(source))
        case Fill(target):
            return replace(operation, target=change(target))
        case TileCall():
            return replace(
                operation,
                x=change(operation.x),
                addends=tuple(map(change, operation.addends)),
                value=None if operation.value is None else change(operation.value),
                codes=None if operation.codes is None else change(operation.codes),
            )
        case Vector():
            sources = tuple(map(change, operation.sources))
            return replace(operation, target=change(operation.target), sources=sources)
