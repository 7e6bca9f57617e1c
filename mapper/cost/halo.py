"""Halos: words that neighbouring instances have in common where their tiles overlap.

A network that shares halos reads, in each lockstep step, the union of the boxes of its instances once. Boxes are
products over ranks, and so are the instances at work, so the union factors per rank; within a rank it depends on how
the instances are spaced, which the loops between them and the tile decide.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from itertools import product

from mapper.ir import Rank

Group = tuple[tuple[int, int], ...]
"""(offset, size) in one dim of the pieces on which joined instances work together; the least offset is 0."""

Loops = tuple[tuple[int, str, int], ...]
"""(position, dim, step) of loops, those over one dim outermost first."""


def union_words(rank: Rank, sizes: tuple[int, ...], loops: Loops, joined: frozenset[int], rolled: int | None) -> int:
    """Coordinates of a rank that the instances of the loops in `joined` ask for, over all steps of all others.

    `sizes` are the extents of the rank's dims, `loops` all loops over them above the tile. `rolled` is the position of
    the loop along which the tiles roll: from its second iteration on only the coordinates behind those of the tile
    before are asked for. Steps may be arrays, all of one length; then each distinct row of steps is looked at once.
    """
    if all(isinstance(step, int) for _, _, step in loops):
        return _union_words(rank, sizes, loops, joined, rolled)
    import numpy as np

    columns = np.broadcast_arrays(*(np.asarray(step) for _, _, step in loops))
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    found = {}
    for row in set(rows):
        own = tuple((i, d, step) for (i, d, _), step in zip(loops, row, strict=True))
        found[row] = _union_words(rank, sizes, own, joined, rolled)
    return np.array([found[row] for row in rows], columns[0].dtype)  # type: ignore[return-value]


@lru_cache(maxsize=100_000)
def _union_words(rank: Rank, sizes: tuple[int, ...], loops: Loops, joined: frozenset[int], rolled: int | None) -> int:
    states = [_groups(term.dim, size, loops, joined, rolled) for term, size in zip(rank, sizes, strict=True)]
    total = 0
    for combination in product(*(found.items() for found in states)):
        times = math.prod(count for _, count in combination)
        total += times * _union(rank, [state for state, _ in combination])
    return total


def _groups(
    dim: str, extent: int, loops: Loops, joined: frozenset[int], rolled: int | None
) -> Counter[tuple[Group, bool]]:
    """How often each group occurs below the loops, and whether in a later iteration of the loop `rolled`."""
    found: Counter[tuple[Group, bool]] = Counter({(((0, extent),), False): 1})
    for index, own, step in loops:
        if own != dim:
            continue
        cut: Counter[tuple[Group, bool]] = Counter()
        for (group, _), count in found.items():
            if index in joined:
                cut[
                    tuple(
                        (offset + skip, min(step, size - skip))
                        for offset, size in group
                        for skip in range(0, size, step)
                    ),
                    False,
                ] += count
                continue
            whole = min(size for _, size in group) // step  # in so many iterations all are alike
            trips = -(-max(size for _, size in group) // step)
            alike = [(1, whole - 1)] if whole > 1 else []
            for iteration, times in ((0, 1), *alike, *((i, 1) for i in range(max(1, whole), trips))):
                later = index == rolled and iteration > 0
                skip = iteration * step
                left = [(offset, min(step, size - skip)) for offset, size in group if size > skip]
                cut[tuple((offset - left[0][0], size) for offset, size in left), later] += count * times
        found = cut
    return found


def _union(rank: Rank, states: list[tuple[Group, bool]]) -> int:
    intervals = []
    for members in product(*(group for group, _ in states)):
        begin = sum(term.coef * offset for term, (offset, _) in zip(rank, members, strict=True))
        end = begin + 1 + sum(term.coef * (size - 1) for term, (_, size) in zip(rank, members, strict=True))
        for term, (_, later) in zip(rank, states, strict=True):
            if later:
                reach = sum(o.coef * (size - 1) for o, (_, size) in zip(rank, members, strict=True) if o is not term)
                begin += max(0, reach + 1 - term.coef)
        intervals.append((begin, end))
    total, reached = 0, -1
    for begin, end in sorted(intervals):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
