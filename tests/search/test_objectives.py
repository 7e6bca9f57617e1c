"""Every objective, limit, constraint and kind of mapspace: the solver's answer is that of trying everything."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strategies import problems, reductions

from mapper.arch import (
    Above,
    Architecture,
    Axis,
    Compute,
    FanOut,
    Kept,
    Memory,
    Only,
    Relation,
    Spatial,
    Tile,
    load_architecture,
)
from mapper.errors import InfeasibleError
from mapper.ir import Role, conv, dim_roles, gemm, named
from mapper.mapping import violations
from mapper.mapping.constraints import resolve
from mapper.mapping.contradictions import contradictions
from mapper.search import Engine, Factors, Limits, Mapspace, Objective, Status
from mapper.search.engines import solve
from mapper.search.exhaustive import candidates, exhaustive

FEW = 3000
"""Candidates that trying everything takes a second for."""


@st.composite
def constraints(draw, nest, arch):
    """A few constraints on a layer's mappings, of every kind, that do not contradict each other."""
    resolved = resolve(draw(asked(nest, arch)), nest, arch, strict=True)
    assume(not contradictions(resolved, nest, arch, perfect=False))
    return resolved


@st.composite
def asked(draw, nest, arch):
    """A few constraints as they are written, on single dims and on the products of roles."""
    found = []
    relation = st.sampled_from(list(Relation))
    roles = sorted({str(role) for mine in dim_roles(nest).values() for role in mine})
    dims = st.sampled_from(list(nest.extents)) | st.sampled_from(roles)
    nodes = [(m.name, t.name) for m in arch.memories[1:] for t in nest.tensors if t.role in m.may_keep]
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["spatial", "only", "tile", "kept", "above"]))
        if kind in ("spatial", "only") and arch.fanouts:
            fanout = draw(st.sampled_from(arch.fanouts))
            axis = draw(st.none() | st.sampled_from([a.name for a in fanout.axes]))
            if kind == "spatial":
                value = draw(st.integers(1, 3) | st.integers(4, 8) | st.none())
                found.append(Spatial(draw(dims), fanout.name, axis, draw(relation), value))
            else:
                found.append(Only(fanout.name, axis, tuple(draw(st.sets(dims, min_size=1)))))
        elif kind == "tile" and nodes:
            memory, tensor = draw(st.sampled_from(nodes))
            dim = draw(dims)
            value = draw(st.integers(1, math.prod(nest.extents[d] for d in named(nest, dim))))
            found.append(Tile(dim, memory, tensor, draw(relation), value))
        elif kind == "kept" and nodes:
            found.append(Kept(*draw(st.sampled_from(nodes)), kept=draw(st.booleans())))
        elif kind == "above" and len(nodes) > 1:
            outer, inner = draw(st.permutations(nodes))[:2]
            found.append(Above(outer, inner))
    return found


@st.composite
def mapspaces(draw):
    """A small problem with the options of a search."""
    nest, arch = draw(st.one_of(problems(limit=2000), problems(limit=2000), reductions()))
    factors, even = draw(st.sampled_from(list(Factors))), draw(st.integers(0, 3)) == 3
    space = Mapspace(nest, arch, factors, draw(constraints(nest, arch)), even)
    assume(candidates(space) <= FEW)
    return space


@st.composite
def limits(draw, space):
    """Limits about what mappings of a mapspace need: some can be kept and some cannot."""
    try:
        least = exhaustive(space)
    except InfeasibleError:
        return Limits()
    factor = st.fractions(Fraction(1, 2), 2, max_denominator=8)
    cost = least.cost
    memories = [m.name for m in space.arch.memories[1:]]
    found = {
        "max_cycles": int(cost.cycles * draw(factor)),
        "max_energy": cost.energy * draw(factor),
        "max_dram_bytes": cost.home_bytes * draw(factor),
        "min_utilization": draw(st.fractions(0, 1, max_denominator=8)),
        "max_words": ((draw(st.sampled_from(memories)), draw(st.integers(0, 12))),),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(found)), min_size=1, max_size=2))
    return Limits(**{name: found[name] for name in chosen})


def values(search, space, objective, caps=Limits()):  # noqa: B008
    """What a search found: the points of a front, the product, or the pair of measures; None: nothing."""
    try:
        result = search(space, objective, caps)
    except InfeasibleError:
        return None
    assert result.status is Status.OPTIMAL
    assert result.bound == result.value
    for point in result.front:
        assert violations(space.nest, space.arch, point.mapping) == []
        assert space.broken(point.mapping) == []
        assert list(caps.broken(space.nest, space.arch, point.mapping, point.cost)) == []
    if objective is Objective.PARETO:
        return [(point.cost.energy, point.cost.cycles) for point in result.front]
    if objective is Objective.EDP:
        return result.cost.edp
    return result.cost.energy, result.cost.cycles


def solver(space, objective, caps):
    """The solver alone."""
    return solve(space, objective, caps, engine=Engine.SOLVER)


@pytest.mark.parametrize("objective", Objective)
@settings(max_examples=60, suppress_health_check=HealthCheck)
@given(data=st.data())
def test_solver_equals_exhaustive(objective, data):
    space = data.draw(mapspaces())
    assert values(solver, space, objective) == values(exhaustive, space, objective)


def no_mapping_keeps_to_contradictions(data):
    """What is refused without searching has no mapping, if the nodes that constraints are on are kept."""
    nest, arch = data.draw(problems(limit=1500))
    factors = data.draw(st.sampled_from(list(Factors)))
    told = resolve(data.draw(asked(nest, arch)), nest, arch, strict=True)
    if not contradictions(told, nest, arch, perfect=factors is Factors.PERFECT):
        return
    bypassed = {(c.memory, c.tensor) for c in told if isinstance(c, Kept) and not c.kept}
    nodes = {(c.memory, c.tensor) for c in told if isinstance(c, Tile)}
    nodes |= {node for c in told if isinstance(c, Above) for node in (c.outer, c.inner)}
    kept = [
        Kept(*node) for node in sorted(nodes - bypassed) if nest.tensor(node[1]).role in arch.memory(node[0]).may_keep
    ]
    space = Mapspace(nest, arch, factors, tuple(dict.fromkeys((*told, *kept))))
    assume(candidates(space) <= FEW)
    with pytest.raises(InfeasibleError):
        exhaustive(space)


@settings(max_examples=100, suppress_health_check=HealthCheck)
@given(data=st.data())
def test_contradictions_are_true(data):
    no_mapping_keeps_to_contradictions(data)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=HealthCheck)
@given(data=st.data())
def test_contradictions_are_true_of_many(data):
    no_mapping_keeps_to_contradictions(data)


@pytest.mark.parametrize("objective", Objective)
@settings(max_examples=25, suppress_health_check=HealthCheck)
@given(data=st.data())
def test_solver_equals_exhaustive_within_limits(objective, data):
    space = data.draw(mapspaces())
    caps = data.draw(limits(space))
    assert values(solver, space, objective, caps) == values(exhaustive, space, objective, caps)


@pytest.mark.parametrize("extent", [4, 5, 10])
@pytest.mark.parametrize("objective", Objective)
def test_prices_with_a_large_common_divisor(objective, extent):
    """Ten words of each operand cost what a word of the output does: all prices are one unit. OR-Tools once changed the
    count of one in the sum."""
    levels = (
        Memory("HOME", write_energy=Fraction(10)),
        Memory("M1"),
        FanOut("F", (Axis("x", 2),), frozenset({Role.INPUT, Role.WEIGHT}), reduce=True, deliver_energy=Fraction(2)),
        Compute("MAC"),
    )
    space = Mapspace(gemm(K=extent), Architecture("prices", levels), Factors.PERFECT)
    assert values(solver, space, objective) == values(exhaustive, space, objective)


@pytest.mark.slow
@pytest.mark.parametrize("objective", Objective)
@settings(max_examples=150, suppress_health_check=HealthCheck)
@given(data=st.data())
def test_solver_equals_exhaustive_on_many(objective, data):
    space = data.draw(mapspaces())
    caps = data.draw(st.just(Limits()) | limits(space))
    assert values(solver, space, objective, caps) == values(exhaustive, space, objective, caps)


# -- larger and smaller mapspaces --------------------------------------------------------------------------------------

SIMPLE3 = load_architecture("simple3")


def least(space, objective=Objective.ENERGY, **options):
    return solve(space, objective, **options).value


@pytest.mark.parametrize("objective", [Objective.ENERGY, Objective.LATENCY, Objective.EDP])
@settings(max_examples=15, suppress_health_check=HealthCheck)
@given(problems(limit=10**5))
def test_imperfect_and_uneven_mappings_are_never_worse(objective, problem):
    found = {}
    for factors in Factors:
        for even in (True, False):
            try:
                found[factors, even] = least(Mapspace(*problem, factors, (), even), objective)
            except InfeasibleError:
                found[factors, even] = float("inf")
    assert found[Factors.IMPERFECT, True] <= found[Factors.PERFECT, True]
    assert found[Factors.IMPERFECT, False] <= min(found[Factors.PERFECT, False], found[Factors.IMPERFECT, True])


def test_imperfect_factors_fill_an_array_that_no_divisor_fills():
    layer = gemm(M=27, N=4, K=4096)
    free = replace(SIMPLE3, levels=tuple(replace(x, shared_bandwidth=None) if isinstance(x, Memory) else x
                                         for x in SIMPLE3.levels))  # fmt: skip
    only = resolve([Only("PE", "x", ("M",)), Only("PE", "y", ("N",))], layer, free, strict=True)
    fast = {f: solve(Mapspace(layer, free, f, only), Objective.LATENCY).cost.cycles for f in Factors}
    # of 16 columns 9 can be in use with divisors, three times; 14 and then 13 without
    assert fast == {Factors.PERFECT: 4096 * 3, Factors.IMPERFECT: 4096 * 2}


def test_an_even_mapping_has_one_tile_for_each_memory():
    space = Mapspace(conv(K=16, C=8, P=7, Q=7, R=3, S=3), SIMPLE3, even=True)
    best = solve(space)
    assert best.mapspace == "imperfect, even"
    assert space.broken(best.mapping) == []
    assert best.cost.energy >= least(replace(space, even=False))


def test_uneven_mappings_break_evenness():
    # A rests across the loop that reloads B, in the dims of both
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    small = Memory("L1", 6, must_keep=frozenset(Role), read_energy=Fraction(1), write_energy=Fraction(1))
    arch = Architecture("tiny", (home, small, Compute("MAC")))
    space = Mapspace(gemm(M=4, N=4, K=4), arch)
    uneven = solve(space)
    assert (uneven.cost.energy, least(replace(space, even=True))) == (9_936, 11_552)
    assert replace(space, even=True).broken(uneven.mapping)


# -- results -----------------------------------------------------------------------------------------------------------


def test_a_front_has_no_point_that_another_betters():
    result = solve(Mapspace(conv(K=64, C=64, P=56, Q=56), SIMPLE3, Factors.PERFECT), Objective.PARETO)
    points = [(p.cost.energy, p.cost.cycles) for p in result.front]
    assert len(points) > 1
    assert points == sorted(points)
    assert [c for _, c in points] == sorted((c for _, c in points), reverse=True)
    assert (result.mapping, result.cost) == (result.front[0].mapping, result.front[0].cost)
    best = solve(Mapspace(conv(K=64, C=64, P=56, Q=56), SIMPLE3, Factors.PERFECT), Objective.EDP)
    assert best.value == min(p.cost.edp for p in result.front)


@pytest.mark.parametrize("objective", [Objective.ENERGY, Objective.LATENCY, Objective.EDP])
@pytest.mark.parametrize("engine", [Engine.AUTO, Engine.SOLVER])
def test_progress_comes_nearer_from_both_sides(objective, engine):
    seen = []
    space = Mapspace(conv(K=64, C=64, P=27, Q=27, R=3, S=3), SIMPLE3)
    result = solve(space, objective, on_progress=seen.append, engine=engine)
    values = [step.incumbent for step in seen if step.incumbent is not None]
    bounds = [step.bound for step in seen]
    assert values == sorted(values, reverse=True) and values[-1] == result.value
    assert bounds == sorted(bounds) and bounds[-1] <= result.value
    assert bounds[0] < bounds[-1] or bounds[0] == result.value
    assert [step.seconds for step in seen] == sorted(step.seconds for step in seen)
    first = {step.incumbent: step.seconds for step in reversed(seen) if step.incumbent is not None}
    assert dict(result.statistics.incumbents) == {seconds: value for value, seconds in first.items()}


def test_progress_on_a_front_is_that_of_one_point_after_the_other():
    seen = []
    space = Mapspace(gemm(M=23, N=29, K=62), SIMPLE3)
    energies = [point.cost.energy for point in solve(space, Objective.PARETO, on_progress=seen.append).front]
    assert len(energies) > 1
    for step in seen:
        if step.incumbent is not None:
            assert any(step.bound <= energy <= step.incumbent for energy in energies)
    assert {step.incumbent for step in seen} >= set(energies)


@pytest.mark.parametrize("objective", [Objective.ENERGY, Objective.LATENCY, Objective.EDP])
def test_more_deterministic_time_is_never_worse_and_repeats(objective):
    space = Mapspace(conv(K=256, C=128, P=56, Q=56, R=3, S=3), SIMPLE3)
    found = [solve(space, objective, deterministic_limit=units) for units in (0.01, 0.05, 0.2, 0.6)]
    assert [r.value for r in found] == sorted((r.value for r in found), reverse=True)
    assert [r.bound for r in found] == sorted(r.bound for r in found)
    again = solve(space, objective, deterministic_limit=0.2)
    assert (again.mapping, again.bound, again.status) == (found[2].mapping, found[2].bound, found[2].status)


@pytest.mark.parametrize("factors", Factors)
@pytest.mark.parametrize("objective", Objective)
def test_the_lattice_changes_no_answer(objective, factors):
    space = Mapspace(conv(K=32, C=16, P=14, Q=14, R=3, S=3), SIMPLE3, factors)
    assert values(solve, space, objective) == values(solver, space, objective, Limits())
