"""What the parts of an operator move: nodes that move data are merged where no layer stands between them.

Whoever runs an operator as a whole keeps to himself what passes between its parts. It moves what such a group reads and
does not make itself, and what is read of it elsewhere; where only the order of elements changes, or a part of them is
meant, whoever reads them finds them where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from frontends.onnx import graph, traffic
from frontends.onnx.region import Region
from frontends.onnx.registry import VIEWS, is_view
from mapper.ir import Node

if TYPE_CHECKING:
    import onnx

LAYOUT = VIEWS | {"Transpose"}
"""Operators that change nothing but where an element is found."""

Label = Callable[[str], str]
"""From the name of a value in a region to its name in the network."""


def merged(
    region: Region,
    nodes: list[Node],
    movers: Mapping[str, onnx.NodeProto],
    owners: Mapping[str, str],
    label: Label,
    rest: Node,
    unique: Callable[[str], str],
) -> list[Node]:
    """The nodes of a region of parts, in an order in which they can run.

    `movers` are its nodes that move data, by name, `owners` says of which of its nodes a node of the network comes. A
    group is like `rest`, under a `unique` name.
    """
    flow = _Flow(region, movers)
    groups: list[tuple[int, Node]] = []
    for level in sorted(set(flow.group.values())):
        read, written = flow.moved(level)
        note = next((n.note for n in nodes if flow.group.get(n.name) == level and n.note), "")
        group = replace(
            rest,
            name=unique(rest.name),
            inputs=tuple(dict.fromkeys(label(flow.whole(v)) for v in read if v not in region.invented)),
            outputs=tuple(map(label, written)),
            reads=region.moved(read),
            writes=region.moved(written),
            note=note,
        )
        groups.append((level, group))
    views = {n.name: n for n in region.graph.node if is_view(n, tuple(n.output), region.shapes.types)}
    still = views | {name: node for name, node in movers.items() if name not in flow.group}
    others = [n for n in region.graph.node if n.name not in movers and n.name not in views]
    needed = {*region.outputs, *(value for node in others for value in graph.reads(node))}
    kept: list[tuple[int, Node]] = []
    for node in reversed(nodes):
        if node.name in still:  # it makes what layers find in another order, or in part
            if needed.isdisjoint(still[node.name].output):
                continue
            needed.update(graph.reads(still[node.name]))
            node = replace(node, reads=(), writes=())
        if node.name not in flow.group:
            kept.append((flow.before[owners[node.name]], node))
    return _in_order([node for _, node in sorted([*groups, *reversed(kept)], key=lambda pair: pair[0])])


def _in_order(nodes: list[Node]) -> list[Node]:
    """The nodes, each behind those that make what it reads, as near to their places as that allows."""
    makers = {value: node for node in nodes for value in node.outputs}
    ordered: dict[str, Node] = {}
    begun = set[str]()
    pending = [(node, False) for node in reversed(nodes)]
    while pending:
        node, ready = pending.pop()
        if ready:
            ordered[node.name] = node
        elif node.name not in begun:
            begun.add(node.name)
            earlier = [makers[value] for value in reversed(node.inputs) if value in makers]
            pending += [(node, True), *((maker, False) for maker in earlier)]
    return list(ordered.values())


class _Flow:
    """How values pass through a region of parts.

    `before` says how many layers stand before a node, `group` the same of those that move data and are merged.
    """

    def __init__(self, region: Region, movers: Mapping[str, onnx.NodeProto]) -> None:
        self.region, self.movers = region, movers
        self.before: dict[str, int] = {}
        self.group: dict[str, int] = {}
        self.roots: dict[str, str] = {}  # by value that is another one in another order, that one
        self.wholes: dict[str, str] = {}  # by part of a value that is split, that value
        self.read_by: dict[str, set[int | None]] = {}  # by value, the groups that read it; None for all else
        levels: dict[str, int] = {}
        for node in region.graph.node:
            reads = graph.reads(node)
            level = self.before[node.name] = max((levels.get(value, 0) for value in reads), default=0)
            mover, view = node.name in movers, is_view(node, tuple(node.output), region.shapes.types)
            if mover and node.op_type == "Split":
                root = self._root(reads[0])
                self.wholes |= {value: self.whole(root) for value in node.output if value}
            elif view or (mover and node.op_type in LAYOUT):
                self.roots |= {value: self._root(reads[0]) for value in node.output if value}
            else:
                if mover:
                    self.group[node.name] = level
                for value in reads:
                    self._read(value, level if mover else None)
            moves_on = mover or view or node.op_type in LAYOUT or region.constant.issuperset(filter(None, node.output))
            levels |= {value: level + (not moves_on) for value in node.output if value}
        for value in region.outputs:
            self._read(value, None)

    def moved(self, level: int) -> tuple[dict[str, int], tuple[str, ...]]:
        """The elements that a group reads of values, and the values that it writes."""
        nodes = [self.movers[name] for name, at in self.group.items() if at == level]
        made = dict.fromkeys(value for node in nodes for value in node.output if value)
        picked: dict[tuple[str, ...], int] = {}  # by value and by what says where
        for node in nodes:
            for value, n in traffic.read(node, self.region).items():
                if self.whole(root := self._root(value)) not in made:
                    picked[root, node.op_type, *node.input[1:]] = n
        found: dict[str, int] = {}
        for (root, *_), n in picked.items():
            found[root] = min(self.region.shapes.elements(root), found.get(root, 0) + n)
        return found, tuple(value for value in made if self.read_by.get(value, set()) - {level})

    def _root(self, value: str) -> str:
        return self.roots.get(value, value)

    def whole(self, root: str) -> str:
        """The value that one is a part of, or itself."""
        return self.wholes.get(root, root)

    def _read(self, value: str, reader: int | None) -> None:
        self.read_by.setdefault(self.whole(self._root(value)), set()).add(reader)
