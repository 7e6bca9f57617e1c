"""Outlines: graphs whose outputs have the shapes and types of an operator's. They are for operators that only move data
and that ONNX's shape inference does not know: what ONNX Runtime makes of several when it optimises a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frontends.onnx.expand import grouped, packed
from frontends.onnx.expand.body import Body


def like(*outputs: int) -> Callable[[Body], None]:
    """Of an operator whose outputs of these indices are like its first input."""

    def write(body: Body) -> None:
        (first,) = body.required(1)
        for index in outputs:
            body.result(index, body("Identity", first))

    return write


def embedding(body: Body) -> None:
    """EmbedLayerNormalization: the embedding of each word, the number of words of each of the batch, and the sum."""
    from onnx import TensorProto

    if (table := body.site.optional(2)) is None:
        raise body.site.refuse("it has no embedding of words")
    (numbers,) = body.required(1)
    words = body("Gather", table, numbers)
    body.result(0, words)
    body.result(1, body("Cast", body("ReduceMax", numbers, axes=[1], keepdims=0), to=TensorProto.INT32))
    body.result(2, words)


OUTLINES: Mapping[tuple[str, str], Callable[[Body], None]] = {
    ("", "GroupNormalization"): like(0),
    ("", "LayerNormalization"): like(0),
    ("", "MeanVarianceNormalization"): like(0),
    ("", "SimplifiedLayerNormalization"): like(0),
    ("com.microsoft", "BiasGelu"): like(0),
    ("com.microsoft", "EmbedLayerNormalization"): embedding,
    ("com.microsoft", "FastGelu"): like(0),
    ("com.microsoft", "Gelu"): like(0),
    ("com.microsoft", "GroupQueryAttention"): grouped.outline,
    ("com.microsoft", "MatMulNBits"): packed.outline,
    ("com.microsoft", "QuickGelu"): like(0),
    ("com.microsoft", "RotaryEmbedding"): like(0),
    ("com.microsoft", "SkipLayerNormalization"): like(0, 3),
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): like(0, 3),
}
"""By domain and name, what writes the outline of a node."""
