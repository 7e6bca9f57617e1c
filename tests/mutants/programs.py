"""Wrong executors: lowered programs and machines at rest."""

from collections.abc import Callable
from typing import Any

import numpy as np
from strategies import OPERANDS

from backends.execute import counting, program
from backends.execute.program import LOOP, PARFOR
from mapper.ir import Role
from mapper.mapping import ParFor
from mutants.patching import Mutant, around, executor_told, lowered, resting


def swapped_terms(terms: Any, self: Any, tensor: Any) -> dict[str, tuple[int, int]]:
    """In each rank the coefficients in reverse: the stride of a convolution as its dilation and the other way round."""
    found = {}
    for k, rank in enumerate(tensor.ranks):
        for term, other in zip(rank, reversed(rank), strict=True):
            found[term.dim] = other.coef, self.ranks - len(tensor.ranks) + k
    return found


def transposed_ranks(terms: Any, self: Any, tensor: Any) -> dict[str, tuple[int, int]]:
    """The last two ranks of an operand exchanged."""
    found, last = terms(self, tensor), self.ranks - 1
    if tensor.role is Role.OUTPUT or len(tensor.ranks) < 2:
        return found
    other = {last: last - 1, last - 1: last}
    return {dim: (coef, other.get(rank, rank)) for dim, (coef, rank) in found.items()}


def column_major_homes(p: Any) -> None:
    """Operands stored at home with the last two ranks the other way round, though they come in order."""
    if p.stride.shape[1] < 2:
        return
    for n in np.flatnonzero((p.nodes["parent"] < 0) & (p.nodes["tensor"] < len(p.terms) - 1)):
        matrix = p.stride[n, -3] if p.stride.shape[1] > 2 else p.nodes["words"][n]
        p.stride[n, -2:] = 1, matrix // p.stride[n, -2]


def other_steps(kind: int, change: int) -> Mutant:
    """Loops of a kind in steps longer or shorter than they are, but for single steps."""

    def wrong(p: Any) -> None:
        chosen = (p.items["kind"] == kind) & (p.items["step"] > 1)
        p.items["step"][chosen] += change

    return lowered(wrong)


def nodes(p: Any) -> Any:
    """The storage nodes of a program that are no homes, as a mask; requests of the compute unit are none."""
    return (p.nodes["parent"] >= 0) & (np.arange(len(p.nodes)) < len(p.nodes) - len(p.terms))


def unfilled(output: bool) -> Mutant:
    """Skips the innermost storage node of the output, or of operands: their tiles are never loaded or drained."""

    def wrong(p: Any) -> None:
        chosen = nodes(p) & ((p.nodes["tensor"] == len(p.terms) - 1) == output)
        p.nodes["parent"][np.flatnonzero(chosen)[-1:]] = -1

    return lowered(wrong)


def bypassed(p: Any) -> None:
    """Nodes two below home read there rather than from the node between, where there is one instance of all."""
    homes = {tensor: n for n, tensor in reversed(list(enumerate(p.nodes["tensor"].tolist())))}
    for n in np.flatnonzero(nodes(p)) if len(p.instances) == 1 else ():
        p.nodes["parent"][n] = homes[int(p.nodes["tensor"][n])]


def rolling_along(field: str, change: Callable[[Any, int], int]) -> Mutant:
    """Nodes that roll do so along something else."""

    def wrong(p: Any) -> None:
        for n in np.flatnonzero(p.nodes["roll_rank"] >= 0):
            p.nodes[field][n] = change(p, int(p.nodes[field][n]))

    return lowered(wrong)


def first_loop(p: Any, item: int) -> int:
    return int(np.flatnonzero(p.items["kind"] == LOOP)[0])


def refilled_groups(change: Callable[[Any, Any], Any]) -> Mutant:
    """Other groups of the instances of which one is re-filled."""

    def wrong(p: Any) -> None:
        for n in np.flatnonzero(p.nodes["tensor"] == len(p.terms) - 1):
            row = p.nodes["group_row"][n] + p.nodes["levels"][n]
            p.group[row] = change(p, p.group[row])

    return lowered(wrong)


def reset(field: str, change: Callable[[Any, Any], Any], only: Callable[[Any], Any] = nodes) -> Mutant:
    """Another value of a field of some of the nodes."""

    def wrong(p: Any) -> None:
        chosen = only(p)
        p.nodes[field][chosen] = change(p, p.nodes[field])[chosen]

    return lowered(wrong)


def all_but_homes(p: Any) -> Any:
    return p.nodes["parent"] >= 0


def shorter_dim(p: Any, m: Any) -> None:
    """The largest dim ends one too early."""
    m.length[0, int(np.argmax(p.extents)), 0] -= 1


def other_networks(networks: Any, context: Any) -> Any:
    """What crosses one of two networks counted at the other, and what crosses both the other way round."""
    found = networks(context)
    return np.where(found < 0, found, len(context.arch.fanouts) - 1 - found)


PROGRAM: dict[str, Mutant] = {
    # dims, ranks and strides
    "stride and dilation are swapped": around(program._Context, "terms", swapped_terms),
    "an operand's ranks are transposed": around(program._Context, "terms", transposed_ranks),
    "an operand's values are transposed": around(
        counting, "operand", lambda operand, *given_: (v := operand(*given_)).T.copy().reshape(v.shape)
    ),
    "operands rest column by column at home": lowered(column_major_homes),
    "operations walk tiles without the coefficients": around(
        program, "_tail_strides", lambda strides, context: np.minimum(strides(context), 1)
    ),
    "operations walk along another loop's stride": around(
        program, "_tail_strides", lambda strides, context: np.roll(strides(context), 1, 1)
    ),
    # loops
    "a temporal step is one too long": other_steps(LOOP, +1),
    "a temporal step is one too short": other_steps(LOOP, -1),
    "a spatial step is one too long": other_steps(PARFOR, +1),
    "a spatial step is one too short": other_steps(PARFOR, -1),
    "the last iteration over a dim is dropped": resting(shorter_dim),
    "the clipped instance is dropped": around(
        program,
        "_pieces",
        lambda pieces, nest, mapping: tuple(
            max(1, n - isinstance(item, ParFor)) for n, item in zip(pieces(nest, mapping), mapping.items, strict=True)
        ),
    ),
    # tiles
    "operands are never loaded into the innermost node": unfilled(output=False),
    "results are never drained from the innermost node": unfilled(output=True),
    "a node is bypassed": lowered(bypassed),
    "a tile begins one word early": reset("base", lambda p, base: base - 1),
    "instances of a memory are one word too near": reset("span", lambda p, span: span - 1),
    "the tile above is that of another instance": reset("ratio", lambda p, ratio: ratio + (ratio > 1), all_but_homes),
    "the tile above is that of the first instance": reset(
        "ratio", lambda p, ratio: ratio * p.instances[-1], all_but_homes
    ),
    "a tile rolls along another rank": rolling_along("roll_rank", lambda p, k: (k + 1) % p.stride.shape[1]),
    "a tile rolls along another loop": rolling_along("roll_item", first_loop),
    "the last word of a tile is forgotten when it rolls": reset("words", lambda p, words: words - 1),
    # sums
    "a result has a product more": lowered(lambda p: {"reduction": p.reduction + 1}),
    "a result has a product less": lowered(lambda p: {"reduction": p.reduction - 1}),
    "the home holds partial sums at first": resting(lambda p, m: {"held": m.held + 1}),
    "each instance is re-filled": refilled_groups(lambda p, row: np.arange(len(row))),
    "one instance of all is re-filled": refilled_groups(lambda p, row: row * 0),
    # networks
    "a network multicasts that does not": executor_told(multicast=frozenset(OPERANDS)),
    "a network does not multicast that does": executor_told(multicast=frozenset()),
    "a network adds that drains": executor_told(reduce=True, drain=False),
    "a network drains that adds": executor_told(reduce=False, drain=True),
    "halos are shared tile by tile only": around(program._Context, "halo", lambda halo, *given_: False),
    "all instances make one group": lowered(lambda p: {"group": p.group * 0}),
    "each instance makes a group": lowered(lambda p: {"group": p.group * 0 + np.arange(p.group.shape[1])}),
    "instances of a group do not follow each other": lowered(
        lambda p: {"order": p.order * 0 + np.arange(p.order.shape[1])}
    ),
    "traffic counts at the other network": around(program, "_networks", other_networks),
    "the outermost network is forgotten": reset("levels", lambda p, levels: levels - (levels > 0), all_but_homes),
    "instances that never work have hops": resting(lambda p, m: {"worked": m.worked + 1}),
    "axes are exchanged": around(program, "_places", lambda places, context: places(context)[::-1].copy()),
}
