"""Region: a graph that runs as one: the model's, the body of a control-flow node, or the parts of an operator."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from frontends.onnx import control, expand, graph
from frontends.onnx.binding import Array, Binding
from frontends.onnx.fold import SMALL, small_values
from frontends.onnx.shapes import Dims, Shapes, infer, is_known, table
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

Type = tuple[int, Dims | None]
"""ONNX's number of the type of an element, and the shape if its rank is known."""


@dataclass(frozen=True, eq=False)
class Region:
    """A graph with the shapes of its values and those that are constant.

    The nodes of `proto` are in an order in which they can run and carry the names that they have in the network.
    `inputs` are the values that each run of it is given, `captured` those of them that have the same name around it.
    Once it is lowered, `bindings` has its layers by name, and `inner` the regions that its nodes are made of, by the
    node's name and what they are to it: the attribute of a body, or "" for the parts of an operator.
    """

    proto: onnx.ModelProto = field(repr=False)
    shapes: Shapes = field(repr=False)
    constant: frozenset[str] = field(repr=False)
    captured: frozenset[str] = frozenset()
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    inner: Mapping[str, Mapping[str, Region]] = field(default_factory=dict)

    @property
    def graph(self) -> onnx.GraphProto:
        """Its graph."""
        return self.proto.graph

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that are not stored in it, in order, those of a body first."""
        stored = graph.initializers(self.graph)
        return tuple(v.name for v in self.graph.input if v.name not in stored)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it returns, in order."""
        return tuple(v.name for v in self.graph.output)

    @cached_property
    def small(self) -> Mapping[str, Array]:
        """The small constants that are stored in it."""
        return small_values(self.graph)

    def all_bindings(self) -> Iterator[tuple[str, Binding]]:
        """The bindings of its layers and of those inside it, by name."""
        yield from self.bindings.items()
        for regions in self.inner.values():
            for region in regions.values():
                yield from region.all_bindings()

    def type_of(self, value: str) -> Type:
        """The type of a value; InputError if that of its elements is unknown."""
        if not self.shapes.types.get(value):
            raise InputError(f"the type of {value} is unknown")
        return self.shapes.types[value], self.shapes.dims.get(value)

    def type_proto(self, value: str) -> onnx.TypeProto:
        """The same as ONNX states it."""
        return _type_proto(self.type_of(value))


def top(proto: onnx.ModelProto, taken: set[str]) -> Region:
    """The region of a whole model, with inferred shapes."""
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
) -> Region:
    """The region of a graph that runs within `outer`, for inputs of these types.

    Small constants that it takes from outside are known in it as well. Its nodes get names that begin with `prefix`.
    """
    from onnx import helper, numpy_helper

    copy = type(body).FromString(body.SerializeToString())
    del copy.value_info[:]
    captured = dict.fromkeys(graph.captured(copy))
    for value, kind in zip(copy.input, types, strict=True):
        value.type.CopyFrom(_type_proto(kind))
    known = outer.small
    for name in captured:
        if name in known:
            copy.initializer.append(numpy_helper.from_array(known[name], name))
        else:
            copy.input.add(name=name).type.CopyFrom(_type_proto(outer.type_of(name)))
    for value in copy.output:
        value.type.tensor_type.ClearField("shape")
    graph.sort(copy)
    proto, shapes = _inferred(helper.make_model(copy, ir_version=outer.proto.ir_version, opset_imports=list(opsets)))
    graph.name_nodes(proto.graph, taken, prefix)
    constant = graph.constants(proto.graph, outer.constant.intersection(captured))
    return Region(proto, shapes, frozenset(constant), frozenset(captured))


def _inferred(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Shapes]:
    """The model with inferred shapes: as ONNX infers them, and what the parts and bodies of nodes tell beyond that."""
    proto, weights = _without_weights(proto)
    proto, shapes = infer(proto)
    while found := _told_inside(Region(proto, shapes, frozenset())):
        stated = {value.name: value for value in (*proto.graph.value_info, *proto.graph.output)}
        for name, kind in found.items():
            value = stated[name] if name in stated else proto.graph.value_info.add(name=name)
            value.type.CopyFrom(_type_proto(kind))
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
        copy.graph.input.add(name=tensor.name).type.CopyFrom(_type_proto((tensor.data_type, tuple(tensor.dims))))
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


def _type_proto(kind: Type) -> onnx.TypeProto:
    from onnx import helper

    element, dims = kind
    return helper.make_tensor_type_proto(element, None if dims is None else [None if n == "?" else n for n in dims])
