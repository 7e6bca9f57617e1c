"""Constraints against a layer: names looked up, and which of them a mapping breaks.

`mapper.arch.constraints` has their types and text; `mapper.mapping.contradictions` says which cannot hold together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Dict
from dataclasses import replace

from mapper.arch import Above, Architecture, Constraint, Kept, Only, Spatial, Tile
from mapper.arch.constraints import located
from mapper.errors import InputError, all_of
from mapper.ir import DimRole, LoopNest, named
from mapper.ir.roles import roles_text
from mapper.mapping.mapping import Keep, Mapping, ParFor
from mapper.spelling import did_you_mean, nearest


def resolve(
    constraints: Iterable[Constraint], nest: LoopNest, arch: Architecture, *, strict: bool
) -> tuple[Constraint, ...]:
    """The constraints as they concern this layer, each once.

    Axes have their full names, tensors the layer's, dims and roles the layer's dims that they mean, and values are
    numbers; a tile of every tensor becomes one for each tensor that its memory may keep. Where not `strict`,
    constraints on dims, roles or tensors that the layer does not have are left out, for they are a spec's, which serves
    all layers. A list of the only dims may always name roles that the layer does not have, if it has one of the others.

    InputError with every problem: unknown memories, fan-outs and axes; a word that means one dim by name, others by
    role; if `strict` dims, roles and tensors that the layer does not have.
    """
    memories = [memory.name for memory in arch.memories]
    axes = {fanout.name: [axis.name for axis in fanout.axes] for fanout in arch.fanouts}
    found: list[Constraint] = []
    problems: list[InputError] = []
    for constraint in constraints:
        unknown: list[InputError] = []
        try:
            unknown += _unknown(constraint, nest)
            full = located(constraint, memories, axes)
            if not unknown or isinstance(full, Only):  # which is about the dims that it does not name
                found += _in_layer(full, nest, arch)
        except InputError as error:
            problems.append(error)
        problems += unknown if strict else []
    if problem := all_of(problems):
        raise problem
    return tuple(dict.fromkeys(found))


def _unknown(constraint: Constraint, nest: LoopNest) -> Iterator[InputError]:
    """What it names that the layer does not have."""
    tensors: Sequence[str | None] = ()
    dims: Sequence[str] = ()
    match constraint:
        case Spatial():
            dims = (constraint.dim,)
        case Only():
            dims = constraint.dims
        case Tile():
            dims, tensors = (constraint.dim,), (constraint.tensor,)
        case Kept():
            tensors = (constraint.tensor,)
        case Above():
            tensors = (constraint.outer[1], constraint.inner[1])
    names = _tensors(nest)
    meant = {dim: named(nest, dim) for dim in dims}
    some = isinstance(constraint, Only) and any(meant.values())
    for dim in [dim for dim, found in meant.items() if not found]:
        if dim not in set(DimRole):
            hint = did_you_mean(dim, [*nest.extents, *DimRole]) or nearest(dim, nest.extents)
            yield InputError(f"the layer has no dim {dim}", place=str(constraint), hint=hint)
        elif not some:
            hint = f"its dims: {roles_text(nest)}"
            yield InputError(f"the layer has no dim of role {dim}", place=str(constraint), hint=hint)
    for tensor in tensors:
        if tensor is not None and tensor not in names:
            yield InputError(f"the layer has no tensor {tensor}", place=str(constraint), hint=nearest(tensor, names))


def _tensors(nest: LoopNest) -> dict[str, str]:
    """The layer's tensors by name and by role; a name counts before a role."""
    return {str(t.role): t.name for t in nest.tensors} | {t.name: t.name for t in nest.tensors}


def _in_layer(constraint: Constraint, nest: LoopNest, arch: Architecture) -> Iterator[Constraint]:
    names = _tensors(nest)
    match constraint:
        case Spatial(dim=dim):
            yield replace(constraint, value=_extent(constraint, nest), meant=named(nest, dim))
        case Only(dims=dims):
            yield replace(constraint, meant=tuple(dict.fromkeys(d for dim in dims for d in named(nest, dim))))
        case Tile(dim=dim, memory=memory, tensor=tensor):
            every = [t.name for t in nest.tensors if t.role in arch.memory(memory).may_keep]
            for name in every if tensor is None else [names[tensor]]:
                yield replace(constraint, tensor=name, value=_extent(constraint, nest), meant=named(nest, dim))
        case Kept(tensor=tensor):
            yield replace(constraint, tensor=names[tensor])
        case Above((above, outer), (below, inner)):
            yield Above((above, names[outer]), (below, names[inner]))


def _extent(constraint: Spatial | Tile, nest: LoopNest) -> int:
    if constraint.value is not None:
        return constraint.value
    return math.prod(nest.extents[dim] for dim in named(nest, constraint.dim))


# -- checking a mapping ------------------------------------------------------------------------------------------------


def broken(constraints: Iterable[Constraint], nest: LoopNest, arch: Architecture, mapping: Mapping) -> list[str]:
    """The resolved constraints that a legal mapping breaks, each with what it does instead; empty if it keeps to all.

    A node stands above another if its item comes first, loops between them or not. The nodes of the home stand level.
    """
    instances = unrolled(nest, mapping)
    position = {(k.memory, k.tensor): i for i, k in enumerate(mapping.items) if isinstance(k, Keep)}
    found = []
    for constraint in constraints:
        broke: str | None
        match constraint:
            case Spatial(relation=relation, value=value, meant=meant):
                assert value is not None  # as they are resolved
                here = along(instances, constraint)
                actual = math.prod(here.get(dim, 1) for dim in meant)
                broke = None if relation.holds(actual, value) else f"it is unrolled over {actual}"
            case Only(meant=meant):
                others = {d: n for d, n in along(instances, constraint).items() if n > 1 and d not in meant}
                broke = " and ".join(f"{d} is unrolled over {n}" for d, n in others.items())
            case Tile(memory=memory, tensor=tensor, relation=relation, value=value, meant=meant):
                assert tensor is not None and value is not None
                at = position.get((memory, tensor))
                tile = mapping.tile(at, nest.extents) if at is not None else {}
                actual = math.prod(tile[dim] for dim in meant if tile)
                broke = None if at is None or relation.holds(actual, value) else f"it is {actual}"
            case Kept(memory, tensor, kept):
                actually = (memory, tensor) in position
                broke = None if actually == kept else f"it is {'kept' if actually else 'not kept'}"
            case Above(outer, inner):
                broke = _out_of_order(outer, inner, position, arch)
        if broke:
            found.append(f"{constraint}: {broke}")
    return found


def _out_of_order(
    outer: tuple[str, str], inner: tuple[str, str], position: Dict[tuple[str, str], int], arch: Architecture
) -> str | None:
    if outer not in position or inner not in position:
        return None
    if inner[0] == arch.home.name:
        return f"nothing stands above the nodes of the home {arch.home.name}"
    if position[outer] >= position[inner]:
        return f"{':'.join(outer)} stands inside"
    return None


def unrolled(nest: LoopNest, mapping: Mapping) -> dict[tuple[str, str, str], int]:
    """Instances by fan-out, axis and dim: the pieces of all spatial loops together."""
    tile = dict(nest.dims)
    found: dict[tuple[str, str, str], int] = {}
    for item in mapping.items:
        if isinstance(item, Keep):
            continue
        if isinstance(item, ParFor):
            key = item.fanout, item.axis, item.dim
            found[key] = found.get(key, 1) * -(-tile[item.dim] // item.step)
        tile[item.dim] = min(tile[item.dim], item.step)
    return found


def along(instances: Dict[tuple[str, str, str], int], constraint: Spatial | Only) -> dict[str, int]:
    """Instances by dim along the axis or axes of a constraint."""
    found: dict[str, int] = {}
    for (fanout, axis, dim), pieces in instances.items():
        if fanout == constraint.fanout and constraint.axis in (None, axis):
            found[dim] = found.get(dim, 1) * pieces
    return found
