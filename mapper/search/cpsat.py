"""The exact search: a strategy for each objective, on CP-SAT's minima of energy and of cycles.

Both measures are linear in the constraint model, so the points of least energy among those of at most c cycles are
minima, and so is every point of the front of energy against cycles; the least energy x cycles is one of its points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from mapper.cost import evaluate
from mapper.errors import InfeasibleError, InputError
from mapper.mapping import Mapping, violations
from mapper.mapping.idle import IdleAxis, idle_axes
from mapper.search.decode import smallest
from mapper.search.extents import Factors
from mapper.search.limits import NONE, Limits
from mapper.search.mapspace import MOST, Mapspace
from mapper.search.program import Clock, Hint, Program, Solved
from mapper.search.reasons import why
from mapper.search.reports import OnProgress, Reports
from mapper.search.result import Engine, Objective, Point, Result, Status, value
from mapper.search.tables import Linear

Starter = Callable[[Mapspace, Clock], Mapping | None]
"""Finds a mapping of little energy to start from, within the clock; None where it has none. Nothing is proven by it."""

SMALLER = 0.5
"""The part of the time that a smaller mapspace may take: the bound of the larger one needs some too."""
ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Found:
    """A mapping and the decisions that make it."""

    point: Point
    hint: Hint


@dataclass(frozen=True, slots=True)
class Best:
    """What an objective led to (None: nothing); a bound of the objective; whether that is proven to be the best, or
    that there is nothing; whether ties are; and the front."""

    found: Found | None
    bound: Fraction
    proven: bool
    tie_proven: bool = False
    front: tuple[Point, ...] = ()


def solve(
    space: Mapspace,
    objective: Objective = Objective.ENERGY,
    limits: Limits = NONE,
    clock: Clock | None = None,
    on_progress: OnProgress | None = None,
    starter: Starter | None = None,
) -> Result:
    """The best mapping of a mapspace within the limits, with CP-SAT's proof.

    When the time of the `clock` is over, or on an interrupt, the best mapping found by then is returned with its bound.
    Raises InfeasibleError if no mapping is legal, InputError if numbers have too many digits for the solver's integers.
    """
    clock = clock or Clock()
    reports = Reports(clock, on_progress, floor(space, objective))
    known: list[Found] = []
    try:
        if space.dividing != space.dims.keys():  # a smaller mapspace gives incumbents
            smaller = replace(space, factors=Factors.PERFECT)
            with clock.share(SMALLER):
                Search(smaller, objective, limits, clock, reports, known, starter).prepare()
        best = Search(space, objective, limits, clock, reports, known, starter).run()
    except KeyboardInterrupt:  # outside the solver, where it ends the solve in peace
        clock.interrupted = True
        nearest = min(known, key=lambda f: value(objective, f.point.cost), default=None)
        best = Best(nearest, floor(space, objective), False)
    if best.found is None and clock.interrupted:
        raise KeyboardInterrupt("no mapping was found yet")
    if best.found is None:
        raise nothing(space, limits, proven=best.proven)
    point = best.found.point
    reached = value(objective, point.cost)
    if best.bound > reached or (best.proven and best.bound != reached):
        raise AssertionError(f"bound {best.bound} against {reached}: {space.nest} on {space.arch.name}")
    return Result(
        nest=space.nest,
        arch=space.arch.name,
        objective=objective,
        mapping=point.mapping,
        cost=point.cost,
        status=Status.OPTIMAL if best.proven else Status.FEASIBLE,
        bound=best.bound,
        proven_by=Engine.SOLVER if best.proven else None,
        tie_proven=best.tie_proven,
        front=best.front or (point,),
        mapspace=str(space),
        statistics=clock.statistics(),
        warnings=_warnings(space, best.front or (point,)),
    )


def _warnings(space: Mapspace, points: Sequence[Point]) -> tuple[IdleAxis, ...]:
    """The axes that no point uses, because dims are left out."""
    mappings = [point.mapping for point in points]
    slow = any(point.cost.bottleneck == space.arch.compute.name for point in points)
    return idle_axes(space.nest, space.arch, space.constraints, mappings, compute_bound=slow)


def floor(space: Mapspace, objective: Objective) -> Fraction:
    """What every mapping takes at least: its operations, on all instances at once."""
    energy, cycles = space.nest.operations * space.arch.compute.energy, Fraction(space.fewest_cycles)
    return {Objective.LATENCY: cycles, Objective.EDP: energy * cycles}.get(objective, energy)


def nothing(space: Mapspace, limits: Limits, *, proven: bool) -> InfeasibleError:
    """The error that says why there is no mapping, or that none was found."""
    if proven:
        return why(space, limits)
    return InfeasibleError("no legal mapping was found before the limit; there may be one", hint="allow more time")


class Search:
    """One search: its problem, its clock, and the mappings that are `known`, to which it adds.

    `whole` says that its mapspace is the one asked for, so that its bounds may be reported.
    """

    def __init__(
        self,
        space: Mapspace,
        objective: Objective,
        limits: Limits,
        clock: Clock,
        reports: Reports,
        known: list[Found],
        starter: Starter | None,
    ) -> None:
        self.space, self.objective, self.limits, self.clock = space, objective, limits, clock
        self.reports, self.known, self.starter, self.whole = reports, known, starter, True
        self.nest, self.arch = space.nest, space.arch
        mapping = smallest(space)
        if not known and not violations(self.nest, self.arch, mapping) and not space.broken(mapping):
            cost = evaluate(self.nest, self.arch, mapping)
            if not any(limits.broken(self.nest, self.arch, mapping, cost)):
                self._learn(Point(mapping, cost), {})

    @cached_property
    def program(self) -> Program:
        """The constraint model, built when it is first asked for."""
        return Program(self.space, self.limits, self._most_cycles())

    def _most_cycles(self) -> int:
        """No mapping worth having takes more: a known one is as good, or it leaks as much as that costs in all."""
        if self.known and self.objective is Objective.LATENCY:
            return min(found.point.cost.cycles for found in self.known)
        if self.known and self.arch.leak_energy:
            return int(min(found.point.cost.energy for found in self.known) / self.arch.leak_energy)
        return MOST

    def incumbent(self, cycles: int | None = None) -> Found | None:
        """Of the known mappings of at most so many cycles, the one of least energy, then of fewest cycles."""
        within = (found for found in self.known if cycles is None or found.point.cost.cycles <= cycles)
        return min(within, key=lambda found: (found.point.cost.energy, found.point.cost.cycles), default=None)

    def prepare(self) -> None:
        """Learn mappings that help to search a larger mapspace, of which bounds say nothing."""
        self.whole = False
        if self.objective is not Objective.ENERGY or not self._start():
            self.run()
        if self.objective is Objective.PARETO:  # the larger front is sought from its first point
            self.reports.start(floor(self.space, self.objective))

    def run(self) -> Best:
        """The best by the objective."""
        if (self.objective is not Objective.ENERGY or self.arch.leak_energy) and not self.program.exact:
            raise InputError(
                f"the energies have too many digits for the objective {self.objective} of this layer",
                place=self.arch.name,
                hint="round them, or leave leakage out" if self.arch.leak_energy else "round them",
            )
        match self.objective:
            case Objective.ENERGY:
                return self.least_energy()
            case Objective.LATENCY:
                return self.least_cycles()
            case Objective.EDP:
                return self.least_product()
            case Objective.PARETO:
                return self.front()

    # -- minima ------------------------------------------------------------------------------------------------------

    def least_energy(self, cycles: int | None = None, above: Fraction = ZERO) -> Best:
        """The least energy among mappings of at most so many cycles, and the fewest cycles among those.

        It is known that none of them takes less energy than `above`.
        """
        if cycles is None:
            self._start()
        program, incumbent = self.program, self.incumbent(cycles)
        below: list[tuple[Linear, int]] = [] if cycles is None else [(program.cycles, cycles)]
        if incumbent:
            below.append((program.energy, self._less(incumbent)))
        solved = program.minimise(
            program.energy,
            self.clock,
            below=below,
            above=[(program.energy, program.energy_units(above))] if above else [],
            hint=incumbent.hint if incumbent else {},
            on_value=self._on_energy,
        )
        found = self._found(solved) or incumbent
        bound = max(program.energy_of(solved.bound), above)
        if found is None:
            return Best(None, bound, solved.proven)
        energy = found.point.cost.energy
        if solved.point and (bound > energy or (solved.proven and program.exact and bound != energy)):
            raise AssertionError(f"bound {bound} against energy {energy}: {self.nest} on {self.arch.name}")
        if solved.proven and program.exact:
            return self._fewest_cycles(found)
        return Best(found, min(bound, energy), bound == energy)

    def _fewest_cycles(self, found: Found) -> Best:
        """Of the mappings of the least energy, which is `found`'s, one of the fewest cycles."""
        program, cost = self.program, found.point.cost
        same = program.energy, program.energy_units(cost.energy)
        fewer = cost.cycles - 1
        if self.objective is Objective.EDP:  # only those that lessen the product matter
            fewer = min(fewer, self._cycles_below(self._least_product_known().point.cost.edp, cost.energy))
        found, tied = self._tie(found, (program.cycles, fewer), same)
        return Best(found, cost.energy, True, tied)

    def _start(self) -> bool:
        """Learn a mapping of little energy from whoever knows one; false if nobody does."""
        mapping = self.starter(self.space, self.clock) if self.starter and self.limits == NONE else None
        if mapping is None:
            return False
        if broken := violations(self.nest, self.arch, mapping) + self.space.broken(mapping):
            raise AssertionError(f"no start on {self.nest} on {self.arch.name}: {broken}\n{mapping}")
        self._learn(Point(mapping, evaluate(self.nest, self.arch, mapping)), {})
        return True

    def least_cycles(self) -> Best:
        """The fewest cycles, and the least energy among the mappings of so many."""
        program = self.program
        incumbent = min(self.known, key=lambda f: (f.point.cost.cycles, f.point.cost.energy), default=None)
        solved = program.minimise(
            program.cycles,
            self.clock,
            below=[(program.cycles, incumbent.point.cost.cycles - 1)] if incumbent else [],
            hint=incumbent.hint if incumbent else {},
            on_value=self._on_cycles,
        )
        found = self._found(solved) or incumbent
        bound = max(solved.bound, self.space.fewest_cycles)
        if found is None:
            return Best(None, Fraction(bound), solved.proven)
        cycles = found.point.cost.cycles
        if solved.proven:
            less = program.energy, program.energy_units(found.point.cost.energy) - 1
            found, tied = self._tie(found, less, (program.cycles, cycles))
            return Best(found, Fraction(cycles), True, tied)
        return Best(found, Fraction(min(bound, cycles)), False)

    def _less(self, incumbent: Found) -> int:
        """The largest energy in the solver's integers that is less than the incumbent's."""
        units = self.program.energy_units(incumbent.point.cost.energy)
        return units - 1 if self.program.exact else units

    def _found(self, solved: Solved) -> Found | None:
        if solved.point is None:
            return None
        return self._learn(solved.point, solved.hint)

    def _learn(self, point: Point, hint: Hint) -> Found:
        self.known.append(Found(point, hint))
        self._report(value(self.objective, point.cost), ZERO)
        return self.known[-1]

    def _tie(self, found: Found, second: tuple[Linear, int], first: tuple[Linear, int]) -> tuple[Found, bool]:
        """The mapping that is best in a `second` measure of those within both limits, and whether that is proven."""
        solved = self.program.minimise(second[0], self.clock, below=[first, second], hint=found.hint)
        return self._found(solved) or found, solved.proven

    def front(self) -> Best:
        """Every point of the front of energy against cycles, by ascending energy."""
        first = last = self.least_energy()
        points: list[Point] = []
        while last.found is not None:
            points.append(last.found.point)
            if not last.tie_proven:
                break
            cost = last.found.point.cost
            self.reports.start(cost.energy if self.whole else floor(self.space, self.objective))
            last = self.least_energy(cost.cycles - 1, cost.energy)
        complete = last.found is None and last.proven
        return Best(first.found, first.bound, complete, complete, tuple(points))

    def least_product(self) -> Best:
        """The least energy x cycles.

        Mappings of at most c cycles take at least some energy E. One that is better than the incumbent's product B
        has fewer than B / E cycles. So c falls, and E rises, until no mapping is left.
        """
        first = self.least_energy()
        if first.found is None:
            return first
        if not first.proven:
            return Best(self._least_product_known(), first.bound * self.space.fewest_cycles, False)
        fastest = self.least_cycles()
        energy, cycles = first.bound, first.found.point.cost.cycles
        while True:
            best = self._least_product_known()
            product = best.point.cost.edp
            self._report(product, energy * fastest.bound)
            cycles = min(cycles - 1, self._cycles_below(product, energy))
            if cycles < fastest.bound:
                return Best(best, product, True, True)
            step = self.least_energy(cycles, energy)
            if step.found is None and step.proven:
                return Best(best, product, True, True)
            if not step.proven or step.found is None:
                best = self._least_product_known()
                return Best(best, min(best.point.cost.edp, max(step.bound, energy) * fastest.bound), False)
            energy, cycles = step.bound, step.found.point.cost.cycles

    def _cycles_below(self, product: Fraction, energy: Fraction) -> int:
        """The most cycles whose product with an energy is less than that."""
        return -(-product // energy) - 1 if energy else MOST

    def _least_product_known(self) -> Found:
        return min(self.known, key=lambda f: (f.point.cost.edp, f.point.cost.energy))

    # -- progress ----------------------------------------------------------------------------------------------------

    def _on_energy(self, units: int | None, bound: int) -> None:
        self._report_energy(None if units is None else self.program.energy_of(units), self.program.energy_of(bound))

    def _report_energy(self, energy: Fraction | None, bound: Fraction) -> None:
        if self.objective in (Objective.ENERGY, Objective.PARETO):
            self._report(energy, bound)

    def _on_cycles(self, cycles: int | None, bound: int) -> None:
        if self.objective is Objective.LATENCY:
            self._report(None if cycles is None else Fraction(cycles), Fraction(bound))

    def _report(self, incumbent: Fraction | None, bound: Fraction) -> None:
        self.reports.add(incumbent, bound if self.whole else ZERO)
