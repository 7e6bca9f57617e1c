"""The search where neighbours share halos: its optimum is that of trying everything."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import halos
from tallies import accessed

from backends.execute import execute
from backends.execute.reference import reference
from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.cost import evaluate
from mapper.cost import halo as counted
from mapper.cost.traffic import count
from mapper.errors import InfeasibleError, InputError
from mapper.ir import LoopNest, Role, Term, parse_nest
from mapper.mapping import ParFor, parse_mapping
from mapper.options import Options, solve_layer
from mapper.search import Objective, Status, halo
from mapper.search.engines import solve
from mapper.search.exhaustive import exhaustive
from mapper.search.extents import Factors, tile_extents
from mapper.search.mapspace import Mapspace
from mapper.search.model import Model

BOTH = pytest.mark.parametrize("factors", Factors)
HOME = Memory("HOME", read_energy=Fraction(10))


def value(search, space):
    """(energy, cycles) of the best mapping, None if there is none."""
    try:
        result = search(space)
    except InfeasibleError:
        return None
    return result.cost.energy, result.cost.cycles


def without_halos(arch):
    levels = (replace(v, halo=False) if isinstance(v, FanOut) else v for v in arch.levels)
    return replace(arch, levels=tuple(levels))


@BOTH
@settings(max_examples=120, suppress_health_check=HealthCheck)
@given(problem=halos(limit=600))
def test_solver_equals_exhaustive(factors, problem):
    space = Mapspace(*problem, factors)
    assert value(solve, space) == value(exhaustive, space)


@pytest.mark.slow
@BOTH
@settings(max_examples=500, suppress_health_check=HealthCheck)
@given(problem=halos(limit=3000))
def test_solver_equals_exhaustive_on_many(factors, problem):
    space = Mapspace(*problem, factors)
    assert value(solve, space) == value(exhaustive, space)


def test_sharing_pays_in_many_of_those_problems():
    pays = []

    @settings(max_examples=100, database=None, derandomize=True, suppress_health_check=HealthCheck)
    @given(halos(limit=600))
    def compare(problem):
        nest, arch = problem
        found, alone = (value(solve, Mapspace(nest, a, Factors.PERFECT)) for a in (arch, without_halos(arch)))
        pays.append(found is not None and found[0] < alone[0])

    compare()
    assert sum(pays) >= len(pays) / 6


# -- row stationary ----------------------------------------------------------------------------------------------------


def processing_elements(halo=True):
    """A home and an array of 3 x 4 elements, one dim along each axis, with a scratchpad for a weight or a window."""
    array = FanOut("PE", (Axis("y", 3, frozenset("R")), Axis("x", 4, frozenset("P"))), halo=halo)
    kept = frozenset({Role.WEIGHT})
    pad = Memory("PAD", size_words=1, may_keep=kept, must_keep=kept, read_energy=Fraction(1), write_energy=Fraction(1))
    return Architecture("row stationary", (replace(HOME, write_energy=Fraction(10)), array, pad, Compute("MAC")))


ROWS = parse_nest("O[P,Q] += I[P+R,Q] * W[R] {P=4 Q=5 R=3}")


@BOTH
def test_rows_are_delivered_along_diagonals(factors):
    """Each element holds the weight of its row R and works on the output row P: input row P + R is on a diagonal.

    12 elements at once, in 5 steps: 6 rows of 5 inputs are read once each, 3 weights once, 20 outputs written once.
    Elements read 60 inputs without PAD; each of 12 pads is filled with its weight once and read 5 times.
    """
    space = Mapspace(ROWS, processing_elements(), factors)
    best, tried = solve(space), exhaustive(space)
    assert best.cost.energy == tried.cost.energy == 10 * (6 * 5 + 3 + 20) + 12 + 60
    assert best.cost.cycles == 5
    unrolled = {item.dim for item in best.mapping.items if isinstance(item, ParFor)}
    assert unrolled == {"P", "R"}
    operands = {"I": np.arange(30.0).reshape(6, 5), "W": np.array([2.0, -1.0, 3.0])}
    run = execute(ROWS, space.arch, best.mapping, operands)
    assert np.array_equal(run.output, reference(ROWS, operands))
    assert run.counts == count(ROWS, space.arch, best.mapping)
    assert accessed(run.counts) == {
        ("HOME", "I"): (30, 0),
        ("HOME", "W"): (3, 0),
        ("HOME", "O"): (0, 20),
        ("PAD", "W"): (60, 12),
    }


@BOTH
def test_rows_of_elements_that_share_nothing_do_not_pay(factors):
    """All inputs are read for each element that needs them, 60, so a column of 3 pads, each filled once, is best."""
    space = Mapspace(ROWS, processing_elements(halo=False), factors)
    best = solve(space)
    assert best.cost.energy == exhaustive(space).cost.energy == 10 * (60 + 3 + 20) + 3 + 60
    assert {item.dim for item in best.mapping.items if isinstance(item, ParFor)} == {"R"}


# -- a loop above all nodes below a fan-out ----------------------------------------------------------------------------


def array(text, *inner):
    """The layer on 2 x 2 instances that take P and R."""
    axes = (Axis("x", 2, frozenset("P")), Axis("y", 2, frozenset("R")))
    levels = (HOME, FanOut("F", axes, halo=True), *inner, Compute("MAC"))
    return Mapspace(parse_nest(text), Architecture("array", levels))


def energies(space, *mappings):
    return [evaluate(space.nest, space.arch, parse_mapping(text)).energy for text in mappings]


def hoisted(space, patch):
    """The optimum if a loop above all nodes below a fan-out always stood above the fan-out."""
    patch.setattr(Model, "_shared", lambda *_: [])
    return solve(space).cost.energy


def test_where_a_loop_stands_decides_what_neighbours_share(monkeypatch):
    """Two windows 4 apart: instances 4 apart in R as well read 3 words in each of 4 steps, neighbours in R read 4.

    The weights, 2 in each step, are read by both.
    """
    space = array("O[P] += I[4*P+R] * W[R] {P=2 R=8}")
    inside, outside = energies(
        space,
        "keep HOME I W O\nparfor P 1 F.x\nparfor R 4 F.y\nfor R 1\n",
        "keep HOME I W O\nfor R 2\nparfor P 1 F.x\nparfor R 1 F.y\n",
    )
    assert (inside, outside) == (10 * (4 * 3 + 4 * 2 + 6), 10 * (4 * 4 + 4 * 2 + 6))  # outputs return 3 times
    assert solve(space).cost.energy == exhaustive(space).cost.energy == inside
    assert hoisted(space, monkeypatch) == outside


def test_so_it_does_without_strides_where_a_node_keeps_instances_apart(monkeypatch):
    """A pad keeps a weight for 2 outputs, so instances are 2 apart in P: 3 words in each step if they are in R."""
    kept = frozenset({Role.WEIGHT})
    space = array("O[P] += I[P+R] * W[R] {P=4 R=4}", Memory("PAD", size_words=1, may_keep=kept, must_keep=kept))
    inside, outside = energies(
        space,
        "keep HOME I W O\nparfor P 2 F.x\nparfor R 2 F.y\nfor R 1\nkeep PAD W\nfor P 1\n",
        "keep HOME I W O\nfor R 2\nparfor P 2 F.x\nparfor R 1 F.y\nkeep PAD W\nfor P 1\n",
    )
    assert (inside, outside) == (10 * (4 * 3 + 4 + 4), 10 * (4 * 4 + 4 + 4))
    assert solve(space).cost.energy == exhaustive(space).cost.energy == inside
    assert hoisted(space, monkeypatch) == outside


# -- tables ------------------------------------------------------------------------------------------------------------


@st.composite
def cuts(draw, name):
    """A dim's extent, the extents around the fan-outs that share, the extent that rolls, and the tile's."""
    total = draw(st.integers(1, 14))
    extents = tile_extents(total, draw(st.sampled_from(Factors)), {2, 3, 4})
    nets = draw(st.integers(0, 2))
    dim = halo.Boundaries(total, draw(st.integers(1, 4)), (extents,) * (2 * nets + 2), (100,) * nets)
    return name, dim, draw(st.sampled_from(list(dim.chains())))


@settings(max_examples=300)
@given(st.integers(2, 3).flatmap(lambda n: st.tuples(*map(cuts, "PRS"[:n]))))
def test_unions_are_those_of_the_cost_model(dims):
    loops, joined, rolled, found = [], set(), None, []
    for name, dim, chain in dims:
        *ends, reach, extent = chain
        reach = extent if rolled is not None else reach  # tiles roll along one dim
        for i, step in enumerate((*ends, reach, extent)):
            if i < len(ends) and i % 2:
                joined.add(len(loops))
            loops.append((len(loops), name, step))
        rolled = len(loops) - 1 if reach > extent else rolled
        found.append(dim.steps((*ends, reach, extent)))
    rank = tuple(Term(name, dim.coef) for name, dim, _ in dims)
    expected = counted.union_words(
        rank, tuple(dim.total for _, dim, _ in dims), tuple(loops), frozenset(joined), rolled
    )
    assert halo.union_words(tuple(dim.coef for _, dim, _ in dims), found) == expected


def large(axes) -> tuple[LoopNest, Architecture]:
    nest = parse_nest("O[K,P] += I[P+R] * W[K,R] {K=2 P=720720 R=5040}")
    return nest, Architecture("wide", (HOME, FanOut("F", axes, halo=True), Memory("L1"), Compute("MAC")))


def test_tables_that_would_be_too_large_are_refused():
    nest, arch = large((Axis("x", 4096),))
    with pytest.raises(InputError, match=r"halos along P\+R of I can be shared in more ways than the search has"):
        solve(Mapspace(nest, arch))


SMALL = parse_nest("O[K,P] += I[P+R] * W[K,R] {K=2 P=7 R=5}")
SPADS = Memory("L1", 14, read_energy=Fraction(1), write_energy=Fraction(1))
ROW = Architecture("row", (HOME, FanOut("F", (Axis("x", 3),), halo=True), SPADS, Compute("MAC")))


@pytest.mark.parametrize("objective", Objective)
def test_a_layer_without_tables_is_searched_as_if_no_halos_were_shared(objective, monkeypatch):
    """Its costs are those of the machine; nothing is proven, and nothing is claimed on the way."""
    best = solve(Mapspace(SMALL, ROW), objective)
    plain = solve(Mapspace(SMALL, without_halos(ROW)), objective)
    monkeypatch.setattr(halo, "MOST_CHAINS", 1)
    reported = []
    found = solve_layer(SMALL, ROW, Options(objective=objective), on_progress=reported.append)
    assert (found.status, found.bound, found.tie_proven) == (Status.FEASIBLE, 0, False)
    assert found.mapspace == "imperfect, searched as if no halos were shared"
    assert all(point.cost == evaluate(SMALL, ROW, point.mapping) for point in found.front)
    assert (found.mapping, found.cost) == (found.front[0].mapping, found.front[0].cost)
    assert best.value <= found.value <= plain.value
    front = [(point.cost.energy, point.cost.cycles) for point in found.front]
    assert front == sorted(front) and [c for _, c in front] == sorted({c for _, c in front}, reverse=True)
    assert reported and all(progress.bound == 0 for progress in reported)


def test_nothing_is_refused_where_no_axis_unrolls_what_slides():
    nest, arch = large((Axis("x", 4096, frozenset("K")),))
    Mapspace(nest, arch).check()
