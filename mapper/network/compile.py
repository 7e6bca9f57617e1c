"""A whole network: each distinct layer solved once, in parallel, and the totals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from mapper.arch import Architecture
from mapper.errors import MapperError, all_of
from mapper.ir import LoopNest, Network, Node
from mapper.search.mapspace import Mapspace
from mapper.search.result import Result

OnSolved = Callable[[LoopNest, Result], None]
"""Called in the calling process whenever a layer is solved."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a node that only moves data costs on the outermost memory: each input read, each output written once."""

    node: Node
    bytes: Fraction
    energy: Fraction
    cycles: int


@dataclass(frozen=True)
class Compiled:
    """A network with the result of each of its distinct layers.

    Layers run one after the other, so cycles and energies add; other nodes are included in the totals.
    """

    network: Network
    arch: Architecture
    results: Mapping[LoopNest, Result]

    def result(self, layer: Node) -> Result:
        """The result of a layer."""
        assert layer.nest is not None
        return self.results[layer.nest]

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """The nodes that are not mapped, in order."""
        return tuple(transfer(node, self.arch) for node in self.network.others)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(self.result(n).cost.counts.operations for n in self.network.layers)

    @property
    def energy(self) -> Fraction:
        """Energy of all nodes, in the architecture's energy unit."""
        layers = sum((self.result(n).cost.energy for n in self.network.layers), Fraction(0))
        return layers + sum(t.energy for t in self.transfers)

    @property
    def cycles(self) -> int:
        """Cycles of all nodes."""
        return sum(self.result(n).cost.cycles for n in self.network.layers) + sum(t.cycles for t in self.transfers)

    @property
    def home_bytes(self) -> Fraction:
        """Bytes read from and written to the outermost memory by all nodes."""
        layers = sum((self.result(n).cost.home_bytes for n in self.network.layers), Fraction(0))
        return layers + sum(t.bytes for t in self.transfers)

    @property
    def latency_s(self) -> Fraction | None:
        """Cycles at the clock, in seconds; None where the architecture has no clock."""
        return Fraction(self.cycles, self.arch.clock_hz) if self.arch.clock_hz else None


def transfer(node: Node, arch: Architecture) -> Transfer:
    """The cost of moving a node's tensors, its inputs as wide as inputs of layers and its outputs as outputs."""
    home, widths = arch.home, arch.compute.widths
    reads, writes = home.words(node.reads, widths.input), home.words(node.writes, widths.output)
    ports = (
        (reads, home.read_bandwidth),
        (writes, home.write_bandwidth),
        (reads + writes, home.shared_bandwidth),
    )
    cycles = max((-(-words // bandwidth) for words, bandwidth in ports if bandwidth is not None), default=0)
    lines = -(-reads // home.line_words), -(-writes // home.line_words)
    return Transfer(
        node,
        Fraction((reads + writes) * home.word_bits, 8),
        lines[0] * home.read_energy + lines[1] * home.write_energy + cycles * arch.leak_energy,
        cycles,
    )


def compile_network(
    network: Network,
    arch: Architecture,
    *,
    time_limit_s: float | None = None,
    executor: Executor | None = None,
    on_solved: OnSolved | None = None,
) -> Compiled:
    """Solve each distinct layer of a network on an architecture.

    `time_limit_s` bounds each layer. With an `executor` (a process pool, a dask client's executor...) layers are
    solved in parallel there, else one after the other here. Raises InfeasibleError naming every layer that cannot be
    mapped.
    """
    results: dict[LoopNest, Result] = {}
    check_network(network, arch)

    def take(nest: LoopNest, result: Result) -> None:
        results[nest] = result
        if on_solved:
            on_solved(nest, result)

    if executor is None:
        for nest in network.unique:
            take(nest, _solve(nest, arch, time_limit_s))
    else:
        futures: dict[Future[Result], LoopNest] = {
            executor.submit(_solve, nest, arch, time_limit_s): nest for nest in _hardest_first(network)
        }
        for future in as_completed(futures):
            take(futures[future], future.result())
    return Compiled(network, arch, {nest: results[nest] for nest in network.unique})


def check_network(network: Network, arch: Architecture) -> None:
    """Raise InfeasibleError naming every distinct layer that has no legal mapping, before any is solved."""
    names = {layer.nest: layer.name for layer in reversed(network.layers)}
    problems: list[MapperError] = []
    for nest in network.unique:
        try:
            Mapspace(nest, arch).check()
        except MapperError as error:
            problems.append(type(error)(error.message, place=f"layer {names[nest]}", hint=error.hint))
    found = all_of(problems)
    if found:
        raise found


def _hardest_first(network: Network) -> list[LoopNest]:
    """Layers with more dims to cut take longer: starting them first keeps all workers busy to the end."""
    return sorted(network.unique, key=lambda nest: -sum(n > 1 for _, n in nest.dims))


def _solve(nest: LoopNest, arch: Architecture, time_limit_s: float | None) -> Result:
    from mapper.search.cpsat import solve

    return solve(Mapspace(nest, arch), time_limit_s=time_limit_s)
