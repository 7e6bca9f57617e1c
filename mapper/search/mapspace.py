"""Mapspace: what the search may choose for a layer on an architecture.

Between two fan-outs the storage nodes stand in any order that follows the hierarchy; each memory that may keep a tensor
may also be bypassed by it, unless it must keep it. `extents` says which steps loops can have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mapper.arch import Architecture, Axis, Constraint, FanOut, Memory
from mapper.arguments import check_fields
from mapper.errors import InfeasibleError, InputError
from mapper.ir import LoopNest, Rank, Role, Tensor
from mapper.mapping import Keep, Mapping, ParFor
from mapper.mapping.constraints import broken
from mapper.search.extents import Factors, nests, tile_extents
from mapper.search.halo import Boundaries, covered

MOST = 2**53
"""Operations and words of a layer stay below this, so that every count fits the solver's integers."""

MOST_PIECES = 2**31
"""So do tiles of a tensor and pieces of a dim: with larger tables the solver has been seen to miss solutions."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A storage node that a mapping may have: `tensor` kept in `memory`, inside `segment` fan-outs.

    `rolls_along` are the dims along which it could hold a rolling window.
    """

    memory: str
    tensor: str
    segment: int
    required: bool
    rolls_along: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.memory}:{self.tensor}"


@dataclass(frozen=True)
class Mapspace:
    """The choices for one layer on one architecture: the factors of loops, `constraints` (resolved for the layer), and
    whether mappings must be `even`, that is, have one tile for each memory (`mapper.search.constrained`)."""

    nest: LoopNest
    arch: Architecture
    factors: Factors = Factors.IMPERFECT
    constraints: tuple[Constraint, ...] = ()
    even: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def __repr__(self) -> str:
        return f"<Mapspace {self}, of {self.nest} on {self.arch.name}>"

    def __str__(self) -> str:
        count = len(self.constraints)
        constrained = f", {count} constraint{'s' * (count > 1)}" if count else ""
        return f"{self.factors}{', even' if self.even else ''}{constrained}"

    def broken(self, mapping: Mapping) -> list[str]:
        """What puts a legal mapping outside of the mapspace, in words: its loops, the constraints it does not keep."""
        uneven = self.even and not is_even(self, mapping)
        return [
            *self._strays(mapping),
            *broken(self.constraints, self.nest, self.arch, mapping),
            *(["the mapping is uneven"] if uneven else []),
        ]

    def _strays(self, mapping: Mapping) -> Iterator[str]:
        """The loops that no mapping of the mapspace has."""
        tile = dict(self.nest.dims)
        for item in mapping.items:
            if isinstance(item, Keep):
                continue
            d, n, x = item.dim, tile[item.dim], item.step
            if x not in self.extents.get(d, (1,)) or (n > 1 and not self.nests(d, x, n)):
                yield f"{d} is not cut from {n} to {x} with {self.factors} factors"
            tile[d] = x
        for fanout in self.arch.fanouts:
            loops = [
                i for i, item in enumerate(mapping.items) if isinstance(item, ParFor) and item.fanout == fanout.name
            ]
            if loops and loops[-1] - loops[0] >= len(loops):
                yield f"not all spatial loops of {fanout.name} follow each other"

    @cached_property
    def memory_groups(self) -> tuple[tuple[Memory, ...], ...]:
        """The memories below the home, outermost first, those that stand side by side together."""
        found: list[list[Memory]] = []
        for memory in self.arch.memories[1:]:
            if memory.beside is not None and found and found[-1][0].beside == memory.beside:
                found[-1].append(memory)
            else:
                found.append([memory])
        return tuple(map(tuple, found))

    @cached_property
    def dims(self) -> dict[str, int]:
        """The dims that can be cut, with their extents."""
        return {d: n for d, n in self.nest.dims if n > 1}

    @cached_property
    def extents(self) -> dict[str, tuple[int, ...]]:
        """The tile extents each dim can have at a boundary of the nest."""
        axes = {axis.size for fanout in self.arch.fanouts for axis in fanout.axes}
        return {d: tile_extents(n, self.factors, axes) for d, n in self.dims.items()}

    @cached_property
    def dividing(self) -> frozenset[str]:
        """The dims all of whose cuts divide."""
        return frozenset(d for d, n in self.dims.items() if all(n % x == 0 for x in self.extents[d]))

    def nests(self, d: str, inner: int, outer: int) -> bool:
        """Whether a boundary with extent `inner` of dim d can stand inside one with extent `outer`."""
        return nests(self.dims[d], inner, outer)

    def unrolled(self, d: str, inner: int, instances: int) -> int | None:
        """The extent of dim d that a spatial loop cuts into so many pieces of `inner`; None if there is none."""
        n = self.dims[d]
        if inner * instances <= n:
            outer = inner * instances
            return outer if outer in self.extents[d] else None
        return n if -(-n // inner) == instances else None

    def unrolls(self, fanout: FanOut, axis: Axis, d: str) -> bool:
        """Whether a dim can be unrolled along an axis of a fan-out."""
        able = fanout.unrolls_reductions() or d in self.nest.output.dims
        return able and axis.size > 1 and d in axis.takes(self.nest)

    def sliding(self, tensor: Tensor) -> tuple[Rank, ...]:
        """The ranks of a tensor along which tiles overlap: those of several dims that can be cut."""
        ranks = (tuple(term for term in rank if term.dim in self.dims) for rank in tensor.ranks)
        return tuple(rank for rank in ranks if len(rank) > 1)

    @cached_property
    def halos(self) -> tuple[dict[str, int], ...]:
        """By fan-out, the dims along which its instances can share halos, and how many of them at most."""
        found = []
        for fanout in self.arch.fanouts:
            shared = (t for t in self.nest.tensors if fanout.shares_halo(t.role))
            dims = dict.fromkeys(term.dim for t in shared for rank in self.sliding(t) for term in rank)
            sizes = {d: math.prod(axis.size for axis in fanout.axes if self.unrolls(fanout, axis, d)) for d in dims}
            found.append({d: size for d, size in sizes.items() if size > 1})
        return tuple(found)

    def sharing(self, tensor: Tensor, segments: Iterable[int], d: str) -> tuple[int, ...]:
        """Those of the fan-outs below some segments whose instances can share halos of the tensor along a dim."""
        return tuple(s for s in segments if d in self.halos[s] and self.arch.fanouts[s].shares_halo(tensor.role))

    @property
    def fewest_cycles(self) -> int:
        """Cycles that every mapping takes at least: those of all instances at work all the time."""
        return -(-self.nest.operations // self.arch.peak_operations)

    @property
    def segments(self) -> int:
        """Parts of the nest that the fan-outs divide it into."""
        return len(self.arch.fanouts) + 1

    @cached_property
    def slots(self) -> dict[str, tuple[Slot, ...]]:
        """By tensor, the nodes it may have below its home, outermost first."""
        found = {}
        for tensor in self.nest.tensors:
            sliding = tuple(term.dim for rank in self.sliding(tensor) for term in rank)
            found[tensor.name] = tuple(
                Slot(
                    memory.name,
                    tensor.name,
                    self.arch.segment[memory.name],
                    tensor.role in memory.must_keep,
                    sliding if memory.rolling and tensor.role is not Role.OUTPUT else (),
                )
                for memory in self.arch.memories[1:]
                if tensor.role in memory.may_keep
            )
        return found

    def check(self) -> None:
        """Raise InfeasibleError if no mapping can be legal: a memory too small for what it must hold.

        InputError if the layer is so large that its counts could leave the solver's exact integers.

        The smallest tiles are single elements (the home holds whole tensors), so this decides whether there is one, but
        for partial sums that are wider than results.
        """
        largest = max(self.nest.operations, *(self.nest.words(t) for t in self.nest.tensors))
        if largest >= MOST:
            raise InputError(f"{largest:.3g} operations or words are more than the search can count")
        for tensor in self.nest.tensors:
            visits = math.prod(n for d, n in self.dims.items() if d not in tensor.dims)
            if max(visits, *self.dims.values(), 1) >= MOST_PIECES:
                raise InputError(
                    f"more than {MOST_PIECES:,} tiles of {tensor.name} or in a dim are more than the search can count"
                )
        if self.untabled:
            hint = "map it on a copy of the spec (`mapper archs show`) without halo: true"
            raise InputError(self.untabled, place=self.arch.name, hint=hint)
        problems = []
        for memory in self.arch.memories:
            home = memory == self.arch.home
            must = {
                t.name: memory.words(self.nest.words(t) if home else 1, self.arch.bits(t))
                for t in self.nest.tensors
                if home or t.role in memory.must_keep
            }
            needed = sum(must.values())
            if memory.tile_words is not None and needed > memory.tile_words:
                tiles = " + ".join(f"{name} {words}" for name, words in must.items())
                problems.append(
                    f"{memory.holds} and must keep at least {needed} ({tiles}): "
                    f"too small by {needed - memory.tile_words}"
                )
        if problems:
            raise InfeasibleError(
                "; ".join(problems), hint=f"make the memory larger or let a tensor bypass it in {self.arch.name}"
            )

    @cached_property
    def untabled(self) -> str | None:
        """Why the search has no tables of the halos that can be shared: there are too many ways; None if it has."""
        for tensor in self.nest.tensors:
            for rank in self.sliding(tensor):
                widest = self._widest(tensor, rank)
                if any(dim.rooms for dim in widest) and not covered(widest):
                    ways = f"halos along {'+'.join(map(str, rank))} of {tensor.name} can be shared in more ways"
                    return f"{ways} than the search has tables for"
        return None

    def _widest(self, tensor: Tensor, rank: Rank) -> tuple[Boundaries, ...]:
        """All boundaries that can decide which halos of a tensor are shared along a rank."""
        found = []
        for term in rank:
            rooms = tuple(self.halos[s][term.dim] for s in self.sharing(tensor, range(self.segments - 1), term.dim))
            rolls = any(slot.rolls_along for slot in self.slots[tensor.name])
            domains = (self.extents[term.dim],) * (2 * len(rooms) + rolls + 1)
            found.append(Boundaries(self.dims[term.dim], term.coef, domains, rooms))
        return tuple(found)


def is_even(space: Mapspace, mapping: Mapping) -> bool:
    """Whether each memory has one tile: see `mapper.search.constrained.demand_even`, whose rules these are.

    Of the tiles that the nodes allow a memory, the largest is taken, which restricts the inner ones least.
    """
    nest, arch = space.nest, space.arch
    position = {(k.memory, k.tensor): i for i, k in enumerate(mapping.items) if isinstance(k, Keep)}
    outer = dict(nest.dims)
    for group in space.memory_groups:
        start, end = _segment_ends(space, mapping, arch.segment[group[0].name])
        nodes = [(t, position[m.name, t.name]) for m in group for t in nest.tensors if (m.name, t.name) in position]
        tiles = [(t, mapping.tile(i, nest.extents)) for t, i in nodes]
        tile = {}
        for d in nest.extents:
            own = {x[d] for t, x in tiles if d in t.dims}
            others = [x[d] for t, x in tiles if d not in t.dims]
            largest = min([outer[d], start[d], *others])
            tile[d] = own.pop() if own else largest
            if own or not end[d] <= tile[d] <= largest or any(x > outer[d] for x in others):
                return False
        outer = tile
    return True


def _segment_ends(space: Mapspace, mapping: Mapping, segment: int) -> tuple[dict[str, int], dict[str, int]]:
    """The extents at the outer and at the inner end of a segment: inside one fan-out, outside the next."""
    names = [fanout.name for fanout in space.arch.fanouts]
    depth = [names.index(item.fanout) for item in mapping.items if isinstance(item, ParFor)]
    loops = [i for i, item in enumerate(mapping.items) if isinstance(item, ParFor)]
    above = [i + 1 for i, fanout in zip(loops, depth, strict=True) if fanout < segment]
    below = [i for i, fanout in zip(loops, depth, strict=True) if fanout >= segment]
    extents = space.nest.extents
    start = mapping.tile(max(above, default=0), extents)
    return start, mapping.tile(min(below, default=len(mapping.items)), extents)
