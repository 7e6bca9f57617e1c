"""Wrong cost models."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

from strategies import OPERANDS

from mapper.arch import Architecture, FanOut
from mapper.cost import cost, cuts, halo, traffic
from mapper.cost.cuts import Cuts, Pieces
from mapper.cost.traffic import Link
from mapper.ir import Rank, Role, Term
from mapper.mapping import Counts
from mutants.patching import Mutant, around, linked, model_told, output_linked


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
