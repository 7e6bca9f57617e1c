"""The constraint model: every mapping of a mapspace as an assignment, its counts as linear expressions.

With storage nodes the words moved at a node depend on the tile extents there only, not on the order of loops. So the
variables are the extents at each node and the spatial factors, and each count is a table over a product of them
(`docs/search.md`). Traffic is in units of the tensor's plain ranks, which keeps tables and bounds small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import combinations, product, zip_longest

from ortools.sat.python import cp_model

from mapper.arch import FanOut
from mapper.ir import Rank, Role, Tensor
from mapper.search.mapspace import Mapspace, Slot
from mapper.search.tables import Linear, Literal, Tables

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


@dataclass(frozen=True, slots=True)
class Objective:
    """A sum of `terms` (price, units) and a `constant`, exact."""

    terms: tuple[tuple[Fraction, Linear], ...]
    constant: Fraction

    def value(self, solver: cp_model.CpSolver) -> Fraction:
        """The exact value in a solution."""
        return self.constant + sum((price * solver.value(units) for price, units in self.terms), Fraction(0))

    def integer(self, tables: Tables, most: int = 2**53) -> tuple[Linear, Fraction, bool]:
        """(expression, unit, exact): the value is `unit * expression + constant`.

        Where the expression could exceed `most`, beyond which solvers lose integers, the unit is coarser, prices are
        rounded down and `exact` is false: then the value is at least that.
        """
        denominator = math.lcm(*(price.denominator for price, _ in self.terms))
        prices = [int(price * denominator) for price, _ in self.terms]
        unit = math.gcd(*prices) or 1
        largest = sum(
            price // unit * tables.bound(units)[1] for price, (_, units) in zip(prices, self.terms, strict=True)
        )
        exact = largest <= most
        if not exact:
            unit *= -(-largest // most)
        expression = sum(price // unit * units for price, (_, units) in zip(prices, self.terms, strict=True))
        return expression, Fraction(unit, denominator), exact


class Model:
    """The CP-SAT model of a mapspace; `energy` is its linear objective, `cycles` adds a second one."""

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
        self._fit()

    # -- variables and structure ---------------------------------------------------------------------------------

    def _spatial(self) -> dict[tuple[str, str, str], cp_model.IntVar]:
        """The factor of each dim on each axis, by (fan-out, axis, dim)."""
        found = {}
        for fanout in self.arch.fanouts:
            for axis in fanout.axes:
                for d, values in self.space.extents.items():
                    allowed = (axis.dims is None or d in axis.dims) and (fanout.reduce or d in self.nest.output.dims)
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

    def _fit(self) -> None:
        """The tiles kept in a memory fit it."""
        for memory in self.arch.memories[1:]:
            if memory.tile_words is None:
                continue
            tiles: list[Linear] = []
            for tensor in self.nest.tensors:
                for node in self.nodes[tensor.name]:
                    if node.slot.memory == memory.name:
                        size = self._footprint(tensor, node, memory.tile_words)
                        tiles.append(self.tables.when(node.keep, size, f"tile_{node.slot}"))
            self.model.add(sum(tiles) <= memory.tile_words)

    def _footprint(self, tensor: Tensor, node: Node, capacity: int) -> cp_model.IntVar:
        ranks = []
        for rank in tensor.ranks:
            terms = [term for term in rank if term.dim in self.space.dims]
            coefs = [term.coef for term in terms]

            def extent(*x: int, coefs: list[int] = coefs) -> int:
                return sum(c * (n - 1) for c, n in zip(coefs, x, strict=True)) + 1

            ranks.append(self.tables.function([node.extent[t.dim] for t in terms], extent, f"rank_{node.slot}"))
        return self.tables.product(ranks, f"tile_{node.slot}", most=capacity)

    # -- traffic ---------------------------------------------------------------------------------------------------

    def scale(self, tensor: Tensor) -> int:
        """Words in a unit of the tensor's traffic: the extents of its plain ranks."""
        return math.prod(self.space.dims[t.dim] for t in self._plain(tensor))

    def _terms(self, rank: Rank) -> Rank:
        return tuple(term for term in rank if term.dim in self.space.dims)

    def _plain(self, tensor: Tensor) -> Rank:
        """The ranks that are a single dim, whose total over all tiles is always their extent."""
        terms = map(self._terms, tensor.ranks)
        return tuple(t[0] for t in terms if len(t) == 1 and t[0].coef == 1)

    def traffic(self, tensor: Tensor, node: Node | None, segment: int) -> cp_model.IntVar:
        """Units of all tiles of a node (None: of the compute unit), as seen from `segment` at or above it.

        The networks between coalesce instances that differ in irrelevant dims only, where they can.
        """
        return self._traffic(tensor.name, node.slot if node else None, segment)

    @cache  # noqa: B019
    def _traffic(self, name: str, slot: Slot | None, segment: int) -> cp_model.IntVar:
        tensor = self.nest.tensor(name)
        at = slot.segment if slot else self.space.segments - 1
        joined = [f for f in self.arch.fanouts[segment:at] if f.coalesces(tensor.role)]
        one = self.tables.constant(1)
        extent = self.node(slot).extent if slot else dict.fromkeys(self.space.dims, one)
        reach = self.node(slot).reach if slot else extent
        label = f"{slot or tensor.name}@{segment}"
        factors = []
        for d, n in self.space.dims.items():
            if d not in tensor.dims:
                spread = self.tables.product([self.factor(f, d) for f in joined], f"joined_{label}_{d}")

                def cuts(x: int, s: int, n: int = n) -> int | None:
                    return n // (x * s) if n % (x * s) == 0 else None

                factors.append(self.tables.function((extent[d], spread), cuts, f"cuts_{label}_{d}"))
        count = self.tables.product(factors, f"cuts_{label}")
        plain = {t.dim for t in self._plain(tensor)}
        volumes = [
            self._volume(terms, extent, reach, label)
            for terms in map(self._terms, tensor.ranks)
            if terms and terms[0].dim not in plain
        ]
        return self.tables.product((self.tables.product(volumes, f"volume_{label}"), count), f"traffic_{label}")

    def _volume(self, terms: Rank, extent: Extents, reach: Extents, label: str) -> cp_model.IntVar:
        """Words of all tiles in a rank whose tiles overlap or leave holes, rolling windows loaded once."""
        rolling = [t.dim for t in terms if reach[t.dim] is not extent[t.dim]]
        totals = [self.space.dims[t.dim] for t in terms]

        def volume(*values: int) -> int | None:
            x, reached = values[: len(terms)], dict(zip(rolling, values[len(terms) :], strict=True))
            if any(reached[t.dim] % n for t, n in zip(terms, x, strict=True) if t.dim in reached):
                return None
            counts = [total // n for total, n in zip(totals, x, strict=True)]
            words = math.prod(counts) * (sum(t.coef * (n - 1) for t, n in zip(terms, x, strict=True)) + 1)
            for i, t in enumerate(terms):
                if reached.get(t.dim, x[i]) != x[i]:
                    pairs = (counts[i] - totals[i] // reached[t.dim]) * math.prod(counts) // counts[i]
                    rest = sum(o.coef * (n - 1) for j, (o, n) in enumerate(zip(terms, x, strict=True)) if j != i)
                    words -= pairs * max(0, rest + 1 - t.coef)
            return words

        arguments = [extent[t.dim] for t in terms] + [reach[d] for d in rolling]
        return self.tables.function(arguments, volume, f"volume_{label}")

    def arrivals(self, tensor: Tensor, index: int, segment: int) -> Linear:
        """Units that cross `segment` upwards or downwards for the kept nodes from the `index`-th on, inwards."""
        nodes = self.nodes[tensor.name]
        if index == len(nodes):
            return self.traffic(tensor, None, segment)
        node = nodes[index]
        own = self.traffic(tensor, node, segment)
        innermost = node.slot.segment == self.space.segments - 1
        if isinstance(node.keep, bool) or (innermost and not any(n.slot.rolls_along for n in nodes[index:])):
            return own  # bypassed, such a node is pinned to the compute unit's extents and sees its traffic
        name = f"arrive_{node.slot}@{segment}"
        passed = self.tables.when(~node.keep, self.arrivals(tensor, index + 1, segment), f"{name}_passed")
        return self.tables.when(node.keep, own, name) + passed

    def first_in(self, tensor: Tensor, segment: int) -> int:
        """Index of the tensor's first node in or below a segment."""
        return sum(node.slot.segment < segment for node in self.nodes[tensor.name])

    @cached_property
    def fresh(self) -> list[Linear]:
        """By segment, the units of output visits that begin from zero at a node there: one, and all reductions."""
        output = self.nest.output
        found: list[Linear] = [1]
        for segment in range(self.space.segments - 1):
            first = self.first_in(output, segment + 1)
            reduced = self.arrivals(output, first, segment + 1) - self.arrivals(output, first, segment)
            found.append(found[-1] + reduced)
        return found

    @cached_property
    def accesses(self) -> dict[tuple[str, str], tuple[Linear, Linear]]:
        """Units read and written at each storage node, 0 where it is not kept, by (memory, tensor)."""
        found: dict[tuple[str, str], tuple[Linear, Linear]] = {}
        for tensor in self.nest.tensors:
            output = tensor.role is Role.OUTPUT
            top = self.arrivals(tensor, 0, 0)
            found[self.arch.home.name, tensor.name] = (top - 1, top) if output else (top, 0)
            for index, node in enumerate(self.nodes[tensor.name]):
                slot = node.slot
                arrivals = self.arrivals(tensor, index + 1, slot.segment)
                own = self.traffic(tensor, node, slot.segment)
                fresh = self.fresh[slot.segment] if output else 0
                reads, writes = (arrivals - fresh + own, arrivals + own - fresh) if output else (arrivals, own)
                found[slot.memory, slot.tensor] = (
                    self.tables.when(node.keep, reads, f"reads_{slot}"),
                    self.tables.when(node.keep, writes, f"writes_{slot}"),
                )
        return found

    @cached_property
    def moves(self) -> dict[tuple[str, str], tuple[Linear, Linear]]:
        """Units delivered and partial sums added on each network, by (fan-out, tensor)."""
        found: dict[tuple[str, str], tuple[Linear, Linear]] = {}
        for segment, fanout in enumerate(self.arch.fanouts):
            for tensor in self.nest.tensors:
                first = self.first_in(tensor, segment + 1)
                below = self.arrivals(tensor, first, segment + 1)
                if tensor.role is not Role.OUTPUT:
                    found[fanout.name, tensor.name] = (below, 0)
                    continue
                keeps = [node.keep for node in self.nodes[tensor.name][first:]]
                kept: Literal | bool = any(k is True for k in keeps)
                if keeps and not kept:
                    kept = self.model.new_bool_var(f"kept_below_{fanout.name}")
                    self.model.add_max_equality(kept, keeps)
                refills = self.tables.when(kept, below - self.fresh[segment + 1], f"refills_{fanout.name}")
                found[fanout.name, tensor.name] = (refills, self.fresh[segment + 1] - self.fresh[segment])
        return found

    # -- objectives --------------------------------------------------------------------------------------------------

    @cached_property
    def energy(self) -> Objective:
        """The energy of the mapping."""
        terms: list[tuple[Fraction, Linear]] = []
        for memory in self.arch.memories:
            for tensor in self.nest.tensors:
                reads, writes = self.accesses.get((memory.name, tensor.name), (0, 0))
                words = self.scale(tensor)
                terms += [(words * memory.read_energy, reads), (words * memory.write_energy, writes)]
        for fanout in self.arch.fanouts:
            for tensor in self.nest.tensors:
                delivered, reduced = self.moves[fanout.name, tensor.name]
                words = self.scale(tensor)
                terms += [(words * fanout.deliver_energy, delivered), (words * fanout.reduce_energy, reduced)]
        charged = tuple(
            (energy, units) for energy, units in terms if energy and not (isinstance(units, int) and units == 0)
        )
        return Objective(charged, self.nest.operations * self.arch.compute.energy)

    def active(self) -> cp_model.IntVar:
        """Instances of the compute unit that the mapping uses."""
        return self._active(len(self.arch.fanouts))

    @cache  # noqa: B019
    def _active(self, fanouts: int) -> cp_model.IntVar:
        factors = [self.factor(f, d) for f in self.arch.fanouts[:fanouts] for d in self.space.dims]
        return self.tables.product(factors, f"active{fanouts}")

    def cycles(self, most: int) -> cp_model.IntVar | None:
        """A variable, at most `most`, that is at least the cycles of the compute unit and of every memory port.

        None where a port's words times the digits of its bandwidth exceed the solver's integers.
        """
        if most > 2**53:
            return None
        operations, rate = self.nest.operations, self.arch.compute.rate
        cycles = self.model.new_int_var(1, most, "cycles")

        def needed(active: int) -> int:
            return -(-(operations // active) // rate)

        self.model.add(cycles >= self.tables.function((self.active(),), needed, "compute_cycles"))
        for memory in self.arch.memories:
            ports: list[tuple[Fraction | None, Callable[[Linear, Linear], Linear]]] = [
                (memory.read_bandwidth, lambda reads, _: reads),
                (memory.write_bandwidth, lambda _, writes: writes),
                (memory.shared_bandwidth, lambda reads, writes: reads + writes),
            ]
            for bandwidth, counted in ports:
                if bandwidth is not None:
                    words = sum(
                        self.scale(self.nest.tensor(tensor)) * counted(*access)
                        for (name, tensor), access in self.accesses.items()
                        if name == memory.name
                    )
                    available = self._instance_cycles(cycles, most, self.arch.segment[memory.name])
                    needed_most = bandwidth.denominator * self.tables.bound(words)[1]
                    if needed_most + bandwidth.numerator * most * self.arch.peak_operations > 2**62:
                        return None
                    self.model.add(bandwidth.denominator * words <= bandwidth.numerator * available)
        return cycles

    def _instance_cycles(self, cycles: cp_model.IntVar, most: int, segment: int) -> cp_model.IntVar:
        """Cycles x the instances used of a memory in that segment."""
        if segment == 0:
            return cycles
        used = self._active(segment)
        largest = most * self.tables.domain(used)[-1]
        result = self.model.new_int_var(1, largest, f"cycles_x_instances{segment}")
        self.model.add_multiplication_equality(result, [cycles, used])
        return result
