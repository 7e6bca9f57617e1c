"""Idle axes of a network: one warning for each axis, whichever layers leave it idle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mapper.mapping.idle import IdleAxis

NAMED = 3
"""So many layers are named in words."""


@dataclass(frozen=True, slots=True)
class IdleInLayers:
    """An axis that `layers`, of `count` in all, leave idle; `idle` has the causes and the dims of all of them."""

    idle: IdleAxis
    layers: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        named = ", ".join(self.layers[:NAMED])
        more = f" and {len(self.layers) - NAMED} more" if len(self.layers) > NAMED else ""
        of = f"{len(self.layers)} of {self.count} layers"
        return f"axis {self.idle.place} is idle in {of} ({named}{more}): {self.idle.why}"


def by_axis(found: Iterable[tuple[str, tuple[IdleAxis, ...]]]) -> tuple[IdleInLayers, ...]:
    """The idle axes of layers, given with their names, axis by axis."""
    layers = list(found)
    merged: dict[str, IdleInLayers] = {}
    for layer, axes in layers:
        for axis in axes:
            old = merged.get(axis.place, IdleInLayers(replace(axis, causes=(), left_out=()), (), len(layers)))
            causes = tuple(dict.fromkeys((*old.idle.causes, *axis.causes)))
            left_out = tuple(dict.fromkeys((*old.idle.left_out, *axis.left_out)))
            idle = replace(axis, causes=causes, left_out=left_out)
            merged[axis.place] = IdleInLayers(idle, (*old.layers, layer), len(layers))
    return tuple(merged.values())
