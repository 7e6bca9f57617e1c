"""Label setting: the chains of a segment's nodes that may cost no more than a limit, from the inside out.

A label is a chain of the nodes that stand already: its outer boundary, its cost, and the words that it takes of each
memory that several tiles share. Of two labels with the same nodes and the same boundary, one that costs no more and
takes no more of any memory dominates the other. A label dies when its cost and the bound of what is still to come
(`bounds`) exceed the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mapper.search.lattice.bounds import Move, Nodes, charges
from mapper.search.lattice.points import LARGEST, Integers

PAIRS = 1 << 20
"""Pairs of a label and a next point that are looked at together."""

PREDECESSORS = 16
"""How many cheaper labels of the same boundary each label is compared with; all would only be more work."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Arrays of labels: all of shape (labels,), but `used` of shape (memories, labels).

    `point` is the boundary, `cost` what the nodes cost. The last move was the one number `move`, to the point `place`,
    from the label number `origin` of those without the nodes that it put.
    """

    point: Integers
    cost: Integers
    used: Integers
    move: Integers
    place: Integers
    origin: Integers

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, chosen: Integers) -> Labels:
        return Labels(
            self.point[chosen],
            self.cost[chosen],
            self.used[:, chosen],
            self.move[chosen],
            self.place[chosen],
            self.origin[chosen],
        )


def started(points: Integers, costs: Integers, memories: int) -> Labels:
    """Labels without nodes, whose boundaries are these points."""
    nothing = np.full(len(points), -1, np.int64)
    return Labels(points, costs, np.zeros((memories, len(points)), np.int64), nothing, nothing, nothing)


def grow(
    nodes: Nodes,
    moves: tuple[Move, ...],
    multipliers: Integers,
    bounds: dict[int, Integers],
    start: Labels,
    limit: int,
) -> dict[int, Labels]:
    """By set of nodes the labels that are neither dominated nor bound to cost more than `limit`.

    `bounds` are the completions, by set, of shape (points,), at `multipliers` of shape (memories,).
    """
    charged = [charges(nodes, move, multipliers[:, None])[:, 0] for move in moves]
    most = limit + int(nodes.refund(multipliers[:, None])[0])
    found = {0: start}
    for placed in nodes.sets[1:]:
        grown: list[Labels] = []
        for number, move in enumerate(moves):
            before = placed & ~move.nodes
            if placed == before | move.nodes and before in found and len(found[before]):
                left = most - found[before].cost - multipliers @ found[before].used
                value = np.where(move.here(nodes.room[before]), charged[number] + move.next(bounds[placed]), LARGEST)
                grown += _placed(nodes, number, move, value, found[before], left)
        found[placed] = _undominated(_joined(grown, len(nodes.capacities)))
    return found


def _placed(nodes: Nodes, number: int, move: Move, value: Integers, labels: Labels, left: Integers) -> Iterator[Labels]:
    """The labels after a move, to any place that they divide and whose `value` is at most what is `left`.

    The value of a place is what the move is charged there, and the bound of what comes above.
    """
    lattice = nodes.lattice
    places = np.flatnonzero(value <= left.max())
    places = places[np.argsort(value[places], kind="stable")]
    counts = np.searchsorted(value[places], left, side="right")
    for chunk in _chunks(counts):
        label = np.repeat(chunk, counts[chunk])
        starts = np.cumsum(counts[chunk]) - counts[chunk]
        place = places[np.arange(len(label)) - np.repeat(starts, counts[chunk])]
        point = place if move.at is None else move.at[place]
        divides = lattice.divides(lattice.codes[labels.point[label]], lattice.codes[point])
        label, place, point = label[divides], place[divides], point[divides]
        used, fits = labels.used[:, label], np.ones(len(label), bool)
        for node, (size, memory) in enumerate(zip(nodes.sizes, nodes.memory, strict=True)):
            if move.nodes >> node & 1 and memory in nodes.shared:
                used[memory] += size[point]
        for memory in nodes.shared:
            fits &= used[memory] <= nodes.capacities[memory]
        total = labels.cost[label] + move.cost[place, 0]
        grown = Labels(point + move.ahead, total, used, np.full(len(point), number, np.int64), point, label)
        yield grown[np.flatnonzero(fits)]


def _chunks(counts: Integers) -> Iterator[Integers]:
    """The positions of `counts` in runs whose sums are about PAIRS at most."""
    run = np.cumsum(counts) // PAIRS
    for first in np.unique(run):
        yield np.flatnonzero(run == first)


def _joined(parts: list[Labels], memories: int) -> Labels:
    if not parts:
        return started(np.zeros(0, np.int64), np.zeros(0, np.int64), memories)
    return Labels(
        np.concatenate([part.point for part in parts]),
        np.concatenate([part.cost for part in parts]),
        np.concatenate([part.used for part in parts], axis=1),
        np.concatenate([part.move for part in parts]),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.origin for part in parts]),
    )


def _undominated(labels: Labels) -> Labels:
    """The labels without most of those that another dominates."""
    labels = labels[np.lexsort((*labels.used, labels.cost, labels.point))]
    dominated = np.zeros(len(labels), bool)
    for back in range(1, min(PREDECESSORS, len(labels) - 1) + 1):
        same = labels.point[back:] == labels.point[:-back]
        if not same.any():
            break
        dominated[back:] |= same & (labels.used[:, :-back] <= labels.used[:, back:]).all(axis=0)
    return labels[np.flatnonzero(~dominated)]


def first_of_each(points: Integers, costs: Integers) -> Integers:
    """The positions of the least cost at each point."""
    order = np.lexsort((costs, points))
    return order[np.flatnonzero(np.diff(points[order], prepend=-1))]
