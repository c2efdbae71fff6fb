"""Data movements in a row as one: where the elements of a value are in the buffer of another one.

A reshape, transpose, slice or expand of a value whose elements lie in a buffer at affine addresses
gives a value whose elements lie there, too.  So a chain of them needs one stream of the bridge, as
long as the addresses stay affine: a reshape may join axes that do not follow on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from anacc.ir import Module, Op
from anacc_passes.rewrite import only_consumer
from anacc_passes.tiling.layout import row_major, sample_dims

_VIEWS = ("reshape", "transpose", "slice", "expand")


@dataclass(frozen=True)
class View:
    """The elements of one sample of a value, in a buffer.

    Attributes:
        base: address of the first element.
        dims: shape of one sample.
        strides: address step along each axis.
    """

    base: int
    dims: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def whole(cls, module: Module, name: str) -> View:
        """A value in a buffer of its own."""
        dims = sample_dims(module.tensor(name))
        return cls(0, dims, row_major(dims))

    def reshaped(self, dims: tuple[int, ...]) -> View | None:
        """The same elements in another shape, None if their addresses are not affine then."""
        runs = self._runs()
        left, step = 1, 0
        strides = []
        for size in dims:
            if size == 1:
                strides.append(0)
                continue
            if left == 1:
                left, step = runs.pop(0)
            if left % size:
                return None
            left //= size
            strides.append(step * left)
        return View(self.base, dims, tuple(strides))

    def _runs(self) -> list[tuple[int, int]]:
        """(count, stride) of the walk over all elements, axes that chain merged."""
        runs: list[tuple[int, int]] = []
        for count, stride in zip(self.dims, self.strides, strict=True):
            if count == 1:
                continue
            if runs and runs[-1][1] == count * stride:
                runs[-1] = (runs[-1][0] * count, stride)
            else:
                runs.append((count, stride))
        return runs

    def after(self, module: Module, op: Op) -> View | None:
        """The result of an op on this value, None if its addresses are not affine."""
        kind = module.tensor(op.operands[0])
        target = sample_dims(module.tensor(op.results[0]))
        batch = kind.batch_axis
        if op.kind == "reshape":
            return self.reshaped(target)
        if op.kind == "transpose":
            kept = [old for old in op.integers("permutation") if old != batch]
            axes = [old - (batch is not None and old > batch) for old in kept] or [0]
            return View(self.base, target, tuple(self.strides[axis] for axis in axes))
        if op.kind == "slice":
            rank = len(kind.shape or ())
            starts, steps = (
                [op.integers(name)[axis] for axis in range(rank) if axis != batch] or [0]
                for name in ("starts", "steps")
            )
            base = sum(start * s for start, s in zip(starts, self.strides, strict=True))
            moved = tuple(step * s for step, s in zip(steps, self.strides, strict=True))
            return View(self.base + base, target, moved)
        if op.kind != "expand":
            return None
        aligned = (0,) * (len(target) - len(self.dims)) + tuple(
            0 if size == 1 else s for size, s in zip(self.dims, self.strides, strict=True)
        )
        return View(self.base, target, aligned)


@dataclass(frozen=True)
class Chain:
    """Movements in a row that one stream of the bridge carries out.

    Attributes:
        source: the value that they start from.
        view: the last value, in a buffer that holds `source`.
        origins: ONNX nodes of all of them.
    """

    source: str
    view: View
    origins: tuple[str, ...]


def chains(module: Module) -> tuple[dict[str, Chain], frozenset[str]]:
    """How each movement of one operand is carried out, by its result, and the values in between
    that are never made, because nothing but the next movement of a chain reads them."""
    readers = module.consumers()
    found: dict[str, Chain] = {}
    between: set[str] = set()
    for op in module.ops:
        if op.kind not in _VIEWS:
            continue
        operand = op.operands[0]
        before = found.get(operand)
        if before is not None and only_consumer(module, readers, operand) is op:
            view = before.view.after(module, op)
            if view is not None:
                origins = tuple(dict.fromkeys((*before.origins, *op.origins)))
                found[op.results[0]] = Chain(before.source, view, origins)
                between.add(operand)
                continue
        view = View.whole(module, operand).after(module, op)
        if view is not None:
            found[op.results[0]] = Chain(operand, view, op.origins)
    return found, frozenset(between)
