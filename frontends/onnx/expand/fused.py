"""Layers that ONNX Runtime's optimiser has put together with what stood around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from frontends.onnx.expand.body import Body

_PARAMETERS = {"HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",)}
"""What the parameters of a FusedConv's activation are called where they are attributes of an operator."""

_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_GEMM = ("alpha", "beta", "transA", "transB")


def conv(body: Body) -> None:
    """FusedConv: activation(Conv(x, w, b) + z), b and z optional."""
    told = body.site.attributes
    x, w = body.required(2)
    value = body("Conv", x, w, body.site.optional(2), name="product", **_those(told, _CONV))
    if (z := body.site.optional(3)) is not None:
        value = body("Add", value, z)
    kind, parameters = told.get("activation", ""), told.get("activation_params", ())
    if kind == "Clip":
        dtype = body.region.shapes.dtype(x)
        value = body("Clip", value, *(body.constant(limit, dtype) for limit in parameters))
    elif kind:
        value = body(kind, value, **dict(zip(_PARAMETERS.get(kind, ()), parameters, strict=False)))
    body.result(0, value)


def gemm(body: Body) -> None:
    """FusedGemm: activation(alpha * A * B + beta * C), either operand transposed, C optional."""
    told = body.site.attributes
    a, b = body.required(2)
    value = body("Gemm", a, b, body.site.optional(2), name="product", **_those(told, _GEMM))
    if kind := told.get("activation", ""):
        value = body(kind, value, **_those(told, ("alpha", "beta", "gamma"), "activation_"))
    body.result(0, value)


def matmul(body: Body) -> None:
    """FusedMatMul: alpha * A * B, either operand transposed: its last two axes, or its first and the batch axes."""
    told, operands = body.site.attributes, []
    for value, letter in zip(body.required(2), "AB", strict=True):
        rank = len(body.site.shape(value))
        order = list(range(rank))
        if told.get(f"transBatch{letter}") and rank > 1:
            order = [*order[1:-1], 0, rank - 1]
        if told.get(f"trans{letter}") and rank > 1:
            order[-2:] = order[:-3:-1]
        operands.append(value if order == sorted(order) else body("Transpose", value, perm=order))
    value = body("MatMul", *operands, name="product")
    if (alpha := float(told.get("alpha", 1.0))) != 1.0:
        value = body("Mul", value, body.constant(alpha, body.region.shapes.dtype(body.site.inputs[0])))
    body.result(0, value)


def _those(told: Mapping[str, Any], names: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """The attributes of these names, which begin with a prefix where they are told."""
    return {name: told[prefix + name] for name in names if prefix + name in told}
