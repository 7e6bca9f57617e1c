"""Mapspace: what the search may choose for a layer on an architecture.

In the mapspace `perfect` every step divides what it cuts. Between two fan-outs the storage nodes stand in any order
that follows the hierarchy; each memory that may keep a tensor may also be bypassed by it, unless it must keep it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from mapper.arch import Architecture
from mapper.errors import InfeasibleError, InputError
from mapper.ir import LoopNest, Role

MOST = 2**53
"""Operations and words of a layer stay below this, so that every count fits the solver's integers."""


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
    """The choices for one layer on one architecture."""

    nest: LoopNest
    arch: Architecture

    @cached_property
    def dims(self) -> dict[str, int]:
        """The dims that can be cut, with their extents."""
        return {d: n for d, n in self.nest.dims if n > 1}

    @cached_property
    def extents(self) -> dict[str, tuple[int, ...]]:
        """The tile extents each dim can have at a boundary of the nest."""
        return {d: divisors(n) for d, n in self.dims.items()}

    @property
    def segments(self) -> int:
        """Parts of the nest that the fan-outs divide it into."""
        return len(self.arch.fanouts) + 1

    @cached_property
    def slots(self) -> dict[str, tuple[Slot, ...]]:
        """By tensor, the nodes it may have below its home, outermost first."""
        found = {}
        for tensor in self.nest.tensors:
            sliding = tuple(
                term.dim
                for rank in tensor.ranks
                if sum(term.dim in self.dims for term in rank) > 1
                for term in rank
                if term.dim in self.dims
            )
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
            raise InputError(
                f"{largest:.3g} operations or words are more than the search can count", place=str(self.nest)
            )
        for fanout in self.arch.fanouts:
            for tensor in self.nest.tensors:
                sliding = [rank for rank in tensor.ranks if sum(t.dim in self.dims for t in rank) > 1]
                if sliding and fanout.shares_halo(tensor.role):
                    raise InputError(
                        f"the search does not cover halo sharing yet, which {fanout.name} has for {tensor.name}",
                        place=self.arch.name,
                        hint="set halo: false to map it without, or evaluate a mapping of your own",
                    )
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


def divisors(n: int) -> tuple[int, ...]:
    """The divisors of n, ascending."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return tuple(sorted({*small, *(n // d for d in small)}))
