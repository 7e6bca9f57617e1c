"""What counts cost, worked out from `docs/model.md` with nothing of the cost model: floor by floor, in fractions."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

from strategies import Case

from mapper.arch import Compute, FanOut, Memory
from mapper.mapping import Counts, Keep, ParFor


def words_of(memory: Memory, elements: int, bits: int | None) -> int:
    """Words that so many elements of a width take."""
    if bits is None or memory.word_bits // bits == 1 or (bits < memory.word_bits and not memory.packed):
        return elements
    if bits > memory.word_bits:
        return elements * math.ceil(Fraction(bits, memory.word_bits))
    return math.ceil(Fraction(elements, memory.word_bits // bits))


def working(case: Case, fanouts: set[str]) -> set[tuple[int, ...]]:
    """Coordinates, in the spatial loops over those fan-outs, of all instances that ever do an operation."""
    names = [d for d, _ in case.nest.dims]
    states = {((), tuple(n for _, n in case.nest.dims))}  # coordinates, extents of the pieces
    for item in case.mapping.items:
        if isinstance(item, Keep):
            continue
        at, after = names.index(item.dim), set()
        for place, sizes in states:
            for number, begin in enumerate(range(0, sizes[at], item.step)):
                piece = (*sizes[:at], min(item.step, sizes[at] - begin), *sizes[at + 1 :])
                own = isinstance(item, ParFor) and item.fanout in fanouts
                after.add(((*place, number) if own else place, piece))
        states = after
    return {place for place, _ in states}


def price(case: Case, counts: Counts) -> tuple[dict[str, Fraction], dict[str, int], int]:
    """(energy by level, cycles by port, words of the outermost memory) of what was counted."""
    nest, arch, _ = case
    widths = arch.compute.widths
    bits = {t.name: t.bits if t.bits is not None else getattr(widths, str(t.role)) for t in nest.tensors}
    sums = next((b for b in (nest.partial_bits, widths.partial) if b is not None), bits[nest.output.name])
    used, exist, above, instances = {}, {}, set(), 1
    for level in arch.levels:
        used[level.name], exist[level.name] = len(working(case, above)), instances
        if isinstance(level, FanOut):
            above.add(level.name)
            instances *= math.prod(axis.size for axis in level.axes)

    energy: dict[str, Fraction] = defaultdict(Fraction)
    moved: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (name, tensor), access in counts.accesses.items():
        memory = arch.memory(name)
        for way, (every, partial, cost) in enumerate(
            (
                (access.reads, access.partial_reads, memory.read_energy),
                (access.writes, access.partial_writes, memory.write_energy),
            )
        ):
            words = words_of(memory, every - partial, bits[tensor]) + words_of(memory, partial, sums)
            moved[name][way] += words
            energy[name] += math.ceil(Fraction(words, memory.line_words)) * cost
    for (name, _), moves in counts.moves.items():
        fanout = next(level for level in arch.levels if level.name == name)
        energy[name] += moves.delivered * fanout.deliver_energy + moves.reduced * fanout.reduce_energy
        energy[name] += moves.hops * fanout.hop_energy
    cycles = {}
    for level in arch.levels:
        if isinstance(level, Compute):
            energy[level.name] += counts.operations * level.energy
            cycles[level.name] = math.ceil(Fraction(counts.steps, level.rate))
        elif isinstance(level, Memory):
            reads, writes = moved[level.name]
            for port, words in (("read", reads), ("write", writes), ("shared", reads + writes)):
                bandwidth = getattr(level, f"{port}_bandwidth")
                if bandwidth is not None:
                    cycles[f"{level.name} {port}"] = math.ceil(words / (bandwidth * used[level.name]))
    longest = max(cycles.values())
    total = {level.name: energy[level.name] + level.leak_energy * exist[level.name] * longest for level in arch.levels}
    return total, cycles, sum(moved[arch.home.name])
