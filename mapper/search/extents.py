"""Extents: into which pieces a dim can be cut, boundary by boundary of the nest.

With *perfect* factors every step divides what it cuts. With *imperfect* ones the outermost cut of a dim need not: it
makes k pieces of ceil(D / k), the last one shorter, and inside it everything divides. Then a boundary of extent e has
ceil(D / e) pieces in all, whatever stands above it.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from mapper.divisors import divisors
from mapper.spelling import Choice

MOST_PIECES = 8
"""An imperfect cut that fills a gap between divisors makes at most so many pieces."""


class Factors(Choice):
    """Which loop factors a mapping may have."""

    PERFECT = "perfect"
    """Every step divides what it cuts."""
    IMPERFECT = "imperfect"
    """The outermost cut of each dim may leave a shorter last piece."""


def tile_extents(n: int, factors: Factors, axes: Collection[int] = ()) -> tuple[int, ...]:
    """The extents that a tile can have in a dim of extent n, ascending; `axes` are the sizes of axes.

    Imperfect cuts are there where they can matter: in the gaps between divisors that are more than a factor of 3 apart
    (13, 55, 197...), and where as many pieces as an axis has instances fill it better than any divisor.
    """
    found = set(divisors(n))
    if factors is Factors.IMPERFECT:
        gaps = [(low, high) for low, high in pairwise(sorted(found)) if high > 3 * low]
        for pieces in range(2, MOST_PIECES + 1):
            extent = pieces_of(n, pieces)
            if any(low < extent < high for low, high in gaps):
                found.update(divisors(extent))
        for size in axes:
            extent = pieces_of(n, size)
            if pieces_of(n, extent) > max(d for d in divisors(n) if d <= size):
                found.update(divisors(extent))
    return tuple(sorted(found))


def nests(n: int, inner: int, outer: int) -> bool:
    """Whether a boundary of extent `inner` can stand inside one of extent `outer`, in a dim of extent n."""
    return outer % inner == 0 or (outer == n and inner < n)


def pieces_of(length: int, step: int) -> int:
    """Pieces of `step` in a length, the last one perhaps shorter."""
    return -(-length // step)


def cut(length: int, extent: int, step: int) -> int:
    """What is left of a length that comes in pieces of `extent`, if of each piece only the first `step` is counted."""
    return length // extent * step + min(length % extent, step)


def last_run(length: int, extent: int, step: int) -> int:
    """What is left of such a length in the last of the runs that cut its pieces by `step`, in lockstep."""
    if length < extent:
        return length - (pieces_of(length, step) - 1) * step
    runs = pieces_of(extent, step)
    done = (runs - 1) * step
    return length // extent * (extent - done) + max(0, length % extent - done)
