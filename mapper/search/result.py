"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from mapper.cost import Cost
from mapper.mapping import Mapping


class Status(StrEnum):
    """How good the mapping is known to be."""

    OPTIMAL = "optimal"
    """Proven: no mapping of the mapspace costs less."""
    FEASIBLE = "feasible"
    """The best found when the time limit came; `bound` says how much better another could be."""


@dataclass(frozen=True, slots=True)
class Result:
    """The best mapping found, its cost, and what is proven about it.

    `bound` is a proven lower bound of the objective over the mapspace, in the objective's unit (energy: the
    architecture's energy unit); it equals the objective where the status is optimal. `fewest_cycles` says whether it is
    proven that no mapping of that energy takes fewer cycles. `solve_s` is wall time, `solve_cpu_s` CPU time, both in
    seconds.
    """

    mapping: Mapping
    cost: Cost
    status: Status
    bound: Fraction
    fewest_cycles: bool
    mapspace: str
    solve_s: float
    solve_cpu_s: float

    @property
    def gap(self) -> float:
        """How far the objective may be above the optimum, relative to the bound; 0 where proven."""
        if self.cost.energy == self.bound:
            return 0.0
        return float((self.cost.energy - self.bound) / self.bound) if self.bound else float("inf")
