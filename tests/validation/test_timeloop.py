"""Timeloop's 340 records: translated, compared by class record by record; the page says what is computed."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mapper.cost.traffic as traffic
from backends.execute import execute
from backends.execute.reference import reference
from mapper.arch import Architecture
from mapper.cost import count, evaluate
from mapper.ir import LoopNest
from mapper.mapping import Counts, Mapping, parse_mapping, violations
from validation.timeloop import class_of, expressible, report, unrolled_together, utilization
from validation.timeloop_counts import (
    ALL,
    OUTPUTS,
    Line,
    capacities,
    compare,
    differences,
    energy,
    instances_of,
    obstacle,
    own_abilities,
    port_cycles,
    priced,
    spatial_reductions,
    untouched,
    words_at,
)
from validation.timeloop_inputs import Difference, Step, Transfer, handed_on, not_loaded, transfers
from validation.timeloop_records import FILES, InexpressibleError, Record, machine, mapping_of, records

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation" / "timeloop.md"

by_file = pytest.mark.parametrize("file", FILES)


def of(file: str) -> list[Record]:
    """The expressible records of a file."""
    return [record for record in expressible() if record.architecture.name == file]


def named(name: str) -> Record:
    return next(record for record in records() if record.name == name)


def wrong(record: Record, lines: Iterable[Line]) -> list[str]:
    """The lines that differ, in words."""
    return [f"{record.name} {line.node}: {line.converted} is not {line.theirs}" for line in lines if not line.equal]


# The records and their translation


def test_there_are_340_records_of_which_31_are_not_expressible():
    assert [sum(record.architecture.name == file for record in records()) for file in FILES] == [110, 110, 120]
    assert len(expressible()) == 340 - 31


@by_file
def test_the_loops_of_a_record_make_up_the_layer(file):
    for record in records():
        if record.architecture.name == file:
            for dim, extent in record.nest.dims:
                assert math.prod(b.times for b in record.bounds if b.dim == dim) == extent, (record.name, dim)
            assert math.prod(b.times for b in record.spatial) == record.instances, record.name


def test_a_translation_made_by_hand():
    """DRAM IOW: K4 C2 | GLB IOW: C2 Q2 / Q3 / P4 | RF IOW: R3 S3 K2 P2 Q2, of K=8 C=4 P=8 Q=12 R=S=3.

    O does not depend on C: its GLB node stands above DRAM's loop over C. W does not depend on Q: its RF node stands
    above GLB's loop over Q, so the spatial loops do too. Of Q, 12 = 2 temporal x 3 spatial x 2 temporal.
    """
    assert mapping_of(named("small_4x4 0")) == parse_mapping("""
        keep DRAM I O W
        for K 2
        keep GLB O
        for C 2
        keep GLB I W
        for C 1
        parfor Q 4 PE.y
        parfor P 2 PE.x
        keep RF W
        for Q 2
        keep RF I O
        for R 1
        for S 1
        for K 1
        for P 1
        for Q 1
    """)


def test_an_inexpressible_record_by_hand():
    """DRAM IOW: K12 C3 last, GLB keeps I and O, the array I, W and O apart.

    O stays in the scratchpads over DRAM's loop over C, as nothing below DRAM cuts it along other loops; I in the GLB
    does not.
    """
    record = named("eyeriss_14x12 0")
    assert record.temporal[record.place("GLB", "I") - 1].dim == "C"
    assert record.place("psum_spad", "O") < record.place("GLB", "I")
    with pytest.raises(InexpressibleError, match="psum_spad O above GLB I"):
        mapping_of(record)


@by_file
def test_translations_are_legal(file):
    for record in of(file):
        assert violations(record.nest, record.architecture, mapping_of(record)) == [], record.name


def test_inexpressible_records_need_a_node_inside_the_array_above_one_outside():
    for record in records():
        nodes = [(memory, tensor) for memory, tensors in record.levels for tensor in tensors]
        outside = max(record.place(*node) for node in nodes if not record.inside_array(node[0]))
        needed = any(record.place(*node) < outside for node in nodes if record.inside_array(node[0]))
        assert (obstacle(record) is not None) == needed, record.name
        assert record.spatial or not needed, record.name


# Counts


@by_file
def test_weights_need_no_conversion(file):
    for record in of(file):
        for line in compare(record, by=frozenset()):
            if line.node[1] == "W":
                assert line.ours == line.theirs, (record.name, line)


@by_file
def test_outputs_differ_by_drains_and_reducing_groups_only(file):
    for record in of(file):
        lines = [line for line in compare(record, by=OUTPUTS) if line.node[1] == "O"]
        assert wrong(record, lines) == []
        assert lines[0].ours == lines[0].theirs, record.name  # the home has no drain


@by_file
def test_inputs_are_equal_where_no_convention_applies(file):
    found = [record for record in of(file) if class_of(record) == "none"]
    assert len(found) > len(of(file)) // 3
    for record in found:
        assert wrong(record, compare(record, by=OUTPUTS)) == []


@by_file
def test_every_count_is_equal_under_the_conventions(file):
    for record in of(file):
        assert wrong(record, compare(record)) == []


@by_file
@pytest.mark.parametrize("kind", Difference)
def test_a_convention_applies_to_exactly_the_records_that_differ_without_it(file, kind):
    for record in of(file):
        differs = any(not line.equal for line in compare(record, by=ALL - {kind}))
        assert differs == (kind in differences(record)), (record.name, kind)


@by_file
def test_inputs_are_nowhere_below_timeloop_but_for_what_neighbours_hand_on(file):
    for record in of(file):
        handed = {way.child: handed_on(way)[0] for way in transfers(record)}
        for line in compare(record):
            if line.node[1] == "I":
                assert line.ours.reads + handed.get(line.node[0], 0) >= line.theirs.reads, (record.name, line)
                assert line.ours.fills >= line.theirs.fills, (record.name, line)


def test_links_by_the_loops_are_those_recorded():
    for record in records():
        assert sum(handed_on(way)[0] for way in transfers(record)) == record.link_transfers, record.name
        if record.linked is not None:
            assert record.linked == (Difference.LINKS in differences(record)), record.name
    linked = [record for record in records() if Difference.LINKS in differences(record)]
    assert (len(linked), len([r for r in linked if obstacle(r) is None])) == (12, 10)


def test_thirty_records_unroll_an_output_and_a_filter_dim_together():
    together = [record for record in records() if unrolled_together(record)]
    assert len(together) == 30
    assert all(record in together for record in records() if Difference.EQUAL in differences(record))


def test_with_every_iteration_visited():
    found = [record for record in expressible() if record.every_step is not None]
    assert found == of("small_4x4")
    for record in found:
        assert wrong(record, compare(record, every_step=True)) == []
        same = all(
            not_loaded(a) == not_loaded(b) for a, b in zip(transfers(record), transfers(record, True), strict=True)
        )
        assert same == (record.every_step == record.tallies), record.name


@by_file
def test_rolling_nodes_and_shared_halos_count_as_timeloop_does(file):
    """No conversion of inputs; each machine and mapping is legal."""
    reached = 0
    for record in of(file):
        found = own_abilities(record)
        if found is not None:
            assert wrong(record, found) == []
            reached += class_of(record) != "none"
        elif not differences(record) & {Difference.OUTER, Difference.LINKS}:
            equal = [way for way in transfers(record) if way.boxes != way.apart]
            rolling = [way.child for way in transfers(record) if Difference.WINDOW in way.differences]
            if all(way.separable for way in equal):
                with pytest.raises(InexpressibleError):
                    mapping_of(record, rolling)
    assert reached > len(of(file)) // 4


# Capacities, cycles, energy


@by_file
def test_capacities_instances_cycles_and_reductions(file):
    for record in of(file):
        _, cost = priced(record)
        assert all(ours == theirs for ours, theirs in capacities(record).values()), record.name
        assert cost.counts.steps == record.cycles["MAC"], record.name
        assert cost.counts.operations == record.instances * cost.counts.steps, record.name
        assert spatial_reductions(record) == record.spatial_reductions, record.name
        for (memory, _), tally in record.tallies.items():
            assert tally.instances == instances_of(record, memory), (record.name, memory)


@by_file
def test_energies_and_ports(file):
    """Timeloop takes a cycle more now and then where the words fill the port to the last place: it divides floats."""
    for record in of(file):
        lines, cost, late = compare(record), priced(record)[1], False
        for memory in record.memories:
            theirs = sum(tally.energy for (name, _), tally in record.tallies.items() if name == memory)
            words, level = words_at(memory, lines), record.architecture.memory(memory)
            more = record.cycles[memory] - port_cycles(record, memory, words)
            assert energy(record, memory, words) == theirs, (record.name, memory)
            assert more in (0, 1), (record.name, memory)
            if more:
                late = True
                assert level.shared_bandwidth and words % level.shared_bandwidth == 0, (record.name, memory)
            if memory in untouched(record):
                assert cost.energy_by_level[memory] == theirs, (record.name, memory)
                if level.shared_bandwidth:
                    own = max(cost.counts.steps, cost.cycles_by_port[f"{memory} shared"])
                    assert record.cycles[memory] - own == more, (record.name, memory)
        assert utilization(record) == record.utilization or late, record.name


def test_where_no_convention_applies_utilization_is_the_printed_one():
    found = [r for r in expressible() if set(r.memories[:2]) <= set(untouched(r))]
    assert found
    for record in found:
        cost = priced(record)[1]
        assert f"{100 * cost.utilization:.2f}%" == record.utilization, record.name


# The conventions for inputs, by hand


def way(box: tuple[int, ...], steps: Iterable[Step] = (), offsets: Iterable[tuple[int, ...]] = ((0,),)) -> Transfer:
    offsets = tuple(offsets)
    return Transfer("GLB", "RF", box, tuple(steps), False, offsets, len(offsets), 4)


def test_a_window_loads_what_is_new():
    """A tile of 5 words moves by 2, four times: 3 words stay each time. Back by 8, and by 7, which is no step alike."""
    assert not_loaded(way((5,), [Step((-7,), 1), Step((2,), 4)])) == {Difference.WINDOW: 12, Difference.OUTER: 0}
    assert not_loaded(way((5,), [Step((2,), 1), Step((2,), 4)])) == {Difference.WINDOW: 12, Difference.OUTER: 3}
    assert not_loaded(way((5,), [Step((0,), 1), Step((2,), 4)])) == {Difference.WINDOW: 12, Difference.OUTER: 5}
    assert not_loaded(way((5,), [Step((1,), 1), Step((2,), 4)])) == {Difference.WINDOW: 12, Difference.OUTER: 0}


def test_neighbours_hand_on_what_they_loaded():
    """Three instances 4 apart with tiles of 4 move by 4, twice: two take theirs from the next, one reads."""
    steps, places = [Step((4,), 2)], [(0,), (4,), (8,)]
    assert handed_on(way((4,), steps, places)) == (2 * 2 * 4, 2 * 2 * 4)
    assert handed_on(replace(way((4,), steps, places), idle=True)) == (0, 0)
    assert handed_on(way((5,), steps, places)) == (0, 0)  # consecutive tiles overlap
    assert handed_on(way((4,), [Step((8,), 2)], places)) == (0, 0)  # not the neighbour's
    row = [(4 * n,) for n in range(5)]  # the fifth stands in the next row
    assert handed_on(way((4,), [Step((4,), 1)], row)) == (3 * 4, 3 * 4)


def test_boxes_that_coincide():
    """P and R unrolled 3 by 3 at distance 1: 5 places of 9."""
    places = [(p + r,) for p in range(3) for r in range(3)]
    assert (way((1,), (), places).boxes, way((1,), (), places).separable) == (5, True)
    assert not way((2,), (), places).separable


# The comparison can fail


@pytest.mark.parametrize("name", ["eyeriss_14x12 2", "simple_16x16 26", "small_4x4 24"])
@pytest.mark.parametrize("by", [1, -1])
def test_any_count_that_is_off_by_one_is_noticed(name, by):
    record = named(name)
    counts = priced(record)[1].counts
    for node, access in counts.accesses.items():
        changed = [replace(access, reads=access.reads + by)]
        if node[0] != "DRAM" or node[1] == "O":  # nothing writes operands to their home
            changed.append(replace(access, writes=access.writes + by))
        for one in changed:
            assert wrong(record, compare(record, replace(counts, accesses={**counts.accesses, node: one}))), (node, one)


def differing(found: Iterable[Record]) -> int:
    """Records that differ in any line when counted and translated now."""
    return sum(
        any(not line.equal for line in compare(record, count(record.nest, record.architecture, mapping_of(record))))
        for record in found
    )


def test_mutants_of_translation_and_model_are_noticed(monkeypatch):
    found = of("small_4x4")
    conventions = {record: differences(record) for record in found}  # from loops, before anything is broken
    assert conventions and differing(found) == 0
    with monkeypatch.context() as mutant:  # no multicast, no reduction
        mutant.setattr(traffic, "joined_loops", lambda *_: frozenset())
        assert differing(found) > 50
    with monkeypatch.context() as mutant:  # nodes where Timeloop's tiles stand in the order of loops
        mutant.setattr(Record, "place", lambda self, memory, _: self.base(memory))
        assert differing(found) > 50
    with monkeypatch.context() as mutant:  # a word too many in all tiles of a node together
        words = traffic.Cuts.words
        mutant.setattr(traffic.Cuts, "words", lambda *given: words(*given) + 1)
        assert differing(found) == len(found)


# The counting executor


def counted(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Counts:
    """What the executor observes; its result is the reference's."""
    rng = np.random.default_rng(7)
    values = {t.name: rng.integers(-8, 9, nest.shape(t)).astype(float) for t in nest.tensors if t is not nest.output}
    run = execute(nest, arch, mapping, values)
    assert np.array_equal(run.output, reference(nest, values))
    return run.counts


def test_the_executor_counts_the_same():
    for record in of("small_4x4"):
        mapping, cost = priced(record)
        assert counted(record.nest, record.architecture, mapping) == cost.counts, record.name


def test_the_executor_counts_the_same_with_rolling_nodes_and_shared_halos():
    found = [r for r in of("small_4x4") if class_of(r) != "none" and own_abilities(r) is not None]
    assert len(found) > 20
    for record in found:
        ways = transfers(record)
        arch = machine(record, rolling=True, halo=any(w.boxes != w.apart for w in ways))
        mapping = mapping_of(record, [w.child for w in ways if Difference.WINDOW in w.differences])
        assert violations(record.nest, arch, mapping) == [], record.name
        assert counted(record.nest, arch, mapping) == evaluate(record.nest, arch, mapping).counts, record.name


# The page


def test_the_document_is_current_and_names_the_records():
    text = report()
    assert DOCUMENT.read_text("utf-8") == text, "python -m validation timeloop --write"
    for name in {class_of(record) for record in expressible()} - {"none"}:
        assert f"\n- {name}: " in text
    for record in records():
        if (reason := obstacle(record)) is not None:
            line = next(part for part in text.split("\n- ") if part.startswith(f"{reason}: "))
            file, number = record.name.split()
            assert re.search(rf"{file}[^;]*\b{number}\b", line), record.name
