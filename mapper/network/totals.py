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
    """What a node that only moves data costs on the outermost memory, one time that it runs."""

    node: Node
    bytes: Fraction
    energy: Fraction
    cycles: int


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


def transfer(node: Node, arch: Architecture) -> Transfer:
    """The cost of moving what a node reads and writes, as wide as inputs and outputs of layers unless it says more."""
    home, widths = arch.home, arch.compute.widths
    reads = sum(home.words(n, bits or widths.input) for n, bits in node.reads)
    writes = sum(home.words(n, bits or widths.output) for n, bits in node.writes)
    ports = (
        (reads, home.read_bandwidth),
        (writes, home.write_bandwidth),
        (reads + writes, home.shared_bandwidth),
    )
    cycles = max((-(-words // bandwidth) for words, bandwidth in ports if bandwidth is not None), default=0)
    lines = -(-reads // home.line_words), -(-writes // home.line_words)
    energy = lines[0] * home.read_energy + lines[1] * home.write_energy + cycles * arch.leak_energy
    moved = Fraction((reads + writes) * home.word_bits, 8)
    return Transfer(node, moved, energy, cycles)
