"""The engines that prove optima, asked alone: what each finds, and problems for them.

No engine is held to itself: the lattice and CP-SAT share the mapspace and the cost model, trying everything shares with
them only what a mapspace holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from strategies import problems

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.errors import InfeasibleError
from mapper.ir import LoopNest, Role, gemm, parse_nest
from mapper.mapping import violations
from mapper.search import Engine, Limits, Mapspace, Objective, Result, Status
from mapper.search.engines import solve
from mapper.search.exhaustive import exhaustive
from mapper.search.limits import NONE

Search = Callable[[Mapspace, Objective, Limits], Result]


def solver(space: Mapspace, objective: Objective = Objective.ENERGY, limits: Limits = NONE) -> Result:
    """CP-SAT alone."""
    return solve(space, objective, limits, engine=Engine.SOLVER)


def lattice(space: Mapspace, objective: Objective = Objective.ENERGY, limits: Limits = NONE) -> Result:
    """The lattice search alone."""
    return solve(space, objective, limits, engine=Engine.LATTICE)


def everything(space: Mapspace, objective: Objective = Objective.ENERGY, limits: Limits = NONE) -> Result:
    """Every mapping through the cost model."""
    return exhaustive(space, objective, limits)


PROVEN_BY = {solver: Engine.SOLVER, lattice: Engine.LATTICE, everything: None}


def found(search: Search, space: Mapspace, objective: Objective = Objective.ENERGY, limits: Limits = NONE) -> Any:
    """What a search finds: the points of a front, the product, or (energy, cycles); None if no mapping is legal.

    Every claim of the result is checked on the way.
    """
    try:
        result = search(space, objective, limits)
    except InfeasibleError:
        return None
    assert result.status is Status.OPTIMAL
    assert result.bound == result.value
    assert search not in PROVEN_BY or result.proven_by is PROVEN_BY[search]
    for point in result.front:
        assert violations(space.nest, space.arch, point.mapping) == []
        assert space.broken(point.mapping) == []
        assert list(limits.broken(space.nest, space.arch, point.mapping, point.cost)) == []
    if objective is Objective.PARETO:
        return [(point.cost.energy, point.cost.cycles) for point in result.front]
    if objective is Objective.EDP:
        return result.cost.edp
    return result.cost.energy, result.cost.cycles


def least(search: Search, space: Mapspace) -> Fraction | None:
    """The least energy that a search finds; None if no mapping is legal."""
    pair = found(search, space)
    return None if pair is None else pair[0]


# -- problems that the lattice covers ----------------------------------------------------------------------------------


@st.composite
def covered(draw: Any, *, limit: int) -> tuple[LoopNest, Architecture]:
    """Random problems without what the lattice does not cover."""
    nest, arch = draw(problems(limit=limit))
    levels, fans = [], 0
    for level in arch.levels:
        if isinstance(level, Memory):
            level = replace(level, leak_energy=Fraction(0))
            if Role.OUTPUT in level.may_keep:
                level = replace(level, packed=False, line_words=1)
        elif isinstance(level, FanOut):
            fans += 1
            level = replace(level, halo=False)
            if fans > 1:
                continue
        else:
            level = replace(level, widths=replace(level.widths, partial=level.widths.output))
        levels.append(level)
    return nest, replace(arch, levels=tuple(levels))


HOME = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
MAC = Compute("MAC", energy=Fraction(1))


def memory(name: str, words: int, energy: int, **more: Any) -> Memory:
    """A memory whose reads and writes cost the same."""
    return Memory(name, size_words=words, read_energy=Fraction(energy), write_energy=Fraction(energy), **more)


WINDOWS = [
    "O[P] += I[P+R] * W[R] {P=4 R=3}",
    "O[P] += I[C,2*P+R] * W[C,R] {C=2 P=6 R=3}",
    "O[K,P] += I[P+2*R] * W[K,R] {K=2 P=8 R=2}",
    "O[P] += I[P+R] * W[P+S] {P=4 R=2 S=2}",
]


@st.composite
def rolling(draw: Any) -> tuple[LoopNest, Architecture]:
    """A layer with sliding windows, and two small memories below the home, which may roll and must often be used."""
    prices = st.integers(0, 30)
    levels: list[Memory | FanOut] = []
    for name in ("L2", "L1"):
        keeps = frozenset({Role.INPUT}) | draw(st.sets(st.sampled_from(Role)))
        must = draw(st.sampled_from([keeps, keeps & {Role.INPUT}, frozenset()]))
        small = memory(name, draw(st.integers(2, 9)), draw(prices), may_keep=keeps, must_keep=must)
        levels.append(replace(small, rolling=draw(st.booleans()), write_energy=Fraction(draw(prices))))
    if draw(st.booleans()):
        levels.insert(draw(st.integers(0, 2)), FanOut("PE", (Axis("x", 4),), deliver_energy=Fraction(draw(prices))))
    return parse_nest(draw(st.sampled_from(WINDOWS))), Architecture("rolling", (HOME, *levels, MAC))


SHAPES = {
    "no fan-out": (HOME, memory("L2", 40, 10), memory("L1", 8, 1), MAC),
    "two memories on both sides": (
        HOME, memory("L3", 60, 20), memory("L2", 24, 8), FanOut("PE", (Axis("x", 4),)), memory("L1", 9, 2),
        memory("L0", 4, 1), MAC,
    ),
    "nothing is shared": (
        HOME, memory("L2", 30, 10), FanOut("PE", (Axis("x", 4),), multicast=frozenset(), reduce=False),
        memory("L1", 6, 1), MAC,
    ),
    "sums are drained": (
        HOME, memory("L2", 30, 10),
        FanOut("PE", (Axis("x", 4),), reduce=False, drain=True, deliver_energy=Fraction(3), hop_energy=Fraction(1, 2)),
        memory("L1", 6, 1), MAC,
    ),
    "steps along axes cost": (
        HOME, memory("L2", 30, 10), FanOut("PE", (Axis("x", 4), Axis("y", 2)), hop_energy=Fraction(7)),
        memory("L1", 6, 1), MAC,
    ),
}  # fmt: skip

ROLLING = {
    "two tensors along one loop": (
        "O[P] += I[P+R] * W[P+S] {P=4 R=2 S=2}", (HOME, memory("L1", 6, 1, rolling=True), MAC),
    ),
    "no further than a node above": (
        "O[P] += I[C,P+R] * W[C,R] {C=2 P=2 R=3}",
        (HOME, memory("L1", 5, 1, rolling=True, must_keep=frozenset({Role.INPUT, Role.OUTPUT})), MAC),
    ),
    "two memories along one loop": (
        "O[P] += I[P+R] * W[R] {P=4 R=3}",
        (HOME, memory("L2", 3, 6, rolling=True, must_keep=frozenset({Role.INPUT}), may_keep=frozenset({Role.INPUT})),
         memory("L1", 3, 1, rolling=True, must_keep=frozenset({Role.INPUT}), may_keep=frozenset({Role.INPUT})), MAC),
    ),
    "the inner of two memories only": (
        "O[P] += I[P+R] * W[R] {P=4 R=3}",
        (HOME, memory("L2", 3, 6, must_keep=frozenset({Role.INPUT}), may_keep=frozenset({Role.INPUT})),
         memory("L1", 3, 30, rolling=True, must_keep=frozenset({Role.INPUT}), may_keep=frozenset({Role.INPUT})), MAC),
    ),
    "below a fan-out": (
        "O[K,P] += I[P+2*R] * W[K,R] {K=4 P=4 R=3}",
        (HOME, memory("L2", 20, 6, rolling=True), FanOut("PE", (Axis("x", 4),)), memory("L1", 6, 1, rolling=True), MAC),
    ),
}  # fmt: skip


def cheap(name: str, words: int, read: int, write: int, **more: Any) -> Memory:
    """A memory with prices of its own."""
    return Memory(name, size_words=words, read_energy=Fraction(read), write_energy=Fraction(write), **more)


LONG = parse_nest("O[P] += I[C,P+R] * W[C,R] {C=4 P=12 R=2}")
SQUARE = parse_nest("O[P,Q] += I[P+R,Q] * W[R] {P=8 Q=4 R=3}")

MIDDLING = [
    (LONG, (HOME, cheap("L2", 13, 1, 2, rolling=True), cheap("L1", 14, 20, 2, rolling=True), MAC)),
    (LONG, (HOME, cheap("L2", 11, 2, 2, rolling=True), cheap("L1", 7, 20, 5, rolling=True), MAC)),
    (
        LONG,
        (HOME, cheap("L2", 13, 20, 2, rolling=True), FanOut("PE", (Axis("x", 4),)), cheap("L1", 16, 1, 5, rolling=True),
         MAC),
    ),
    (
        SQUARE,
        (HOME, FanOut("PE", (Axis("x", 2), Axis("y", 3)), multicast=frozenset()), cheap("L2", 6, 6, 10, rolling=True),
         cheap("L1", 19, 20, 5, rolling=True), MAC),
    ),
    (
        gemm(M=60, N=12, K=24),
        (HOME, cheap("L2", 37, 1, 10), FanOut("PE", (Axis("x", 4),)), cheap("L1", 20, 20, 2), MAC),
    ),
    (gemm(M=4, N=6, K=6), (HOME, cheap("L2", 13, 6, 2), FanOut("PE", (Axis("x", 2),)), cheap("L1", 19, 6, 10), MAC)),
    (gemm(M=6, N=6, K=6), (HOME, cheap("L2", 13, 2, 10), FanOut("PE", (Axis("x", 4),)), cheap("L1", 15, 20, 2), MAC)),
]  # fmt: skip
"""Problems of which each tells a mutant of the lattice that small ones do not."""


@st.composite
def middling(draw: Any) -> tuple[LoopNest, Architecture]:
    """Problems like those: a thousand times what can be tried, and memories that are always too small."""
    rolls, energies = draw(st.booleans()), st.sampled_from([1, 2, 6, 20])
    words = st.integers(4, 24)
    levels: list[Any] = [
        cheap(name, draw(words), draw(energies), draw(energies), rolling=rolls) for name in ("L2", "L1")
    ]
    if draw(st.booleans()):
        axes = (Axis("x", draw(st.sampled_from([2, 4]))), Axis("y", draw(st.sampled_from([1, 3]))))
        shared = draw(st.sampled_from([frozenset(), frozenset({Role.INPUT, Role.WEIGHT})]))
        levels.insert(draw(st.integers(0, 1)), FanOut("PE", axes, multicast=shared, reduce=draw(st.booleans())))
    sizes = st.sampled_from([2, 4, 6])
    products = st.builds(lambda m, n, k: gemm(M=m, N=n, K=k), sizes, sizes, sizes)
    nest = draw(st.sampled_from([LONG, SQUARE]) if rolls else products)
    return nest, Architecture("middling", (HOME, *levels, MAC))
