"""Shape rules of the chip vocabulary: what channels and attributes of an op must agree on.

Every rule raises ValueError with the reason if they do not.  A result of None: any type.
"""

from __future__ import annotations

import math
from typing import Any

from anacc.ir.module import Channel, Module, Op, Type


def channel(module: Module, name: str) -> Channel:
    """The type of a chip-level value.

    Raises:
        ValueError: if it is not a channel.
    """
    found = module.type_of(name)
    if not isinstance(found, Channel):
        raise ValueError(f"{name} is not a channel")
    return found


def values_of(module: Module, name: str) -> int:
    """Values of a channel per sample."""
    kind = channel(module, name)
    return kind.tokens * kind.token_size


def infer_regroup(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Operands and results are the same tokens, cut otherwise."""
    parts = [channel(module, name) for name in op.operands]
    results = [channel(module, name) for name in op.results]
    if len({(part.format, part.tokens) for part in parts + results}) != 1:
        raise ValueError("all parts need one format and one token count")
    if sum(part.token_size for part in parts) != sum(part.token_size for part in results):
        raise ValueError("the token sizes of operands and results must add up to the same")
    return tuple(results)


def infer_gather(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Nests fit their channels, and all addresses lie in the buffer."""
    size, window = op.integer("size"), op.integer("window")
    stores = op.nested("stores")
    parts = [channel(module, name) for name in op.operands[1:]]
    results = [channel(module, name) for name in op.results]
    if not parts or not results or len(stores) != len(parts):
        raise ValueError("it needs operands, a store nest for each, and results")
    for nest, part in zip(stores, parts, strict=True):
        if _check_nest(nest, size) != (part.tokens, part.token_size):
            raise ValueError("a store nest does not fit the tokens of its operand")
    tokens, length = _check_nest(op.nested("load"), size)
    for form in {result.format for result in results}:
        width = sum(result.token_size for result in results if result.format == form)
        if width * window != length:
            raise ValueError(f"the load nest reads {length} elements for {width} in the results")
    if {result.tokens for result in results} != {tokens}:
        raise ValueError(f"the load nest reads {tokens} tokens")
    return tuple(results)


def _check_nest(nest: Any, size: int) -> tuple[int, int]:
    """Tokens and elements of a token of a nest; its addresses lie in [0, size)."""
    counts, base, strides, dims = nest
    if len(counts) != len(strides):
        raise ValueError("a nest needs a stride for each loop")
    lowest = highest = base
    for count, stride in (*zip(counts, strides, strict=True), *dims):
        reach = (count - 1) * stride
        lowest, highest = lowest + min(reach, 0), highest + max(reach, 0)
    if lowest < 0 or highest >= size:
        raise ValueError(f"addresses {lowest} to {highest} leave a buffer of {size} elements")
    return math.prod(counts), math.prod(count for count, _ in dims)


def infer_merge(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Each copy has the parts of the result, and the tokens of its rounds."""
    counts, ways = op.integers("counts"), op.integers("ways")
    results = [channel(module, name) for name in op.results]
    if len(counts) != len(ways) or not all(1 <= r <= n for n, r in zip(counts, ways, strict=True)):
        raise ValueError("each loop needs copies, no more than it has rounds")
    if not results or {result.tokens for result in results} != {math.prod(counts)}:
        raise ValueError(f"the results need {math.prod(counts)} tokens")
    shares = split_tokens(counts, ways)
    if len(op.operands) != len(shares) * len(results):
        raise ValueError(f"it needs {len(results)} operands for each of {len(shares)} copies")
    for position, name in enumerate(op.operands):
        part, result = channel(module, name), results[position % len(results)]
        tokens = shares[position // len(results)]
        if (part.format, part.token_size, part.tokens) != (
            result.format,
            result.token_size,
            tokens,
        ):
            raise ValueError(f"{name} needs {tokens} tokens like those of its result")
    return tuple(results)


def split_tokens(counts: tuple[int, ...], ways: tuple[int, ...]) -> list[int]:
    """Positions of each copy, the last loop's copies first: rounds i, i + r, ... of a loop with r
    copies are those of copy i."""
    found = [1]
    for count, copies_along in zip(counts, ways, strict=True):
        shares = [-(-(count - first) // copies_along) for first in range(copies_along)]
        found = [before * share for before in found for share in shares]
    return found


def replica(op: Op) -> int:
    """Which copy of its layer a tile is part of."""
    return op.integer("replica") if "replica" in op.attributes else 0


def block(op: Op) -> tuple[object, ...]:
    """What tells the weight block of a tile: copies of a layer install the same one."""
    region = op.attributes["weight_rows"], op.attributes["weight_columns"]
    return op.operands[0], op.text("layer"), *region


def copies(op: Op) -> int:
    """How often a tile holds its rows."""
    return op.integer("copies") if "copies" in op.attributes else 1


def infer_tile(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Inputs fill the rows; all that meets the columns has their number."""
    rows, columns = module.tensor(op.operands[0]).dims
    inputs = [channel(module, name) for name in op.operands[5:]]
    if sum(part.token_size for part in inputs) * copies(op) != rows:
        raise ValueError(f"the inputs must fill the {rows} rows of the tile")
    for name in (op.operands[1], op.operands[2]):
        if name and module.tensor(name).dims != (columns,):
            raise ValueError("scale and offset need one element for each column")
    tokens = inputs[0].tokens
    if op.attributes["recurrent"] is True:
        tokens = next(channel(module, name).tokens for name in op.results if name)
        if any(part.tokens - tokens not in (0, 1) for part in inputs):
            raise ValueError(f"inputs have {tokens} tokens, or one more")
    for name in op.operands[3:5] + op.results:
        if name and channel(module, name).token_size != columns:
            raise ValueError(f"partial sum, residual and results have {columns} elements")
        if name and channel(module, name).tokens != tokens:
            raise ValueError(f"partial sum, residual and results have {tokens} tokens")
    return _formats(module, op.results)


def infer_pointwise(module: Module, op: Op) -> tuple[Type | None, ...]:
    """Operands and results have the same tokens; a table has its samples and its range."""
    left = channel(module, op.operands[2])
    is_table = op.attributes["function"] == "table"
    if is_table != (len(op.operands) > 4 and op.operands[4] != ""):
        raise ValueError("samples belong to the function `table`, and it needs them")
    if is_table and not (op.number("limit") > 0 and len(module.constants[op.operands[4]]) >= 2):
        raise ValueError("a table needs two samples and a range")
    for name in (*op.operands[3:4], *op.results):
        if name:
            kind = channel(module, name)
            if (kind.tokens, kind.token_size) != (left.tokens, left.token_size):
                raise ValueError("operands and results need the same tokens")
    return _formats(module, op.results)


def infer_lstm_cell(module: Module, op: Op) -> tuple[Type | None, ...]:
    """See `_check_cell`; peepholes of three gates."""
    units = op.integer("units")
    operands = (*op.operands, "", "")
    _check_cell(module, op, states=operands[1:3], blocks=(op.operands[0], *op.operands[4:]))
    if operands[3] and module.tensor(operands[3]).dims != (3, units):
        raise ValueError(f"peepholes need the shape {(3, units)}")
    return (None,) * len(op.results)


def infer_gru_cell(module: Module, op: Op) -> tuple[Type | None, ...]:
    """See `_check_cell`; what is reset leaves once a step."""
    _check_cell(module, op, states=op.operands[1:2], blocks=(op.operands[0], *op.operands[2:]))
    return (None,) * len(op.results)


def infer_rnn_cell(module: Module, op: Op) -> tuple[Type | None, ...]:
    """See `_check_cell`."""
    _check_cell(module, op, states=op.operands[1:2], blocks=op.operands[:1])
    return (None,) * len(op.results)


def _check_cell(module: Module, op: Op, states: tuple[str, ...], blocks: tuple[str, ...]) -> None:
    """Blocks are as wide as their gates; states have one token, the feedback one more than the
    steps."""
    units, steps, gates = op.integer("units"), op.integer("steps"), op.nested("gates")
    if len(gates) != len(blocks):
        raise ValueError("it needs a channel for each block of gates")
    wanted = [(name, len(block) * units, steps) for name, block in zip(blocks, gates, strict=True)]
    wanted.append((op.results[0], units, steps + 1))
    wanted += [(name, units, steps) for name in op.results[1:3]]
    wanted += [(name, units, 1) for name in op.results[3:5]]
    wanted += [(name, units, steps if op.kind == "gru_cell" else 1) for name in op.results[5:]]
    wanted += [(name, units, 1) for name in states if name.startswith("%")]
    for name, size, tokens in wanted:
        if name:
            kind = channel(module, name)
            if (kind.token_size, kind.tokens) != (size, tokens):
                raise ValueError(f"{name} needs {tokens} tokens of {size} elements")


def _formats(module: Module, results: tuple[str, ...]) -> tuple[Type | None, ...]:
    """Results stand in the order codes, values; at least one is there."""
    if not any(results):
        raise ValueError("it has no result")
    for name, form in zip(results, ("i8", "f16"), strict=True):
        if name and channel(module, name).format != form:
            raise ValueError(f"{name} must have the format {form}")
    return (None,) * len(results)
