"""Which ONNX tensors the channels of a lowered module hold, for comparisons with the model."""

from __future__ import annotations

from anacc.ir.module import Held
from anacc_passes.integers import is_integer
from anacc_passes.tiling.border import describe
from anacc_passes.tiling.builder import Builder


def held_tensors(builder: Builder) -> tuple[Held, ...]:
    """The layer values that are ONNX tensors, in the order in which they were lowered.

    Integers of a quantised model are held as the real numbers that they stand for.  Any other value
    that only stands for a tensor, which may have another shape, is left out.
    """
    source = builder.module.source
    if source is None:
        return ()
    factors = {
        op.operands[0]: tuple(builder.module.constants[op.operands[5]].tolist())
        for op in builder.module.ops
        if op.kind == "crossbar" and op.operands[5:] and op.operands[5]
    }
    found = []
    names: set[str] = set()
    for value, tokens in builder.tokens.items():
        tensor = source.stands_for.get(value, value[1:])
        if value in source.stands_for and value not in source.integers:
            continue
        if tensor not in source.types or is_integer(builder.module, value) or tensor in names:
            continue
        names.add(tensor)
        border = describe(builder, value, value[1:], tokens.layout)
        axis = builder.module.tensor(value).batch_axis
        found.append(
            Held(
                tensor=tensor,
                shape=tuple(_integers(border["shape"])),
                batch_axis=axis,
                permutation=tuple(_integers(border["permutation"])),
                parts=dict(tokens.parts),
                scale=tokens.scale,
                zero=tokens.zero,
                factors=factors.get(value, ()),
                grid=source.integers.get(value),
            )
        )
    return tuple(found)


def _integers(value: object) -> list[int]:
    return [item for item in value if isinstance(item, int)] if isinstance(value, tuple) else []
