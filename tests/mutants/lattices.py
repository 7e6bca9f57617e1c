"""Wrong lattice searches: a plan forgotten, a case dropped, a bound too high, a wrong table, a wrong dominance."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from mapper.search.lattice import cases, labels, search, spatial
from mapper.search.lattice.bounds import Nodes
from mapper.search.lattice.cases import Cases
from mapper.search.lattice.points import LARGEST, Lattice
from mapper.search.lattice.prices import Prices
from mapper.search.lattice.search import Search
from mutants.patching import Mutant, around


def planned(change: Callable[[list[Any]], list[Any]]) -> Mutant:
    """Other plans, where there is more than one."""
    return around(
        cases, "plans", lambda plans, prices: change(found) if len(found := list(plans(prices))) > 1 else found
    )


def spreading(change: Callable[[list[Any]], list[Any]]) -> Mutant:
    """Other spatial factors, where there is more than one choice."""
    return around(
        cases, "spreads", lambda spreads, *given: change(found) if len(found := spreads(*given)) > 1 else found
    )


def dearer(owner: Any, name: str) -> Mutant:
    """A bound that is higher by an eighth."""
    return around(owner, name, lambda bound, *given, **more: (found := bound(*given, **more)) + abs(found) // 8)


def dearer_if_kept(outside: Any, self: Cases, part: Any, *, free: bool = False) -> Any:
    found = outside(self, part, free=free)
    return found + found // 2 if part.slots else found


def dearer_every_other(bounds: Any, self: Cases, plan: Any, spread: int, multipliers: Any) -> Any:
    return bounds(self, plan, spread, multipliers) * (1 + spread % 2)


def rolling_twice(least: Any, self: Cases, link: Any, sharing: Any) -> Any:
    """What can roll is charged twice."""
    return least(self, link, sharing) * (2 if self.rolls_along(link) else 1)


def dominated_whatever_it_takes(undominated: Any, found: Any) -> Any:
    """The cheapest label of each boundary only: what others leave free of memories is not looked at."""
    return found[labels.first_of_each(found.point, found.cost)]


def dominated_though_cheaper(undominated: Any, found: Any) -> Any:
    """A label that takes the fewest words dominates all of its boundary, cheaper ones too."""
    return found[labels.first_of_each(found.point, found.used.sum(axis=0))]


def one_window_a_loop(groups: Any, part: Any, dim: str) -> Any:
    """Two nodes that roll along one loop are not thought of."""
    return (group for group in groups(part, dim) if len(group) == 1)


def largest_steps_only(moves: Any, self: Any, part: Any, spread: Any = None) -> Any:
    """Windows roll over whole dims only."""
    return tuple(m for m in moves(self, part, spread) if not m.along or m.reach == self.space.dims[m.along])


def without_rolling(moves: Any, self: Any, part: Any, spread: Any = None) -> Any:
    return tuple(m for m in moves(self, part, spread) if not m.along)


def as_large_as_here(room: Any) -> Any:
    """Tiles still to come are taken to be as large as they would be here: too few boundaries have room."""

    def wrong(self: Any) -> Any:
        if self.part_of:
            return room(self)
        found = {}
        for placed in self.sets:
            fits = np.ones(self.lattice.size, bool)
            for m, capacity in enumerate(self.capacities):
                if capacity is not None:
                    here = (size for i, size in enumerate(self.sizes) if self.memory[i] == m)
                    fits &= sum(here, np.zeros(self.lattice.size, np.int64)) <= capacity
            found[placed] = fits
        return found

    return wrong


def roomy(patch: Any) -> None:
    patch.setattr(Nodes, "room", property(as_large_as_here(Nodes.room.func)))


def waiting_forgotten(meet: Any, self: Any, number: int) -> None:
    """Of the cases of a plan, the one after each that is looked at is lost."""
    meet(self, number)
    waiting = self._open[number].waiting
    if len(waiting) > 1:
        waiting.pop()


def listed_once(listing: Any, self: Any, number: int, spread: int, bound: int) -> None:
    """A case without a mapping just above its bound is given up."""
    found = self.best
    listing(self, number, spread, bound)
    if self.best is found:
        self._queue = [entry for entry in self._queue if entry[2:] != (number, spread)]


def any_two_dims_mirror(mirrors: Any, nest: Any, fanout: Any, lattice: Any) -> Any:
    """Dims of one extent are taken to be alike, whatever tensors they are of."""
    dims = list(lattice.dims)
    return ({a: b, b: a} for i, a in enumerate(dims) for b in dims[:i] if lattice.dims[a] == lattice.dims[b])


def first_axis_only(factors: Any, nest: Any, fanout: Any, lattice: Any) -> Any:
    """Only one axis of the fan-out is used."""
    found = factors(nest, fanout, lattice)
    if fanout is None or len(fanout.axes) < 2:
        return found
    own = {offset for offset, _ in spatial._axis_factors(nest, fanout, 0, lattice)}
    return {offset: length for offset, length in found.items() if offset in own}


def swept_but_for_one_axis(spread: Any, self: Lattice, values: Any, behind: int = 1) -> Any:
    """What is best further out is not passed on along the last axis."""
    before = values.copy()
    found = spread(self, values, behind)
    if len(self.shape) > 1:
        grid, old = (v.reshape(-1, self.shape[-1], behind) for v in (found, before))
        grid[:, 0] = np.where(old[:, 0] >= LARGEST, grid[:, 0], old[:, 0])
    return found


def unplaced(completions: Any, nodes: Any, moves: Any, multipliers: Any, end: Any) -> Any:
    """The bound beyond the outermost node is counted at the point one further in."""
    return completions(nodes, moves, multipliers, np.maximum(end, np.roll(end, 1, axis=0)))


LATTICE: dict[str, Mutant] = {
    # plans and cases
    "the plan that keeps most is forgotten": planned(lambda plans: plans[1:]),
    "the plan that keeps least is forgotten": planned(lambda plans: plans[:-1]),
    "every other plan is forgotten": planned(lambda plans: plans[::2]),
    "a tensor with two memories has both or none": around(
        Prices,
        "choices",
        lambda choices, self, tensor: (kept for kept in choices(self, tensor) if len(kept) != 1),
    ),
    "nothing is bypassed": around(Prices, "choices", lambda choices, *given: islice(choices(*given), 1)),
    "the widest spread is forgotten": spreading(lambda found: found[:-1]),
    "nothing stays on one instance": spreading(lambda found: found[1:]),
    "every other spread is forgotten": spreading(lambda found: found[::2]),
    "one axis is used only": around(spatial, "_factors", first_axis_only),
    "dims of one extent are alike": around(spatial, "_mirrors", any_two_dims_mirror),
    "a case is lost": around(Search, "_meet", waiting_forgotten),
    "a case is given up too early": around(Search, "_list", listed_once),
    # bounds
    "the bound outside is too high where something is kept": around(Cases, "outside", dearer_if_kept),
    "the bound of a plan is too high": dearer(Cases, "quick"),
    "the bound where both parts meet is too high": dearer(Cases, "meeting"),
    "the bound inside is too high in every other case": around(Cases, "bounds", dearer_every_other),
    "capacities are charged and not refunded": around(
        Nodes, "refund", lambda refund, self, multipliers: refund(self, multipliers) * 0
    ),
    "windows that can roll are charged twice in bounds": around(Cases, "_least", rolling_twice),
    "chains are cheapest in single elements": around(
        Lattice, "spread_outwards", lambda spread, self, values, behind=1: values
    ),
    "what is best further out is passed on along some axes": around(Lattice, "spread_inwards", swept_but_for_one_axis),
    "the bound beyond is that of a neighbour": around(cases, "completions", unplaced),
    "tiles to come are as large as they would be here": roomy,
    # labels
    "a cheaper label dominates whatever words it takes": around(labels, "_undominated", dominated_whatever_it_takes),
    "a small label dominates cheaper ones": around(labels, "_undominated", dominated_though_cheaper),
    "chains up to half of the limit are listed": around(
        search, "grow", lambda grow, nodes, moves, m, b, start, limit: grow(nodes, moves, m, b, start, limit // 2)
    ),
    # rolling windows
    "no window rolls": around(Cases, "moves", without_rolling),
    "windows roll over whole dims only": around(Cases, "moves", largest_steps_only),
    "two windows do not roll along one loop": around(cases, "_groups", one_window_a_loop),
    # tables
    "a tile overlaps the next by one element less": around(
        Prices, "_overlapping", lambda overlapping, *given: np.maximum(0, overlapping(*given) - 1)
    ),
    "words that several instances read are read for each": around(
        Prices, "own", lambda own, self, tensor, sharing: own(self, tensor, sharing)._replace(joined=(1,))
    ),
    "a tile takes one word more": around(
        Prices, "footprint", lambda footprint, *given: footprint(*given) + 1
    ),
    "tiles are as large as without strides": around(
        Lattice, "elements", lambda elements, self, tensor: np.maximum(1, elements(self, tensor) - 1)
    ),
    "sums below the network start from nothing": around(
        Prices, "_drained", lambda drained, self, link, sharing, inside: drained(
            self, link, sharing._replace(parts=1), inside
        )
    ),
}  # fmt: skip
