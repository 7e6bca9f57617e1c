"""From the extents of kept nodes and the spatial factors to a mapping."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
            outside = {
                d: x * math.prod(spatial[fanout.name, axis.name, d] for axis in fanout.axes)
                for d, x in below[segment].items()
            }
            items += _loops(tile, outside)
            tile = outside
            for axis in fanout.axes:
                for d in space.dims:
                    tile = {**tile, d: tile[d] // spatial[fanout.name, axis.name, d]}
                    items.append(ParFor(d, tile[d], fanout.name, axis.name))
        here = [t for t in tiles if t.slot.segment == segment]
        # comparable extents sort by volume; memories of equal extents by the hierarchy
        here.sort(key=lambda t: (-math.prod(t.extent.values()), space.arch.depth[t.slot.memory]))
        for index, node in enumerate(here):
            equal = [t for t in here[index:] if t.extent == node.extent]
            reach = next((t.reach for t in equal if t.reach), {})
            items += _loops(tile, {**node.extent, **reach}, last=reach)
            items += _loops({**tile, **reach} if reach else node.extent, node.extent)
            tile = node.extent
            items.append(Keep(node.slot.memory, node.slot.tensor, rolling=bool(node.reach)))
    items += _loops(tile, dict.fromkeys(space.dims, 1))
    return tidy(items, dict(space.nest.dims))


def _loops(outer: dict[str, int], inner: dict[str, int], last: dict[str, int] | None = None) -> Iterator[Loop]:
    order = sorted(inner, key=lambda d: d in (last or {}))
    return (Loop(d, inner[d]) for d in order if outer[d] > inner[d])


def smallest(space: Mapspace) -> Mapping:
    """A mapping that is legal wherever one is: only required nodes, with tiles of one word, and no spatial loops."""
    ones = dict.fromkeys(space.dims, 1)
    tiles = [Tile(slot, ones, {}) for slots in space.slots.values() for slot in slots if slot.required]
    axes = [(f.name, axis.name, d) for f in space.arch.fanouts for axis in f.axes for d in space.dims]
    return assemble(space, tiles, dict.fromkeys(axes, 1), [dict(space.dims)] + [ones] * (space.segments - 1))
