"""What a network costs: its layers by their mappings, every other node by the data it moves, and the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from mapper.arch import Architecture
from mapper.cost import Cost
from mapper.ir import LoopNest, Network, Node


class Costed(Protocol):
    """What is known of a layer at least, as of a `Result` or a `Point`: the cost of its mapping."""

    @property
    def cost(self) -> Cost: ...


Of = TypeVar("Of", bound=Costed)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a node that only moves data costs on the outermost memory, one time that it runs.

    `access_energy` is spent there, `leak_energy` by all levels meanwhile: together `energy_by_level`. `bottleneck` is
    the port of that memory that takes the `cycles`, as 'DRAM shared'; empty where no port is bounded.
    """

    node: Node
    bytes: Fraction
    energy_by_level: Mapping[str, Fraction]
    access_energy: Fraction
    leak_energy: Fraction
    cycles: int
    bottleneck: str

    @property
    def energy(self) -> Fraction:
        """In the architecture's energy unit: accesses and leakage."""
        return self.access_energy + self.leak_energy


@dataclass(frozen=True)
class Mapped(Generic[Of]):
    """A network with what is known of each of its distinct layers.

    Layers run one after the other, so cycles and energies add; other nodes are included in the totals.
    """

    network: Network
    arch: Architecture
    results: Mapping[LoopNest, Of]

    def result(self, layer: Node) -> Of:
        """What is known of a layer."""
        assert layer.nest is not None
        return self.results[layer.nest]

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """The nodes that are not mapped, in order."""
        return tuple(transfer(node, self.arch) for node in self.network.others)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(n.times * n.nest.macs for n in self.network.layers if n.nest)

    @property
    def operations(self) -> int:
        """Operations of all layers: multiply-accumulates, and additions or comparisons of those without a weight."""
        return sum(n.times * self.result(n).cost.counts.operations for n in self.network.layers)

    @property
    def energy(self) -> Fraction:
        """Energy of all nodes, in the architecture's energy unit."""
        layers = sum((n.times * self.result(n).cost.energy for n in self.network.layers), Fraction(0))
        return layers + sum(t.node.times * t.energy for t in self.transfers)

    @property
    def cycles(self) -> int:
        """Cycles of all nodes."""
        layers = sum(n.times * self.result(n).cost.cycles for n in self.network.layers)
        return layers + sum(t.node.times * t.cycles for t in self.transfers)

    @property
    def home_bytes(self) -> Fraction:
        """Bytes read from and written to the outermost memory by all nodes."""
        layers = sum((n.times * self.result(n).cost.home_bytes for n in self.network.layers), Fraction(0))
        return layers + sum(t.node.times * t.bytes for t in self.transfers)

    @property
    def latency_s(self) -> Fraction | None:
        """Cycles at the clock, in seconds; None where the architecture has no clock."""
        return Fraction(self.cycles, self.arch.clock_hz) if self.arch.clock_hz else None

    @property
    def utilization(self) -> float | None:
        """Operations / (cycles x peak operations per cycle), other nodes' cycles included; None where nothing runs."""
        return self.operations / (self.cycles * self.arch.peak_operations) if self.cycles else None

    @property
    def arithmetic(self) -> int:
        """Operations as TOPS count them: a multiply-accumulate is two."""
        return self.operations + self.macs

    @property
    def inferences_per_s(self) -> Fraction | None:
        """Runs of the model per second, one after the other; None without a clock or where nothing runs."""
        return 1 / self.latency_s if self.latency_s else None

    @property
    def tops(self) -> Fraction | None:
        """Operations per second (`arithmetic`), in 10^12; None without a clock or where nothing runs."""
        return self.arithmetic / self.latency_s / 10**12 if self.latency_s else None

    @property
    def power_w(self) -> Fraction | None:
        """Mean power in watts; None without a clock, where nothing runs, or where energies are multiples of a MAC."""
        return self.energy / 10**12 / self.latency_s if self.latency_s and self.arch.energy_unit == "pJ" else None

    @property
    def tops_per_w(self) -> Fraction | None:
        """Operations (`arithmetic`) per joule, in 10^12; None where energies are no joules, or nothing is spent."""
        return self.arithmetic / self.energy if self.energy and self.arch.energy_unit == "pJ" else None


def transfer(node: Node, arch: Architecture) -> Transfer:
    """The cost of moving what a node reads and writes, as wide as inputs and outputs of layers unless it says more."""
    home, widths = arch.home, arch.compute.widths
    reads = sum(home.words(n, bits or widths.input) for n, bits in node.reads)
    writes = sum(home.words(n, bits or widths.output) for n, bits in node.writes)
    ports = (
        ("read", reads, home.read_bandwidth),
        ("write", writes, home.write_bandwidth),
        ("shared", reads + writes, home.shared_bandwidth),
    )
    needed = {f"{home.name} {port}": -(-words // rate) for port, words, rate in ports if rate is not None}
    bottleneck = max(needed, key=needed.__getitem__, default="")
    cycles = needed.get(bottleneck, 0)
    lines = -(-reads // home.line_words), -(-writes // home.line_words)
    accesses = lines[0] * home.read_energy + lines[1] * home.write_energy
    energy = {level.name: cycles * level.leak_energy * arch.instances(level) for level in arch.levels}
    energy[home.name] += accesses
    return Transfer(
        node,
        bytes=Fraction((reads + writes) * home.word_bits, 8),
        energy_by_level=energy,
        access_energy=accesses,
        leak_energy=cycles * arch.leak_energy,
        cycles=cycles,
        bottleneck=bottleneck,
    )
