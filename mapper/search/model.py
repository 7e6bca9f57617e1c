"""The constraint model: every mapping of a mapspace as an assignment.

With storage nodes the words moved at a node depend on the tile extents there only, not on the order of loops. So the
variables are the extents at each node and the spatial factors, and each count is a table over a product of them
(`docs/search.md`); `traffic` has the counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product, zip_longest

from ortools.sat.python import cp_model

from mapper.arch import FanOut
from mapper.ir import Tensor
from mapper.search.mapspace import Mapspace, Slot
from mapper.search.tables import Literal, Tables

Extents = dict[str, cp_model.IntVar]


@dataclass(frozen=True, slots=True)
class Node:
    """A slot's variables: whether it is kept, its tile extents, and the extents over which loads are shared.

    `reach[d]` differs from `extent[d]` only where the node rolls along d: it is the extent that the loop above cuts.
    """

    slot: Slot
    keep: Literal | bool
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
        self._roll()

    # -- variables and structure ---------------------------------------------------------------------------------

    def _spatial(self) -> dict[tuple[str, str, str], cp_model.IntVar]:
        """The factor of each dim on each axis, by (fan-out, axis, dim)."""
        found = {}
        for fanout in self.arch.fanouts:
            for axis in fanout.axes:
                for d, values in self.space.extents.items():
                    allowed = axis.dims is None or d in axis.dims
                    allowed &= fanout.unrolls_reductions() or d in self.nest.output.dims
                    domain = [v for v in values if v <= axis.size] if allowed else [1]
                    found[fanout.name, axis.name, d] = self.tables.variable(domain, f"s_{fanout.name}.{axis.name}_{d}")
                factors = [found[fanout.name, axis.name, d] for d in self.space.dims]
                used = self.tables.product(factors, f"used_{fanout.name}.{axis.name}", most=axis.size)
                self.model.add(used <= axis.size)
        return found

    @cache  # noqa: B019  (the model lives as long as one solve)
    def factor(self, fanout: FanOut, d: str) -> cp_model.IntVar:
        """The spatial factor of a dim on all axes of a fan-out."""
        factors = [self.spatial[fanout.name, axis.name, d] for axis in fanout.axes]
        n = self.space.dims[d]

        def divides(*f: int) -> int | None:
            return math.prod(f) if n % math.prod(f) == 0 else None

        return self.tables.function(factors, divides, f"s_{fanout.name}_{d}")

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
                    inner, factor = below[0][d], self.factor(self.arch.fanouts[segment], d)

                    def above_fanout(x: int, s: int, n: int = self.space.dims[d]) -> int | None:
                        return x * s if n % (x * s) == 0 else None

                    ends[d] = self.tables.function((inner, factor), above_fanout, f"bottom{segment}_{d}")
                for node in nodes:
                    self._divides(ends[d], node.extent[d])
                if segment == 0:
                    starts[d] = self.tables.constant(self.space.dims[d])
                else:
                    starts[d] = self.tables.variable(values, f"below{segment}_{d}")
                    if any(node.slot.rolls_along for node in nodes):
                        for node in nodes:
                            self._divides(node.extent[d], starts[d])
                    else:  # a loop above all nodes may as well stand above the fan-out
                        self.model.add_max_equality(starts[d], [ends[d], *(node.extent[d] for node in nodes)])
            below.insert(0, starts)
            bottom.insert(0, ends)
        return below, bottom

    def _divides(self, inner: cp_model.IntVar, outer: cp_model.IntVar, literal: Literal | None = None) -> None:
        rows = [(i, o) for i in self.tables.domain(inner) for o in self.tables.domain(outer) if o % i == 0]
        constraint = self.model.add_allowed_assignments([inner, outer], rows)
        if literal is not None:
            constraint.only_enforce_if(literal)

    def _pairs(self) -> list[tuple[Slot, Slot]]:
        return [
            (a.slot, b.slot)
            for segment in range(self.space.segments)
            for a, b in combinations(self._segment(segment), 2)
        ]

    def _order(self, a: Slot, b: Slot) -> Literal | bool:
        """Whether `a` stands above `b`: two nodes of a segment are comparable, so that the nodes form one nest."""
        node_a, node_b = self.node(a), self.node(b)
        if a.tensor == b.tensor:  # slots are listed outermost first
            for d in self.space.dims:
                self._divides(node_b.extent[d], node_a.extent[d])
            return True
        above = self.model.new_bool_var(f"{a}_above_{b}")
        for d in self.space.dims:
            rows = [
                (x, y, order)
                for x in self.tables.domain(node_a.extent[d])
                for y in self.tables.domain(node_b.extent[d])
                for order, holds in ((1, x % y == 0), (0, y % x == 0))
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

    def _roll(self) -> None:
        """A node rolls along one dim at most, along the nearest loop above it: up to the next kept node."""
        rolls: dict[tuple[Slot, str], Literal] = {}
        for nodes in self.nodes.values():
            for node in nodes:
                for d in node.slot.rolls_along:
                    roll = self.model.new_bool_var(f"roll_{node.slot}_{d}")
                    rolls[node.slot, d] = roll
                    self._divides(node.extent[d], node.reach[d])
                    self.model.add(node.reach[d] == node.extent[d]).only_enforce_if(~roll)
                    self._divides(node.reach[d], self.below[node.slot.segment][d])
                    for other in self._segment(node.slot.segment):
                        if other is not node:
                            self._divides_if_above(node.reach[d], node, other, d)
                self.model.add_at_most_one(rolls[node.slot, d] for d in node.slot.rolls_along)
        for (a, b), tie in self.ties.items():  # nodes with one place have one nearest loop
            for d, e in product(a.rolls_along, b.rolls_along):
                if d == e:
                    same = self.node(a).reach[d] == self.node(b).reach[d]
                    self.model.add(same).only_enforce_if(tie, rolls[a, d], rolls[b, d])
                else:
                    self.model.add_bool_or([~tie, ~rolls[a, d], ~rolls[b, e]])

    def _divides_if_above(self, reach: cp_model.IntVar, node: Node, other: Node, d: str) -> None:
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
        self._divides(reach, other.extent[d], active)

    def _tie(self, a: Node, b: Node) -> Literal:
        """A literal that holds only where two nodes have equal extents, so that no loop need stand between them."""
        pair = (a.slot, b.slot) if (a.slot, b.slot) in self.above else (b.slot, a.slot)
        if pair not in self.ties:
            tie = self.model.new_bool_var(f"{a.slot}_at_{b.slot}")
            for d in self.space.dims:
                self.model.add(a.extent[d] == b.extent[d]).only_enforce_if(tie)
            self.ties[pair] = tie
        return self.ties[pair]

    def footprint(self, tensor: Tensor, node: Node, capacity: int) -> cp_model.IntVar:
        """Elements of the tensor's largest tile at a node; more than `capacity` are all the same."""
        ranks = []
        for rank in tensor.ranks:
            terms = [term for term in rank if term.dim in self.space.dims]
            coefs = [term.coef for term in terms]

            def extent(*x: int, coefs: list[int] = coefs) -> int:
                return sum(c * (n - 1) for c, n in zip(coefs, x, strict=True)) + 1

            ranks.append(self.tables.function([node.extent[t.dim] for t in terms], extent, f"rank_{node.slot}"))
        return self.tables.product(ranks, f"tile_{node.slot}", most=capacity)
