"""The values that a network is executed on: its own constants, random inputs, and random weights where it has none.

A weight whose elements are all the same, as in models shipped without training, is replaced by random ones: it would
hide a transposed operand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backends.execute.compare import is_real
from backends.execute.ranges import Range, shown
from backends.execute.runtime import Array, Arrays, Runtime
from frontends.onnx import OnnxModel, graph
from frontends.onnx.region import Region
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

FEW = 4096
"""Elements of a constant that is made part of what ONNX Runtime runs, which some operators need."""

_QUANTIZED = (
    "QAttention",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "QGemm",
    "MatMulIntegerToFloat",
)

# How constants are drawn by (operator, input): near one where they multiply, divide or stand under a root, kept where
# they steer what the operator does. Weights of layers are scaled by their fan-in; all others are drawn around zero.
_NEAR_ONE = {
    *(("BatchNormalization", i) for i in (1, 4)),
    *((op, 1) for op in ("InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization")),
    *((op, i) for op in ("Mul", "Div", "Pow", "PRelu") for i in (0, 1)),
    *((op, 0) for op in ("Sqrt", "Log", "Reciprocal")),
}
_RECURRENT = {(op, i) for op in ("LSTM", "GRU", "RNN") for i in (1, 2)}
_KEPT = {
    *((op, i) for op in ("Resize", "Upsample", "Clip", "Pad", "OneHot", "Range") for i in (1, 2, 3)),
    *((op, i) for op in ("QuantizeLinear", "DequantizeLinear") for i in (0, 1, 2)),
    *((op, i) for op in _QUANTIZED for i in range(1, 9)),  # scales
}


def initial(
    model: OnnxModel,
    nodes: list[onnx.NodeProto],
    runtime: Runtime,
    rng: np.random.Generator,
    given: Mapping[str, Array],
) -> tuple[frozenset[str], Arrays, dict[str, str]]:
    """The constants that are fixed; all values that exist before the first of these nodes, those included; and from
    what the inputs are drawn that are not `given`.

    Random: these inputs, and, unless all of them are given, the floating-point constants of more than one element that
    are all the same.
    """
    region = model.region
    readers: dict[str, set[tuple[str, int]]] = {}
    for node in nodes:
        for index, value in enumerate(node.input):
            readers.setdefault(value, set()).add((node.op_type, index))
        for value in region.reads(node):
            readers.setdefault(value, set())
    wanted = [name for name in (*readers, *region.outputs) if name in region.constant]
    known = constants(region, wanted, runtime, model.path.parent, {})
    fan_in = {
        layer.inputs[1]: layer.nest.operations // layer.nest.words(layer.nest.output)
        for layer in model.network.layers
        if layer.nest is not None and layer.nest.macs
    }
    # what parts and bodies are made of, or will compute themselves of what is stored
    taken = {value for inner in region.inner.values() for each in inner.values() for value in each.captured}
    taken &= region.small.keys()
    taken |= {value for node in region.graph.node if node.op_type == "DequantizeLinear" for value in node.output}
    values, drawn = dict(known), dict[str, str]()
    fixed = set(settled(known))
    counted = any(node.op_type == "GroupQueryAttention" for node in nodes)
    own = bool(region.inputs) and given.keys() >= set(region.inputs)
    for value in region.inputs if own else (*region.inputs, *known):
        if value in given:
            values[value] = _fitting(value, given[value], region)
            continue
        if value in region.shapes.others:
            if value in known:
                continue
            raise InputError(f"input {value} is no tensor: none is made up, it must be given")
        uses = readers.get(value, set())
        if value in known and (value in taken or uses & _KEPT or not _alike(known[value], weight=value in fan_in)):
            continue
        dtype, shape = (known[value].dtype if value in known else region.shapes.dtype(value)), region.shapes(value)
        within = None if value in known else _range(region, value, dtype, known, counted)
        if value not in known:
            drawn[value] = str(within) if within else "random numbers"
        if within is not None:
            values[value] = rng.integers(within.low, within.high, shape, endpoint=True).astype(dtype)
        else:
            values[value] = _drawn(rng, shape, dtype, value in known, uses, fan_in.get(value))
        fixed.discard(value)
    return frozenset(fixed), values, drawn


def _range(region: Region, name: str, dtype: np.dtype, known: Arrays, counted: bool) -> Range | None:
    """The range from which an input is drawn: that which the graph shows, or of integers all bytes, and of wider ones
    0 and 1, which are nearly always valid as counts and conditions. None for floats, unless they become positions.

    `counted`: integers say how many words there are, and must fit what is read with them.
    """
    within = shown(region, name, known)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        if within is not None:
            low, high = max(within.low, int(limits.min)), min(within.high, int(limits.max), 2**62)
            within = replace(within, low=low, high=high) if low <= high else None
        if within is not None:
            return within
        if limits.bits == 8:
            return Range(int(limits.min), int(limits.max), "its type")
        return Range(1, 1, "a count") if counted else Range(0, 1, "nothing is known of them")
    if dtype.kind == "f" or is_real(dtype):
        return within if within is not None and within.strict else None
    return Range(0, 1, "its type")


def _fitting(name: str, array: Array, region: Region) -> Array:
    if name in region.shapes.others:
        return array
    shape, dtype = region.shapes(name), region.shapes.dtype(name)
    if array.shape != shape or array.dtype != dtype:
        raise InputError(f"input {name} is {array.dtype} of shape {array.shape}, not {dtype} of shape {shape}")
    return array


def _alike(array: Array, *, weight: bool) -> bool:
    """Whether a constant says nothing: floats, more than one but in a weight, all the same."""
    return array.dtype.kind == "f" and (weight or array.size > 1) and bool((array == array.flat[:1]).all())


def _drawn(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: np.dtype,
    constant: bool,
    uses: set[tuple[str, int]],
    fan_in: int | None,
) -> Array:
    drawn: Array
    if uses & _NEAR_ONE:
        drawn = rng.uniform(0.5, 1.5, shape)
    elif uses & _RECURRENT:  # keeps what is handed from step to step from growing
        drawn = rng.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)
    elif fan_in:  # keeps the variance through a layer and its ReLU (He et al. 2015)
        drawn = rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
    else:
        drawn = rng.standard_normal(shape, np.float32) * np.float32(0.1 if constant else 1.0)
    return np.asarray(drawn).astype(dtype, copy=False)


def changing(region: Region) -> list[onnx.NodeProto]:
    """The nodes of a region whose outputs are not constant."""
    return [node for node in region.graph.node if any(value and value not in region.constant for value in node.output)]


def settled(known: Arrays) -> frozenset[str]:
    """Those of some constants that are made part of what ONNX Runtime runs."""
    tensors = {name: array for name, array in known.items() if isinstance(array, np.ndarray)}  # no sequences
    return frozenset(name for name, array in tensors.items() if array.size <= FEW or array.dtype.kind != "f")


def constants(region: Region, wanted: Iterable[str], runtime: Runtime, folder: Path, outer: Arrays) -> Arrays:
    """Those of the `wanted` values that are constant, computed by ONNX Runtime where nodes make them.

    `outer` are constants from around the region.
    """
    source = region.graph
    makers = {value: node for node in source.node for value in node.output}
    asked = [value for value in dict.fromkeys(wanted) if value in region.constant]
    needed, pending = set[str](), list(asked)
    while pending:
        value = pending.pop()
        if value not in needed:
            needed.add(value)
            pending += graph.reads(makers[value]) if value in makers else ()
    known = {name: array for name, array in stored(region, folder).items() if name in needed} | outer
    made = [value for value in asked if value not in known]
    if made:
        nodes = [node for node in source.node if needed.intersection(node.output)]
        known |= runtime.run(region.proto, nodes, known, made, "the constants of the model", fixed=known)
    return {value: known[value] for value in asked}


@cache
def stored(region: Region, folder: Path) -> Arrays:
    """The values stored in a region, or beside the model in its folder."""
    from onnx import numpy_helper

    found = {}
    for tensor in region.graph.initializer:
        try:
            found[tensor.name] = numpy_helper.to_array(tensor, str(folder))
        except Exception as error:  # a file that is missing or too short, a damaged tensor: they have no common base
            what = " ".join(str(error).split())
            raise InputError(f"the values of the weight {tensor.name} cannot be read: {what}") from error
    for sparse in region.graph.sparse_initializer:
        values, at = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(sparse.dims, values.dtype)
        dense[np.unravel_index(at, dense.shape) if at.ndim == 1 else tuple(at.T)] = values
        found[sparse.values.name] = dense
    return found
