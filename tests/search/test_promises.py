"""What the search promises besides the optimum."""

import os
import signal
import time
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from strategies import problems

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, load_architecture, parse_constraint
from mapper.errors import InfeasibleError
from mapper.ir import Role, conv, gemm
from mapper.mapping import violations
from mapper.mapping.constraints import resolve
from mapper.search import Engine, Factors, Mapspace, Status, engines, program
from mapper.search.decode import smallest
from mapper.search.exhaustive import exhaustive as try_all
from mapper.search.lattice import search as lattice_search
from mapper.search.quantity import Quantity


def solve(nest, arch, **options):
    """The best mapping of perfect factors by the solver."""
    return engines.solve(Mapspace(nest, arch, Factors.PERFECT), engine=Engine.SOLVER, **options)


def exhaustive(nest, arch):
    """The same by trying everything."""
    return try_all(Mapspace(nest, arch, Factors.PERFECT))


LARGE = conv(K=64, C=3, P=112, Q=112, R=7, S=7, stride=(2, 2))
SMALL = gemm(M=4, N=4, K=4)
SIMPLE3 = load_architecture("simple3")


# -- time limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.001, 0.05])
def test_a_time_limit_leaves_a_legal_mapping_and_a_bound(seconds):
    result = solve(LARGE, SIMPLE3, time_limit_s=seconds)
    assert result.status is Status.FEASIBLE
    assert violations(LARGE, SIMPLE3, result.mapping) == []
    # the optimum is known
    assert result.bound <= 587_855_732 <= result.cost.energy
    assert result.gap == float((result.cost.energy - result.bound) / result.bound) > 0


def test_a_generous_time_limit_changes_nothing():
    limited, free = solve(SMALL, SIMPLE3, time_limit_s=600), solve(SMALL, SIMPLE3)
    assert (limited.mapping, limited.cost, limited.status) == (free.mapping, free.cost, Status.OPTIMAL)


def test_a_smaller_mapspace_takes_a_share_of_the_time_only():
    clock = program.Clock(seconds=100)
    with clock.share(0.5):
        assert 50 <= clock.seconds < 51
    assert clock.seconds == 100
    unlimited = program.Clock()
    with unlimited.share(0.5):
        assert unlimited.seconds is None


def test_an_interrupt_of_the_lattice_leaves_what_it_has_found(monkeypatch):
    found = []

    def interrupted(*arguments):
        mapping = list_cases(*arguments)
        if mapping and not found:
            found.append(mapping)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # in which it reaches the main thread
        return mapping

    list_cases = lattice_search.listed
    monkeypatch.setattr(lattice_search, "listed", interrupted)
    result = engines.solve(Mapspace(LARGE, SIMPLE3, Factors.PERFECT))
    operations = LARGE.operations * SIMPLE3.prices.operation
    assert result.statistics.interrupted
    assert result.cost.energy * SIMPLE3.prices.denominator == found[0].energy + operations
    assert result.bound <= 587_855_732 <= result.cost.energy  # the optimum is known


# -- what cannot be mapped ---------------------------------------------------------------------------------------------


def test_infeasible_names_the_memory_and_the_amount():
    required = Memory("RF", size_words=2, must_keep=frozenset(Role))
    arch = Architecture("tiny", (Memory("HOME"), required, Compute("MAC")))
    for search in (solve, exhaustive):
        with pytest.raises(InfeasibleError) as error:
            search(SMALL, arch)
        assert str(error.value) == (
            "RF holds 2 words and must keep at least 3 (A 1 + B 1 + O 1): too small by 1 "
            "(make the memory larger or let a tensor bypass it in tiny)"
        )


def test_infeasible_names_every_memory():
    home = Memory("HOME", size_words=40)
    required = Memory("RF", size_words=1, must_keep=frozenset({Role.INPUT, Role.OUTPUT}))
    arch = Architecture("tiny", (home, required, Compute("MAC")))
    with pytest.raises(InfeasibleError) as error:
        solve(SMALL, arch)
    assert error.value.message == (
        "HOME holds 40 words and must keep at least 48 (A 16 + B 16 + O 16): too small by 8; "
        "RF holds 1 words and must keep at least 2 (A 1 + O 1): too small by 1"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("M spatial F.x = 2", "M = 3 is unrolled over 1 or 3 instances there, not 2"),
        ("K tile RF:A = 30", "K = 100 is cut into tiles of 25 or 50 there, not 30"),
        ("reduction spatial F = 7", None),
    ],
)
def test_a_constraint_that_asks_for_another_cut_is_told_the_nearest(text, why):
    rf = Memory("RF", may_keep=frozenset({Role.INPUT}), must_keep=frozenset({Role.INPUT}))
    arch = Architecture("cuts", (Memory("HOME"), FanOut("F", (Axis("x", 4), Axis("y", 4))), rf, Compute("MAC")))
    nest = gemm(M=3, N=1, K=100)
    space = Mapspace(nest, arch, constraints=resolve(parse_constraint(text), nest, arch, strict=True))
    with pytest.raises(InfeasibleError) as error:
        engines.solve(space)
    assert error.value.message == f"no mapping of the mapspace keeps to '{text}'" + (f": {why}" if why else "")
    assert error.value.hint == f"leave out '{text}'"


@settings(max_examples=50)
@given(problems(limit=10**6))
def test_the_smallest_mapping_is_legal_unless_a_memory_is_too_small(problem):
    space = Mapspace(*problem)
    try:
        space.check()
    except InfeasibleError:
        return
    assert violations(*problem, smallest(space)) == []


# -- trust -------------------------------------------------------------------------------------------------------------


def test_the_same_problem_has_the_same_answer():
    nest = conv(K=16, C=8, P=14, Q=14, R=3, S=3)
    first, second = solve(nest, SIMPLE3), solve(nest, SIMPLE3)
    assert (first.mapping, first.bound) == (second.mapping, second.bound)


def test_a_wrong_energy_of_the_model_is_an_internal_error(monkeypatch):
    honest = Quantity.value
    monkeypatch.setattr(Quantity, "value", lambda objective, solver: honest(objective, solver) + 1)
    with pytest.raises(AssertionError, match=r"solver and cost model disagree on .* energy .* against"):
        solve(SMALL, SIMPLE3)


def test_wrong_cycles_of_the_model_are_an_internal_error(monkeypatch):
    honest = program.evaluate

    def slower(nest, arch, mapping):
        cost = honest(nest, arch, mapping)
        return replace(cost, cycles=cost.cycles + 1)

    monkeypatch.setattr(program, "evaluate", slower)
    with pytest.raises(AssertionError, match=r"solver and cost model disagree on .* cycles .* against"):
        solve(SMALL, SIMPLE3)


def test_an_illegal_mapping_of_the_solver_is_an_internal_error(monkeypatch):
    monkeypatch.setattr(program, "violations", lambda *_: ["no good"])
    with pytest.raises(AssertionError, match="no good"):
        solve(SMALL, SIMPLE3)


def test_a_bound_above_the_energy_is_an_internal_error(monkeypatch):
    honest = Quantity.integer

    def dearer(objective, tables):
        expression, unit, exact = honest(objective, tables)
        return expression, unit * 2, exact

    monkeypatch.setattr(Quantity, "integer", dearer)
    with pytest.raises(AssertionError, match=r"bound .* against energy"):
        solve(SMALL, SIMPLE3)


def test_energies_too_fine_for_the_solver_leave_a_stated_gap():
    odd = Fraction(2**61 + 1, 2**61)  # in integers the objective would exceed 2^53
    home = Memory("HOME", read_energy=100 * odd, write_energy=Fraction(100))
    arch = Architecture("tiny", (home, Memory("L1", size_words=6, read_energy=Fraction(1, 3)), Compute("MAC")))
    nest = gemm(M=4, N=2, K=2)
    result, tried = solve(nest, arch), exhaustive(nest, arch)
    assert result.bound <= tried.cost.energy <= result.cost.energy
    assert result.gap < 1e-9
    assert (result.status is Status.OPTIMAL) == (result.bound == result.cost.energy)


# -- larger mapspaces --------------------------------------------------------------------------------------------------


def least(nest, arch):
    try:
        return solve(nest, arch).cost.energy
    except InfeasibleError:
        return float("inf")


def freer(level):
    """The level with more choices."""
    match level:
        case Memory(beside=None):
            size = None if level.size_words is None else level.size_words + 3
            return replace(level, may_keep=frozenset(Role), must_keep=frozenset(), size_words=size, rolling=True)
        case FanOut():
            axes = tuple(Axis(a.name, a.size + 1) for a in level.axes)
            return replace(level, axes=axes, reduce=not level.drain)
    return level


@settings(max_examples=60)
@given(problems(limit=10**6))
def test_a_larger_mapspace_never_costs_more(problem):
    nest, arch = problem
    # more instances leak more
    arch = replace(arch, levels=tuple(replace(level, leak_energy=Fraction(0)) for level in arch.levels))
    # freeing a network that could not add also makes traffic cheaper, never dearer
    assert least(nest, replace(arch, levels=tuple(map(freer, arch.levels)))) <= least(nest, arch)


def test_a_second_tensor_in_a_buffer_pays():
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    buffer = Memory("GLB", size_words=8, may_keep=frozenset({Role.INPUT}))
    arch = Architecture("tiny", (home, buffer, Compute("MAC")))
    free = replace(arch, levels=(home, replace(buffer, may_keep=frozenset(Role)), arch.compute))
    assert least(SMALL, free) < least(SMALL, arch)
