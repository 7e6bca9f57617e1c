"""The counting executor: runs a mapping on real numbers and buffers, word by word, and counts what it observes.

It knows nothing of the cost model. Buffers have the size of the tiles, fresh tiles are poisoned, each word is moved
and each operation done. A network offers a transfer to the instances that differ only in dims of no meaning to the
tensor; whether they share it follows from the addresses they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Dict
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backends.execute.machine import (
    EMPTY,
    EXCESS,
    LOCKSTEP,
    OK,
    OUTSIDE,
    PARTIAL_READ,
    PARTIAL_WRITE,
    POISON,
    WIDTH,
    Machine,
    machine,
)
from backends.execute.program import Lowered, Program, lower
from backends.execute.reference import operand
from mapper.arch import Architecture
from mapper.arguments import checked
from mapper.errors import InputError, MissingExtraError, VerificationError
from mapper.ir import LoopNest, Reduction, Tensor
from mapper.mapping import Access, Counts, Mapping, Moves

LARGEST = 2**48
"""Operations and words of a layer, at some nanoseconds each a week's work; far below where 64-bit counters overflow."""


@dataclass(frozen=True)
class Execution:
    """What came of a run: `output`, float64 of shape `nest.shape(nest.output)`, and the counts observed."""

    output: NDArray[np.float64]
    counts: Counts


@checked
def execute(nest: LoopNest, arch: Architecture, mapping: Mapping, operands: Dict[str, ArrayLike]) -> Execution:
    """Run `mapping` on `operands`, the input and the weight by name, of shape `nest.shape(tensor)`.

    Counts are words, operations and lockstep steps over all instances; homes are neither loaded nor drained. Takes
    some nanoseconds per operation and keeps every tile of every instance in main memory. Raises VerificationError if
    the hardware could not run the mapping or a word is used that is not where the mapping says, InputError if the
    operands do not fit the layer, are not finite, or need more than main memory; MissingExtraError without numba.
    """
    run = _kernel()
    largest = max(nest.operations, *(nest.words(tensor) for tensor in nest.tensors))
    if largest > LARGEST:
        raise InputError(f"too large to execute: {largest:.3g} operations or words", place=str(nest))
    lowered = lower(nest, arch, mapping)
    try:
        values = [_usable(operand(nest, tensor, operands), tensor, nest) for tensor in lowered.tensors[:-1]]
        state = machine(lowered, len(arch.fanouts), values)
    except MemoryError as error:
        needed = f"the tiles of all instances have {lowered.store_words:.3g} words, each of 12 bytes"
        raise InputError(f"too large to execute: {needed}", place=str(nest)) from error
    code, node = run(lowered.program, state)
    home = lowered.homes[-1]
    start = int(lowered.program.nodes[home]["base"])
    result = slice(start, start + int(lowered.program.nodes[home]["words"]))
    if code == OK and not (state.held[result] == lowered.program.reduction).all():
        code, node = EMPTY, home
    for n in lowered.narrow:
        if code == OK and state.accesses[n, [PARTIAL_READ, PARTIAL_WRITE]].any():
            code, node = WIDTH, n
    if code != OK:
        raise _failure(lowered, code, node)
    accesses = {(keep.memory, keep.tensor): Access(*state.accesses[n].tolist()) for n, keep in enumerate(lowered.nodes)}
    moves = {
        (fanout.name, tensor.name): _moves(arch, f, v, state, lowered.program)
        for f, fanout in enumerate(arch.fanouts)
        for v, tensor in enumerate(lowered.tensors)
    }
    output = state.store[result].reshape(nest.shape(nest.output)).copy()
    return Execution(output, Counts(accesses, moves, *state.totals.tolist()))


def _kernel() -> Callable[[Program, Machine], tuple[int, int]]:
    try:
        from backends.execute.kernel import run
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise MissingExtraError("numba", "verify") from None
    return run


def _usable(values: NDArray[np.float64], tensor: Tensor, nest: LoopNest) -> NDArray[np.float64]:
    """Values without NaN, which is the executor's poison, and where numbers are added or multiplied without infinities,
    which make it."""
    good = np.isfinite(values) if nest.reduction is Reduction.SUM else ~np.isnan(values)
    if not good.all():
        raise InputError(f"operand {tensor.name} holds values that are not finite")
    return values


def _moves(arch: Architecture, fanout: int, tensor: int, state: Machine, program: Program) -> Moves:
    """What passed a network, each element travelling every axis up to the furthest instance that ever worked."""
    delivered, reduced, passed = state.moves[fanout, tensor].tolist()
    first = sum(len(f.axes) for f in arch.fanouts[:fanout])
    places = program.place[first : first + len(arch.fanouts[fanout].axes), state.worked == 1]
    return Moves(delivered, reduced, passed * int((places.max(axis=1) + 1).sum()))


def _failure(lowered: Lowered, code: int, node: int) -> VerificationError:
    what = {
        POISON: "a word is used that was never loaded or lies outside the tile",
        OUTSIDE: "a word is asked for that lies outside the tile",
        EMPTY: "a word of the result lacks some of its products",
        EXCESS: "a word holds more products than its result has",
        WIDTH: "a partial sum is held where there is room for results only",
        LOCKSTEP: "an instance works in a step in which the first instance of its group does not",
    }[code]
    if node < len(lowered.nodes):
        keep = lowered.nodes[node]
        return VerificationError(what, place=f"{keep.tensor} in {keep.memory}")
    tensor = lowered.tensors[int(lowered.program.nodes[node]["tensor"])]
    return VerificationError(what, place=f"{tensor.name} at the compute unit")
