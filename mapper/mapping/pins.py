"""Pins: the numbers that constraints set, and whether what they need fits into the room there is.

Every constraint on a number of instances or an extent is part of a `Pin` on that quantity. A check looks for the fewest
pins that do not fit, so that a message names those that contradict each other and no others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TypeVar

from mapper.arch import Above, Architecture, Axis, Constraint, FanOut, Only, Relation, Spatial, Tile
from mapper.divisors import divisors
from mapper.ir import LoopNest

T = TypeVar("T")

Node = tuple[str, str]
"""Memory and tensor."""


def stands_outside(arch: Architecture, a: Node, b: Node) -> bool:
    """Whether the hierarchy has the node `a` outside `b`: further out for the same tensor, or before a fan-out."""
    if arch.segment[a[0]] != arch.segment[b[0]]:
        return arch.segment[a[0]] < arch.segment[b[0]]
    inwards = arch.depth[a[0]] < arch.depth[b[0]]
    return inwards and (a[1] == b[1] or a[0] == arch.home.name)


@dataclass(frozen=True, slots=True)
class Pin:
    """What the constraints on one quantity say together: at least `least`, at most `most`, and who says so.

    `least` is 1 and `low` None where nothing bounds it from below, `most` None and `high` None likewise.
    """

    least: int
    most: int | None
    low: Spatial | Tile | None
    high: Spatial | Tile | None

    @property
    def exact(self) -> bool:
        """Whether there is one value only."""
        return self.least == self.most

    def __str__(self) -> str:
        return join(c for c in (self.low, self.high) if c)


Pins = dict[tuple[str, str | None, str], Pin]
"""By fan-out, axis (None: all) and dim; or by memory, tensor and dim."""


def reach(constraint: Spatial | Tile, dim: str, nest: LoopNest, arch: Architecture, *, perfect: bool) -> int:
    """The largest value that one of the dims that a constraint means can have, whatever its place has room for.

    It is the dim's extent, but for instances along several axes: where steps need not divide, these may be more.
    """
    extent = nest.extents[dim]
    if isinstance(constraint, Tile) or constraint.axis is not None or perfect:
        return extent
    fanout = next(fanout for fanout in arch.fanouts if fanout.name == constraint.fanout)
    return max(extent, math.prod(min(extent, axis.size) for axis in fanout.axes))


def excess(constraint: Spatial | Tile, nest: LoopNest, arch: Architecture, *, perfect: bool) -> str | None:
    """That a constraint asks of the product of several dims more than there are instances, or than the dims have."""
    assert constraint.value is not None  # as they are resolved
    if len(constraint.meant) == 1 or constraint.relation is Relation.AT_MOST:
        return None
    if isinstance(constraint, Spatial):
        fanout = next(fanout for fanout in arch.fanouts if fanout.name == constraint.fanout)
        size = next((axis.size for axis in fanout.axes if axis.name == constraint.axis), fanout.size)
        if constraint.value > size:
            what = "fan-out" if constraint.axis is None else "axis"
            return f"{constraint}: {what} {constraint.place} has {_count(size, 'instance')}"
    most = math.prod(reach(constraint, dim, nest, arch, perfect=perfect) for dim in constraint.meant)
    if constraint.value > most:
        return (
            f"{constraint}: {' * '.join(constraint.meant)} would have to be at least {constraint.value}, it is {most}"
        )
    return None


def pinned(constraints: Iterable[Spatial | Tile], nest: LoopNest, arch: Architecture, *, perfect: bool) -> Pins:
    """Pins by what the constraints are on.

    One on the product of several dims says of each that it is no more, and no less than what the others leave at most.
    """
    pins: Pins = {}
    for constraint in constraints:
        assert constraint.value is not None  # as they are resolved
        match constraint:
            case Spatial(fanout=place, axis=part) | Tile(memory=place, tensor=part):
                pass
        for dim in constraint.meant:
            others = math.prod(reach(constraint, d, nest, arch, perfect=perfect) for d in constraint.meant if d != dim)
            pin = pins.get((place, part, dim), Pin(1, None, None, None))
            least, most, low, high = pin.least, pin.most, pin.low, pin.high
            needed = -(-constraint.value // others)
            if constraint.relation is not Relation.AT_MOST and (low is None or needed > least):
                least, low = needed, constraint
            if constraint.relation is not Relation.AT_LEAST and (most is None or constraint.value < most):
                most, high = constraint.value, constraint
            pins[place, part, dim] = Pin(least, most, low, high)
    return pins


# -- instances ---------------------------------------------------------------------------------------------------------


def fanout_problems(spatial: Pins, only: Sequence[Only], nest: LoopNest, arch: Architecture) -> Iterator[str]:
    """Pins that do not fit on the axes and fan-outs."""
    yield from _axes(spatial, only, nest, arch)
    for fanout in arch.fanouts:
        yield from _together(spatial, fanout)


def _axes(spatial: Pins, only: Sequence[Only], nest: LoopNest, arch: Architecture) -> Iterator[str]:
    """Dims that are unrolled where they may not be, and axes that are too short for one of them."""
    for fanout in arch.fanouts:
        for (name, axis_name, dim), pin in spatial.items():
            if name != fanout.name or pin.least == 1:
                continue
            room, reasons = 1, []
            for axis in fanout.axes:
                if axis_name in (None, axis.name):
                    most, reason = _room(spatial, only, nest, fanout, axis, dim, whole=axis_name is None)
                    room *= most
                    reasons.append(reason)
            if room >= pin.least:
                continue
            first, *others = dict.fromkeys(reasons)
            if others:
                yield f"{pin.low}: there is room for {room} ({'; '.join(map(str, [first, *others]))})"
            else:
                yield f"{pin.low} contradicts {first}" if isinstance(first, Only) else f"{pin.low}: {first}"


def _room(
    spatial: Pins, only: Sequence[Only], nest: LoopNest, fanout: FanOut, axis: Axis, dim: str, *, whole: bool
) -> tuple[int, Constraint | str]:
    """Over how many instances along an axis a dim can be unrolled, and what says so."""
    if axis.dims is not None and dim not in axis.takes(nest):
        return 1, f"axis {fanout.name}.{axis.name} takes {axis.listed}"
    if not fanout.unrolls_reductions() and dim not in nest.output.dims:
        return 1, f"{dim} is a reduction dim and {fanout.name} cannot add partial sums"
    for c in only:
        if c.fanout == fanout.name and c.axis in (None, axis.name) and dim not in c.meant:
            return 1, c
    pin = spatial.get((fanout.name, axis.name, dim)) if whole else None
    if pin and pin.high and pin.most is not None and pin.most < axis.size:
        return pin.most, pin.high
    return axis.size, f"axis {fanout.name}.{axis.name} has {_count(axis.size, 'instance')}"


def _together(spatial: Pins, fanout: FanOut) -> Iterator[str]:
    """Pins of several dims beyond the size of an axis or of the fan-out, and of the fan-out against its axes."""
    own = {(axis, dim): pin for (f, axis, dim), pin in spatial.items() if f == fanout.name}
    for axis in fanout.axes:
        pins = [pin for (a, _), pin in own.items() if a == axis.name and pin.least > 1]
        yield from _beyond([((pin,), pin.least) for pin in pins], axis.size, f"axis {fanout.name}.{axis.name}")
    groups: list[Group] = []
    for dim in dict.fromkeys(dim for _, dim in own):
        parts = tuple(pin for (a, d), pin in own.items() if d == dim and a is not None and pin.least > 1)
        whole = own.get((None, dim), Pin(1, None, None, None))
        product = _product(parts)
        yield from _parts_of(whole, parts)
        if max(whole.least, product) > 1:
            groups.append(((whole,), whole.least) if whole.least > product else (parts, product))
    yield from _beyond(groups, fanout.size, f"fan-out {fanout.name}")


def _parts_of(whole: Pin, parts: Sequence[Pin]) -> Iterator[str]:
    """That the pins of a dim on single axes do not go with that on all of them."""
    most = whole.most
    if most is not None and (few := fewest(parts, lambda some: _product(some) > most)):
        yield contradict([pin.low for pin in few], whole.high)
    elif whole.exact and (odd := fewest(parts, lambda some: _indivisible(some, whole.least))):
        yield f"{contradict([pin.low for pin in odd], whole.high)}: {whole.least} is no multiple of {_product(odd)}"


def _product(pins: Iterable[Pin]) -> int:
    return math.prod(pin.least for pin in pins)


def _indivisible(pins: Sequence[Pin], whole: int) -> bool:
    return all(pin.exact for pin in pins) and whole % _product(pins) != 0


Group = tuple[tuple[Pin, ...], int]
"""Pins of one dim, and the instances that they need together."""


def _beyond(groups: Sequence[Group], size: int, what: str) -> Iterator[str]:
    """That the pins of several dims need more instances than there are."""
    few = fewest(groups, lambda some: math.prod(n for _, n in some) > size)
    if len(few) > 1:  # that of a single dim is reported with the reason for its room
        needed = math.prod(n for _, n in few)
        pins = join(pin.low for group, _ in few for pin in group)
        yield f"{pins}: {what} has {_count(size, 'instance')}, {needed} are needed"


# -- cutting a dim -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cuts:
    """How the pinned pieces of a dim fit into each other, from the whole dim inwards."""

    spatial: Pins
    extents: Pins
    orders: Sequence[Above]
    nest: LoopNest
    arch: Architecture
    perfect: bool

    def problems(self) -> Iterator[str]:
        """What does not fit, for each dim and each pair of pinned tiles, one outside the other."""
        for dim, extent in self.nest.dims:
            nodes = {(m, t): pin for (m, t, d), pin in self.extents.items() if d == dim and t is not None}
            yield from self._homes(dim, extent, nodes)
            yield from self._factors(dim, extent, nodes)
            for inner in (None, *nodes):
                yield from self._fits(dim, Pin(extent, extent, None, None), None, inner, nodes)
            for outer, pin in nodes.items():
                if pin.most is not None and pin.most < extent and outer[0] != self.arch.home.name:
                    for inner in (None, *(node for node in nodes if self._outside(outer, node))):
                        yield from self._fits(dim, pin, outer, inner, nodes)

    def _outside(self, a: Node, b: Node) -> bool:
        asked = any((c.outer, c.inner) == (a, b) for c in self.orders)
        return stands_outside(self.arch, a, b) or (asked and not stands_outside(self.arch, b, a))

    def _homes(self, dim: str, extent: int, nodes: dict[Node, Pin]) -> Iterator[str]:
        for (memory, _), pin in nodes.items():
            if memory == self.arch.home.name and pin.most is not None and pin.most < extent:
                yield f"{pin.high}: {memory} is the home, which holds all {extent}"

    def _factors(self, dim: str, extent: int, nodes: dict[Node, Pin]) -> Iterator[str]:
        """Ranges without a factor; single values are checked with what they stand in."""
        if not self.perfect:
            return
        sizes: dict[tuple[str, str | None], int] = {(f.name, None): f.size for f in self.arch.fanouts}
        sizes |= {(f.name, axis.name): axis.size for f in self.arch.fanouts for axis in f.axes}
        pins = [(pin, sizes[f, axis], f, axis) for (f, axis, d), pin in self.spatial.items() if d == dim]
        for pin, size, fanout, axis in [*pins, *((pin, extent, "", None) for pin in nodes.values())]:
            most = min(extent, size, pin.most or extent)
            if pin.exact or pin.least > most or any(pin.least <= d <= most for d in divisors(extent)):
                continue
            place = f"axis {fanout}.{axis}" if axis else f"fan-out {fanout}"
            reason = f", and {place} has {_count(size, 'instance')}" if most < min(extent, pin.most or extent) else ""
            yield f"{pin}: {_no_factor(dim, extent, pin.least, most)}{reason}"

    def _fits(
        self, dim: str, limit: Pin, outer: Node | None, inner: Node | None, nodes: dict[Node, Pin]
    ) -> Iterator[str]:
        """Whether the tile of `inner` (None: a single point) and the instances between fit into `limit`, of `outer`."""
        first = self.arch.segment[outer[0]] if outer else 0
        last = self.arch.segment[inner[0]] if inner else len(self.arch.fanouts)
        pins = [pin for fanout in self.arch.fanouts[first:last] for pin in self._loops(fanout, dim)]
        tile = nodes[inner] if inner else None
        if tile and tile.least > 1:
            pins.append(tile)
        most, what = limit.most, f"{dim} in {':'.join(outer)}" if outer else dim
        assert most is not None

        def misfit(some: Sequence[Pin]) -> str:
            piece = tile.least if tile and any(pin is tile for pin in some) else 1
            needed = _needed(piece, [pin.least for pin in some if pin is not tile], perfect=self.perfect)
            if needed > most:
                return f"{what} would have to be at least {needed}" + ("" if outer else f", it is {most}")
            if self.perfect and all(pin.exact for pin in (limit, *some)) and most % needed:
                return _no_factor(what, most, needed, needed)
            return ""

        if few := fewest(pins, lambda some: bool(misfit(some))):
            named = [pin.low for pin in few]
            yield f"{contradict(named, limit.high) if outer else join(named)}: {misfit(few)}"

    def _loops(self, fanout: FanOut, dim: str) -> list[Pin]:
        """Pins of the spatial loops of a dim on a fan-out: of each axis, or of all together where that says more.

        Where steps need not divide, instances along several axes may be more than the dim's extent, so that a pin of
        their product says nothing about it.
        """
        pins = [self.spatial.get((fanout.name, axis.name, dim)) for axis in fanout.axes]
        parts = [pin for pin in pins if pin and pin.least > 1]
        whole = self.spatial.get((fanout.name, None, dim))
        if whole and whole.least > _product(parts) and (self.perfect or len(fanout.axes) == 1):
            return [whole]
        return parts


def _needed(piece: int, factors: Iterable[int], *, perfect: bool) -> int:
    """The least extent that loops of so many pieces, in any order, can cut down to a tile of `piece`.

    Where steps need not divide, n pieces are at least n - 1 whole ones and a single point; least is needed with the
    most pieces innermost.
    """
    for n in sorted((n for n in factors if n > 1), reverse=True):
        piece = piece * n if perfect else piece * (n - 1) + 1
    return piece


def _no_factor(what: str, n: int, low: int, high: int) -> str:
    """That no factor of n lies from `low` to `high`, with the nearest that there are."""
    factors = divisors(n)
    near = max(d for d in factors if d < low), min(d for d in factors if d > high)
    wanted = f"{low}" if low == high else f"from {low} to {high}"
    return f"{what} = {n} has no factor {wanted}: the nearest are {near[0]} and {near[1]}"


# -- words -------------------------------------------------------------------------------------------------------------


def fewest(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """The fewest items that fail together; none if none do."""
    subsets = chain.from_iterable(combinations(items, k) for k in range(1, len(items) + 1))
    return next((some for some in subsets if fails(some)), ())


def join(parts: Iterable[object]) -> str:
    """`A, B and C`, each once."""
    *most, last = dict.fromkeys(map(str, parts))
    return f"{', '.join(most)} and {last}" if most else last


def contradict(parts: Iterable[object], *others: object) -> str:
    """`A contradicts B`, or `A, B and C contradict each other`."""
    found = list(dict.fromkeys([*parts, *others]))
    return f"{found[0]} contradicts {found[1]}" if len(found) == 2 else f"{join(found)} contradict each other"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
