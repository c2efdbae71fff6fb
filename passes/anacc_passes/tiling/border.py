"""The border to the host: model inputs and outputs, and segments that ONNX Runtime runs."""

from __future__ import annotations

from anacc.errors import CompileError
from anacc.ir import Op
from anacc.ir.module import AttributeValue
from anacc_passes.tiling.builder import Builder, Tokens
from anacc_passes.tiling.layout import Layout


def describe(
    builder: Builder, value: str, name: str, layout: Layout | None
) -> dict[str, AttributeValue]:
    """The border attributes of a layer value (see the chip op `input`).

    Args:
        builder: the module under construction.
        value: the layer value.
        name: the ONNX tensor.
        layout: order of its elements in the channel; None for a whole tensor.
    """
    kind = builder.module.tensor(value)
    axis = kind.batch_axis
    shape = tuple(-1 if isinstance(dim, str) else dim for dim in kind.shape or ())
    rank = len(shape) - (axis is not None)
    permutation = layout.permutation if layout is not None and rank else tuple(range(rank))
    described: dict[str, AttributeValue] = {
        "name": name,
        "dtype": kind.dtype,
        "shape": shape,
        "batch_axis": -1 if axis is None else axis,
        "permutation": permutation,
    }
    if value in builder.grids and layout is not None:
        described["lsb"], described["zero"] = builder.grids[value]
    return described


def enter(
    builder: Builder, value: str, forms: frozenset[str], whole: bool
) -> list[tuple[str, dict[str, AttributeValue]]]:
    """Make the channels by which a host value enters the chip (and, whole, other host segments).

    Returns:
        Each new channel with its border.

    Raises:
        CompileError: if the chip needs a value whose batch or shape is unknown to it.
    """
    made: list[tuple[str, dict[str, AttributeValue]]] = []
    name = value[1:]
    if whole:
        channel = builder.channel(f"{value}.tensor", "tensor", 0, 1)
        builder.tensors[value] = channel
        made.append((channel, describe(builder, value, name, None)))
    if not forms:
        return made
    layout = builder.layouts.get(value)
    kind = builder.module.tensor(value)
    if layout is None or (builder.module.batch is None and kind.batch_axis is None):
        raise CompileError(
            f"tensor `{name}` enters the chip, but its shape is unknown or does not hold the batch",
            "bind the batch with --shape NAME=SIZE",
        )
    reader = builder.readers.get(value)
    held = value if reader is None else reader.results[0]
    scale, zero = builder.scale(held), builder.zero(held)
    if reader is not None:
        lsb = reader.number("scale")
        builder.grids[value] = (lsb, reader.integer("zero") - round(zero * scale / lsb))
    parts: dict[str, tuple[str, ...]] = {}
    for form in sorted(forms):
        channel = builder.channel(f"{value}.{form}", form, layout.token_size, layout.tokens, scale)
        parts[form] = (channel,)
        made.append((channel, describe(builder, value, name, layout)))
    builder.tokens[value] = Tokens(layout, parts, scale, zero)
    return made


def leave(builder: Builder, value: str, origins: tuple[str, ...]) -> tuple[str, Layout | None]:
    """The one channel by which a value leaves for the host, and the order of its elements (None: a
    whole tensor).  Binary16 values are preferred to codes."""
    if value in builder.tensors:
        return builder.tensors[value], None
    found = builder.tokens[value]
    form = found.finest
    joined = builder.regroup(found.parts[form], (found.layout.token_size,), origins)
    return joined[0], found.layout


def lower_border(builder: Builder, op: Op, forms: frozenset[str]) -> Tokens:
    """Lower quantise or dequantise: the border converts; on the chip, the tokens are the same."""
    if op.kind == "quantise":
        builder.grids[op.results[0]] = (op.number("scale"), op.integer("zero"))
    return builder.tokens[op.operands[0]]


def lower_host(
    builder: Builder, op: Op, demanded: dict[str, frozenset[str]], whole: dict[str, bool]
) -> None:
    """Lower a host op: its borders stand in the order operands, then results."""
    operands: list[str] = []
    borders: list[AttributeValue] = []
    for operand in op.operands:
        channel, layout = leave(builder, operand, op.origins)
        operands.append(channel)
        borders.append(_pairs(describe(builder, operand, operand[1:], layout)))
    results: list[str] = []
    for result in op.results:
        if not result:
            continue
        for channel, border in enter(builder, result, demanded[result], whole[result]):
            results.append(channel)
            borders.append(_pairs(border))
    builder.emit(
        "host",
        operands,
        results,
        op.origins,
        borders=tuple(borders),
        **{"products": 0, **op.attributes},
    )


def _pairs(border: dict[str, AttributeValue]) -> AttributeValue:
    """A border as nested tuples, sorted by key, for an attribute."""
    return tuple((key, border[key]) for key in sorted(border))
