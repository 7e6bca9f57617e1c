"""The state in which the counting executor runs a program: buffers, loops, boxes and counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.execute.program import Ints, Lowered

OK, POISON, OUTSIDE, EMPTY, LOCKSTEP, EXCESS, WIDTH = range(7)
READ, WRITE, PARTIAL_READ, PARTIAL_WRITE = range(4)
DELIVERED, REDUCED, PASSED = range(3)
OPERATIONS, STEPS = 0, 1
CHUNK = 4096  # entries of an address table


class Machine(NamedTuple):
    """State and counters, over segments s, dims d, instances r, items i, nodes n, ranks k, rows of `group` g."""

    store: NDArray[np.float64]  # the words of all tiles
    held: NDArray[np.int32]  # products whose sum a word of an output tile holds
    scratch: NDArray[np.float64]  # a tile while it rolls
    offset: Ints  # [s, d, r] where the current piece of the dim begins
    length: Ints  # [s, d, r] and how long it is
    active: NDArray[np.uint8]  # [s, r] whether the pieces of all dims exist
    iteration: Ints  # [i] of a temporal loop
    trips: Ints  # [i] number of its iterations
    outer_offset: Ints  # [i, r] state of its dim outside
    outer_length: Ints  # [i, r]
    outer_active: NDArray[np.uint8]  # [i, r]
    origin: Ints  # [n, k, r] box of the tile
    extent: Ints  # [n, k, r]
    previous: Ints  # [2, r] origin and extent, in the rolling rank, of the tile before the current one
    source: Ints  # [n, r] address in the parent where the box begins
    level: Ints  # [n, r] outermost level at which the instance asks for itself; 0 is the parent
    asker: Ints  # [n, r] instance that asks for it further out, itself at level 0
    leader: Ints  # [g, r] first active instance of group r
    leader_event: Ints  # [g, r] as of this event
    event: Ints  # [1]
    started: NDArray[np.uint8]  # [n, r] whether the instance gets the partial sums that its group has so far
    stamp: Ints  # [j, word of `store`] the last to ask for it: event and group, where overlaps are shared
    worked: NDArray[np.uint8]  # [r] instances of the compute unit that ever had something to do
    table: Ints  # [2n, 3, CHUNK] addresses of a box's words in parent and node, or of operations in three tiles
    table_count: Ints  # [2n, k or l] extents of the box
    table_stride: Ints  # [2n, 3, k or l]
    cursor: Ints  # [k or l] where the table ends that is being filled
    position: Ints  # [3]
    accesses: Ints  # [n, READ, WRITE, PARTIAL_READ or PARTIAL_WRITE]
    moves: Ints  # [fan-out, tensor, DELIVERED, REDUCED or PASSED the outer end]
    totals: Ints  # [OPERATIONS or STEPS]


def machine(lowered: Lowered, fanouts: int, operands: Sequence[NDArray[np.float64]]) -> Machine:
    """A machine at rest: the operands, in the program's order, at home, the output there empty, all else poisoned."""
    p = lowered.program
    items, nodes, width = len(p.items), len(p.nodes), int(p.instances[-1])
    segments, dims, ranks, loops = len(p.instances), len(p.extents), p.stride.shape[1], 1 + len(p.tail_dim)
    store = np.full(lowered.store_words, np.nan)
    extent = np.ones((nodes, ranks, width), np.int64)
    for v, home in enumerate(lowered.homes):
        start, words = int(p.nodes[home]["base"]), int(p.nodes[home]["words"])
        store[start : start + words] = operands[v].ravel() if v < len(operands) else 0.0
        for dim, coef, rank in p.terms[v].tolist():
            extent[home, rank, 0] += coef * (p.extents[dim] - 1)
    depth = max(ranks, loops)
    stride = np.zeros((2 * nodes, 3, depth), np.int64)  # rows from `nodes` on are for words that roll
    stride[:nodes, 0, :ranks] = p.stride[p.nodes["parent"]]
    stride[:nodes, 1, :ranks] = stride[nodes:, 1, :ranks] = p.stride
    stride[nodes - len(p.terms), : len(p.terms), :loops] = p.tail_stride
    state = Machine(
        store=store,
        held=np.zeros(lowered.store_words, np.int32),
        scratch=np.zeros(np.max(p.nodes["words"], where=p.nodes["roll_rank"] >= 0, initial=1)),
        offset=_zeros(segments, dims, width),
        length=_zeros(segments, dims, width),
        active=np.zeros((segments, width), np.uint8),
        iteration=_zeros(items),
        trips=_zeros(items),
        outer_offset=_zeros(items, width),
        outer_length=_zeros(items, width),
        outer_active=np.zeros((items, width), np.uint8),
        origin=_zeros(nodes, ranks, width),
        extent=extent,
        previous=_zeros(2, width),
        source=_zeros(nodes, width),
        level=_zeros(nodes, width),
        asker=_zeros(nodes, width),
        leader=_zeros(*p.group.shape),
        leader_event=_zeros(*p.group.shape),
        event=_zeros(1),
        started=np.zeros((nodes, width), np.uint8),
        stamp=_zeros(fanouts if p.nodes["halo"].any() else 1, lowered.store_words if p.nodes["halo"].any() else 1),
        worked=np.zeros(width, np.uint8),
        table=_zeros(2 * nodes, 3, CHUNK),
        table_count=_zeros(2 * nodes, depth),
        table_stride=stride,
        cursor=_zeros(depth),
        position=_zeros(3),
        accesses=_zeros(nodes, 4),
        moves=_zeros(fanouts, len(lowered.tensors), 3),
        totals=_zeros(2),
    )
    state.length[0, :, 0] = p.extents
    state.active[0, 0] = 1
    return state


def _zeros(*shape: int) -> Ints:
    return np.zeros(shape, np.int64)
