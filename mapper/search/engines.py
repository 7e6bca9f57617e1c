"""Engines: the two that prove a least energy, each alone or one beside the other.

CP-SAT (`cpsat`) answers every problem, the lattice (`lattice`) a part of them (`uncovered`). They share the mapspace
and the cost model, nothing else: so where both answer, each is a check of the other.
"""

from __future__ import annotations

import math
from dataclasses import replace

from mapper.cost import evaluate
from mapper.errors import InputError
from mapper.mapping import Mapping
from mapper.mapping.idle import idle_axes
from mapper.search import cpsat
from mapper.search.extents import Factors
from mapper.search.lattice import Shortest, solve_lattice, uncovered
from mapper.search.limits import NONE, Limits
from mapper.search.mapspace import Mapspace
from mapper.search.program import Clock
from mapper.search.reports import OnProgress, Reports
from mapper.search.result import Engine, Objective, Point, Result, Status

MOST_POINTS = 2**15
"""Tile extents, more than which the lattice may take longer to find a start than the solver takes without one."""

HALF = 0.5
"""The part of the time that each of two engines has."""


def solve(
    space: Mapspace,
    objective: Objective = Objective.ENERGY,
    limits: Limits = NONE,
    *,
    engine: Engine = Engine.AUTO,
    time_limit_s: float | None = None,
    deterministic_limit: float | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """The best mapping of a mapspace within the limits, with the proof of an engine.

    `time_limit_s` is in seconds of wall time, `deterministic_limit` in the solver's own units of work (about a second
    of CPU time each), which give the same answer every time; when one is over, or on an interrupt, the best mapping
    found by then is returned with its bound. Raises InfeasibleError if no mapping is legal, InputError if numbers have
    too many digits for the solver's integers or the lattice is asked what it does not answer (`unanswered`).
    """
    space.check()
    limits.check(space.arch)
    clock = Clock(time_limit_s, deterministic_limit)
    if engine is Engine.AUTO:
        return cpsat.solve(space, objective, limits, clock, on_progress, start)
    if engine is Engine.SOLVER:
        return cpsat.solve(space, objective, limits, clock, on_progress)
    if problem := unanswered(space, objective, limits, deterministic_limit):
        raise problem
    if engine is Engine.LATTICE:
        return _by_lattice(space, clock, on_progress)
    with clock.share(HALF):
        shortest = _shortest(space, clock)
    return compared(space, shortest, cpsat.solve(space, objective, limits, clock, on_progress))


def unanswered(
    space: Mapspace, objective: Objective, limits: Limits, deterministic_limit: float | None
) -> InputError | None:
    """Why the lattice alone does not answer, every reason; None if it does."""
    asked = [
        *(["the objective is not energy"] if objective is not Objective.ENERGY else []),
        *(["there are limits on cost"] if limits != NONE else []),
        *(["its work is not counted in a deterministic limit"] if deterministic_limit is not None else []),
    ]
    reasons = [*asked, *uncovered(space)]
    if not reasons:
        return None
    divided = not asked and not any(uncovered(replace(space, factors=Factors.PERFECT)))
    perfect = ", with perfect factors the lattice too" if divided else ""
    return InputError(
        f"the lattice engine does not cover this: {'; '.join(reasons)}", hint=f"the engines auto and solver do{perfect}"
    )


def start(space: Mapspace, clock: Clock) -> Mapping | None:
    """A mapping that the lattice finds for the solver to start from; None where it cannot or should not look for one.

    Its work is not counted in a deterministic limit.
    """
    points = math.prod(map(len, space.extents.values()))
    if clock.over or clock.deterministic is not None or points > MOST_POINTS:
        return None
    found = clock.interruptible(lambda: solve_lattice(space, lambda: clock.over))
    return found.mapping if found else None


def _shortest(space: Mapspace, clock: Clock) -> Shortest:
    found = clock.interruptible(lambda: solve_lattice(space, lambda: clock.over))
    assert found is not None, "the lattice covers the mapspace"
    return found


def _by_lattice(space: Mapspace, clock: Clock, on_progress: OnProgress | None) -> Result:
    """The lattice's result, without a solver; ties are as they come."""
    shortest = _shortest(space, clock)
    if shortest.mapping is None and clock.interrupted:
        raise KeyboardInterrupt("no mapping was found yet")
    if shortest.mapping is None:
        raise cpsat.nothing(space, NONE, proven=False)
    point = Point(shortest.mapping, evaluate(space.nest, space.arch, shortest.mapping))
    Reports(clock, on_progress, cpsat.floor(space, Objective.ENERGY)).add(point.cost.energy, shortest.bound)
    if shortest.bound > point.cost.energy:
        raise _disagreement(space, f"bound {shortest.bound} against energy {point.cost.energy}")
    proven = shortest.bound == point.cost.energy
    return Result(
        nest=space.nest,
        arch=space.arch.name,
        objective=Objective.ENERGY,
        mapping=point.mapping,
        cost=point.cost,
        status=Status.OPTIMAL if proven else Status.FEASIBLE,
        bound=shortest.bound,
        proven_by=Engine.LATTICE if proven else None,
        tie_proven=False,
        front=(point,),
        mapspace=str(space),
        statistics=clock.statistics(),
        warnings=idle_axes(space.nest, space.arch, space.constraints, [point.mapping]),
    )


def compared(space: Mapspace, shortest: Shortest, solved: Result) -> Result:
    """The solver's result with what the lattice says of it; AssertionError if one contradicts the other.

    No mapping of either may take less energy than the other's bound: proven optima are equal.
    """
    points = [Point(solved.mapping, solved.cost)]
    if shortest.mapping is not None:
        points.append(Point(shortest.mapping, evaluate(space.nest, space.arch, shortest.mapping)))
    best = min(points, key=lambda point: point.cost.energy)  # the solver's first: its ties are broken
    bounds = {Engine.SOLVER: solved.bound, Engine.LATTICE: shortest.bound}
    bound = max(bounds.values())
    if bound > best.cost.energy:
        told = {str(engine): str(value) for engine, value in bounds.items()}
        raise _disagreement(space, f"bounds {told} against a mapping of {best.cost.energy}:\n{best.mapping}")
    provers = [engine for engine, value in bounds.items() if value == best.cost.energy]
    return replace(
        solved,
        mapping=best.mapping,
        cost=best.cost,
        status=Status.OPTIMAL if provers else Status.FEASIBLE,
        bound=bound,
        proven_by=Engine.BOTH if len(provers) == 2 else next(iter(provers), None),
        tie_proven=solved.tie_proven and best is points[0],
        front=(best,),
        warnings=idle_axes(space.nest, space.arch, space.constraints, [best.mapping]),
    )


def _disagreement(space: Mapspace, what: str) -> AssertionError:
    return AssertionError(f"the engines disagree on {space.nest} on {space.arch.name}: {what}")
