"""Legality: everything that is wrong with a mapping, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping as Dict
from itertools import pairwise

from mapper.arch import Architecture, FanOut, Memory
from mapper.arrays import least, most
from mapper.ir import LoopNest, Role
from mapper.mapping.mapping import Item, Keep, Loop, Mapping, ParFor


def violations(nest: LoopNest, arch: Architecture, mapping: Mapping) -> list[str]:
    """Every rule the mapping breaks, each with the item it concerns; empty if it is legal."""
    unknown = [problem for item in mapping.items for problem in _unknown(nest, arch, item)]
    if unknown:  # the other rules look names up
        return unknown
    return [
        *_homes(nest, arch, mapping),
        *_nodes(nest, arch, mapping),
        *_spatial(nest, arch, mapping),
        *_order(arch, mapping),
        *_complete(nest, mapping),
        *_capacity(nest, arch, mapping),
        *_rolling(nest, arch, mapping),
    ]


def _unknown(nest: LoopNest, arch: Architecture, item: Item) -> Iterator[str]:
    fanouts = {f.name: f for f in arch.fanouts}
    match item:
        case Keep(memory, tensor):
            if memory not in {m.name for m in arch.memories}:
                yield f"{_line(item)}: {arch.name} has no memory {memory}"
            if tensor not in {t.name for t in nest.tensors}:
                yield f"{_line(item)}: the layer has no tensor {tensor}"
        case Loop() | ParFor():
            if item.dim not in nest.extents:
                yield f"{_line(item)}: the layer has no dim {item.dim}"
            if item.step < 1:
                yield f"{_line(item)}: a step is at least 1"
            if isinstance(item, ParFor):
                if item.fanout not in fanouts:
                    yield f"{_line(item)}: {arch.name} has no fan-out {item.fanout}"
                elif item.axis not in {a.name for a in fanouts[item.fanout].axes}:
                    yield f"{_line(item)}: fan-out {item.fanout} has no axis {item.axis}"


def _homes(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    head = mapping.items[: len(nest.tensors)]
    for tensor in nest.tensors:
        if Keep(arch.home.name, tensor.name) not in head:
            yield f"{tensor.name} must be kept in its home {arch.home.name} above all loops and other nodes"


def _nodes(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    for tensor in nest.tensors:
        names = [item.memory for item in mapping.items if isinstance(item, Keep) and item.tensor == tensor.name]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield f"{name} keeps {tensor.name} twice"
            if tensor.role not in arch.memory(name).may_keep:
                yield f"{name} cannot keep {tensor.name}: it is no memory for the {tensor.role}"
        for outer, inner in pairwise(names):
            if arch.depth[outer] > arch.depth[inner]:
                yield f"{tensor.name}: {inner} lies outside {outer}, so its node must stand above that of {outer}"
        for memory in arch.memories:
            if tensor.role in memory.must_keep and memory.name not in names:
                yield f"{memory.name} must keep the {tensor.role} {tensor.name}"


def _spatial(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    tile = dict(nest.dims)
    used: dict[tuple[str, str], int] = defaultdict(lambda: 1)
    fanouts = {f.name: f for f in arch.fanouts}
    for item in mapping.items:
        if isinstance(item, Keep):
            continue
        if isinstance(item, ParFor):
            fanout: FanOut = fanouts[item.fanout]
            axis = next(a for a in fanout.axes if a.name == item.axis)
            used[item.fanout, item.axis] *= -(-tile[item.dim] // item.step)
            if axis.dims is not None and item.dim not in axis.takes(nest):
                yield f"{_line(item)}: axis {axis.name} takes {axis.listed}"
            if not fanout.unrolls_reductions() and item.dim not in nest.output.dims:
                yield f"{_line(item)}: {item.dim} is a reduction dim and {fanout.name} cannot add partial sums"
        tile[item.dim] = min(tile[item.dim], item.step)
    for (name, axis_name), instances in used.items():
        size = next(a.size for a in fanouts[name].axes if a.name == axis_name)
        if instances > size:
            yield f"axis {name}.{axis_name} has {size} instances, the mapping unrolls {instances}"


def _order(arch: Architecture, mapping: Mapping) -> Iterator[str]:
    """Spatial loops stand inside all nodes above their fan-out and outside all nodes below it."""
    for i, item in enumerate(mapping.items):
        if isinstance(item, ParFor):
            depth = arch.depth[item.fanout]
            for outer in mapping.items[:i]:
                level = _level(outer)
                if level and arch.depth[level] > depth:
                    yield f"{_line(item)} must stand outside '{_line(outer)}': {level} lies below {item.fanout}"
            for inner in mapping.items[i + 1 :]:
                if isinstance(inner, Keep) and arch.depth[inner.memory] < depth:
                    yield f"{_line(item)} must stand inside '{_line(inner)}': {inner.memory} lies above {item.fanout}"


def _complete(nest: LoopNest, mapping: Mapping) -> Iterator[str]:
    for dim, extent in mapping.tile(len(mapping.items), dict(nest.dims)).items():
        if extent != 1:
            yield f"dim {dim} is not split completely: pieces of {extent} remain at the innermost point"


def _capacity(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    for memory in arch.memories:
        if memory.tile_words is None:
            continue
        tiles = footprints(nest, arch, mapping, memory)
        needed = sum(tiles.values())
        if needed > memory.tile_words:
            parts = " + ".join(f"{name} {words}" for name, words in tiles.items())
            yield (f"{memory.holds}, its tiles need {needed} ({parts}): {needed - memory.tile_words} too many")


def footprints(
    nest: LoopNest, arch: Architecture, mapping: Mapping, memory: Memory, steps: Dict[int, int] | None = None
) -> dict[str, int]:
    """Words that the largest tile of each tensor occupies in an instance of the memory.

    `steps`, by position, stand in for those of the loops, and may be arrays; then so are the words.
    """
    found = {}
    for i, item in enumerate(mapping.items):
        if isinstance(item, Keep) and item.memory == memory.name:
            tensor = nest.tensor(item.tensor)
            elements = nest.words(tensor, mapping.tile(i, nest.extents, steps))
            words = memory.words(elements, arch.bits(tensor))
            if tensor.role is Role.OUTPUT:
                wide = most(words, memory.words(elements, arch.partial_bits(nest)))
                words = words + (wide - words) * _holds_partial_sums(nest, arch, mapping, i, steps)
            found[item.tensor] = words
    return found


def _holds_partial_sums(
    nest: LoopNest, arch: Architecture, mapping: Mapping, position: int, steps: Dict[int, int] | None
) -> int:
    """1 if the output node at `position` ever holds a partial sum, 0 if results only.

    It does if a reduction loop stands above the next inner node, unless the network between the two adds its parts.
    """
    node = mapping.items[position]
    assert isinstance(node, Keep)
    child = next((i for i in mapping.nodes(node.tensor) if i > position), len(mapping.items))
    adding = {f.name for f in arch.fanouts[arch.segment[node.memory] :] if f.coalesces(Role.OUTPUT)}
    tile, holds = dict(nest.dims), 0
    for i, item in enumerate(mapping.items[:child]):
        if not isinstance(item, Keep):
            step = least(tile[item.dim], item.step if steps is None else steps[i])
            added = i > position and isinstance(item, ParFor) and item.fanout in adding
            if item.dim not in nest.output.dims and not added:
                # an integer rather than a truth value, which no large integer can be multiplied with in an array
                holds = most(holds, least(tile[item.dim] - step, 1))
            tile[item.dim] = step
    return holds


def _rolling(nest: LoopNest, arch: Architecture, mapping: Mapping) -> Iterator[str]:
    for i, item in enumerate(mapping.items):
        if isinstance(item, Keep) and item.rolling:
            tensor, above = nest.tensor(item.tensor), mapping.loop_above(i)
            if not arch.memory(item.memory).rolling:
                yield f"{_line(item)}: {item.memory} cannot hold a rolling window"
            if tensor.role is Role.OUTPUT:
                yield f"{_line(item)}: only inputs and weights can roll"
            if above is None or above[1].dim not in tensor.sliding_dims:
                yield f"{_line(item)}: the nearest loop above must be temporal, over a sliding dim of {tensor.name}"
                continue
            for other in mapping.items[above[0] + 1 : i]:
                if isinstance(other, Keep) and arch.segment[other.memory] != arch.segment[item.memory]:
                    yield f"{_line(item)}: '{_line(other)}', beyond a fan-out, stands between it and its loop"


def _level(item: Item) -> str | None:
    match item:
        case Keep(memory):
            return memory
        case ParFor(fanout=fanout):
            return fanout
        case _:
            return None


def _line(item: Item) -> str:
    return str(Mapping((item,))).strip()
