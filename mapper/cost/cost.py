"""Cost: energy, cycles, utilisation and bottleneck of a mapping, from its counts."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mapper.arch import Architecture, Memory
from mapper.arrays import most
from mapper.cost.cuts import Cuts
from mapper.cost.traffic import counts_of
from mapper.ir import LoopNest
from mapper.mapping import Access, Counts, Mapping, ParFor


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """What a mapping costs.

    `energy` is exact, in `energy_unit` ('pJ', or 'MAC': multiples of one operation), and the sum of `energy_by_level`;
    it is also that of `energy_by_tensor` (what each memory and network spends on each tensor), `leak_by_level` and
    `operation_energy`. `cycles` is the largest of `cycles_by_port` (the compute unit and each bounded memory port, e.g.
    'DRAM shared'), `bottleneck` its name; `utilization` is operations / (cycles x peak operations per cycle);
    `home_words` are the words read from and written to the outermost memory, `home_bytes` the same in bytes, and
    `home_bytes_by_tensor` what they are the sum of. Fills and drains are taken to overlap perfectly: ramp-up and the
    stalls of single buffering are not counted.
    """

    counts: Counts
    energy: Fraction
    energy_unit: str
    energy_by_level: Dict[str, Fraction]
    energy_by_tensor: Dict[tuple[str, str], Fraction]
    leak_by_level: Dict[str, Fraction]
    operation_energy: Fraction
    cycles: int
    cycles_by_port: Dict[str, int]
    bottleneck: str
    utilization: float
    home_words: int
    home_bytes: Fraction
    home_bytes_by_tensor: Dict[str, Fraction]

    @property
    def edp(self) -> Fraction:
        """Energy x cycles."""
        return self.energy * self.cycles

    def to_dict(self) -> dict[str, Any]:
        """The cost as plain data, as in a result: energies in `energy_unit`, counts in elements."""
        from mapper.documents.layer import cost_data

        return cost_data(self)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each tensor at each memory and network, for the operations and for leakage: what a DataFrame
        takes. Their energies add up to that of the cost."""
        from mapper.documents.layer import cost_rows

        return cost_rows(self)

    def __repr__(self) -> str:
        from mapper.documents.quantities import cost_text

        return f"<Cost {cost_text(self)}>"

    def _repr_html_(self) -> str:
        from mapper.documents.show import cost_html

        return cost_html(self)


@dataclass(frozen=True, slots=True)
class Measures:
    """The counts of a mapping, or of many where steps are arrays, and the words and cycles that follow from them."""

    counts: Counts
    words: Dict[tuple[str, str], Access]
    cycles_by_port: Dict[str, int]
    cycles: int


def evaluate(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Cost:
    """The cost of a legal mapping (`mapper.mapping.violations` says whether it is)."""
    return cost_of(nest, arch, measure(arch, Cuts(nest, mapping)))


def cost_of(nest: LoopNest, arch: Architecture, found: Measures) -> Cost:
    """The cost that follows from the measures of one mapping."""
    denominator = arch.prices.denominator

    def priced(energy: Dict[Any, int]) -> dict[Any, Fraction]:
        return {key: Fraction(part, denominator) for key, part in energy.items()}

    energy = energy_by_level(arch, found)
    bottleneck = max(found.cycles_by_port, key=found.cycles_by_port.__getitem__)
    words = home_words(arch, found)
    return Cost(
        counts=found.counts,
        energy=Fraction(sum(energy.values()), denominator),
        energy_unit=arch.energy_unit,
        energy_by_level=priced(energy),
        energy_by_tensor=priced(energy_by_tensor(arch, found)),
        leak_by_level=priced(leak_by_level(arch, found)),
        operation_energy=found.counts.operations * arch.compute.energy,
        cycles=found.cycles,
        cycles_by_port=found.cycles_by_port,
        bottleneck=bottleneck,
        utilization=nest.operations / (found.cycles * arch.peak_operations),
        home_words=words,
        home_bytes=Fraction(words * arch.home.word_bits, 8),
        home_bytes_by_tensor={
            tensor: Fraction((w.reads + w.writes) * arch.home.word_bits, 8)
            for (name, tensor), w in found.words.items()
            if name == arch.home.name
        },
    )


def measure(arch: Architecture, cuts: Cuts) -> Measures:
    """Counts, words and cycles of a legal mapping with these cuts."""
    nest, counts = cuts.nest, counts_of(arch, cuts)
    words = {
        (name, tensor): _words(arch.memory(name), access, arch.bits(nest.tensor(tensor)), arch.partial_bits(nest))
        for (name, tensor), access in counts.accesses.items()
    }
    ports = {arch.compute.name: -(-counts.steps // arch.compute.rate)}
    for memory in arch.memories:
        ports.update(_port_cycles(arch, memory, words, cuts))
    cycles = 0
    for needed in ports.values():
        cycles = most(cycles, needed)
    return Measures(counts, words, ports, cycles)


def home_words(arch: Architecture, found: Measures) -> int:
    """Words read from and written to the outermost memory."""
    return sum(w.reads + w.writes for (name, _), w in found.words.items() if name == arch.home.name)


def energy_by_level(arch: Architecture, found: Measures) -> dict[str, int]:
    """Energy of each memory, network and the compute unit, over the denominator of the architecture's prices."""
    energy = leak_by_level(arch, found)
    for (name, _), part in energy_by_tensor(arch, found).items():
        energy[name] = energy[name] + part
    name = arch.compute.name
    energy[name] = energy[name] + found.counts.operations * arch.prices.operation
    return energy


def energy_by_tensor(arch: Architecture, found: Measures) -> dict[tuple[str, str], int]:
    """What each memory's accesses and each network's moves of each tensor cost, over the same denominator."""
    price = arch.prices
    energy: dict[tuple[str, str], int] = {}
    for (name, tensor), access in found.words.items():
        line = arch.memory(name).line_words
        reads, writes = -(-access.reads // line), -(-access.writes // line)
        energy[name, tensor] = reads * price.read[name] + writes * price.write[name]
    for (name, tensor), moves in found.counts.moves.items():
        moved = moves.delivered * price.deliver[name] + moves.reduced * price.reduce[name]
        energy[name, tensor] = moved + moves.hops * price.hop[name]
    return energy


def leak_by_level(arch: Architecture, found: Measures) -> dict[str, int]:
    """What all instances of each level lose while the mapping runs, over the same denominator."""
    return {level.name: found.cycles * arch.prices.leak[level.name] for level in arch.levels}


def _words(memory: Memory, access: Access, bits: int | None, partial_bits: int | None) -> Access:
    """Words of a memory that so many elements take, rounded up per direction and width."""
    partial_reads = memory.words(access.partial_reads, partial_bits)
    partial_writes = memory.words(access.partial_writes, partial_bits)
    reads = memory.words(access.reads - access.partial_reads, bits) + partial_reads
    writes = memory.words(access.writes - access.partial_writes, bits) + partial_writes
    return Access(reads, writes, partial_reads, partial_writes)


def instances_used(arch: Architecture, cuts: Cuts, level: str) -> int:
    """Instances of a level that ever have work."""
    items, above = cuts.mapping.items, {f.name for f in arch.fanouts[: arch.segment[level]]}
    inside = (i for i, item in enumerate(items) if isinstance(item, ParFor) and item.fanout not in above)
    return cuts.working(next(inside, len(items)))


def _port_cycles(
    arch: Architecture, memory: Memory, words: Dict[tuple[str, str], Access], cuts: Cuts
) -> dict[str, int]:
    """Cycles that each bounded port of a memory needs, its words spread evenly over the instances used."""
    bounded = memory.read_bandwidth, memory.write_bandwidth, memory.shared_bandwidth
    if bounded == (None, None, None):
        return {}
    used = instances_used(arch, cuts, memory.name)
    accesses = [access for (name, _), access in words.items() if name == memory.name]
    reads, writes = sum(a.reads for a in accesses), sum(a.writes for a in accesses)
    return {
        f"{memory.name} {port}": -(-moved * bandwidth.denominator // (bandwidth.numerator * used))
        for port, moved, bandwidth in zip(
            ("read", "write", "shared"), (reads, writes, reads + writes), bounded, strict=True
        )
        if bandwidth is not None
    }
