"""Explanations: what the counts of one storage node are products of, and which loops multiply them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mapper.arch import Architecture
from mapper.cost.cuts import NONE, Cuts
from mapper.cost.traffic import Link, links
from mapper.errors import InputError
from mapper.ir import LoopNest, Rank, Role
from mapper.mapping import Item, Keep, Mapping
from mapper.spelling import nearest


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a count: of an irrelevant dim, or of the dims of one rank; `loops` are those above that cut them."""

    dims: tuple[str, ...]
    value: int
    loops: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a node's `direction`, 'reads' or 'writes', in elements: the product of `factors`, less `fresh`.

    `fresh` are the elements that begin from zero and so are no re-fills; 0 where that is not the question.
    """

    direction: str
    what: str
    factors: tuple[Factor, ...]
    fresh: int
    total: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """All parts of the counts of a node, and the loops inside its tile, which multiply none of what loads it."""

    parts: tuple[Part, ...]
    inside: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Explanation {'; '.join(f'{part.total:,} {part.direction}: {part.what}' for part in self.parts)}>"


def explain(nest: LoopNest, arch: Architecture, mapping: Mapping, memory: str, tensor: str) -> Explanation:
    """What makes up the counts of a node of a legal mapping; InputError with the nearest ones if there is no such node.

    The parts of a direction add up to what `count` has for the node.
    """
    cuts = Cuts(nest, mapping)
    positions = {f"{item.memory}:{item.tensor}": i for i, item in enumerate(mapping.items) if isinstance(item, Keep)}
    name = f"{memory}:{tensor}"
    if name not in positions:
        raise InputError(f"the mapping has no storage node {name}", hint=nearest(name, positions))
    moved = [link for link in links(arch, cuts) if link.tensor.name == tensor]
    outer = next((link for link in moved if link.child == memory), None)
    inner = next(link for link in moved if link.parent == memory)
    output = inner.tensor.role is Role.OUTPUT
    parts = _of_output(arch, cuts, outer, inner) if output else _of_operand(arch, cuts, outer, inner)
    below = mapping.items[positions[name] + 1 :]
    return Explanation(tuple(parts), tuple(_line(item) for item in below if not isinstance(item, Keep)))


def _of_operand(arch: Architecture, cuts: Cuts, outer: Link | None, inner: Link) -> Iterator[Part]:
    if outer:
        factors = _factors(cuts, outer, NONE)
        yield Part(
            "writes",
            f"fills: each run of each instance loads its tile from {outer.parent}",
            factors,
            0,
            outer.crossings[-1],
        )
    if inner.child == arch.compute.name:
        what = "operations: each reads one"
    else:
        what = f"fills of {inner.child}: each run of each instance, or group that shares, asks for its tile"
    yield Part("reads", what, _factors(cuts, inner, inner.joined), 0, inner.crossings[0])


def _of_output(arch: Architecture, cuts: Cuts, outer: Link | None, inner: Link) -> Iterator[Part]:
    if outer:
        drains, groups = _factors(cuts, outer, NONE), _factors(cuts, outer, outer.grouped)
        yield Part(
            "reads",
            f"drains: each run of each instance ends with its tile going to {outer.parent}",
            drains,
            0,
            outer.crossings[-1],
        )
        what = f"re-fills: what {outer.parent} already held when a group started it, into one instance"
        yield Part("writes", what, groups, outer.fresh, outer.refilled)
    factors = _factors(cuts, inner, inner.joined)
    if inner.child == arch.compute.name:
        updates, refills = (
            "operations: each writes a sum",
            "accumulation: each operation reads the sum, unless it is the first",
        )
    else:
        updates = f"drains of {inner.child}, added up where the network does so"
        refills = f"re-fills of {inner.child}, and sums to which more than one instance drains a part"
    yield Part("writes", updates, factors, 0, inner.crossings[0])
    yield Part("reads", refills, factors, inner.fresh, inner.refills)


def _factors(cuts: Cuts, link: Link, joined: frozenset[int]) -> tuple[Factor, ...]:
    """The factors of what crosses a link, those of dims of a single iteration left out."""
    found, ranks = [], {tuple(t.dim for t in rank): rank for rank in link.tensor.ranks}
    for dims, value in cuts.factors(link.tensor, link.position, joined).items():
        if all(cuts.nest.extents[d] == 1 for d in dims):
            continue
        if dims in ranks:
            why = _why_rank(cuts, ranks[dims], value, link.position, joined)
        else:
            why = _why_irrelevant(cuts, dims[0], link.position, joined)
        loops = tuple(_line(loop) for d in dims for _, loop in cuts.above(d, link.position))
        found.append(Factor(dims, value, loops, why))
    return tuple(found)


def _why_irrelevant(cuts: Cuts, dim: str, position: int, joined: frozenset[int]) -> str:
    loops = cuts.above(dim, position)
    if not loops:
        return "irrelevant, and no loop above cuts it"
    shared = [_line(loop) for i, loop in loops if i in joined]
    if not shared:
        return "irrelevant: each piece moves the tile again"
    rest = "" if len(shared) == len(loops) else ", the other loops multiply"
    return f"irrelevant: instances of {', '.join(shared)} count once{rest}"


def _why_rank(cuts: Cuts, rank: Rank, value: int, position: int, joined: frozenset[int]) -> str:
    """The formula of a rank: sum of coef * (D - n) * (pieces of the others), plus the pieces of all."""
    if len(rank) == 1 and rank[0].coef == 1:
        return "relevant: its pieces add up to the dim, however it is cut"
    counts = [cuts.count(term.dim, position) for term in rank]
    boxes, terms = math.prod(counts), []
    for term, n in zip(rank, counts, strict=True):
        terms.append((term.coef, cuts.nest.extents[term.dim] - n, boxes // n))
    formula = " + ".join(f"{coef}*{left}*{others}" for coef, left, others in terms)
    why = f"relevant, {' x '.join(map(str, counts))} pieces: {formula} + {boxes}"
    saved = boxes + sum(math.prod(term) for term in terms) - value
    if not saved:
        return why
    item = cuts.mapping.items[position] if position < len(cuts.mapping.items) else None
    ways = ["consecutive tiles share by rolling"] if isinstance(item, Keep) and item.rolling else []
    ways += ["neighbours share"] if any(i in joined for t in rank for i, _ in cuts.above(t.dim, position)) else []
    return f"{why}, less {saved} that {' and '.join(ways)}"


def _line(item: Item) -> str:
    return str(Mapping((item,))).strip()
