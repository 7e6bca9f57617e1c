"""Which ONNX operator is lowered by which family, and which ones move no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frontends.onnx import conv, gemm, matmul
from frontends.onnx.site import Lowered, Site

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

FAMILIES: Mapping[str, Callable[[Site], Lowered]] = {
    "Conv": conv.lower,
    "Gemm": gemm.lower,
    "MatMul": matmul.lower,
}
"""MAC operators of the standard domain, by name."""

UNMAPPED = frozenset(
    {
        "Attention",
        "CausalConvWithState",
        "ConvInteger",
        "ConvTranspose",
        "DecoderMaskedMultiHeadAttention",
        "DecoderMaskedSelfAttention",
        "DeformConv",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "Einsum",
        "FlexAttention",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "GRU",
        "GemmFastGelu",
        "GroupQueryAttention",
        "LSTM",
        "LinearAttention",
        "LongformerAttention",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "MoE",
        "MultiHeadAttention",
        "NhwcConv",
        "NhwcFusedConv",
        "PackedAttention",
        "PackedMultiHeadAttention",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
        "QMoE",
        "RNN",
        "SparseToDenseMatMul",
        "TransposeMatMul",
    }
)
"""Operators, of any domain, that multiply and accumulate but have no family yet: kept, and said to be so."""

VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that move nothing (Dropout as inference runs it)."""

SHAPE_READERS = frozenset({"Shape", "Size"})
"""Operators that read the shape of their input but not its elements."""

RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators whose output is no constant even if their inputs are."""
