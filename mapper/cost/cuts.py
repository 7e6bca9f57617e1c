"""Cuts: into which pieces the loops of a mapping cut each dim, clipped last pieces included.

Dims are cut independently of each other, so every sum over all tiles factors per dim, and over the dims of one rank.
All arithmetic here holds for integers and for integer arrays alike: with arrays for steps a mapping stands for many,
and every count that depends on a step is an array (`mapper.cost.batch`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Dict
from itertools import product

from mapper.arrays import least, most
from mapper.cost.halo import union_words
from mapper.ir import LoopNest, Rank, Tensor
from mapper.mapping import Keep, Loop, Mapping, ParFor

Pieces = list[tuple[int, int]]
"""Sizes, each with how many pieces have it."""

NONE: frozenset[int] = frozenset()


class Cuts:
    """The cuts of one mapping of a layer. Positions are those of the mapping's items.

    `steps`, by position, stand in for the steps of the mapping's loops.
    """

    def __init__(self, nest: LoopNest, mapping: Mapping, steps: Dict[int, int] | None = None) -> None:
        self.nest, self.mapping = nest, mapping
        self.loops: dict[str, list[tuple[int, Loop | ParFor]]] = {d: [] for d, _ in nest.dims}
        self.step: dict[int, int] = {}  # of each loop: a step beyond the piece that it cuts does what that piece does
        self.instances: dict[int, int] = {}  # of a spatial loop, for each instance above it
        tile = dict(nest.dims)
        for index, item in enumerate(mapping.items):
            if not isinstance(item, Keep):
                self.loops[item.dim].append((index, item))
                piece = tile[item.dim]
                tile[item.dim] = self.step[index] = least(piece, item.step if steps is None else steps[index])
                if isinstance(item, ParFor):
                    self.instances[index] = -(-piece // tile[item.dim])
        self._pieces: dict[tuple[str, int, frozenset[int]], Pieces] = {}

    def largest(self, dim: str, position: int) -> int:
        """The largest piece of a dim below the items before `position`."""
        loops = self.above(dim, position)
        return self.step[loops[-1][0]] if loops else self.nest.extents[dim]

    def above(self, dim: str, position: int) -> list[tuple[int, Loop | ParFor]]:
        """The loops over a dim above a position, outermost first."""
        return [loop for loop in self.loops[dim] if loop[0] < position]

    def pieces(self, dim: str, position: int, first: frozenset[int] = NONE) -> Pieces:
        """The pieces of `dim` below the items before `position`.

        The spatial loops at the positions in `first` run for their first instance only: what a multicast or reducing
        network joins is counted once.
        """
        loops = self.above(dim, position)
        key = dim, len(loops), first.intersection(i for i, _ in loops)
        if key not in self._pieces:
            if not loops:
                self._pieces[key] = [(self.nest.extents[dim], 1)]
            else:
                index = loops[-1][0]
                self._pieces[key] = _cut(self.pieces(dim, index, first), self.step[index], index in first)
        return self._pieces[key]

    def count(self, dim: str, position: int, first: frozenset[int] = NONE) -> int:
        """How many those are."""
        return sum(count for _, count in self.pieces(dim, position, first))

    def steps(self, position: int) -> int:
        """The lockstep steps at a position: iterations of all temporal loops above it."""
        spatial = frozenset(self.instances)
        return math.prod(self.count(d, position, spatial) for d, _ in self.nest.dims)

    def working(self, position: int) -> int:
        """The instances at a position that ever have work.

        Whichever does has some in the first iteration of every temporal loop: pieces only get smaller.
        """
        temporal = frozenset(i for i in self.step if i not in self.instances)
        return math.prod(self.count(d, position, temporal) for d, _ in self.nest.dims)

    def words(self, tensor: Tensor, position: int, joined: frozenset[int] = NONE) -> int:
        """Elements of all tiles of `tensor` at `position` together, over all runs and instances.

        What instances of the spatial loops in `joined`, over irrelevant and sliding dims, have in common is counted
        once, and so is what consecutive tiles of a rolling node share.
        """
        return math.prod(self.factors(tensor, position, joined).values())

    def factors(self, tensor: Tensor, position: int, joined: frozenset[int] = NONE) -> dict[tuple[str, ...], int]:
        """The factors of those: of each irrelevant dim the number of pieces, of each rank, by its dims, all extents."""
        relevant = tensor.dims
        found: dict[tuple[str, ...], int] = {
            (d,): self.count(d, position, joined) for d, _ in self.nest.dims if d not in relevant
        }
        item = self.mapping.items[position] if position < len(self.mapping.items) else None
        loop = self.mapping.loop_above(position) if isinstance(item, Keep) and item.rolling else None
        for rank in tensor.ranks:
            rolled = loop if loop is not None and loop[1].dim in (term.dim for term in rank) else None
            if len(rank) > 1 and any(i in joined for term in rank for i, _ in self.above(term.dim, position)):
                loops = tuple((i, d, self.step[i]) for d in (t.dim for t in rank) for i, _ in self.above(d, position))
                sizes = tuple(self.nest.extents[term.dim] for term in rank)
                words = union_words(rank, sizes, loops, joined, rolled and rolled[0])
            else:
                words = self._rank_words(rank, position, rolled)
            found[tuple(term.dim for term in rank)] = words
        return found

    def _rank_words(self, rank: Rank, position: int, rolled: tuple[int, Loop] | None) -> int:
        """Sum over all combinations of pieces of `1 + sum(coef * (piece - 1))`, less what tiles share by rolling."""
        if len(rank) == 1 and rank[0].coef == 1:
            return self.nest.extents[rank[0].dim]
        counts = [self.count(term.dim, position) for term in rank]
        total = math.prod(counts)
        for i, term in enumerate(rank):
            others = math.prod(counts[:i] + counts[i + 1 :])
            total = total + term.coef * (self.nest.extents[term.dim] - counts[i]) * others
        if rolled is not None:
            index, loop = rolled
            pairs = self.count(loop.dim, position) - self.count(loop.dim, index)
            total = total - pairs * self._shared_words(rank, position, loop.dim)
        return total

    def _shared_words(self, rank: Rank, position: int, rolled: str) -> int:
        """Words of this rank that two consecutive tiles along `rolled` share, summed over the other dims' pieces."""
        coef = next(term.coef for term in rank if term.dim == rolled)
        others = [term for term in rank if term.dim != rolled]
        shared = 0
        for combination in product(*(self.pieces(term.dim, position) for term in others)):
            reach = sum(term.coef * (size - 1) for term, (size, _) in zip(others, combination, strict=True))
            overlap = reach + 1 - coef
            shared = shared + overlap * (overlap > 0) * math.prod(count for _, count in combination)
        return shared

    def summands(self, dims: Iterable[str], position: int) -> int:
        """Instances that are at work, for one place in all other dims, in the last step at `position`.

        Over reduction dims: how many partial sums there are then of an output.
        """
        found = 1
        for d in dims:
            loops = self.above(d, position)
            if not any(i in self.instances for i, _ in loops):
                continue
            active: Pieces = [(self.nest.extents[d], 1)]
            for index, _ in loops:
                step = self.step[index]
                if index in self.instances:
                    active = _cut(active, step, False)
                else:
                    trips = 0
                    for size, count in active:
                        trips = most(trips, (count > 0) * -(-size // step))
                    done = (trips - 1) * step
                    active = [(least(size - done, step), count * (size > done)) for size, count in active]
            found = found * sum(count for _, count in active)
        return found


def _cut(pieces: Pieces, step: int, first: bool) -> Pieces:
    """The pieces of pieces; with `first` only the first of each."""
    whole = 0
    rests: Pieces = []
    for size, count in pieces:
        times = size // step
        rest = size - times * step
        if first:
            rest = rest * (times == 0)
            times = least(times, 1)
        whole = whole + times * count
        if _some(rest):
            rests.append((rest, (rest > 0) * count))
    return [(step, whole), *rests]


def _some(found: int) -> bool:
    """Whether any of it is not zero."""
    return found != 0 if isinstance(found, int) else found.any()


def joined_loops(mapping: Mapping, fanout: str, dims: Collection[str], others: Collection[str]) -> frozenset[int]:
    """Positions of the spatial loops of a fan-out over dims that are not `dims`, or are among `others`."""
    return frozenset(
        i
        for i, item in enumerate(mapping.items)
        if isinstance(item, ParFor) and item.fanout == fanout and (item.dim not in dims or item.dim in others)
    )
