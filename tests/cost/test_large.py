"""Layers far larger than any that can be executed, with steps that divide: there counting by hand is easy.

All tiles of a node are alike, so what is loaded is runs x instances x words of a tile, and what a network joins is a
quotient. Nothing of that uses the formulas of the cost model, which sum over pieces and ranks.
"""

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import OPERANDS, nests

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.cost import count
from mapper.ir import LoopNest, Role
from mapper.mapping import Keep, Loop, Mapping, ParFor, violations

NETWORKS = st.builds(
    lambda multicast, adds: {"multicast": frozenset(multicast), "reduce": adds, "drain": not adds},
    st.sets(st.sampled_from(OPERANDS)),
    st.booleans(),
)


@st.composite
def large_cases(draw):
    """A layer, a machine of two fan-outs and four memories, and a mapping whose steps all divide."""
    shape = draw(nests(largest=3, operations=400))
    dims = [d for d, _ in shape.dims]
    left = draw(st.sampled_from([2**30, 2**40, 2**70]))  # on both sides of 2^37 and of 2^63
    levels = [Memory("M0"), Memory("M1")]
    items = [[Keep("M0", t.name) for t in shape.tensors]]
    loops = []
    for segment in range(3):
        if segment:
            fanout = FanOut(f"F{segment}", (Axis("x", 2**20),), **draw(NETWORKS))
            levels += [fanout, Memory(f"M{segment + 1}")]
            spatial = draw(st.lists(st.tuples(st.sampled_from(dims), st.integers(2, 32)), max_size=3))
            items.append([(d, n, fanout.name) for d, n in spatial])
        kept = draw(st.permutations([t.name for t in shape.tensors]))[: draw(st.integers(0, 3))]
        for name in kept:
            temporal = draw(st.lists(st.tuples(st.sampled_from(dims), st.integers(2, 200)), max_size=3))
            items.append([(d, n, None) for d, n in temporal])
            items.append([Keep(f"M{segment + 1}", name)])
    items.append([(d, n, None) for d in draw(st.permutations(dims)) for n in (draw(st.integers(1, 500)),)])
    extents = Counter(dims)  # 1 each
    placed = []
    for item in (item for group in items for item in group):
        if isinstance(item, Keep):
            placed.append(item)
        elif left // item[1]:
            left //= item[1]
            extents[item[0]] *= item[1]
            placed.append(item)
    tile, found = dict(extents), []
    for item in placed:
        if isinstance(item, Keep):
            found.append(item)
        else:
            d, n, fanout = item
            tile[d] //= n
            found.append(Loop(d, tile[d]) if fanout is None else ParFor(d, tile[d], fanout, "x"))
            loops.append(n)
    nest = LoopNest(tuple(extents.items()), shape.tensors)
    return nest, Architecture("large", (*levels, Compute("MAC"))), Mapping(tuple(found))


def above(nest, mapping, position):
    """(dim, pieces, fan-out or None) of each loop above a position."""
    tile = dict(nest.dims)
    for item in mapping.items[:position]:
        if not isinstance(item, Keep):
            yield item.dim, tile[item.dim] // item.step, getattr(item, "fanout", None)
            tile[item.dim] = item.step


@given(large_cases())
def test_counts_are_runs_times_instances_times_tiles(case):
    nest, arch, mapping = case
    assert violations(nest, arch, mapping) == []
    counts, networks = count(nest, arch, mapping), {f.name: f for f in arch.fanouts}
    end = len(mapping.items)
    assert counts.operations == math.prod(n for _, n in nest.dims)
    assert counts.steps == math.prod(n for _, n, fanout in above(nest, mapping, end) if fanout is None)
    for tensor in nest.tensors:
        nodes = mapping.nodes(tensor.name)
        output = tensor.role is Role.OUTPUT
        # of the parent: elements that begin from zero there, that it drains, and that are re-filled into it
        fresh, drained, refills = nest.words(tensor), 0, 0
        for parent, child in zip(nodes, (*nodes[1:], end), strict=True):
            outer, loops = list(above(nest, mapping, parent)), list(above(nest, mapping, child))
            moved = math.prod(n for _, n, _ in loops) * nest.words(tensor, mapping.tile(child, dict(nest.dims)))
            inner = loops[len(outer) :]
            joined = math.prod(
                n for d, n, f in inner if f and d not in tensor.dims and networks[f].coalesces(tensor.role)
            )
            group = math.prod(n for d, n, f in inner if f and d not in tensor.dims)
            above_it = counts.accesses[mapping.items[parent].memory, tensor.name]
            below = counts.accesses.get((mapping.items[child].memory, tensor.name)) if child < end else None
            if not output:
                assert above_it.reads == moved // joined
                assert below is None or below.writes == moved
                continue
            arrived, refilled = moved // joined, moved // group - fresh
            assert above_it.reads == drained + arrived - fresh
            assert above_it.writes == refills + arrived
            fresh, drained, refills = moved - refilled, moved, refilled


def test_the_cases_reach_both_sides_of_2_to_the_37th_and_of_the_machines_integers():
    found = []

    @settings(max_examples=200, derandomize=True, database=None)
    @given(large_cases())
    def collect(case):
        found.append((case[0].operations, any(moves.reduced for moves in count(*case).moves.values())))

    collect()
    sizes = [operations for operations, _ in found]
    assert sum(size < 2**37 for size in sizes) > 20
    assert sum(2**37 < size < 2**63 for size in sizes) > 20
    assert sum(size > 2**63 for size in sizes) > 20
    assert sum(added for _, added in found) > 20
