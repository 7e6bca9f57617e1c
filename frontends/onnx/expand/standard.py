"""Operators that the ONNX standard itself defines by others: their parts are what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from frontends.onnx import graph
from frontends.onnx.expand.body import Body
from frontends.onnx.fold import rename
from frontends.onnx.shapes import condense

if TYPE_CHECKING:
    import onnx


def function(body: Body) -> None:
    """The operator as the standard defines it for inputs of these types. A part is named by what it makes."""
    from onnx import ValueInfoProto, helper, inliner

    node, given, wanted = body.node, set(filter(None, body.site.inputs)), list(filter(None, body.site.outputs))
    defined = _definition(body)
    for part in _parts(defined.node):
        part.name = part.output[0]
    alone = helper.make_graph(
        [node],
        "alone",
        [helper.make_value_info(value, body.region.type_proto(value)) for value in sorted(given)],
        [ValueInfoProto(name=value) for value in wanted],
    )
    model = helper.make_model(alone, functions=[defined], opset_imports=defined.opset_import)
    try:
        nodes = inliner.inline_local_functions(model).graph.node
    except Exception as error:  # RuntimeError where there are more inputs than it has, and others: no common base
        raise body.site.refuse(f"it does not fit its definition: {condense(str(error))}") from error
    body.nodes = [rename(part, lambda value: value if value in given else f"{body.prefix}{value}") for part in nodes]
    for part in _parts(body.nodes):
        part.name = part.name.partition(_CALL)[0]
    body.opsets = list(defined.opset_import)
    body.results = {value: f"{body.prefix}{value}" for value in wanted}


_CALL = "__1"
"""What the inliner puts behind the names in the first function that it inlines, and then a number if it must."""


def _parts(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """These nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for inner in graph.subgraphs(node):
            yield from _parts(inner.node)


def _definition(body: Body) -> onnx.FunctionProto:
    """The standard's function for a node, under the name of its operator."""
    from onnx import FunctionProto, TypeProto, defs

    node, region = body.node, body.region
    domain = "" if graph.is_standard(node) else node.domain
    try:
        schema: Any = defs.get_schema(node.op_type, body.version, domain)
    except defs.SchemaError as error:
        raise body.site.refuse(f"there is no such operator in opset {body.version}") from error
    if schema.has_context_dependent_function:
        version = max(v for v in schema.context_dependent_function_opset_versions if v <= body.version)
        kinds = [region.type_proto(value) if value else TypeProto() for value in node.input]
        found = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), [kind.SerializeToString() for kind in kinds]
        )
    else:
        found = schema.get_function_with_opset_version(
            max(v for v in schema.function_opset_versions if v <= body.version)
        )
    defined: onnx.FunctionProto = FunctionProto.FromString(found)
    defined.domain, defined.name = node.domain, node.op_type
    return defined
