"""Cost: energy, cycles, utilisation and bottleneck of a mapping, from its counts."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass
from fractions import Fraction

from mapper.arch import Architecture, Memory
from mapper.cost.traffic import count
from mapper.ir import LoopNest
from mapper.mapping import Counts, Keep, Mapping, ParFor


@dataclass(frozen=True, slots=True)
class Cost:
    """What a mapping costs.

    `energy` is exact, in the architecture's energy unit, and the sum of `energy_by_level`; `cycles` is the largest of
    `cycles_by_port` (the compute unit and each bounded memory port, e.g. 'DRAM shared'), `bottleneck` its name;
    `utilization` is operations / (cycles x peak operations per cycle); `home_words` are the words read from and
    written to the outermost memory, `home_bytes` the same in bytes. Fills and drains are taken to overlap perfectly:
    ramp-up and the stalls of single buffering are not counted.
    """

    counts: Counts
    energy: Fraction
    energy_by_level: Dict[str, Fraction]
    cycles: int
    cycles_by_port: Dict[str, int]
    bottleneck: str
    utilization: float
    home_words: int
    home_bytes: Fraction

    @property
    def edp(self) -> Fraction:
        """Energy x cycles."""
        return self.energy * self.cycles


def evaluate(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Cost:
    """The cost of a legal mapping (`mapper.mapping.violations` says whether it is)."""
    counts = count(nest, arch, mapping)
    energy = energy_by_level(arch, counts)
    ports = {arch.compute.name: -(-counts.steps // arch.compute.rate)}
    for memory in arch.memories:
        ports.update(_port_cycles(memory, counts, instances(nest, arch, mapping, memory)))
    bottleneck = max(ports, key=ports.__getitem__)
    cycles = ports[bottleneck]
    home_words = sum(total(counts, arch.home))
    return Cost(
        counts=counts,
        energy=sum(energy.values(), Fraction(0)),
        energy_by_level=energy,
        cycles=cycles,
        cycles_by_port=ports,
        bottleneck=bottleneck,
        utilization=counts.operations / (cycles * arch.peak_operations),
        home_words=home_words,
        home_bytes=Fraction(home_words * arch.home.word_bits, 8),
    )


def energy_by_level(arch: Architecture, counts: Counts) -> dict[str, Fraction]:
    """Energy of each memory, network and the compute unit."""
    energy = {}
    for memory in arch.memories:
        reads, writes = total(counts, memory)
        energy[memory.name] = reads * memory.read_energy + writes * memory.write_energy
    for fanout in arch.fanouts:
        moves = [m for (name, _), m in counts.moves.items() if name == fanout.name]
        delivered, reduced = sum(m.delivered for m in moves), sum(m.reduced for m in moves)
        energy[fanout.name] = delivered * fanout.deliver_energy + reduced * fanout.reduce_energy
    energy[arch.compute.name] = counts.operations * arch.compute.energy
    return energy


def total(counts: Counts, memory: Memory) -> tuple[int, int]:
    """Words read from and written to a memory, over all tensors and instances."""
    nodes = [access for (name, _), access in counts.accesses.items() if name == memory.name]
    return sum(n.reads for n in nodes), sum(n.writes for n in nodes)


def instances(nest: LoopNest, arch: Architecture, mapping: Mapping, memory: Memory) -> int:
    """Instances of the memory that the mapping uses: the largest trip counts of the spatial loops above it."""
    tile, used = dict(nest.dims), 1
    for item in mapping.items:
        if not isinstance(item, Keep):
            if isinstance(item, ParFor) and arch.depth[item.fanout] < arch.depth[memory.name]:
                used *= -(-tile[item.dim] // item.step)
            tile[item.dim] = min(tile[item.dim], item.step)
    return used


def _port_cycles(memory: Memory, counts: Counts, used: int) -> dict[str, int]:
    """Cycles that each bounded port of a memory needs, its words spread evenly over the instances used."""
    reads, writes = total(counts, memory)
    ports = {
        "read": (reads, memory.read_bandwidth),
        "write": (writes, memory.write_bandwidth),
        "shared": (reads + writes, memory.shared_bandwidth),
    }
    return {
        f"{memory.name} {port}": -(-words // (bandwidth * used))
        for port, (words, bandwidth) in ports.items()
        if bandwidth is not None
    }
