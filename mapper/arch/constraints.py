"""Constraints on mappings, as data and as text: what a spec, a dataflow template or a user asks of a mapping.

    K spatial PE.x = 16     K is unrolled over 16 instances along that axis (=, <=, >=); `PE`: all its axes together
    R,S spatial PE = 1      several dims at once
    PE.x only K,C           no other dim is unrolled along that axis, or on that fan-out
    filter spatial PE = 1   dims may go by role: the filter's are never unrolled
    K tile GLB:W >= 64      extent of K in the tile of W in GLB, where it is kept; `GLB`: of every tensor kept there
    keep GLB:W              GLB keeps W
    bypass GLB:I,O          GLB keeps neither
    RF:W above RF:I         the node of W stands outside that of I, wherever both are kept

The value `all` is the whole extent of the dim. `x` stands for `PE.x` where no other fan-out has an axis of that name.
Dims and tensors go by their name in the layer or by role; `mapper.mapping.constraints` looks them up. A role is all the
layer's dims of that role, taken together as if they were one: its instances, its extent are the products of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mapper.errors import InputError
from mapper.spelling import nearest


class Relation(StrEnum):
    """How a quantity compares with the value it is given."""

    EQUAL = "="
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, actual: int, value: int) -> bool:
        """Whether `actual` compares so with `value`."""
        above, below = actual >= value, actual <= value
        return {Relation.EQUAL: above and below, Relation.AT_MOST: below, Relation.AT_LEAST: above}[self]


@dataclass(frozen=True, slots=True)
class Spatial:
    """Instances of `fanout` that `dim` is unrolled over, along `axis`; None: along all its axes together.

    `dim` is the name of a dim or a role; `value` None is its whole extent. `resolve` puts the extent in, and the dims
    of the layer that are `meant`, whose instances are multiplied. InputError if the value is below 1.
    """

    dim: str
    fanout: str
    axis: str | None
    relation: Relation
    value: int | None
    meant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.value)

    @property
    def place(self) -> str:
        """The axis or fan-out as it is written."""
        return self.fanout if self.axis is None else f"{self.fanout}.{self.axis}"

    def __str__(self) -> str:
        return f"{self.dim} spatial {self.place} {self.relation} {_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Only:
    """No dims but these are unrolled along `axis` of `fanout`; None: along any of its axes.

    `dims` are names of dims or roles; `resolve` puts in the dims of the layer that are `meant`, which may be none.
    """

    fanout: str
    axis: str | None
    dims: tuple[str, ...]
    meant: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The axis or fan-out as it is written."""
        return self.fanout if self.axis is None else f"{self.fanout}.{self.axis}"

    def __str__(self) -> str:
        return f"{self.place} only {','.join(self.dims)}"


@dataclass(frozen=True, slots=True)
class Tile:
    """Extent of `dim` in the tile of `tensor` in `memory`, where it is kept; None: of every tensor kept there.

    `dim` is the name of a dim or a role; `value` None is its whole extent. `resolve` puts the extent in, and the dims
    of the layer that are `meant`, whose extents are multiplied. InputError if the value is below 1.
    """

    dim: str
    memory: str
    tensor: str | None
    relation: Relation
    value: int | None
    meant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.value)

    def __str__(self) -> str:
        node = self.memory if self.tensor is None else f"{self.memory}:{self.tensor}"
        return f"{self.dim} tile {node} {self.relation} {_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Kept:
    """`memory` keeps `tensor`, or is bypassed by it where not `kept`."""

    memory: str
    tensor: str
    kept: bool = True

    def __str__(self) -> str:
        return f"{'keep' if self.kept else 'bypass'} {self.memory}:{self.tensor}"


@dataclass(frozen=True, slots=True)
class Above:
    """The storage node `outer` stands outside `inner`, wherever both are kept; nodes are (memory, tensor)."""

    outer: tuple[str, str]
    inner: tuple[str, str]

    def __str__(self) -> str:
        return f"{':'.join(self.outer)} above {':'.join(self.inner)}"


Constraint = Spatial | Only | Tile | Kept | Above


def _check(value: int | None) -> None:
    if value is not None and value < 1:
        raise InputError(f"a value is at least 1, not {value}")


def _value(value: int | None) -> str:
    return "all" if value is None else str(value)


# -- reading -----------------------------------------------------------------------------------------------------------

_NAME = r"[\w-]+"
_NAMES = rf"{_NAME}(?:\s*,\s*{_NAME})*"
_PLACE = rf"({_NAME})(?:\.({_NAME}))?"
_BOUND = r"\s*(=|<=|>=)\s*([0-9]{1,15}|all)"
_NODE = rf"({_NAME}):({_NAME})"

_SPATIAL = re.compile(rf"({_NAMES})\s+spatial\s+{_PLACE}{_BOUND}")
_ONLY = re.compile(rf"{_PLACE}\s+only\s+({_NAMES})")
_TILE = re.compile(rf"({_NAMES})\s+tile\s+({_NAME})(?::({_NAMES}))?{_BOUND}")
_KEPT = re.compile(rf"(keep|bypass)\s+({_NAME}):({_NAMES})")
_ABOVE = re.compile(rf"{_NODE}\s+above\s+{_NODE}")

_EXAMPLES = {
    "spatial": "K spatial PE.x = 16",
    "only": "PE.x only K,C",
    "tile": "K tile GLB:W >= 64",
    "keep": "keep GLB:W",
    "bypass": "bypass GLB:I,O",
    "above": "RF:W above RF:I",
}


def parse_constraint(text: str, place: str | None = None) -> tuple[Constraint, ...]:
    """The constraints that `text` states: one for each dim and tensor it names.

    InputError, at `place`, with the forms there are if it is none of them or a value is below 1.
    """
    plain = text.strip()
    try:
        found = _parsed(plain)
    except InputError as error:
        raise InputError(f"'{plain}': {error.message}", place=place) from None
    if not found:
        words = plain.split()
        meant = [example for word, example in _EXAMPLES.items() if word in words] or _EXAMPLES.values()
        raise InputError(f"'{plain}' is no constraint", place=place, hint=f"write it as {' or '.join(meant)}")
    return tuple(dict.fromkeys(found))


def _parsed(text: str) -> list[Constraint]:
    if match := _SPATIAL.fullmatch(text):
        dims, fanout, axis, relation, value = match.groups()
        return [Spatial(dim, fanout, axis, Relation(relation), _read(value)) for dim in _split(dims)]
    if match := _TILE.fullmatch(text):
        dims, memory, tensors, relation, value = match.groups()
        kept: list[str | None] = [None] if tensors is None else [*_split(tensors)]
        return [Tile(dim, memory, tensor, Relation(relation), _read(value)) for dim in _split(dims) for tensor in kept]
    if match := _ONLY.fullmatch(text):
        return [Only(match[1], match[2], tuple(dict.fromkeys(_split(match[3]))))]
    if match := _KEPT.fullmatch(text):
        return [Kept(match[2], tensor, match[1] == "keep") for tensor in _split(match[3])]
    if match := _ABOVE.fullmatch(text):
        return [Above((match[1], match[2]), (match[3], match[4]))]
    return []


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _read(value: str) -> int | None:
    return None if value == "all" else int(value)


# -- looking up the names of levels ------------------------------------------------------------------------------------


def located(constraint: Constraint, memories: Collection[str], axes: Mapping[str, Collection[str]]) -> Constraint:
    """The constraint with the full name of its axis; `axes` are those of each fan-out.

    InputError, at the constraint, for a memory, fan-out or axis that there is not, or an axis of several fan-outs.
    """
    match constraint:
        case Spatial() | Only():
            fanout, axis = _axis(constraint, axes)
            return replace(constraint, fanout=fanout, axis=axis)
        case Tile(memory=memory) | Kept(memory=memory):
            named = [memory]
        case Above():
            named = [constraint.outer[0], constraint.inner[0]]
    for memory in named:
        if memory not in memories:
            raise InputError(f"no memory {memory}", place=str(constraint), hint=nearest(memory, memories))
    return constraint


def _axis(constraint: Spatial | Only, axes: Mapping[str, Collection[str]]) -> tuple[str, str | None]:
    fanout, axis, place = constraint.fanout, constraint.axis, str(constraint)
    if fanout in axes:
        if axis is not None and axis not in axes[fanout]:
            raise InputError(f"fan-out {fanout} has no axis {axis}", place=place, hint=nearest(axis, axes[fanout]))
        return fanout, axis
    if axis is not None:
        raise InputError(f"no fan-out {fanout}", place=place, hint=_known(fanout, axes))
    owners = [name for name, own in axes.items() if fanout in own]
    if len(owners) > 1:
        meant = " or ".join(f"{owner}.{fanout}" for owner in owners)
        raise InputError(f"several fan-outs have an axis {fanout}", place=place, hint=f"write {meant}")
    if not owners:
        raise InputError(f"no fan-out or axis {fanout}", place=place, hint=_known(fanout, axes))
    return owners[0], fanout


def _known(word: str, axes: Mapping[str, Collection[str]]) -> str:
    return nearest(word, axes) if axes else "the architecture has no fan-outs"
