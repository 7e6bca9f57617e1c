"""The narrowest floats on the way to a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from backends.execute.compare import TOLERANCES
from frontends.onnx.region import Region

if TYPE_CHECKING:
    import onnx


def narrowest(region: Region, values: Iterable[str]) -> str | None:
    """The narrowest type of floats, by its name, in which anything is computed that leads to these values of a region;
    None if that is single precision or more. Constants are stored in it without being computed."""
    makers = {value: node for node in region.graph.node for value in node.output if value}
    pending, seen, found = list(values), set[str](), set[str]()
    while pending:
        value = pending.pop()
        if value in seen or value in region.constant:
            continue
        seen.add(value)
        found |= _narrow(region, [value])
        if (node := makers.get(value)) is not None:
            pending += region.reads(node)
            for inner in _inside(region, node):
                found |= _narrow(inner, inner.values - inner.constant)
    return max(found, key=TOLERANCES.__getitem__, default=None)


def _inside(region: Region, node: onnx.NodeProto) -> Iterator[Region]:
    for inner in region.inner.get(node.name, {}).values():
        yield inner
        for each in inner.graph.node:
            yield from _inside(inner, each)


def _narrow(region: Region, values: Iterable[str]) -> set[str]:
    from onnx import TensorProto

    numbers: dict[int, str] = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
    kinds = (region.shapes.types.get(value, 0) for value in values)
    return {numbers[kind] for kind in kinds if kind in numbers}
