"""A bridge stream, iteration by iteration: what the buffer really holds when it is read.

Unlike the executors, which may store everything first, this takes nothing for granted: an element
may not be read before it is stored, and not be stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.program.model import Access, Const, Instr, Loop, Node, Slice, Stream

Array = npt.NDArray[Any]


class Simulator:
    """Runs one stream on the tokens of its channels, in real arithmetic.

    Attributes:
        sent: tokens of each channel that the stream writes, in order.
        steps: `recv` or `send` for each token that it took or wrote, in order.
    """

    def __init__(self, stream: Stream, tokens: Mapping[int, Array], constants: Array) -> None:
        assert stream.buffer is not None
        self.waiting = {channel: list(array) for channel, array in tokens.items()}
        self.constants = constants
        self.sent: dict[int, list[Array]] = {}
        self.steps: list[str] = []
        self.registers = [np.zeros(register.length) for register in stream.registers]
        self.buffer = np.full(stream.buffer.size, float(stream.buffer.fill))
        self.stored = np.zeros(stream.buffer.size, bool)
        self.read = np.zeros(stream.buffer.size, bool)
        self._body(stream.body, ())
        assert not any(self.waiting.values()), "a token was never taken"

    def _body(self, body: tuple[Node, ...], indices: tuple[int, ...]) -> None:
        for node in body:
            if isinstance(node, Loop):
                for index in range(node.count):
                    self._body(node.body, (*indices, index))
            else:
                self._step(node, indices)

    def _step(self, instr: Instr, indices: tuple[int, ...]) -> None:
        if instr.op in ("recv", "send"):
            self.steps.append(instr.op)
        match instr.op, instr.operands:
            case "recv", (Slice() as slot, int() as channel):
                self._write(slot, self.waiting[channel].pop(0))
            case "send", (int() as channel, Slice() as source):
                self.sent.setdefault(channel, []).append(self._value(source).copy())
            case "store", (Access() as access, Slice() as source):
                places = self._places(access, indices)
                assert not self.stored[places].any(), "stored twice"
                assert not self.read[places].any(), "read before it was stored"
                self.buffer[places], self.stored[places] = self._value(source), True
            case "load", (Slice() as slot, Access() as access):
                places = self._places(access, indices)
                self.read[places] = True
                self._write(slot, self.buffer[places])
            case "maximum" | "sum", (Slice() as slot, Slice() as source):
                window = self._value(source).reshape(-1, slot.length)
                self._write(slot, window.max(0) if instr.op == "maximum" else window.sum(0))
            case "average", (Slice() as slot, Slice() as source, Const() as factor):
                assert len(factor.strides) == len(indices) and factor.length == 1
                place = factor.base + int(np.dot(factor.strides, indices))
                self._write(slot, self._value(source) * self.constants[place])
            case "quantise", (Slice() as slot, Slice() as source):
                self._write(slot, self._value(source))
            case _:
                raise NotImplementedError(instr.op)

    def _places(self, access: Access, indices: tuple[int, ...]) -> Array:
        assert len(access.strides) == len(indices)
        places = np.asarray(access.base + int(np.dot(access.strides, indices)))
        for count, stride in access.dims:
            places = np.add.outer(places, np.arange(count) * stride)
        assert places.min() >= 0 and places.max() < len(self.buffer)
        return places.reshape(-1)

    def _value(self, source: Slice) -> Array:
        return self.registers[source.register][source.offset : source.offset + source.length]

    def _write(self, slot: Slice, value: Array) -> None:
        self._value(slot)[:] = value
