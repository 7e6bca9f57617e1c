"""Lowering of a mapping to the integer arrays that the counting executor interprets.

Words used here and in the kernel:

- *segment* s: what stands below s spatial loops. It has `instances[s]` instances, numbered with the innermost spatial
  loop varying fastest, so the instance above instance r is r // ratio.
- *node*: a storage node, or a *request* of the compute unit: one for each tensor, numbered after the storage nodes,
  the child of the tensor's innermost storage node, with a tile of one word.
- *tail*: the temporal loops, each over another dim, that stand below everything else.

Tensors are numbered operands first and the output last; ranks are padded in front with ranks of extent 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapper.arch import Architecture, FanOut, Memory
from mapper.errors import VerificationError, all_of
from mapper.ir import LoopNest, Reduction, Role, Tensor, named
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor

Ints = NDArray[np.int64]
Records = Any  # a structured array, whose fields no type checker knows

LOOP, PARFOR, KEEP = 0, 1, 2


ITEM = np.dtype(
    [
        ("kind", np.int64),  # LOOP, PARFOR or KEEP
        ("dim", np.int64),  # of a loop
        ("step", np.int64),  # of a loop
        ("pieces", np.int64),  # instances of a spatial loop for each above it
        ("node", np.int64),  # of a KEEP
        ("segment", np.int64),  # spatial loops above
    ],
    align=True,
)
NODE = np.dtype(
    [
        ("tensor", np.int64),
        ("parent", np.int64),  # next outer storage node of the tensor, -1 at home
        ("ratio", np.int64),  # instances for each instance of the parent
        ("base", np.int64),  # address of the tile in instance 0
        ("span", np.int64),  # from there to the tile of the next instance
        ("words", np.int64),  # size of the tile
        ("roll_rank", np.int64),  # rank along which the node rolls, -1 if it does not
        ("roll_item", np.int64),  # loop along which it rolls
        ("levels", np.int64),  # fan-outs between parent and node
        ("group_row", np.int64),  # the node's rows of `group` start here
        ("halo", np.int64),  # 1 if networks above share what overlaps, word by word
    ],
    align=True,
)
TERM = np.dtype([("dim", np.int64), ("coef", np.int64), ("rank", np.int64)], align=True)


SUM, MAX, MIN = range(len(Reduction))


class Program(NamedTuple):
    """A lowered mapping, over items i, tail loops l, dims d, segments s, tensors v, nodes n, ranks k and levels j."""

    items: Records  # [i] ITEM
    nodes: Records  # [n] NODE
    terms: Records  # [v, summand of any rank] TERM, those that are missing with coefficient 0
    tail_dim: Ints  # [l]
    tail_stride: Ints  # [v, 1 + l] distance in the innermost tile; loop 0 is a dummy with a single iteration
    extents: Ints  # [d]
    instances: Ints  # [s]
    stride: Ints  # [n, k] of the tile
    network: Ints  # [n, j] fan-outs between parent and node, outermost first
    group: Ints  # [group_row + j, r] first instance of the level-j group of instance r; for outputs one row more
    order: Ints  # [n, r] instances such that those of a group follow each other, at every level
    place: Ints  # [axis, r] of each instance of the compute unit along the axes of all fan-outs
    reduction: int  # operations that make a result
    operator: int  # SUM, MAX or MIN


@dataclass(frozen=True)
class Lowered:
    """A program and what it takes to feed it and to read its counters."""

    program: Program
    tensors: tuple[Tensor, ...]  # operands, then the output
    nodes: tuple[Keep, ...]  # storage nodes by number
    homes: tuple[int, ...]  # node of each tensor's home
    store_words: int
    narrow: tuple[int, ...]  # nodes with room for results only, not for wider partial sums


@dataclass(frozen=True)
class _Node:
    keep: Keep | None  # None: request of the compute unit
    item: int  # position in the mapping
    depth: int  # position in the architecture
    tensor: int
    place: int
    parent: int
    shape: tuple[int, ...]  # of the largest tile


@dataclass(frozen=True)
class _Context:
    nest: LoopNest
    arch: Architecture
    mapping: Mapping
    tensors: tuple[Tensor, ...]
    pieces: tuple[int, ...]  # by item, 1 unless spatial
    nodes: tuple[_Node, ...]
    instances: Ints

    @property
    def ranks(self) -> int:
        return max(1, *(len(t.ranks) for t in self.tensors))

    @property
    def tail(self) -> list[Loop]:
        """The innermost temporal loops, as far as no dim repeats; completely split, each counts single steps.

        None where instances share words that the compute unit asks for one by one: then each step is seen by itself.
        """
        tail: list[Loop] = []
        if any(self.halo(node) for node in self.nodes if not node.keep):
            return tail
        for item in reversed(self.mapping.items):
            if not isinstance(item, Loop) or item.dim in {loop.dim for loop in tail}:
                break
            tail.insert(0, item)
        return tail

    @property
    def dim_index(self) -> dict[str, int]:
        return {d: i for i, (d, _) in enumerate(self.nest.dims)}

    def terms(self, tensor: Tensor) -> dict[str, tuple[int, int]]:
        """By relevant dim, its coefficient and padded rank."""
        first = self.ranks - len(tensor.ranks)
        return {term.dim: (term.coef, first + k) for k, rank in enumerate(tensor.ranks) for term in rank}

    def between(self, node: _Node) -> list[FanOut]:
        """The fan-outs between a node and its parent, outermost first; none at home."""
        outer = self.nodes[node.parent].depth if node.parent >= 0 else node.depth
        return [f for f in self.arch.fanouts if outer < self.arch.depth[f.name] < node.depth]

    def halo(self, node: _Node) -> bool:
        """Whether networks between a node and its parent share what overlaps."""
        tensor = self.tensors[node.tensor]
        return any(f.halo and tensor.role in f.multicast for f in self.between(node))

    def strides(self, node: _Node) -> list[int]:
        shape = (*(1 for _ in range(self.ranks - len(node.shape))), *node.shape)
        return [math.prod(shape[k + 1 :]) for k in range(self.ranks)]


def lower(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Lowered:
    """The program of a mapping. Raises VerificationError for a mapping that the hardware could not run."""
    problem = all_of(VerificationError(text, place="mapping") for text in _problems(nest, arch, mapping))
    if problem:
        raise problem
    tensors = (*(t for t in nest.tensors if t.role is not Role.OUTPUT), nest.output)
    pieces = _pieces(nest, mapping)
    nodes = _nodes(nest, arch, mapping, tensors)
    spatial = [n for item, n in zip(mapping.items, pieces, strict=True) if isinstance(item, ParFor)]
    context = _Context(nest, arch, mapping, tensors, pieces, nodes, np.cumprod([1, *spatial], dtype=np.int64))
    nodes_array, store_words = _node_records(context)
    groups, nodes_array["group_row"] = _groups(context)
    nodes_array["halo"] = [context.halo(node) for node in nodes]
    program = Program(
        items=_item_records(context),
        nodes=nodes_array,
        terms=_term_records(context),
        tail_dim=_ints(context.dim_index[loop.dim] for loop in context.tail),
        tail_stride=_tail_strides(context),
        extents=_ints(n for _, n in nest.dims),
        instances=context.instances,
        stride=np.array([context.strides(node) for node in nodes], np.int64),
        network=_networks(context),
        group=groups,
        order=_orders(context, groups, nodes_array),
        place=_places(context),
        reduction=math.prod(n for d, n in nest.dims if d not in nest.output.dims),
        operator=list(Reduction).index(nest.reduction),
    )
    homes = tuple(next(n for n, node in enumerate(nodes) if node.tensor == v) for v in range(len(tensors)))
    keeps = tuple(node.keep for node in nodes if node.keep)
    narrow = tuple(n for n, keep in enumerate(keeps) if keep in _narrow(nest, arch, mapping))
    return Lowered(program, tensors, keeps, homes, store_words, narrow)


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)


def _pieces(nest: LoopNest, mapping: Mapping) -> tuple[int, ...]:
    """Instances that each item makes of one: the pieces of a spatial loop, else 1."""
    tile, pieces = dict(nest.dims), []
    for item in mapping.items:
        pieces.append(-(-tile[item.dim] // item.step) if isinstance(item, ParFor) else 1)
        if not isinstance(item, Keep):
            tile[item.dim] = min(tile[item.dim], item.step)
    return tuple(pieces)


def _nodes(nest: LoopNest, arch: Architecture, mapping: Mapping, tensors: Sequence[Tensor]) -> tuple[_Node, ...]:
    names = [t.name for t in tensors]
    innermost = [-1 for _ in tensors]
    nodes: list[_Node] = []
    end = len(mapping.items)
    keeps = [(i, item) for i, item in enumerate(mapping.items) if isinstance(item, Keep)]
    for i, keep in [*keeps, *((end, Keep(arch.compute.name, name)) for name in names)]:
        v = names.index(keep.tensor)
        place = sum(isinstance(item, ParFor) for item in mapping.items[:i])
        shape = nest.shape(tensors[v], mapping.tile(i, dict(nest.dims)))
        nodes.append(_Node(keep if i < end else None, i, arch.depth[keep.memory], v, place, innermost[v], shape))
        innermost[v] = len(nodes) - 1
    return tuple(nodes)


def _item_records(context: _Context) -> Records:
    node_of = {node.item: n for n, node in enumerate(context.nodes) if node.keep}
    records, segment = np.zeros(len(context.pieces), ITEM), 0
    for i, (item, pieces) in enumerate(zip(context.mapping.items, context.pieces, strict=True)):
        if isinstance(item, Keep):
            records[i] = KEEP, -1, 0, 1, node_of[i], segment
        else:
            kind = PARFOR if isinstance(item, ParFor) else LOOP
            records[i] = kind, context.dim_index[item.dim], item.step, pieces, -1, segment
            segment += isinstance(item, ParFor)
    return records


def _term_records(context: _Context) -> Records:
    records = np.zeros((len(context.tensors), max(1, *(len(t.dims) for t in context.tensors))), TERM)
    for v, tensor in enumerate(context.tensors):
        for at, (dim, (coef, rank)) in enumerate(context.terms(tensor).items()):
            records[v, at] = context.dim_index[dim], coef, rank
    return records


def _tail_strides(context: _Context) -> Ints:
    dims = [loop.dim for loop in context.tail]
    requests = [node for node in context.nodes if not node.keep]
    stride = np.zeros((len(requests), 1 + len(dims)), np.int64)
    for v, request in enumerate(requests):
        strides = context.strides(context.nodes[request.parent])
        for dim, (coef, rank) in context.terms(context.tensors[v]).items():
            if dim in dims:
                stride[v, 1 + dims.index(dim)] = coef * strides[rank]
    return stride


def _node_records(context: _Context) -> tuple[Records, int]:
    """The nodes, and the words of all memories.

    The tiles of a memory instance lie one after another, and so do the instances of a memory.
    """
    records, end = np.zeros(len(context.nodes), NODE), 0
    for n, node in enumerate(context.nodes):
        outer = context.nodes[node.parent].place if node.parent >= 0 else node.place
        above = context.mapping.loop_above(node.item) if node.keep and node.keep.rolling else None
        records[n]["tensor"], records[n]["parent"] = node.tensor, node.parent
        records[n]["ratio"] = context.instances[node.place] // context.instances[outer]
        records[n]["words"] = math.prod(node.shape)
        records[n]["levels"] = len(context.between(node))
        records[n]["roll_item"], records[n]["roll_rank"] = -1, -1
        if above:
            records[n]["roll_item"] = above[0]
            records[n]["roll_rank"] = context.terms(context.tensors[node.tensor])[above[1].dim][1]
    for memory in context.arch.memories:
        kept = [n for n, node in enumerate(context.nodes) if node.keep and node.keep.memory == memory.name]
        size = sum(int(records[n]["words"]) for n in kept)
        used = 0
        for n in kept:
            records[n]["base"], records[n]["span"] = end + used, size
            used += int(records[n]["words"])
        if kept:
            end += size * int(context.instances[context.nodes[kept[0]].place])
    return records, end


def _networks(context: _Context) -> Ints:
    fanouts = context.arch.fanouts
    network = np.full((len(context.nodes), max(1, len(fanouts))), -1, np.int64)
    for n, node in enumerate(context.nodes):
        for level, fanout in enumerate(context.between(node)):
            network[n, level] = fanouts.index(fanout)
    return network


def _groups(context: _Context) -> tuple[Ints, list[int]]:
    """Who may share, a row for each node and level, and the first row of each node.

    Level j joins the instances that differ only in spatial loops over irrelevant dims on coalescing fan-outs, or over
    dims along which boxes overlap on fan-outs that share halos, inside the first j fan-outs between parent and node. A
    group is named by its instance with coordinate 0 in all of them. An output's last row joins all instances whose
    partial sums are of the same words, whether networks add them or not.
    """
    first, rows = [], [np.arange(context.instances[-1])]  # a row that no node uses keeps the array from being empty
    for node in context.nodes:
        tensor, between = context.tensors[node.tensor], context.between(node)
        overlapping = {term.dim for rank in tensor.ranks if len(rank) > 1 for term in rank}
        irrelevant = set(context.dim_index) - set(tensor.dims)
        first.append(len(rows))
        for level in range(len(between)):
            sharing = [f for f in between[level:] if _shares(f, tensor)]
            joined = {f.name: irrelevant for f in sharing}
            halo = {f.name: irrelevant | overlapping for f in sharing if f.halo}
            rows.append(_joined(context, node, joined | halo))
        if tensor.role is Role.OUTPUT:
            rows.append(_joined(context, node, {f.name: irrelevant for f in between}))
    return np.array(rows, np.int64), first


def _shares(fanout: FanOut, tensor: Tensor) -> bool:
    """Whether a network can serve several instances at once: adds what they drain, or multicasts what they ask for."""
    return fanout.reduce if tensor.role is Role.OUTPUT else tensor.role in fanout.multicast


def _joined(context: _Context, node: _Node, dims: dict[str, set[str]]) -> Ints:
    """By instance of a node, the one with coordinate 0 in the spatial loops over the `dims` of each fan-out."""
    group = np.arange(context.instances[-1])
    weight = int(context.instances[node.place])
    for item, pieces in zip(context.mapping.items[: node.item], context.pieces, strict=False):
        if isinstance(item, ParFor):
            weight //= pieces
            if item.dim in dims.get(item.fanout, ()):
                group -= group // weight % pieces * weight
    return group


def _orders(context: _Context, groups: Ints, nodes: Records) -> Ints:
    """By node, its instances sorted by the groups of all its levels, of which each contains the next."""
    orders = []
    for n, node in enumerate(context.nodes):
        row, levels = int(nodes[n]["group_row"]), int(nodes[n]["levels"])
        count, width = int(context.instances[node.place]), int(context.instances[-1])
        keys = [groups[row + level, :count] for level in reversed(range(levels))]
        order = np.lexsort(keys) if keys else np.arange(count)
        orders.append(np.concatenate([order, np.arange(count, width)]))
    return np.array(orders, np.int64)


def _places(context: _Context) -> Ints:
    """The position of each instance of the compute unit on every axis of every fan-out, in their order."""
    width = int(context.instances[-1])
    axes = [(f.name, axis.name) for f in context.arch.fanouts for axis in f.axes]
    places = np.zeros((len(axes), width), np.int64)
    weight = width
    for item, pieces in zip(context.mapping.items, context.pieces, strict=True):
        if isinstance(item, ParFor):
            weight //= pieces
            row = axes.index((item.fanout, item.axis))
            places[row] = places[row] * pieces + np.arange(width) // weight % pieces
    return places


def _problems(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    """Why the hardware could not run the mapping. Checked here again, so that nothing rests on other modules."""
    names = {t.name: t for t in nest.tensors}
    memories = {m.name: m for m in arch.memories}
    sizes = {(f.name, a.name): a.size for f in arch.fanouts for a in f.axes}
    for item in mapping.items:
        if isinstance(item, Keep):
            known = item.memory in memories and item.tensor in names
        else:
            known = item.dim in nest.extents and item.step >= 1
            known &= isinstance(item, Loop) or (item.fanout, item.axis) in sizes
        if not known:
            yield f"{_line(item)}: unknown name or impossible step"
            return
    head = mapping.items[: len(names)]
    if {item.tensor for item in head if isinstance(item, Keep) and item.memory == arch.home.name} != set(names):
        yield f"the nest must begin with the homes of all tensors in {arch.home.name}"
        return
    yield from _problems_of_nodes(nest, arch, mapping)
    used = dict.fromkeys(sizes, 1)
    for item, pieces in zip(mapping.items, _pieces(nest, mapping), strict=True):
        if isinstance(item, ParFor) and pieces > 1:
            used[item.fanout, item.axis] *= pieces
            fanout = next(f for f in arch.fanouts if f.name == item.fanout)
            words = next(a.dims for a in fanout.axes if a.name == item.axis)
            if words is not None and not any(item.dim in named(nest, word) for word in words):
                yield f"{_line(item)}: {item.fanout}.{item.axis} does not take this dim"
            if item.dim not in nest.output.dims and not (fanout.reduce or fanout.drain):
                yield f"{_line(item)}: {item.fanout} cannot add the partial sums of its instances"
    yield from (
        f"{fanout}.{axis} has {size} instances, not {used[fanout, axis]}"
        for (fanout, axis), size in sizes.items()
        if used[fanout, axis] > size
    )
    for dim, extent in mapping.tile(len(mapping.items), dict(nest.dims)).items():
        if extent > 1:
            yield f"dim {dim} is not split completely: pieces of {extent} remain"


def _problems_of_nodes(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    inner: dict[str, int] = {}  # depth of the tensor's innermost node so far
    deepest_node, deepest_loop = 0, -1
    for i, item in enumerate(mapping.items):
        if isinstance(item, ParFor):
            depth = arch.depth[item.fanout]
            if depth < deepest_node:
                yield f"{_line(item)}: a node that lies below {item.fanout} stands above this loop"
            deepest_loop = max(deepest_loop, depth)
        elif isinstance(item, Keep):
            depth = arch.depth[item.memory]
            if depth < deepest_loop:
                yield f"{_line(item)}: a spatial loop of a fan-out below {item.memory} stands above this node"
            if depth <= inner.get(item.tensor, -1):
                yield f"{_line(item)}: {item.tensor} is already kept there or further in"
            inner[item.tensor], deepest_node = depth, max(deepest_node, depth)
            tensor, above = nest.tensor(item.tensor), mapping.loop_above(i)
            if tensor.role not in arch.memory(item.memory).may_keep:
                yield f"{_line(item)}: {item.memory} has no room for the {tensor.role}"
            if item.rolling and (above is None or above[1].dim not in tensor.sliding_dims):
                yield f"{_line(item)}: the nearest loop above is no temporal loop over a sliding dim of {item.tensor}"
            if item.rolling and not (arch.memory(item.memory).rolling and tensor.role is not Role.OUTPUT):
                yield f"{_line(item)}: {item.memory} cannot hold a rolling window of {item.tensor}"
    for memory in arch.memories:
        copies = 2 if memory.double_buffered else 1
        tiles = _taken(nest, arch, mapping, memory)
        used = sum(results for results, _ in tiles.values())
        if memory.size_words is not None and copies * used > memory.size_words:
            taken = f"{copies} x {used}" if memory.double_buffered else used
            yield f"{memory.name} has {memory.size_words} words, the tiles kept in it take {taken}"


def _taken(nest: LoopNest, arch: Architecture, mapping: Mapping, memory: Memory) -> dict[Keep, tuple[int, int]]:
    """Words of the tile of each node of a memory, with room for results (or operands) only and for partial sums too."""
    own = arch.compute.widths
    given = {Role.INPUT: own.input, Role.WEIGHT: own.weight, Role.OUTPUT: own.output}
    taken = {}
    for i, item in enumerate(mapping.items):
        if isinstance(item, Keep) and item.memory == memory.name:
            tensor = nest.tensor(item.tensor)
            count = nest.words(tensor, mapping.tile(i, dict(nest.dims)))
            bits = tensor.bits or given[tensor.role] or memory.word_bits
            sums = (nest.partial_bits or own.partial or bits) if tensor.role is Role.OUTPUT else bits
            results = _room(count, bits, memory)
            taken[item] = results, max(results, _room(count, sums, memory))
    return taken


def _room(count: int, bits: int, memory: Memory) -> int:
    """Words in which so many elements of a width have room."""
    if memory.packed and bits <= memory.word_bits:
        return math.ceil(count / (memory.word_bits // bits))
    return count * math.ceil(bits / memory.word_bits)


def _narrow(nest: LoopNest, arch: Architecture, mapping: Mapping) -> list[Keep]:
    """The output nodes whose memory has room for results, but not if they were partial sums."""
    found = []
    for memory in arch.memories:
        copies = 2 if memory.double_buffered else 1
        tiles = _taken(nest, arch, mapping, memory)
        wide = copies * sum(sums for _, sums in tiles.values())
        if memory.size_words is not None and wide > memory.size_words:
            found += [keep for keep in tiles if nest.tensor(keep.tensor).role is Role.OUTPUT]
    return found


def _line(item: Item) -> str:
    return str(Mapping((item,))).strip()
