"""Idle axes: where a mapping leaves a part of the machine unused because it was told so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass

from mapper.arch import Architecture, Axis, Constraint, FanOut, Only, Relation, Spatial
from mapper.ir import LoopNest
from mapper.mapping.constraints import along, unrolled
from mapper.mapping.mapping import Mapping
from mapper.mapping.pins import join


@dataclass(frozen=True, slots=True)
class IdleAxis:
    """An axis of `size` instances of which a mapping uses one, though it has dims left to unroll.

    `causes` say in words what leaves out these dims, `left_out`: the axis's list, constraints, or that the dims are
    reductions, whose partial sums the fan-out cannot add.
    """

    fanout: str
    axis: str
    size: int
    causes: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def place(self) -> str:
        """The axis as it is written."""
        return f"{self.fanout}.{self.axis}"

    @property
    def why(self) -> str:
        """What leaves out which dims."""
        return f"{join(self.causes)} {'leave' if len(self.causes) > 1 else 'leaves'} out {join(self.left_out)}"

    def __str__(self) -> str:
        return f"axis {self.place} is idle: {self.why}"


Instances = Dict[tuple[str, str, str], int]
"""By fan-out, axis and dim."""


def idle_axes(
    nest: LoopNest,
    arch: Architecture,
    constraints: Iterable[Constraint],
    mappings: Sequence[Mapping],
    *,
    compute_bound: bool = True,
) -> tuple[IdleAxis, ...]:
    """The axes that none of these mappings of a layer uses, though the layer has dims to unroll there that the list of
    the axis or the resolved constraints leave out, or nothing but reductions that the fan-out cannot add.

    Where no mapping is `compute_bound`, so that more instances save no time, an axis on which other dims could be
    unrolled is left idle by choice. Whether a mapping with the dims that are left out would be better is not known.
    """
    constraints, used = tuple(constraints), [unrolled(nest, mapping) for mapping in mappings]
    busy = {(fanout, axis) for one in used for (fanout, axis, _), n in one.items() if n > 1}
    found = (
        _idle(nest, fanout, axis, constraints, used, compute_bound)
        for fanout in arch.fanouts
        for axis in fanout.axes
        if axis.size > 1 and (fanout.name, axis.name) not in busy
    )
    return tuple(axis for axis in found if axis)


def _idle(
    nest: LoopNest,
    fanout: FanOut,
    axis: Axis,
    constraints: Sequence[Constraint],
    used: Sequence[Instances],
    compute_bound: bool,
) -> IdleAxis | None:
    """The axis, which is not used, if it is for one of those reasons."""
    long = [d for d, n in nest.dims if n > 1]
    able = [d for d in long if fanout.unrolls_reductions() or d in nest.output.dims]
    if long and not able:
        return IdleAxis(fanout.name, axis.name, axis.size, (f"that {fanout.name} adds no partial sums",), tuple(long))
    left = {
        d: list(dict.fromkeys(cause for one in used for cause in _causes(nest, fanout, axis, d, constraints, one)))
        for d in able
        if any(math.prod(n for (_, _, dim), n in one.items() if dim == d) < nest.extents[d] for one in used)
    }
    left_out = tuple(d for d, causes in left.items() if causes)
    if not left_out or (len(left_out) < len(left) and not compute_bound):
        return None
    causes = dict.fromkeys(cause for d in left_out for cause in left[d])
    return IdleAxis(fanout.name, axis.name, axis.size, tuple(causes), left_out)


def _causes(
    nest: LoopNest, fanout: FanOut, axis: Axis, dim: str, constraints: Sequence[Constraint], used: Instances
) -> Iterator[str]:
    """What says that a dim may not be unrolled along an axis, or not over more instances than it is."""
    if axis.dims is not None and dim not in axis.takes(nest):
        yield f"its list of {join(sorted(axis.dims))}" if axis.dims else "its empty list of dims"
    for c in constraints:
        if not isinstance(c, Spatial | Only) or c.fanout != fanout.name or c.axis not in (None, axis.name):
            continue
        match c:
            case Only(meant=meant):
                bars = dim not in meant
            case Spatial(relation=relation, value=value, meant=meant):
                here = along(used, c)
                reached = math.prod(here.get(d, 1) for d in meant) == value
                bars = dim in meant and relation is not Relation.AT_LEAST and reached
        if bars:
            yield f"'{c}'"
