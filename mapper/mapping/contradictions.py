"""Contradictions: constraints that no mapping keeps to, found without searching.

A node whose tile or place is constrained is taken to be kept unless it is said to be bypassed: a mapping could evade
such constraints by not keeping it, but nobody asks for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from mapper.arch import Above, Architecture, Constraint, Kept, Only, Spatial, Tile
from mapper.ir import LoopNest
from mapper.mapping.pins import Cuts, Node, Pins, contradict, excess, fanout_problems, join, pinned, stands_outside


def contradictions(
    constraints: Iterable[Constraint], nest: LoopNest, arch: Architecture, *, perfect: bool
) -> list[str]:
    """Why the resolved constraints cannot hold together on this machine, naming those that contradict each other.

    Sound for mappings whose nodes beyond a fan-out stand inside those before it, with one spatial loop for each dim and
    axis; if `perfect`, whose steps divide what they cut. Empty does not mean that there is a mapping.
    """
    constraints = list(dict.fromkeys(constraints))
    bypassed = {(c.memory, c.tensor) for c in constraints if isinstance(c, Kept) and not c.kept}
    tiles = [c for c in constraints if isinstance(c, Tile) and (c.memory, c.tensor) not in bypassed]
    orders = [c for c in constraints if isinstance(c, Above) and not {c.outer, c.inner} & bypassed]
    found: list[str] = []
    loops = [c for c in constraints if isinstance(c, Spatial)]
    numbers: list[Spatial | Tile] = [*loops, *tiles]
    beyond = {
        c: problem for c in numbers if (problem := excess(c, nest, arch, perfect=perfect))
    }  # all that is said of it
    found += beyond.values()
    spatial = pinned((c for c in loops if c not in beyond), nest, arch, perfect=perfect)
    extents = pinned((c for c in tiles if c not in beyond), nest, arch, perfect=perfect)
    for pins in (spatial, extents):
        for key in [key for key, pin in pins.items() if pin.most is not None and pin.least > pin.most]:
            pin = pins.pop(key)
            found.append(f"{pin.low} contradicts {pin.high}")
    found += _kept([c for c in constraints if isinstance(c, Kept)], nest, arch)
    found += _impossible_nodes(tiles, orders, nest, arch)
    found += _order(orders, arch)
    found += fanout_problems(spatial, [c for c in constraints if isinstance(c, Only)], nest, arch)
    found += Cuts(spatial, extents, orders, nest, arch, perfect).problems()
    found += _capacity(extents, nest, arch)
    return list(dict.fromkeys(found))


# -- nodes -------------------------------------------------------------------------------------------------------------


def _kept(constraints: Sequence[Kept], nest: LoopNest, arch: Architecture) -> Iterator[str]:
    kept = {(c.memory, c.tensor): c for c in constraints if c.kept}
    for c in constraints:
        role, memory = nest.tensor(c.tensor).role, arch.memory(c.memory)
        if c.kept and role not in memory.may_keep:
            yield f"{c}: {memory.name} is no memory for the {role}"
        if not c.kept and (c.memory, c.tensor) in kept:
            yield f"{kept[c.memory, c.tensor]} contradicts {c}"
        if not c.kept and memory == arch.home:
            yield f"{c}: {memory.name} is the home of every tensor"
        elif not c.kept and role in memory.must_keep:
            yield f"{c}: {memory.name} must keep the {role}"


def _impossible_nodes(
    tiles: Sequence[Tile], orders: Sequence[Above], nest: LoopNest, arch: Architecture
) -> Iterator[str]:
    named: list[tuple[Constraint, Node]] = [(c, (c.memory, c.tensor)) for c in tiles if c.tensor is not None]
    named += [(c, node) for c in orders for node in (c.outer, c.inner)]
    for c, (memory, tensor) in named:
        role = nest.tensor(tensor).role
        if role not in arch.memory(memory).may_keep:
            yield f"{c}: {memory} is no memory for the {role}"


def _order(orders: Sequence[Above], arch: Architecture) -> Iterator[str]:
    """Nodes that stand above each other, or against the hierarchy."""
    edges: dict[tuple[Node, Node], Above | None] = {}
    for c in orders:
        outer, inner = c.outer[0], c.inner[0]
        if c.outer == c.inner:
            yield f"{c}: no node stands above itself"
        elif inner == arch.home.name:
            yield f"{c}: nothing stands above the nodes of the home {inner}"
        elif stands_outside(arch, c.inner, c.outer):
            beyond = arch.fanouts[arch.segment[inner]].name if arch.segment[inner] < arch.segment[outer] else None
            yield f"{c}: {outer} lies {f'beyond the fan-out {beyond}' if beyond else 'inside'}, {inner} outside"
        else:
            edges[c.outer, c.inner] = c
    nodes = dict.fromkeys(node for edge in edges for node in edge)
    for a, b in permutations(nodes, 2):
        if stands_outside(arch, a, b):
            edges.setdefault((a, b), None)
    seen: set[frozenset[Above]] = set()
    for edge, asked in edges.items():
        back = _path(edges, edge[1], edge[0]) if asked else []
        circle = [c for c in (asked, *back) if c]
        if back and frozenset(circle) not in seen:
            seen.add(frozenset(circle))
            yield contradict(circle)


def _path(edges: dict[tuple[Node, Node], Above | None], start: Node, goal: Node) -> list[Above | None]:
    """The edges of a shortest path; none if there is none."""
    paths: dict[Node, list[Above | None]] = {start: []}
    queue = [start]
    for node in queue:
        for (a, b), c in edges.items():
            if a == node and b not in paths:
                paths[b] = [*paths[node], c]
                queue.append(b)
    return paths.get(goal, [])


def _capacity(extents: Pins, nest: LoopNest, arch: Architecture) -> Iterator[str]:
    """Tiles that are too large for their memory all by themselves."""
    for memory in arch.memories:
        for tensor in nest.tensors:
            pins = {
                d: pin
                for (m, t, d), pin in extents.items()
                if (m, t) == (memory.name, tensor.name) and d in tensor.dims and pin.least > 1
            }
            tile = {d: min(n, pins[d].least) if d in pins else 1 for d, n in nest.dims}
            words = memory.words(nest.words(tensor, tile), arch.bits(tensor))
            if pins and memory != arch.home and memory.tile_words is not None and words > memory.tile_words:
                named = join(str(pin.low) for pin in pins.values())
                yield f"{named}: {memory.holds}, the tile of {tensor.name} needs {words}"
