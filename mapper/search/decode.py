"""From the extents of kept nodes and the spatial factors to a mapping."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapper.arch import Above, FanOut
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor, tidy
from mapper.search.mapspace import Mapspace, Slot


@dataclass(frozen=True, slots=True)
class Tile:
    """A kept slot with its extents; `reach` has the extent of the loop along which it rolls, if it does."""

    slot: Slot
    extent: dict[str, int]
    reach: dict[str, int]


def assemble(
    space: Mapspace,
    tiles: Sequence[Tile],
    spatial: dict[tuple[str, str, str], int],
    below: Sequence[dict[str, int]],
) -> Mapping:
    """The mapping whose nodes are `tiles`, comparable within each segment.

    `spatial` gives factors by (fan-out, axis, dim), `below[s]` the extents inside the fan-out above segment s.
    """
    items: list[Item] = [Keep(space.arch.home.name, t.name) for t in space.nest.tensors]
    tile = dict(space.dims)
    for segment in range(space.segments):
        if segment:
            fanout = space.arch.fanouts[segment - 1]
            outside, steps = _unrolled(space, fanout, spatial, below[segment])
            items += _loops(tile, outside)
            items += steps
            tile = dict(below[segment])
        here = [t for t in tiles if t.slot.segment == segment]
        # comparable extents sort by volume; nodes of equal extents by the hierarchy and by what is asked for
        rank = _ranks(space, [t.slot for t in here])
        here.sort(key=lambda t: (-math.prod(t.extent.values()), rank[t.slot]))
        for index, node in enumerate(here):
            equal = [t for t in here[index:] if t.extent == node.extent]
            reach = next((t.reach for t in equal if t.reach), {})
            items += _loops(tile, {**node.extent, **reach}, last=reach)
            items += _loops({**tile, **reach} if reach else node.extent, node.extent)
            tile = node.extent
            items.append(Keep(node.slot.memory, node.slot.tensor, rolling=bool(node.reach)))
    items += _loops(tile, dict.fromkeys(space.dims, 1))
    return tidy(items, dict(space.nest.dims))


def _ranks(space: Mapspace, slots: Sequence[Slot]) -> dict[Slot, int]:
    """The nodes of a segment numbered such that those that must stand above others come first."""
    depth = space.arch.depth
    above = {(c.outer, c.inner) for c in space.constraints if isinstance(c, Above)}
    left, found = sorted(slots, key=lambda s: depth[s.memory]), dict[Slot, int]()

    def waits(slot: Slot) -> bool:
        hierarchy = any(o.tensor == slot.tensor and depth[o.memory] < depth[slot.memory] for o in left)
        return hierarchy or any(((o.memory, o.tensor), (slot.memory, slot.tensor)) in above for o in left)

    while left:
        first = next(slot for slot in left if not waits(slot))
        left.remove(first)
        found[first] = len(found)
    return found


def _unrolled(
    space: Mapspace, fanout: FanOut, spatial: dict[tuple[str, str, str], int], inside: dict[str, int]
) -> tuple[dict[str, int], list[Item]]:
    """The extents outside a fan-out and its spatial loops."""
    tile, steps = dict(inside), []
    for axis in reversed(fanout.axes):
        for d in reversed(space.dims):
            steps.append(ParFor(d, tile[d], fanout.name, axis.name))
            outer = space.unrolled(d, tile[d], spatial[fanout.name, axis.name, d])
            assert outer is not None, "no such cut"
            tile[d] = outer
    return tile, list(reversed(steps))


def _loops(outer: dict[str, int], inner: dict[str, int], last: dict[str, int] | None = None) -> Iterator[Loop]:
    order = sorted(inner, key=lambda d: d in (last or {}))
    return (Loop(d, inner[d]) for d in order if outer[d] > inner[d])


def smallest(space: Mapspace) -> Mapping:
    """A mapping that is legal wherever one is: only required nodes, with tiles of one word, and no spatial loops."""
    ones = dict.fromkeys(space.dims, 1)
    tiles = [Tile(slot, ones, {}) for slots in space.slots.values() for slot in slots if slot.required]
    axes = [(f.name, axis.name, d) for f in space.arch.fanouts for axis in f.axes for d in space.dims]
    return assemble(space, tiles, dict.fromkeys(axes, 1), [dict(space.dims)] + [ones] * (space.segments - 1))
