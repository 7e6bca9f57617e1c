"""The lattice of tile extents: a point gives each dim one of its divisors.

A divisor is a product of prime powers, so the lattice is a grid with one axis for each dim and prime of it, along which
the exponent runs; "divides" is "at most, along every axis". Arrays over the lattice are flat, of shape (points,).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mapper.ir import Tensor

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LARGEST = 1 << 60
"""Stands for a cost that nothing has: sums of costs stay far below it, and a few times it is no overflow yet."""


@dataclass(frozen=True)
class Lattice:
    """The points of the extents `dims`, each at least 2."""

    dims: dict[str, int]

    @cached_property
    def axes(self) -> tuple[tuple[str, int, int], ...]:
        """(dim, prime, largest exponent) of each axis."""
        return tuple((d, prime, power) for d, n in self.dims.items() for prime, power in factorised(n))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(power + 1 for _, _, power in self.axes)

    @cached_property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(self.shape)

    @cached_property
    def exponents(self) -> Integers:
        """Exponents of each point, shape (axes, points)."""
        return np.indices(self.shape, dtype=np.int64).reshape(len(self.shape), self.size)

    @cached_property
    def extents(self) -> dict[str, Integers]:
        """By dim, its extent at each point."""
        found = {d: np.ones(self.size, np.int64) for d in self.dims}
        for (d, prime, _), exponent in zip(self.axes, self.exponents, strict=True):
            found[d] = found[d] * prime**exponent
        return found

    @cached_property
    def _fields(self) -> tuple[tuple[int, ...], int]:
        """The place of each axis in a code, in bits, and the guards: a bit above each place."""
        places, guards, at = [], 0, 0
        for _, _, power in self.axes:
            places.append(at)
            at += power.bit_length() + 1
            guards |= 1 << (at - 1)
        return tuple(places), guards

    @property
    def bits(self) -> int:
        """Bits of a code; all arithmetic on codes is exact where they are at most 62."""
        return sum(power.bit_length() + 1 for _, _, power in self.axes)

    @property
    def guards(self) -> int:
        """The guard bits: `(outer | guards) - inner` keeps them all if and only if `inner` divides `outer`."""
        return self._fields[1]

    @cached_property
    def codes(self) -> Integers:
        """The exponents of each point in one integer; the code of a product is the sum of the codes."""
        found = np.zeros(self.size, np.int64)
        for place, exponent in zip(self._fields[0], self.exponents, strict=True):
            found += exponent << place
        return found

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """How far apart two points are in an array that differ by one along an axis."""
        return tuple(math.prod(self.shape[i + 1 :]) for i in range(len(self.shape)))

    def divides(self, inner: Integers, outer: Integers | np.int64) -> Flags:
        """Whether the point of the code `inner` divides that of `outer`; `inner` may have exponents of a product."""
        kept: Flags = np.equal(((outer | self.guards) - inner) & self.guards, self.guards)
        return kept

    def at(self, point: int) -> dict[str, int]:
        """The extents of the point at a position."""
        return {d: int(extents[point]) for d, extents in self.extents.items()}

    def offset(self, dim: str, factor: int) -> int:
        """How much further a point is if a dim is larger by a factor."""
        return sum(
            _exponent(factor, prime) * stride
            for (d, prime, _), stride in zip(self.axes, self.strides, strict=True)
            if d == dim
        )

    def below(self, point: int) -> tuple[Integers, Lattice]:
        """The positions of all points that divide one, and the lattice that they are."""
        positions = np.zeros(1, np.int64)
        for exponents, stride in zip(self.exponents, self.strides, strict=True):
            steps = np.arange(exponents[point] + 1) * stride
            positions = (positions[:, None] + steps).reshape(-1)
        return positions, Lattice({d: n for d, n in self.at(point).items() if n > 1})

    def product(self, dims: Iterable[str]) -> Integers:
        """The product of the extents of some dims at each point."""
        found = np.ones(self.size, np.int64)
        for d in dims:
            found = found * self.extents[d]
        return found

    def spread_inwards(self, values: Integers, behind: int = 1) -> Integers:
        """At each point the least value at any point that it divides; overwrites `values`.

        They may have an axis before that of the points, and one of length `behind` behind it.
        """
        for length, grid in self._grids(values, behind):
            for k in reversed(range(length - 1)):
                np.minimum(grid[:, k], grid[:, k + 1], out=grid[:, k])
        return values

    def spread_outwards(self, values: Integers, behind: int = 1) -> Integers:
        """At each point the least value at any point that divides it; overwrites `values`."""
        for length, grid in self._grids(values, behind):
            for k in range(1, length):
                np.minimum(grid[:, k], grid[:, k - 1], out=grid[:, k])
        return values

    def _grids(self, values: Integers, behind: int) -> Iterator[tuple[int, Integers]]:
        """By axis its length, and a view of the values with that axis in the middle of three."""
        for length, stride in zip(self.shape, self.strides, strict=True):
            yield length, values.reshape(-1, length, stride * behind)

    def elements(self, tensor: Tensor) -> Integers:
        """Elements of the tensor's tile at each point, holes of strides included."""
        found = np.ones(self.size, np.int64)
        for rank in tensor.ranks:
            terms = [term for term in rank if term.dim in self.dims]
            found = found * (sum(t.coef * (self.extents[t.dim] - 1) for t in terms) + 1)
        return found

    def pieces(self) -> Integers:
        """How many tiles all dims together are cut into at each point."""
        found = np.ones(self.size, np.int64)
        for d, n in self.dims.items():
            found = found * (n // self.extents[d])
        return found


def factorised(n: int) -> list[tuple[int, int]]:
    """The primes of n with their exponents, ascending."""
    found, prime = [], 2
    while n > 1:
        if prime * prime > n:
            prime = n
        power = _exponent(n, prime)
        if power:
            found.append((prime, power))
            n //= prime**power
        prime += 1
    return found


def _exponent(n: int, prime: int) -> int:
    power = 0
    while n % prime == 0:
        n, power = n // prime, power + 1
    return power
