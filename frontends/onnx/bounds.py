"""Sizes that depend on what is computed: the values that have them, and how large they can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from frontends.onnx import graph
from frontends.onnx.fold import small_values
from frontends.onnx.shapes import Shapes

if TYPE_CHECKING:
    import onnx


def bounds(proto: onnx.ModelProto, shapes: Shapes) -> dict[str, tuple[int, ...] | None]:
    """The values of unknown shape whose makers read nothing that is unknown, with the largest shape that they can have;
    None where that is not known."""
    found: dict[str, tuple[int, ...] | None] = {}
    for node in proto.graph.node:
        if all(map(shapes.known, graph.reads(node))):
            unknown = [value for value in node.output if value and not shapes.known(value)]
            found |= {value: _largest(proto, node, value, shapes) for value in unknown}
    return found


def _largest(proto: onnx.ModelProto, node: onnx.NodeProto, value: str, shapes: Shapes) -> tuple[int, ...] | None:
    dims = shapes.dims.get(value)
    if dims is None:
        return None
    most = 1
    if node.op_type in ("NonZero", "Compress", "Unique"):
        axis = graph.attributes(node).get("axis")
        whole = shapes(node.input[0])
        most = math.prod(whole) if axis is None or node.op_type == "NonZero" or not whole else whole[axis % len(whole)]
    elif node.op_type == "NonMaxSuppression" and len(scores := shapes(node.input[1])) == 3:
        batch, classes, boxes = scores
        asked = small_values(proto.graph).get(node.input[2]) if len(node.input) > 2 else np.array(0)
        each = boxes if asked is None or asked.size != 1 else min(boxes, int(asked.item()))
        most = batch * classes * each
    return tuple(n if isinstance(n, int) else most for n in dims)
