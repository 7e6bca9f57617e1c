"""Which ONNX operator becomes a loop nest by which family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frontends.onnx import conv, einsum, gemm, matmul, pool, reduce
from frontends.onnx.site import Lowered, Site

PRODUCTS: Mapping[str, Callable[[Site], Lowered]] = {
    "Conv": conv.lower,
    "ConvInteger": conv.lower_integer,
    "Einsum": einsum.lower,
    "Gemm": gemm.lower,
    "MatMul": matmul.lower,
    "MatMulInteger": matmul.lower_integer,
}
"""Operators of the standard domain that are a product, by name."""

REDUCTIONS: Mapping[str, Callable[[Site], Lowered | None]] = {
    "AveragePool": pool.lower_average,
    "GlobalAveragePool": pool.lower_global_average,
    "GlobalMaxPool": pool.lower_global_max,
    "MaxPool": pool.lower_max,
    **dict.fromkeys(reduce.KINDS, reduce.lower),
}
"""Operators of the standard domain that are a loop nest of one operand, by name; None from one that is not."""
