"""The layers of transformers, on (N, tokens, width), as PyTorch exports them to ONNX."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from bench.shapes.builder import BIAS_DEVIATION, Builder, Value


class TransformerBuilder(Builder):
    """A builder with the layers of transformers.

    Args:
        name: of the network.
        tokens: length of the sequence.
        width: numbers of a token.
        heads: of an attention.
    """

    def __init__(self, name: str, tokens: int, width: int, heads: int) -> None:
        super().__init__(name)
        self._tokens, self._width, self._heads = tokens, width, heads
        self._split = self.constant("split_heads", np.array([0, tokens, heads, width // heads]))
        self._join = self.constant("join_heads", np.array([0, tokens, width]))
        self._root = self.constant("root", np.float32(math.sqrt(width // heads)))
        self._half = self.constant("half", np.float32(0.5))
        self._one = self.constant("one", np.float32(1))

    def tokens(self, name: str) -> Value:
        """An input of embedded tokens."""
        return self.input(name, ["N", self._tokens, self._width], axis=2)

    def product(self, name: str, x: Value, features: int, *, bias: bool = True) -> Value:
        """A dense layer behind each token."""
        deviation = math.sqrt(1 / x.channels)
        weight = self.parameter(f"{name}.weight", (x.channels, features), deviation)
        y = self.node("MatMul", f"{name}.product" if bias else name, [x, weight], features)
        if not bias:
            return y
        # PyTorch exports the bias as the first operand.
        offset = self.parameter(f"{name}.bias", (features,), BIAS_DEVIATION)
        return self.node("Add", name, [offset, y], features)

    def layer_norm(self, name: str, x: Value, epsilon: float) -> Value:
        """A layer normalisation of each token."""
        scale = self.parameter(f"{name}.scale", (x.channels,), 0.1, mean=1.0)
        bias = self.parameter(f"{name}.bias", (x.channels,), 0.1)
        operands = [x.name, scale, bias]
        return self.node("LayerNormalization", name, operands, x.channels, axis=-1, epsilon=epsilon)

    def attention(
        self, name: str, query: Value, key: Value, value: Value, mask: str | None = None
    ) -> Value:
        """Attention of all heads, before the projection; `mask` is added to the scores."""
        query = self._heads_of(f"{name}.query_heads", query, [0, 2, 1, 3])
        key = self._heads_of(f"{name}.key_heads", key, [0, 2, 3, 1])
        value = self._heads_of(f"{name}.value_heads", value, [0, 2, 1, 3])
        scores = self.node("MatMul", f"{name}.scores", [query, key], self._tokens)
        scores = self.node("Div", f"{name}.scaled", [scores, self._root], self._tokens)
        if mask is not None:
            scores = self.node("Add", f"{name}.masked", [scores, mask], self._tokens)
        weights = self.node("Softmax", f"{name}.weights", [scores], self._tokens, axis=-1)
        context = self.node("MatMul", f"{name}.context", [weights, value], value.channels)
        context = self.node(
            "Transpose", f"{name}.by_token", [context], value.channels, perm=[0, 2, 1, 3]
        )
        return self.node("Reshape", name, [context, self._join], self._width)

    def split(self, name: str, x: Value, parts: int) -> list[Value]:
        """A tensor cut into equal parts along its last axis."""
        channels = x.channels // parts
        outputs = [f"{name}.{index}" for index in range(parts)]
        self._nodes.append(
            helper.make_node("Split", [x.name], outputs, name=f"{name}.split", axis=-1)
        )
        return [Value(output, channels) for output in outputs]

    def _heads_of(self, name: str, x: Value, order: list[int]) -> Value:
        """A tensor cut into heads, its axes (N, tokens, heads, numbers) put in this order."""
        split = self.node("Reshape", f"{name}.split", [x, self._split], x.channels)
        return self.node("Transpose", name, [split], x.channels // self._heads, perm=order)

    def gelu(self, x: Value) -> Value:
        """x * (1 + erf(x / sqrt(2))) / 2."""
        name, channels = f"{x.name}.gelu", x.channels
        root = self.constant(f"{name}.root", np.float32(math.sqrt(2)))
        y = self.node("Div", f"{name}.scaled", [x, root], channels)
        y = self.node("Erf", f"{name}.erf", [y], channels)
        y = self.node("Add", f"{name}.shifted", [y, self._one], channels)
        y = self.node("Mul", f"{name}.gated", [x, y], channels)
        return self.node("Mul", name, [y, self._half], channels)

    def gelu_tanh(self, x: Value) -> Value:
        """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2."""
        name, channels = f"{x.name}.gelu", x.channels
        three = self.constant(f"{name}.three", np.float32(3))
        share = self.constant(f"{name}.share", np.float32(0.044715))
        root = self.constant(f"{name}.root", np.float32(math.sqrt(2 / math.pi)))
        half = self.node("Mul", f"{name}.half", [x, self._half], channels)
        y = self.node("Pow", f"{name}.cubed", [x, three], channels)
        y = self.node("Mul", f"{name}.share_of_cube", [y, share], channels)
        y = self.node("Add", f"{name}.inside", [x, y], channels)
        y = self.node("Mul", f"{name}.scaled", [y, root], channels)
        y = self.node("Tanh", f"{name}.tanh", [y], channels)
        y = self.node("Add", f"{name}.shifted", [y, self._one], channels)
        return self.node("Mul", name, [half, y], channels)
