"""What a search is asked for, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mapper.cost import Cost
from mapper.ir import LoopNest
from mapper.mapping import Mapping
from mapper.mapping.idle import IdleAxis
from mapper.spelling import Choice


class Objective(Choice):
    """What is made least."""

    ENERGY = "energy"
    """Energy, and among the mappings of least energy the cycles."""
    LATENCY = "latency"
    """Cycles, and among the mappings of fewest cycles the energy."""
    EDP = "edp"
    """Energy x cycles."""
    PARETO = "pareto"
    """Both: every trade of energy against cycles that no mapping betters in both."""


class Status(Choice):
    """How good the mapping is known to be."""

    OPTIMAL = "optimal"
    """Proven: no mapping of the mapspace is better (for a front: and no point of it is missing)."""
    FEASIBLE = "feasible"
    """The best found when the limit came; `bound` says how much better another could be."""


class Engine(Choice):
    """Who proves that no mapping takes less energy; of a result, who did."""

    AUTO = "auto"
    """The solver; where the lattice covers the problem, from a mapping that it finds."""
    SOLVER = "solver"
    """CP-SAT alone."""
    LATTICE = "lattice"
    """The lattice search alone, where it covers the problem; it breaks no ties."""
    BOTH = "both"
    """Each of them alone, and their answers compared."""

    @property
    def in_words(self) -> str:
        """Who that is, in words."""
        titles = {"solver": "CP-SAT", "lattice": "the lattice search", "both": "CP-SAT and by the lattice search"}
        return titles.get(self, "CP-SAT or the lattice search")


@dataclass(frozen=True, slots=True)
class Point:
    """A mapping and its cost."""

    mapping: Mapping
    cost: Cost


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known so far: the best value of the objective (None: no mapping yet), a bound of it, seconds since the
    start. For a front, the value is the energy of the point that is being sought."""

    incumbent: Fraction | None
    bound: Fraction
    seconds: float

    @property
    def gap(self) -> float | None:
        """How far the incumbent may be above the optimum, relative to the bound; None while nothing is known."""
        return gap(self.incumbent, self.bound)


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the search went: wall and CPU seconds, calls of the solver and its branches and conflicts, deterministic
    time (the solver's own measure of work, which repeats), and the improvements on the way as (seconds, value).
    `interrupted` says that the caller's interrupt ended it."""

    wall_s: float
    cpu_s: float
    solves: int = 0
    branches: int = 0
    conflicts: int = 0
    deterministic: float = 0.0
    incumbents: tuple[tuple[float, Fraction], ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """The best mapping found of a layer, `nest`, on the architecture named `arch`; its cost, and what is proven of it.

    `bound` is a proven lower bound of the objective over the mapspace: in the architecture's energy unit for energy and
    for a front (of its first point), in cycles for latency, their product for EDP; it equals the objective where the
    status is optimal. `proven_by` names the engine that proved this: the solver, the lattice or both; None where it is
    not proven. `tie_proven` says whether the solver proved that no mapping of that energy takes fewer cycles (latency:
    of so many cycles takes less energy). `front` has the points of a front by ascending energy, of which `mapping` and
    `cost` are the first; for other objectives the one point. `mapspace` names what was searched.
    `warnings` name the axes that no point uses because of their lists of dims or of constraints.
    """

    nest: LoopNest
    arch: str
    objective: Objective
    mapping: Mapping
    cost: Cost
    status: Status
    bound: Fraction
    proven_by: Engine | None
    tie_proven: bool
    front: tuple[Point, ...]
    mapspace: str
    statistics: Statistics
    warnings: tuple[IdleAxis, ...] = ()

    @property
    def value(self) -> Fraction:
        """The objective of the mapping, in the unit of `bound`."""
        return value(self.objective, self.cost)

    @property
    def gap(self) -> float:
        """How far the objective may be above the optimum, relative to the bound; 0 where proven."""
        found = gap(self.value, self.bound)
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data: what `mapper map --format json` prints."""
        from mapper.documents.layer import result_data

        return result_data(self)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each point of a front, or the one row of another objective: what a DataFrame takes."""
        from mapper.documents.layer import result_rows

        return result_rows(self)

    def __repr__(self) -> str:
        from mapper.documents.show import result_text

        return f"<Result {result_text(self)}>"

    def _repr_html_(self) -> str:
        from mapper.documents.show import result_html

        return result_html(self)


def value(objective: Objective, cost: Cost) -> Fraction:
    """What an objective makes least; for a front, the energy of its first point."""
    match objective:
        case Objective.LATENCY:
            return Fraction(cost.cycles)
        case Objective.EDP:
            return cost.edp
        case _:
            return cost.energy


def gap(incumbent: Fraction | None, bound: Fraction) -> float | None:
    """Of an incumbent above a bound, relative to the bound; None without an incumbent."""
    if incumbent is None:
        return None
    if incumbent == bound:
        return 0.0
    return float((incumbent - bound) / bound) if bound else float("inf")
