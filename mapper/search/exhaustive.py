"""Exhaustive search: every mapping of a small mapspace through the cost model, to check the solver against.

It enumerates loops and nodes, not the solver's variables, and shares only the mapspace's rules with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, combinations, permutations, product

from mapper.cost import evaluate
from mapper.errors import InfeasibleError, InputError
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor, tidy, violations
from mapper.search.limits import NONE, Limits
from mapper.search.mapspace import Mapspace, Slot
from mapper.search.result import Objective, Point, Result, Statistics, Status, value

Skeleton = list[Slot | tuple[str, str] | None]
"""Nodes, axes (fan-out, axis) and places for temporal loops (None), outermost first."""


def exhaustive(
    space: Mapspace, objective: Objective = Objective.ENERGY, limits: Limits = NONE, *, limit: int = 1_000_000
) -> Result:
    """The best legal mapping by trying all; InputError if there are more than about `limit` candidates.

    Ties go to fewer cycles (for latency: less energy). Raises InfeasibleError if no mapping is legal.
    """
    started, cpu = time.perf_counter(), time.process_time()
    nest, arch = space.nest, space.arch
    if (size := candidates(space)) > limit:
        raise InputError(f"the mapspace has some {size} candidates, more than the limit of {limit}")
    front: list[Point] = []
    best: Point | None = None
    for mapping in mappings(space):
        if violations(nest, arch, mapping) or space.broken(mapping):
            continue
        point = Point(mapping, evaluate(nest, arch, mapping))
        if any(limits.broken(nest, arch, mapping, point.cost)):
            continue
        if best is None or _rank(objective, point) < _rank(objective, best):
            best = point
        if not any(_no_worse(other, point) for other in front):
            front = [other for other in front if not _no_worse(point, other)] + [point]
    if best is None:
        space.check()
        raise InfeasibleError("no mapping is legal")
    front.sort(key=lambda point: point.cost.energy)
    return Result(
        nest=space.nest,
        arch=space.arch.name,
        objective=objective,
        mapping=best.mapping,
        cost=best.cost,
        status=Status.OPTIMAL,
        bound=value(objective, best.cost),
        proven_by=None,
        tie_proven=True,
        front=tuple(front) if objective is Objective.PARETO else (best,),
        mapspace=str(space),
        statistics=Statistics(time.perf_counter() - started, time.process_time() - cpu),
    )


def _rank(objective: Objective, point: Point) -> tuple[Fraction, Fraction]:
    tie = point.cost.energy if objective is Objective.LATENCY else Fraction(point.cost.cycles)
    return value(objective, point.cost), tie


def _no_worse(a: Point, b: Point) -> bool:
    return a.cost.energy <= b.cost.energy and a.cost.cycles <= b.cost.cycles


def candidates(space: Mapspace) -> int:
    """An estimate from above of how many mappings `mappings` yields, rolling choices aside."""
    total = 0
    for skeleton in _skeletons(space):
        places = sum(not isinstance(place, Slot) for place in skeleton)
        total += math.prod(_ways(space, d, n, places) for d, n in space.dims.items())
    return total


def _ways(space: Mapspace, d: str, outer: int, places: int) -> int:
    """Ways to cut an extent of dim d into single elements at that many places."""
    if places == 1:
        return int(space.nests(d, 1, outer))
    return sum(_ways(space, d, x, places - 1) for x in space.extents[d] if space.nests(d, x, outer))


def mappings(space: Mapspace) -> Iterator[Mapping]:
    """Every mapping of the mapspace, legal or not in what sizes allow."""
    for skeleton in _skeletons(space):
        places = [i for i, place in enumerate(skeleton) if not isinstance(place, Slot)]
        cuts = [list(_cuts(space, d, n, len(places))) for d, n in space.dims.items()]
        for choice in product(*cuts):
            steps = {
                place: dict(zip(space.dims, (c[k] for c in choice), strict=True)) for k, place in enumerate(places)
            }
            yield from _nests(space, skeleton, steps)


def _skeletons(space: Mapspace) -> Iterator[Skeleton]:
    """Every set of kept nodes in every order, with the places for loops between them."""
    slots = [slot for slots in space.slots.values() for slot in slots]
    optional = [s for s in slots if not s.required]
    for left_out in chain.from_iterable(combinations(optional, k) for k in range(len(optional) + 1)):
        kept = [s for s in slots if s not in left_out]
        orders = []
        for segment in range(space.segments):
            here = [s for s in kept if s.segment == segment]
            orders.append([order for order in permutations(here) if _follows_hierarchy(space, order)])
        for chosen in product(*orders):
            skeleton: Skeleton = []
            for segment, order in enumerate(chosen):
                if segment:
                    fanout = space.arch.fanouts[segment - 1]
                    skeleton += [(fanout.name, axis.name) for axis in fanout.axes]
                for slot in order:
                    skeleton += [None, slot]
                skeleton.append(None)
            yield skeleton


def _follows_hierarchy(space: Mapspace, order: tuple[Slot, ...]) -> bool:
    depth = space.arch.depth
    return all(a.tensor != b.tensor or depth[a.memory] < depth[b.memory] for a, b in combinations(order, 2))


def _cuts(space: Mapspace, d: str, outer: int, places: int) -> Iterator[tuple[int, ...]]:
    """The steps of those ways."""
    if places == 1:
        if space.nests(d, 1, outer):
            yield (1,)
        return
    for x in space.extents[d]:
        if space.nests(d, x, outer):
            for rest in _cuts(space, d, x, places - 1):
                yield (x, *rest)


def _nests(space: Mapspace, skeleton: Skeleton, steps: dict[int, dict[str, int]]) -> Iterator[Mapping]:
    """The mappings of a skeleton with these steps: one, or one for each way in which nodes can roll."""
    rolling = {i for i, place in enumerate(skeleton) if isinstance(place, Slot) and place.rolls_along}
    loops: dict[int, list[str]] = {}
    tile = dict(space.dims)
    for i, inner in steps.items():
        loops[i] = [d for d in tile if inner[d] < tile[d]]
        tile = inner
    # which loop stands innermost matters to rolling nodes only
    lasts = {i: here if rolling and skeleton[i] is None and len(here) > 1 else [""] for i, here in loops.items()}
    for innermost in product(*lasts.values()):
        last = dict(zip(lasts, innermost, strict=True))
        for rolled in chain.from_iterable(combinations(sorted(rolling), k) for k in range(len(rolling) + 1)):
            items: list[Item] = [Keep(space.arch.home.name, t.name) for t in space.nest.tensors]
            for i, place in enumerate(skeleton):
                if isinstance(place, Slot):
                    items.append(Keep(place.memory, place.tensor, rolling=i in rolled))
                    continue
                for d in sorted(loops[i], key=lambda d: d == last[i]):
                    step = steps[i][d]
                    items.append(Loop(d, step) if place is None else ParFor(d, step, *place))
            yield tidy(items, dict(space.nest.dims))
