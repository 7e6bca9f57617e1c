"""Regions with inferred shapes: as ONNX infers them, and what the parts and bodies of nodes tell beyond that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from frontends.onnx import control, expand, graph
from frontends.onnx.fold import SMALL
from frontends.onnx.region import Region, Type, type_proto
from frontends.onnx.registry import SHAPE_READERS
from frontends.onnx.shapes import Shapes, infer, is_known, table
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx


def top(proto: onnx.ModelProto, taken: set[str]) -> Region:
    """The region of a whole model, with inferred shapes."""
    proto.ir_version = max(proto.ir_version, 4)  # from which on initializers need not be inputs as well
    inferred, shapes = _inferred(proto)
    graph.name_nodes(inferred.graph, taken)
    return Region(inferred, shapes, frozenset(graph.constants(inferred.graph)))


def within(
    outer: Region,
    body: onnx.GraphProto,
    types: Iterable[Type],
    prefix: str,
    taken: set[str],
    opsets: Iterable[onnx.OperatorSetIdProto],
    *,
    parts: bool = False,
) -> Region:
    """The region of a graph that runs within `outer`, for inputs of these types.

    Small constants that it takes from outside are known in it as well. Its nodes get names that begin with `prefix`.
    Constants that the `parts` of an operator do not make of the model's are invented.
    """
    from onnx import helper, numpy_helper

    copy = type(body).FromString(body.SerializeToString())
    del copy.value_info[:]
    captured = dict.fromkeys(graph.captured(copy))
    for value, kind in zip(copy.input, types, strict=True):
        value.type.CopyFrom(type_proto(kind))
    known = outer.small
    for name in captured:
        if name in known:
            copy.initializer.append(numpy_helper.from_array(known[name], name))
        else:
            copy.input.add(name=name).type.CopyFrom(type_proto(outer.type_of(name)))
    for value in copy.output:
        value.type.tensor_type.ClearField("shape")
    graph.sort(copy)
    graph.name_nodes(copy, set())  # before an If is replaced by a branch, whose values are named after it
    proto, shapes = _inferred(helper.make_model(copy, ir_version=outer.proto.ir_version, opset_imports=list(opsets)))
    graph.name_nodes(proto.graph, taken, prefix)
    constant = graph.constants(proto.graph, outer.constant.intersection(captured))
    invented = constant - _following(copy, outer.constant.intersection(captured) - outer.invented) if parts else ()
    return Region(proto, shapes, frozenset(constant), frozenset(captured), frozenset(invented))


def _following(source: onnx.GraphProto, values: Iterable[str]) -> set[str]:
    """These values, and what is made of their elements."""
    found = set(values)
    for node in source.node:
        if node.op_type not in SHAPE_READERS and not found.isdisjoint(graph.reads(node)):
            found.update(node.output)
    return found


def _inferred(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Shapes]:
    """The model with inferred shapes: as ONNX infers them, and what the parts and bodies of nodes tell beyond that."""
    proto, weights = _without_weights(proto)
    proto, shapes = infer(proto)
    while found := _told_inside(Region(proto, shapes, frozenset())):
        stated = {value.name: value for value in (*proto.graph.value_info, *proto.graph.output)}
        for name, kind in found.items():
            value = stated[name] if name in stated else proto.graph.value_info.add(name=name)
            value.type.CopyFrom(type_proto(kind))
        proto, shapes = infer(proto)
    del proto.graph.input[len(proto.graph.input) - len(weights) :]
    proto.graph.initializer.extend(weights)
    return proto, table(proto.graph, shapes.doubt)


def _without_weights(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy in which large initializers are further inputs, since inference reads all of a model again and again; and
    these initializers."""
    copy = type(proto)()
    copy.CopyFrom(proto)
    declared = {value.name for value in proto.graph.input}
    weights = [t for t in proto.graph.initializer if math.prod(t.dims) > SMALL and t.name not in declared]
    names = {t.name for t in weights}
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(t for t in proto.graph.initializer if t.name not in names)
    for tensor in weights:
        copy.graph.input.add(name=tensor.name).type.CopyFrom(type_proto((tensor.data_type, tuple(tensor.dims))))
    return copy, weights


def _told_inside(region: Region) -> dict[str, Type]:
    """The types of values whose shapes are known only to the parts or bodies of the nodes that make them."""
    found: dict[str, Type] = {}
    for node in region.graph.node:
        unknown = [value for value in node.output if value and not region.shapes.known(value)]
        if unknown and all(map(region.shapes.known, graph.reads(node))):
            with contextlib.suppress(InputError):  # what is wrong is said when the node is lowered
                told = _results(node, region)
                found |= {value: told[value] for value in unknown if value in told and is_known(told[value][1])}
    return found


def _results(node: onnx.NodeProto, region: Region) -> dict[str, Type]:
    """The types of the outputs of a node, as they are inferred in its parts or bodies; nothing if it has neither."""
    if node.op_type in control.OPERATORS and graph.is_standard(node):
        inner = {}
        for body in control.bodies(node, region):
            with contextlib.suppress(InputError) if body.branch else contextlib.nullcontext():
                inner[body.attribute] = within(region, body.graph, body.types, "", set(), region.proto.opset_import)
                control.check_states(body, inner[body.attribute])
        return control.results(node, region, inner)
    if (parts := expand.outline(node, region)) is None:
        return {}
    inside = within(region, parts[0], (), "", set(), parts[1])
    return {value: inside.type_of(value) for value in inside.outputs}
