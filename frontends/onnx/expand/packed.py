"""Products with weights of a few bits, several of which share a byte, in blocks that have a scale each."""

from __future__ import annotations

import numpy as np

from frontends.onnx.expand.body import Body

OPSET = 21
"""The first in which ONNX itself has such weights."""


def matmul(body: Body) -> None:
    """MatMulNBits: A[..,K] times W[N,K], which has a scale and a zero point for each block of K; of 4 or 8 bits.

    What else there is (2 bits, zero points that are no integers, an order of K of its own, weights that are not
    constant) is not taken apart.
    """
    from onnx import TensorProto, helper

    a, packed, scales = body.required(3)
    told = body.site.attributes
    n, k, bits, block = (
        int(told.get(name, default)) for name, default in (("N", 0), ("K", 0), ("bits", 4), ("block_size", 0))
    )
    if min(n, k, block) < 1:
        raise body.site.refuse(f"a product of N={n}, K={k} in blocks of {block} is none")
    blocks = -(-k // block)
    if body.site.shape(a)[-1:] != (k,):
        raise body.site.refuse(f"{a} of shape {body.site.shape(a)} does not have K={k}")
    if (shape := body.site.shape(packed)) != (n, blocks, block * bits // 8):
        raise body.site.refuse(f"{packed} has shape {shape}, not {(n, blocks, block * bits // 8)}")
    zeros, order, bias = (body.site.optional(index) for index in (3, 4, 5))
    whole = zeros is None or body.region.shapes.dtype(zeros) == np.uint8
    stored = body.region.constant.issuperset(filter(None, (packed, scales, zeros)))
    if bits not in (4, 8) or not whole or not stored or order is not None or told.get("weight_prepacked"):
        return
    body.opsets = [helper.make_opsetid("", OPSET)]
    middle = 2 ** (bits - 1)
    signed, unsigned = (TensorProto.INT4, TensorProto.UINT4) if bits == 4 else (TensorProto.INT8, TensorProto.UINT8)

    def unpacked(value: str, count: int) -> str:
        """Bytes of N columns as numbers [count, N]; from -`middle` on if there are no zero points."""
        if bits == 4:  # that of the lower half of a byte comes first
            halves = (
                body("BitwiseAnd", value, body.constant(15, np.uint8)),
                body("BitShift", value, body.constant(4, np.uint8), direction="RIGHT"),
            )
            value = body("Concat", *(body("Unsqueeze", half, body.integers(-1)) for half in halves), axis=-1)
        rows = body("Slice", body.reshape(value, n, -1), *(body.integers(i) for i in (0, count, 1)))
        columns = body("Transpose", rows, perm=[1, 0])
        if zeros is not None:
            return body("Cast", columns, to=unsigned)
        columns = body("Sub", body("Cast", columns, to=TensorProto.INT32), body.constant(middle, np.int32))
        return body("Cast", columns, to=signed)

    scale = body("Transpose", body.reshape(scales, n, blocks), perm=[1, 0])
    zero = None if zeros is None else unpacked(zeros, blocks)
    weights = body("DequantizeLinear", unpacked(packed, k), scale, zero, axis=0, block_size=block)
    product = body("MatMul", a, weights, name="product")
    body.result(0, product if bias is None else body("Add", product, bias))


def outline(body: Body) -> None:
    """What MatMulNBits makes, whatever its weights: N columns."""
    (a,), n = body.required(1), int(body.site.attributes.get("N", 0))
    shape = body.site.shape(a)
    body.result(
        0,
        body(
            "Expand",
            body("Slice", a, *(body.integers(i) for i in (0, 1, len(shape) - 1))),
            body.integers(*shape[:-1], n),
        ),
    )
