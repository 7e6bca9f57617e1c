"""The ONNX graph as such: what nodes read, their order and names, and which values are constant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from frontends.onnx.registry import RANDOM, STANDARD_DOMAINS
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes as Python values; strings decoded, tensors and graphs as protos. An empty list is as good as none,
    and no node can be made of one, as its elements have no type."""
    from onnx import helper

    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    values = {k: v for k, v in values.items() if not isinstance(v, list) or v}
    return {k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for k, v in values.items()}


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The bodies of If, Loop and Scan."""
    for a in node.attribute:
        if a.HasField("g"):
            yield a.g
        yield from a.graphs


def reads(node: onnx.NodeProto) -> tuple[str, ...]:
    """The distinct values that the node reads, those that its subgraphs take from outside included."""
    names = dict.fromkeys(name for name in node.input if name)
    for body in subgraphs(node):
        names.update(dict.fromkeys(captured(body)))
    return tuple(names)


def captured(body: onnx.GraphProto) -> Iterator[str]:
    """What a subgraph takes from the graph around it."""
    inside = {v.name for v in body.input} | {t.name for t in body.initializer}
    for node in body.node:
        yield from (name for name in reads(node) if name not in inside)
        inside.update(node.output)
    yield from (v.name for v in body.output if v.name not in inside)


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the subgraphs in it, at every depth."""
    yield graph
    for node in graph.node:
        for body in subgraphs(node):
            yield from all_graphs(body)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Its nodes, and those of its subgraphs."""
    return (node for each in all_graphs(graph) for node in each.node)


def stated_inside(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """What the bodies of its nodes, at every depth, state of their values, but for the number of a Loop's trip and
    whether it goes on: ONNX Runtime needs these."""
    for node in all_nodes(graph):
        for body in subgraphs(node):
            yield from (*body.input[2 * (node.op_type == "Loop") :], *body.value_info, *body.output)


def initializers(graph: onnx.GraphProto) -> set[str]:
    """The names of the values stored in the model."""
    return {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}


def constants(graph: onnx.GraphProto, given: Iterable[str] = ()) -> set[str]:
    """The values that no input of the model reaches: initializers, those `given`, and what follows from these alone."""
    found = initializers(graph).union(given)
    for node in graph.node:
        if found.issuperset(reads(node)) and not is_random(node):
            found.update(name for name in node.output if name)
    return found


def is_random(node: onnx.NodeProto) -> bool:
    """Whether the outputs of a node are no constants even if its inputs are: its own, or of what it runs."""
    inside = (inner for body in subgraphs(node) for inner in all_nodes(body))
    return any(n.op_type in RANDOM or (n.op_type == "Dropout" and len(n.input) > 2) for n in (node, *inside))


def used(graph: onnx.GraphProto) -> set[str]:
    """The values that a node reads or the model returns."""
    return {name for node in graph.node for name in reads(node)} | {v.name for v in graph.output}


def name_nodes(graph: onnx.GraphProto, taken: set[str], prefix: str = "") -> None:
    """Give each node a name that is not `taken`: `prefix` and its own, or if that is empty or not the only one its
    operator and index, `Conv_3`. The nodes of subgraphs are named when these are lowered."""
    given = Counter(node.name for node in graph.node)
    own = {f"{prefix}{name}" for name, times in given.items() if times == 1 and name}
    free, reserved = own - taken, taken | own
    for index, node in enumerate(graph.node):
        name = f"{prefix}{node.name}"
        if not node.name or name not in free or given[node.name] > 1:
            name = unique(f"{prefix}{node.op_type}_{index}", reserved)
        node.name = name
    taken |= reserved


def unique(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it if it is in `taken`, to which the result is added."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def sort(graph: onnx.GraphProto) -> None:
    """Bring the nodes into an order in which each follows what it reads, unless they are in one already.

    Raises InputError if a value is read that nothing produces, one is produced twice, or there is a cycle.
    """
    known = initializers(graph) | {v.name for v in graph.input}
    producer: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name in producer or (name in known and name):
                raise InputError(f"the value {name} is produced twice", place=place(node))
            if name:
                producer[name] = index
    ordered, done = True, set(known)
    for node in graph.node:
        for name in reads(node):
            if name not in known and name not in producer:
                raise InputError(f"it reads {name}, which nothing produces", place=place(node))
            ordered = ordered and name in done
        done.update(node.output)
    if not ordered:
        order = _topological(graph, producer)
        keep(graph.node, [graph.node[i] for i in order])


def keep(messages: Any, kept: Iterable[Any]) -> None:
    """Make a repeated field consist of these messages, which may be some of its own."""
    copies = [type(message).FromString(message.SerializeToString()) for message in kept]
    del messages[:]
    messages.extend(copies)


def _topological(graph: onnx.GraphProto, producer: dict[str, int]) -> list[int]:
    import networkx  # half a second, and nearly every model is in order

    edges: networkx.DiGraph[int] = networkx.DiGraph()
    edges.add_nodes_from(range(len(graph.node)))
    edges.add_edges_from(
        (producer[name], i) for i, node in enumerate(graph.node) for name in reads(node) if name in producer
    )
    try:
        return list(networkx.lexicographical_topological_sort(edges))
    except networkx.NetworkXUnfeasible:
        cycle = [graph.node[i].name for i, _ in networkx.find_cycle(edges)]
        raise InputError(f"the graph has a cycle: {' -> '.join([*cycle, cycle[0]])}") from None


def place(node: onnx.NodeProto) -> str:
    """How an error names the node."""
    return f"{node.op_type} node {node.name}"


def is_standard(node: onnx.NodeProto) -> bool:
    """Whether the operator is one of the ONNX standard."""
    return node.domain in STANDARD_DOMAINS
