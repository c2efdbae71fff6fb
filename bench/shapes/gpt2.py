"""GPT-2 small (Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section
2.3), from embedded tokens to logits."""

from __future__ import annotations

import numpy as np

from bench.shapes.builder import Value
from bench.shapes.description import Network
from bench.shapes.transformer import TransformerBuilder

LAYERS, WIDTH, HEADS, TOKENS, VOCABULARY = 12, 768, 12, 64, 50257
EPSILON = 1e-5


def gpt2_small(layers: int = LAYERS, vocabulary: int = VOCABULARY) -> Network:
    """The decoder on `embedded` (N, 64, 768), the sum of token and position embeddings.

    The matrix of token embeddings is also the output matrix, and counted; that of positions,
    1024 x 768, is outside.
    """
    build = TransformerBuilder("gpt2-small", TOKENS, WIDTH, HEADS)
    x = build.tokens("embedded")
    future = np.triu(np.ones((TOKENS, TOKENS), bool), 1)
    mask = build.constant("mask", np.where(future, np.float32(-1e4), np.float32(0)))
    for index in range(layers):
        x = _layer(build, f"layer{index}", x, mask)
    x = build.layer_norm("norm", x, EPSILON)
    logits = build.product("logits", x, vocabulary, bias=False)
    return build.network(logits, ["N", TOKENS, vocabulary])


def _layer(build: TransformerBuilder, name: str, x: Value, mask: str) -> Value:
    """Attention and two dense layers, each of the normalised sum so far, and added to it."""
    y = build.layer_norm(f"{name}.norm1", x, EPSILON)
    query, key, value = build.split(f"{name}.qkv", build.product(f"{name}.qkv", y, 3 * WIDTH), 3)
    y = build.attention(f"{name}.attention", query, key, value, mask)
    x = build.add(f"{name}.sum1", x, build.product(f"{name}.projection", y, WIDTH))
    y = build.layer_norm(f"{name}.norm2", x, EPSILON)
    y = build.gelu_tanh(build.product(f"{name}.wide", y, 4 * WIDTH))
    return build.add(f"{name}.sum2", x, build.product(f"{name}.narrow", y, WIDTH))
