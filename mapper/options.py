"""Options: what a search is asked for beside the layer and the machine, and the mapspace that this makes of a layer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from mapper.arch import Architecture, Constraint, FanOut, parse_constraint
from mapper.arguments import shown
from mapper.errors import InputError, Interrupted, MapperError, all_of
from mapper.ir import LoopNest
from mapper.mapping.constraints import resolve
from mapper.mapping.contradictions import contradictions
from mapper.search import Engine, Factors, Limits, Mapspace, Objective
from mapper.search.limits import NONE

if TYPE_CHECKING:
    from mapper.search import Progress, Result
    from mapper.search.reports import OnProgress


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of a search: what to make least, what the mapping keeps to, and when to stop.

    `constraints` are the user's, beside those of the architecture's spec and of its `dataflow` of that name. With
    `even`, each memory has one tile. Limits of time are for each layer: `time_limit` in seconds, `deterministic_limit`
    in the solver's own units of work, which repeat. `engine` proves the optimum. Raises InputError if a limit of time
    is no positive number.
    """

    objective: Objective = Objective.ENERGY
    constraints: tuple[Constraint, ...] = ()
    dataflow: str | None = None
    factors: Factors = Factors.IMPERFECT
    even: bool = False
    limits: Limits = NONE
    time_limit: float | None = None
    deterministic_limit: float | None = None
    engine: Engine = Engine.AUTO

    def __post_init__(self) -> None:
        limits = {
            "time_limit": "a time limit is a positive number of seconds",
            "deterministic_limit": "a deterministic limit is a positive number",
        }
        given = {name: getattr(self, name) for name in limits if getattr(self, name) is not None}
        numbers = {name: _float(limit) for name, limit in given.items()}
        wrong = (name for name, number in numbers.items() if not 0 < number < math.inf)
        if problem := all_of(InputError(f"{limits[name]}, not {shown(given[name])}") for name in wrong):
            raise problem
        for name, number in numbers.items():
            object.__setattr__(self, name, number)


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # of an integer
        return math.inf


def read_constraints(found: Iterable[str | Constraint], place: str | None = None) -> tuple[Constraint, ...]:
    """Constraints out of texts, and those that are read already; InputError, at `place`, with all that cannot be."""
    constraints: list[Constraint] = []
    problems: list[MapperError] = []
    for each in [found] if isinstance(found, str | Constraint) else found:
        try:
            if not isinstance(each, str | Constraint):
                raise InputError(f"a constraint is a text such as 'K spatial PE.x = 16', not {shown(each)}")
            constraints += parse_constraint(each, place) if isinstance(each, str) else [each]
        except InputError as error:
            problems.append(error)
    if problem := all_of(problems):
        raise problem
    return tuple(constraints)


def mapspace(nest: LoopNest, arch: Architecture, options: Options, *, strict: bool = True) -> Mapspace:
    """What the search may choose for a layer, with the constraints of the spec, the dataflow and the user.

    On a machine whose networks share halos in more ways than the search has tables for, it is that of the machine
    without: every mapping of it is legal on both, and costs no more where halos are shared.
    Where not `strict`, the user's constraints on what the layer does not have are left out, as the spec's always are.
    InputError with everything that shows without searching: names that there are not, constraints that contradict each
    other, counts beyond the search; InfeasibleError if a memory is too small for what it must keep.
    """
    options.limits.check(arch)
    dataflow = () if options.dataflow is None else arch.dataflow(options.dataflow)
    constraints = (
        *resolve((*arch.constraints, *dataflow), nest, arch, strict=False),
        *resolve(options.constraints, nest, arch, strict=strict),
    )
    perfect = options.factors is Factors.PERFECT
    if problem := all_of(InputError(text) for text in contradictions(constraints, nest, arch, perfect=perfect)):
        raise problem
    space = Mapspace(nest, arch, options.factors, tuple(dict.fromkeys(constraints)), options.even)
    if space.untabled:
        space = replace(space, arch=_without_halos(arch))
    space.check()
    if options.engine in (Engine.LATTICE, Engine.BOTH):
        from mapper.search.engines import unanswered  # which imports numpy

        if problem := unanswered(space, options.objective, options.limits, options.deterministic_limit):
            raise problem
    return space


def _without_halos(arch: Architecture) -> Architecture:
    return replace(arch, levels=tuple(replace(v, halo=False) if isinstance(v, FanOut) else v for v in arch.levels))


def _with_halos(result: Result, arch: Architecture) -> Result:
    """A result of the machine without halos, on the one with them: costs are true, and nothing is proven."""
    from mapper.cost import evaluate
    from mapper.search.result import Point, Status, value

    points = [Point(p.mapping, evaluate(result.nest, arch, p.mapping)) for p in result.front]
    if result.objective is Objective.PARETO:
        points.sort(key=lambda p: (p.cost.energy, p.cost.cycles))
        front = [p for i, p in enumerate(points) if all(p.cost.cycles < q.cost.cycles for q in points[:i])]
    else:
        front = [min(points, key=lambda p: value(result.objective, p.cost))]
    return replace(
        result,
        mapping=front[0].mapping,
        cost=front[0].cost,
        status=Status.FEASIBLE,
        bound=Fraction(0),
        proven_by=None,
        tie_proven=False,
        front=tuple(front),
        mapspace=f"{result.mapspace}, searched as if no halos were shared",
    )


def _without_bound(on_progress: OnProgress, progress: Progress) -> None:
    on_progress(replace(progress, bound=Fraction(0)))


def solve_layer(
    nest: LoopNest,
    arch: Architecture,
    options: Options,
    *,
    strict: bool = True,
    on_progress: OnProgress | None = None,
) -> Result:
    """The best mapping of a layer with its proof; raises what `mapspace` and the solver do, and Interrupted."""
    try:
        from mapper.search.engines import solve

        space = mapspace(nest, arch, options, strict=strict)
        report = on_progress
        if on_progress is not None and space.arch != arch:
            report = partial(_without_bound, on_progress)
        result = solve(
            space,
            options.objective,
            options.limits,
            engine=options.engine,
            time_limit_s=options.time_limit,
            deterministic_limit=options.deterministic_limit,
            on_progress=report,
        )
    except KeyboardInterrupt:
        raise Interrupted("no mapping was found yet") from None
    if space.arch != arch:
        result = _with_halos(result, arch)
    if result.statistics.interrupted:
        raise Interrupted("this is the best mapping found by then", result)
    return result
