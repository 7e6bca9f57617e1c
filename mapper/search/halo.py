"""Halos: what neighbouring instances read together, from the boundaries of the dims of a rank.

A network that shares halos reads in each lockstep step the union of its instances' boxes. Pieces of extent x begin at
the multiples of x, whatever stands above them; the step and the instance in which each is worked on follow from where
it begins and from the boundaries around it. So unions are a function of extents: of the tile, of the loop along which
it rolls, and outside and inside each fan-out that shares. Chains of extents that lead to the same steps are one state
of a dim, and a table over the states of a rank's dims has the unions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise, product

from mapper.search.extents import nests, pieces_of

MOST_CHAINS = 50_000
"""Chains of a dim, and states of a rank's dims together, are no more than this: above it tables take minutes."""

Pieces = tuple[tuple[int, int], ...]
"""(begin, size) in one dim of the pieces on which instances work together; the first begins at 0."""

Steps = tuple[tuple[Pieces, bool, int], ...]
"""Pieces, whether they come later than others along the loop that rolls, and in how many steps that happens."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The boundaries of a dim of extent `total` that decide what is read together, by their domains.

    First, for each of `rooms`, the boundaries outside and inside a fan-out of so many instances, outermost first; then,
    where tiles may roll, the extent that the loop above cuts; last the tile's. `coef` is that of the dim in its rank.
    """

    total: int
    coef: int
    domains: tuple[tuple[int, ...], ...]
    rooms: tuple[int, ...] = ()

    @property
    def rolls(self) -> bool:
        """Whether tiles may roll along the dim."""
        return len(self.domains) - 2 * len(self.rooms) == 2

    def chains(self) -> Iterator[tuple[int, ...]]:
        """All extents that the boundaries can have together."""

        def extended(chain: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            at = len(chain)
            if at == len(self.domains):
                yield chain
                return
            outer = chain[-1] if chain else self.total
            room = self.rooms[at // 2] if at % 2 and at // 2 < len(self.rooms) else math.inf
            for x in self.domains[at]:
                if nests(self.total, x, outer) and pieces_of(outer, x) <= room:
                    yield from extended((*chain, x))

        return extended(())

    def steps(self, chain: tuple[int, ...]) -> Steps:
        """The steps that a chain leads to."""
        ends = 2 * len(self.rooms)
        spread = tuple(zip(chain[:ends:2], chain[1:ends:2], strict=True))
        return steps(self.total, tuple((o, i) for o, i in spread if o > i), chain[ends], chain[-1])


@cache
def states(dim: Boundaries) -> tuple[dict[tuple[int, ...], int], tuple[Steps, ...]]:
    """By chain the index of its state, and the steps of each state; OverflowError if there are too many chains."""
    chains = list(islice(dim.chains(), MOST_CHAINS + 1))
    if len(chains) > MOST_CHAINS:
        raise OverflowError(f"more than {MOST_CHAINS} chains")
    found: dict[Steps, int] = {}
    index = {chain: found.setdefault(dim.steps(chain), len(found)) for chain in chains}
    return index, tuple(found)


def covered(dims: tuple[Boundaries, ...]) -> bool:
    """Whether tables of the states of a rank's dims are small enough."""
    try:
        return math.prod(len(states(dim)[1]) for dim in dims) <= MOST_CHAINS
    except OverflowError:
        return False


@cache
def unions(dims: tuple[Boundaries, ...]) -> dict[tuple[int, ...], int]:
    """By the states of a rank's dims, the elements read; tiles roll along one of them at most."""
    each = [states(dim)[1] for dim in dims]
    coefs = tuple(dim.coef for dim in dims)
    words: dict[tuple[int, ...], int] = {}
    for row in product(*(range(len(own)) for own in each)):
        chosen = [own[i] for own, i in zip(each, row, strict=True)]
        if sum(any(later for _, later, _ in own) for own in chosen) <= 1:
            words[row] = union_words(coefs, chosen)
    return words


@cache
def steps(total: int, spread: tuple[tuple[int, int], ...], reach: int, extent: int) -> Steps:
    """The steps in which instances work on the pieces of `extent` of a dim, if a loop that cuts `reach` rolls.

    `spread` has the extents outside and inside each fan-out, outermost first.
    """
    boundaries = [total, *(x for pair in spread for x in pair), reach]
    runs = [*list(pairwise(boundaries))[::2], (reach, extent)]  # what is cut step by step; the rest is at once
    first = boundaries[1]
    whole, rest = divmod(total, first)
    found: Counter[tuple[Pieces, bool]] = Counter()
    if all(outer % inner == 0 for outer, inner in pairwise((*boundaries[1:], extent))):  # all steps are alike
        begins = [0]
        for outside, inside in spread:
            begins = [begin + more for begin in begins for more in range(0, outside, inside)]
        pieces = tuple((begin, extent) for begin in begins)
        times = whole * math.prod(outer // inner for outer, inner in runs[1:-1])
        found[pieces, False] += times
        if reach > extent:
            found[pieces, True] += times * (reach // extent - 1)
        whole = 0
    for length, times in ((first, whole), (rest, 1)):  # all runs of the outermost loop but the last are alike
        together: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for begin in range(0, length if times else 0, extent):
            run = tuple(begin % outer // inner for outer, inner in runs[1:])
            together[run].append((begin, min(extent, length - begin)))
        for run, found_together in together.items():
            own = tuple((begin - found_together[0][0], size) for begin, size in found_together)
            found[own, run[-1] > 0] += times
    return tuple((pieces, later, times) for (pieces, later), times in sorted(found.items()))


def union_words(coefs: tuple[int, ...], dims: list[Steps]) -> int:
    """Elements of a rank in the unions of all steps together, of dims of which at most one rolls."""
    words = 0
    for combination in product(*dims):
        rolled = next((i for i, (_, later, _) in enumerate(combination) if later), None)
        union = _union(coefs, tuple(pieces for pieces, _, _ in combination), rolled)
        words += union * math.prod(times for _, _, times in combination)
    return words


@cache
def _union(coefs: tuple[int, ...], dims: tuple[Pieces, ...], rolled: int | None) -> int:
    """Elements in the union of all boxes, each without those of the box before it along the `rolled` dim."""
    boxes = {(0, 1)}  # (begin, length)
    for i in sorted(range(len(dims)), key=lambda i: i == rolled):
        coef = coefs[i]
        boxes = {
            (begin + coef * at + seen, length + coef * (size - 1) - seen)
            for begin, length in boxes
            for seen in (max(0, length - coef) if i == rolled else 0,)
            for at, size in dims[i]
        }
    words, reached = 0, 0
    for begin, length in sorted(boxes):
        words += max(0, begin + length - max(begin, reached))
        reached = max(reached, begin + length)
    return words
