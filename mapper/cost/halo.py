"""Halos: words that neighbouring instances have in common where their tiles overlap.

A network that shares halos reads, in each lockstep step, the union of the boxes of its instances once. Boxes are
products over ranks, and so are the instances at work, so the union factors per rank; within a rank it depends on how
the instances are spaced, which the loops between them and the tile decide.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

from mapper.ir import LoopNest, Rank
from mapper.mapping import Keep, Loop, Mapping

Group = tuple[tuple[int, int], ...]
"""(offset, size) in one dim of the pieces on which joined instances work together; the least offset is 0."""


def union_words(
    nest: LoopNest,
    mapping: Mapping,
    rank: Rank,
    position: int,
    joined: frozenset[int],
    rolled: tuple[int, Loop] | None,
) -> int:
    """Coordinates of a rank that the instances of the loops in `joined` ask for, over all steps of all others.

    `rolled` is the loop along which the tiles roll, with its position: from its second iteration on only the
    coordinates behind those of the tile before are asked for.
    """
    states = [_groups(nest, mapping, term.dim, position, joined, rolled) for term in rank]
    total = 0
    for combination in product(*(found.items() for found in states)):
        times = math.prod(count for _, count in combination)
        total += times * _union(rank, [state for state, _ in combination], rolled)
    return total


def _groups(
    nest: LoopNest,
    mapping: Mapping,
    dim: str,
    position: int,
    joined: frozenset[int],
    rolled: tuple[int, Loop] | None,
) -> Counter[tuple[Group, bool]]:
    """How often each group occurs at `position`, and whether in a later iteration of the loop along which it rolls."""
    found: Counter[tuple[Group, bool]] = Counter({(((0, nest.extents[dim]),), False): 1})
    for index, item in enumerate(mapping.items[:position]):
        if isinstance(item, Keep) or item.dim != dim:
            continue
        cut: Counter[tuple[Group, bool]] = Counter()
        for (group, _), count in found.items():
            if index in joined:
                cut[
                    tuple(
                        (offset + skip, min(item.step, size - skip))
                        for offset, size in group
                        for skip in range(0, size, item.step)
                    ),
                    False,
                ] += count
                continue
            whole = min(size for _, size in group) // item.step  # in so many iterations all are alike
            for iteration in range(-(-max(size for _, size in group) // item.step)):
                later = rolled is not None and index == rolled[0] and iteration > 0
                times = 1 if iteration == 0 or iteration >= whole else whole - 1
                if 1 < iteration < whole:
                    continue
                skip = iteration * item.step
                left = [(offset, min(item.step, size - skip)) for offset, size in group if size > skip]
                cut[tuple((offset - left[0][0], size) for offset, size in left), later] += count * times
        found = cut
    return found


def _union(rank: Rank, states: list[tuple[Group, bool]], rolled: tuple[int, Loop] | None) -> int:
    intervals = []
    for members in product(*(group for group, _ in states)):
        begin = sum(term.coef * offset for term, (offset, _) in zip(rank, members, strict=True))
        end = begin + 1 + sum(term.coef * (size - 1) for term, (_, size) in zip(rank, members, strict=True))
        for term, (_, later) in zip(rank, states, strict=True):
            if later and rolled is not None:
                reach = sum(o.coef * (size - 1) for o, (_, size) in zip(rank, members, strict=True) if o is not term)
                begin += max(0, reach + 1 - term.coef)
        intervals.append((begin, end))
    total, reached = 0, -1
    for begin, end in sorted(intervals):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
