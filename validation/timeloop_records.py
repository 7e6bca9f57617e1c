"""Timeloop's records: what it was given and what it counted, and the same mappings in our notation.

A record's mapping has a tile and an order of temporal loops for each level. Ours has a storage node for each tensor,
whose place says when its tile is loaded: where Timeloop sees that a loop leaves the tile as it is, the node stands
above that loop.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.ir import LoopNest, Role, Tensor, Term
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor

DATA = Path(__file__).parents[1] / "tests" / "data" / "timeloop"
FILES = ("eyeriss_14x12", "simple_16x16", "small_4x4")
ROLES = {"I": Role.INPUT, "W": Role.WEIGHT, "O": Role.OUTPUT}
ARRAY, MAC = "PE", "MAC"
"""Names of the fan-out and the compute unit of every machine here."""

Node = tuple[str, str]
"""(memory, tensor)"""


class InexpressibleError(ValueError):
    """A mapping of Timeloop's for which there is none of ours; the message names the two nodes that are in the way."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What Timeloop counted at a memory for a tensor: words of all instances together, `capacity` those of one.

    `fills` arrive from above, `updates` from below; `reductions` are the updates that were added to a word.
    """

    capacity: int
    instances: int
    reads: int
    fills: int
    updates: int
    reductions: int
    energy: Fraction


@dataclass(frozen=True, slots=True)
class Bound:
    """A loop of Timeloop's: `times` iterations over `dim`, which are `distance` apart; spatial if it has an `axis`.

    It belongs to the level number `level` of the record, 0 the outermost.
    """

    dim: str
    times: int
    distance: int
    level: int
    axis: str | None = None


@dataclass(frozen=True, eq=False)
class Record:
    """A run of Timeloop.

    `levels` has the memories and the tensors that each keeps, outermost first; `bounds` the loops, outermost first;
    `cycles` those of each memory and of MAC, the compute unit; `utilization` is the printed one; `every_step` are the
    tallies of inputs with all iterations visited, where they were taken (small_4x4); `linked` says there whether the
    tallies are others without link transfers.
    """

    name: str
    nest: LoopNest
    architecture: Architecture
    levels: tuple[tuple[str, str], ...]
    bounds: tuple[Bound, ...]
    instances: int
    utilization: str
    cycles: Dict[str, int]
    tallies: Dict[Node, Tally]
    spatial_reductions: int
    link_transfers: int
    every_step: Dict[Node, Tally] | None
    linked: bool | None

    @cached_property
    def memories(self) -> tuple[str, ...]:
        """The memories, outermost first."""
        return tuple(name for name, _ in self.levels)

    @cached_property
    def temporal(self) -> tuple[Bound, ...]:
        """The temporal loops, outermost first."""
        return tuple(bound for bound in self.bounds if bound.axis is None)

    @cached_property
    def spatial(self) -> tuple[Bound, ...]:
        """The spatial loops, outermost first."""
        return tuple(bound for bound in self.bounds if bound.axis is not None)

    def inside_array(self, memory: str) -> bool:
        """Whether each instance of the array has one."""
        return self.architecture.segment[memory] > 0

    def kept(self, tensor: str) -> tuple[str, ...]:
        """The memories that keep a tensor, outermost first."""
        return tuple(memory for memory, tensors in self.levels if tensor in tensors)

    def base(self, memory: str) -> int:
        """How many temporal loops stand above the tiles of a memory: all those of the memories outside."""
        level = self.memories.index(memory)
        return sum(bound.level < level for bound in self.temporal)

    def place(self, memory: str, tensor: str) -> int:
        """How many temporal loops stand above our node.

        Those of `base`, less the innermost ones that do not move the tile: their dims are irrelevant to the tensor.
        """
        relevant, place = self.nest.tensor(tensor).dims, self.base(memory)
        while place > 0 and self.temporal[place - 1].dim not in relevant:
            place -= 1
        return 0 if memory == self.memories[0] else place


def mapping_of(record: Record, rolling: Sequence[str] = ()) -> Mapping:
    """The record's mapping in our notation; the inputs' nodes at the memories of `rolling` roll.

    The spatial loops move outwards over the temporal loops above which a node inside the array has to stand. Raises
    InexpressibleError if a node outside the array then were below them, or if a node cannot roll: the spatial loops
    would stand between it and its loop, or lie along that loop's own dim, so that moving them would space them anew.
    """
    places = {(memory, t): record.place(memory, t) for memory, tensors in record.levels for t in tensors}
    inside = {node: place for node, place in places.items() if record.inside_array(node[0])}
    outside = {node: place for node, place in places.items() if node not in inside}
    around = sum(bound.level <= record.spatial[0].level for bound in record.temporal) if record.spatial else 0
    cut = min([around, *inside.values()])
    for memory in rolling:
        if record.spatial and record.inside_array(memory) and places[memory, "I"] == cut:
            cut -= 1
            if any(bound.dim == record.temporal[cut].dim for bound in record.spatial):
                raise InexpressibleError(f"{memory} I rolls along a dim that is unrolled")
    lowest = max(outside, key=outside.__getitem__)
    if record.spatial and outside[lowest] > cut:
        first = min(inside, key=inside.__getitem__)
        raise InexpressibleError(f"{' '.join(first)} above {' '.join(lowest)}")
    return Mapping(tuple(_items(record, places, cut, rolling)))


def _items(record: Record, places: Dict[Node, int], cut: int, rolling: Sequence[str]) -> Iterator[Item]:
    """Nodes and loops in order: the spatial ones behind `cut` temporal loops and the nodes outside the array there."""
    tile = dict(record.nest.dims)
    for place in range(len(record.temporal) + 1):
        here = [node for node in places if places[node] == place]
        spatial = record.spatial if place == cut else ()
        for inside, bounds in ((False, spatial), (True, record.temporal[place : place + 1])):
            yield from (Keep(m, t, t == "I" and m in rolling) for m, t in here if record.inside_array(m) is inside)
            for bound in bounds:
                tile[bound.dim] //= bound.times
                step = tile[bound.dim]
                yield ParFor(bound.dim, step, ARRAY, bound.axis) if bound.axis else Loop(bound.dim, step)


@cache
def records() -> tuple[Record, ...]:
    """All records, by file."""
    texts = [(DATA / f"{file}.json").read_text("utf-8") for file in FILES]
    return tuple(record for text in texts for record in _file(json.loads(text, parse_float=Fraction)))


def machine(record: Record, *, rolling: bool = False, halo: bool = False) -> Architecture:
    """The record's machine, with abilities that make our model count as Timeloop does: see `validation.timeloop`."""
    levels = [_able(level, rolling, halo) for level in record.architecture.levels]
    return Architecture(record.architecture.name, tuple(levels))


def _able(level: Memory | FanOut | Compute, rolling: bool, halo: bool) -> Memory | FanOut | Compute:
    match level:
        case Memory():
            return replace(level, rolling=rolling)
        case FanOut():
            return replace(level, halo=halo)
    return level


def _file(data: dict[str, Any]) -> Iterator[Record]:
    architecture = _architecture(data["arch"])
    nests = {name: _nest(problem) for name, problem in data["problems"].items()}
    small = data["arch"]["name"] == "small_4x4"
    for raw in data["records"]:
        tallies = _tallies(raw["counts"])
        levels, bounds = _mapping(raw["mapping"])
        yield Record(
            name=f"{data['arch']['name']} {raw['id']}",
            nest=nests[raw["problem"]],
            architecture=architecture,
            levels=levels,
            bounds=bounds,
            instances=raw["instances"],
            utilization=raw["utilization"],
            cycles=raw["cycles"],
            tallies=tallies,
            spatial_reductions=raw["spatial_reductions"],
            link_transfers=raw["link_transfers"],
            every_step=tallies | _tallies(raw.get("counts_every_step", {})) if small else None,
            linked="counts_without_links" in raw if small else None,
        )


def _architecture(raw: dict[str, Any]) -> Architecture:
    levels: list[Memory | FanOut | Compute] = []
    for level in raw["levels"]:
        energy, bandwidth = Fraction(level["energy_per_word"]), level["shared_bandwidth"]
        levels.append(
            Memory(
                level["name"],
                level["entries"],
                raw["word_bits"],
                read_energy=energy,
                write_energy=energy,
                shared_bandwidth=None if bandwidth is None else Fraction(bandwidth),
            )
        )
        if level["name"] == raw["fanout_below"]:
            levels.append(
                FanOut(ARRAY, tuple(Axis(name, size) for name, size in zip("xy", raw["fanout"], strict=True)))
            )
    return Architecture(raw["name"], (*levels, Compute(MAC, energy=Fraction(raw["mac_energy"]))))


def _nest(raw: dict[str, Any]) -> LoopNest:
    """`P*s` and `Q*s` are strided, `R*d` and `S*d` dilated; the first of each pair belongs to P and R."""
    by = {"s": dict(zip("PQ", raw["stride"], strict=True)), "d": dict(zip("RS", raw["dilation"], strict=True))}

    def term(text: str) -> Term:
        dim, _, kind = text.partition("*")
        return Term(dim, by[kind][dim] if kind else 1)

    tensors = [
        Tensor(name, ROLES[name], tuple(tuple(map(term, rank)) for rank in ranks))
        for name, ranks in raw["dataspaces"].items()
    ]
    return LoopNest(tuple(raw["dims"].items()), tuple(tensors))


def _mapping(text: str) -> tuple[tuple[tuple[str, str], ...], tuple[Bound, ...]]:
    """`MEMORY TENSORS: temporal / along y / along x | MEMORY ..`, outermost first, as memories and loops."""
    levels: list[tuple[str, str]] = []
    loops: list[tuple[str, int, int, str | None]] = []
    for level, part in enumerate(text.split("|")):
        head, _, body = part.partition(":")
        memory, *tensors = head.split()
        levels.append((memory, "".join(tensors)))
        for axis, factors in zip((None, "y", "x"), body.split("/"), strict=False):
            loops += [(dim, int(n), level, axis) for dim, n in re.findall(r"([A-Z])(\d+)", factors)]
    bounds = [
        Bound(dim, times, math.prod(n for d, n, *_ in loops[i + 1 :] if d == dim), level, axis)
        for i, (dim, times, level, axis) in enumerate(loops)
    ]
    return tuple(levels), tuple(bounds)


def _tallies(raw: dict[str, Any]) -> dict[Node, Tally]:
    found = {}
    for key, (capacity, instances, *each, energy) in raw.items():
        memory, tensor = key.split()
        reads, fills, updates, reductions = (words * instances for words in each)
        found[memory, tensor] = Tally(capacity, instances, reads, fills, updates, reductions, Fraction(energy))
    return found
