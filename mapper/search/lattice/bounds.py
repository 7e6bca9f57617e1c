"""Lower bounds of what a segment of the nest costs from any boundary outwards, by dynamic programming over the lattice.

The nodes of a segment stand in a chain. From the inside out a state is the set of nodes that stand already and the
boundary above them; a move puts one more node above. Without capacities the cheapest completion of each state is a
shortest path; with a price on the words of a memory (a Lagrange multiplier) it is a bound for the problem with
capacities. A memory that holds a single tile needs no price. Arrays have shape (points, cases): the cases are different
multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mapper.search.lattice.points import LARGEST, Flags, Integers, Lattice

T = TypeVar("T", bound=np.generic)

POWERS = 16
"""Multipliers that are tried in a row, each half the one before."""

SWEEPS = 2
"""How often each of several multipliers is tuned."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes that a segment has.

    `sizes` has by node the words of its tile at each point, `memory` the number of its memory, with the capacity of
    each in `capacities` (None: unlimited), `inner` the node of the same tensor that must stand inside it, if any.
    `part_of` are the nodes on a larger lattice, with the positions of these points in it.
    """

    lattice: Lattice
    sizes: tuple[Integers, ...]
    memory: tuple[int, ...]
    capacities: tuple[int | None, ...]
    inner: tuple[int | None, ...]
    part_of: tuple[Nodes, Integers] | None = None

    @property
    def everything(self) -> int:
        """The set of all nodes; sets have a bit for each."""
        return (1 << len(self.sizes)) - 1

    @cached_property
    def shared(self) -> tuple[int, ...]:
        """The memories that hold several of the tiles in limited space: only these need a multiplier."""
        return tuple(m for m, size in enumerate(self.capacities) if size is not None and self.memory.count(m) > 1)

    @cached_property
    def sets(self) -> tuple[int, ...]:
        """The sets that can stand already, each after its subsets: with a node all further in of its tensor."""
        return tuple(
            placed
            for placed in range(self.everything + 1)
            if all(inner is None or not placed >> i & 1 or placed >> inner & 1 for i, inner in enumerate(self.inner))
        )

    def next(self, placed: int) -> tuple[int, ...]:
        """The nodes that can stand next above those placed."""
        return tuple(
            i for i, inner in enumerate(self.inner) if not placed >> i & 1 and (inner is None or placed >> inner & 1)
        )

    def within(self, lattice: Lattice, points: Integers) -> Nodes:
        """The same nodes on a smaller lattice, whose points are at these positions of this one."""
        sizes = tuple(size[points] for size in self.sizes)
        return Nodes(lattice, sizes, self.memory, self.capacities, self.inner, (self, points))

    @cached_property
    def room(self) -> dict[int, Flags]:
        """By set, where the next node can stand: those to come have larger tiles than they would have here."""
        if self.part_of:
            whole, points = self.part_of
            return {placed: fits[points] for placed, fits in whole.room.items()}
        found = {}
        for placed in self.sets:
            fits = np.ones(self.lattice.size, bool)
            for m, capacity in enumerate(self.capacities):
                if capacity is not None:
                    needed = np.zeros(self.lattice.size, np.int64)
                    for i, size in enumerate(self.sizes):
                        if self.memory[i] == m:
                            needed += size[0] if placed >> i & 1 else np.minimum(size, capacity + 1)
                    fits &= needed <= capacity
            found[placed] = fits
        return found

    def charged(self, node: int, multipliers: Integers) -> Integers:
        """What the tile of a node is charged, shape (points, cases), at multipliers of shape (memories, cases)."""
        m = self.memory[node]
        if m not in self.shared:
            return np.zeros((self.lattice.size, multipliers.shape[1]), np.int64)
        capacity = self.capacities[m]
        assert capacity is not None
        charged: Integers = np.minimum(self.sizes[node], capacity + 1)[:, None] * multipliers[m]
        return charged

    def refund(self, multipliers: Integers) -> Integers:
        """What the capacities are worth at the multipliers, shape (cases,)."""
        worth = np.zeros(multipliers.shape[1], np.int64)
        for m in self.shared:
            worth = worth + (self.capacities[m] or 0) * multipliers[m]
        return worth


@dataclass(frozen=True, eq=False)
class Move:
    """A way to put nodes above a boundary: all of a set `nodes` at one place.

    Places are the positions `at` (None: all points), with the energy `cost` of the nodes there, shape (places, 1). A
    rolling window needs a loop above: then the next boundary lies `ahead` positions further, where the dim `along` has
    the extent `reach`.
    """

    nodes: int
    cost: Integers
    at: Integers | None = None
    ahead: int = 0
    along: str = ""
    reach: int = 0

    def here(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """Values at the places."""
        return values if self.at is None else values[self.at]

    def next(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """Values at the next boundary."""
        return values if self.at is None else values[self.at + self.ahead]


def completions(nodes: Nodes, moves: tuple[Move, ...], multipliers: Integers, end: Integers) -> dict[int, Integers]:
    """By set of nodes that stand already, the least charged cost of all others, and of what comes beyond them.

    `end` is what comes beyond a boundary above all nodes, shape (points, cases), `multipliers` are (memories, cases).
    The result is (points, cases), by boundary.
    """
    found = {nodes.everything: end}
    charged = [(move, charges(nodes, move, multipliers)) for move in moves]
    for placed in reversed(nodes.sets[:-1]):
        best = np.full_like(end, LARGEST)
        for move, cost in charged:
            after = found.get(placed | move.nodes) if not placed & move.nodes else None
            if after is not None and move.at is None:
                np.minimum(best, after + cost, out=best)
            elif after is not None:
                best[move.at] = np.minimum(best[move.at], move.next(after) + cost)
        best[~nodes.room[placed]] = LARGEST
        found[placed] = nodes.lattice.spread_inwards(best, best.shape[1])
    return found


def charges(nodes: Nodes, move: Move, multipliers: Integers) -> Integers:
    """What a move costs and is charged for the words of its tiles, shape (places, cases)."""
    total = move.cost
    for node in range(len(nodes.sizes)):
        if move.nodes >> node & 1 and nodes.memory[node] in nodes.shared:
            total = total + move.here(nodes.charged(node, multipliers))
    return total


def tuned(nodes: Nodes, bounds: Callable[[Integers], Integers], scale: int) -> Integers:
    """Multipliers, shape (memories,), at which a bound is large.

    `bounds` gives it for multipliers of shape (memories, cases), shape (cases,); `scale` is an energy of its order.
    """
    best = np.zeros(len(nodes.capacities), np.int64)
    for _ in range(SWEEPS if len(nodes.shared) > 1 else 1):
        for m in nodes.shared:
            tried = row(nodes, best, m, scale)
            best = tried[:, int(bounds(tried).argmax())]
    return best


def row(nodes: Nodes, at: Integers, memory: int, scale: int) -> Integers:
    """Multipliers with one replaced by zero and by powers of two that may be of use, shape (memories, cases)."""
    top = 4 * scale // max(1, nodes.capacities[memory] or 0)
    values = sorted({0, *(top >> k for k in range(POWERS))})
    found = np.repeat(at[:, None], len(values), axis=1)
    found[memory] = values
    return found
