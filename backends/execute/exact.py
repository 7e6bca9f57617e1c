"""Nodes written so that ONNX Runtime computes them with all their bits, on every processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx.registry import STANDARD_DOMAINS

if TYPE_CHECKING:
    import onnx

PRODUCTS = {
    "ConvInteger": (0, 1, 3),
    "DynamicQuantizeMatMul": (None, 1, 3),
    "MatMulInteger": (0, 1, 3),
    "MatMulIntegerToFloat": (0, 1, 5),
    "QAttention": (0, 1, 7),
    "QGemm": (0, 3, 5),
    "QLinearConv": (0, 3, 5),
    "QLinearMatMul": (0, 3, 5),
}
"""By operator the positions of the first factor (None: made inside, unsigned), of the second, and of its zero point."""


def exact(
    nodes: Iterable[onnx.NodeProto], types: Mapping[str, int]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The same nodes, with what they need beside their inputs.

    On x86 processors without instructions for them (VNNI), ONNX Runtime adds pairs of products of unsigned and signed
    bytes in 16 bits, where they saturate. The same sums of unsigned bytes are exact: signed factors and their zero
    points are given 128 more. `types` of values, as ONNX numbers them. Leaves to compute with fewer bits than the
    inputs have (`accuracy_level`) are taken away.
    """
    found: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for node in nodes:
        found += _unsigned(_precise(node), types, constants)
    return found, constants


def _precise(node: onnx.NodeProto) -> onnx.NodeProto:
    if not any(a.name == "accuracy_level" for a in node.attribute):
        return node
    copy: onnx.NodeProto = type(node).FromString(node.SerializeToString())
    del copy.attribute[:]
    copy.attribute.extend(a for a in node.attribute if a.name != "accuracy_level")
    return copy


def _unsigned(
    node: onnx.NodeProto, types: Mapping[str, int], constants: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """A product of unsigned and signed bytes as one of unsigned ones."""
    from onnx import TensorProto, helper

    places = PRODUCTS.get(node.op_type)
    if places is None or node.domain not in (*STANDARD_DOMAINS, "com.microsoft"):
        return [node]
    first, second, zero = places
    if first is not None and types.get(node.input[first]) != TensorProto.UINT8:
        return [node]
    if types.get(node.input[second]) != TensorProto.INT8:
        return [node]
    copy: onnx.NodeProto = type(node).FromString(node.SerializeToString())
    prefix = f"{node.name or node.output[0]} unsigned "
    constants.append(helper.make_tensor(f"{prefix}128", TensorProto.INT32, [], [128]))
    before: list[onnx.NodeProto] = []

    def shifted(at: int) -> str:
        names = [f"{prefix}{at} {step}" for step in ("wide", "sum", "byte")]
        before.extend(
            (
                helper.make_node("Cast", [node.input[at]], names[:1], to=TensorProto.INT32),
                helper.make_node("Add", [names[0], f"{prefix}128"], names[1:2]),
                helper.make_node("Cast", names[1:2], names[2:], to=TensorProto.UINT8),
            )
        )
        return names[2]

    copy.input[second] = shifted(second)
    if zero < len(node.input) and node.input[zero]:
        copy.input[zero] = shifted(zero)
    else:
        constants.append(helper.make_tensor(f"{prefix}zero", TensorProto.UINT8, [], [128]))
        copy.input.extend([""] * (zero + 1 - len(copy.input)))
        copy.input[zero] = f"{prefix}zero"
    return [*before, copy]
