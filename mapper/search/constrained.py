"""User constraints and even mappings as constraints of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mapper.arch import Above, Constraint, Kept, Only, Relation, Spatial, Tile
from mapper.search.mapspace import Slot
from mapper.search.model import Model, Node
from mapper.search.tables import Linear, Literal


def demand(built: Model, constraint: Constraint, when: Literal | None = None) -> None:
    """Demand that mappings keep to a resolved constraint, where the literal holds (None: always)."""
    match constraint:
        case Spatial(_, _, _, relation, value):
            assert value is not None
            _compare(built, _unrolled(built, constraint), relation, value, [when])
        case Only(fanout, axis, _, meant):
            for name, along, dim in built.spatial:
                if name == fanout and axis in (None, along) and dim not in meant:
                    _compare(built, built.spatial[name, along, dim], Relation.EQUAL, 1, [when])
        case Tile(_, memory, tensor, relation, value, meant):
            assert value is not None and tensor is not None
            node = _node(built, memory, tensor)
            if node:
                extents = [node.extent[dim] for dim in meant if dim in node.extent]
                extent = extents[0] if len(extents) == 1 else built.tables.product(extents, f"{constraint}", most=value)
                _compare(built, extent, relation, value, [when, node.keep])
            elif memory == built.arch.home.name:
                _compare(built, math.prod(built.nest.extents[dim] for dim in meant), relation, value, [when])
        case Kept(memory, tensor, kept):
            node = _node(built, memory, tensor)
            is_kept = node.keep if node else memory == built.arch.home.name
            _imply(built, [when], is_kept if kept else _not(is_kept))
        case Above(outer, inner):
            above, below = _node(built, *outer), _node(built, *inner)
            if below is None:
                _imply(built, [when, above.keep if above else True], inner[0] != built.arch.home.name)
            elif above is not None:
                _imply(built, [when, above.keep, below.keep], _stands_above(built, above.slot, below.slot))


def demand_even(built: Model) -> None:
    """Demand one tile for each memory: all tensors that it keeps have its extents in their dims.

    In the other dims a tensor's node may stand further out, as far as the tile of the next outer memory: it rests while
    the loops directly above it run, which is how tools that know one tile a level and an order of loops keep it there.
    """
    outer = {d: built.tables.constant(n) for d, n in built.space.dims.items()}
    for group in built.space.memory_groups:
        segment = built.arch.segment[group[0].name]
        tile = {d: built.tables.variable(v, f"tile_{group[0].name}_{d}") for d, v in built.space.extents.items()}
        for d, extent in tile.items():
            built.nest_within(d, built.bottom[segment][d], extent)
            built.nest_within(d, extent, built.below[segment][d])
            built.nest_within(d, extent, outer[d])
            for name, nodes in built.nodes.items():
                for node in nodes:
                    if node.slot.memory not in {memory.name for memory in group}:
                        continue
                    if d in built.nest.tensor(name).dims:
                        _compare(built, node.extent[d] - extent, Relation.EQUAL, 0, [node.keep])
                    else:
                        keep = None if isinstance(node.keep, bool) else node.keep
                        built.nest_within(d, extent, node.extent[d], keep)
                        built.nest_within(d, node.extent[d], outer[d], keep)
        outer = tile


def _unrolled(built: Model, constraint: Spatial) -> Linear:
    """Instances of the dims that a constraint means along its axis, or along all of its fan-out."""
    factors = [
        factor
        for (name, axis, dim), factor in built.spatial.items()
        if name == constraint.fanout and constraint.axis in (None, axis) and dim in constraint.meant
    ]
    return built.tables.product(factors, f"unrolled_{constraint.fanout}_{constraint.dim}")


def _node(built: Model, memory: str, tensor: str) -> Node | None:
    return next((node for node in built.nodes[tensor] if node.slot.memory == memory), None)


def _stands_above(built: Model, outer: Slot, inner: Slot) -> Literal | bool:
    if outer.segment != inner.segment:
        return outer.segment < inner.segment
    if (outer, inner) in built.above:
        return built.above[outer, inner]
    return _not(built.above[inner, outer])


def _not(literal: Literal | bool) -> Literal | bool:
    return not literal if isinstance(literal, bool) else ~literal


def _compare(
    built: Model, actual: Linear, relation: Relation, value: int, conditions: Sequence[Literal | bool | None]
) -> None:
    held = [c for c in conditions if c is not None and c is not True]
    if isinstance(actual, int):
        _imply(built, held, relation.holds(actual, value))
        return
    match relation:
        case Relation.EQUAL:
            demanded = built.model.add(actual == value)
        case Relation.AT_MOST:
            demanded = built.model.add(actual <= value)
        case Relation.AT_LEAST:
            demanded = built.model.add(actual >= value)
    if held:
        demanded.only_enforce_if(*held)


def _imply(built: Model, conditions: Sequence[Literal | bool | None], then: Literal | bool) -> None:
    """Demand `then` where all conditions hold (None: always)."""
    held = [_not(c) for c in conditions if c is not None]
    if then is True or any(c is True for c in held):
        return
    built.model.add_bool_or([c for c in (*held, then) if not isinstance(c, bool)])
