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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapper.arch import Architecture
from mapper.errors import VerificationError, all_of
from mapper.ir import LoopNest, Role, Tensor
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor

Ints = NDArray[np.int64]

LOOP, PARFOR, KEEP = 0, 1, 2


class Program(NamedTuple):
    """A lowered mapping: int64 arrays over items i, tail loops l, dims d, tensors v, nodes n, ranks k, levels j."""

    kind: Ints  # [i] LOOP, PARFOR or KEEP
    dim: Ints  # [i] of a loop
    step: Ints  # [i] of a loop
    pieces: Ints  # [i] instances of a spatial loop for each above it
    node: Ints  # [i] of a KEEP
    segment: Ints  # [i] spatial loops above
    tail_dim: Ints  # [l]
    tail_stride: Ints  # [v, 1 + l] distance in the innermost tile; loop 0 is a dummy with a single iteration
    extents: Ints  # [d]
    terms: Ints  # [v] summands of all ranks
    term_dim: Ints  # [v, term]
    term_coef: Ints  # [v, term]
    term_rank: Ints  # [v, term]
    instances: Ints  # [s]
    tensor: Ints  # [n]
    parent: Ints  # [n] next outer storage node of the tensor, -1 at home
    place: Ints  # [n] segment
    ratio: Ints  # [n] instances for each instance of the parent
    base: Ints  # [n] address of the tile in instance 0
    span: Ints  # [n] from there to the tile of the next instance
    words: Ints  # [n] size of the tile
    stride: Ints  # [n, k] of the tile
    roll_rank: Ints  # [n] rank along which the node rolls, -1 if it does not
    roll_item: Ints  # [n] loop along which it rolls
    levels: Ints  # [n] fan-outs between parent and node
    network: Ints  # [n, j] the fan-outs, outermost first
    group_row: Ints  # [n] the node's rows of `group` start here
    group: Ints  # [group_row + j, r] first instance of the level-j group of instance r


@dataclass(frozen=True)
class Lowered:
    """A program and what it takes to feed it and to read its counters."""

    program: Program
    tensors: tuple[Tensor, ...]  # operands, then the output
    nodes: tuple[Keep, ...]  # storage nodes by number
    store_words: int


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
    def dim_index(self) -> dict[str, int]:
        return {d: i for i, (d, _) in enumerate(self.nest.dims)}

    def terms(self, tensor: Tensor) -> dict[str, tuple[int, int]]:
        """By relevant dim, its coefficient and padded rank."""
        first = self.ranks - len(tensor.ranks)
        return {term.dim: (term.coef, first + k) for k, rank in enumerate(tensor.ranks) for term in rank}

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
    base, span, store_words = _allocate(context)
    program = Program(
        **_item_arrays(context),
        **_term_arrays(context),
        **_node_arrays(context),
        **_group_arrays(context),
        base=_ints(base),
        span=_ints(span),
        instances=context.instances,
    )
    return Lowered(program, tensors, tuple(node.keep for node in nodes if node.keep), store_words)


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


def _allocate(context: _Context) -> tuple[list[int], list[int], int]:
    """Address of each node's tile, distance between its instances, words of all memories.

    The tiles of a memory instance lie one after another, the instances of a memory too.
    """
    base, span, end = [0] * len(context.nodes), [0] * len(context.nodes), 0
    for memory in context.arch.memories:
        kept = [n for n, node in enumerate(context.nodes) if node.keep and node.keep.memory == memory.name]
        used = 0
        for n in kept:
            base[n] = end + used
            used += math.prod(context.nodes[n].shape)
        for n in kept:
            span[n] = used
        if kept:
            end += used * int(context.instances[context.nodes[kept[0]].place])
    return base, span, end


def _item_arrays(context: _Context) -> dict[str, Ints]:
    items, index = context.mapping.items, context.dim_index
    node_of = {node.item: n for n, node in enumerate(context.nodes) if node.keep}
    tail = _tail(items)
    dims = [loop.dim for loop in tail]
    innermost = [context.nodes[node.parent] for node in context.nodes if not node.keep]
    stride = np.zeros((len(context.tensors), 1 + len(tail)), np.int64)
    for v, tensor in enumerate(context.tensors):
        strides = context.strides(innermost[v])
        for dim, (coef, rank) in context.terms(tensor).items():
            if dim in dims:
                stride[v, 1 + dims.index(dim)] = coef * strides[rank]
    return {
        "kind": _ints(LOOP if isinstance(i, Loop) else PARFOR if isinstance(i, ParFor) else KEEP for i in items),
        "dim": _ints(-1 if isinstance(item, Keep) else index[item.dim] for item in items),
        "step": _ints(0 if isinstance(item, Keep) else item.step for item in items),
        "pieces": _ints(context.pieces),
        "node": _ints(node_of.get(i, -1) for i in range(len(items))),
        "segment": _ints(sum(isinstance(above, ParFor) for above in items[:i]) for i in range(len(items))),
        "tail_dim": _ints(index[d] for d in dims),
        "tail_stride": stride,
        "extents": _ints(n for _, n in context.nest.dims),
    }


def _tail(items: Sequence[Item]) -> list[Loop]:
    """The innermost temporal loops, as far as no dim repeats; completely split, each counts single steps."""
    tail: list[Loop] = []
    for item in reversed(items):
        if not isinstance(item, Loop) or item.dim in {loop.dim for loop in tail}:
            break
        tail.insert(0, item)
    return tail


def _term_arrays(context: _Context) -> dict[str, Ints]:
    count = [len(t.dims) for t in context.tensors]
    table = np.zeros((3, len(count), max(1, *count)), np.int64)
    for v, tensor in enumerate(context.tensors):
        for at, (dim, (coef, rank)) in enumerate(context.terms(tensor).items()):
            table[:, v, at] = context.dim_index[dim], coef, rank
    dim, coef, rank = (np.ascontiguousarray(part) for part in table)
    return {"terms": _ints(count), "term_dim": dim, "term_coef": coef, "term_rank": rank}


def _node_arrays(context: _Context) -> dict[str, Ints]:
    nodes, instances = context.nodes, context.instances
    places = [(node.place, nodes[node.parent].place if node.parent >= 0 else node.place) for node in nodes]
    above = [context.mapping.loop_above(node.item) if node.keep and node.keep.rolling else None for node in nodes]
    terms = [context.terms(tensor) for tensor in context.tensors]
    return {
        "tensor": _ints(node.tensor for node in nodes),
        "parent": _ints(node.parent for node in nodes),
        "place": _ints(node.place for node in nodes),
        "ratio": _ints(int(instances[own] // instances[outer]) for own, outer in places),
        "words": _ints(math.prod(node.shape) for node in nodes),
        "stride": np.array([context.strides(node) for node in nodes], np.int64),
        "roll_rank": _ints(terms[n.tensor][a[1].dim][1] if a else -1 for n, a in zip(nodes, above, strict=True)),
        "roll_item": _ints(a[0] if a else -1 for a in above),
    }


def _group_arrays(context: _Context) -> dict[str, Ints]:
    """Who may share: level j joins the instances that differ only in spatial loops it leaves out.

    Those are the loops over irrelevant dims on coalescing fan-outs inside the first j fan-outs between parent and
    node. A group is named by the instance that has coordinate 0 in all of them.
    """
    arch, items, nodes = context.arch, context.mapping.items, context.nodes
    network = np.full((len(nodes), max(1, len(arch.fanouts))), -1, np.int64)
    levels, first, rows = [], [], [np.zeros(context.instances[-1], np.int64)]
    for n, node in enumerate(nodes):
        outer = nodes[node.parent].depth if node.parent >= 0 else node.depth
        between = [f for f in arch.fanouts if outer < arch.depth[f.name] < node.depth]
        network[n, : len(between)] = [arch.fanouts.index(f) for f in between]
        levels.append(len(between))
        first.append(len(rows))
        tensor = context.tensors[node.tensor]
        for level in range(len(between)):
            joined = {f.name for f in between[level:] if f.coalesces(tensor.role)}
            group = np.arange(context.instances[-1])
            weight = int(context.instances[node.place])
            for item, pieces in zip(items[: node.item], context.pieces, strict=False):
                if isinstance(item, ParFor):
                    weight //= pieces
                    if item.fanout in joined and item.dim not in tensor.dims:
                        group -= group // weight % pieces * weight
            rows.append(group)
    return {"levels": _ints(levels), "network": network, "group_row": _ints(first), "group": np.array(rows)}


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
            if item.dim not in nest.output.dims and not fanout.coalesces(Role.OUTPUT):
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
    used = {m.name: 0 for m in arch.memories}
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
            used[item.memory] += nest.words(tensor, mapping.tile(i, dict(nest.dims)))
            if item.rolling and (above is None or above[1].dim not in tensor.sliding_dims):
                yield f"{_line(item)}: the nearest loop above is no temporal loop over a sliding dim of {item.tensor}"
            if item.rolling and not (arch.memory(item.memory).rolling and tensor.role is not Role.OUTPUT):
                yield f"{_line(item)}: {item.memory} cannot hold a rolling window of {item.tensor}"
    for memory in arch.memories:
        if memory.size_words is not None and used[memory.name] > memory.size_words:
            yield f"{memory.name} has {memory.size_words} words, the tiles kept in it take {used[memory.name]}"


def _line(item: Item) -> str:
    return str(Mapping((item,))).strip()
