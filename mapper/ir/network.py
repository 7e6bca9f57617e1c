"""Network: the nodes of a model in an order in which they can run, and the tensors between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from mapper.arguments import check_fields
from mapper.ir.nest import LoopNest

Elements = tuple[tuple[int, int | None], ...]
"""Numbers of elements, each with the bits of one; None: as wide as the machine says."""


def elements_text(elements: Elements) -> str:
    """`4096,77:64` is 4096 elements as wide as the machine says and 77 of 64 bits; none are 0."""
    return ",".join(f"{n}:{bits}" if bits is not None else str(n) for n, bits in elements) or "0"


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a model.

    A node with a `nest` multiplies and accumulates and is mapped. One without is data movement: it reads and writes
    elements of the outermost memory, and moves nothing if it is a view (Reshape). One that is attached `to` a layer
    works on the layer's outputs before they are written, and reads its other operands only.

    It runs `times` times. `note` says what all this leaves out, if anything.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nest: LoopNest | None = None
    reads: Elements = ()
    writes: Elements = ()
    to: str = ""
    times: int = 1
    note: str = ""

    def facts(self) -> Iterator[str]:
        """What the text form says of it besides its nest, as `key value`."""
        if self.nest is None:
            yield f"reads {elements_text(self.reads)}"
            yield f"writes {elements_text(self.writes)}"
        if self.to:
            yield f"to {quote(self.to)}"
        if self.times != 1:
            yield f"times {self.times}"
        if self.note:
            yield f"note {json.dumps(self.note)}"


@dataclass(frozen=True)
class Network:
    """A model: its name, the shape of each tensor, and its nodes in topological order with unique names.

    `stored` are the tensors whose values are part of the model.
    """

    name: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    nodes: tuple[Node, ...]
    stored: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_fields(self)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape by tensor name."""
        return dict(self.tensors)

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The nodes that are mapped."""
        return tuple(n for n in self.nodes if n.nest is not None)

    @cached_property
    def others(self) -> tuple[Node, ...]:
        """The nodes that only move data."""
        return tuple(n for n in self.nodes if n.nest is None)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """By name, the place of each node among all, from 1."""
        return {node.name: place for place, node in enumerate(self.nodes, 1)}

    @cached_property
    def made(self) -> frozenset[str]:
        """The tensors that nodes make."""
        return frozenset(value for node in self.nodes for value in node.outputs)

    @cached_property
    def unique(self) -> Mapping[LoopNest, int]:
        """A number for each distinct nest, in order of first appearance: equal layers are solved once."""
        found: dict[LoopNest, int] = {}
        for layer in self.layers:
            assert layer.nest is not None
            found.setdefault(layer.nest, len(found))
        return found

    def __repr__(self) -> str:
        return f"<Network {self.name}: {len(self.layers)} layers, {len(self.others)} other nodes>"

    def __str__(self) -> str:
        """The text form: a line for each tensor and node; `parse_network` reads it back."""
        lines = [f"network {quote(self.name)}"]
        for name, shape in self.tensors:
            sizes = "x".join(map(str, shape)) or "scalar"
            lines.append(f"tensor {quote(name)} {sizes}{' stored' if name in self.stored else ''}")
        for n in self.nodes:
            inputs, outputs = (" ".join(map(quote, names)) for names in (n.inputs, n.outputs))
            head = f"{quote(n.name)} {quote(n.op)} ({inputs}) -> ({outputs})"
            told = " ".join(n.facts())
            lines.append(f"layer {head} {told}{' ' if told else ''}: {n.nest}" if n.nest else f"other {head} : {told}")
        return "\n".join(lines) + "\n"


def quote(name: str) -> str:
    """A name as one word of the text form: as it is if plain, else a JSON string."""
    plain = name and all(c.isalnum() or c in "_./-:" for c in name) and name != "->" and name != ":"
    return name if plain else json.dumps(name)
