"""Program: a mapspace with its limits as a constraint model, which can be minimised again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

from ortools.sat.python import cp_model

from mapper.cost import evaluate
from mapper.mapping import Mapping, violations
from mapper.search.constrained import demand, demand_even
from mapper.search.decode import Tile, assemble
from mapper.search.limits import NONE, Limits
from mapper.search.mapspace import Mapspace
from mapper.search.model import Model
from mapper.search.quantity import Quantity, cycles, energy, total
from mapper.search.result import Point, Statistics
from mapper.search.tables import LARGEST, Linear
from mapper.search.traffic import Traffic

Hint = dict[str, int]
"""Values of decisions by name, to start from: also those of another program."""

Solution = TypeVar("Solution")

OnValue = Callable[[int | None, int], None]
"""Called with the value of a new mapping (None: there is none) and a bound, whenever one of them gets better."""


@dataclass
class Clock:
    """The time that is left of a search, and what it has done so far."""

    seconds: float | None = None
    deterministic: float | None = None
    started: float = field(default_factory=time.perf_counter)
    started_cpu: float = field(default_factory=time.process_time)
    solves: int = 0
    branches: int = 0
    conflicts: int = 0
    spent: float = 0.0
    interrupted: bool = False
    incumbents: list[tuple[float, Fraction]] = field(default_factory=list)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        late = self.seconds is not None and self.elapsed_s >= self.seconds
        worked = self.deterministic is not None and self.spent >= self.deterministic
        return self.interrupted or late or worked

    @contextmanager
    def share(self, part: float) -> Iterator[None]:
        """Only this part of the wall time that is left may be used inside.

        Not of the deterministic limit: with more of it, the same steps go further.
        """
        seconds = self.seconds
        if seconds is not None:
            now = self.elapsed_s
            self.seconds = now + part * max(0.0, seconds - now)
        try:
            yield
        finally:
            self.seconds = seconds

    def interruptible(self, work: Callable[[], Solution], stop: Callable[[], object] = lambda: None) -> Solution:
        """What work returns that runs in a thread, so that an interrupt reaches this one: it ends the work, by `stop`
        or because the time is then over, and what is found by then counts."""
        with ThreadPoolExecutor(1) as thread:
            solved = thread.submit(work)
            try:
                return solved.result()
            except KeyboardInterrupt:
                self.interrupted = True
                stop()
                return solved.result()

    def statistics(self) -> Statistics:
        """What it has done, for the result."""
        return Statistics(
            wall_s=self.elapsed_s,
            cpu_s=time.process_time() - self.started_cpu,
            solves=self.solves,
            branches=self.branches,
            conflicts=self.conflicts,
            deterministic=self.spent,
            incumbents=tuple(self.incumbents),
            interrupted=self.interrupted,
        )


@dataclass(frozen=True, slots=True)
class Solved:
    """What one minimisation found: the best point, with the decisions that made it; a proven lower bound of the
    expression; whether the point is proven to be best, or (without a point) that there is none."""

    point: Point | None
    hint: Hint
    bound: int
    proven: bool


class Program:
    """The constraint model of a mapspace, in which mappings keep `limits` and take at most `most_cycles`.

    Cycles become part of the model when they are first asked for; `most_cycles` keeps their tables small.
    Raises InputError where energies, leakage or bandwidths have too many digits for the solver's integers.
    """

    def __init__(self, space: Mapspace, limits: Limits = NONE, most_cycles: int = 2**53) -> None:
        self.space, self.limits = space, limits
        self.built = Model(space)
        self.traffic = Traffic(self.built)
        for constraint in space.constraints:
            demand(self.built, constraint)
        if space.even:
            demand_even(self.built)
        self.traffic.fit(dict(limits.max_words))
        cap = limits.cycles(space.nest, space.arch)
        cap = None if cap is None or cap >= most_cycles else cap
        self.most_cycles = most_cycles if cap is None else min(most_cycles, cap)
        self.possible = self.most_cycles >= 1
        if cap is not None and self.possible:
            _ = self.cycles
        words = limits.home_words(space.arch)
        if words is not None:
            self.built.model.add(self.home_words <= min(LARGEST, words))
        energy = self.energy  # whatever is minimised, its energy is checked
        if limits.max_energy is not None:
            self.built.model.add(energy <= self.energy_units(limits.max_energy))

    @cached_property
    def cycles(self) -> cp_model.IntVar:
        """A variable that is at least the cycles of the mapping, and no more than it is asked to be."""
        return cycles(self.traffic, self.most_cycles)

    @cached_property
    def home_words(self) -> Linear:
        """Words read from and written to the outermost memory."""
        home = self.space.arch.home.name
        moved = [found for (name, _), both in self.traffic.words.items() if name == home for found in both]
        return total(moved)

    @cached_property
    def _quantity(self) -> tuple[Quantity, Linear, Fraction, bool]:
        arch = self.space.arch
        quantity = energy(self.traffic, self.cycles if arch.leak_energy else None)
        expression, unit, exact = quantity.integer(self.built.tables)
        return quantity, expression, unit, exact

    @property
    def energy(self) -> Linear:
        """The energy in integers: `unit` times it and the constant are the energy, or less where not `exact`."""
        return self._quantity[1]

    @property
    def exact(self) -> bool:
        """Whether the integers of the energy lose nothing."""
        return self._quantity[3]

    def energy_units(self, amount: Fraction) -> int:
        """The largest value of the integers whose energy is at most that."""
        quantity, _, unit, _ = self._quantity
        return min(LARGEST, int((amount - quantity.constant) // unit))

    def energy_of(self, units: int) -> Fraction:
        """The energy that so many units are, at least."""
        quantity, _, unit, _ = self._quantity
        return max(0, units) * unit + quantity.constant

    def minimise(
        self,
        expression: Linear,
        clock: Clock,
        *,
        below: list[tuple[Linear, int]] | None = None,
        above: list[tuple[Linear, int]] | None = None,
        hint: Hint | None = None,
        on_value: OnValue | None = None,
    ) -> Solved:
        """A mapping of the least value of an expression, among those that keep (expression, bound) pairs.

        `on_value` hears of every improvement.
        """
        if not self.possible:
            return Solved(None, {}, 0, True)
        if clock.over:
            return Solved(None, {}, self.built.tables.bound(expression)[0], False)
        model = self.built.model.clone()
        for linear, most in below or []:
            model.add(linear <= most)
        for linear, least in above or []:
            model.add(linear >= least)
        for name, value in (hint or {}).items():
            if name in self.built.decisions:
                model.add_hint(self.built.decisions[name], value)
        model.minimize(expression)
        solver = new_solver(clock)
        status = _run(solver, model, clock, on_value)
        clock.solves += 1
        clock.branches += solver.num_branches
        clock.conflicts += solver.num_conflicts
        clock.spent += solver.deterministic_time
        if status == cp_model.INFEASIBLE:
            return Solved(None, {}, 0, True)
        if status == cp_model.UNKNOWN:
            return Solved(None, {}, round(solver.best_objective_bound), False)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise AssertionError(f"{solver.status_name(status)}: {model.validate()}: {self.space.nest}")
        found = {name: solver.value(var) for name, var in self.built.decisions.items()}
        point, proven = self._checked(solver), status == cp_model.OPTIMAL
        if proven and expression is self.__dict__.get("cycles") and round(solver.objective_value) != point.cost.cycles:
            raise AssertionError(f"{solver.objective_value} cycles, not {point.cost.cycles}: {self.space.nest}")
        return Solved(point, found, round(solver.best_objective_bound), proven)

    def _checked(self, solver: cp_model.CpSolver) -> Point:
        """The solver's mapping and its cost; an internal error if it is illegal or not what the solver promised."""
        nest, arch, mapping = self.space.nest, self.space.arch, self._mapping(solver)
        broken = violations(nest, arch, mapping) + self.space.broken(mapping)
        cost = evaluate(nest, arch, mapping)
        promised = self._quantity[0].value(solver)
        claimed = solver.value(self.cycles) if "cycles" in self.__dict__ else cost.cycles
        promised -= (claimed - cost.cycles) * arch.leak_energy  # the variable may be more than the mapping needs
        if broken or cost.energy != promised or cost.cycles > claimed:
            raise AssertionError(
                f"solver and cost model disagree on {nest} on {arch.name}: energy {promised} against {cost.energy}, "
                f"cycles {claimed} against {cost.cycles}; {broken}\n{mapping}"
            )
        if self.exact:
            broken = list(self.limits.broken(nest, arch, mapping, cost))
            if broken:
                raise AssertionError(f"a limit is not kept on {nest} on {arch.name}: {broken}\n{mapping}")
        return Point(mapping, cost)

    def _mapping(self, solver: cp_model.CpSolver) -> Mapping:
        tiles = []
        for nodes in self.built.nodes.values():
            for node in nodes:
                if node.keep is True or solver.boolean_value(node.keep):
                    extent = {d: solver.value(x) for d, x in node.extent.items()}
                    reach = {d: solver.value(x) for d, x in node.reach.items()}
                    tiles.append(Tile(node.slot, extent, {d: n for d, n in reach.items() if n != extent[d]}))
        spatial = {key: solver.value(s) for key, s in self.built.spatial.items()}
        below = [{d: solver.value(x) for d, x in extents.items()} for extents in self.built.below]
        return assemble(self.space, tiles, spatial, below)


def new_solver(clock: Clock) -> cp_model.CpSolver:
    """A solver with the parameters that suit these models, and what time is left."""
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.linearization_level = 0
    parameters.inprocessing_probing_dtime = 0.0  # probing and vivification cost more than they spare here
    parameters.inprocessing_minimization_dtime = 0.0
    parameters.inprocessing_dtime_ratio = 0.0
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.max_presolve_iterations = 1
    parameters.restart_period = 20
    parameters.catch_sigint_signal = False  # an interrupt is no time limit
    if clock.seconds is not None:
        parameters.max_time_in_seconds = max(0.001, clock.seconds - clock.elapsed_s)
    if clock.deterministic is not None:
        parameters.max_deterministic_time = clock.deterministic - clock.spent
    return solver


class _OnSolution(cp_model.CpSolverSolutionCallback):
    def __init__(self, on_value: OnValue) -> None:
        super().__init__()
        self.on_value = on_value

    def on_solution_callback(self) -> None:
        self.on_value(round(self.objective_value), round(self.best_objective_bound))


def _run(
    solver: cp_model.CpSolver, model: cp_model.CpModel, clock: Clock, on_value: OnValue | None
) -> cp_model.CpSolverStatus:
    """Solve, in peace when there is an interrupt."""
    callback = None
    if on_value:
        callback = _OnSolution(on_value)
        solver.best_bound_callback = lambda bound: on_value(None, round(bound))
    return clock.interruptible(lambda: solver.solve(model, callback), solver.stop_search)
