"""The words of all tiles of a node, against an enumeration of the tiles."""

import math

from hypothesis import given
from strategies import cases

from mapper.cost import count
from mapper.cost.cuts import Cuts
from mapper.ir import Role
from mapper.mapping import Keep, ParFor


def boxes(case, position, first):
    """(box, box before) of each run and instance at `position`, as {dim: range}.

    The box before is that of the previous iteration of the loop directly above, None in its first iteration. Spatial
    loops at positions in `first` run for their first instance only.
    """
    above = case.mapping.loop_above(position)

    def run(index, box, before):
        if index == position:
            yield box, before
            return
        item = case.mapping.items[index]
        if isinstance(item, Keep):
            yield from run(index + 1, box, before)
            return
        whole, last = box[item.dim], None
        for start in range(whole.start, whole.stop, item.step):
            piece = {**box, item.dim: range(start, min(start + item.step, whole.stop))}
            yield from run(index + 1, piece, last if above and above[0] == index else before)
            last = piece
            if index in first:
                return

    yield from run(0, {d: range(n) for d, n in case.nest.dims}, None)


def coordinates(rank, box):
    """The coordinates that a box takes in a rank, holes included."""
    low = sum(term.coef * box[term.dim].start for term in rank)
    high = sum(term.coef * (box[term.dim].stop - 1) for term in rank)
    return set(range(low, high + 1))


def loaded(tensor, box, before):
    """Words of the box of a tensor that are not in the box before."""
    size = math.prod(len(coordinates(rank, box)) for rank in tensor.ranks)
    if before is None:
        return size
    return size - math.prod(len(coordinates(rank, box) & coordinates(rank, before)) for rank in tensor.ranks)


@given(cases(operations=200))
def test_words_are_those_of_all_boxes(case):
    nest, arch, mapping = case
    networks = {f.name: f for f in arch.fanouts}
    for tensor in nest.tensors:
        spatial = {
            i
            for i, item in enumerate(mapping.items)
            if isinstance(item, ParFor)
            if item.dim not in tensor.dims and networks[item.fanout].coalesces(tensor.role)
        }
        for position in (*mapping.nodes(tensor.name), len(mapping.items)):
            rolling = position < len(mapping.items) and mapping.items[position].rolling
            for first in ([], spatial):
                found = boxes(case, position, first)
                enumerated = sum(loaded(tensor, box, before if rolling else None) for box, before in found)
                assert Cuts(nest, mapping).words(tensor, position, frozenset(first)) == enumerated


@given(cases(operations=200))
def test_steps_are_those_of_the_first_instances(case):
    spatial = [i for i, item in enumerate(case.mapping.items) if isinstance(item, ParFor)]
    points = sum(1 for _ in boxes(case, len(case.mapping.items), spatial))
    counts = count(*case)
    assert (counts.steps, counts.operations) == (points, case.nest.operations)


@given(cases())
def test_no_count_is_negative_and_every_output_is_written_home(case):
    counts = count(*case)
    assert min(min(a.reads, a.writes) for a in counts.accesses.values()) >= 0
    assert min((min(m.delivered, m.reduced) for m in counts.moves.values()), default=0) >= 0
    output = case.nest.output
    home = counts.accesses[case.arch.home.name, output.name]
    assert home.writes - home.reads == case.nest.words(output)
    assert set(counts.accesses) == {(i.memory, i.tensor) for i in case.mapping.items if isinstance(i, Keep)}


@given(cases())
def test_operands_are_read_and_filled_alike(case):
    """Without a rolling window nothing is delivered that the next node outwards does not read."""
    counts = count(*case)
    for tensor in case.nest.tensors:
        if tensor.role is not Role.OUTPUT and not any(f.multicast for f in case.arch.fanouts):
            nodes = [case.mapping.items[i].memory for i in case.mapping.nodes(tensor.name)]
            reads = [counts.accesses[memory, tensor.name].reads for memory in nodes]
            writes = [counts.accesses[memory, tensor.name].writes for memory in nodes[1:]]
            assert reads == [*writes, case.nest.operations]
