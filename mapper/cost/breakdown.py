"""Breakdown: the counts of a mapping node by node, network by network and level by level, with what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from fractions import Fraction

from mapper.arch import Architecture, Memory
from mapper.cost.cost import Cost, Measures, cost_of, instances_used, measure
from mapper.cost.cuts import Cuts
from mapper.cost.traffic import Link, links
from mapper.ir import LoopNest, Role
from mapper.mapping import Keep, Mapping, footprints


@dataclass(frozen=True, slots=True)
class NodeBreakdown:
    """A storage node. Counts are over all runs and instances; elements unless their name says otherwise.

    `extents` are those of the largest tile, by relevant dim, `shape` the same by rank; it takes `tile_words` words,
    which have `tile_bits` bits. `runs` are the iterations of the temporal loops above, `instances` those of the spatial
    loops that ever have work. Of the `writes`, `fills` load operands and `refills` bring back partial sums, both from
    the next node outwards; the rest comes from below. Of the `reads`, `drains` go outwards; the rest goes below.
    `read_accesses` and `write_accesses` are what energy is paid for: lines of words.
    """

    memory: str
    tensor: str
    rolling: bool
    extents: Dict[str, int]
    shape: tuple[int, ...]
    tile_words: int
    tile_bits: int
    runs: int
    instances: int
    reads: int
    writes: int
    fills: int
    refills: int
    drains: int
    read_words: int
    write_words: int
    read_accesses: int
    write_accesses: int
    energy: Fraction


@dataclass(frozen=True, slots=True)
class NetworkBreakdown:
    """One tensor on one network, in elements.

    `passed` is what enters or leaves at the outer end, `sharing` how many instances share one such element: by
    multicast or halo of an operand, by adding partial sums of an output. `delivered`, `reduced` and `hops` are as in
    `Moves`.
    """

    fanout: str
    tensor: str
    passed: int
    delivered: int
    reduced: int
    hops: int
    sharing: Fraction
    energy: Fraction


@dataclass(frozen=True, slots=True)
class LevelBreakdown:
    """A level: how many of its `instances` are `used`, and how full each memory is.

    `used_words` counts a double-buffered tile twice; `size_words` is None where unlimited or where the level is no
    memory. `cycles_by_port` are the cycles that each bounded port needs.
    """

    name: str
    used: int
    instances: int
    used_words: int | None
    size_words: int | None
    cycles_by_port: Dict[str, int]
    leak_energy: Fraction
    energy: Fraction


@dataclass(frozen=True)
class Breakdown:
    """A cost and everything it is the sum of, from the outermost level inwards."""

    cost: Cost
    nodes: tuple[NodeBreakdown, ...]
    networks: tuple[NetworkBreakdown, ...]
    levels: tuple[LevelBreakdown, ...]

    def __repr__(self) -> str:
        nodes = ", ".join(f"{node.memory}:{node.tensor}" for node in self.nodes)
        return f"<Breakdown of {self.cost!r} by nodes {nodes}>"


def break_down(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Breakdown:
    """The breakdown of a legal mapping."""
    cuts = Cuts(nest, mapping)
    found, moved = measure(arch, cuts), list(links(arch, cuts))
    cost = cost_of(nest, arch, found)
    nodes = sorted(
        (_node(arch, cuts, found, moved, i, item) for i, item in enumerate(mapping.items) if isinstance(item, Keep)),
        key=lambda node: arch.depth[node.memory],
    )
    return Breakdown(cost, tuple(nodes), tuple(_networks(arch, cuts, found, moved)), tuple(_levels(arch, cuts, cost)))


def _node(
    arch: Architecture, cuts: Cuts, found: Measures, moved: list[Link], position: int, item: Keep
) -> NodeBreakdown:
    nest, memory, tensor = cuts.nest, arch.memory(item.memory), cuts.nest.tensor(item.tensor)
    key, output = (item.memory, item.tensor), tensor.role is Role.OUTPUT
    tile = {d: cuts.largest(d, position) for d in tensor.dims}
    tile_words = footprints(nest, arch, cuts.mapping, memory)[item.tensor]
    outer = next((link for link in moved if (link.child, link.tensor) == (item.memory, tensor)), None)
    arrived = outer.crossings[-1] if outer else 0
    counted, words = found.counts.accesses[key], found.words[key]
    reads, writes = -(-words.reads // memory.line_words), -(-words.writes // memory.line_words)
    return NodeBreakdown(
        memory=item.memory,
        tensor=item.tensor,
        rolling=item.rolling,
        extents=tile,
        shape=nest.shape(tensor, dict(nest.dims) | tile),
        tile_words=tile_words,
        tile_bits=tile_words * memory.word_bits,
        runs=cuts.steps(position),
        instances=cuts.working(position),
        reads=counted.reads,
        writes=counted.writes,
        fills=0 if output else arrived,
        refills=outer.refilled if outer else 0,
        drains=arrived if output else 0,
        read_words=words.reads,
        write_words=words.writes,
        read_accesses=reads,
        write_accesses=writes,
        energy=reads * memory.read_energy + writes * memory.write_energy,
    )


def _networks(arch: Architecture, cuts: Cuts, found: Measures, moved: list[Link]) -> Iterator[NetworkBreakdown]:
    for fanout in arch.fanouts:
        for link in moved:
            if fanout not in link.between:
                continue
            at = link.between.index(fanout)
            passed, inside = link.crossings[at : at + 2]
            moves = found.counts.moves[fanout.name, link.tensor.name]
            yield NetworkBreakdown(
                fanout=fanout.name,
                tensor=link.tensor.name,
                passed=passed + (moves.delivered if link.tensor.role is Role.OUTPUT else 0),
                delivered=moves.delivered,
                reduced=moves.reduced,
                hops=moves.hops,
                sharing=Fraction(inside, passed),
                energy=moves.delivered * fanout.deliver_energy
                + moves.reduced * fanout.reduce_energy
                + moves.hops * fanout.hop_energy,
            )


def _levels(arch: Architecture, cuts: Cuts, cost: Cost) -> Iterator[LevelBreakdown]:
    for level in arch.levels:
        words = None
        if isinstance(level, Memory):
            words = sum(footprints(cuts.nest, arch, cuts.mapping, level).values()) * (1 + level.double_buffered)
        instances = arch.instances(level)
        yield LevelBreakdown(
            name=level.name,
            used=instances_used(arch, cuts, level.name),
            instances=instances,
            used_words=words,
            size_words=level.size_words if isinstance(level, Memory) else None,
            cycles_by_port={
                port: cycles for port, cycles in cost.cycles_by_port.items() if port.split(" ")[0] == level.name
            },
            leak_energy=level.leak_energy * instances * cost.cycles,
            energy=cost.energy_by_level[level.name],
        )
