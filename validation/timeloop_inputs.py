"""What Timeloop does for inputs that our model does not, unless told to: decided from a record's loops alone.

An input's tile is a box of its ranks. Each temporal loop moves it by a vector, each instance of the array has it at an
offset. From these follow the words that Timeloop does not load again, the reads that it joins, and what an instance
takes from its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import pairwise, product

from mapper.arch import FanOut
from mapper.ir import Tensor
from validation.timeloop_records import MAC, Bound, Record

Vector = tuple[int, ...]
"""A distance along each rank of the tensor, in words."""


class Difference(Enum):
    """A convention of Timeloop's that is not ours. The last four concern inputs only."""

    DRAIN = "no read of the child for a drain"
    GROUP = "all instances of a reducing group re-fill"
    WINDOW = "steps of the innermost moving loop load new words only"
    OUTER = "so do some steps of a loop further out"
    EQUAL = "equal boxes at different indices are read once"
    LINKS = "neighbours hand tiles on"


OUTPUTS = frozenset({Difference.DRAIN, Difference.GROUP})
INPUTS = frozenset(Difference) - OUTPUTS


@dataclass(frozen=True, slots=True)
class Step:
    """A temporal loop's going on to its next iteration: it moves the tile by `vector`, in all `times` times."""

    vector: Vector
    times: int


@dataclass(frozen=True)
class Transfer:
    """The way of inputs from one memory to the next, or to the compute unit.

    `box` is the tile at the child; `steps` are those of the loops above our node, outermost first; `idle` says that
    further loops, which leave the tile as it is, stand between them and the array. `offsets` are those of the instances
    that the parent serves, in the order of their numbers, `columns` those of the physical array. `apart` of the
    instances differ in dims relevant to inputs: our model reads for each of them.
    """

    parent: str
    child: str
    box: Vector
    steps: tuple[Step, ...]
    idle: bool
    offsets: tuple[Vector, ...]
    apart: int
    columns: int

    @property
    def boxes(self) -> int:
        """Different boxes that the instances have at a time."""
        return len(set(self.offsets))

    @property
    def separable(self) -> bool:
        """Whether the boxes of two instances are either equal or have no word in common."""
        different = sorted(set(self.offsets))
        return all(not _overlap(self.box, _minus(a, b)) for a in different for b in different if a != b)

    @property
    def differences(self) -> frozenset[Difference]:
        """Which conventions for inputs change what is counted here."""
        found = {kind for kind, words in not_loaded(self).items() if words}
        if self.boxes != self.apart:
            found.add(Difference.EQUAL)
        if handed_on(self)[0]:
            found.add(Difference.LINKS)
        return frozenset(found)


def not_loaded(transfer: Transfer) -> dict[Difference, int]:
    """Words that an instance of the child keeps instead of loading them again.

    Timeloop loads, after a step that moves the tile as the last moving step did, the part of the box that is new; after
    one that moves it in another way, all of it; after one that leaves it where it was, nothing. Between two steps of an
    outer loop the innermost one steps, so among the outer steps only those count that move the tile like an innermost
    one or not at all.
    """
    inner, outer = 0, 0
    for step in transfer.steps:
        if step is transfer.steps[-1]:
            inner = _overlap(transfer.box, step.vector) * step.times
        elif step.vector == transfer.steps[-1].vector or not any(step.vector):
            outer += _overlap(transfer.box, step.vector) * step.times
    return {Difference.WINDOW: inner, Difference.OUTER: outer}


def handed_on(transfer: Transfer) -> tuple[int, int]:
    """(words that instances take from neighbours, reads of the parent that this saves).

    An instance may take what it has to load from a neighbour that loaded just that in the step before; Timeloop lets it
    if the parent then has fewer boxes to read. Where consecutive tiles overlap, or loops that load nothing stand
    directly above, no two consecutive loads are alike. A neighbour is the next or previous number in a row, or the same
    place in the next or previous row, of the physical array: Timeloop numbers the instances in use consecutively.
    """
    if transfer.idle or not transfer.steps or _overlap(transfer.box, transfer.steps[-1].vector):
        return 0, 0
    offsets, words, reads = transfer.offsets, 0, 0
    for step in transfer.steps:
        if any(step.vector):
            loads = [
                offset
                for number, offset in enumerate(offsets)
                if not any(_minus(offsets[n], offset) == step.vector for n in _neighbours(transfer, number))
            ]
            if (saved := transfer.boxes - len(set(loads))) > 0:
                words += (len(offsets) - len(loads)) * step.times
                reads += saved * step.times
    return words * math.prod(transfer.box), reads * math.prod(transfer.box)


def _neighbours(transfer: Transfer, number: int) -> Iterator[int]:
    columns, instances = transfer.columns, len(transfer.offsets)
    row = range(number // columns * columns, min((number // columns + 1) * columns, instances))
    yield from (n for n in (number - 1, number + 1) if n in row)
    yield from (n for n in (number - columns, number + columns) if n in range(instances))


@cache
def transfers(record: Record, every_step: bool = False) -> tuple[Transfer, ...]:
    """The ways of inputs, outermost first.

    Timeloop visits two iterations of each temporal loop and extrapolates, so a loop further out steps from the second
    iteration of those inside; with `every_step` from the last one, as it is.
    """
    tensor = record.nest.tensor("I")
    kept = (*record.kept("I"), MAC)
    return tuple(_transfer(record, tensor, *pair, every_step) for pair in pairwise(kept))


def _transfer(record: Record, tensor: Tensor, parent: str, child: str, every_step: bool) -> Transfer:
    level = record.memories.index(child) if child != MAC else len(record.memories)
    tile = dict.fromkeys(record.nest.extents, 1)
    for bound in record.bounds:
        if bound.level >= level:
            tile[bound.dim] *= bound.times
    place = record.place(child, "I") if child != MAC else 0
    crosses = not record.inside_array(parent) and (child == MAC or record.inside_array(child))
    spatial = record.spatial if crosses else ()
    return Transfer(
        parent=parent,
        child=child,
        box=record.nest.shape(tensor, tile),
        steps=tuple(_steps(tensor, record.temporal[:place], every_step)),
        idle=child != MAC and place < record.base(child),
        offsets=tuple(_offsets(tensor, spatial)),
        apart=math.prod(bound.times for bound in spatial if bound.dim in tensor.dims),
        columns=next(level for level in record.architecture.levels if isinstance(level, FanOut)).axes[0].size,
    )


def _steps(tensor: Tensor, loops: Sequence[Bound], every_step: bool) -> Iterator[Step]:
    outside = 1
    for index, loop in enumerate(loops):
        vector = _vector(tensor, loop, 1)
        for inner in loops[index + 1 :]:  # goes back to its first iteration
            vector = _minus(vector, _vector(tensor, inner, inner.times - 1 if every_step else 1))
        yield Step(vector, (loop.times - 1) * outside)
        outside *= loop.times


def _offsets(tensor: Tensor, loops: Sequence[Bound]) -> Iterator[Vector]:
    """By number; the record's spatial loops go over columns innermost."""
    for indices in product(*(range(loop.times) for loop in loops)):
        vectors = [_vector(tensor, loop, index) for loop, index in zip(loops, indices, strict=True)]
        yield tuple(sum(v[rank] for v in vectors) for rank in range(len(tensor.ranks)))


def _vector(tensor: Tensor, loop: Bound, iterations: int) -> Vector:
    """How far so many iterations of a loop move a box."""
    return tuple(
        sum(term.coef * loop.distance * iterations for term in rank if term.dim == loop.dim) for rank in tensor.ranks
    )


def _minus(a: Vector, b: Vector) -> Vector:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _overlap(box: Vector, moved: Vector) -> int:
    """Words that a box has in common with itself moved."""
    return math.prod(max(0, extent - abs(by)) for extent, by in zip(box, moved, strict=True))
