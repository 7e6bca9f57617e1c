"""The solver's optimum is that of trying everything, on problems small enough to try everything."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from strategies import problems, reductions

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, Widths
from mapper.divisors import divisors
from mapper.errors import InfeasibleError, InputError
from mapper.ir import Role, gemm, parse_nest
from mapper.mapping import Keep, ParFor, violations
from mapper.search import Engine, Factors, Mapspace, Status, engines
from mapper.search.exhaustive import candidates, mappings
from mapper.search.exhaustive import exhaustive as try_all


def solve(nest, arch):
    """The best mapping of perfect factors by the solver."""
    return engines.solve(Mapspace(nest, arch, Factors.PERFECT), engine=Engine.SOLVER)


def exhaustive(nest, arch, **limit):
    """The same by trying everything."""
    return try_all(Mapspace(nest, arch, Factors.PERFECT), **limit)


MANY = settings(max_examples=1000, suppress_health_check=HealthCheck)


def value(search, nest, arch):
    """(energy, cycles) of the best mapping, None if there is none; checks what the result says of it."""
    try:
        result = search(nest, arch)
    except InfeasibleError:
        return None
    assert violations(nest, arch, result.mapping) == []
    assert result.status is Status.OPTIMAL
    assert result.bound == result.cost.energy
    return result.cost.energy, result.cost.cycles


@settings(max_examples=120, suppress_health_check=HealthCheck)
@given(problems(limit=1500))
def test_solver_equals_exhaustive(problem):
    assert value(solve, *problem) == value(exhaustive, *problem)


@settings(max_examples=60)
@given(reductions())
def test_solver_equals_exhaustive_where_sums_are_added_on_the_way(problem):
    assert value(solve, *problem) == value(exhaustive, *problem)


@pytest.mark.slow
@MANY
@given(problems(limit=6000))
def test_solver_equals_exhaustive_on_many(problem):
    assert value(solve, *problem) == value(exhaustive, *problem)


# -- optima of a known structure ---------------------------------------------------------------------------------------


def adders(acc, network=None, *, size=2):
    """A home, a fan-out that unrolls K and adds, and a memory below it."""
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    mesh = FanOut("ADD", (Axis("x", size, frozenset("K")),), **(network or {}))
    return Architecture("adders", (home, mesh, Memory("ACC", **acc), Compute("MAC")))


def same_optimum(nest, arch):
    """The solver's result, which equals that of trying everything."""
    best, tried = solve(nest, arch), exhaustive(nest, arch)
    assert (best.cost.energy, best.cost.cycles) == (tried.cost.energy, tried.cost.cycles)
    return best


def keeps_outputs_below_adders(mapping):
    unrolled = [i for i, item in enumerate(mapping.items) if isinstance(item, ParFor) and item.dim == "K"]
    kept = [i for i in mapping.nodes("O") if mapping.items[i].memory == "ACC"]
    return bool(unrolled and kept) and unrolled[0] < kept[0]


@pytest.mark.parametrize("partial_bits", [1, 3, 20])
@pytest.mark.parametrize("packed", [True, False])
def test_partial_sums_of_another_width_below_a_network_that_adds(partial_bits, packed):
    """What rests there are results only if nothing is added on the way: a variable of the search counts them."""
    free = FanOut("ADD", (Axis("x", 2),))
    home = Memory("HOME", read_energy=Fraction(7), write_energy=Fraction(5))
    inner = Memory("ACC", size_words=6, packed=packed, read_energy=Fraction(1), write_energy=Fraction(1))
    compute = Compute("MAC", widths=Widths(output=8, partial=partial_bits))
    same_optimum(gemm(M=1, N=3, K=4), Architecture("widths", (home, free, inner, compute)))


def test_outputs_rest_below_a_network_that_adds():
    # without ACC every product goes home (100 + 100); with it 4 outputs leave once, and two instances halve the cycles
    arch = adders({"size_words": 4, "may_keep": frozenset({Role.OUTPUT})})
    best = same_optimum(gemm(M=2, N=2, K=4), arch)
    assert keeps_outputs_below_adders(best.mapping)
    assert best.cost.energy == 100 * (16 + 16 + 4)
    assert best.cost.cycles == 8
    assert best.cost.counts.moves["ADD", "O"].reduced == 4


@pytest.mark.parametrize(("adding", "unrolled"), [(0, True), (10, False)])
def test_adding_on_the_way_is_weighed(adding, unrolled):
    acc = {"size_words": 1, "may_keep": frozenset({Role.OUTPUT})}
    best = same_optimum(gemm(M=2, K=6), adders(acc, {"reduce_energy": Fraction(adding)}, size=3))
    # 12 reads of each operand and 2 outputs either way: three instances are faster, if adding is free
    assert best.cost.energy == 100 * (12 + 12 + 2)
    assert keeps_outputs_below_adders(best.mapping) is unrolled
    assert best.cost.cycles == (4 if unrolled else 12)


def test_partial_sums_return_below_a_network_that_adds():
    # ACC holds one weight and one output: it pays to keep the weights and to let the outputs come and go
    cheap = {"read_energy": Fraction(1), "must_keep": frozenset({Role.OUTPUT}), "size_words": 2}
    arch = adders(cheap, {"reduce_energy": Fraction(2)})
    home = replace(arch.home, read_energy=Fraction(8), write_energy=Fraction(7))
    best = same_optimum(gemm(M=4, N=1, K=4), replace(arch, levels=(home, *arch.levels[1:])))
    assert keeps_outputs_below_adders(best.mapping)
    assert best.cost.counts.moves["ADD", "O"].delivered == 4
    # A 16 and B 4 reads, O 8 writes and 4 re-fills; ACC reads B 16 times, O 16 - 12 + 16 times; 8 sums are added
    assert best.cost.energy == 8 * (16 + 4 + 4) + 7 * 8 + (16 + 20) + 2 * 8


def test_windows_roll_where_that_pays():
    # L1 holds a window of three inputs and one output
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=6 R=3}")
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    small = Memory("L1", size_words=4, may_keep=frozenset({Role.INPUT, Role.OUTPUT}), rolling=True)
    arch = Architecture("tiny", (home, small, Compute("MAC")))
    best = same_optimum(nest, arch)
    assert any(isinstance(item, Keep) and item.rolling for item in best.mapping.items)
    # 8 inputs and 6 outputs once, a weight for each of 18 operations
    assert best.cost.energy == 100 * (8 + 6 + 18)
    still = replace(arch, levels=(home, replace(small, rolling=False), arch.compute))
    assert same_optimum(nest, still).cost.energy > best.cost.energy


def test_a_window_rolls_no_further_than_a_node_above_it():
    # rolling over all of P would load less than there is to load, but the output's node stands between
    nest = parse_nest("O[P] += I[C,P+R] * W[C,R] {C=2 P=2 R=3}")
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    both = frozenset({Role.INPUT, Role.OUTPUT})
    small = Memory("L1", size_words=5, may_keep=both, must_keep=both, write_energy=Fraction(2), rolling=True)
    same_optimum(nest, Architecture("tiny", (home, small, Compute("MAC"))))


def test_double_buffering_halves_what_tiles_can_take():
    nest = gemm(M=4, N=2, K=4)
    home = Memory("HOME", read_energy=Fraction(200), write_energy=Fraction(200))
    small = Memory("L1", size_words=8, read_energy=Fraction(1), write_energy=Fraction(1))
    whole, half, doubled = (
        same_optimum(nest, Architecture("tiny", (home, memory, Compute("MAC")))).cost.energy
        for memory in (small, replace(small, size_words=4), replace(small, double_buffered=True))
    )
    assert whole < half == doubled


@pytest.mark.parametrize("words", [4, 5, 6, 7, 9])
def test_two_tensors_roll_along_one_loop(words):
    # both windows have one place: the loop above is the nearest of both
    nest = parse_nest("O[P] += I[P+R] * W[P+S] {P=4 R=2 S=2}")
    home = Memory("HOME", read_energy=Fraction(200), write_energy=Fraction(200))
    small = Memory("L1", size_words=words, read_energy=Fraction(1), write_energy=Fraction(1), rolling=True)
    same_optimum(nest, Architecture("tiny", (home, small, Compute("MAC"))))


def test_two_memories_roll_along_one_loop():
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=4 R=3}")
    home = Memory("HOME", read_energy=Fraction(200), write_energy=Fraction(200))
    kept = frozenset({Role.INPUT})
    outer, inner = (
        Memory(name, size_words=3, may_keep=kept, must_keep=kept, read_energy=energy, write_energy=energy, rolling=True)
        for name, energy in (("L2", Fraction(6)), ("L1", Fraction(1)))
    )
    best = same_optimum(nest, Architecture("tiny", (home, outer, inner, Compute("MAC"))))
    assert sum(isinstance(item, Keep) and item.rolling for item in best.mapping.items) == 2


# -- the mapspace ------------------------------------------------------------------------------------------------------


def test_exhaustive_tries_what_it_says():
    # one dim of 4, no memory below the home: 4 = 4 on x and 1 below, 2 x 2, 1 x 4, each with the rest above
    arch = Architecture("tiny", (Memory("HOME"), FanOut("F", (Axis("x", 4),)), Compute("MAC")))
    space = Mapspace(gemm(M=4), arch, Factors.PERFECT)
    assert candidates(space) == 6  # 4 as a product of three factors
    loops = {str(m).partition("\n")[2] for m in mappings(space)}
    assert loops == {
        "for M 1\n",
        "parfor M 1 F.x\n",
        "for M 2\nfor M 1\n",
        "for M 2\nparfor M 1 F.x\n",
        "parfor M 2 F.x\nfor M 1\n",
    }


def test_exhaustive_refuses_what_it_could_not_finish():
    arch = Architecture("tiny", (Memory("HOME"), Memory("L1"), Compute("MAC")))
    with pytest.raises(InputError, match="more than the limit of 10"):
        exhaustive(gemm(M=4, N=4), arch, limit=10)


@pytest.mark.parametrize("factors", Factors)
def test_candidates_bound_the_mappings(factors):
    arch = Architecture("tiny", (Memory("HOME"), FanOut("F", (Axis("x", 4),)), Memory("L1"), Compute("MAC")))
    space = Mapspace(gemm(M=4, N=3), arch, factors)
    assert len(list(mappings(space))) == candidates(space)


@pytest.mark.parametrize(("n", "expected"), [(1, (1,)), (7, (1, 7)), (12, (1, 2, 3, 4, 6, 12)), (9, (1, 3, 9))])
def test_divisors(n, expected):
    assert divisors(n) == expected
