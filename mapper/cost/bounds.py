"""Bounds: what no value of an evaluation passes, found in exact integers before it, so that none overflows."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dict
from fractions import Fraction

from mapper.arch import Architecture, Memory
from mapper.ir import LoopNest, Role, Tensor
from mapper.mapping import Keep, Mapping, ParFor


def largest_values(nest: LoopNest, arch: Architecture, mapping: Mapping, instances: Dict[int, int]) -> tuple[int, int]:
    """Bounds on the absolute value of anything that an evaluation computes: (of all but energies, of energies).

    They hold for any steps, legal or not, with which each spatial loop, by position, makes at most `instances` pieces.
    """
    price, lengths, used = arch.prices, _lengths(arch, mapping, instances), math.prod(instances.values())
    counted, cycles = max(used, arch.compute.rate), nest.operations
    energy = nest.operations * price.operation
    for tensor in nest.tensors:
        elements = _elements(nest, mapping, tensor)
        for name, length in lengths.items():
            hops = 2 * elements * length  # re-fills and what is drained
            energy += elements * (price.deliver[name] + price.reduce[name]) + hops * price.hop[name]
            counted += hops
        for node in (mapping.items[i] for i in mapping.nodes(tensor.name)):
            assert isinstance(node, Keep)
            memory = arch.memory(node.memory)
            # results, the difference of two counts, and partial sums
            words = 3 * elements * max(memory.words(1, bits) for bits in (arch.bits(tensor), arch.partial_bits(nest)))
            energy += words * (price.read[memory.name] + price.write[memory.name])
            cycles += 2 * words * max((b.denominator for b in _bandwidths(memory)), default=0)
            counted += words + memory.word_bits + memory.line_words
    energy += cycles * sum(price.leak.values())
    counted += cycles + sum(b.numerator * used for memory in arch.memories for b in _bandwidths(memory))
    return 2 * counted, 2 * energy  # `least` and `most` take differences


def _elements(nest: LoopNest, mapping: Mapping, tensor: Tensor) -> int:
    """Bounds the elements of a tensor that are read from or written to any of its nodes, or cross a network.

    A box of a rank has at most as many words as points times the largest coefficient, so all boxes of a node together
    have at most as many as there are operations, times those of all ranks. Re-fills of an output are what crosses less
    what began from zero further out, and so differ from those of the link above by at most twice the boxes.
    """
    boxes = nest.operations * math.prod(max(term.coef for term in rank) for rank in tensor.ranks)
    return boxes * (2 * len(mapping.nodes(tensor.name)) + 4) if tensor.role is Role.OUTPUT else boxes


def _lengths(arch: Architecture, mapping: Mapping, instances: Dict[int, int]) -> dict[str, int]:
    """Bounds the steps along all axes of each fan-out; at least 1."""
    length = {(f.name, axis.name): 1 for f in arch.fanouts for axis in f.axes}
    for i, item in enumerate(mapping.items):
        if isinstance(item, ParFor):
            length[item.fanout, item.axis] *= instances[i]
    return {f.name: max(1, sum(length[f.name, axis.name] for axis in f.axes)) for f in arch.fanouts}


def _bandwidths(memory: Memory) -> list[Fraction]:
    bounded = memory.read_bandwidth, memory.write_bandwidth, memory.shared_bandwidth
    return [bandwidth for bandwidth in bounded if bandwidth is not None]
