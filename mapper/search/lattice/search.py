"""The search: cases in the order of their bounds, which are refined as long as they are the least.

The bounds of a case go through the stages of `Stage`. The case of the least bound is refined; once it has the last one,
its mappings up to a limit slightly above the bound are listed (`labels`), and if there are none the limit becomes its
bound. The search ends when no bound is below the energy of the best mapping: that is the proof.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mapper.search.decode import Tile
from mapper.search.lattice.bounds import Move
from mapper.search.lattice.cases import Cases
from mapper.search.lattice.labels import Labels, first_of_each, grow, started
from mapper.search.lattice.plans import Part, Plan
from mapper.search.lattice.points import LARGEST, Integers
from mapper.search.mapspace import Slot

GAP = 10
"""Mappings are listed up to a bound and, to begin with, its 2**GAP-th part."""


class Stage(IntEnum):
    """What the bound of a case is made of; for the first two, that of the best case of a plan."""

    FREE = 0  # inside the fan-out the cheapest chain of each tensor, outside the cheapest nest, capacities aside
    QUICK = 1  # outside with capacities
    MEETING = 2  # both at one boundary, where the outermost node inside stands
    NESTED = 3  # inside the cheapest nest, at multipliers for the capacities that suit another case of the plan
    TUNED = 4  # at multipliers of its own


@dataclass(frozen=True)
class Found:
    """A mapping: its energy but for the operations', its nodes, and the extents inside the fan-out.

    `factors` are those of the fan-out, as a position in the lattice, of `length` steps along the axes (0: of any).
    """

    energy: int
    tiles: tuple[Tile, ...]
    below: dict[str, int]
    factors: int
    length: int


@dataclass(eq=False)
class _Open:
    """What is known of a plan: its `quick` bounds by spread, and the spreads that have no better one, the best last.

    `multipliers` are those of the memories inside that were tuned last, None before there are any.
    """

    plan: Plan
    quick: Integers
    waiting: list[int]
    multipliers: Integers | None = None


class Search:
    """A mapping of least energy among all cases."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.best: Found | None = None
        self._queue: list[tuple[int, int, int, int]] = []  # (bound, -stage, number of the plan, spread)
        self._open: dict[int, _Open] = {}
        self._gaps: dict[tuple[int, int], int] = {}  # by case, how far above its bound mappings are listed

    @property
    def limit(self) -> int:
        """What a case must cost at most to matter."""
        return LARGEST - 1 if self.best is None else self.best.energy - 1

    def run(self, over: Callable[[], bool]) -> tuple[Found | None, int]:
        """The best mapping, None if there is none, or none yet when time is `over`; and a bound of its energy."""
        for number, plan in enumerate(self.cases.plans):
            self._push(int(self.cases.quick(plan, free=True).min()), Stage.FREE, number)
        while self._queue and self._queue[0][0] <= self.limit:
            if over():
                return self.best, self._queue[0][0]
            bound, stage, number, spread = heapq.heappop(self._queue)
            if -stage == Stage.FREE:
                self._start(number)
            elif -stage == Stage.QUICK:
                self._meet(number)
            elif -stage == Stage.MEETING:
                self._nest(number, spread, bound)
            elif -stage == Stage.NESTED and self.cases.plans[number].inner.nodes.shared:
                self._tune(number, spread, bound)
            else:
                self._list(number, spread, bound)
        return self.best, self.best.energy if self.best else 0

    def _push(self, bound: int, stage: Stage, plan: int, spread: int = -1) -> None:
        if bound <= self.limit:
            heapq.heappush(self._queue, (bound, -stage, plan, spread))

    def _start(self, number: int) -> None:
        """Bring a plan to the stage QUICK."""
        plan = self.cases.plans[number]
        quick = self.cases.quick(plan)
        order = np.argsort(-quick, kind="stable").tolist()
        self._open[number] = _Open(plan, quick, order)
        self._push(int(quick.min()), Stage.QUICK, number)

    def _meet(self, number: int) -> None:
        """Bring the next case of a plan to the stage MEETING."""
        state = self._open[number]
        spread = state.waiting.pop()
        bound = self.cases.meeting(state.plan, spread)
        self._push(max(bound, int(state.quick[spread])), Stage.MEETING, number, spread)
        if state.waiting:
            self._push(int(state.quick[state.waiting[-1]]), Stage.QUICK, number)

    def _nest(self, number: int, spread: int, bound: int) -> None:
        """Bring a case to the stage NESTED."""
        state = self._open[number]
        if state.multipliers is None:
            state.multipliers = self.cases.tuned(state.plan, spread)
        nested = self.cases.bounds(state.plan, spread, state.multipliers[:, None])
        self._push(max(bound, int(nested[0])), Stage.NESTED, number, spread)

    def _tune(self, number: int, spread: int, bound: int) -> None:
        """Bring a case to the stage TUNED."""
        state = self._open[number]
        state.multipliers = self.cases.tuned(state.plan, spread)
        nested = self.cases.bounds(state.plan, spread, state.multipliers[:, None])
        self._push(max(bound, int(nested[0])), Stage.TUNED, number, spread)

    def _list(self, number: int, spread: int, bound: int) -> None:
        """Look for mappings of a case that cost little more than its bound, or than the next case's."""
        least = abs(bound) >> GAP
        gap = self._gaps.get((number, spread), least)
        others = self._queue[0][0] if self._queue else LARGEST
        limit = min(bound + gap, max(bound + least, others), self.limit)
        found = listed(self.cases, self.cases.plans[number], spread, limit)
        if found is not None:
            self.best = found
        else:
            self._gaps[number, spread] = 4 * gap + 1
            self._push(limit + 1, Stage.TUNED, number, spread)


def listed(cases: Cases, plan: Plan, spread: int, limit: int) -> Found | None:
    """The best mapping of a case that costs at most `limit`, None if there is none."""
    here, inner, outer = cases.spreads[spread], plan.inner, plan.outer
    multipliers = cases.tuned(plan, spread)
    bounds = {placed: values[:, 0] for placed, values in cases.nested(plan, spread, multipliers[:, None]).items()}
    inner_moves, outer_moves = cases.moves(inner, spread), cases.outer_moves(outer)
    start = started(np.zeros(1, np.int64), cases.rest(plan)[[spread]], len(inner.nodes.capacities))
    nodes = inner.nodes.within(here.box, here.stands)
    inside = grow(nodes, inner_moves, multipliers, bounds, start, limit)
    ends = inside[nodes.everything]
    cheapest = first_of_each(ends.point, ends.cost)
    points = here.stands[ends.point[cheapest]] + here.offset
    spent = ends.cost[cheapest]
    if not len(points):
        return None
    multipliers, beyond = cases.outside_at(outer, int(points[(spent + cases.outside(outer)[points]).argmin()]))
    start = started(points, spent, len(outer.nodes.capacities))
    outside = grow(outer.nodes, outer_moves, multipliers, beyond, start, limit)
    full = outside[outer.nodes.everything]
    if not len(full) or int(full.cost.min()) > limit:
        return None
    last = int(full.cost.argmin())
    above, first = _traced(outer, outer_moves, outside, last)
    end = int(cheapest[first])
    within, _ = _traced(inner, inner_moves, inside, end)
    return Found(
        energy=int(full.cost[last]),
        tiles=(
            *(Tile(slot, cases.lattice.at(place), reach) for slot, place, reach in above),
            *(Tile(slot, cases.lattice.at(int(here.stands[place])), reach) for slot, place, reach in within),
        ),
        below=cases.lattice.at(int(here.stands[ends.point[end]])),
        factors=here.offset,
        length=here.sharing.length,
    )


def _traced(
    part: Part, moves: tuple[Move, ...], tables: dict[int, Labels], label: int
) -> tuple[list[tuple[Slot, int, dict[str, int]]], int]:
    """The nodes of a label that has all of a part, with their place and reach, and the label that it started from."""
    placed, found = part.nodes.everything, []
    while placed:
        table = tables[placed]
        move = moves[table.move[label]]
        for i, slot in enumerate(part.slots):
            if move.nodes >> i & 1:
                rolls = move.along in slot.rolls_along
                found.append((slot, int(table.place[label]), {move.along: move.reach} if rolls else {}))
        label, placed = int(table.origin[label]), placed & ~move.nodes
    return found, label
