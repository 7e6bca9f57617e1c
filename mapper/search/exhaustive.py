"""Exhaustive search: every mapping of a small mapspace through the cost model, to check the solver against.

It enumerates loops and nodes, not the solver's variables, and shares only the mapspace's rules with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, combinations, permutations, product

from mapper.arch import Architecture
from mapper.cost import evaluate
from mapper.errors import InfeasibleError, InputError
from mapper.ir import LoopNest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor, tidy, violations
from mapper.search.mapspace import Mapspace, Slot, divisors
from mapper.search.result import Result, Status

Skeleton = list[Slot | tuple[str, str] | None]
"""Nodes, axes (fan-out, axis) and places for temporal loops (None), outermost first."""


def exhaustive(nest: LoopNest, arch: Architecture, *, limit: int = 1_000_000) -> Result:
    """The best legal mapping by trying all; InputError if there are more than about `limit` candidates.

    Best means least energy, then fewest cycles. Raises InfeasibleError if no mapping is legal.
    """
    import time

    started, cpu = time.perf_counter(), time.process_time()
    space = Mapspace(nest, arch)
    if (size := candidates(space)) > limit:
        raise InputError(f"the mapspace has some {size} candidates, more than the limit of {limit}")
    legal = (m for m in mappings(space) if not violations(nest, arch, m))
    costs = ((evaluate(nest, arch, m), m) for m in legal)
    best = min(costs, key=lambda found: (found[0].energy, found[0].cycles), default=None)
    if best is None:
        space.check()
        raise InfeasibleError("no mapping is legal")
    cost, mapping = best
    return Result(
        mapping=mapping,
        cost=cost,
        status=Status.OPTIMAL,
        bound=cost.energy,
        fewest_cycles=True,
        mapspace="perfect",
        solve_s=time.perf_counter() - started,
        solve_cpu_s=time.process_time() - cpu,
    )


def candidates(space: Mapspace) -> int:
    """An estimate from above of how many mappings `mappings` yields, rolling choices aside."""
    total = 0
    for skeleton in _skeletons(space):
        places = sum(not isinstance(place, Slot) for place in skeleton)
        total += math.prod(_ways(n, places) for n in space.dims.values())
    return total


def _ways(n: int, places: int) -> int:
    """Ways to write n as an ordered product of that many factors."""
    if places == 1:
        return 1
    return sum(_ways(n // d, places - 1) for d in divisors(n))


def mappings(space: Mapspace) -> Iterator[Mapping]:
    """Every mapping of the mapspace, legal or not in what sizes allow."""
    for skeleton in _skeletons(space):
        places = [i for i, place in enumerate(skeleton) if not isinstance(place, Slot)]
        splits = [list(_splits(n, len(places))) for n in space.dims.values()]
        for choice in product(*splits):
            factors = {
                place: dict(zip(space.dims, (f[k] for f in choice), strict=True)) for k, place in enumerate(places)
            }
            yield from _nests(space, skeleton, factors)


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


def _splits(n: int, places: int) -> Iterator[tuple[int, ...]]:
    if places == 1:
        yield (n,)
        return
    for d in divisors(n):
        for rest in _splits(n // d, places - 1):
            yield (d, *rest)


def _nests(space: Mapspace, skeleton: Skeleton, factors: dict[int, dict[str, int]]) -> Iterator[Mapping]:
    """The mappings of a skeleton with these factors: one, or one for each way in which nodes can roll."""
    rolling = {i for i, place in enumerate(skeleton) if isinstance(place, Slot) and place.rolls_along}
    loops = {i: [d for d, f in fs.items() if f > 1] for i, fs in factors.items()}
    # which loop stands innermost matters to rolling nodes only
    lasts = {i: here if rolling and skeleton[i] is None and len(here) > 1 else [""] for i, here in loops.items()}
    for innermost in product(*lasts.values()):
        last = dict(zip(lasts, innermost, strict=True))
        for rolled in chain.from_iterable(combinations(sorted(rolling), k) for k in range(len(rolling) + 1)):
            tile = dict(space.nest.dims)
            items: list[Item] = [Keep(space.arch.home.name, t.name) for t in space.nest.tensors]
            for i, place in enumerate(skeleton):
                if isinstance(place, Slot):
                    items.append(Keep(place.memory, place.tensor, rolling=i in rolled))
                    continue
                for d in sorted(loops[i], key=lambda d: d == last[i]):
                    tile[d] //= factors[i][d]
                    items.append(Loop(d, tile[d]) if place is None else ParFor(d, tile[d], *place))
            yield tidy(items, dict(space.nest.dims))
