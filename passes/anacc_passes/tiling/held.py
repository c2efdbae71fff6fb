"""Which ONNX tensors the channels of a lowered module hold, for comparisons with the model."""

from __future__ import annotations

from anacc.ir.module import Held
from anacc_passes.integers import is_integer
from anacc_passes.tiling.border import describe
from anacc_passes.tiling.builder import Builder


def held_tensors(builder: Builder) -> tuple[Held, ...]:
    """The layer values that are ONNX tensors, in the order in which they were lowered.

    A value that only stands for a tensor, which may have another shape, is left out, and so are
    integers: they are codes of the model, not the real numbers that the chip's codes stand for.
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
    for value, tokens in builder.tokens.items():
        if value in source.stands_for or value[1:] not in source.types:
            continue
        if is_integer(builder.module, value):
            continue
        border = describe(builder, value, value[1:], tokens.layout)
        axis = builder.module.tensor(value).batch_axis
        found.append(
            Held(
                tensor=value[1:],
                shape=tuple(_integers(border["shape"])),
                batch_axis=axis,
                permutation=tuple(_integers(border["permutation"])),
                parts=dict(tokens.parts),
                scale=tokens.scale,
                factors=factors.get(value, ()),
            )
        )
    return tuple(found)


def _integers(value: object) -> list[int]:
    return [item for item in value if isinstance(item, int)] if isinstance(value, tuple) else []
