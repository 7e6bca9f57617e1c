"""Region: a graph that runs as one: the model's, the body of a control-flow node, or the parts of an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from frontends.onnx import graph
from frontends.onnx.binding import Array, Binding
from frontends.onnx.fold import small_values
from frontends.onnx.shapes import Dims, Shapes
from mapper.errors import InputError
from mapper.ir.network import Elements

if TYPE_CHECKING:
    import onnx

Type = tuple[int, Dims | None]
"""ONNX's number of the type of an element, and the shape if its rank is known."""


@dataclass(frozen=True, eq=False)
class Region:
    """A graph with the shapes of its values and those that are constant.

    The nodes of `proto` are in an order in which they can run and carry the names that they have in the network.
    `inputs` are the values that each run of it is given, `captured` those of them that have the same name around it,
    `invented` are constants that the model does not have: who takes an operator apart needs them, nobody reads them.
    `narrow` has the bits of the integers that captured constants are made of, as those around it read them,
    `given` are the shapes that the user gives to values for which there is none.
    Once it is lowered, `bindings` has its layers by name, and `inner` the regions that its nodes are made of, by the
    node's name and what they are to it: the attribute of a body, or "" for the parts of an operator.
    """

    proto: onnx.ModelProto = field(repr=False)
    shapes: Shapes = field(repr=False)
    constant: frozenset[str] = field(repr=False)
    captured: frozenset[str] = frozenset()
    invented: frozenset[str] = frozenset()
    narrow: Mapping[str, int | None] = field(default_factory=dict)
    given: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    inner: Mapping[str, Mapping[str, Region]] = field(default_factory=dict)

    @property
    def graph(self) -> onnx.GraphProto:
        """Its graph."""
        return self.proto.graph

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that are not stored in it, in order, those of a body first."""
        stored = graph.initializers(self.graph)
        return tuple(v.name for v in self.graph.input if v.name not in stored)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """What it returns, in order."""
        return tuple(v.name for v in self.graph.output)

    @cached_property
    def values(self) -> frozenset[str]:
        """All its values."""
        made = (value for node in self.graph.node for value in node.output)
        return frozenset((*made, *graph.initializers(self.graph), *(v.name for v in self.graph.input)))

    @cached_property
    def used(self) -> frozenset[str]:
        """The values that a node reads or that it returns."""
        return frozenset(graph.used(self.graph))

    @cached_property
    def small(self) -> Mapping[str, Array]:
        """The small constants that are stored in it."""
        return small_values(self.graph)

    def moved(
        self, values: Iterable[str] | Mapping[str, int], bits: Callable[[str], int | None] | None = None
    ) -> Elements:
        """The elements of these values, or so many of them, by their own `bits` or others: of those that are somewhere
        in memory."""
        counts = values if isinstance(values, Mapping) else {name: self.shapes.elements(name) for name in values}
        found: dict[int | None, int] = {}
        for name, n in counts.items():
            if name not in self.invented:
                width = (bits or self.shapes.bits)(name)
                found[width] = found.get(width, 0) + n
        return tuple((n, width) for width, n in found.items() if n)

    def reads(self, node: onnx.NodeProto) -> tuple[str, ...]:
        """The values that running a node takes: those that it reads, and what it is made of takes instead."""
        inner = self.inner.get(node.name, {}).values()
        return tuple(dict.fromkeys((*graph.reads(node), *(value for each in inner for value in sorted(each.captured)))))

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
        return type_proto(self.type_of(value))


def type_proto(kind: Type) -> onnx.TypeProto:
    """A type as ONNX states it."""
    from onnx import helper

    element, dims = kind
    return helper.make_tensor_type_proto(element, None if dims is None else [None if n == "?" else n for n in dims])
