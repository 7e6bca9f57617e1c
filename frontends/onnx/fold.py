"""Folding: small constants are computed, and an If whose condition is one of them is replaced by a branch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from frontends.onnx import graph
from frontends.onnx.registry import SELECTING, SHAPE_READERS

if TYPE_CHECKING:
    import onnx

SMALL = 4096
"""Elements of a constant worth folding: shapes and axes, not weights."""


GROWING = frozenset({"ConstantOfShape", "Expand", "Range", "Resize", "Tile", "Upsample"})
"""Operators whose outputs may be larger than all they read: what runs them in a body is not folded."""


class Known(Protocol):
    """What is known of shapes."""

    def known(self, name: str) -> bool: ...
    def elements(self, name: str) -> int: ...
    def __call__(self, name: str) -> tuple[int, ...]: ...


def fold(proto: onnx.ModelProto, shapes: Known) -> bool:
    """Replace small constant nodes, and Shape of what is known, by initializers, and an If whose condition is one of
    these by the branch that is taken; whether there were any."""
    import numpy as np
    from onnx import numpy_helper

    source = proto.graph
    values = small_values(source)
    kept: list[onnx.NodeProto] = []
    for node in source.node:
        if node.op_type == "Dropout" and len(node.input) > 2 and not np.any(values.get(node.input[2], True)):
            del node.input[2:]  # it does not train, as if nothing were said of it
        found = _computed(proto, node, values, shapes)
        if found:
            source.initializer.extend(numpy_helper.from_array(value, name) for name, value in found.items())
            values |= found
        elif node.op_type == "If" and graph.is_standard(node) and node.input[0] in values:
            kept += _branch(source, node, bool(np.all(values[node.input[0]])))
        else:
            kept.append(node)
    folded = len(kept) < len(source.node) or any(a is not b for a, b in zip(kept, source.node, strict=False))
    graph.keep(source.node, kept)
    # what was inferred of a value before it was computed, maybe less than its shape, would go before what is stored
    graph.keep(source.value_info, [value for value in source.value_info if value.name not in values])
    return folded


def small_values(source: onnx.GraphProto) -> dict[str, Any]:
    """The small initializers as arrays."""
    from onnx import numpy_helper

    values = {}
    for tensor in source.initializer:
        if math.prod(tensor.dims) <= SMALL and tensor.data_location == tensor.DEFAULT:
            with contextlib.suppress(Exception):  # a damaged tensor is not folded
                values[tensor.name] = numpy_helper.to_array(tensor)
    return values


def _computed(proto: onnx.ModelProto, node: onnx.NodeProto, values: dict[str, Any], shapes: Known) -> dict[str, Any]:
    """The outputs of a node by name, if it has them without the model's inputs; else nothing."""
    import numpy as np
    from onnx.reference import ReferenceEvaluator

    found: Any = []
    if node.op_type in SHAPE_READERS and graph.is_standard(node) and shapes.known(node.input[0]):
        told = graph.attributes(node)
        shape = np.array(shapes(node.input[0])[told.get("start", 0) : told.get("end")], np.int64)
        found = [shape if node.op_type == "Shape" else shape.prod()]
    elif graph.is_random(node) or not values.keys() >= set(graph.reads(node)):
        return {}
    elif _takes_little(node, values, shapes):
        inputs = {name: values[name] for name in graph.reads(node)}
        # what the evaluator cannot do stays a node
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            found = ReferenceEvaluator(_single(proto, node, tuple(inputs))).run(None, inputs)
    if not found or not all(isinstance(value, np.ndarray | np.generic) for value in found):
        return {}
    return {name: np.asarray(value) for name, value in zip(node.output, found, strict=True) if name}


def _takes_little(node: onnx.NodeProto, values: dict[str, Any], shapes: Known) -> bool:
    """Whether computing a node takes little memory and time: it makes small values, and no more than a few trips."""
    inside = {inner.op_type for body in graph.subgraphs(node) for inner in graph.all_nodes(body)}
    if "DequantizeLinear" in inside | {node.op_type} or inside & GROWING:  # weights stay the integers that they are
        return False
    if node.op_type == "Loop":
        trips = values.get(node.input[0]) if node.input else None
        if trips is None or trips.size != 1 or trips.item() > SMALL:
            return False
    if node.op_type == "Range" and len(node.input) == 3 and all(values[name].size == 1 for name in node.input):
        start, limit, step = (float(values[name].item()) for name in node.input)
        return abs(limit - start) <= SMALL * abs(step)
    made = [name for name in node.output if name]
    return all(shapes.elements(n) <= SMALL if shapes.known(n) else node.op_type in SELECTING for n in made)


def _single(proto: onnx.ModelProto, node: onnx.NodeProto, inputs: tuple[str, ...]) -> onnx.ModelProto:
    from onnx import helper

    values = [helper.make_empty_tensor_value_info(name) for name in inputs]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    return helper.make_model(helper.make_graph([node], node.op_type, values, outputs), opset_imports=proto.opset_import)


def _branch(source: onnx.GraphProto, node: onnx.NodeProto, condition: bool) -> list[onnx.NodeProto]:
    """The nodes of the branch that is taken, under names that begin with the If's; its initializers join the graph."""
    from onnx import helper

    wanted = "then_branch" if condition else "else_branch"
    body = next(a.g for a in node.attribute if a.name == wanted)
    inside = {name for inner in body.node for name in inner.output if name} | graph.initializers(body)
    prefix = f"{node.name}/"
    graph.name_nodes(body, set(), prefix)
    outputs = {v.name: out for v, out in zip(body.output, node.output, strict=False) if out}
    once = {v for v in outputs if v in inside}  # an output that the branch computes takes the If's name

    def renamed(name: str) -> str:
        return (outputs[name] if name in once else f"{prefix}{name}") if name in inside else name

    nodes = [rename(inner, renamed) for inner in body.node]
    for tensor in body.initializer:
        source.initializer.add().CopyFrom(tensor)
        source.initializer[-1].name = renamed(tensor.name)
    for tensor in body.sparse_initializer:
        source.sparse_initializer.add().CopyFrom(tensor)
        source.sparse_initializer[-1].values.name = renamed(tensor.values.name)
    for inner, out in zip(body.output, node.output, strict=False):  # passed through, or returned twice
        if out and (inner.name not in once or outputs[inner.name] != out):
            nodes.append(helper.make_node("Identity", [renamed(inner.name)], [out], name=f"{prefix}{out}"))
    return nodes


def rename(node: onnx.NodeProto, renamed: Callable[[str], str]) -> onnx.NodeProto:
    """A copy of a node with other names for the values that it reads and writes, in its subgraphs too."""
    copy: onnx.NodeProto = type(node).FromString(node.SerializeToString())
    for names in (copy.input, copy.output):
        names[:] = [renamed(name) if name else name for name in names]
    for body in graph.subgraphs(copy):
        inside = {v.name for v in body.input} | graph.initializers(body)
        inside |= {name for inner in body.node for name in inner.output}

        def outside(name: str, inside: set[str] = inside) -> str:
            return name if name in inside else renamed(name)

        nodes = [rename(inner, outside) for inner in body.node]
        del body.node[:]
        body.node.extend(nodes)
        for value in body.output:
            value.name = outside(value.name)
    return copy
