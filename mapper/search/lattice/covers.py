"""What the lattice engine covers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mapper.arch import Memory
from mapper.ir import Role
from mapper.search.lattice.points import LARGEST, Lattice
from mapper.search.mapspace import Mapspace

MOST_POINTS = 1 << 18
"""Tables of so many tile extents take about two gigabytes together."""


def uncovered(space: Mapspace) -> Iterator[str]:
    """What the lattice engine does not cover of a mapspace, in words; nothing if it covers all."""
    nest, arch = space.nest, space.arch
    if cut := [f"{d}={n}" for d, n in space.dims.items() if d not in space.dividing]:
        yield f"{', '.join(cut)} may be cut with a shorter last piece"
    if space.constraints:
        yield "there are constraints"
    if space.even:
        yield "mappings must be even"
    if len(arch.fanouts) > 1:
        yield "there are several fan-outs"
    if arch.leak_energy:
        yield "a level leaks: energy depends on cycles"
    for fanout in arch.fanouts:
        for tensor in nest.tensors:
            if space.sliding(tensor) and fanout.shares_halo(tensor.role):
                yield f"{fanout.name} shares halos of {tensor.name}"
    for memory in arch.memories:
        if Role.OUTPUT in memory.may_keep:
            if memory.line_words > 1:
                yield f"{memory.name} is accessed by lines, and may keep the output"
            if _width(memory, arch.bits(nest.output)) != _width(memory, arch.partial_bits(nest)):
                yield f"partial sums are wider or narrower than results in {memory.name}"
            if _width(memory, arch.bits(nest.output))[1] > 1:
                yield f"{memory.name} packs outputs"
    lattice = Lattice(space.dims)
    if lattice.size > MOST_POINTS or lattice.bits > 62:
        yield f"there are {lattice.size} tile extents, more than {MOST_POINTS}"
    if _largest(space) >= LARGEST // 128:
        yield "energies have too many digits"


def _width(memory: Memory, bits: int | None) -> tuple[int, int]:
    """(words of an element, elements in a word), one of them 1."""
    if bits is None:
        return 1, 1
    return memory.words(1, bits), memory.word_bits // bits if memory.packed and bits < memory.word_bits else 1


def _largest(space: Mapspace) -> int:
    """A bound on the energy of any mapping, legal or not, and of each of its parts."""
    nest, arch = space.nest, space.arch
    price = arch.prices
    total = nest.operations * price.operation
    for tensor in nest.tensors:
        # boxes hold at most as many elements as points, times the largest coefficient of each rank
        elements = nest.operations * math.prod(max(term.coef for term in rank) for rank in tensor.ranks)
        for memory in arch.memories:
            words = memory.words(elements, arch.bits(tensor))
            total += 4 * words * (price.read[memory.name] + price.write[memory.name])
        for fanout in arch.fanouts:
            steps = 2 * sum(axis.size for axis in fanout.axes)
            total += 2 * elements * (price.deliver[fanout.name] + price.reduce[fanout.name])
            total += 2 * elements * steps * price.hop[fanout.name]
    return total
