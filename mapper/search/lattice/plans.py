"""Plans: what is kept, by tensor, and the tables that follow from it on both sides of the fan-out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from mapper.search.lattice.bounds import Nodes
from mapper.search.lattice.prices import Link, Prices
from mapper.search.mapspace import Slot


@dataclass(frozen=True, eq=False)
class Part:
    """The nodes of a segment, with their slots and the links that they are the children of."""

    nodes: Nodes
    slots: tuple[Slot, ...]
    links: tuple[Link, ...]


Chain = tuple[Link, ...]
"""The links whose children are the nodes of one tensor inside the fan-out, outermost first."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What each tensor keeps: nodes outside and inside the fan-out.

    `chains` are the links of the nodes inside by tensor, for those that have any; `last` those of the compute unit.
    """

    outer: Part
    inner: Part
    chains: tuple[Chain, ...]
    last: tuple[Link, ...]


def plans(prices: Prices) -> Iterator[Plan]:
    """All plans of a mapspace; plans that keep the same outside share that part."""
    tensors = prices.space.nest.tensors
    outer: dict[tuple[tuple[Slot, Link], ...], Part] = {}
    for kept in product(*(tuple(prices.choices(t)) for t in tensors)):
        links = [prices.links(t, own) for t, own in zip(tensors, kept, strict=True)]
        pairs = [pair for own, chain in zip(kept, links, strict=True) for pair in zip(own, chain, strict=False)]
        outside = tuple(pair for pair in pairs if pair[0].segment == 0)
        if outside not in outer:
            outer[outside] = _part(prices, outside)
        inside = tuple(pair for pair in pairs if pair[0].segment > 0)
        own = (tuple(link for _, link in inside if link.tensor is t) for t in tensors)
        chains = tuple(chain for chain in own if chain)
        yield Plan(outer[outside], _part(prices, inside), chains, tuple(chain[-1] for chain in links))


def _part(prices: Prices, pairs: tuple[tuple[Slot, Link], ...]) -> Part:
    arch = prices.space.arch
    slots = tuple(slot for slot, _ in pairs)
    memories = list(dict.fromkeys(slot.memory for slot in slots))
    inner = tuple(
        next((j for j in range(i + 1, len(slots)) if slots[j].tensor == slot.tensor), None)
        for i, slot in enumerate(slots)
    )
    nodes = Nodes(
        prices.lattice,
        tuple(prices.footprint(link.tensor, arch.memory(slot.memory)) for slot, link in pairs),
        tuple(memories.index(slot.memory) for slot in slots),
        tuple(arch.memory(name).tile_words for name in memories),
        inner,
    )
    return Part(nodes, slots, tuple(link for _, link in pairs))
