"""The encoder of BERT-base (Devlin et al., arXiv 1810.04805, section 3), behind the embeddings."""

from __future__ import annotations

from bench.shapes.builder import Value
from bench.shapes.description import Network
from bench.shapes.transformer import TransformerBuilder

LAYERS, WIDTH, HEADS, TOKENS = 12, 768, 12, 128
EPSILON = 1e-12


def bert_base(layers: int = LAYERS) -> Network:
    """The encoder on `embedded` (N, 128, 768), what the sum of embeddings is once normalised."""
    build = TransformerBuilder("bert-base", TOKENS, WIDTH, HEADS)
    x = build.tokens("embedded")
    for index in range(layers):
        x = _layer(build, f"layer{index}", x)
    return build.network(x, ["N", TOKENS, WIDTH])


def _layer(build: TransformerBuilder, name: str, x: Value) -> Value:
    """Attention and two dense layers, each added to its input and normalised."""
    query, key, value = (
        build.product(f"{name}.{part}", x, WIDTH) for part in ("query", "key", "value")
    )
    y = build.product(
        f"{name}.projection", build.attention(f"{name}.attention", query, key, value), WIDTH
    )
    x = build.layer_norm(f"{name}.norm1", build.add(f"{name}.sum1", y, x), EPSILON)
    y = build.gelu(build.product(f"{name}.wide", x, 4 * WIDTH))
    y = build.product(f"{name}.narrow", y, WIDTH)
    return build.layer_norm(f"{name}.norm2", build.add(f"{name}.sum2", y, x), EPSILON)
