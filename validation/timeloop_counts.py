"""Our counts of a Timeloop record, as they are and under Timeloop's conventions, beside Timeloop's."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from mapper.cost import Cost, evaluate
from mapper.mapping import Counts, Mapping, footprints
from validation.timeloop_inputs import OUTPUTS, Difference, handed_on, not_loaded, transfers
from validation.timeloop_records import ARRAY, MAC, InexpressibleError, Node, Record, Tally, machine, mapping_of

ALL = frozenset(Difference)


@dataclass(frozen=True, slots=True)
class Words:
    """Words of all instances: read, arrived from above, arrived from below, and of the last those added to a word.

    Reads are whole numbers; a fraction could come of counts that are wrong.
    """

    reads: int | Fraction
    fills: int
    updates: int
    reductions: int

    @property
    def total(self) -> int | Fraction:
        """Accesses; an update that is added is a read too, and counted there."""
        return self.reads + self.fills + self.updates


def recorded(tally: Tally) -> Words:
    """Timeloop's."""
    return Words(tally.reads, tally.fills, tally.updates, tally.reductions)


@cache
def priced(record: Record) -> tuple[Mapping, Cost]:
    """The record's mapping in our notation and its cost; InexpressibleError if there is none."""
    mapping = mapping_of(record)
    return mapping, evaluate(record.nest, record.architecture, mapping)


@cache
def obstacle(record: Record) -> str | None:
    """Which node would have to stand above which for the record to be expressible; None if it is."""
    try:
        mapping_of(record)
    except InexpressibleError as error:
        return str(error)
    return None


@cache
def differences(record: Record, every_step: bool = False) -> frozenset[Difference]:
    """The conventions that change this record's counts, from its loops alone."""
    found = {kind for transfer in transfers(record, every_step) for kind in transfer.differences}
    inner = record.kept("O")[1:]
    if inner:
        found.add(Difference.DRAIN)
    if reducing_group(record) > 1 and any(
        record.inside_array(memory) and _refilled(record, memory) for memory in inner
    ):
        found.add(Difference.GROUP)
    return frozenset(found)


def reducing_group(record: Record) -> int:
    """Instances whose partial sums are added on the way up."""
    return math.prod(bound.times for bound in record.spatial if bound.dim not in record.nest.output.dims)


def _refilled(record: Record, memory: str) -> bool:
    """Whether partial sums come back to a memory: a temporal loop over a reduction dim stands above its node."""
    above = record.temporal[: record.place(memory, "O")]
    return any(bound.dim not in record.nest.output.dims for bound in above)


def converted(record: Record, counts: Counts, by: Set[Difference] = ALL, every_step: bool = False) -> dict[Node, Words]:
    """Our counts under those of Timeloop's conventions that are in `by`."""
    weights = {
        (memory, "W"): Words(counts.accesses[memory, "W"].reads, counts.accesses[memory, "W"].writes, 0, 0)
        for memory in record.kept("W")
    }
    return weights | _outputs(record, counts, by) | _inputs(record, counts, by, every_step)


def _outputs(record: Record, counts: Counts, by: Set[Difference]) -> dict[Node, Words]:
    """Timeloop has each of the instances of a reducing group begin from zero once and re-fill at every other arrival.

    In our counts writes are re-fills from above and updates from below, reads are drains to above and what is added to
    or re-filled below; which is which follows from the counts of the memory above.
    """
    words, found = record.nest.words(record.nest.output), {}
    group = reducing_group(record)
    home, *inner = record.kept("O")
    access = counts.accesses[home, "O"]
    down, up, outside = access.reads, access.writes, 1
    found[home, "O"] = Words(down, 0, up, down)
    for memory in inner:
        access, instances = counts.accesses[memory, "O"], group if record.inside_array(memory) else 1
        refills, drains = down, up * instances // outside
        down, up, outside = access.reads - drains, access.writes - refills, instances
        reads, fills = down, refills
        if Difference.GROUP in by:
            fresh = drains - refills  # visits of words that began from zero
            reads, fills = down + fresh - instances * words, instances * refills
        drained = 0 if Difference.DRAIN in by else drains
        found[memory, "O"] = Words(reads + drained, fills, up, reads)
    return found


def _inputs(record: Record, counts: Counts, by: Set[Difference], every_step: bool) -> dict[Node, Words]:
    """A read of the parent serves the instances that share it; what an instance hands on it reads itself."""
    accesses = {memory: counts.accesses[memory, "I"] for memory in record.kept("I")}
    reads = {memory: Fraction(access.reads) for memory, access in accesses.items()}
    fills = {memory: access.writes for memory, access in accesses.items()}
    for transfer in transfers(record, every_step):
        kept = sum(words for kind, words in not_loaded(transfer).items() if kind in by)
        at_parent = reads[transfer.parent] - kept * transfer.apart
        if Difference.EQUAL in by:
            at_parent = at_parent * transfer.boxes / transfer.apart
        if transfer.child != MAC:
            instances = instances_of(record, transfer.child)
            fills[transfer.child] -= kept * instances
            if Difference.LINKS in by:
                handed, saved = handed_on(transfer)
                at_parent -= saved
                reads[transfer.child] += handed // instances * instances  # an average, printed as a whole number
        reads[transfer.parent] = at_parent
    return {(memory, "I"): Words(reads[memory], fills[memory], 0, 0) for memory in accesses}


@dataclass(frozen=True, slots=True)
class Line:
    """One memory and tensor of a record: our words as they are, under Timeloop's conventions, and Timeloop's."""

    node: Node
    ours: Words
    converted: Words
    theirs: Words

    @property
    def equal(self) -> bool:
        """Whether the conversion brought ours to theirs."""
        return self.converted == self.theirs


def compare(
    record: Record, counts: Counts | None = None, by: Set[Difference] = ALL, every_step: bool = False
) -> list[Line]:
    """All lines of an expressible record; `counts` are ours unless others are given."""
    counts = priced(record)[1].counts if counts is None else counts
    tallies = record.every_step if every_step else record.tallies
    assert tallies is not None, f"{record.name} was not run with every step visited"
    ours, under = converted(record, counts, frozenset()), converted(record, counts, by, every_step)
    assert set(ours) == set(tallies)
    return [Line(node, ours[node], under[node], recorded(tallies[node])) for node in ours]


def own_abilities(record: Record, every_step: bool = False) -> list[Line] | None:
    """The record on a machine whose memories roll and whose network shares halos: no convention for inputs is applied.

    None where the mapping form or the abilities do not reach: a step of a loop further out loads new words only, boxes
    overlap without being equal, neighbours hand tiles on, or the spatial loops cannot make room for a rolling node.
    """
    ways = transfers(record, every_step)
    if differences(record, every_step) & {Difference.OUTER, Difference.LINKS}:
        return None
    equal = [way for way in ways if Difference.EQUAL in way.differences]
    if not all(way.separable for way in equal):
        return None
    rolling = [way.child for way in ways if Difference.WINDOW in way.differences]
    try:
        mapping = mapping_of(record, rolling)
    except InexpressibleError:
        return None
    able = machine(record, rolling=bool(rolling), halo=bool(equal))
    return compare(record, evaluate(record.nest, able, mapping).counts, OUTPUTS, every_step)


def capacities(record: Record) -> dict[Node, tuple[int, int]]:
    """(our footprint, Timeloop's utilised capacity) of the largest tile, in words of an instance."""
    mapping, _ = priced(record)
    ours = {
        (memory.name, tensor): words
        for memory in record.architecture.memories
        for tensor, words in footprints(record.nest, record.architecture, mapping, memory).items()
    }
    return {node: (ours[node], tally.capacity) for node, tally in record.tallies.items()}


def instances_of(record: Record, memory: str) -> int:
    """Instances of a memory in use."""
    return record.instances if record.inside_array(memory) else 1


def untouched(record: Record) -> list[str]:
    """The memories for which no convention differs: their energies and cycles are comparable as we print them."""
    found = []
    for memory in record.memories:
        ways = [way for way in transfers(record) if memory in (way.parent, way.child)]
        outputs = memory in record.kept("O")[1:]
        if not outputs and not any(way.differences for way in ways):
            found.append(memory)
    return found


def port_cycles(record: Record, memory: str, words: int | Fraction) -> int:
    """Cycles for so many words through the memory's port, and no fewer than the computation takes."""
    bandwidth, cycles = record.architecture.memory(memory).shared_bandwidth, priced(record)[1].counts.steps
    if bandwidth is None:
        return cycles
    return max(cycles, math.ceil(words / (bandwidth * instances_of(record, memory))))


def words_at(memory: str, lines: Sequence[Line]) -> int | Fraction:
    """Accesses of a memory, by our counts under Timeloop's conventions."""
    return sum(line.converted.total for line in lines if line.node[0] == memory)


def energy(record: Record, memory: str, words: int | Fraction) -> Fraction:
    """Energy of so many words at a memory."""
    return record.architecture.memory(memory).read_energy * words


def spatial_reductions(record: Record) -> int:
    """Partial sums that our network adds to another."""
    return priced(record)[1].counts.moves[ARRAY, "O"].reduced
