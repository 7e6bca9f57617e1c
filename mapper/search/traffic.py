"""Traffic of every mapping of a model as linear expressions: elements, words and lines at each node and network.

Elements of a tensor are counted in units of its plain ranks, which keeps tables and bounds small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import product

from ortools.sat.python import cp_model

from mapper.arch import FanOut, Memory
from mapper.ir import Rank, Role, Tensor
from mapper.search.extents import pieces_of
from mapper.search.halo import Boundaries, states, unions
from mapper.search.mapspace import Slot
from mapper.search.model import Extents, Model, Node
from mapper.search.tables import Linear, Literal, added


@dataclass(frozen=True, slots=True)
class Flow:
    """Units read and written at a node, those that are partial sums apart from the others."""

    reads: Linear = 0
    writes: Linear = 0
    partial_reads: Linear = 0
    partial_writes: Linear = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """Units on a network: delivered to an instance, added to another, and passing its outer end."""

    delivered: Linear
    reduced: Linear
    passed: Linear


Sum = tuple[tuple[int, Linear], ...]
"""(coefficient, expression) pairs, to be added up."""


class Traffic:
    """What the mappings of a model move."""

    def __init__(self, model: Model) -> None:
        self.built, self.space, self.nest, self.arch = model, model.space, model.nest, model.arch
        self.tables, self.nodes, self.model = model.tables, model.nodes, model.model

    def scale(self, tensor: Tensor) -> int:
        """Elements in a unit of the tensor's traffic: the extents of its plain ranks."""
        return math.prod(self.space.dims[t.dim] for t in self._plain(tensor))

    def _terms(self, rank: Rank) -> Rank:
        return tuple(term for term in rank if term.dim in self.space.dims)

    def _plain(self, tensor: Tensor) -> Rank:
        """The ranks that are a single dim, whose total over all tiles is always their extent."""
        terms = map(self._terms, tensor.ranks)
        return tuple(t[0] for t in terms if len(t) == 1 and t[0].coef == 1)

    def tiles(self, tensor: Tensor, node: Node | None, segment: int, *, every: bool = False) -> cp_model.IntVar:
        """Units of all tiles of a node (None: of the compute unit), as seen from `segment` at or above it.

        The networks between coalesce instances that differ in irrelevant dims only, where they can, or `every` one.
        """
        return self._tiles(tensor.name, node.slot if node else None, segment, every)

    @cache  # noqa: B019
    def _tiles(self, name: str, slot: Slot | None, segment: int, every: bool) -> cp_model.IntVar:
        tensor = self.nest.tensor(name)
        at = slot.segment if slot else self.space.segments - 1
        joined = tuple(s for s in range(segment, at) if every or self.arch.fanouts[s].coalesces(tensor.role))
        one = self.tables.constant(1)
        extent = self.built.node(slot).extent if slot else dict.fromkeys(self.space.dims, one)
        reach = self.built.node(slot).reach if slot else extent
        label = f"{slot or tensor.name}@{segment}"
        factors = []
        for d in self.space.dims:
            if d not in tensor.dims:
                length = self.built.joined(d, joined)
                rule = quotient if d in self.space.dividing else pieces_of
                factors.append(self.tables.function((length, extent[d]), rule, f"cuts_{label}_{d}"))
        count = self.tables.product(factors, f"cuts_{label}")
        plain = {t.dim for t in self._plain(tensor)}
        volumes = []
        for terms in map(self._terms, tensor.ranks):
            shared = {t.dim: self.space.sharing(tensor, joined, t.dim) for t in terms}
            if len(terms) > 1 and any(shared.values()):
                volumes.append(self._unions(terms, shared, extent, reach, label))
            elif terms and terms[0].dim not in plain:
                volumes.append(self._volume(terms, extent, reach, label))
        total = count
        for volume in volumes:
            total = self.tables.scaled(total, volume, f"traffic_{label}")
        return total

    def _volume(self, terms: Rank, extent: Extents, reach: Extents, label: str) -> cp_model.IntVar:
        """Elements of all tiles in a rank whose tiles overlap or leave holes, rolling windows loaded once."""
        rolling = [t.dim for t in terms if reach[t.dim] is not extent[t.dim]]
        totals = [self.space.dims[t.dim] for t in terms]

        def volume(*values: int) -> int | None:
            x, reached = values[: len(terms)], dict(zip(rolling, values[len(terms) :], strict=True))
            if not all(
                self.space.nests(t.dim, n, reached[t.dim]) for t, n in zip(terms, x, strict=True) if t.dim in reached
            ):
                return None
            words = rank_words(terms, totals, x)
            for i, t in enumerate(terms):
                if reached.get(t.dim, x[i]) != x[i]:
                    pairs = pieces_of(totals[i], x[i]) - pieces_of(totals[i], reached[t.dim])
                    words -= pairs * shared_words(i, terms, totals, x)
            return words

        arguments = [extent[t.dim] for t in terms] + [reach[d] for d in rolling]
        return self.tables.function(arguments, volume, f"volume_{label}")

    def _unions(
        self, terms: Rank, shared: Mapping[str, tuple[int, ...]], extent: Extents, reach: Extents, label: str
    ) -> cp_model.IntVar:
        """Elements of a rank that are read of all tiles, where instances below `shared` segments share their halos."""
        dims, found = [], []
        for t in terms:
            d, segments = t.dim, shared[t.dim]
            ends = [end for s in segments for end in (self.built.bottom[s][d], self.built.below[s + 1][d])]
            ends += [reach[d]] * (reach[d] is not extent[d]) + [extent[d]]
            rooms = tuple(self.space.halos[s][d] for s in segments)
            dims.append(Boundaries(self.space.dims[d], t.coef, tuple(map(self.tables.domain, ends)), rooms))
            found.append(self.tables.listed(ends, states(dims[-1])[0], f"state_{label}_{d}"))
        return self.tables.listed(found, unions(tuple(dims)), f"union_{label}")

    def arrivals(self, tensor: Tensor, index: int, segment: int, *, every: bool = False) -> Linear:
        """Units that cross `segment` upwards or downwards for the kept nodes from the `index`-th on, inwards."""
        nodes = self.nodes[tensor.name]
        if index == len(nodes):
            return self.tiles(tensor, None, segment, every=every)
        node = nodes[index]
        own = self.tiles(tensor, node, segment, every=every)
        innermost = node.slot.segment == self.space.segments - 1
        if isinstance(node.keep, bool) or (innermost and not any(n.slot.rolls_along for n in nodes[index:])):
            return own  # bypassed, such a node is pinned to the compute unit's extents and sees its traffic
        name = f"arrive_{node.slot}@{segment}"
        passed = self.tables.when(~node.keep, self.arrivals(tensor, index + 1, segment, every=every), f"{name}_passed")
        return added((1, self.tables.when(node.keep, own, name)), (1, passed))

    def first_in(self, tensor: Tensor, segment: int) -> int:
        """Index of the tensor's first node in or below a segment."""
        return sum(node.slot.segment < segment for node in self.nodes[tensor.name])

    @cached_property
    def fresh(self) -> list[Linear]:
        """By segment, the units of output visits that begin from zero at a node there.

        One, and all parts of sums on the networks above, whether they add them or the memory further out does.
        """
        output = self.nest.output
        found: list[Linear] = [1]
        for segment in range(self.space.segments - 1):
            first = self.first_in(output, segment + 1)
            above, below = (self.arrivals(output, first, s, every=True) for s in (segment, segment + 1))
            found.append(added((1, found[-1]), (1, below), (-1, above)))
        return found

    @cached_property
    def complete(self) -> list[Literal | bool]:
        """By segment, whether an output node there comes to hold results: no network above adds parts of sums."""
        found: list[Literal | bool] = [True]
        reductions = [d for d in self.space.dims if d not in self.nest.output.dims]
        for segment in range(1, self.space.segments):
            parts = self.tables.product([self.built.summands(d, segment) for d in reductions], f"parts{segment}")
            if self.tables.domain(parts) == (1,):
                found.append(True)
                continue
            whole = self.tables.literal(f"complete{segment}")
            self.model.add(parts == 1).only_enforce_if(whole)
            self.model.add(parts >= 2).only_enforce_if(~whole)
            found.append(whole)
        return found

    @cached_property
    def flows(self) -> dict[tuple[str, str], Flow]:
        """Units at each storage node, 0 where it is not kept, by (memory, tensor)."""
        found: dict[tuple[str, str], Flow] = {}
        for tensor in self.nest.tensors:
            output = tensor.role is Role.OUTPUT
            top = self.arrivals(tensor, 0, 0)
            again = added((1, top), (-1, 1))
            found[self.arch.home.name, tensor.name] = Flow(0, 1, again, again) if output else Flow(top)
            for index, node in enumerate(self.nodes[tensor.name]):
                slot = node.slot
                arrivals = self.arrivals(tensor, index + 1, slot.segment)
                own = self.tiles(tensor, node, slot.segment)
                if not output:
                    flow = Flow(arrivals, own)
                else:
                    result = self._results(slot)
                    part = added((1, arrivals), (-1, self.fresh[slot.segment]), (1, own), (-1, result))
                    flow = Flow(result, result, part, part)
                found[slot.memory, slot.tensor] = self._when(node, flow)
        return found

    def _results(self, slot: Slot) -> Linear:
        """Units of results that come to a kept output node, and leave it: one or none.

        Where partial sums take the same words as results, they are not told apart.
        """
        memory, output = self.arch.memory(slot.memory), self.nest.output
        widths = {_width(memory, bits) for bits in (self.arch.bits(output), self.arch.partial_bits(self.nest))}
        if len(widths) == 1 and max(widths)[1] == 1:
            return 0
        return self.complete_units(slot.segment)

    def _when(self, node: Node, flow: Flow) -> Flow:
        def kept(units: Linear, name: str) -> Linear:
            return self.tables.when(node.keep, units, f"{name}_{node.slot}")

        return Flow(
            kept(flow.reads, "reads"),
            kept(flow.writes, "writes"),
            kept(flow.partial_reads, "partial_reads"),
            kept(flow.partial_writes, "partial_writes"),
        )

    @cached_property
    def words(self) -> dict[tuple[str, str], tuple[Sum, Sum]]:
        """Words read from and written to each storage node, by (memory, tensor)."""
        found = {}
        for (name, tensor), flow in self.flows.items():
            memory, v = self.arch.memory(name), self.nest.tensor(tensor)
            bits, partial = _width(memory, self.arch.bits(v)), _width(memory, self.arch.partial_bits(self.nest))

            def total(results: Linear, sums: Linear, label: str) -> Sum:
                units = [(results, bits), (sums, partial)]  # noqa: B023  (called in this iteration only)
                return tuple(
                    (coef * several, expression)
                    for linear, (several, each) in units
                    if not isinstance(linear, int) or linear
                    for coef, expression in self._divided(((self.scale(v), linear),), each, label)  # noqa: B023
                )

            label = f"{name}:{tensor}"
            found[name, tensor] = (
                total(flow.reads, flow.partial_reads, f"words_read_{label}"),
                total(flow.writes, flow.partial_writes, f"words_written_{label}"),
            )
        return found

    @cached_property
    def lines(self) -> dict[tuple[str, str], tuple[Sum, Sum]]:
        """Accesses to each storage node, a line each, reading and writing, by (memory, tensor)."""
        found = {}
        for (name, tensor), (reads, writes) in self.words.items():
            line = self.arch.memory(name).line_words
            found[name, tensor] = (
                self._divided(reads, line, f"lines_read_{name}:{tensor}"),
                self._divided(writes, line, f"lines_written_{name}:{tensor}"),
            )
        return found

    def _divided(self, found: Sum, divisor: int, name: str) -> Sum:
        """A sum over a divisor, rounded up."""
        if all(coef % divisor == 0 for coef, _ in found):
            return tuple((coef // divisor, expression) for coef, expression in found)
        return ((1, self.tables.rounded_up(added(*found), divisor, name)),)

    @cached_property
    def passages(self) -> dict[tuple[str, str], Passage]:
        """Units on each network, by (fan-out, tensor)."""
        found: dict[tuple[str, str], Passage] = {}
        for segment, fanout in enumerate(self.arch.fanouts):
            for tensor in self.nest.tensors:
                first = self.first_in(tensor, segment + 1)
                above, below = (self.arrivals(tensor, first, s) for s in (segment, segment + 1))
                if tensor.role is not Role.OUTPUT:
                    found[fanout.name, tensor.name] = Passage(below, 0, above)
                    continue
                keeps = [node.keep for node in self.nodes[tensor.name][first:]]
                kept: Literal | bool = any(k is True for k in keeps)
                if keeps and not kept:
                    kept = self.model.new_bool_var(f"kept_below_{fanout.name}")
                    self.model.add_max_equality(kept, keeps)
                started = added(
                    (1, self.arrivals(tensor, first, segment + 1, every=True)), (-1, self.fresh[segment + 1])
                )
                refilled = self.tables.when(kept, started, f"refilled_{fanout.name}")
                reduced, passed = added((1, below), (-1, above)), added((1, above), (1, refilled))
                found[fanout.name, tensor.name] = Passage(refilled, reduced, passed)
        return found

    @cache  # noqa: B019
    def instances(self, fanouts: int) -> cp_model.IntVar:
        """Instances that the mapping uses of what stands below so many fan-outs."""
        factors = [self.built.instances(d, fanouts) for d in self.space.dims]
        most = math.prod(fanout.size for fanout in self.arch.fanouts[:fanouts])
        return self.tables.product(factors, f"active{fanouts}", most=most)

    def hops(self, fanout: FanOut, tensor: Tensor) -> cp_model.IntVar:
        """Units of steps along the axes of a network."""
        used = [
            self.tables.product([self.built.spatial[fanout.name, axis.name, d] for d in self.space.dims], "used")
            for axis in fanout.axes
        ]
        length = self.tables.function(used, lambda *n: sum(n), f"length_{fanout.name}")
        label = f"hops_{fanout.name}_{tensor.name}"
        return self.tables.times(self.passages[fanout.name, tensor.name].passed, length, label)

    def fit(self, most: Mapping[str, int]) -> None:
        """Demand that the tiles kept in a memory fit it, and take no more than `most` words, by memory."""
        for memory in self.arch.memories[1:]:
            limits = [] if memory.tile_words is None else [memory.tile_words]
            if memory.name in most:
                limits.append(most[memory.name] // (2 if memory.double_buffered else 1))
            if limits:
                self.model.add(self.tile_words(memory) <= min(limits))

    def tile_words(self, memory: Memory) -> Linear:
        """Words that the tiles kept in a memory take together."""
        return added(
            *(
                (1, self._tile_words(tensor, index, memory))
                for tensor in self.nest.tensors
                for index, node in enumerate(self.nodes[tensor.name])
                if node.slot.memory == memory.name
            )
        )

    def _tile_words(self, tensor: Tensor, index: int, memory: Memory) -> Linear:
        """Words that the tile of the tensor's `index`-th node takes of its memory."""
        node, bits = self.nodes[tensor.name][index], self.arch.bits(tensor)
        elements = self.built.footprint(tensor, node)
        width, partial_width = _width(memory, bits), _width(memory, self.arch.partial_bits(self.nest))
        size = self._words(elements, width, f"words_{node.slot}")
        if tensor.role is Role.OUTPUT and Fraction(*partial_width) > Fraction(*width):
            partial = self.model.new_bool_var(f"partial_{node.slot}")
            segment = node.slot.segment
            parts = added((1, self.arrivals(tensor, index + 1, segment)), (-1, self.complete_units(segment)))
            self.model.add(parts >= 1).only_enforce_if(partial)
            self.model.add(parts <= 0).only_enforce_if(~partial)
            wide = self._words(elements, partial_width, f"wide_{node.slot}")
            size = added(
                (1, self.tables.when(partial, wide, f"wide_tile_{node.slot}")),
                (1, self.tables.when(~partial, size, f"narrow_tile_{node.slot}")),
            )
        return self.tables.when(node.keep, size, f"tile_{node.slot}")

    def _words(self, elements: cp_model.IntVar, width: tuple[int, int], name: str) -> Linear:
        """Words that so many elements take, of a width."""
        words, together = width
        return self.tables.rounded_up(elements, together, name) if together > 1 else words * elements

    def complete_units(self, segment: int) -> Linear:
        """Units of results that come to an output node in that segment."""
        complete = self.complete[segment]
        return int(complete) if isinstance(complete, bool) else complete


def _width(memory: Memory, bits: int | None) -> tuple[int, int]:
    """(words of an element, elements in a word), one of them 1."""
    if bits is None:
        return 1, 1
    if bits > memory.word_bits:
        return memory.words(1, bits), 1
    return 1, memory.word_bits // bits if memory.packed else 1


def quotient(length: int, extent: int) -> int | None:
    """Pieces of a length that they divide."""
    return length // extent if length % extent == 0 else None


def rank_words(terms: Rank, totals: Sequence[int], extents: Sequence[int]) -> int:
    """Elements of a rank in all tiles together: each has `1 + sum(coef * (piece - 1))`."""
    counts = list(map(pieces_of, totals, extents))
    every = math.prod(counts)
    longer = (t.coef * (n - c) * (every // c) for t, n, c in zip(terms, totals, counts, strict=True))
    return every + sum(longer)


def shared_words(rolled: int, terms: Rank, totals: Sequence[int], extents: Sequence[int]) -> int:
    """Elements that consecutive tiles along the `rolled`-th term share, over all pieces of the other dims."""
    others = [
        (t.coef, ((x, n // x), (n % x, min(1, n % x))))
        for i, (t, n, x) in enumerate(zip(terms, totals, extents, strict=True))
        if i != rolled
    ]
    shared = 0
    for pieces in product(*(sizes for _, sizes in others)):
        reach = sum(coef * (size - 1) for (coef, _), (size, _) in zip(others, pieces, strict=True))
        shared += max(0, reach + 1 - terms[rolled].coef) * math.prod(count for _, count in pieces)
    return shared
