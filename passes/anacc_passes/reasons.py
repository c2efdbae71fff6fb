"""Why nodes are on the host: what `host` ops say of each of them."""

from __future__ import annotations

from dataclasses import replace

from anacc.ir import Op

Why = tuple[str, str]
"""Why a node is on the host, and what the user can do; "" where there is no hint."""

MOVED: Why = (
    "its neighbours run on the host: on the chip, it would only move data over the border",
    "nothing to do: it follows its neighbours as soon as they run on the chip",
)
LONE: Why = (
    "no convolution, product or recurrent layer is near it: on the chip, it would only cross the "
    "border",
    "nothing to do: the chip saves work only around products with constant weights",
)
CONSEQUENCES = (MOVED, LONE)
"""Reasons of nodes that the chip could run, if it were not for others."""


def host_reasons(op: Op) -> dict[str, Why]:
    """Reason and hint for each ONNX node of a `host` op, in the order of the graph."""
    names, reasons = op.nested("nodes"), op.nested("reasons")
    hints = op.nested("hints") or ("",) * len(names)
    return {n: (r, h) for n, r, h in zip(names, reasons, hints, strict=True)}


def on_host(op: Op, why: Why) -> Op:
    """The `host` op that takes the place of an op: the host runs all nodes that it came from."""
    reason, hint = why
    count = len(op.origins)
    return replace(
        op,
        kind="host",
        operands=tuple(name for name in op.operands if name.startswith("%")),
        attributes={"nodes": op.origins, "reasons": (reason,) * count, "hints": (hint,) * count},
    )
