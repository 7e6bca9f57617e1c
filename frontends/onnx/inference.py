"""Regions with inferred shapes: as ONNX infers them, and what the parts and bodies of nodes tell beyond that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frontends.onnx import control, expand, graph, referee, rules, stated
from frontends.onnx.bounds import bounds
from frontends.onnx.fold import SMALL
from frontends.onnx.region import Region, Type, type_proto
from frontends.onnx.registry import SHAPE_READERS
from frontends.onnx.shapes import Shapes, condense, fits, infer, is_known, sizes, table, text
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx


def top(proto: onnx.ModelProto, taken: set[str], given: Mapping[str, tuple[int, ...]] | None = None) -> Region:
    """The region of a whole model, with inferred shapes, or those `given` to values for which there are none."""
    proto.ir_version = max(proto.ir_version, 4)  # from which on initializers need not be inputs as well
    inferred, shapes = _inferred(proto, given or {})
    graph.name_nodes(inferred.graph, taken)
    return Region(inferred, shapes, frozenset(graph.constants(inferred.graph)), given=given or {})


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
    captured = dict.fromkeys(graph.captured(copy))
    for value, kind in zip(copy.input, types, strict=True):
        value.type.CopyFrom(type_proto(kind))
    known = outer.small
    for name in captured:
        if name in known:
            copy.initializer.append(numpy_helper.from_array(known[name], name))
        else:
            copy.input.add(name=name).type.CopyFrom(type_proto(outer.type_of(name)))
    graph.sort(copy)
    graph.name_nodes(copy, set())  # before an If is replaced by a branch, whose values are named after it
    proto = helper.make_model(copy, ir_version=outer.proto.ir_version, opset_imports=list(opsets))
    proto, shapes = _inferred(proto, outer.given)
    graph.name_nodes(proto.graph, taken, prefix)
    constant = graph.constants(proto.graph, outer.constant.intersection(captured))
    invented = constant - _following(copy, outer.constant.intersection(captured) - outer.invented) if parts else ()
    return Region(proto, shapes, frozenset(constant), frozenset(captured), frozenset(invented), given=outer.given)


def _following(source: onnx.GraphProto, values: Iterable[str]) -> set[str]:
    """These values, and what is made of their elements."""
    found = set(values)
    for node in source.node:
        if node.op_type not in SHAPE_READERS and not found.isdisjoint(graph.reads(node)):
            found.update(node.output)
    return found


def _inferred(proto: onnx.ModelProto, given: Mapping[str, tuple[int, ...]]) -> tuple[onnx.ModelProto, Shapes]:
    """The model with inferred shapes: as ONNX infers them, and what is known beyond that; what is given or stated of a
    value only where nothing else is known of it."""
    proto, weights = _without_weights(proto)
    said = stated.take(proto.graph)
    told: dict[str, onnx.TypeProto] = {}
    sources: dict[str, str] = {}
    proto, shapes = infer(proto, told)
    remarks: dict[str, str] = {}
    while found := _beyond(proto, shapes, given, {}, told) or _beyond(proto, shapes, given, said, told):
        told |= {name: each.kind for name, each in found.items()}
        sources |= {name: each.source for name, each in found.items() if each.source}
        remarks |= {name: each.remark for name, each in found.items() if each.remark}
        proto, shapes = infer(proto, told)
    for name in given:
        if not fits(given[name], shapes.dims.get(name)):
            known = text(shapes.dims[name])
            raise InputError(f"{name} is {known}, which follows from the inputs, and not {text(given[name])} as given")
    stored = graph.initializers(weights)
    graph.keep(proto.graph.input, [value for value in proto.graph.input if value.name not in stored])
    proto.graph.initializer.extend(weights.initializer)
    proto.graph.sparse_initializer.extend(weights.sparse_initializer)
    shapes = table(proto.graph, shapes.doubt)
    folded = graph.constants(proto.graph)  # nobody looks at what is stated of them
    made = {value for node in proto.graph.node for value in node.output} - folded
    for name, remark in stated.remarks(shapes, {name: kind for name, kind in said.items() if name in made}).items():
        remarks[name] = "; ".join(filter(None, (remarks.get(name), remark)))
    return proto, replace(shapes, sources=sources, remarks=remarks, bounds=bounds(proto, shapes))


def _without_weights(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.GraphProto]:
    """A copy in which large initializers are further inputs, since inference reads all of a model again and again, and
    sparse ones, of which it does not know the shapes; and these initializers, as a graph of nothing else."""
    copy, weights = type(proto)(), type(proto.graph)()
    copy.CopyFrom(proto)
    declared = {value.name for value in proto.graph.input}
    weights.initializer.extend(
        t for t in proto.graph.initializer if math.prod(t.dims) > SMALL and t.name not in declared
    )
    weights.sparse_initializer.extend(t for t in proto.graph.sparse_initializer if t.values.name not in declared)
    names = graph.initializers(weights)
    graph.keep(copy.graph.initializer, (t for t in proto.graph.initializer if t.name not in names))
    graph.keep(copy.graph.sparse_initializer, (t for t in proto.graph.sparse_initializer if t.values.name in declared))
    kinds = [(t.name, t.data_type, tuple(t.dims)) for t in weights.initializer]
    kinds += [(t.values.name, t.values.data_type, tuple(t.dims)) for t in weights.sparse_initializer]
    for name, element, dims in kinds:
        copy.graph.input.add(name=name).type.CopyFrom(type_proto((element, dims)))
    return copy, weights


@dataclass(frozen=True, slots=True)
class _Told:
    """The type of a value beyond what ONNX infers, where it is from if it does not follow from the inputs, and what
    there is to say of it."""

    kind: onnx.TypeProto
    source: str = ""
    remark: str = ""


FILE = "as the file states"
GIVEN = "as given"


def _beyond(
    proto: onnx.ModelProto,
    shapes: Shapes,
    given: Mapping[str, tuple[int, ...]],
    said: Mapping[str, onnx.TypeProto],
    before: Container[str],
) -> dict[str, _Told]:
    """The types of values that ONNX does not infer, or gets wrong, in one pass along the nodes; not of those `before`,
    which once is enough: inference does not take everything, as of a value that is made twice.

    Of a node whose inputs are known the types of the outputs are those given, those that its parts or bodies have, what
    ONNX Runtime makes, or the last resort, those `said` of them. What follows is inferred node by node, but for what is
    computed from shapes that were found on the way: that takes folding.
    """
    dims, types, others = dict(shapes.dims), dict(shapes.types), set(shapes.others)  # all grow on the way
    region = Region(proto, replace(shapes, dims=dims, types=types, others=others), frozenset(), given=given)
    found: dict[str, _Told] = {}
    late: set[str] = set()

    def ask(node: onnx.NodeProto, tell: _Teller) -> None:
        with contextlib.suppress(InputError):  # what is wrong is said when the node is lowered
            for value, told in tell(node, region).items():
                if value in before or (tell is not _corrected and region.shapes.known(value)):
                    continue
                found[value] = told
                if told.kind.HasField("tensor_type"):
                    dims[value], types[value] = sizes(told.kind), told.kind.tensor_type.elem_type
                else:
                    others.add(value)

    for node in proto.graph.node:
        reads, wanted = graph.reads(node), [value for value in node.output if value and value not in before]
        if not late.isdisjoint(reads) or (node.op_type in SHAPE_READERS and not found.keys().isdisjoint(reads)):
            late.update(node.output)
        elif wanted and all(map(region.shapes.known, reads)):
            if not found.keys().isdisjoint(reads) and not all(map(region.shapes.known, wanted)):
                ask(node, _alone)
            if all(map(region.shapes.known, wanted)):
                ask(node, _corrected)
            for tell in (_given, _inside, _made, _said(said)):
                if not all(map(region.shapes.known, wanted)):
                    ask(node, tell)
    return found


_Teller = Callable[["onnx.NodeProto", Region], Mapping[str, _Told]]
"""What may tell the types of the outputs of a node, by name."""


def _alone(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
    """What ONNX infers of a node by itself."""
    from onnx import ValueInfoProto, helper, numpy_helper, shape_inference

    reads, small = graph.reads(node), region.small
    inputs = [ValueInfoProto(name=name, type=region.type_proto(name)) for name in reads if name not in small]
    outputs = [ValueInfoProto(name=name) for name in node.output if name]
    constants = [numpy_helper.from_array(small[name], name) for name in reads if name in small]
    body = helper.make_graph([node], "alone", inputs, outputs, constants)
    proto = helper.make_model(body, ir_version=region.proto.ir_version, opset_imports=region.proto.opset_import)
    try:
        known = table(shape_inference.infer_shapes(proto).graph)
    except Exception as error:  # InferenceError, but for some models others too
        raise InputError(condense(str(error)), place=graph.place(node)) from error
    whole = [name for name in node.output if name and is_known(known.dims.get(name)) and known.types.get(name)]
    return {name: _Told(type_proto((known.types[name], known.dims[name]))) for name in whole}


def _corrected(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
    """What ONNX Runtime makes of a node, or its definition says, if ONNX infers something else."""
    defined = rules.ruled(node, region)
    asked = referee.questions(node) and (defined is not None or not rules.is_ruled(node))
    ran = referee.made(node, region) if asked else {}
    found, wrong = {}, False
    for value in filter(None, node.output):
        inferred = region.shapes(value)
        made = ran[value][1] if value in ran else defined
        source, remark = "", ""
        if made is not None and made != inferred:
            source = "as ONNX Runtime makes it" if value in ran else "by definition"
            remark = f"ONNX infers {text(inferred)} for its output {value}; {text(made)} {source} is taken"
            wrong = True
        dims = inferred if made is None else made
        found[value] = _Told(type_proto((region.shapes.types[value], dims)), source, remark)
    return found if wrong else {}


def _made(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
    """What ONNX Runtime makes of a node, or its definition says."""
    found = {value: _Told(type_proto(kind)) for value, kind in referee.made(node, region).items()}
    if not found and (defined := rules.ruled(node, region)) is not None:
        kinds = {value: region.shapes.types.get(value) for value in node.output if value}
        found = {value: _Told(type_proto((kind, defined))) for value, kind in kinds.items() if kind}
    return found


def _given(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
    """What the user gives, if it fits what is known."""
    found = {}
    for name in node.output:
        if name in region.given and fits(region.given[name], region.shapes.dims.get(name)):
            kind = region.shapes.types.get(name) or 1
            found[name] = _Told(type_proto((kind, region.given[name])), GIVEN)
    return found


def _said(said: Mapping[str, onnx.TypeProto]) -> _Teller:
    """What is stated, where it says all that is not inferred."""

    def tell(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
        found = {}
        for name in node.output:
            if name in said and (kind := stated.completed(said[name], region.shapes.dims.get(name))) is not None:
                found[name] = _Told(kind, FILE)
        return found

    return tell


def _inside(node: onnx.NodeProto, region: Region) -> dict[str, _Told]:
    """What is inferred in the parts or bodies of a node."""
    told = _results(node, region)
    return {name: _Told(type_proto(kind)) for name, kind in told.items() if is_known(kind[1])}


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
