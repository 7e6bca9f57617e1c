"""The constraint model: every mapping of a mapspace as an assignment.

With storage nodes the words moved at a node depend on the tile extents there only, not on the order of loops. So the
variables are the extents at each node and the spatial factors, and each count is a table over a product of them
(`docs/search.md`); `traffic` has the counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import combinations, product, zip_longest

from ortools.sat.python import cp_model

from mapper.ir import Tensor
from mapper.search.extents import cut, last_run, pieces_of
from mapper.search.mapspace import Mapspace, Slot
from mapper.search.tables import Literal, Tables

Extents = dict[str, cp_model.IntVar]


@dataclass(frozen=True, slots=True)
class Node:
    """A slot's variables: whether it is kept, its tile extents, and the extents over which loads are shared.

    `reach[d]` differs from `extent[d]` only where the node rolls along d: it is the extent that the loop above cuts.
    """

    slot: Slot
    keep: cp_model.IntVar | bool
    extent: Extents
    reach: Extents


class Model:
    """The CP-SAT model of a mapspace: tile extents at every node, spatial factors, what is kept and in which order."""

    def __init__(self, space: Mapspace) -> None:
        self.space, self.nest, self.arch = space, space.nest, space.arch
        self.tables = Tables()
        self.model = self.tables.model
        self.spatial = self._spatial()
        self.nodes = {name: tuple(map(self._node, slots)) for name, slots in space.slots.items()}
        self.below, self.bottom = self._boundaries()
        self.above = {pair: self._order(*pair) for pair in self._pairs()}
        self.ties: dict[tuple[Slot, Slot], Literal] = {}
        self._pin_bypassed()
        self.rolls = self._roll()
        self.decisions = {var.name: var for var in self._decisions() if not isinstance(var, bool)}

    # -- variables and structure ---------------------------------------------------------------------------------

    def _spatial(self) -> dict[tuple[str, str, str], cp_model.IntVar]:
        """The instances of each dim along each axis, by (fan-out, axis, dim)."""
        found = {}
        for fanout in self.arch.fanouts:
            for axis in fanout.axes:
                for d, counts in self.counts.items():
                    domain = [n for n in counts if n <= axis.size] if self.space.unrolls(fanout, axis, d) else [1]
                    found[fanout.name, axis.name, d] = self.tables.variable(domain, f"s_{fanout.name}.{axis.name}_{d}")
                factors = [found[fanout.name, axis.name, d] for d in self.space.dims]
                used = self.tables.product(factors, f"used_{fanout.name}.{axis.name}", most=axis.size)
                self.model.add(used <= axis.size)
        return found

    @cached_property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """By dim, the numbers of pieces that one loop can make."""
        found = {}
        for d, values in self.space.extents.items():
            pairs = ((outer, inner) for outer in values for inner in values if self.space.nests(d, inner, outer))
            found[d] = tuple(sorted({pieces_of(outer, inner) for outer, inner in pairs}))
        return found

    @cache  # noqa: B019  (the model lives as long as one solve)
    def factor(self, segment: int, d: str) -> cp_model.IntVar:
        """The instances of a dim on all axes of the fan-out below a segment."""
        fanout, n = self.arch.fanouts[segment], self.space.dims[d]
        name = f"s_{fanout.name}_{d}"
        if d not in self.space.dividing:
            return self.tables.function((self.bottom[segment][d], self.below[segment + 1][d]), pieces_of, name)

        def divides(*factors: int) -> int | None:
            return math.prod(factors) if n % math.prod(factors) == 0 else None

        return self.tables.function([self.spatial[fanout.name, axis.name, d] for axis in fanout.axes], divides, name)

    @cache  # noqa: B019
    def joined(self, d: str, segments: tuple[int, ...]) -> cp_model.IntVar:
        """The length of a dim if the spatial loops below those segments run for their first instance only.

        A boundary of extent e has ceil(length / e) pieces then.
        """
        n = self.space.dims[d]
        name = f"joined_{d}_" + "_".join(map(str, segments))
        if d in self.space.dividing:
            return self.tables.function((self.product(d, segments),), lambda s: n // s if n % s == 0 else None, name)
        length = self.tables.constant(n)
        for segment in segments:
            length = self._cut(d, length, self.bottom[segment][d], self.below[segment + 1][d], name)
        return length

    @cache  # noqa: B019
    def instances(self, d: str, segment: int) -> cp_model.IntVar:
        """Instances that the pieces of a dim occupy of what stands below the fan-out above a segment."""
        if d in self.space.dividing:
            return self.product(d, tuple(range(segment)))
        length, outer = self.tables.constant(self.space.dims[d]), self.tables.constant(self.space.dims[d])
        for above in range(segment):  # of each piece the first run
            length = self._cut(d, length, outer, self.bottom[above][d], f"busy{above}_{d}")
            outer = self.below[above + 1][d]
        return self.tables.function((length, outer), pieces_of, f"instances{segment}_{d}")

    @cache  # noqa: B019
    def summands(self, d: str, segment: int) -> cp_model.IntVar:
        """The same in the last run of all: partial sums that there are then of an output, if d is a reduction dim."""
        if d in self.space.dividing:
            return self.product(d, tuple(range(segment)))
        length, outer = self.tables.constant(self.space.dims[d]), self.tables.constant(self.space.dims[d])
        for above in range(segment):
            length = self._of_boundaries(d, last_run, length, outer, self.bottom[above][d], f"last{above}_{d}")
            outer = self.below[above + 1][d]
        return self.tables.function((length, outer), pieces_of, f"summands{segment}_{d}")

    def product(self, d: str, segments: tuple[int, ...]) -> cp_model.IntVar:
        """The product of the spatial factors of a dim below those segments."""
        return self.tables.product([self.factor(segment, d) for segment in segments], f"unrolled_{d}")

    def _cut(
        self, d: str, length: cp_model.IntVar, outer: cp_model.IntVar, inner: cp_model.IntVar, name: str
    ) -> cp_model.IntVar:
        return self._of_boundaries(d, cut, length, outer, inner, name)

    def _of_boundaries(
        self,
        d: str,
        rule: Callable[[int, int, int], int],
        length: cp_model.IntVar,
        outer: cp_model.IntVar,
        inner: cp_model.IntVar,
        name: str,
    ) -> cp_model.IntVar:
        def nested(n: int, x: int, y: int) -> int | None:
            return rule(n, x, y) if self.space.nests(d, y, x) else None

        return self.tables.function((length, outer, inner), nested, name)

    def _node(self, slot: Slot) -> Node:
        keep = True if slot.required else self.model.new_bool_var(f"keep_{slot}")
        extent = {d: self.tables.variable(v, f"x_{slot}_{d}") for d, v in self.space.extents.items()}
        reach = {
            d: self.tables.variable(self.space.extents[d], f"reach_{slot}_{d}") if d in slot.rolls_along else extent[d]
            for d in self.space.dims
        }
        return Node(slot, keep, extent, reach)

    def _segment(self, segment: int) -> list[Node]:
        return [node for nodes in self.nodes.values() for node in nodes if node.slot.segment == segment]

    def _boundaries(self) -> tuple[list[Extents], list[Extents]]:
        """By segment, the extents above its nodes (inside the fan-out above it) and below them (outside the next)."""
        below: list[Extents] = []
        bottom: list[Extents] = []
        for segment in reversed(range(self.space.segments)):
            nodes = self._segment(segment)
            ends: Extents = {}
            starts: Extents = {}
            for d, values in self.space.extents.items():
                if segment == self.space.segments - 1:
                    ends[d] = self.tables.constant(1)
                else:
                    ends[d] = self._unrolled(d, segment, below[0][d])
                for node in nodes:
                    self.nest_within(d, ends[d], node.extent[d])
                if segment == 0:
                    starts[d] = self.tables.constant(self.space.dims[d])
                else:
                    starts[d] = self.tables.variable(values, f"below{segment}_{d}")
                    rolls = any(node.slot.rolls_along for node in nodes)
                    within = [ends[d], *(node.extent[d] for node in nodes)]
                    # a loop above all nodes may as well stand above the fan-out, unless a node could roll along it,
                    # the fan-out cuts a shorter last piece, or where its instances lie decides what they share
                    free = [*self._clipped(d, segment - 1, starts[d]), *self._shared(d, segment - 1)]
                    for inner in within if rolls or free or d not in self.space.dividing else ():
                        self.nest_within(d, inner, starts[d])
                    if not rolls:
                        self.model.add_max_equality(starts[d], within).only_enforce_if(*(~f for f in free))
            below.insert(0, starts)
            bottom.insert(0, ends)
        return below, bottom

    def _unrolled(self, d: str, segment: int, inner: cp_model.IntVar) -> cp_model.IntVar:
        """The extent outside the fan-out below a segment, for the one inside it."""
        rule = partial(self.space.unrolled, d)
        if d in self.space.dividing:
            return self.tables.function((inner, self.factor(segment, d)), rule, f"bottom{segment}_{d}")
        for axis in self._axes(segment, d):
            inner = self.tables.function((inner, axis), rule, f"bottom{segment}_{d}")
        return inner

    def _axes(self, segment: int, d: str) -> list[cp_model.IntVar]:
        """The spatial factors of a dim below a segment, innermost first: the outermost cut need not divide."""
        fanout = self.arch.fanouts[segment]
        return [self.spatial[fanout.name, axis.name, d] for axis in reversed(fanout.axes)]

    def _clipped(self, d: str, segment: int, inner: cp_model.IntVar) -> list[cp_model.IntVar]:
        """A literal for each axis below a segment that may make a last piece that is shorter: whether it does."""
        found: list[cp_model.IntVar] = []
        if d in self.space.dividing:
            return found
        n = self.space.dims[d]
        for axis in self._axes(segment, d):
            short = self.tables.function((inner, axis), lambda x, s: int(x * s > n), f"clipped{segment}_{d}")
            if self.tables.domain(short) != (0,):
                found.append(short)
            inner = self.tables.function((inner, axis), partial(self.space.unrolled, d), f"bottom{segment}_{d}")
        return found

    def _shared(self, d: str, segment: int) -> list[cp_model.IntVar]:
        """A literal, where the fan-out below a segment can share halos along a dim: whether it unrolls it.

        How far its instances are apart decides then what they share, and neighbours do not always share most.
        """
        if d not in self.space.halos[segment]:
            return []
        axes = self._axes(segment, d)
        return [self.tables.function(axes, lambda *n: int(math.prod(n) > 1), f"shared{segment}_{d}")]

    def nest_within(
        self, d: str, inner: cp_model.IntVar, outer: cp_model.IntVar, literal: Literal | None = None
    ) -> None:
        """Demand that a boundary can stand inside another, where the literal holds."""
        domains = self.tables.domain(inner), self.tables.domain(outer)
        rows = [(i, o) for i in domains[0] for o in domains[1] if self.space.nests(d, i, o)]
        constraint = self.model.add_allowed_assignments([inner, outer], rows)
        if literal is not None:
            constraint.only_enforce_if(literal)

    def _pairs(self) -> list[tuple[Slot, Slot]]:
        return [
            (a.slot, b.slot)
            for segment in range(self.space.segments)
            for a, b in combinations(self._segment(segment), 2)
        ]

    def _order(self, a: Slot, b: Slot) -> cp_model.IntVar | bool:
        """Whether `a` stands above `b`: two nodes of a segment are comparable, so that the nodes form one nest."""
        node_a, node_b = self.node(a), self.node(b)
        if a.tensor == b.tensor:  # slots are listed outermost first
            for d in self.space.dims:
                self.nest_within(d, node_b.extent[d], node_a.extent[d])
            return True
        above = self.model.new_bool_var(f"{a}_above_{b}")
        for d in self.space.dims:
            rows = [
                (x, y, order)
                for x in self.tables.domain(node_a.extent[d])
                for y in self.tables.domain(node_b.extent[d])
                for order, holds in ((1, self.space.nests(d, y, x)), (0, self.space.nests(d, x, y)))
                if holds
            ]
            self.model.add_allowed_assignments([node_a.extent[d], node_b.extent[d], above], rows)
        return above

    def node(self, slot: Slot) -> Node:
        """The variables of a slot."""
        return self.nodes[slot.tensor][self.space.slots[slot.tensor].index(slot)]

    def _pin_bypassed(self) -> None:
        """A node that is not kept sits on its inner neighbour, else its free extents make copies of each solution."""
        for nodes in self.nodes.values():
            for node, inner in zip_longest(nodes, nodes[1:]):
                same = inner is not None and inner.slot.segment == node.slot.segment
                pins = inner.extent if inner is not None and same else self.bottom[node.slot.segment]
                if not isinstance(node.keep, bool):
                    for d, pin in pins.items():
                        self.model.add(node.extent[d] == pin).only_enforce_if(~node.keep)

    def _decisions(self) -> Iterator[cp_model.IntVar | bool]:
        """The variables that a mapping is read from; those of another mapspace of the layer have the same names."""
        yield from self.spatial.values()
        for nodes in self.nodes.values():
            for node in nodes:
                yield node.keep
                yield from node.extent.values()
                yield from node.reach.values()
        for extents in self.below[1:]:
            yield from extents.values()
        yield from self.above.values()
        yield from self.rolls.values()

    def _roll(self) -> dict[tuple[Slot, str], cp_model.IntVar]:
        """A node rolls along one dim at most, along the nearest loop above it: up to the next kept node."""
        rolls: dict[tuple[Slot, str], cp_model.IntVar] = {}
        for nodes in self.nodes.values():
            for node in nodes:
                for d in node.slot.rolls_along:
                    roll = self.model.new_bool_var(f"roll_{node.slot}_{d}")
                    rolls[node.slot, d] = roll
                    self.nest_within(d, node.extent[d], node.reach[d])
                    self.model.add(node.reach[d] == node.extent[d]).only_enforce_if(~roll)
                    self.nest_within(d, node.reach[d], self.below[node.slot.segment][d])
                    for other in self._segment(node.slot.segment):
                        if other is not node:
                            self._nest_if_above(node.reach[d], node, other, d)
                self.model.add_at_most_one(rolls[node.slot, d] for d in node.slot.rolls_along)
        for (a, b), tie in self.ties.items():  # nodes with one place have one nearest loop
            for d, e in product(a.rolls_along, b.rolls_along):
                if d == e:
                    same = self.node(a).reach[d] == self.node(b).reach[d]
                    self.model.add(same).only_enforce_if(tie, rolls[a, d], rolls[b, d])
                else:
                    self.model.add_bool_or([~tie, ~rolls[a, d], ~rolls[b, e]])
        return rolls

    def _nest_if_above(self, reach: cp_model.IntVar, node: Node, other: Node, d: str) -> None:
        """A kept node that stands above bounds the loop along which `node` rolls, unless both have one place."""
        listed = (other.slot, node.slot) in self.above
        above = self.above[other.slot, node.slot] if listed else self.above[node.slot, other.slot]
        if isinstance(above, bool):
            if above is not listed:
                return  # another memory of this tensor, further in
            conditions = []
        else:
            conditions = [above if listed else ~above]
        if not isinstance(other.keep, bool):
            conditions.append(other.keep)
        # a table takes one enforcement literal: join the conditions in it
        active = self.model.new_bool_var(f"{other.slot}_bounds_{node.slot}_{d}")
        self.model.add_bool_or([active, self._tie(node, other), *(~c for c in conditions)])
        self.nest_within(d, reach, other.extent[d], active)

    def _tie(self, a: Node, b: Node) -> Literal:
        """A literal that holds only where two nodes have equal extents, so that no loop need stand between them."""
        pair = (a.slot, b.slot) if (a.slot, b.slot) in self.above else (b.slot, a.slot)
        if pair not in self.ties:
            tie = self.model.new_bool_var(f"{a.slot}_at_{b.slot}")
            for d in self.space.dims:
                self.model.add(a.extent[d] == b.extent[d]).only_enforce_if(tie)
            self.ties[pair] = tie
        return self.ties[pair]

    def footprint(self, tensor: Tensor, node: Node) -> cp_model.IntVar:
        """Elements of the tensor's largest tile at a node."""
        ranks = []
        for rank in tensor.ranks:
            terms = [term for term in rank if term.dim in self.space.dims]
            coefs = [term.coef for term in terms]

            def extent(*x: int, coefs: list[int] = coefs) -> int:
                return sum(c * (n - 1) for c, n in zip(coefs, x, strict=True)) + 1

            ranks.append(self.tables.function([node.extent[t.dim] for t in terms], extent, f"rank_{node.slot}"))
        return self.tables.multiplied(ranks, f"tile_{node.slot}")
