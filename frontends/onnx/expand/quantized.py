"""Layers of quantised models: products of integers, brought back to few bits.

A quantised operator is the product of its operands less their zero points, in 32 bits, times the product of the scales
by the scale of the output, rounded half to even, plus the output's zero point, and clipped to its type. The product of
the scales is taken first, in single precision, as ONNX Runtime does: another order may round a value the other way.
"""

from __future__ import annotations

from frontends.onnx.expand.body import Body


def conv(body: Body) -> None:
    """QLinearConv: x, its scale and zero point, w, its own, those of y, and a bias in the scale of the products."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = body.required(8)
    product = body("ConvInteger", x, w, x_zero, w_zero, name="product", **body.site.attributes)
    rank = len(body.site.shape(x))
    if (bias := body.site.optional(8)) is not None:
        product = body("Add", product, body.reshape(bias, 1, -1, *(1,) * (rank - 2)))
    scale = body("Div", body("Mul", x_scale, w_scale), y_scale)
    if len(body.site.shape(w_scale)) == 1:  # of each output channel
        scale = body.reshape(scale, 1, -1, *(1,) * (rank - 2))
    _rounded(body, scaled(body, product, scale), y_zero)


def matmul(body: Body) -> None:
    """QLinearMatMul: a, its scale and zero point, b, its own, and those of y."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = body.required(8)
    product = body("MatMulInteger", a, b, a_zero, b_zero, name="product")
    scale = body("Div", _of_products(body, a_scale, b_scale), _single(body, y_scale))
    _rounded(body, scaled(body, product, scale), y_zero)


def gemm(body: Body) -> None:
    """QGemm: a, its scale and zero point, b, its own, a bias c in the scale of the products, and those of y.

    Without those of y the output is not brought back to few bits.
    """
    a, a_scale, a_zero, b, b_scale, b_zero = body.required(6)
    c, y_scale, y_zero = (body.site.optional(i) for i in (6, 7, 8))
    a, b = (
        body("Transpose", value, perm=[1, 0]) if body.site.attributes.get(turned) else value
        for value, turned in ((a, "transA"), (b, "transB"))
    )
    product = body("MatMulInteger", a, b, a_zero, b_zero, name="product")
    if c is not None:
        product = body("Add", product, c)
    alpha = float(body.site.attributes.get("alpha", 1.0))
    scale = body("Mul", body("Mul", body.constant(alpha, "float32"), a_scale), b_scale)
    if y_scale is not None:
        scale = body("Div", scale, y_scale)
    value = scaled(body, product, scale)
    if y_zero is not None:
        _rounded(body, value, y_zero)
    else:
        body.result(0, value)


def matmul_to_float(body: Body) -> None:
    """MatMulIntegerToFloat: a and b, their scales, their zero points, and a bias of the output."""
    a, b, a_scale, b_scale = body.required(4)
    product = body("MatMulInteger", a, b, body.site.optional(4), body.site.optional(5), name="product")
    _biased(body, scaled(body, product, _of_products(body, a_scale, b_scale)), body.site.optional(6))


def dynamic_matmul(body: Body) -> None:
    """DynamicQuantizeMatMul: a, to be quantised as its values ask for, b, its scale and zero point, and a bias."""
    a, b, b_scale = body.required(3)
    body("DynamicQuantizeLinear", a, outputs=3)
    a, a_scale, a_zero = body.last
    product = body("MatMulInteger", a, b, a_zero, body.site.optional(3), name="product")
    _biased(body, scaled(body, product, body("Mul", a_scale, b_scale)), body.site.optional(4))


def _of_products(body: Body, a_scale: str, b_scale: str) -> str:
    """The scale of products: that of a, which may be one for each row, times that of b."""
    by_row = len(body.site.shape(a_scale)) == 1 and body.site.shape(a_scale) != (1,)
    left = body.reshape(a_scale, -1, 1) if by_row else _single(body, a_scale)
    return body("Mul", left, _single(body, b_scale))


def _single(body: Body, value: str) -> str:
    """A list of one as the one, so that a result without axes keeps none."""
    return body.reshape(value) if body.site.shape(value) == (1,) else value


def scaled(body: Body, product: str, scale: str) -> str:
    """Integers as floats in their scale."""
    from onnx import TensorProto

    # scales may be half-precision
    return body("Mul", body("Cast", product, to=TensorProto.FLOAT), body("Cast", scale, to=TensorProto.FLOAT))


def _biased(body: Body, value: str, bias: str | None) -> None:
    """The node's output: a value, and maybe a bias."""
    body.result(0, value if bias is None else body("Add", value, bias))


def _rounded(body: Body, value: str, zero: str) -> None:
    """The node's output: a value in its scale, rounded, from its zero point on."""
    body.result(0, body("QuantizeLinear", value, body.constant(1.0, "float32"), body.reshape(zero)))
