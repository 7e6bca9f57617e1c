"""What a file states of the values that its nodes make: asked only where it does not follow from the inputs.

Tools that change a model often leave what it states as it was. So it is taken out of the graph before anything is
inferred, and what contradicts is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph
from frontends.onnx.region import type_proto
from frontends.onnx.shapes import Dims, Shapes, fits, is_known, sizes, text

if TYPE_CHECKING:
    import onnx


def rebind(source: onnx.GraphProto, known: Mapping[str, int]) -> None:
    """Give symbols in what a graph states of inner values and outputs their sizes, once inputs have other shapes.

    A shape in which none of the symbols occurs may hold for the file's own inputs only, and is dropped.
    """
    for value in (*source.value_info, *source.output, *graph.stated_inside(source)):
        if value.type.HasField("tensor_type"):
            found = [dim for dim in value.type.tensor_type.shape.dim if dim.dim_param in known]
            for dim in found:
                dim.dim_value = known[dim.dim_param]
            if not found:
                value.type.tensor_type.ClearField("shape")


def take(source: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Take out of a graph what it states of the values that its nodes make."""
    found: dict[str, onnx.TypeProto] = {}
    for value in (*source.value_info, *source.output):
        if value.type.WhichOneof("value"):
            found.setdefault(value.name, type(value.type).FromString(value.type.SerializeToString()))
    del source.value_info[:]
    for value in source.output:
        value.ClearField("type")
    return found


def completed(kind: onnx.TypeProto, inferred: Dims | None) -> onnx.TypeProto | None:
    """A stated type, with the dims that are inferred where these are known; None if dims stay unknown, or the type of
    an element."""
    if not kind.HasField("tensor_type"):
        return kind if kind.WhichOneof("value") else None
    dims = sizes(kind) if kind.tensor_type.HasField("shape") else None
    if dims is None or not kind.tensor_type.elem_type or (inferred is not None and len(inferred) != len(dims)):
        return None
    whole = [n if isinstance(n, int) else m for n, m in zip(inferred or dims, dims, strict=True)]
    return type_proto((kind.tensor_type.elem_type, tuple(whole))) if is_known(tuple(whole)) else None


def remarks(shapes: Shapes, said: Mapping[str, onnx.TypeProto]) -> dict[str, str]:
    """What contradicts the shapes that are known otherwise, by the value that does so first; nothing if all is well."""
    found = {}
    for name, kind in said.items():
        if kind.HasField("tensor_type") and kind.tensor_type.HasField("shape") and name in shapes.dims:
            here, there = sizes(kind), shapes.dims[name]
            if not fits(here, there):
                found[name] = (here, there)
    if not found:
        return {}
    name, (here, there) = next(iter(found.items()))
    more = f", and so do those of {len(found) - 1} more values" if len(found) > 1 else ""
    told = f"the shape {text(here)} that the file states of its output {name} contradicts {text(there)}, which follows"
    return {name: f"{told} from the inputs and is taken{more}"}
