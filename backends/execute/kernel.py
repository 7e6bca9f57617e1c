"""The counting executor's interpreter, compiled once for all mappings. Needs numba; import it late.

All compiled functions are in this file, because numba recompiles when it changes and looks at no other: whoever
changes a constant that is imported here touches this file too.

It walks the items of a `Program` down and up again, as its loops demand, with all instances in lockstep. Every word
is moved and every operation done on `store`, one array with the tiles of all memory instances. NaN is poison: a word
that holds NaN was never loaded or lies outside the tile's box. In output tiles `held` tells how many products a word
holds the sum of: with none it is empty, with all it is a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backends.execute.machine import (
    DELIVERED,
    EMPTY,
    EXCESS,
    LOCKSTEP,
    OK,
    OPERATIONS,
    OUTSIDE,
    PARTIAL_READ,
    PARTIAL_WRITE,
    PASSED,
    POISON,
    READ,
    REDUCED,
    STEPS,
    WRITE,
    Machine,
)
from backends.execute.program import LOOP, MAX, PARFOR, SUM, Ints, Program

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba and keep the machine code for later processes."""
    return cast(F, njit(cache=True, error_model="numpy")(function))


@compiled
def run(p: Program, m: Machine) -> tuple[int, int]:
    """Run a program on a fresh machine; an error code and the node it concerns."""
    tail, segments, requests = len(p.items) - len(p.tail_dim), len(p.instances), len(p.terms)
    item, code, node = p.instances[0] - 1, OK, -1  # 0, but not a literal: numba would compile everything twice
    down = item == 0
    while item >= 0 and code == OK:
        if item == tail:
            for request in range(len(p.nodes) - requests, len(p.nodes)):
                if code == OK:
                    code, node = locate(p, m, request, segments - 1), p.nodes[request].parent
                    share(p, m, request, segments - 1)
            if code == OK:
                code, node = operate(p, m)
            down = False
        elif p.items[item].kind == LOOP:
            down = iterate(p, m, item, down)
        elif p.items[item].kind == PARFOR:
            if down:
                spread(p, m, item)
        elif p.nodes[p.items[item].node].parent >= 0:
            n, s = p.items[item].node, p.items[item].segment
            if not down and p.nodes[n].tensor == requests - 1:
                code, node = drain(p, m, n, s)
            elif down:
                code, node = locate(p, m, n, s), p.nodes[n].parent
                share(p, m, n, s)
                if code == OK and p.nodes[n].tensor == requests - 1:
                    begin(p, m, n, s)
                elif code == OK:
                    code = fetch(p, m, n, s)
        item += 1 if down else -1
    return code, node


@compiled
def iterate(p: Program, m: Machine, item: int, enter: bool) -> bool:
    """Enter a temporal loop or go to its next iteration; False, with the state restored, once there is none."""
    s, d, size = p.items[item].segment, p.items[item].dim, p.items[item].step
    count = p.instances[s]
    if enter:
        trips = 0
        for r in range(count):
            m.outer_offset[item, r] = m.offset[s, d, r]
            m.outer_length[item, r] = m.length[s, d, r]
            m.outer_active[item, r] = m.active[s, r]
            if m.active[s, r]:
                trips = max(trips, (m.length[s, d, r] + size - 1) // size)
        m.iteration[item], m.trips[item] = 0, trips
    else:
        m.iteration[item] += 1
    more = m.iteration[item] < m.trips[item]
    if more:
        skip = m.iteration[item] * size
        for r in range(count):
            left = m.outer_length[item, r] - skip
            m.offset[s, d, r] = m.outer_offset[item, r] + skip
            m.length[s, d, r] = min(size, left)
            m.active[s, r] = m.outer_active[item, r] if left > 0 else 0
    else:
        for r in range(count):
            m.offset[s, d, r] = m.outer_offset[item, r]
            m.length[s, d, r] = m.outer_length[item, r]
            m.active[s, r] = m.outer_active[item, r]
    return bool(more)


@compiled
def spread(p: Program, m: Machine, item: int) -> None:
    """Give each instance of a spatial loop its piece."""
    s, cut, size, pieces = p.items[item].segment, p.items[item].dim, p.items[item].step, p.items[item].pieces
    for d in range(len(p.extents)):
        for q in range(p.instances[s]):
            for i in range(pieces):
                skip = i * size if d == cut else 0
                left = m.length[s, d, q] - skip
                m.offset[s + 1, d, q * pieces + i] = m.offset[s, d, q] + skip
                m.length[s + 1, d, q * pieces + i] = min(size, left) if d == cut else left
    for q in range(p.instances[s]):
        for i in range(pieces):
            m.active[s + 1, q * pieces + i] = m.active[s, q] if m.length[s, cut, q] > i * size else 0


@compiled
def locate(p: Program, m: Machine, n: int, s: int) -> int:
    """Find the box that each instance needs and its place in the parent's tile."""
    count, ratio, outer, v = p.instances[s], p.nodes[n].ratio, p.nodes[n].parent, p.nodes[n].tensor
    roll_rank = p.nodes[n].roll_rank
    if roll_rank >= 0:
        for r in range(count):
            m.previous[0, r], m.previous[1, r] = m.origin[n, roll_rank, r], m.extent[n, roll_rank, r]
    for k in range(p.stride.shape[1]):
        for r in range(count):
            m.origin[n, k, r] = 0
            m.extent[n, k, r] = 1
    for t in range(p.terms.shape[1]):
        d, coef, k = p.terms[v, t].dim, p.terms[v, t].coef, p.terms[v, t].rank
        for r in range(count):
            m.origin[n, k, r] += coef * m.offset[s, d, r]
            m.extent[n, k, r] += coef * (m.length[s, d, r] - 1)
    base, span, inside = p.nodes[outer].base, p.nodes[outer].span, True
    for r in range(count):
        q = r if ratio == 1 else r // ratio
        m.source[n, r] = base + q * span
    for k in range(p.stride.shape[1]):
        stride = p.stride[outer, k]
        for r in range(count):
            q = r if ratio == 1 else r // ratio
            skip = m.origin[n, k, r] - m.origin[outer, k, q]
            m.source[n, r] += skip * stride
            fits = skip >= 0 and skip + m.extent[n, k, r] <= m.extent[outer, k, q]
            inside &= fits or not m.active[s, r]
    return OK if inside else OUTSIDE


@compiled
def share(p: Program, m: Machine, n: int, s: int) -> None:
    """Find out who asks for the same words in this step as the first active instance of its group."""
    m.event[0] += 1
    event, levels, ranks = m.event[0], p.nodes[n].levels, p.stride.shape[1]
    for r in range(p.instances[s]):
        if not m.active[s, r]:
            continue
        level, asker = levels, r
        while level > 0:
            row = p.nodes[n].group_row + level - 1
            g = p.group[row, r]
            if m.leader_event[row, g] != event:
                m.leader_event[row, g], m.leader[row, g] = event, r
            else:
                first = m.leader[row, g]
                same = m.source[n, first] == m.source[n, r]
                for k in range(ranks):
                    same &= m.extent[n, k, first] == m.extent[n, k, r]
                if same:
                    asker = first
                    break
            level -= 1
        m.level[n, r], m.asker[n, r] = level, asker
        if p.nodes[n].tensor == len(p.terms) - 1:
            row = p.nodes[n].group_row + levels
            g = p.group[row, r]
            m.started[n, r] = m.leader_event[row, g] != event
            m.leader_event[row, g] = event


@compiled
def ask(p: Program, m: Machine, n: int, r: int, at: int) -> None:
    """Count a request for a word of the parent whose networks share what overlaps.

    It goes outwards until another instance of the group there has asked for the word in this step.
    """
    width, levels = p.group.shape[1], p.nodes[n].levels
    for level in range(levels - 1, -1, -1):
        m.moves[p.network[n, level], p.nodes[n].tensor, DELIVERED] += 1
        key = m.event[0] * width + p.group[p.nodes[n].group_row + level, r]
        if m.stamp[level, at] == key:
            return
        m.stamp[level, at] = key
        m.moves[p.network[n, level], p.nodes[n].tensor, PASSED] += 1
    m.accesses[p.nodes[n].parent, READ] += 1


@compiled
def outline(m: Machine, row: int, depth: int) -> tuple[int, bool]:
    """Words of the box in `cursor`, and whether the table has its addresses; if not, they are about to be walked."""
    words, known = 1, True
    for k in range(depth):
        known &= m.table_count[row, k] == m.cursor[k]
        m.table_count[row, k] = m.cursor[k]
        words *= m.cursor[k]
    known &= words <= m.table.shape[2]
    if not known:
        for k in range(depth):
            m.cursor[k] = 0
        for stream in range(3):
            m.position[stream] = 0
    return words, known


@compiled
def walk(m: Machine, row: int, depth: int) -> int:
    """Fill the table with the next addresses of the box, last rank fastest; how many."""
    filled, last = 0, depth - 1
    while filled < m.table.shape[2] and m.cursor[0] < m.table_count[row, 0]:
        length = min(m.table_count[row, last] - m.cursor[last], m.table.shape[2] - filled)
        for stream in range(3):
            at, stride = m.position[stream], m.table_stride[row, stream, last]
            for i in range(length):
                m.table[row, stream, filled + i] = at + i * stride
            m.position[stream] += length * stride
        filled += length
        m.cursor[last] += length
        k = last
        while k > 0 and m.cursor[k] == m.table_count[row, k]:
            for stream in range(3):
                back = m.cursor[k] * m.table_stride[row, stream, k]
                m.position[stream] += m.table_stride[row, stream, k - 1] - back
            m.cursor[k] = 0
            m.cursor[k - 1] += 1
            k -= 1
    return filled


@compiled
def fetch(p: Program, m: Machine, n: int, s: int) -> int:
    """Load the tile of an input or weight in each instance."""
    ranks, outer, rank = p.stride.shape[1], p.nodes[n].parent, p.nodes[n].roll_rank
    rolls = rank >= 0 and m.iteration[p.nodes[n].roll_item] > 0
    for turn in range(p.instances[s]):
        r = p.order[n, turn]
        if not m.active[s, r]:
            continue
        start, own, to = m.source[n, r], p.nodes[n].base + r * p.nodes[n].span, np.int64(0)
        for i in range(p.nodes[n].words if rolls else 0):
            m.scratch[i] = m.store[own + i]
        for i in range(p.nodes[n].words):
            m.store[own + i] = np.nan
        for k in range(ranks):
            m.cursor[k] = m.extent[n, k, r]
        if rolls:
            shared = roll(p, m, n, r)
            m.cursor[rank] = m.extent[n, rank, r] - shared
            start, to = start + shared * p.stride[outer, rank], shared * p.stride[n, rank]
        words, known = outline(m, n, ranks)
        left = words
        while left > 0:
            size = left if known else walk(m, n, ranks)
            for i in range(size):
                value = m.store[start + m.table[n, 0, i]]
                if value != value:
                    return POISON
                m.store[own + to + m.table[n, 1, i]] = value
                if p.nodes[n].halo:
                    ask(p, m, n, r, start + m.table[n, 0, i])
            left -= size
        m.accesses[n, WRITE] += words
        if not p.nodes[n].halo:
            supply(p, m, n, r, words)
    return OK


@compiled
def supply(p: Program, m: Machine, n: int, r: int, words: int) -> None:
    """Count what an instance asks its parent for, each word for all instances that share it."""
    level, levels = m.level[n, r], p.nodes[n].levels
    if level == 0:
        m.accesses[p.nodes[n].parent, READ] += words
    for j in range(levels):
        if level <= j:
            m.moves[p.network[n, j], p.nodes[n].tensor, PASSED] += words
        if level <= j + 1:
            m.moves[p.network[n, j], p.nodes[n].tensor, DELIVERED] += words


@compiled
def roll(p: Program, m: Machine, n: int, r: int) -> int:
    """Put back the words that the previous tile, in `scratch`, shares with the new one; how far along the rank.

    A word that was poisoned there stays so, and shows when it is used.
    """
    ranks, rank, row = p.stride.shape[1], p.nodes[n].roll_rank, len(p.nodes) + n
    shift = m.origin[n, rank, r] - m.previous[0, r]
    shared = max(0, min(m.previous[1, r] - shift, m.extent[n, rank, r]))
    m.cursor[rank] = shared
    left, known = outline(m, row, ranks)
    while left > 0:
        size = left if known else walk(m, row, ranks)
        for i in range(size):
            at = m.table[row, 1, i]
            m.store[p.nodes[n].base + r * p.nodes[n].span + at] = m.scratch[at + shift * p.stride[n, rank]]
        left -= size
    # the walk has used the cursor
    for k in range(ranks):
        m.cursor[k] = m.extent[n, k, r]
    return int(shared)


@compiled
def begin(p: Program, m: Machine, n: int, s: int) -> None:
    """Start the output tile of each instance: one of a group gets the partial sums that exist, the others zeros."""
    ranks, outer = p.stride.shape[1], p.nodes[n].parent
    for r in range(p.instances[s]):
        if not m.active[s, r]:
            continue
        own, start, refills = p.nodes[n].base + r * p.nodes[n].span, m.source[n, r], 0
        for i in range(p.nodes[n].words):
            m.store[own + i] = np.nan
            m.held[own + i] = 0
        for k in range(ranks):
            m.cursor[k] = m.extent[n, k, r]
        left, known = outline(m, n, ranks)
        while left > 0:
            size = left if known else walk(m, n, ranks)
            for i in range(size):
                at, to = start + m.table[n, 0, i], own + m.table[n, 1, i]
                if m.started[n, r] and m.held[at]:
                    m.store[to] = m.store[at]
                    m.held[to] = m.held[at]
                    refills += 1
                else:
                    m.store[to] = 0.0
            left -= size
        m.accesses[outer, READ] += refills
        m.accesses[outer, PARTIAL_READ] += refills
        m.accesses[n, WRITE] += refills
        m.accesses[n, PARTIAL_WRITE] += refills
        for level in range(p.nodes[n].levels):
            m.moves[p.network[n, level], p.nodes[n].tensor, DELIVERED] += refills
            m.moves[p.network[n, level], p.nodes[n].tensor, PASSED] += refills


@compiled
def drain(p: Program, m: Machine, n: int, s: int) -> tuple[int, int]:
    """Bring the output tiles of all instances to the parent; a group's partial sums are added on the way."""
    ranks, outer = p.stride.shape[1], p.nodes[n].parent
    for r in range(p.instances[s]):
        if not m.active[s, r]:
            continue
        own, start, level = p.nodes[n].base + r * p.nodes[n].span, m.source[n, r], m.level[n, r]
        replaces, added, complete, completed = m.started[n, r], 0, 0, 0
        for k in range(ranks):
            m.cursor[k] = m.extent[n, k, r]
        words, known = outline(m, n, ranks)
        left = words
        while left > 0:
            size = left if known else walk(m, n, ranks)
            for i in range(size):
                at, to = own + m.table[n, 1, i], start + m.table[n, 0, i]
                value = m.store[at]
                if value != value:
                    return POISON, n
                if not m.held[at]:
                    return EMPTY, n
                if m.store[to] != m.store[to]:
                    return POISON, outer
                complete += m.held[at] == p.reduction
                if replaces:  # the parent's old sum, with which this instance began
                    m.store[to], m.held[to] = value, m.held[at]
                else:
                    m.store[to] = combined(m.store[to], m.held[to], value, p.operator)
                    m.held[to] += m.held[at]
                    added += 1
                if m.held[to] > p.reduction:
                    return EXCESS, outer
                completed += m.held[to] == p.reduction
            left -= size
        m.accesses[n, READ] += words
        m.accesses[n, PARTIAL_READ] += words - complete
        m.accesses[outer, PARTIAL_WRITE] -= completed
        if level == 0:
            m.accesses[outer, WRITE] += words
            m.accesses[outer, PARTIAL_WRITE] += words
            m.accesses[outer, READ] += added
            m.accesses[outer, PARTIAL_READ] += added
        else:
            m.moves[p.network[n, level - 1], p.nodes[n].tensor, REDUCED] += words
        for j in range(level, p.nodes[n].levels):
            m.moves[p.network[n, j], p.nodes[n].tensor, PASSED] += words
    return OK, n


@compiled
def operate(p: Program, m: Machine) -> tuple[int, int]:
    """Do the operations of the tail in each instance.

    Instances may run one after another because each does exactly the steps of the longest one, or the first few of
    each loop: a group's first instance does every step that the others do. That is checked, not assumed.
    """
    s, depth, requests = len(p.instances) - 1, 1 + len(p.tail_dim), len(p.terms)
    first = len(p.nodes) - requests
    output, row = first + requests - 1, first
    outer = p.nodes[output].parent
    steps, longest = 1, 0
    for dim in p.tail_dim:
        most = 0
        for r in range(p.instances[s]):
            if m.active[s, r]:
                most = max(most, m.length[s, dim, r])
        steps *= most
    for r in range(p.instances[s]):
        if not m.active[s, r]:
            continue
        m.cursor[0] = 1
        for k in range(1, depth):
            m.cursor[k] = m.length[s, p.tail_dim[k - 1], r]
            for n in range(first, first + requests):
                if m.cursor[k] > m.length[s, p.tail_dim[k - 1], m.asker[n, r]]:
                    return LOCKSTEP, n
        m.worked[r] = 1
        operations, known = outline(m, row, depth)
        left, sums, results = operations, 0, 0
        a, b, c = m.source[first, r], m.source[output - 1, r], m.source[output, r]  # b is a without a weight
        while left > 0:
            size = left if known else walk(m, row, depth)
            done, held, complete = accumulate(
                m.store, m.held, m.table[row], size, a, b, c, requests - 1, p.reduction, p.operator
            )
            if done < size:
                last = requests - 2  # operand
                for n, at in ((first, a + m.table[row, 0, done]), (first + last, b + m.table[row, last, done])):
                    if m.store[at] != m.store[at]:
                        return POISON, p.nodes[n].parent
                return POISON, outer
            sums += held
            results += complete
            left -= size
        longest = max(longest, operations)
        m.totals[OPERATIONS] += operations
        for n in range(first, output):
            if not p.nodes[n].halo:
                supply(p, m, n, r, operations)
        level = m.level[output, r]
        m.accesses[outer, PARTIAL_WRITE] -= results
        if level == 0:
            m.accesses[outer, READ] += sums
            m.accesses[outer, PARTIAL_READ] += sums
            m.accesses[outer, WRITE] += operations
            m.accesses[outer, PARTIAL_WRITE] += operations
        else:
            if sums < operations:  # a product that should have been added to another one stood alone
                return LOCKSTEP, output
            m.moves[p.network[output, level - 1], p.nodes[output].tensor, REDUCED] += operations
        for j in range(level, p.nodes[output].levels):
            m.moves[p.network[output, j], p.nodes[output].tensor, PASSED] += operations
    for n in range(first, output):
        for i in range(p.instances[s] if p.nodes[n].halo else 0):  # without tail loops, so each asks for one word
            r = p.order[n, i]
            if m.active[s, r]:
                ask(p, m, n, r, m.source[n, r])
    m.totals[STEPS] += steps
    return (OK if steps == longest else LOCKSTEP), output


@compiled
def combined(before: float, held: int, value: float, operator: int) -> float:
    """A partial result with one more operation; poison if one of them is. A maximum of nothing is what comes first."""
    if operator == SUM or before != before or value != value:
        return before + value
    if held == 0 or (value > before) == (operator == MAX):
        return value
    return before


@compiled
def accumulate(
    store: NDArray[np.float64],
    held: NDArray[np.int32],
    table: Ints,
    size: int,
    a: int,
    b: int,
    c: int,
    operands: int,
    reduction: int,
    operator: int,
) -> tuple[int, int, int]:
    """The operations of a table from three addresses on; how many until poison, sums added to, and results reached."""
    sums = results = 0
    for i in range(size):
        at, value = c + table[operands, i], store[a + table[0, i]]
        if operands == 2:
            value *= store[b + table[1, i]]
        value = combined(store[at], held[at], value, operator)
        if value != value:
            return i, sums, results
        store[at] = value
        sums += held[at] > 0
        held[at] += 1
        results += held[at] == reduction
    return size, sums, results
