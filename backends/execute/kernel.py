"""The counting executor's interpreter: one compiled function for all mappings. Needs numba; import it late.

It walks the items of a `Program` down and up again, as the loops demand, with all instances in lockstep. Every word
is moved and every operation done on `store`, one array with the tiles of all memory instances. NaN is poison: a word
that holds NaN was never loaded or lies outside the tile's box. In output tiles `held` tells which words hold a
partial sum; the others are empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backends.execute.program import LOOP, PARFOR, Ints, Program

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

OK, POISON, OUTSIDE, UNHELD, LOCKSTEP = range(5)
READ, WRITE = 0, 1
DELIVERED, REDUCED = 0, 1
OPERATIONS, STEPS = 0, 1
CHUNK = 4096  # entries of an address table

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba, once and for all later runs."""
    return cast(F, njit(cache=True, error_model="numpy")(function))


@compiled
def run(
    p: Program, store: Floats, held: Flags, accesses: Ints, moves: Ints, totals: Ints
) -> tuple[int, int]:
    """Run a program whose operands are in the homes of `store`; elsewhere it holds NaN.

    Adds to `accesses` [node, READ or WRITE], `moves` [fan-out, tensor, DELIVERED or REDUCED] and `totals`
    [OPERATIONS or STEPS]. Returns an error code and the node it concerns.
    """
    items, dims, nodes, ranks = len(p.kind), len(p.extents), len(p.parent), p.stride.shape[1]
    width, segments, requests = p.instances[-1], len(p.instances), len(p.terms)
    tail = items - len(p.tail_dim)
    # per segment and instance: where each dim's piece begins, how long it is, whether all pieces are there
    offset = np.zeros((segments, dims, width), np.int64)
    length = np.zeros((segments, dims, width), np.int64)
    active = np.zeros((segments, width), np.bool_)
    length[0, :, 0] = p.extents
    active[0, 0] = True
    # per loop: its index, its trips and what its dim was before
    index = np.zeros(items, np.int64)
    trips = np.zeros(items, np.int64)
    saved_offset = np.zeros((items, width), np.int64)
    saved_length = np.zeros((items, width), np.int64)
    saved_active = np.zeros((items, width), np.bool_)
    # per node and instance: the box of its tile, the address in the parent where the box begins, the outermost level
    # at which nobody else asks for the same, and the instance that asks in its place further out
    origin = np.zeros((nodes, ranks, width), np.int64)
    extent = np.ones((nodes, ranks, width), np.int64)
    source = np.zeros((nodes, width), np.int64)
    level = np.zeros((nodes, width), np.int64)
    asker = np.zeros((nodes, width), np.int64)
    leader = np.zeros(p.group.shape, np.int64)
    stamp = np.zeros(p.group.shape, np.int64)
    event = 0
    # per node: the addresses of the latest box, relative to its beginning, in parent and node
    table = np.zeros((nodes, 3, CHUNK), np.int64)
    table_count = np.zeros((nodes, max(ranks, 1 + len(p.tail_dim))), np.int64)
    scratch = np.zeros(max(1, np.max(np.where(p.roll_rank >= 0, p.words, 0))), np.float64)
    steps = np.zeros((nodes, 3, table_count.shape[1]), np.int64)
    for n in range(nodes):
        if p.parent[n] < 0:
            v = p.tensor[n]
            for t in range(p.terms[v]):
                extent[n, p.term_rank[v, t], 0] += p.term_coef[v, t] * (p.extents[p.term_dim[v, t]] - 1)
        else:
            steps[n, 0, :ranks] = p.stride[p.parent[n]]
            steps[n, 1, :ranks] = p.stride[n]
    first = nodes - requests
    steps[first, :, : 1 + len(p.tail_dim)] = p.tail_stride

    item, down = 0, True
    while item >= 0:
        if item == tail:
            s = segments - 1
            for n in range(first, nodes):
                event += 1
                if locate(p, n, offset[s], length[s], active[s], origin, extent, source) != OK:
                    return OUTSIDE, p.parent[n]
                share(p, n, active[s], extent, source, level, asker, leader, stamp, event)
            code, n = operate(
                p, length[s], active[s], source, level, asker, table, table_count, steps, store, held,
                accesses, moves, totals,
            )
            if code != OK:
                return code, n
            item, down = item - 1, False
            continue
        s = p.segment[item]
        if p.kind[item] == LOOP:
            d, size, count = p.dim[item], p.step[item], p.instances[s]
            if down:
                index[item], trips[item] = 0, 0
                for r in range(count):
                    saved_offset[item, r] = offset[s, d, r]
                    saved_length[item, r] = length[s, d, r]
                    saved_active[item, r] = active[s, r]
                    if active[s, r]:
                        trips[item] = max(trips[item], (length[s, d, r] + size - 1) // size)
            else:
                index[item] += 1
            down = index[item] < trips[item]
            if down:
                skip = index[item] * size
                for r in range(count):
                    left = saved_length[item, r] - skip
                    offset[s, d, r] = saved_offset[item, r] + skip
                    length[s, d, r] = min(size, left)
                    active[s, r] = saved_active[item, r] and left > 0
            else:
                for r in range(count):
                    offset[s, d, r] = saved_offset[item, r]
                    length[s, d, r] = saved_length[item, r]
                    active[s, r] = saved_active[item, r]
        elif p.kind[item] == PARFOR:
            if down:
                spread(
                    p.instances[s], p.pieces[item], p.dim[item], p.step[item],
                    offset[s], length[s], active[s], offset[s + 1], length[s + 1], active[s + 1],
                )
        else:
            n = p.node[item]
            if p.parent[n] >= 0:
                code = OK
                output = p.tensor[n] == requests - 1
                if down:
                    event += 1
                    kept = p.roll_rank[n] >= 0 and index[p.roll_item[n]] > 0
                    ...
            if code != OK: ...
        item += 1 if down else -1
    return OK, -1
