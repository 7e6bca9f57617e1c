"""What a storage node costs: its energy as a function of its own tile extents (`docs/model.md`, Counts).

The words moved between a node and the next one outwards depend on the extents of the inner of the two only, and on what
the instances of the fan-out between them share. So the energy of a mapping is a sum over its nodes (and the compute
unit) of tables over the lattice. An output's nodes below the fan-out start their parts of sums from zero, which saves
each of them what the first of them starts: that is charged to the first.

Energies are integers over `arch.prices.denominator`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mapper.arch import FanOut, Memory
from mapper.ir import Role, Tensor
from mapper.search.lattice.points import Integers, Lattice
from mapper.search.lattice.spatial import Sharing
from mapper.search.mapspace import Mapspace, Slot

Kept = tuple[Slot, ...]
"""The nodes that a tensor has below its home, outermost first."""

ALONE = Sharing((1,), 1, 0)
"""What a single instance shares."""

MOST_ENERGIES = 1 << 24
"""Tables are forgotten when they have more numbers than that together."""


@dataclass(frozen=True, eq=False)
class Link:
    """What passes between two nodes of a tensor, `child` None for the compute unit.

    The link across the fan-out `crosses`, and has all links further in as (parent, child) in `later`. Where the parent
    stands above the fan-out, one visit of each element of an output is `started` there from zero.
    """

    tensor: Tensor
    parent: Memory
    child: Memory | None
    crosses: bool
    started: bool
    later: tuple[tuple[Memory, Memory | None], ...]


class Prices:
    """The tables of a mapspace over its lattice."""

    def __init__(self, space: Mapspace, lattice: Lattice) -> None:
        self.space, self.lattice = space, lattice
        self.fanout: FanOut | None = next(iter(space.arch.fanouts), None)
        self._links: dict[tuple[object, ...], Link] = {}
        self._energies: dict[tuple[Link, Sharing], Integers] = {}
        self._overlaps: dict[tuple[str, str], Integers] = {}
        self._footprints: dict[tuple[str, str], Integers] = {}
        self._moved = {t.name: lattice.elements(t) * lattice.pieces() for t in space.nest.tensors}

    def choices(self, tensor: Tensor) -> Iterator[Kept]:
        """All sets of nodes that the tensor may have."""
        slots = self.space.slots[tensor.name]
        optional = [slot for slot in slots if not slot.required]
        for count in range(len(optional) + 1):
            for left_out in combinations(optional, count):
                yield tuple(slot for slot in slots if slot not in left_out)

    def footprint(self, tensor: Tensor, memory: Memory) -> Integers:
        """Words of the memory that the tensor's tile takes at each point."""
        key = tensor.name, memory.name
        if key not in self._footprints:
            elements: Any = self.lattice.elements(tensor)
            self._footprints[key] = memory.words(elements, self.space.arch.bits(tensor))  # type: ignore[assignment]
        return self._footprints[key]

    def links(self, tensor: Tensor, kept: Kept) -> tuple[Link, ...]:
        """The links of a tensor that has these nodes, outermost first; the last is that of the compute unit."""
        arch = self.space.arch
        memories = [arch.home, *(arch.memory(slot.memory) for slot in kept)]
        ends = tuple(zip(memories, [*memories[1:], None], strict=True))
        above = sum(slot.segment < len(arch.fanouts) for slot in kept) if arch.fanouts else len(ends)
        return tuple(self._link(tensor, ends, i, above) for i in range(len(ends)))

    def _link(self, tensor: Tensor, ends: tuple[tuple[Memory, Memory | None], ...], i: int, above: int) -> Link:
        """The link number `i` of those, of which so many are `above` the fan-out; equal links are one."""
        (parent, child), later = ends[i], ends[i + 1 :] if i == above else ()
        names = tuple((outer.name, inner and inner.name) for outer, inner in ((parent, child), *later))
        key = tensor.name, i == above, i <= above, names
        if key not in self._links:
            self._links[key] = Link(tensor, parent, child, i == above, i <= above, later)
        return self._links[key]

    def own(self, tensor: Tensor, sharing: Sharing) -> Sharing:
        """What matters of a sharing to one tensor."""
        joined = sharing.joined[self.space.nest.tensors.index(tensor)]
        parts = sharing.parts if tensor.role is Role.OUTPUT else 1
        return Sharing((joined,), parts, sharing.length)

    def energy(self, link: Link, sharing: Sharing = ALONE) -> Integers:
        """Energy of a link by the extents of its child; of the compute unit's, shape (1,).

        It means nothing at points at which the factors of the sharing cannot stand.
        """
        key = link, sharing
        if key not in self._energies:
            if len(self._energies) * self.lattice.size > MOST_ENERGIES:
                self._energies.clear()
            moved = self._moved[link.tensor.name]
            charge = self._drained if link.tensor.role is Role.OUTPUT else self._loaded
            # tiles of the compute unit are single elements
            self._energies[key] = charge(link, sharing, moved if link.child else moved[:1])
        return self._energies[key]

    def rolled(self, link: Link, sharing: Sharing, dim: str, reach: int, points: Integers) -> Integers:
        """The energy at some points of a link whose child rolls along a dim, where the loop above cuts `reach`.

        What two consecutive tiles share is loaded once.
        """
        n, x = self.space.dims[dim], self.lattice.extents[dim][points]
        pairs = n // x - n // reach
        inside = self._moved[link.tensor.name][points] - pairs * self._overlap(link.tensor, dim)[points]
        return self._loaded(link, sharing, inside)

    def _overlap(self, tensor: Tensor, dim: str) -> Integers:
        """Elements that two consecutive tiles along a dim have in common, all pairs of such places together."""
        key = tensor.name, dim
        if key not in self._overlaps:
            self._overlaps[key] = self._overlapping(tensor, dim)
        return self._overlaps[key]

    def _overlapping(self, tensor: Tensor, dim: str) -> Integers:
        found: Integers = self.lattice.pieces() // (self.space.dims[dim] // self.lattice.extents[dim])
        for rank in tensor.ranks:
            coef = next((term.coef for term in rank if term.dim == dim), 0)
            extents = (
                term.coef * (self.lattice.extents[term.dim] - 1)
                for term in rank
                if term.dim in self.lattice.dims and term.dim != dim
            )
            found = found * np.maximum(0, sum(extents) + 1 - coef)
        return found

    def _loaded(self, link: Link, sharing: Sharing, inside: Integers) -> Integers:
        """Energy of an operand's way down."""
        price, bits = self.space.arch.prices, self.space.arch.bits(link.tensor)
        outside = inside // sharing.joined[0]
        energy = price.read[link.parent.name] * _accesses(link.parent, outside, bits)
        if link.child:
            energy = energy + price.write[link.child.name] * _accesses(link.child, inside, bits)
        if link.crosses and self.fanout:
            name = self.fanout.name
            energy = energy + price.deliver[name] * inside + price.hop[name] * sharing.length * outside
        return energy

    def _drained(self, link: Link, sharing: Sharing, inside: Integers) -> Integers:
        """Energy of an output's way up, and of its re-fills."""
        arch, price = self.space.arch, self.space.arch.prices
        words = {m.name: m.words(1, arch.bits(link.tensor)) for m in arch.memories}
        read, write = ({name: paid[name] * each for name, each in words.items()} for paid in (price.read, price.write))
        outside, groups = inside // sharing.joined[0], inside // sharing.parts
        fresh = self.space.nest.words(link.tensor) if link.started else 0
        refilled = groups - fresh if link.child else 0 * groups  # the parent adds what comes from the compute unit
        energy = write[link.parent.name] * outside + read[link.parent.name] * (outside - fresh)
        if link.child:
            energy = energy + read[link.child.name] * inside + write[link.child.name] * refilled
        if link.crosses and self.fanout:
            name = self.fanout.name
            energy = energy + price.reduce[name] * (inside - outside) + price.deliver[name] * refilled
            energy = energy + price.hop[name] * sharing.length * (outside + refilled)
        saved = sum(read[parent.name] + (write[child.name] if child else 0) for parent, child in link.later)
        return energy - saved * (inside - groups + fresh)


def _accesses(memory: Memory, elements: Integers, bits: int | None) -> Integers:
    """Lines that so many elements of a width take."""
    words: Any = memory.words(elements, bits)  # type: ignore[arg-type]
    lines: Integers = -(-words // memory.line_words)
    return lines
