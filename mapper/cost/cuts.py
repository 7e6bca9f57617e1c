"""Cuts: into which pieces the loops of a mapping cut each dim, clipped last pieces included.

Dims are cut independently of each other, so every sum over all tiles factors per dim, and over the dims of one rank.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import product

from mapper.ir import LoopNest, Rank, Tensor
from mapper.mapping import Keep, Mapping

Pieces = dict[int, int]
"""How many pieces there are of each size."""


def pieces(mapping: Mapping, position: int, dim: str, extent: int, first: Collection[int] = ()) -> Pieces:
    """The pieces of `dim` below the items before `position`.

    The spatial loops at the positions in `first` run for their first instance only: what a multicast or reducing
    network joins is counted once.
    """
    found = {extent: 1}
    for index, item in enumerate(mapping.items[:position]):
        if isinstance(item, Keep) or item.dim != dim:
            continue
        cut: Pieces = {}
        for size, count in found.items():
            whole, rest = divmod(size, item.step)
            if index in first:
                whole, rest = (1, 0) if whole else (0, rest)
            if whole:
                cut[item.step] = cut.get(item.step, 0) + whole * count
            if rest:
                cut[rest] = cut.get(rest, 0) + count
        found = cut
    return found


def words(nest: LoopNest, mapping: Mapping, tensor: Tensor, position: int, first: Collection[int] = ()) -> int:
    """Words of all tiles of `tensor` at `position` together, over all runs and instances.

    Only spatial loops over irrelevant dims may be in `first`. If the item there is a rolling node, words that
    consecutive tiles share are counted once.
    """
    cut = {d: pieces(mapping, position, d, n, first) for d, n in nest.dims}
    total = math.prod(sum(cut[d].values()) for d, _ in nest.dims if d not in tensor.dims)
    item = mapping.items[position] if position < len(mapping.items) else None
    loop = mapping.loop_above(position) if isinstance(item, Keep) and item.rolling else None
    for rank in tensor.ranks:
        volume = _rank_words(rank, cut, nest)
        if loop is not None and loop[1].dim in (term.dim for term in rank):
            before = sum(pieces(mapping, loop[0], loop[1].dim, nest.extents[loop[1].dim], first).values())
            pairs = sum(cut[loop[1].dim].values()) - before
            volume -= pairs * _shared_words(rank, cut, loop[1].dim)
        total *= volume
    return total


def _rank_words(rank: Rank, cut: dict[str, Pieces], nest: LoopNest) -> int:
    """Sum over all combinations of pieces of `1 + sum(coef * (piece - 1))`."""
    counts = {term.dim: sum(cut[term.dim].values()) for term in rank}
    combinations = math.prod(counts.values())
    spread = sum(
        term.coef * (nest.extents[term.dim] - counts[term.dim]) * (combinations // counts[term.dim]) for term in rank
    )
    return combinations + spread


def _shared_words(rank: Rank, cut: dict[str, Pieces], rolled: str) -> int:
    """Words of this rank that two consecutive tiles along `rolled` share, summed over the other dims' pieces."""
    coef = next(term.coef for term in rank if term.dim == rolled)
    others = [term for term in rank if term.dim != rolled]
    shared = 0
    for combination in product(*(cut[term.dim].items() for term in others)):
        reach = sum(term.coef * (size - 1) for term, (size, _) in zip(others, combination, strict=True))
        shared += max(0, reach + 1 - coef) * math.prod(count for _, count in combination)
    return shared
