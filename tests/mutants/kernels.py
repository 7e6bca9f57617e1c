"""Wrong executors: the functions of the kernel."""

from collections.abc import Callable
from typing import Any

import numpy as np

from backends.execute import kernel
from backends.execute.machine import STEPS
from mutants.patching import Mutant, around


def without_last(name: str) -> Mutant:
    """A function of the kernel that passes over the last instance at work."""

    def wrong(function: Any, p: Any, m: Any, n: int, s: int) -> Any:
        active = m.active[s].copy()
        m.active[s, np.flatnonzero(active[: p.instances[s]])[-1]] = 0
        found = function(p, m, n, s)
        m.active[s] = active
        return found

    return around(kernel, name, wrong)


def started_for(name: str, value: int) -> Mutant:
    """A function of the kernel that takes all instances to have begun with their group's sums, or none."""

    def wrong(function: Any, p: Any, m: Any, n: int, s: int) -> Any:
        started = m.started[n].copy()
        m.started[n] = value
        found = function(p, m, n, s)
        m.started[n] = started
        return found

    return around(kernel, name, wrong)


def last_piece(change: int, dropped: bool = False) -> Mutant:
    """Temporal loops whose clipped last piece has another length, or that end before their last piece."""

    def wrong(iterate: Any, p: Any, m: Any, item: int, enter: bool) -> bool:
        more, own = iterate(p, m, item, enter), p.items[item]
        if dropped and enter:
            m.trips[item] = max(1, m.trips[item] - 1)
        if more:
            clipped = m.length[own.segment, own.dim] < own.step
            m.length[own.segment, own.dim] += change * clipped
        return more

    return around(kernel, "iterate", wrong)


def last_instance(change: Callable[[Any, Any, int], None]) -> Mutant:
    """Spatial loops that give the last of their instances something else: `change(m, s, instances)`."""

    def wrong(spread: Any, p: Any, m: Any, item: int) -> None:
        spread(p, m, item)
        own = p.items[item]
        count = p.instances[own.segment + 1]
        change(m, own, np.arange(own.pieces - 1, count, own.pieces))

    return around(kernel, "spread", wrong)


def idle(m: Any, own: Any, last: Any) -> None:
    m.active[own.segment + 1, last] = 0


def unclipped(m: Any, own: Any, last: Any) -> None:
    m.length[own.segment + 1, own.dim, last] = own.step


def located(change: Callable[[Any, Any, int], None]) -> Mutant:
    """Boxes of storage nodes that are changed once they are found to be inside the parent's: `change(p, m, node)`."""

    def wrong(locate: Any, p: Any, m: Any, n: int, s: int) -> int:
        code = locate(p, m, n, s)
        if n < len(p.nodes) - len(p.terms):
            change(p, m, n)
        return code

    return around(kernel, "locate", wrong)


def begun_late(p: Any, m: Any, n: int) -> None:
    m.source[n] += 1


def longer(p: Any, m: Any, n: int) -> None:
    m.extent[n, -1] += 1


def of_neighbours(p: Any, m: Any, n: int) -> None:
    m.source[n] = np.roll(m.source[n], 1)


def shared_by(level: Callable[[int], int]) -> Mutant:
    """What instances ask for passes as if they shared it from another level on."""

    def wrong(supply: Any, p: Any, m: Any, n: int, r: int, words: int) -> None:
        right = m.level[n, r]
        m.level[n, r] = min(level(int(right)), p.nodes[n].levels)
        supply(p, m, n, r, words)
        m.level[n, r] = right

    return around(kernel, "supply", wrong)


def counted_but_not_loaded(fetch: Any, p: Any, m: Any, n: int, s: int) -> int:
    """From the second time on a tile keeps what it has."""
    before = m.store.copy()
    code = fetch(p, m, n, s)
    kept = ~np.isnan(before) & ~np.isnan(m.store)
    m.store[kept] = before[kept]
    return int(code)


def not_shifted(roll: Any, p: Any, m: Any, n: int, r: int) -> int:
    """The words that a rolling tile keeps stay where they were."""
    shared, own = roll(p, m, n, r), p.nodes[n].base + r * p.nodes[n].span
    kept = ~np.isnan(m.store[own : own + p.nodes[n].words])
    m.store[own : own + p.nodes[n].words][kept] = m.scratch[: p.nodes[n].words][kept]
    return int(shared)


def refilled_with_zeros(begin: Any, p: Any, m: Any, n: int, s: int) -> None:
    begin(p, m, n, s)
    for r in range(p.instances[s]):
        own = p.nodes[n].base + r * p.nodes[n].span
        m.store[own : own + p.nodes[n].words] *= 0


def overlaps_across_steps(ask: Any, p: Any, m: Any, *request: Any) -> None:
    """A word once read is taken to be there in all later steps."""
    event = int(m.event[0])
    m.event[0] = 1
    ask(p, m, *request)
    m.event[0] = event


def overlaps_of_all(ask: Any, p: Any, m: Any, n: int, r: int, at: int) -> None:
    """A word is shared by all instances, whatever network they are behind."""
    rows = p.group.copy()
    p.group[:] = 0
    ask(p, m, n, r, at)
    p.group[:] = rows


def overlaps_unshared(ask: Any, p: Any, m: Any, *request: Any) -> None:
    m.stamp[:] = 0
    ask(p, m, *request)


def steps_of_all(operate: Any, p: Any, m: Any) -> Any:
    """Each instance takes its steps after the one before."""
    before = int(m.totals[STEPS])
    found = operate(p, m)
    m.totals[STEPS] = before + (m.totals[STEPS] - before) * m.active[len(p.instances) - 1].sum()
    return found


def without_last_operation(run: Any, store: Any, held: Any, table: Any, size: int, *rest: Any) -> Any:
    return size, *run(store, held, table, size - 1, *rest)[1:]


KERNEL: dict[str, Mutant] = {
    # loops
    "a temporal loop ends before its last piece": last_piece(0, dropped=True),
    "a clipped piece is one too long": last_piece(+1),
    "a clipped piece is one too short": last_piece(-1),
    "the last instance of a spatial loop idles": last_instance(idle),
    "the last instance of a spatial loop is not clipped": last_instance(unclipped),
    # tiles
    "a box begins one word late": located(begun_late),
    "a box is one word too long": located(longer),
    "an instance gets its neighbour's tile": located(of_neighbours),
    "one instance's tile is not loaded": without_last("fetch"),
    "a load is counted but not done": around(kernel, "fetch", counted_but_not_loaded),
    "a rolling tile keeps one word more than it has": around(kernel, "roll", lambda roll, *given_: roll(*given_) + 1),
    "a rolling tile keeps one word less than it has": around(
        kernel, "roll", lambda roll, *given_: max(0, roll(*given_) - 1)
    ),
    "a rolling tile is not shifted": around(kernel, "roll", not_shifted),
    # sums
    "re-fills are missing": started_for("begin", 0),
    "each instance of a group is re-filled": started_for("begin", 1),
    "one instance is not started": without_last("begin"),
    "re-fills bring zeros": around(kernel, "begin", refilled_with_zeros),
    "one instance is not drained": without_last("drain"),
    "what a re-fill brought is added again": started_for("drain", 0),
    "parts replace each other": started_for("drain", 1),
    "the last operation is dropped": around(kernel, "accumulate", without_last_operation),
    # networks
    "nothing is shared": shared_by(lambda level: 0),
    "a word is shared one network too far out": shared_by(lambda level: level + 1),
    "overlaps are shared across steps": around(kernel, "ask", overlaps_across_steps),
    "overlaps are shared by instances that cannot": around(kernel, "ask", overlaps_of_all),
    "overlaps are not shared": around(kernel, "ask", overlaps_unshared),
    "instances take their steps one after the other": around(kernel, "operate", steps_of_all),
}
