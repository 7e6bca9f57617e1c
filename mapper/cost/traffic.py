"""Traffic: the reads and writes of every storage node and the elements on every network (`docs/model.md`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mapper.arch import Architecture, FanOut
from mapper.arrays import least
from mapper.cost.cuts import NONE, Cuts, joined_loops
from mapper.ir import LoopNest, Role, Tensor
from mapper.mapping import Access, Counts, Keep, Mapping, Moves, ParFor


@dataclass(frozen=True, slots=True)
class Link:
    """What passes between two nodes of a tensor, or the innermost one and the compute unit, over runs and instances.

    `crossings` has the elements of the child's tiles at the parent and behind each fan-out of `between`, outermost
    first: above a network that coalesces, what its instances share counts once. `joined` are the spatial loops whose
    instances do at the parent.

    An operand moves down: the parent is read `crossings[0]` times, the child written `crossings[-1]` times. An output
    is drained: the child is read and the parent written as often. `refills` elements already held a partial sum in the
    parent when they were started; `refilled` of them were read from the parent and written into the child at that time,
    the rest are read from the parent when it adds what the instances of a network that does not add drain. The last
    drain of an element brings the result rather than a partial sum to the parent if `completes`, and already comes as
    the result out of the child if `complete`. `grouped` are the spatial loops whose instances hold parts of the same
    sums, whether a network adds them or not: one of them is re-filled.
    """

    tensor: Tensor
    parent: str
    child: str
    position: int
    between: tuple[FanOut, ...]
    crossings: tuple[int, ...]
    joined: frozenset[int]
    refills: int = 0
    refilled: int = 0
    completes: int = 0
    complete: int = 0
    grouped: frozenset[int] = NONE

    @property
    def fresh(self) -> int:
        """Elements of an output that the parent started from zero."""
        return self.crossings[0] - self.refills


def links(arch: Architecture, cuts: Cuts) -> Iterator[Link]:
    """All links of a legal mapping, by tensor, from the home inwards."""
    for tensor in cuts.nest.tensors:
        reductions = [d for d, _ in cuts.nest.dims if d not in tensor.dims]
        fresh, completes = cuts.nest.words(tensor), 1
        for parent, child, position in _pairs(arch, cuts.mapping, tensor):
            between = arch.fanouts[arch.segment[parent] : arch.segment[child]]
            found, joined = [cuts.words(tensor, position)], NONE
            for fanout in reversed(between):
                dims = tensor.dims if fanout.coalesces(tensor.role) else cuts.nest.extents
                overlapping = tensor.sliding_dims if fanout.shares_halo(tensor.role) else ()
                joined |= joined_loops(cuts.mapping, fanout.name, dims, overlapping)
                found.insert(0, cuts.words(tensor, position, joined) if joined else found[0])
            if tensor.role is not Role.OUTPUT:
                yield Link(tensor, parent, child, position, between, tuple(found), joined)
                continue
            grouped = NONE.union(*(joined_loops(cuts.mapping, f.name, tensor.dims, ()) for f in between))
            groups = found[0] if grouped == joined else cuts.words(tensor, position, grouped)
            complete = completes // cuts.summands(reductions, position)  # 1 where there is a single one
            yield Link(
                tensor, parent, child, position, between, tuple(found), joined,
                refills=found[0] - fresh, refilled=groups - fresh, completes=completes, complete=complete,
                grouped=grouped,
            )  # fmt: skip
            fresh, completes = found[-1] - (groups - fresh), complete


def _pairs(arch: Architecture, mapping: Mapping, tensor: Tensor) -> list[tuple[str, str, int]]:
    """(parent, child, position of the child) from the home inwards; the last child is the compute unit."""
    nodes = mapping.nodes(tensor.name)
    names = [item.memory for i in nodes if isinstance(item := mapping.items[i], Keep)]
    return list(zip(names, (*names[1:], arch.compute.name), (*nodes[1:], len(mapping.items)), strict=True))


def count(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Counts:
    """The exact counts of a legal mapping."""
    return counts_of(arch, Cuts(nest, mapping))


def counts_of(arch: Architecture, cuts: Cuts) -> Counts:
    """The exact counts of a legal mapping with these cuts."""
    accesses: dict[tuple[str, str], Access] = {}
    moves: dict[tuple[str, str], Moves] = {}
    length = {f.name: _length(f, cuts) for f in arch.fanouts}
    for link in links(arch, cuts):
        parent, child, v = (link.parent, link.tensor.name), (link.child, link.tensor.name), link.tensor
        above = accesses.setdefault(parent, Access(0, 0))
        outer, inner = link.crossings[0], link.crossings[-1]
        if v.role is not Role.OUTPUT:
            accesses[parent] = Access(above.reads + outer, above.writes)
            accesses[child] = Access(0, inner)
            refilled = 0
        else:
            results = cuts.nest.words(v)
            accesses[parent] = Access(
                above.reads + link.refills,
                above.writes + outer,
                above.partial_reads + link.refills,
                above.partial_writes + outer - results * link.completes,
            )
            accesses[child] = Access(inner, link.refilled, inner - results * link.complete, link.refilled)
            # at the compute unit the parent adds what arrives
            refilled = link.refilled if link.child != arch.compute.name else 0
        for fanout, outside, inside in zip(link.between, link.crossings, link.crossings[1:], strict=False):
            hops = (outside + refilled) * length[fanout.name]
            if v.role is Role.OUTPUT:
                moves[fanout.name, v.name] = Moves(refilled, inside - outside, hops)
            else:
                moves[fanout.name, v.name] = Moves(inside, 0, hops)
        accesses.pop((arch.compute.name, v.name), None)
    return Counts(accesses, moves, cuts.nest.operations, cuts.steps(len(cuts.mapping.items)))


def _length(fanout: FanOut, cuts: Cuts) -> int:
    """Steps from where elements enter a network to the furthest instance in use, along all axes together."""
    return sum(_furthest(fanout.name, axis.name, cuts) + 1 for axis in fanout.axes)


def _furthest(fanout: str, axis: str, cuts: Cuts) -> int:
    """The last position in use on an axis: the last coordinate of each loop there, inside that of those further out."""
    piece, position = dict(cuts.nest.dims), 0
    for index, item in enumerate(cuts.mapping.items):
        if isinstance(item, Keep):
            continue
        size = piece[item.dim]
        step = cuts.step[index]
        if isinstance(item, ParFor) and (item.fanout, item.axis) == (fanout, axis):
            last = -(-size // step) - 1
            position = position * cuts.instances[index] + last
            piece[item.dim] = size - last * step
        else:
            piece[item.dim] = least(size, step)
    return position
