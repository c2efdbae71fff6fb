"""Bytes of one sample that cross each border of host and chip, as the report shows them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anacc.frontend import SourceModel
from anacc.ir import Module
from anacc.ir.chip_rules import channel

_BYTES = {"i8": 1, "f16": 2}


def border_traffic(module: Module) -> list[dict[str, Any]]:
    """One entry for each tensor that an input, output or segment of the host gives or takes.

    - `tensor`: ONNX name; `at`: `input`, `output`, `segment in` or `segment out`; `segment`: its
      number.
    - `format`: `i8` codes, `f16` binary16 values, or `tensor`: whole, in the type of the model.
    - `bytes` of one sample, None where the shape is unknown; `crosses`: whether they cross to or
      from the chip, False where one part of the host gives them to another, or where an entry
      before this one is the same transfer to another reader.
    """
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    segment = 0
    for op in module.ops:
        if op.kind in ("input", "output"):
            borders = [dict(op.attributes)] * len((*op.operands, *op.results))
            places = [op.kind] * len(borders)
        elif op.kind == "host":
            borders = [dict(border) for border in op.nested("borders")]
            places = ["segment in"] * len(op.operands) + ["segment out"] * len(op.results)
        else:
            continue
        for name, border, place in zip((*op.operands, *op.results), borders, places, strict=True):
            form = channel(module, name).format
            entries.append(
                {
                    "tensor": border["name"],
                    "at": place,
                    "segment": segment if op.kind == "host" else None,
                    "format": form,
                    "bytes": _bytes(module, name, border),
                    "crosses": form != "tensor" and name not in seen,
                }
            )
            seen.add(name)
        segment += op.kind == "host"
    return entries


def _bytes(module: Module, name: str, border: dict[str, Any]) -> int | None:
    """Bytes of one sample of a channel."""
    kind = channel(module, name)
    if kind.format in _BYTES:
        return kind.token_size * kind.tokens * _BYTES[kind.format]
    source = module.source
    if isinstance(source, SourceModel):
        tensor = source.types.get(name[1:].removesuffix(".tensor"))
        if tensor is not None and tensor.shape is None:
            return None
    try:
        element = np.dtype(border["dtype"])
    except TypeError:
        return None
    if element.hasobject or element.itemsize == 0:  # texts have no fixed size
        return None
    axis = border["batch_axis"]
    dims = [int(dim) for i, dim in enumerate(border["shape"]) if i != axis]
    return math.prod(dims) * int(element.itemsize)
