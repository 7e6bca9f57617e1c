"""Cases: bounds of what a plan costs with given spatial factors, each dearer and tighter than the one before."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from mapper.search.lattice.bounds import Move, completions, row, tuned
from mapper.search.lattice.plans import Chain, Part, Plan, plans
from mapper.search.lattice.points import LARGEST, Integers, Lattice
from mapper.search.lattice.prices import ALONE, Link, Prices
from mapper.search.lattice.spatial import Sharing, spreads
from mapper.search.mapspace import Mapspace


@dataclass(frozen=True, eq=False)
class Own:
    """The sharings of all spreads as one tensor sees them: `different` ones, and which of them each spread has."""

    different: tuple[Sharing, ...]
    place: Integers


class Cases:
    """The bounds of all cases of a mapspace; a case is a plan and the number of a spread.

    Energies are those of all but the operations themselves, which cost the same in every mapping.
    """

    def __init__(self, space: Mapspace) -> None:
        self.space = space
        self.lattice = Lattice(space.dims)
        self.prices = Prices(space, self.lattice)
        self.spreads = spreads(space.nest, self.prices.fanout, self.lattice)
        self.offsets = np.array([spread.offset for spread in self.spreads], np.int64)
        self.plans = tuple(plans(self.prices))
        self._outsides: dict[tuple[Part, bool], Integers] = {}
        self._rests: dict[Link, Integers] = {}
        self._outer_moves: dict[Part, tuple[Move, ...]] = {}
        self._chains: dict[Chain, Integers] = {}

    @cached_property
    def scale(self) -> int:
        """An energy of the order of the optimum."""
        return max(1, min(int(self.quick(plan, free=True).min()) for plan in self.plans))

    # -- inside the fan-out ----------------------------------------------------------------------------------------

    @cached_property
    def own(self) -> dict[str, Own]:
        """What each tensor sees of the spreads' sharings."""
        found = {}
        for tensor in self.space.nest.tensors:
            seen = [self.prices.own(tensor, spread.sharing) for spread in self.spreads]
            place = {sharing: i for i, sharing in enumerate(dict.fromkeys(seen))}
            found[tensor.name] = Own(tuple(place), np.array([place[sharing] for sharing in seen], np.int64))
        return found

    def rest(self, plan: Plan) -> Integers:
        """What the way to and from the compute unit costs, by spread."""
        for link in plan.last:
            if link not in self._rests:
                own = self.own[link.tensor.name]
                rests = [self.prices.energy(link, s)[0] for s in own.different] if link.crosses else []
                self._rests[link] = np.array(rests)[own.place] if rests else self.prices.energy(link)
        total: Integers = np.zeros(len(self.spreads), np.int64) + sum(self._rests[link] for link in plan.last)
        return total

    def moves(self, part: Part, spread: int | None = None) -> tuple[Move, ...]:
        """How the nodes of a part can be put, outside anywhere, or inside where a spread can stand."""
        here = None if spread is None else self.spreads[spread]
        stands, box = (here.stands, here.box) if here else (np.arange(self.lattice.size), self.lattice)
        sharings = [self._sharing(link, spread) for link in part.links]
        found = [
            Move(1 << i, self.prices.energy(link, sharing)[stands, None])
            for i, (link, sharing) in enumerate(zip(part.links, sharings, strict=True))
        ]
        for d in box.dims:
            for together in _groups(part, d):
                for x, reach in combinations(np.unique(box.extents[d]).tolist(), 2):
                    if reach % x == 0:
                        at = np.flatnonzero(box.extents[d] == x)
                        cost = np.zeros(len(at), np.int64)
                        for i in together:
                            if d in part.slots[i].rolls_along:
                                cost += self.prices.rolled(part.links[i], sharings[i], d, reach, stands[at])
                            else:
                                cost += found[i].cost[at, 0]
                        nodes = sum(1 << i for i in together)
                        found.append(Move(nodes, cost[:, None], at, box.offset(d, reach // x), d, reach))
        return tuple(found)

    def _sharing(self, link: Link, spread: int | None) -> Sharing:
        if spread is None or not link.crosses:
            return ALONE
        own = self.own[link.tensor.name]
        return own.different[int(own.place[spread])]

    def _within(self, chain: Chain, spread: int) -> Integers:
        """The least cost of the nodes of one tensor inside, within each boundary."""
        own: Integers = self._chained(chain)[self.own[chain[0].tensor.name].place[spread]]
        return own

    def _chained(self, chain: Chain) -> Integers:
        """The same for all different sharings, shape (different sharings, points)."""
        if chain not in self._chains:
            different = self.own[chain[0].tensor.name].different
            total = np.zeros((len(different), self.lattice.size), np.int64)
            for link in reversed(chain):
                for i, sharing in enumerate(different):
                    total[i] += self._least(link, sharing if link.crosses else ALONE)
                assert link.child is not None
                if link.child.tile_words is not None:
                    total[:, self.prices.footprint(link.tensor, link.child) > link.child.tile_words] = LARGEST
                total = self.lattice.spread_outwards(total)
            self._chains[chain] = total
        return self._chains[chain]

    def _least(self, link: Link, sharing: Sharing) -> Integers:
        """A bound of what a node costs at each point: where it can roll, it does over the whole layer."""
        every = np.arange(self.lattice.size)
        rolled = (self.prices.rolled(link, sharing, d, self.space.dims[d], every) for d in self.rolls_along(link))
        return functools.reduce(np.minimum, rolled, self.prices.energy(link, sharing))

    def rolls_along(self, link: Link) -> tuple[str, ...]:
        """The dims along which the child of a link can roll."""
        slots = self.space.slots[link.tensor.name]
        return next((slot.rolls_along for slot in slots if link.child and slot.memory == link.child.name), ())

    # -- outside ---------------------------------------------------------------------------------------------------

    def _outside(self, part: Part, multipliers: Integers) -> dict[int, Integers]:
        """By set of nodes that stand, what the others cost outside each boundary, shape (points, cases)."""
        end = np.zeros((self.lattice.size, multipliers.shape[1]), np.int64)
        return completions(part.nodes, self.outer_moves(part), multipliers, end)

    def outer_moves(self, part: Part) -> tuple[Move, ...]:
        """How the nodes outside can be put."""
        if part not in self._outer_moves:
            self._outer_moves[part] = self.moves(part)
        return self._outer_moves[part]

    def outside(self, part: Part, *, free: bool = False) -> Integers:
        """The bound of what the nodes outside cost above each boundary, shape (points,).

        `free`: any number of words fits.
        """
        free = free or not part.nodes.shared
        if (part, free) not in self._outsides:
            tried = np.zeros((len(part.nodes.capacities), 1), np.int64)
            if not free:
                at = self.outside_at(part, 0)[0] if len(part.nodes.shared) > 1 else tried[:, 0]
                tried = np.concatenate([row(part.nodes, at, m, self.scale) for m in part.nodes.shared], axis=1)
            bounds = self._outside(part, tried)[0] - part.nodes.refund(tried)
            self._outsides[part, free] = np.minimum(bounds.max(axis=1), LARGEST)
        return self._outsides[part, free]

    def outside_at(self, part: Part, point: int) -> tuple[Integers, dict[int, Integers]]:
        """Multipliers that do well above one boundary, and by set what the others cost with them, shape (points,)."""

        def bounds(multipliers: Integers) -> Integers:
            found: Integers = self._outside(part, multipliers)[0][point] - part.nodes.refund(multipliers)
            return found

        best = tuned(part.nodes, bounds, self.scale)
        found = self._outside(part, best[:, None])
        return best, {placed: values[:, 0] for placed, values in found.items()}

    def beyond(self, plan: Plan, spread: int) -> Integers:
        """The bound of what the nodes outside cost, where the spread can stand."""
        return self.outside(plan.outer)[self.spreads[spread].stands + self.spreads[spread].offset]

    # -- bounds of cases -------------------------------------------------------------------------------------------

    def quick(self, plan: Plan, *, free: bool = False) -> Integers:
        """The cheapest chain of each tensor inside, and the bound outside from single elements inside; by spread."""
        found = self.rest(plan) + self.outside(plan.outer, free=free)[self.offsets]
        ends = self.lattice.size - 1 - self.offsets
        for chain in plan.chains:
            found += self._chained(chain)[self.own[chain[0].tensor.name].place, ends]
        return found

    def meeting(self, plan: Plan, spread: int) -> int:
        """The outermost node inside, within it the cheapest chain of each tensor, and the bound outside it."""
        stands, nodes = self.spreads[spread].stands, plan.inner.nodes
        chains = {chain: self._within(chain, spread)[stands] for chain in plan.chains}
        together = np.zeros(len(stands), np.int64) + sum(chains.values())
        best = np.full(len(stands), LARGEST if chains else 0, np.int64)
        for chain, own in chains.items():
            if any(map(self.rolls_along, chain)):  # the boundary may lie beyond the outermost node
                np.minimum(best, together, out=best)
                continue
            node = plan.inner.links.index(chain[0])
            cost = together - own + self.prices.energy(chain[0], self._sharing(chain[0], spread))[stands]
            if len(chain) > 1:
                cost += self._within(chain[1:], spread)[stands]
            np.minimum(best, cost, out=best, where=nodes.room[nodes.everything & ~(1 << node)][stands])
        return int((best + self.beyond(plan, spread)).min()) + int(self.rest(plan)[spread])

    def nested(self, plan: Plan, spread: int, multipliers: Integers) -> dict[int, Integers]:
        """By set of nodes inside that stand, what the others and all outside cost above each point of the spread.

        Shape (its points, cases) for multipliers of shape (memories, cases).
        """
        here = self.spreads[spread]
        end = np.repeat(self.beyond(plan, spread)[:, None], multipliers.shape[1], axis=1)
        nodes = plan.inner.nodes.within(here.box, here.stands)
        return completions(nodes, self.moves(plan.inner, spread), multipliers, end)

    def bounds(self, plan: Plan, spread: int, multipliers: Integers) -> Integers:
        """The cheapest nest inside and the bound outside, by case of the multipliers."""
        nested = self.nested(plan, spread, multipliers)[0][0]
        found: Integers = nested - plan.inner.nodes.refund(multipliers) + self.rest(plan)[spread]
        return found

    def tuned(self, plan: Plan, spread: int) -> Integers:
        """Multipliers at which that bound is large, shape (memories,)."""
        return tuned(plan.inner.nodes, lambda tried: self.bounds(plan, spread, tried), self.scale)


def _groups(part: Part, dim: str) -> Iterator[tuple[int, ...]]:
    """The sets of nodes that can have one place below a loop over a dim, along which at least one of them rolls.

    Nodes that do not roll can just as well be put there before, but for those further out of a tensor that does.
    """
    rolling = [i for i, slot in enumerate(part.slots) if dim in slot.rolls_along]
    tensors = {part.slots[i].tensor for i in rolling}
    near = [i for i, slot in enumerate(part.slots) if i in rolling or slot.tensor in tensors]
    for count in range(1, len(near) + 1):
        yield from (group for group in combinations(near, count) if any(i in rolling for i in group))
