"""What numbers an input is made for, as the graph shows: where it is a position, a class, a mask or a byte.

An input is followed through operators that hand its elements on, to those that say which values make sense: the size of
the table that Gather reads, the depth of OneHot, the constants that Equal compares with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.execute.runtime import Array, Arrays
from frontends.onnx import graph
from frontends.onnx.region import Region

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included, what shows it, and whether others are wrong."""

    low: int
    high: int
    why: str
    strict: bool = False

    def __str__(self) -> str:
        return f"{self.low}..{self.high} ({self.why})"


HANDED_ON = {
    **dict.fromkeys(("Cast", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice"), (0,)),
    **dict.fromkeys(("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"), (0,)),
    "Concat": tuple(range(1000)),
}
"""Operators whose outputs have the elements of these inputs."""

MASKS = {("Where", 0), ("And", 0), ("And", 1), ("Or", 0), ("Or", 1), ("Xor", 0), ("Xor", 1), ("Not", 0), ("If", 0)}
COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
TABLES = {("EmbedLayerNormalization", 0): 2, ("EmbedLayerNormalization", 1): 4}
"""Inputs that are positions in the first axis of another one."""


def shown(region: Region, name: str, known: Arrays) -> Range | None:
    """The range of an input of a region; None if nothing shows it. `known` are constants."""
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in region.graph.node:
        for index, value in enumerate(node.input):
            readers.setdefault(value, []).append((node, index))
    uses = [use for use in _uses(region, name, readers, known) if use.low <= use.high]
    strict = [use for use in uses if use.strict]
    if strict:
        low, high = max(use.low for use in strict), min(use.high for use in strict)
        return Range(low, high, strict[0].why, True) if low <= high else strict[0]
    return Range(min(use.low for use in uses), max(use.high for use in uses), uses[0].why) if uses else None


def _uses(
    region: Region, name: str, readers: Mapping[str, list[tuple[onnx.NodeProto, int]]], known: Arrays
) -> Iterator[Range]:
    """The ranges that those who read a value show."""
    pending, seen = [(name, 0)], set[str]()
    while pending:
        value, offset = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for node, index in readers.get(value, ()):
            found = _shown_by(region, node, index, known)
            if found is not None:
                low, high, strict = found
                yield Range(low - offset, high - offset, f"{node.op_type} node {node.name}", strict)
            elif index in HANDED_ON.get(node.op_type, ()):
                pending += [(output, offset) for output in node.output if output]
            elif (added := _added(node, index, known)) is not None:
                pending.append((node.output[0], offset + added))


def _shown_by(region: Region, node: onnx.NodeProto, index: int, known: Arrays) -> tuple[int, int, bool] | None:
    """The least and the greatest value that makes sense as that input of a node, and whether others are wrong."""
    told = graph.attributes(node)
    place = node.op_type, index
    if place in MASKS or (node.op_type == "Cast" and told.get("to") == 9):
        return 0, 1, False
    if node.op_type == "Clip" and index == 0 and len(node.input) > 2:
        ends = [_numbers(node.input[i], known) for i in (1, 2)]
        return (int(ends[0][0]), int(ends[1][0]), False) if all(map(len, ends)) else None
    if node.op_type in COMPARISONS and len(others := _numbers(node.input[1 - index], known)):
        low, high = float(others.min()), float(others.max())
        if others.size == 1:  # one number: both sides of it
            low, high = min(low, 0.0), max(high, 0.0) + 1.0
        return math.floor(low), math.ceil(high), False
    if place == ("OneHot", 0) and len(depth := _numbers(node.input[1], known)):
        return 0, int(depth[0]) - 1, True
    size = _table(region, node, index, told)
    return None if size is None else (0, size - 1, True)


def _table(region: Region, node: onnx.NodeProto, index: int, told: Mapping[str, Any]) -> int | None:
    """The entries among which an input of a node chooses."""
    place = node.op_type, index
    table = TABLES.get(place)
    if place in {("Gather", 1), ("GatherElements", 1), ("ScatterElements", 1), ("Scatter", 1)}:
        shape = region.shapes.dims.get(node.input[0]) or ()
        axis = int(told.get("axis", 0))
        sizes = shape[axis : axis + 1 or None] if -len(shape) <= axis < len(shape) else ()
    elif place in {("GatherND", 1), ("ScatterND", 1)}:
        shape, at = (region.shapes.dims.get(node.input[i]) or () for i in (0, 1))
        first = int(told.get("batch_dims", 0))
        depth = at[-1] if at and isinstance(at[-1], int) else 0
        sizes = shape[first : first + depth]
    elif table is not None and len(node.input) > table:
        sizes = (region.shapes.dims.get(node.input[table]) or ())[:1]
    else:
        return None
    known = [n for n in sizes if isinstance(n, int)]
    return min(known, default=None)


def _added(node: onnx.NodeProto, index: int, known: Arrays) -> int | None:
    """The whole number that a node adds to an input."""
    if node.op_type not in ("Add", "Sub") or (node.op_type == "Sub" and index == 1):
        return None
    other = _numbers(node.input[1 - index], known)
    if other.size != 1 or not float(other[0]).is_integer():
        return None
    return int(other[0]) * (-1 if node.op_type == "Sub" else 1)


def _numbers(value: str, known: Arrays) -> Array:
    """The elements of a constant; none if it is no constant, or of no numbers."""
    array = known.get(value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        return np.zeros(0)
    return array.reshape(-1)
