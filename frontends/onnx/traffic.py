"""What an operator reads of its inputs: all elements, each once, or no more than it picks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region

MS = "com.microsoft"

Picks = Callable[["onnx.NodeProto", "Region"], int]
"""How many elements of an input a node of a region picks."""


def read(node: onnx.NodeProto, region: Region) -> dict[str, int]:
    """Elements that a node reads of each value, none if it makes none; InputError if they depend on a shape that is
    unknown."""
    if all(map(region.shapes.is_empty, filter(None, node.output))):
        return dict.fromkeys(graph.reads(node), 0)
    domain = "" if graph.is_standard(node) else node.domain
    picked = PICKED.get((domain, node.op_type), {})
    all_of = {value: region.shapes.elements(value) for value in graph.reads(node)}
    found = dict.fromkeys(all_of, 0)
    for index, value in enumerate(node.input):
        if value:
            n = picked[index](node, region) if index in picked else all_of[value]
            found[value] = min(all_of[value], found[value] + n)
    return {value: n if value in node.input else all_of[value] for value, n in found.items()}


def _outputs(node: onnx.NodeProto, region: Region) -> int:
    """One for each element of the outputs that are used."""
    return sum(region.shapes.elements(value) for value in node.output if value in region.used)


def _angles(cache: int, places: int) -> Picks:
    """Those of each position, which all heads share, of the cache at this input; at `places` are the positions, those
    of each of the batch, or where it begins for all of them."""

    def picks(node: onnx.NodeProto, region: Region) -> int:
        shape, stored = region.shapes(node.input[0]), region.shapes(node.input[cache])
        if places >= len(node.input) or not node.input[places] or len(shape) not in (3, 4) or not stored:
            return math.prod(stored)
        given = region.shapes(node.input[places])
        positions = math.prod(given) if len(given) == 2 else shape[-2]  # [batch, heads, length, size], or without heads
        return positions * stored[-1]

    return picks


PICKED: Mapping[tuple[str, str], Mapping[int, Picks]] = {
    ("", "Gather"): {0: _outputs},
    ("", "GatherElements"): {0: _outputs},
    ("", "GatherND"): {0: _outputs},
    ("", "RotaryEmbedding"): {index: _angles(index, 3) for index in (1, 2)},
    ("", "Slice"): {0: _outputs},
    ("", "Split"): {0: _outputs},
    (MS, "EmbedLayerNormalization"): dict.fromkeys(
        (2, 3, 4), lambda node, region: region.shapes.elements(node.output[0])
    ),
    (MS, "RotaryEmbedding"): {index: _angles(index, 1) for index in (2, 3)},
}
"""By domain and name, the inputs of which an operator reads no more than it picks."""
