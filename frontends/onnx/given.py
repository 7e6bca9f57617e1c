"""What the user gives: sizes of symbols, shapes of inputs and other values, and values of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from frontends.onnx import graph, stated
from frontends.onnx.shapes import LIMIT, size, table
from mapper.errors import InputError
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import onnx

MOST = 2**26
"""Elements of the largest input that can be given a value."""


def override(
    proto: onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]],
    dims: Mapping[str, int],
    values: Mapping[str, float],
) -> dict[str, tuple[int, ...]]:
    """Give inputs of the model, and symbols in their shapes, the sizes of the user, and inputs a value for good; the
    given shapes of values that are no inputs, which are for whoever does not find them otherwise.

    Raises InputError for an input, a value or a symbol that the model does not have, for another rank, and for a value
    of an input whose shape is not known.
    """
    stored = graph.initializers(proto.graph)
    inputs = {v.name: v for v in proto.graph.input if v.name not in stored}
    inner = {value for node in graph.all_nodes(proto.graph) for value in node.output if value}
    for name in (*shapes, *values):
        if name in inputs or (name in shapes and (name in inner or any(name.endswith(f"/{v}") for v in inner))):
            continue  # the values of a branch that is taken are named after the If
        hint = did_you_mean(name, [*inputs, *(inner if name in shapes else ())])
        what = "input or value" if name in shapes else "input"
        raise InputError(f"the model has no {what} '{name}'", hint=hint or f"its inputs: {', '.join(inputs)}")
    for name, shape in shapes.items():
        if not all(0 <= n < LIMIT for n in shape):
            raise InputError(f"{name}: the dimensions of a shape must be at least 0 and fit 64 bits, not {shape}")
    symbols: dict[str, int] = {}
    same = not values  # whether what the file says of its other values still holds for these inputs
    for name in shapes.keys() & inputs.keys():
        tensor, shape = inputs[name].type.tensor_type, shapes[name]
        if tensor.HasField("shape") and len(tensor.shape.dim) != len(shape):
            raise InputError(f"input {name} has {len(tensor.shape.dim)} dimensions, the given shape {len(shape)}")
        for dim, n in zip(tensor.shape.dim, shape, strict=False):
            before = symbols.setdefault(dim.dim_param, n) if dim.dim_param else size(dim)
            same = same and before == n
        same = same and tensor.HasField("shape")
        del tensor.shape.dim[:]
        for n in shape:
            tensor.shape.dim.add().dim_value = n
    sizes = [dim for value in inputs.values() for dim in value.type.tensor_type.shape.dim]
    named = dict.fromkeys(dim.dim_param for dim in sizes if dim.dim_param)
    for symbol, n in dims.items():
        if symbol not in named:
            known = f"its symbols: {', '.join(named)}" if named else "the shapes of its inputs have no symbols"
            raise InputError(f"the model has no dimension '{symbol}'", hint=did_you_mean(symbol, named) or known)
        if not 0 <= n < LIMIT:
            raise InputError(f"dimension {symbol} must be at least 0 and fit 64 bits, not {n}")
        same = same and symbols.setdefault(symbol, n) == n
    for dim in sizes:
        if dim.dim_param in dims:
            dim.dim_value = dims[dim.dim_param]
        elif dim.dim_value < 0:  # exporters write -1 for what they do not know
            dim.Clear()
    for name, number in values.items():
        _fix(proto.graph, inputs[name], number)
    if symbols or not same:
        stated.rebind(proto.graph, symbols if same else {})
    return {name: shape for name, shape in shapes.items() if name not in inputs}


def _fix(source: onnx.GraphProto, value: onnx.ValueInfoProto, number: float) -> None:
    """Make an input a constant whose elements are all this number."""
    from onnx import numpy_helper

    known = table(source)
    if known.elements(value.name) > MOST:
        raise InputError(f"input {value.name} has {known.elements(value.name)} elements, too many to be given a value")
    dtype = known.dtype(value.name)
    if dtype.kind == "O":
        raise InputError(f"input {value.name} is of text, which is no number")
    try:
        with np.errstate(all="ignore"):
            # integers beyond 64 bits are objects to numpy, which not every type is made of
            one = np.array(number if abs(number) < 2**63 else float(number)).astype(dtype)
    except OverflowError:  # of integers beyond all floats
        one = None
    if one is None or one.item() != number:
        raise InputError(f"input {value.name} is of {dtype}, which has no {number:g}")
    array = np.full(known(value.name), one)
    source.initializer.append(numpy_helper.from_array(array, value.name))
    source.input.remove(value)
