"""What an operator reads of its inputs: all elements, each once, or no more than it picks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph
from frontends.onnx.registry import SHAPE_READERS

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region

MS = "com.microsoft"

Picks = Callable[["onnx.NodeProto", "Region"], int]
"""How many elements of an input a node of a region picks."""


def read(node: onnx.NodeProto, region: Region) -> dict[str, int]:
    """Elements that a node reads of each value; InputError if they depend on a shape that is unknown."""
    domain = "" if graph.is_standard(node) else node.domain
    if not domain and node.op_type in SHAPE_READERS:
        return {}
    picked = PICKED.get((domain, node.op_type), {})
    all_of = {value: region.shapes.elements(value) for value in graph.reads(node)}
    found = dict.fromkeys(all_of, 0)
    for index, value in enumerate(node.input):
        if value:
            n = picked[index](node, region) if index in picked else all_of[value]
            found[value] = min(all_of[value], found[value] + n)
    return {value: n if value in node.input else all_of[value] for value, n in found.items()}


def _as_output(node: onnx.NodeProto, region: Region) -> int:
    """One for each element of the output."""
    return region.shapes.elements(node.output[0])


def _outputs(node: onnx.NodeProto, region: Region) -> int:
    """One for each element of all outputs."""
    return sum(region.shapes.elements(value) for value in node.output if value)


def _angles(cache: int) -> Picks:
    """The angles of each position, which all heads share, of the cache at this input."""

    def picks(node: onnx.NodeProto, region: Region) -> int:
        shape, stored = region.shapes(node.input[0]), region.shapes(node.input[cache])
        if len(shape) not in (3, 4) or not stored:  # a damaged model
            return math.prod(stored)
        return shape[0] * shape[-2] * stored[-1]  # [batch, heads, length, size], or without heads

    return picks


PICKED: Mapping[tuple[str, str], Mapping[int, Picks]] = {
    ("", "Gather"): {0: _as_output},
    ("", "GatherElements"): {0: _as_output},
    ("", "GatherND"): {0: _as_output},
    ("", "RotaryEmbedding"): {index: _angles(index) for index in (1, 2)},
    ("", "Slice"): {0: _as_output},
    ("", "Split"): {0: _outputs},
    (MS, "EmbedLayerNormalization"): dict.fromkeys((2, 3, 4), _as_output),
    (MS, "RotaryEmbedding"): {index: _angles(index) for index in (2, 3)},
}
"""By domain and name, the inputs of which an operator reads no more than it picks."""
