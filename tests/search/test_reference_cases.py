"""Small problems whose answers are known exactly: from trying everything, and confirmed by the executor."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import prove
import pytest
from strategies import Case

import mapper
from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, Widths
from mapper.ir import LoopNest, Role, gemm, parse_nest
from mapper.mapping import Keep, Mapping, ParFor
from mapper.search import Factors, Mapspace, Objective, Point, Result, Status
from mapper.search.engines import solve
from mapper.search.exhaustive import exhaustive

OUTPUTS = frozenset({Role.OUTPUT})


def machine(
    network: FanOut, acc: Memory, *more: FanOut, home: tuple[Fraction | int, ...], compute: Compute | None = None
) -> Architecture:
    """A home of those energies to read, to write and to be there for a cycle; a network that adds; an inner memory."""
    read, write, leak = map(Fraction, home)
    outer = Memory("HOME", read_energy=read, write_energy=write, leak_energy=leak)
    return Architecture("adders", (outer, network, *more, acc, compute or Compute("MAC", energy=Fraction(1))))


# -- outputs below a network that adds ---------------------------------------------------------------------------------


def added_above_outputs(nest: LoopNest, mapping: Mapping) -> bool:
    """Whether partial sums rest in ACC below a loop of ADD that unrolls a reduction dim."""
    unrolled = [
        i
        for i, item in enumerate(mapping.items)
        if isinstance(item, ParFor) and item.fanout == "ADD" and item.dim not in nest.output.dims
    ]
    kept = [i for i, item in enumerate(mapping.items) if item == Keep("ACC", nest.output.name)]
    return bool(unrolled and kept) and max(unrolled) < kept[0]


@dataclass(frozen=True)
class Front:
    """A problem, and its front as (energy, cycles): of all points the partial sums rest below the network."""

    nest: LoopNest
    arch: Architecture
    points: tuple[tuple[Fraction | int, int], ...]


ARRAY = FanOut(
    "ADD",
    (Axis("x", 6, frozenset("K")), Axis("y", 2, frozenset("MN"))),
    multicast=frozenset({Role.WEIGHT}),
    deliver_energy=Fraction(1),
    reduce_energy=Fraction(5),
    hop_energy=Fraction(1),
)
PAIR = Memory("ACC", 2, may_keep=OUTPUTS, read_energy=Fraction(2))

FRONTS = {
    # a column more: fewer cycles that leak, but 60 more to add an output; pieces of 13 are 7, 5 or 4 long
    "each objective has its own": Front(
        gemm(M=2, N=2, K=13),
        machine(
            FanOut("ADD", (Axis("x", 4, frozenset("K")),), reduce_energy=Fraction(60)),
            Memory("ACC", 1, may_keep=OUTPUTS),
            home=(Fraction(1, 2), Fraction(1, 2), 11),
            compute=Compute("MAC"),
        ),
        ((602, 28), (754, 20), (950, 16)),
    ),
    "convolution": Front(
        parse_nest("O[P] += I[C,P+R] * W[C,R] {C=4 P=2 R=3}"),
        machine(
            FanOut(
                "ADD",
                (Axis("x", 6, frozenset("CR")),),
                multicast=frozenset({Role.WEIGHT}),
                deliver_energy=Fraction(2),
                reduce_energy=Fraction(8),
                hop_energy=Fraction(2),
            ),
            Memory("ACC", 1, may_keep=OUTPUTS | {Role.INPUT}, read_energy=Fraction(1), write_energy=Fraction(1)),
            home=(20, 10, 20),
        ),
        ((1604, 12), (1640, 8), (1716, 6), (1908, 4)),
    ),
    "two axes": Front(gemm(M=3, N=2, K=9), machine(ARRAY, PAIR, home=(10, 3, 20)), ((1968, 12), (2140, 8), (2406, 6))),
    # ... and a partial sum takes both words of ACC, of which each access costs twice
    "wide partial sums": Front(
        gemm(M=3, N=2, K=9),
        machine(ARRAY, PAIR, home=(10, 3, 20), compute=Compute("MAC", 1, Fraction(1), Widths(output=8, partial=16))),
        ((2076, 12), (2248, 8), (2514, 6)),
    ),
    "two networks": Front(
        gemm(M=2, K=7),
        machine(
            FanOut(
                "ADD",
                (Axis("x", 6, frozenset("K")),),
                multicast=frozenset({Role.WEIGHT}),
                deliver_energy=Fraction(1),
                reduce_energy=Fraction(20),
            ),
            Memory("ACC", 8, may_keep=OUTPUTS, write_energy=Fraction(1)),
            FanOut("PE", (Axis("z", 2, frozenset("MN")),)),
            home=(10, 20, 20),
        ),
        ((419, 4), (439, 3), (459, 2)),
    ),
}


@cache
def tried(name: str) -> Result:
    """The front of a problem, by trying everything."""
    return exhaustive(Mapspace(FRONTS[name].nest, FRONTS[name].arch), Objective.PARETO)


def figures(point: Point | Result) -> tuple[Fraction, int]:
    return point.cost.energy, point.cost.cycles


@pytest.mark.parametrize("name", FRONTS)
def test_trying_everything_finds_the_front(name: str) -> None:
    assert tuple(map(figures, tried(name).front)) == FRONTS[name].points


@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize("name", FRONTS)
def test_partial_sums_rest_below_a_network_that_adds(name: str, objective: Objective) -> None:
    nest, arch, points = FRONTS[name].nest, FRONTS[name].arch, FRONTS[name].points
    result = solve(Mapspace(nest, arch), objective)
    assert result.status is Status.OPTIMAL
    expected = {
        Objective.ENERGY: points[:1],
        Objective.LATENCY: points[-1:],
        Objective.EDP: (min(points, key=lambda point: point[0] * point[1]),),
        Objective.PARETO: points,
    }[objective]
    assert tuple(map(figures, result.front)) == expected
    for point in result.front:
        assert added_above_outputs(nest, point.mapping)
        assert point.cost.counts.moves["ADD", nest.output.name].reduced > 0
        assert point.cost.counts.accesses["ACC", nest.output.name].partial_writes > 0
        prove.check(Case(nest, arch, point.mapping))


def test_each_objective_has_a_mapping_of_its_own() -> None:
    case = FRONTS["each objective has its own"]
    ways = (Objective.ENERGY, Objective.EDP, Objective.LATENCY)
    found = [solve(Mapspace(case.nest, case.arch), objective) for objective in ways]
    assert tuple(map(figures, found)) == case.points
    assert len({point.mapping for point in found}) == len(ways)


@pytest.mark.parametrize("objective", Objective)
def test_cycles_that_the_solver_gives_as_a_fraction_are_whole(objective: Objective) -> None:
    """Where presolve scales the cycles, they come back as 26.000000000000004."""
    mesh = FanOut("ADD", (Axis("x", 4, frozenset("K")),), multicast=frozenset({Role.WEIGHT}), reduce_energy=Fraction(1))
    home = Memory("HOME", read_energy=Fraction(5), write_energy=Fraction(5), shared_bandwidth=Fraction(3))
    acc = Memory("ACC", 3, may_keep=OUTPUTS, read_energy=Fraction(1), write_energy=Fraction(1))
    space = Mapspace(gemm(M=4, N=1, K=8), Architecture("adders", (home, mesh, acc, Compute("MAC", energy=Fraction(1)))))
    expected = exhaustive(space, objective)
    assert list(map(figures, solve(space, objective).front)) == list(map(figures, expected.front))


# -- imperfect factors -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A problem whose dims are primes, and the (energy, cycles) of its optima with perfect and imperfect factors."""

    nest: LoopNest
    arch: Architecture
    perfect: tuple[int, int]
    imperfect: tuple[int, int]


def small(memory: Memory, x: str = "", y: str = "", **network: Fraction | bool) -> Architecture:
    """A dear home, an array of 4 x 3 that unrolls those dims, if any, and a memory."""
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    array = FanOut("PE", (Axis("x", 4, frozenset(x)), Axis("y", 3, frozenset(y))), **network)
    return Architecture("small", (home, *([array] if x else []), memory, Compute("MAC", energy=Fraction(1))))


def registers(size: int, *keeps: Role) -> Memory:
    return Memory("RF", size, may_keep=frozenset(keeps), read_energy=Fraction(1), write_energy=Fraction(1))


CUTS = {
    "a memory that no divisor fills": Cut(
        gemm(M=13, N=11), small(registers(8, Role.INPUT, Role.WEIGHT)), (29_997, 143), (18_264, 143)
    ),
    "a window": Cut(
        parse_nest("O[P] += I[P+R] * W[R] {P=13 R=3}"), small(registers(8, *Role)), (5_659, 39), (4_525, 39)
    ),
    "an array that no divisor fills": Cut(
        gemm(M=7, N=11), small(registers(4, Role.WEIGHT), "M", "N"), (16_665, 77), (11_765, 28)
    ),
    "a reduction over an array": Cut(
        gemm(M=13, K=7),
        small(registers(2, Role.OUTPUT), "M", "K", reduce_energy=Fraction(2)),
        (19_773, 91),
        (13_473, 28),
    ),
    "fewer words for more cycles": Cut(
        parse_nest("O[P] += I[2*P+R] * W[R] {P=11 R=3}"),
        small(registers(6, Role.INPUT, Role.OUTPUT), "P", "R"),
        (7_733, 11),
        (5_260, 12),
    ),
    "neighbours that share halos": Cut(
        parse_nest("O[P] += I[P+R] * W[R] {P=13 R=3}"),
        small(registers(4, Role.INPUT, Role.OUTPUT), "P", "R", halo=True),
        (9_139, 13),
        (4_117, 4),
    ),
}


def leaves_rests(nest: LoopNest, mapping: Mapping) -> bool:
    """Whether a step does not divide what it cuts."""
    tiles = dict(nest.dims)
    for item in mapping.items:
        if not isinstance(item, Keep):
            if tiles[item.dim] % item.step:
                return True
            tiles[item.dim] = item.step
    return False


@pytest.mark.parametrize("name", CUTS)
def test_imperfect_factors_are_strictly_better(name: str) -> None:
    case = CUTS[name]
    perfect = mapper.search_layer(case.nest, case.arch, factors="perfect")
    default = mapper.search_layer(case.nest, case.arch)
    assert perfect.status is default.status is Status.OPTIMAL
    assert default.cost.energy < perfect.cost.energy
    assert (figures(perfect), figures(default)) == (case.perfect, case.imperfect)
    assert not leaves_rests(case.nest, perfect.mapping)
    assert leaves_rests(case.nest, default.mapping)
    prove.check(Case(case.nest, case.arch, default.mapping))


@pytest.mark.parametrize("name", CUTS)
def test_trying_everything_finds_the_optima_of_both_factors(name: str) -> None:
    case = CUTS[name]
    assert [figures(exhaustive(Mapspace(case.nest, case.arch, factors))) for factors in Factors] == [
        case.perfect,
        case.imperfect,
    ]
