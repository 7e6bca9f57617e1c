"""The spatial factors that a fan-out can take: what they share, and where in the lattice they can stand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mapper.arch import FanOut
from mapper.ir import LoopNest
from mapper.search.lattice.points import Integers, Lattice


class Sharing(NamedTuple):
    """What instances share, which is all that energy depends on.

    `joined` has by tensor, in the layer's order, the instances that one element is read or added for. `parts` are the
    instances that hold parts of one sum, whether the network adds them or not; `length` is the number of steps along
    all axes, 0 where steps cost nothing.
    """

    joined: tuple[int, ...]
    parts: int
    length: int


@dataclass(frozen=True, eq=False)
class Spread:
    """Spatial factors, at the position `offset` of the lattice, with what they share.

    They can stand at the points `stands`, those that they cut the layer into and their divisors: the lattice `box`.
    """

    sharing: Sharing
    offset: int
    stands: Integers
    box: Lattice


def spreads(nest: LoopNest, fanout: FanOut | None, lattice: Lattice) -> list[Spread]:
    """All spatial factors of a fan-out (None: there is none), but for one of any two that mirror each other."""
    lengths = _factors(nest, fanout, lattice)
    for mirror in _mirrors(nest, fanout, lattice):
        image = _image(lattice, mirror)
        lengths = {offset: length for offset, length in lengths.items() if image[offset] >= offset}
    shared = [
        lattice.product(d for d in lattice.dims if d not in tensor.dims)
        if fanout and fanout.coalesces(tensor.role)
        else np.ones(lattice.size, np.int64)
        for tensor in nest.tensors
    ]
    parts = lattice.product(d for d in lattice.dims if d not in nest.output.dims)
    boxes = cache(lattice.below)
    found = []
    for offset, length in lengths.items():
        joined = tuple(int(instances[offset]) for instances in shared)
        steps = length if fanout and fanout.hop_energy else 0
        stands, box = boxes(lattice.size - 1 - offset)
        found.append(Spread(Sharing(joined, int(parts[offset]), steps), offset, stands, box))
    return found


def _factors(nest: LoopNest, fanout: FanOut | None, lattice: Lattice) -> dict[int, int]:
    """By position in the lattice the factors that the axes have room for, with their fewest steps along the axes."""
    found = {0: len(fanout.axes) if fanout else 0}
    for axis in range(len(fanout.axes)) if fanout else ():
        assert fanout is not None
        offsets = np.array(list(found), np.int64)
        lengths = np.array(list(found.values()), np.int64)
        grown: dict[int, int] = {}
        for offset, used in _axis_factors(nest, fanout, axis, lattice):
            fits = lattice.divides(lattice.codes[offsets] + lattice.codes[offset], lattice.codes[-1])
            totals, steps = offsets[fits] + offset, lengths[fits] + used - 1
            for total, length in zip(totals.tolist(), steps.tolist(), strict=True):
                grown[total] = min(length, grown.get(total, length))
        found = grown
    return found


def _axis_factors(nest: LoopNest, fanout: FanOut, axis: int, lattice: Lattice) -> list[tuple[int, int]]:
    """(position in the lattice, instances) of all factors that one axis has room for."""
    room, allowed = fanout.axes[axis].size, fanout.axes[axis].takes(nest)
    fits = np.ones(lattice.size, bool)
    instances = np.ones(lattice.size, np.int64)
    for d, extents in lattice.extents.items():
        if d not in allowed or not (fanout.unrolls_reductions() or d in nest.output.dims):
            fits &= extents == 1
        instances = np.minimum(instances * np.minimum(extents, room + 1), room + 1)
    fits &= instances <= room
    return [(int(i), int(instances[i])) for i in np.flatnonzero(fits)]


def _mirrors(nest: LoopNest, fanout: FanOut | None, lattice: Lattice) -> Iterator[dict[str, str]]:
    """Exchanges of one or two pairs of dims that leave the layer and the axes as they are."""
    tensors = [frozenset(frozenset((t.dim, t.coef) for t in rank) for rank in tensor.ranks) for tensor in nest.tensors]
    swaps = [(a, b) for a, b in combinations(lattice.dims, 2) if lattice.dims[a] == lattice.dims[b]]
    taken = [axis.takes(nest) for axis in fanout.axes] if fanout else []
    for several in (*combinations(swaps, 1), *combinations(swaps, 2)):
        mirror = {d: e for a, b in several for d, e in ((a, b), (b, a))}
        if len(mirror) < 2 * len(several):
            continue
        images = [
            frozenset(frozenset((mirror.get(d, d), coef) for d, coef in rank) for rank in ranks) for ranks in tensors
        ]
        free = all({mirror.get(d, d) for d in dims} == dims for dims in taken)
        if images == tensors and free:
            yield mirror


def _image(lattice: Lattice, mirror: dict[str, str]) -> Integers:
    """The position of each point's mirror image."""
    axis = {(d, prime): i for i, (d, prime, _) in enumerate(lattice.axes)}
    found = np.zeros(lattice.size, np.int64)
    for (d, prime, _), exponents in zip(lattice.axes, lattice.exponents, strict=True):
        found += exponents * lattice.strides[axis[mirror.get(d, d), prime]]
    return found


def on_axes(nest: LoopNest, fanout: FanOut, lattice: Lattice, offset: int, length: int) -> dict[str, dict[str, int]]:
    """By axis, factors per dim whose product is that at `offset`, of so many steps along the axes (0: of any)."""
    choices = [_axis_factors(nest, fanout, axis, lattice) for axis in range(len(fanout.axes))]

    def split(left: dict[str, int], axis: int, steps: int) -> list[dict[str, int]] | None:
        if axis == len(choices):
            return [] if math.prod(left.values()) == 1 and length in (0, steps) else None
        for point, used in choices[axis]:
            here = lattice.at(point)
            if all(left[d] % n == 0 for d, n in here.items()):
                inner = split({d: left[d] // n for d, n in here.items()}, axis + 1, steps + used)
                if inner is not None:
                    return [here, *inner]
        return None

    found = split(lattice.at(offset), 0, 0)
    assert found is not None
    return {axis.name: factors for axis, factors in zip(fanout.axes, found, strict=True)}
