"""Network: the nodes of a model in an order in which they can run, and the tensors between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mapper.ir.nest import LoopNest


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a model.

    A node with a `nest` multiplies and accumulates and is mapped. One without is data movement: it reads `reads` and
    writes `writes` elements of the outermost memory; both are 0 for a view (Reshape), which moves nothing. `note` says
    what that leaves out, if anything.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nest: LoopNest | None = None
    reads: int = 0
    writes: int = 0
    note: str = ""


@dataclass(frozen=True)
class Network:
    """A model: its name, the shape of each tensor, and its nodes in topological order with unique names."""

    name: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    nodes: tuple[Node, ...]

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
    def unique(self) -> Mapping[LoopNest, int]:
        """A number for each distinct nest, in order of first appearance: equal layers are solved once."""
        found: dict[LoopNest, int] = {}
        for layer in self.layers:
            assert layer.nest is not None
            found.setdefault(layer.nest, len(found))
        return found

    def __str__(self) -> str:
        """The text form: a line for each tensor and node; `parse_network` reads it back."""
        lines = [f"network {quote(self.name)}"]
        lines += [f"tensor {quote(name)} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in self.tensors]
        for n in self.nodes:
            inputs, outputs = (" ".join(map(quote, names)) for names in (n.inputs, n.outputs))
            head = f"{quote(n.name)} {quote(n.op)} ({inputs}) -> ({outputs})"
            moved = f"reads {n.reads} writes {n.writes}{f' note {json.dumps(n.note)}' if n.note else ''}"
            lines.append(f"layer {head} : {n.nest}" if n.nest else f"other {head} : {moved}")
        return "\n".join(lines) + "\n"


def quote(name: str) -> str:
    """A name as one word of the text form: as it is if plain, else a JSON string."""
    plain = name and all(c.isalnum() or c in "_./-:" for c in name) and name != "->" and name != ":"
    return name if plain else json.dumps(name)
