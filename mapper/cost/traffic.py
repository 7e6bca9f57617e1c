"""Traffic: the reads and writes of every storage node and the words on every network (`docs/model.md`)."""

from __future__ import annotations

import math
from collections import defaultdict

from mapper.arch import Architecture, FanOut
from mapper.cost.cuts import pieces, words
from mapper.ir import LoopNest, Role, Tensor
from mapper.mapping import Access, Counts, Keep, Mapping, Moves, ParFor


def count(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Counts:
    """The exact counts of a legal mapping."""
    accesses: dict[tuple[str, str], Access] = {}
    moves: dict[tuple[str, str], Moves] = {}
    for tensor in nest.tensors:
        flow = _output_flow if tensor.role is Role.OUTPUT else _operand_flow
        flow(nest, arch, mapping, tensor, accesses, moves)
    spatial = {i for i, item in enumerate(mapping.items) if isinstance(item, ParFor)}
    steps = math.prod(sum(pieces(mapping, len(mapping.items), d, n, spatial).values()) for d, n in nest.dims)
    return Counts(accesses, moves, nest.operations, steps)


def crossings(
    nest: LoopNest, arch: Architecture, mapping: Mapping, tensor: Tensor, parent: str, child: str, position: int
) -> tuple[list[FanOut], list[int]]:
    """The fan-outs between two memories (or memory and compute unit), outermost first, and the words on the way.

    The words of the child at `position` are given at the parent and behind each fan-out: `[parent, f_1, .., f_m]`.
    Above a network that coalesces, instances that differ only in irrelevant dims count once.
    """
    between = arch.fanouts[arch.segment[parent] : arch.segment[child]]
    joined: set[int] = set()
    found = [words(nest, mapping, tensor, position)]
    for fanout in reversed(between):
        if fanout.coalesces(tensor.role):
            joined |= {
                i
                for i, item in enumerate(mapping.items)
                if isinstance(item, ParFor) and item.fanout == fanout.name and item.dim not in tensor.dims
            }
        found.append(words(nest, mapping, tensor, position, joined))
    return list(between), found[::-1]


def _links(arch: Architecture, mapping: Mapping, tensor: Tensor) -> list[tuple[str, str, int]]:
    """(parent, child, position of the child) from the home inwards; the last child is the compute unit."""
    nodes = mapping.nodes(tensor.name)
    names = [item.memory for i in nodes if isinstance(item := mapping.items[i], Keep)]
    return list(zip(names, (*names[1:], arch.compute.name), (*nodes[1:], len(mapping.items)), strict=True))


def _operand_flow(
    nest: LoopNest,
    arch: Architecture,
    mapping: Mapping,
    tensor: Tensor,
    accesses: dict[tuple[str, str], Access],
    moves: dict[tuple[str, str], Moves],
) -> None:
    """Inputs and weights: each tile is filled from the next node outwards."""
    fills = 0
    for parent, child, position in _links(arch, mapping, tensor):
        between, volume = crossings(nest, arch, mapping, tensor, parent, child, position)
        accesses[parent, tensor.name] = Access(volume[0], fills)
        for fanout, delivered in zip(between, volume[1:], strict=True):
            moves[fanout.name, tensor.name] = Moves(delivered, 0)
        fills = volume[-1]


def _output_flow(
    nest: LoopNest,
    arch: Architecture,
    mapping: Mapping,
    tensor: Tensor,
    accesses: dict[tuple[str, str], Access],
    moves: dict[tuple[str, str], Moves],
) -> None:
    """Outputs: each tile is drained to the next node outwards, and re-filled where that holds a partial sum.

    `fresh` counts the element visits of a node's tiles that begin from zero.
    """
    fresh = nest.words(tensor)
    reads: dict[str, int] = defaultdict(int)
    writes: dict[str, int] = defaultdict(int)
    for parent, child, position in _links(arch, mapping, tensor):
        between, volume = crossings(nest, arch, mapping, tensor, parent, child, position)
        arrivals, drains = volume[0], volume[-1]
        refills = arrivals - fresh
        reads[parent] += refills
        writes[parent] += arrivals
        accesses[parent, tensor.name] = Access(reads[parent], writes[parent])
        refilled = refills if child != arch.compute.name else 0  # at the compute unit the parent adds what arrives
        for fanout, above, below in zip(between, volume, volume[1:], strict=False):
            moves[fanout.name, tensor.name] = Moves(refilled, below - above)
        reads[child] += drains
        writes[child] += refills
        fresh = drains - refills
