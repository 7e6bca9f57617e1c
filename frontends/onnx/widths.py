"""In how many bits values are read and written where a model is quantised.

Whoever reads a dequantised value reads the integers and its scale, and makes floats of them for itself; and what is
made only to be quantised is written as integers. So neither moves anything but scales, as long as all who read a value
can do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph
from frontends.onnx.expand import EXPANSIONS
from frontends.onnx.merge import LAYOUT
from frontends.onnx.region import Region
from frontends.onnx.registry import is_view
from mapper.ir.network import Elements

if TYPE_CHECKING:
    import onnx

MOVER, SELF, NOBODY = "-", "=", ""
"""Who reads the integers of a value: a node that moves data, or a body, of stored weights; a node that is made of
layers, which makes floats of stored weights for itself; none, for one needs floats."""


STORED = (2, 3, 6)
"""ONNX's numbers of int8, uint8 and int32, which every opset dequantises."""


class Widths:
    """Those of a region; `is_layer` says which of its nodes are layers.

    In the `parts` of an operator only layers read integers: the others are merged.
    """

    def __init__(self, region: Region, is_layer: Callable[[onnx.NodeProto], bool], *, parts: bool) -> None:
        self.region, self.is_layer, self.parts = region, is_layer, parts
        self.outputs = frozenset(region.outputs)
        self.makers = {value: node for node in region.graph.node for value in node.output}
        self.ends: dict[str, tuple[str, ...]] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in region.graph.node:
            for value in graph.reads(node):
                self.readers.setdefault(value, []).append(node)

    def bits(self, value: str) -> int | None:
        """The bits of what is read of a value, None for single and double precision: of the integers that it is
        dequantised from, if they can be read."""
        origin = value
        while (maker := self.makers.get(origin)) is not None and self._hands_on(maker):
            origin = maker.input[0]
        if maker is not None and maker.op_type == "DequantizeLinear" and self._all_read_integers(origin):
            return self.region.shapes.bits(maker.input[0])
        return self.region.narrow.get(origin, self.region.shapes.bits(value))

    def moved(self, values: Iterable[str] | Mapping[str, int]) -> Elements:
        """The elements of values, or so many of them, by the bits in which they are read."""
        return self.region.moved(values, self.bits)

    def dequantises(self, node: onnx.NodeProto) -> str | None:
        """The layer for which a node dequantises first, "" if that is for none; None if it is done by those who are
        made of layers, or for one who needs floats."""
        if node.op_type != "DequantizeLinear" or not self._all_read_integers(node.output[0]):
            return None
        ends = [end for end in self._ends(node.output[0]) if end != SELF]
        return next((end for end in ends if end != MOVER), "") if ends else None

    def dequantised(self, value: str) -> list[onnx.NodeProto]:
        """The nodes that make a constant of integers, in order, if the oldest opset of parts has them; else none."""
        nodes: list[onnx.NodeProto] = []
        while (maker := self.makers.get(value)) is not None and self._hands_on(maker):
            nodes.insert(0, maker)
            value = maker.input[0]
        if maker is None or maker.op_type != "DequantizeLinear" or not graph.is_standard(maker):
            return []
        of, scale = maker.input[:2]
        older = self.region.shapes.types.get(of) in STORED and self.region.shapes.bits(scale) is None
        return [maker, *nodes] if older and not any(a.name == "block_size" for a in maker.attribute) else []

    def quantised(self, value: str) -> str | None:
        """What a value that is moved is quantised to, if it is made for that alone."""
        nodes = self.readers.get(value, ())
        if self.parts or value in self.outputs or len(nodes) != 1:
            return None
        (reader,) = nodes
        return reader.output[0] if reader.op_type == "QuantizeLinear" and reader.input[0] == value else None

    def _all_read_integers(self, value: str) -> bool:
        ends = () if value in self.outputs else self._ends(value)
        return bool(ends) and NOBODY not in ends

    def _ends(self, value: str) -> tuple[str, ...]:
        """Who reads a value in the end: the names of layers, and those above."""
        if value not in self.ends:
            found, pending = [], [value]
            while pending:
                current = pending.pop(0)
                for node in self.readers.get(current, ()):
                    if self._hands_on(node):
                        pending += node.output
                        found += [NOBODY] * (not self.outputs.isdisjoint(node.output))
                    else:
                        found.append(self._end(node, current))
            self.ends[value] = tuple(found)
        return self.ends[value]

    def _end(self, node: onnx.NodeProto, value: str) -> str:
        if self.region.constant.issuperset(filter(None, node.output)):
            return NOBODY  # it is folded, and what is stored is its output
        if self.is_layer(node):
            return node.name
        stored = value in self.region.constant
        if any(graph.subgraphs(node)):
            return MOVER if stored else NOBODY
        if ("" if graph.is_standard(node) else node.domain, node.op_type) in EXPANSIONS:
            return SELF if stored else NOBODY
        return NOBODY if self.parts else MOVER

    def _hands_on(self, node: onnx.NodeProto) -> bool:
        """Whether who reads the output of a node finds its input: a view, or a constant in another order or in part,
        which is then stored so."""
        stored = node.op_type in LAYOUT or node.op_type in ("Slice", "Split")
        if stored and graph.is_standard(node) and self.region.constant.issuperset(filter(None, node.output)):
            return True
        return is_view(node, tuple(node.output), self.region.shapes.types)
