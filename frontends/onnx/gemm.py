"""Gemm: alpha * A * B + beta * C, either operand transposed."""

from __future__ import annotations

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.site import Lowered, Site
from mapper.ir import gemm


def lower(site: Site) -> Lowered:
    """O[M,N] += A[M,K] * B[K,N]; alpha, beta and C are applied to the output. InputError if A or B is no matrix."""
    turned = [bool(site.attributes.get(name, 0)) for name in ("transA", "transB")]
    shapes = []
    for value, turn in zip(site.inputs, turned, strict=False):
        shape = site.shape(value)
        if len(shape) != 2:
            raise site.refuse(f"operand {value} has shape {shape}, not that of a matrix")
        shapes.append(shape[::-1] if turn else shape)
    (m, k), (k2, n) = shapes
    if k != k2:
        raise site.refuse(f"the operands have {k} columns and {k2} rows, transpositions applied")

    nest = gemm(M=m, N=n, K=k)
    operands = {
        tensor: View.plain(value, site.shape(value), shape, (1, 0) if turn else (0, 1))
        for tensor, value, shape, turn in zip("AB", site.inputs, shapes, turned, strict=False)
    }
    beta = float(site.attributes.get("beta", 1.0))
    bias = site.optional(2) if beta else None
    bias_shape = site.shape(bias) if bias else ()
    if len(bias_shape) > 2 or any(have not in (1, need) for have, need in zip(bias_shape[::-1], (n, m), strict=False)):
        raise site.refuse(f"C has shape {bias_shape}, which does not broadcast to {(m, n)}")
    alpha = float(site.attributes.get("alpha", 1.0))
    result = Result(site.outputs[0], (m, n), (0, 1), (m, n), alpha, beta, bias, bias_shape)
    return Lowered(nest, Binding(operands, result))
