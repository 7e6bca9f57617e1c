"""Quantised models in QDQ form: layers in single precision between nodes that dequantise and quantise.

Such a group stands for a layer that multiplies integers, and becomes one, as it does when ONNX Runtime optimises the
model. It stays as it is where ONNX Runtime leaves it, and where the integers would mean something else: where a bias
does not have the scale of the products, or there is a scale for each of what is not an output channel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frontends.onnx import graph
from frontends.onnx.binding import Array

if TYPE_CHECKING:
    import onnx

LAYERS = {"Conv": ("", "QLinearConv"), "Gemm": ("com.microsoft", "QGemm"), "MatMul": ("", "QLinearMatMul")}
"""Of a layer, the domain and name of the one that multiplies integers."""

_TYPES = {("uint8", "int8", "uint8"), ("uint8", "uint8", "uint8"), ("int8", "int8", "int8")}
"""Of the input, weight and output of such a layer."""

_SAME = 1e-5
"""The relative error of a bias's scale as it comes from another order of multiplication, and then some."""


def fuse(proto: onnx.ModelProto) -> None:
    """Rewrite, in place, the groups of a model whose nodes have names of their own; each keeps the name of its layer.

    Bodies of control flow are left as they are. Shapes need not be known; scales and zero points must be stored in the
    model, not beside it.
    """
    from onnx import helper

    source = proto.graph
    groups = _Groups(source)
    made = {node.name: new for node in source.node if (new := groups.rewritten(node)) is not None}
    if not made:
        return
    nodes = [made.get(node.name, node) for node in source.node if node.name not in groups.absorbed]
    read = {value for node in nodes for value in graph.reads(node)} | {v.name for v in source.output}
    nodes = [node for node in nodes if node.op_type != "DequantizeLinear" or read.intersection(node.output)]
    graph.keep(source.node, nodes)
    for domain in {node.domain for node in made.values()} - {opset.domain for opset in proto.opset_import} - {""}:
        proto.opset_import.append(helper.make_opsetid(domain, 1))


@dataclass(frozen=True)
class _Integers:
    """The value of a model that holds them; the number that one stands for is `factor` times what it is above `point`.

    `scale` and `zero` are the names of these two ("": the zero point is left out, and 0), `axis` that along which they
    differ, None if there is one of each.
    """

    value: str
    scale: str
    zero: str
    factor: Array
    point: Array
    axis: int | None


class _Groups:
    """The groups of a graph; `absorbed` grows by the names of the nodes that become part of a layer."""

    def __init__(self, source: onnx.GraphProto) -> None:
        self.source = source
        self.stored = {tensor.name: tensor for tensor in source.initializer}
        self.types = {value.name: value.type.tensor_type.elem_type for value in (*source.input, *source.value_info)}
        self.types |= {name: tensor.data_type for name, tensor in self.stored.items()}
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in source.node:
            if graph.is_standard(node) and node.op_type == "Constant":
                self.stored.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
            if graph.is_standard(node) and node.op_type == "QuantizeLinear":
                self.types[node.output[0]] = _type_of(node, self.stored)
            self.makers |= dict.fromkeys(filter(None, node.output), node)
            for value in graph.reads(node):
                self.readers.setdefault(value, []).append(node)
        self.returned = {value.name for value in source.output}
        self.taken = {*self.stored, *self.makers, *self.types}
        self.absorbed: set[str] = set()

    def rewritten(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The layer that a group around this node becomes; None if there is no group."""
        from onnx import helper

        if node.op_type not in LAYERS or not graph.is_standard(node):
            return None
        told = graph.attributes(node)
        x, w = (self._dequantized(value) for value in node.input[:2])
        y, after = self._quantized(node)
        if x is None or w is None or y is None or not _fit(x, w, y) or not self._by_channel(node, w):
            return None
        bias = [value for value in node.input[2:] if value]
        c = [found for value in bias if (found := self._bias(value, x.factor * w.factor))]
        if len(c) < len(bias) or (bias and {told.get(name, 1.0) for name in ("alpha", "beta")} != {1.0}):
            return None
        told.pop("beta", None)
        self.absorbed.update(other.name for other in after)
        inputs = [name for operand in (x, w) for name in (operand.value, operand.scale, self._zero(operand))]
        last = [y.scale, self._zero(y)]
        inputs += [*(c or [""]), *last] if node.op_type == "Gemm" else [*last, *c]
        domain, op = LAYERS[node.op_type]
        return helper.make_node(op, inputs, [y.value], name=node.name, domain=domain, **told)

    def _dequantized(self, value: str) -> _Integers | None:
        """The integers that are dequantised for this value."""
        node = self.makers.get(value)
        if node is None or node.op_type != "DequantizeLinear" or not graph.is_standard(node):
            return None
        return self._integers(node, node.input[0])

    def _quantized(self, node: onnx.NodeProto) -> tuple[_Integers | None, list[onnx.NodeProto]]:
        """The integers that the output of a layer becomes, if it becomes nothing else, and the nodes that do this: one
        that quantises it, maybe after one that keeps it in a range, which the integers do anyway."""
        before: list[onnx.NodeProto] = []
        reader = self._reader(node)
        if reader is not None and reader.op_type in ("Clip", "Relu"):
            before, reader = [reader], self._reader(reader)
        if reader is None or reader.op_type != "QuantizeLinear":
            return None, []
        y = self._integers(reader, reader.output[0])
        return (y if y and all(self._needless(cut, y) for cut in before) else None), [*before, reader]

    def _reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The only node that reads the output of this one."""
        value = node.output[0]
        readers = self.readers.get(value, [])
        return (
            readers[0] if len(readers) == 1 and value not in self.returned and graph.is_standard(readers[0]) else None
        )

    def _integers(self, node: onnx.NodeProto, value: str) -> _Integers | None:
        """What a node quantises to or dequantises; None if its parameters are not stored, or are those of blocks."""
        from onnx import TensorProto

        factor, zero = self._array(node.input[1]), node.input[2] if len(node.input) > 2 else ""
        if factor is None or factor.dtype != np.float32 or factor.ndim > 1:
            return None
        if zero:
            point = self._array(zero)
        else:
            kinds = {TensorProto.UINT8: np.uint8, TensorProto.INT8: np.int8, TensorProto.INT32: np.int32}
            kind = kinds.get(self.types.get(value, 0))
            point = np.zeros(factor.shape, kind) if kind else None
        if point is None or point.size != factor.size or not (np.isfinite(factor) & (factor > 0)).all():
            return None
        axis = graph.attributes(node).get("axis", 1) if factor.size > 1 else None
        return _Integers(value, node.input[1], zero, factor, point, axis)

    def _by_channel(self, node: onnx.NodeProto, w: _Integers) -> bool:
        """Whether the scales of a layer's weight are one, or those of its output channels."""
        if w.axis is None:
            return True
        rank = len(self._dims(w.value))
        first = node.op_type == "Conv" or graph.attributes(node).get("transB", 0)
        return w.axis in ((0, -rank) if first else (1, -1)) and (node.op_type == "Conv" or rank == 2)

    def _bias(self, value: str, factor: Array) -> str | None:
        """The integers of a bias that are in the scale of the products; None if they are not."""
        c = self._dequantized(value)
        if c is None or c.point.dtype != np.int32 or c.point.any():
            return None
        rank = len(self._dims(c.value))
        if c.axis is not None and (not rank or c.axis % rank != rank - 1 or c.factor.size != factor.size):
            return None
        return c.value if np.allclose(c.factor, factor, rtol=_SAME, atol=0) else None

    def _needless(self, node: onnx.NodeProto, y: _Integers) -> bool:
        """Whether the range in which a Relu or Clip keeps its values has all that y can stand for."""
        if y.axis is not None or y.point.dtype.kind not in "iu":
            return False
        told, bounds = graph.attributes(node), np.iinfo(y.point.dtype)
        limits = [0.0, np.inf] if node.op_type == "Relu" else [told.get("min", -np.inf), told.get("max", np.inf)]
        for end, name in enumerate(node.input[1:3]):
            if name:
                limit = self._array(name)
                if limit is None or limit.size != 1:
                    return False
                limits[end] = limit.item()
        low, high = np.rint(np.array(limits, np.float32) / y.factor) + y.point.astype(np.float32)
        return bool(low <= bounds.min and high >= bounds.max)

    def _zero(self, integers: _Integers) -> str:
        """The name of the zero point, which a layer of integers needs."""
        from onnx import numpy_helper

        if integers.zero:
            return integers.zero
        name = graph.unique(f"{integers.value}/zero_point", self.taken)
        self.source.initializer.append(numpy_helper.from_array(integers.point, name))
        return name

    def _dims(self, value: str) -> tuple[int, ...]:
        """The shape of a stored tensor, or of one that is quantised; () if it is not known."""
        maker = self.makers.get(value)
        if maker is not None and maker.op_type == "QuantizeLinear":
            return self._dims(maker.input[0])
        return tuple(self.stored[value].dims) if value in self.stored else ()

    def _array(self, name: str) -> Array | None:
        """A tensor that is stored in the model."""
        from onnx import numpy_helper

        tensor = self.stored.get(name)
        if tensor is not None and tensor.data_location == tensor.DEFAULT:
            with contextlib.suppress(Exception):  # a damaged one
                return numpy_helper.to_array(tensor)
        return None


def _fit(x: _Integers, w: _Integers, y: _Integers) -> bool:
    """Whether there is a layer of integers of these types, with one scale of its input and one of its output."""
    types = tuple(operand.point.dtype.name for operand in (x, w, y))
    return x.axis is None and y.axis is None and types in _TYPES


def _type_of(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> int:
    """ONNX's number of the type that a node quantises to; 0 if it is not known."""
    from onnx import TensorProto

    if len(node.input) > 2 and node.input[2]:
        return int(stored[node.input[2]].data_type) if node.input[2] in stored else 0
    return int(graph.attributes(node).get("output_dtype") or TensorProto.UINT8)
