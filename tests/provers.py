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
from mapper.ir import LoopNest, Role, parse_nest
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
