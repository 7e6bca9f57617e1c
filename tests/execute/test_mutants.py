"""Mutants: each wrong model and each wrong executor here is told from the right one by some mapping.

A mutant is one plausible mistake in one function of `mapper.cost` or `backends.execute`. It is caught if `prove.check`
says so: a count or a result differs, or the executor finds a word that is not where it should be. Any other exception
would be a mutant that breaks rather than errs, and fails its test.

The executor's compiled kernel runs as the Python that it is compiled from: that can be patched function by function,
and an address gone wrong raises instead of overwriting memory. It takes some ten times as long.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from itertools import chain, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import prove
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from strategies import OPERANDS, Case, cases, rarities

from backends.execute import counting, kernel, program
from backends.execute.machine import STEPS
from backends.execute.program import LOOP, PARFOR
from mapper.arch import Architecture, FanOut
from mapper.cost import cost, cuts, halo, traffic
from mapper.cost.cuts import Cuts, Pieces
from mapper.cost.traffic import Link
from mapper.errors import VerificationError
from mapper.ir import Rank, Role, Term
from mapper.mapping import Counts, ParFor

Mutant = Callable[[pytest.MonkeyPatch], None]

BLOCK, RANDOM, RARE = 50, 16, 4
"""Cases are drawn in blocks, each from a seed of its own and only once a mutant has survived those before.

What a block has many of another lacks, so many small ones show more than a large one.
"""


@cache
def drawn(block: int) -> tuple[Case, ...]:
    """The same cases in each session: random ones first, then rarities."""
    found: list[Case] = []
    draw = settings(max_examples=BLOCK, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    strategy = cases() if block < RANDOM else rarities()
    seed(block)(draw(given(strategy)(lambda case: found.append(case))))()
    return tuple(found)


def caught_by(*mutants: Mutant, blocks: Iterable[int] = range(RANDOM + RARE)) -> tuple[int, Case, str] | None:
    """The first case that tells the mutant from what is right, its number and how; None if there is none."""
    number = 0
    with pytest.MonkeyPatch.context() as patch:
        for mutant in mutants:
            mutant(patch)
        for case in chain.from_iterable(map(drawn, blocks)):
            number += 1
            if how := told_apart(case):
                return number, case, how
    return None


def told_apart(case: Case) -> str | None:
    """What the gate says of a case; None if it passes."""
    try:
        prove.check(case)
    except VerificationError as error:
        return str(error)
    except AssertionError:
        return "a count or a result differs"
    return None


# -- how to mutate -----------------------------------------------------------------------------------------------------


def around(owner: Any, name: str, change: Callable[..., Any]) -> Mutant:
    """`change(original, *arguments)` in place of a function."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *arguments: change(original, *arguments))

    return apply


def linked(change: Callable[[Link, Cuts], dict[str, Any]]) -> Mutant:
    """Other fields of each link of the model."""
    return around(
        traffic,
        "links",
        lambda links, arch, own: (replace(link, **change(link, own)) for link in links(arch, own)),
    )


def output_linked(change: Callable[[Link, Cuts], dict[str, Any]]) -> Mutant:
    """Other fields of each link of an output."""
    return linked(lambda link, own: change(link, own) if link.tensor.role is Role.OUTPUT else {})


def told(arch: Architecture, **wrong: Any) -> Architecture:
    """The architecture as one who misreads its networks takes it."""
    levels = (replace(level, **wrong) if isinstance(level, FanOut) else level for level in arch.levels)
    return replace(arch, levels=tuple(levels))


def model_told(**wrong: Any) -> Mutant:
    """A model that treats every network as if it were such."""
    return around(traffic, "links", lambda links, arch, own: links(told(arch, **wrong), own))


def executor_told(**wrong: Any) -> Mutant:
    """An executor that treats every network as if it were such."""
    return around(counting, "lower", lambda lower, nest, arch, mapping: lower(nest, told(arch, **wrong), mapping))


def lowered(change: Callable[[Any], dict[str, Any] | None]) -> Mutant:
    """A program changed in place, or with the other arrays that `change` returns."""

    def wrong(lower: Callable[..., Any], *layer: Any) -> Any:
        found = lower(*layer)
        return replace(found, program=found.program._replace(**(change(found.program) or {})))

    return around(counting, "lower", wrong)


def resting(change: Callable[[Any, Any], dict[str, Any] | None]) -> Mutant:
    """The same for the machine at rest: `change(program, machine)`."""

    def wrong(machine: Callable[..., Any], found: Any, *rest: Any) -> Any:
        state = machine(found, *rest)
        return state._replace(**(change(found.program, state) or {}))

    return around(counting, "machine", wrong)


def interpreted(patch: pytest.MonkeyPatch) -> None:
    """No mutant: the kernel as Python, on buffers with some room behind them."""
    for name, function in list(vars(kernel).items()):
        if hasattr(function, "py_func"):
            patch.setattr(kernel, name, function.py_func)

    def run(original: Callable[..., Any], p: Any, m: Any) -> Any:
        return original(p._replace(**{name: _records(getattr(p, name)) for name in ("items", "nodes", "terms")}), m)

    around(kernel, "run", run)(patch)

    def machine(original: Callable[..., Any], *given_: Any) -> Any:
        state, room = original(*given_), 5000
        return state._replace(
            store=np.append(state.store, np.full(room, np.nan)),
            held=np.append(state.held, np.zeros(room, state.held.dtype)),
            scratch=np.append(state.scratch, np.full(room, np.nan)),
            stamp=np.pad(state.stamp, ((0, 0), (0, room))),
        )

    around(counting, "machine", machine)(patch)


def _records(array: Any) -> Any:
    """A structured array whose records have their fields as attributes, as they have in compiled code."""
    found = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        found[index] = SimpleNamespace(**dict(zip(array.dtype.names, array[index].item(), strict=True)))
    return found


def unremembered(patch: pytest.MonkeyPatch) -> None:
    """No mutant: the model does not remember unions from before it was wrong, nor wrong ones for later."""
    patch.setattr(halo, "_union_words", halo._union_words.__wrapped__)


# -- wrong models ------------------------------------------------------------------------------------------------------


def cut_into(change: Callable[[Pieces], Pieces]) -> Mutant:
    """Other pieces below each loop, whole ones first."""
    return around(Cuts, "pieces", lambda pieces, *place: change(pieces(*place)))


def resized(pieces: Pieces, change: int) -> Pieces:
    return [*pieces[:1], *((size + change, n) for size, n in pieces[1:])]


def box_without_last_term(words: Any, self: Cuts, rank: Rank, position: int, rolled: Any) -> int:
    return words(self, (*rank[:-1], Term(rank[-1].dim, 0)) if len(rank) > 1 else rank, position, rolled)


def swapped_coefficients(rank: Rank) -> Rank:
    return tuple(Term(term.dim, other.coef) for term, other in zip(rank, reversed(rank), strict=True))


def box_too_long(words: Any, self: Cuts, rank: Rank, position: int, rolled: Any) -> int:
    found = words(self, rank, position, rolled)
    return found + math.prod(self.count(term.dim, position) for term in rank)


def rolled_from_the_first(words: Any, self: Cuts, rank: Rank, position: int, rolled: Any) -> int:
    """The first tile of each sweep taken to share words with one before it."""
    found = words(self, rank, position, rolled)
    if rolled is None:
        return found
    return found - self.count(rolled[1].dim, rolled[0]) * self._shared_words(rank, position, rolled[1].dim)


def irrelevant_dim_forgotten(factors: Any, self: Cuts, tensor: Any, *place: Any) -> dict[tuple[str, ...], int]:
    """The last irrelevant dim taken to reload nothing."""
    found = factors(self, tensor, *place)
    loose = [d for d, _ in self.nest.dims if d not in tensor.dims]
    return {**found, (loose[-1],): 1} if loose else found


def relevant_dim_as_irrelevant(factors: Any, self: Cuts, tensor: Any, position: int, *rest: Any) -> Any:
    found = factors(self, tensor, position, *rest)
    return {dims: self.count(dims[0], position) if len(dims) == 1 else n for dims, n in found.items()}


def all_summands(summands: Any, self: Cuts, dims: Any, position: int) -> int:
    """Instances that ever hold a partial sum, rather than those that still do in the last step."""
    return math.prod(self.instances.get(i, 1) for d in dims for i, _ in self.above(d, position))


def joined_by_outer_only(link: Link, own: Cuts) -> dict[str, Any]:
    """What the inner of two networks shares counted once below the outer one only."""
    if len(link.between) < 2:
        return {}
    outer = frozenset(i for i in link.joined if own.mapping.items[i].fanout == link.between[0].name)
    return {"crossings": (own.words(link.tensor, link.position, outer), *link.crossings[1:])}


def refilled_from_home(link: Link, own: Cuts) -> dict[str, Any]:
    """Only the first visit of a word at home taken to start from zero, at every node."""
    began = own.nest.words(link.tensor)
    return {"refills": link.crossings[0] - began, "refilled": link.refilled + link.fresh - began}


def unshared_union(union: Any, rank: Rank, states: Any) -> int:
    """Each instance's box by itself."""
    later = [rolled for _, rolled in states]
    boxes = product(*(group for group, _ in states))
    return sum(union(rank, [((piece,), rolled) for piece, rolled in zip(box, later, strict=True)]) for box in boxes)


def changed_groups(change: Callable[[Any], Any]) -> Mutant:
    """Other pieces for instances that share halos, group by group."""

    def wrong(groups: Any, *given_: Any) -> Any:
        found: Counter[Any] = Counter()
        for (group, later), n in groups(*given_).items():
            found[tuple(change(group)), later] += n
        return found

    return around(halo, "_groups", wrong)


def without_stragglers(groups: Any, *given_: Any) -> Any:
    """Steps in which some instances of a group are done already are forgotten."""
    found = groups(*given_)
    full = max(len(group) for group, _ in found)
    return Counter({state: n for state, n in found.items() if len(state[0]) == full})


def furthest_of_all(furthest: Any, fanout: str, axis: str, own: Cuts) -> int:
    items = own.mapping.items
    return math.prod(n for i, n in own.instances.items() if (items[i].fanout, items[i].axis) == (fanout, axis)) - 1


def refills_without_hops(counts_of: Any, arch: Architecture, own: Cuts) -> Counts:
    found, length = counts_of(arch, own), {f.name: traffic._length(f, own) for f in arch.fanouts}
    output = own.nest.output.name
    moves = {
        (name, tensor): replace(m, hops=m.hops - m.delivered * length[name] * (tensor == output))
        for (name, tensor), m in found.moves.items()
    }
    return replace(found, moves=moves)


def without_partial_lines(energy: Callable[..., Any], arch: Architecture, found: Any) -> Any:
    words = {
        key: replace(
            access,
            reads=access.reads - access.reads % arch.memory(key[0]).line_words,
            writes=access.writes - access.writes % arch.memory(key[0]).line_words,
        )
        for key, access in found.words.items()
    }
    return energy(arch, replace(found, words=words))


def of_largest_pieces(_: Callable[..., Any], arch: Architecture, own: Cuts, level: str) -> int:
    above = {fanout.name for fanout in arch.fanouts[: arch.segment[level]]}
    return math.prod(n for i, n in own.instances.items() if own.mapping.items[i].fanout in above)


MODEL: dict[str, Mutant] = {
    # pieces
    "the clipped last piece is dropped": cut_into(lambda pieces: pieces[:1]),
    "the clipped last piece is whole": cut_into(lambda pieces: [(pieces[0][0], n) for _, n in pieces]),
    "the clipped last piece is one too long": cut_into(lambda pieces: resized(pieces, +1)),
    "the clipped last piece is one too short": cut_into(lambda pieces: resized(pieces, -1)),
    "a piece is dropped where there are several": cut_into(lambda pieces: [(size, n - (n > 1)) for size, n in pieces]),
    # networks
    "every network serves several instances at once": around(FanOut, "coalesces", lambda *_: True),
    "no network does": around(FanOut, "coalesces", lambda *_: False),
    # what is counted, priced
    "lines are not rounded up": around(cost, "energy_by_level", without_partial_lines),
    "instances in use are those of the largest pieces": around(cost, "instances_used", of_largest_pieces),
    # boxes
    "a sliding rank is as long as without its last term": around(Cuts, "_rank_words", box_without_last_term),
    "stride and dilation are swapped": around(
        Cuts, "_rank_words", lambda words, self, rank, *rest: words(self, swapped_coefficients(rank), *rest)
    ),
    "a box is one word too long": around(Cuts, "_rank_words", box_too_long),
    # what is loaded again
    "a loop over an irrelevant dim reloads nothing": around(Cuts, "factors", irrelevant_dim_forgotten),
    "a relevant dim counts like an irrelevant one": around(Cuts, "factors", relevant_dim_as_irrelevant),
    # networks
    "a network multicasts that does not": model_told(multicast=frozenset(OPERANDS)),
    "a network does not multicast that does": model_told(multicast=frozenset()),
    "a network adds that drains": model_told(reduce=True, drain=False),
    "a network drains that adds": model_told(reduce=False, drain=True),
    "a network shares halos that does not": model_told(halo=True),
    "a network shares no halos that does": model_told(halo=False),
    "joined instances move one by one": around(Cuts, "pieces", lambda pieces, self, *place: pieces(self, *place[:2])),
    "only the outer of two networks joins its instances": linked(joined_by_outer_only),
    "two networks share and add all at the outer one": linked(
        lambda link, own: {"crossings": (link.crossings[0], *link.crossings[-1:] * (len(link.crossings) - 1))}
    ),
    "two networks share and add all at the inner one": linked(
        lambda link, own: {"crossings": (*link.crossings[:1] * (len(link.crossings) - 1), link.crossings[-1])}
    ),
    "a multicast word is written once": linked(
        lambda link, own: (
            {"crossings": link.crossings[:1] * len(link.crossings)} if link.tensor.role is not Role.OUTPUT else {}
        )
    ),
    # partial sums
    "re-fills are missing": output_linked(lambda link, own: {"refills": 0, "refilled": 0}),
    "the first run re-fills too": output_linked(
        lambda link, own: {"refills": link.crossings[0], "refilled": link.refilled + link.fresh}
    ),
    "each instance of a group is re-filled": output_linked(
        lambda link, own: {"refilled": link.crossings[-1] - link.fresh}
    ),
    "each instance that drains by itself is re-filled": output_linked(lambda link, own: {"refilled": link.refills}),
    "drained sums are written without reading the old": output_linked(lambda link, own: {"refills": link.refilled}),
    "an inner node starts from zero where the home does": output_linked(refilled_from_home),
    "all writes are partial sums": output_linked(lambda link, own: {"completes": 0}),
    "all drains are partial sums": output_linked(lambda link, own: {"complete": 0}),
    "what is drained is a result already below": output_linked(lambda link, own: {"complete": link.completes}),
    "an instance that is done still holds a part": around(Cuts, "summands", all_summands),
    # rolling windows
    "nothing is saved by rolling": around(
        Cuts, "_rank_words", lambda words, self, rank, position, rolled: words(self, rank, position, None)
    ),
    "rolling loads more": around(Cuts, "_shared_words", lambda shared, *given_: -shared(*given_)),
    "rolling along the other dim": around(
        Cuts,
        "_shared_words",
        lambda shared, self, rank, position, dim: shared(
            self, rank, position, next(t.dim for t in rank if t.dim != dim)
        ),
    ),
    "the first tile of a sweep rolls too": around(Cuts, "_rank_words", rolled_from_the_first),
    # halos
    "neighbours share nothing": around(halo, "_union", unshared_union),
    "neighbours share what lies between their boxes": changed_groups(
        lambda group: [(0, max(offset + size for offset, size in group))]
    ),
    "neighbours stand side by side whatever is between": changed_groups(
        lambda group: [(i * group[0][1], size) for i, (_, size) in enumerate(group)]
    ),
    "neighbours have pieces of one size": changed_groups(
        lambda group: [(offset, max(size for _, size in group)) for offset, _ in group]
    ),
    "steps without some of the neighbours are forgotten": around(halo, "_groups", without_stragglers),
    "neighbours do not roll": around(cuts, "union_words", lambda union, *given_: union(*given_[:-1], None)),
    # hops and steps
    "a hop too few along each axis": around(traffic, "_furthest", lambda furthest, *given_: furthest(*given_) - 1),
    "no hops along the second axis": around(
        traffic, "_length", lambda length, fanout, own: length(replace(fanout, axes=fanout.axes[:1]), own)
    ),
    "hops reach instances that never work": around(traffic, "_furthest", furthest_of_all),
    "re-fills make no hops": around(traffic, "counts_of", refills_without_hops),
    "steps are those of evenly spread work": around(
        Cuts, "steps", lambda steps, self, position: self.nest.operations // math.prod(self.instances.values())
    ),
}


# -- wrong executors: programs and machines ----------------------------------------------------------------------------


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


# -- wrong executors: the kernel ---------------------------------------------------------------------------------------


def without_last(name: str) -> Mutant:
    """A function of the kernel that passes over the last instance at work."""

    def wrong(function: Any, p: Any, m: Any, n: int, s: int) -> Any:
        active = m.active[s].copy()
        m.active[s, np.flatnonzero(active[: p.instances[s]])[-1]] = 0
        found = function(p, m, n, s)
        m.active[s] = active
        return found

    return around(kernel, name, wrong)


def started_for(name: str, value: int) -> Mutant:
    """A function of the kernel that takes all instances to have begun with their group's sums, or none."""

    def wrong(function: Any, p: Any, m: Any, n: int, s: int) -> Any:
        started = m.started[n].copy()
        m.started[n] = value
        found = function(p, m, n, s)
        m.started[n] = started
        return found

    return around(kernel, name, wrong)


def last_piece(change: int, dropped: bool = False) -> Mutant:
    """Temporal loops whose clipped last piece has another length, or that end before their last piece."""

    def wrong(iterate: Any, p: Any, m: Any, item: int, enter: bool) -> bool:
        more, own = iterate(p, m, item, enter), p.items[item]
        if dropped and enter:
            m.trips[item] = max(1, m.trips[item] - 1)
        if more:
            clipped = m.length[own.segment, own.dim] < own.step
            m.length[own.segment, own.dim] += change * clipped
        return more

    return around(kernel, "iterate", wrong)


def last_instance(change: Callable[[Any, Any, int], None]) -> Mutant:
    """Spatial loops that give the last of their instances something else: `change(m, s, instances)`."""

    def wrong(spread: Any, p: Any, m: Any, item: int) -> None:
        spread(p, m, item)
        own = p.items[item]
        count = p.instances[own.segment + 1]
        change(m, own, np.arange(own.pieces - 1, count, own.pieces))

    return around(kernel, "spread", wrong)


def idle(m: Any, own: Any, last: Any) -> None:
    m.active[own.segment + 1, last] = 0


def unclipped(m: Any, own: Any, last: Any) -> None:
    m.length[own.segment + 1, own.dim, last] = own.step


def located(change: Callable[[Any, Any, int], None]) -> Mutant:
    """Boxes of storage nodes that are changed once they are found to be inside the parent's: `change(p, m, node)`."""

    def wrong(locate: Any, p: Any, m: Any, n: int, s: int) -> int:
        code = locate(p, m, n, s)
        if n < len(p.nodes) - len(p.terms):
            change(p, m, n)
        return code

    return around(kernel, "locate", wrong)


def begun_late(p: Any, m: Any, n: int) -> None:
    m.source[n] += 1


def longer(p: Any, m: Any, n: int) -> None:
    m.extent[n, -1] += 1


def of_neighbours(p: Any, m: Any, n: int) -> None:
    m.source[n] = np.roll(m.source[n], 1)


def shared_by(level: Callable[[int], int]) -> Mutant:
    """What instances ask for passes as if they shared it from another level on."""

    def wrong(supply: Any, p: Any, m: Any, n: int, r: int, words: int) -> None:
        right = m.level[n, r]
        m.level[n, r] = min(level(int(right)), p.nodes[n].levels)
        supply(p, m, n, r, words)
        m.level[n, r] = right

    return around(kernel, "supply", wrong)


def counted_but_not_loaded(fetch: Any, p: Any, m: Any, n: int, s: int) -> int:
    """From the second time on a tile keeps what it has."""
    before = m.store.copy()
    code = fetch(p, m, n, s)
    kept = ~np.isnan(before) & ~np.isnan(m.store)
    m.store[kept] = before[kept]
    return int(code)


def not_shifted(roll: Any, p: Any, m: Any, n: int, r: int) -> int:
    """The words that a rolling tile keeps stay where they were."""
    shared, own = roll(p, m, n, r), p.nodes[n].base + r * p.nodes[n].span
    kept = ~np.isnan(m.store[own : own + p.nodes[n].words])
    m.store[own : own + p.nodes[n].words][kept] = m.scratch[: p.nodes[n].words][kept]
    return int(shared)


def refilled_with_zeros(begin: Any, p: Any, m: Any, n: int, s: int) -> None:
    begin(p, m, n, s)
    for r in range(p.instances[s]):
        own = p.nodes[n].base + r * p.nodes[n].span
        m.store[own : own + p.nodes[n].words] *= 0


def overlaps_across_steps(ask: Any, p: Any, m: Any, *request: Any) -> None:
    """A word once read is taken to be there in all later steps."""
    event = int(m.event[0])
    m.event[0] = 1
    ask(p, m, *request)
    m.event[0] = event


def overlaps_of_all(ask: Any, p: Any, m: Any, n: int, r: int, at: int) -> None:
    """A word is shared by all instances, whatever network they are behind."""
    rows = p.group.copy()
    p.group[:] = 0
    ask(p, m, n, r, at)
    p.group[:] = rows


def overlaps_unshared(ask: Any, p: Any, m: Any, *request: Any) -> None:
    m.stamp[:] = 0
    ask(p, m, *request)


def steps_of_all(operate: Any, p: Any, m: Any) -> Any:
    """Each instance takes its steps after the one before."""
    before = int(m.totals[STEPS])
    found = operate(p, m)
    m.totals[STEPS] = before + (m.totals[STEPS] - before) * m.active[len(p.instances) - 1].sum()
    return found


def without_last_operation(run: Any, store: Any, held: Any, table: Any, size: int, *rest: Any) -> Any:
    return size, *run(store, held, table, size - 1, *rest)[1:]


KERNEL: dict[str, Mutant] = {
    # loops
    "a temporal loop ends before its last piece": last_piece(0, dropped=True),
    "a clipped piece is one too long": last_piece(+1),
    "a clipped piece is one too short": last_piece(-1),
    "the last instance of a spatial loop idles": last_instance(idle),
    "the last instance of a spatial loop is not clipped": last_instance(unclipped),
    # tiles
    "a box begins one word late": located(begun_late),
    "a box is one word too long": located(longer),
    "an instance gets its neighbour's tile": located(of_neighbours),
    "one instance's tile is not loaded": without_last("fetch"),
    "a load is counted but not done": around(kernel, "fetch", counted_but_not_loaded),
    "a rolling tile keeps one word more than it has": around(kernel, "roll", lambda roll, *given_: roll(*given_) + 1),
    "a rolling tile keeps one word less than it has": around(
        kernel, "roll", lambda roll, *given_: max(0, roll(*given_) - 1)
    ),
    "a rolling tile is not shifted": around(kernel, "roll", not_shifted),
    # sums
    "re-fills are missing": started_for("begin", 0),
    "each instance of a group is re-filled": started_for("begin", 1),
    "one instance is not started": without_last("begin"),
    "re-fills bring zeros": around(kernel, "begin", refilled_with_zeros),
    "one instance is not drained": without_last("drain"),
    "what a re-fill brought is added again": started_for("drain", 0),
    "parts replace each other": started_for("drain", 1),
    "the last operation is dropped": around(kernel, "accumulate", without_last_operation),
    # networks
    "nothing is shared": shared_by(lambda level: 0),
    "a word is shared one network too far out": shared_by(lambda level: level + 1),
    "overlaps are shared across steps": around(kernel, "ask", overlaps_across_steps),
    "overlaps are shared by instances that cannot": around(kernel, "ask", overlaps_of_all),
    "overlaps are not shared": around(kernel, "ask", overlaps_unshared),
    "instances take their steps one after the other": around(kernel, "operate", steps_of_all),
}


# -- the gate ----------------------------------------------------------------------------------------------------------

MUTANTS = {
    **{f"model: {name}": (unremembered, mutant) for name, mutant in MODEL.items()},
    **{f"program: {name}": (interpreted, mutant) for name, mutant in PROGRAM.items()},
    **{f"kernel: {name}": (interpreted, mutant) for name, mutant in KERNEL.items()},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name: str, record_property: Callable[[str, object], None]) -> None:
    """By a case that passes without the mutant, run the same way."""
    harness, mutant = MUTANTS[name]
    found = caught_by(harness, mutant)
    assert found is not None, "no mapping tells this mutant from what is right"
    number, case, how = found
    record_property("cases", number)
    print(f"{name}: {how}, in case {number}:\n{case.nest}\n{case.mapping}")
    with pytest.MonkeyPatch.context() as patch:
        harness(patch)
        assert told_apart(case) is None


def test_what_is_right_passes() -> None:
    """Compiled, and run the way mutants are."""
    blocks = *range(4), RANDOM
    assert caught_by(blocks=blocks) is None
    assert caught_by(unremembered, interpreted, blocks=blocks) is None
