"""From an ONNX model to a Network: MAC operators become loop nests, everything else stays as data movement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frontends.onnx import files, graph
from frontends.onnx.binding import Binding
from frontends.onnx.registry import FAMILIES, SHAPE_READERS, UNMAPPED, VIEWS
from frontends.onnx.shapes import Shapes, infer, override
from frontends.onnx.site import Lowered, Site
from mapper.errors import InputError
from mapper.ir import Network, Node

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A model that was read: its network, the binding of each layer by name, and the model with inferred shapes.

    `path` and `sha256` are the file's; a survey network has its name as path and the hash of the built model. The
    nodes of `proto` are in an order in which they can run and carry the names of the network's nodes.
    """

    network: Network
    bindings: Mapping[str, Binding]
    proto: onnx.ModelProto = field(repr=False)
    path: Path
    sha256: str


def load(model: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> OnnxModel:
    """The model of that file or short name; `shapes` gives inputs a shape, by input name.

    Raises InputError for what is missing, no ONNX model, broken, of unknown shape or multiplies in a way that is not
    supported. Weights stored beside the file are not read.
    """
    proto, path, sha256 = files.read(model)
    try:
        if proto.functions:
            from onnx import inliner

            proto = inliner.inline_local_functions(proto)
        graph.name_nodes(proto.graph)
        graph.sort(proto.graph)
        files.check(proto, model)
        override(proto, shapes or {})
        proto, known = infer(proto)
        network, bindings = _lower(proto.graph, known, model if model in files.short_names() else path.stem)
    except InputError as error:
        place = model if not error.place or error.place == model else f"{model}, {error.place}"
        # names in a damaged file may hold anything
        raise InputError(_printable(error.message), place=_printable(place), hint=error.hint) from error
    return OnnxModel(network, bindings, proto, path, sha256)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _lower(source: onnx.GraphProto, shapes: Shapes, name: str) -> tuple[Network, dict[str, Binding]]:
    constant, used = graph.constants(source), graph.used(source)
    taken = {node.name for node in source.node}
    nodes: list[Node] = []
    bindings: dict[str, Binding] = {}
    for node in source.node:
        if all(value in constant for value in node.output if value):
            continue
        if node.op_type in FAMILIES and graph.is_standard(node):
            lowered = _layer(node, shapes)
            result = lowered.binding.result
            operands = tuple(view.value for view in lowered.binding.operands.values())
            bindings[node.name] = lowered.binding
            nodes.append(Node(node.name, node.op_type, operands, (result.value,), lowered.nest))
            if result.bias is not None:
                bias = graph.unique(f"{node.name}/bias", taken)
                nodes.append(Node(bias, "Bias", (result.bias,), (), None, result.bias_words, 0))
        else:
            nodes.append(_other(node, shapes, used))
    values = dict.fromkeys(value for node in nodes for value in (*node.inputs, *node.outputs))
    tensors = tuple((value, shapes(value)) for value in values if value not in shapes.others)
    return Network(name, tensors, tuple(nodes)), bindings


def _layer(node: onnx.NodeProto, shapes: Shapes) -> Lowered:
    site = Site(node.name, node.op_type, tuple(node.input), tuple(node.output), graph.attributes(node), shapes)
    try:
        return FAMILIES[node.op_type](site)
    except InputError as error:
        if error.place and error.place.startswith(site.op):
            raise
        # a nest that refuses its extents, or a shape that is missing, does not know its node
        raise site.refuse(error.message, error.hint) from error


def _other(node: onnx.NodeProto, shapes: Shapes, used: set[str]) -> Node:
    note = _note(node)
    inputs = graph.reads(node)
    outputs = tuple(value for value in node.output if value in used) or tuple(node.output[:1])
    if _is_view(node, outputs):
        return Node(node.name, node.op_type, inputs, outputs)
    try:
        reads = 0 if node.op_type in SHAPE_READERS else sum(map(shapes.elements, inputs))
        writes = sum(map(shapes.elements, outputs))
        return Node(node.name, node.op_type, inputs, outputs, None, reads, writes, note)
    except InputError as error:
        raise InputError(error.message, place=graph.place(node), hint=error.hint) from error


def _note(node: onnx.NodeProto) -> str:
    """What the node's traffic does not say: arithmetic that is not counted."""
    inside = set(graph.operators_inside(node))
    if node.op_type in UNMAPPED or inside & (UNMAPPED | set(FAMILIES)):
        return "its multiply-accumulates are not counted"
    return ""


def _is_view(node: onnx.NodeProto, outputs: tuple[str, ...]) -> bool:
    if node.op_type not in VIEWS or not graph.is_standard(node):
        return False
    # a Dropout that trains or whose mask is used does write something
    return node.op_type != "Dropout" or (len(node.input) < 3 and outputs == (node.output[0],))
