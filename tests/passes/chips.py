"""Chip-level modules and targets that tests make by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anacc.ir import Channel, Level, Module, Op, Value, verify
from anacc.targets import Target, load_target, target_from_data, target_to_data

LSTM_FUNCTIONS = tuple(
    (gate, "tanh" if gate in ("candidate", "state") else "sigmoid", 0.0, 0.0)
    for gate in ("input", "output", "forget", "candidate", "state")
)
BORDER = {"name": "x", "dtype": "float32", "shape": (-1,), "batch_axis": 0, "permutation": ()}


def target(**changes: Any) -> Target:
    """HERMES with other values: `grid__rows=2` sets `grid.rows`."""
    data = target_to_data(load_target("hermes"))
    if changes.get("gdpu__wiring") != "any":
        # Each GDPU needs a column.
        changes = {"gdpu__count": min(8, changes.get("grid__columns", 8)), **changes}
    for key, value in changes.items():
        section, name = key.split("__")
        data[section][name]["value"] = value
    return target_from_data(data)


def extended(segments: int = 1024, **changes: Any) -> Target:
    """HERMES with general tables of some segments, and other values as in `target`."""
    figures = target_to_data(load_target("hermes-ext"))["gdpu"]
    figures["function_table"]["segments"]["value"] = segments
    data = target_to_data(target(**changes))
    data["gdpu"] |= {name: figures[name] for name in ("functions", "function_table")}
    return target_from_data(data)


@dataclass
class Chip:
    """A module under construction; every value is `%` and a number in the order of definition."""

    ops: list[Op] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def value(self, size: int, form: str = "f16", tokens: int = 1) -> str:
        name = f"%{len(self.values)}"
        self.values[name] = Value(name, Channel(form, size, tokens))
        return name

    def constant(self, *shape: int, dtype: str = "float16") -> str:
        name = f"@{len(self.constants)}"
        self.constants[name] = np.ones(shape, dtype)
        return name

    def emit(
        self, kind: str, operands: Sequence[str], results: Sequence[str], **attributes: Any
    ) -> None:
        self.ops.append(Op(kind, tuple(operands), tuple(results), attributes, (f"{kind} node",)))

    def input(self, size: int, tokens: int = 1) -> str:
        name = self.value(size, "i8", tokens)
        self.emit("input", (), (name,), **BORDER)
        return name

    def output(self, name: str) -> None:
        self.emit("output", (name,), (), **BORDER)

    def tile(
        self,
        inputs: Sequence[str],
        columns: int,
        *,
        partial: str = "",
        residual: str = "",
        layer: str = "layer",
        rows: tuple[int, int] | None = None,
        at: tuple[int, int] | None = None,
        form: str = "f16",
        recurrent: bool = False,
    ) -> str:
        """A tile; `rows` and `at` are its rows and columns of the layer's matrix.  Its result."""
        kinds = [self.values[name].type for name in inputs]
        channels = [kind for kind in kinds if isinstance(kind, Channel)]
        height, tokens = sum(kind.token_size for kind in channels), channels[0].tokens - recurrent
        result = self.value(columns, form, tokens)
        self.emit(
            "tile",
            (
                self.constant(height, columns, dtype="int8"),
                self.constant(columns),
                "" if partial else self.constant(columns),
                partial,
                residual,
                *inputs,
            ),
            (result, "") if form == "i8" else ("", result),
            layer=layer,
            weight_rows=rows or (0, height),
            weight_columns=at or (0, columns),
            cells=height * columns,
            phases=4,
            multiplier=1,
            shift=0,
            maximum=854,
            residual_scale=0.0,
            activation="none",
            low=0.0,
            high=0.0,
            gain=1.0,
            recurrent=recurrent,
        )
        return result

    def chain(self, heights: Sequence[int], columns: int, **options: Any) -> str:
        """Row tiles that pass partial sums on, each with an input of its own; the last result."""
        partial, first = "", 0
        for height in heights:
            partial = self.tile(
                [self.input(height)],
                columns,
                partial=partial,
                rows=(first, first + height),
                **options,
            )
            first += height
        return partial

    def pointwise(self, left: str, right: str = "", function: str = "tanh") -> str:
        kind = self.values[left].type
        assert isinstance(kind, Channel)
        result = self.value(kind.token_size, "f16", kind.tokens)
        self.emit(
            "pointwise",
            (self.constant(1, 1), self.constant(1, 1), left, right),
            ("", result),
            function=function,
            right_scale=1.0,
            out_scale=1.0,
            low=0.0,
            high=0.0,
        )
        return result

    def regroup(self, parts: Sequence[str], sizes: Sequence[int]) -> list[str]:
        kind = self.values[parts[0]].type
        assert isinstance(kind, Channel)
        results = [self.value(size, kind.format, kind.tokens) for size in sizes]
        self.emit("regroup", parts, results)
        return results

    def lstm(
        self, chunks: Sequence[int], input_heights: Sequence[int], steps: int = 5
    ) -> list[str]:
        """An LSTM with hidden units in chunks; the hidden state has a row tile.  Its codes."""
        inputs = [self.input(height, steps) for height in input_heights]
        feedback = [self.value(units, "i8", steps + 1) for units in chunks]
        outputs = []
        features, first = sum(input_heights), 0
        for units, own in zip(chunks, feedback, strict=True):
            partial, top, at = "", 0, (4 * first, 4 * (first + units))
            for name, height in zip(inputs, input_heights, strict=True):
                partial = self.tile(
                    [name], 4 * units, partial=partial, rows=(top, top + height), at=at
                )
                top += height
            rows = (features, features + sum(chunks))
            gates = self.tile(
                feedback, 4 * units, partial=partial, rows=rows, at=at, recurrent=True
            )
            y = self.value(units, "i8", steps)
            self.emit(
                "lstm_cell",
                (gates, "", "", ""),
                (own, y),
                units=units,
                steps=steps,
                gates=(("input", "candidate", "forget", "output"),),
                functions=LSTM_FUNCTIONS,
                h_unit=127.0,
                h_scale=0.0,
                c_scale=0.0,
                last_c_scale=1.0,
            )
            outputs.append(y)
            first += units
        return outputs

    def module(self) -> Module:
        """The module, verified."""
        values = {name: value for op in self.ops for name in op.results if name
                  for value in [self.values[name]]}  # fmt: skip
        module = Module(Level.CHIP, "test", None, (), (), values, self.constants, tuple(self.ops))
        verify(module)
        return module
