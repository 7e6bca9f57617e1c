"""Mutants of both engines: each wrong lattice search and each wrong path to CP-SAT's answer is told from the right one.

A mutant is one plausible mistake in one function. It is caught if its optimum differs from that of trying everything,
or if the program itself notices: its bounds against its energy, its energy against the cost model.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutants.lattices import LATTICE
from mutants.patching import Mutant
from mutants.solvers import SOLVER
from provers import HOME, MAC, MIDDLING, ROLLING, Search, covered, everything, found, lattice, least, rolling, solver
from strategies import halos, problems, reductions
from test_reference_cases import CUTS, FRONTS
from test_reference_values import TABLE

from mapper.arch import Architecture, Axis, FanOut, load_architecture
from mapper.errors import InfeasibleError
from mapper.ir import parse_nest
from mapper.search import Factors, Mapspace, Objective
from mapper.search.exhaustive import candidates

BLOCK, BLOCKS = 20, 6
"""Problems are drawn in blocks, each from a seed of its own and only once a mutant has survived those before."""

FEW = 800
"""Candidates that are all tried."""


class Problem(NamedTuple):
    space: Mapspace
    objective: Objective


@st.composite
def of_lattice(draw: Any) -> Problem:
    """A problem that the lattice covers."""
    nest, arch = draw(covered(limit=300) | rolling() | reductions())
    return Problem(Mapspace(nest, arch, Factors.PERFECT), Objective.ENERGY)


@st.composite
def of_solver(draw: Any) -> Problem:
    """A problem of any kind."""
    nest, arch = draw(problems(limit=300) | rolling() | reductions() | halos(limit=200))
    factors, even = draw(st.sampled_from(list(Factors))), draw(st.integers(0, 5)) == 5
    return Problem(Mapspace(nest, arch, factors, (), even), draw(st.sampled_from(list(Objective))))


@cache
def drawn(strategy: Callable[[], st.SearchStrategy[Problem]], block: int) -> tuple[tuple[Problem, Any], ...]:
    """Problems with what trying everything finds; the same in each session."""
    kept: list[tuple[Problem, Any]] = []

    def keep(problem: Problem) -> None:
        if candidates(problem.space) <= FEW:
            kept.append((problem, found(everything, *problem)))

    draw = settings(max_examples=BLOCK, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    seed(block)(draw(given(strategy())(keep)))()
    return tuple(kept)


@cache
def chosen(search: Search) -> tuple[tuple[Problem, Any], ...]:
    """Problems that show what is rare: windows that roll, shorter last pieces, fronts, and for the lattice real layers.

    Their answers are those of trying everything or of the other engine, which has no cycles to tell (None).
    """
    perfect = [(parse_nest(text), Architecture("rolling", levels)) for text, levels in ROLLING.values()]
    perfect += [(nest, Architecture("middling", levels)) for nest, levels in MIDDLING]
    spaces = [Mapspace(nest, arch, Factors.PERFECT) for nest, arch in perfect]
    other = solver if search is lattice else lattice
    known = [(Problem(space, Objective.ENERGY), (least(other, space), None)) for space in spaces]
    if search is lattice:
        layers = [(case.values[0], load_architecture(case.values[1]), case.values[2]) for case in TABLE]
        real = [(Problem(Mapspace(n, arch, Factors.PERFECT), Objective.ENERGY), (e, None)) for n, arch, e in layers]
        return (*known, *real)
    problems = [
        *(Problem(Mapspace(case.nest, case.arch), Objective.ENERGY) for case in CUTS.values()),
        *(Problem(Mapspace(case.nest, case.arch), objective) for case in FRONTS.values() for objective in Objective),
        *FASTEST,
    ]
    return (*known, *((problem, found(everything, *problem)) for problem in problems))


def fastest(text: str, axes: dict[str, int], *, halo: bool = False) -> Problem:
    """The fastest mapping of a layer on instances along some axes."""
    mesh = FanOut("PE", tuple(Axis(name, size) for name, size in axes.items()), halo=halo)
    return Problem(Mapspace(parse_nest(text), Architecture("fast", (HOME, mesh, MAC))), Objective.LATENCY)


FASTEST = [
    fastest("O[M] += A[M] * B[] {M=4}", {"x": 2, "y": 2}),
    # pieces of 4, 4 and 2, each one by one: 10 is not cut into pieces of 3, the first elements of all three
    fastest("O[M] += A[M] * B[] {M=10}", {"x": 3}),
    # words 0, 2, 2 and 4 at once, of which one is shared: of neighbouring outputs' 0, 2, 1 and 3 none is
    fastest("O[P] += I[P+2*R] * W[R] {P=4 R=2}", {"x": 2, "y": 2}, halo=True),
]
"""Problems of which each tells a mutant that drawn ones do not."""


def told_apart(search: Search, problem: Problem, right: Any) -> str | None:
    """How the engine's answer shows that it is wrong; None if it does not."""
    try:
        answer = search(replace(problem.space), problem.objective)  # which remembers nothing
        if right is None:
            return "a mapping where none is legal"
        answer = found(lambda *_: answer, *problem)
    except InfeasibleError:
        return None if right is None else "no mapping where there is one"
    except AssertionError as error:
        return f"noticed: {str(error)[:80]}"
    if problem.objective is Objective.ENERGY and (search is lattice or right[1] is None):  # ties are left open
        answer, right = answer[0], right[0]
    return None if answer == right else f"{answer}, not {right}"


def caught_by(mutant: Mutant | None, search: Search, blocks: range) -> tuple[int, Problem, str] | None:
    """The first problem that tells the mutant from what is right, its number and how; None if there is none."""
    strategy = of_lattice if search is lattice else of_solver
    number = 0
    for known in chain(map(partial(drawn, strategy), blocks), (chosen(search) for _ in range(1))):
        with pytest.MonkeyPatch.context() as patch:
            if mutant:
                mutant(patch)
            for problem, right in known:
                number += 1
                if how := told_apart(search, problem, right):
                    return number, problem, how
    return None


MUTANTS = {
    **{f"lattice: {name}": (lattice, mutant) for name, mutant in LATTICE.items()},
    **{f"solver: {name}": (solver, mutant) for name, mutant in SOLVER.items()},
}


@pytest.mark.slow  # all together
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name: str) -> None:
    search, mutant = MUTANTS[name]
    caught = caught_by(mutant, search, range(BLOCKS))
    assert caught is not None, "no problem tells this mutant from what is right"
    number, problem, how = caught
    print(f"{name}: {how}, by problem {number}:\n{problem.space.nest}\n{problem.space.arch}, {problem.objective}")


@pytest.mark.parametrize("search", [lattice, solver])
def test_what_is_right_passes(search: Search) -> None:
    assert caught_by(None, search, range(1)) is None
