"""Shapes: ONNX shape inference, shapes given by the user, and what to say where a dimension stays unknown."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frontends.onnx import graph
from frontends.onnx.registry import RANDOM, SHAPE_READERS
from mapper.errors import InputError
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import onnx

_SMALL = 4096  # elements of a constant worth folding: shapes and axes, not weights

Dims = tuple[int | str, ...]


@dataclass(frozen=True)
class Shapes:
    """The shapes of a model's values: known sizes are integers, symbolic ones their name, unknown ones "?".

    `dims` lacks values of unknown rank, `others` are those that are no tensors (sequences, maps), `doubt` is what
    shape inference complained of, `inputs` are the inputs of the model without its initializers.
    """

    dims: Mapping[str, Dims]
    others: frozenset[str]
    inputs: tuple[str, ...]
    doubt: str | None = None

    def known(self, name: str) -> bool:
        """Whether every dimension is a number, or the value has no shape at all because it is no tensor."""
        return name in self.others or (name in self.dims and all(isinstance(n, int) for n in self.dims[name]))

    def __call__(self, name: str) -> tuple[int, ...]:
        """The shape; InputError that names the tensor and the dimension if it is unknown."""
        dims = self.dims.get(name)
        if dims is None:
            raise self._unknown(f"the shape of tensor {name} is unknown")
        for axis, n in enumerate(dims):
            if not isinstance(n, int):
                what = f"its dimension {axis} is " + ("unknown" if n == "?" else f"the symbol '{n}'")
                raise self._unknown(f"the shape of tensor {name} is needed and {what}")
        return tuple(n for n in dims if isinstance(n, int))

    def elements(self, name: str) -> int:
        """Elements of the tensor; 0 for a value that is none."""
        return 0 if name in self.others else math.prod(self(name))

    def _unknown(self, message: str) -> InputError:
        options = [
            f"--shape {name}={'x'.join(str(n) if isinstance(n, int) else '1' for n in self.dims[name])}"
            for name in self.inputs
            if name in self.dims and not self.known(name)
        ]
        doubt = f"; ONNX shape inference says: {self.doubt}" if self.doubt else ""
        return InputError(message + doubt, hint=f"give it, for example: {' '.join(options)}" if options else None)


def override(proto: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give inputs of the model the shapes of the user; InputError for an unknown input or another rank."""
    stored = graph.initializers(proto.graph)
    inputs = {v.name: v for v in proto.graph.input if v.name not in stored}
    for name, shape in shapes.items():
        if name not in inputs:
            hint = did_you_mean(name, inputs) or f"its inputs: {', '.join(inputs)}"
            raise InputError(f"the model has no input '{name}'", hint=hint)
        tensor = inputs[name].type.tensor_type
        if tensor.HasField("shape") and len(tensor.shape.dim) != len(shape):
            raise InputError(f"input {name} has {len(tensor.shape.dim)} dimensions, the given shape {len(shape)}")
        if min(shape, default=1) < 1:
            raise InputError(f"input {name}: the dimensions of a shape must be at least 1, not {shape}")
        del tensor.shape.dim[:]
        for n in shape:
            tensor.shape.dim.add().dim_value = n
    if shapes:  # what the file says of other values may hold for its own input shapes only
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            value.type.tensor_type.ClearField("shape")


def infer(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Shapes]:
    """The model with inferred shapes; constants too intricate for ONNX's own inference are folded first."""
    inferred, shapes = _infer(proto)
    wanted = graph.used(inferred.graph)
    if not all(shapes.known(name) for name in wanted) and _fold(inferred, shapes):
        inferred, shapes = _infer(inferred)
    return inferred, shapes


def _infer(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Shapes]:
    from onnx import shape_inference

    doubt = None
    try:
        inferred = shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # InferenceError, but for some models others too
        # One odd operator must not hide the shapes of all others; whoever misses a shape is told of the complaint
        doubt = condense(str(error))
        try:
            inferred = shape_inference.infer_shapes(proto, data_prop=True)
        except Exception as again:
            raise InputError(condense(str(again))) from again
    return inferred, table(inferred.graph, doubt)


def table(source: onnx.GraphProto, doubt: str | None = None) -> Shapes:
    """The shapes that the graph states, after inference those that it infers."""
    dims: dict[str, Dims] = {t.name: tuple(t.dims) for t in source.initializer}
    dims |= {t.values.name: tuple(t.dims) for t in source.sparse_initializer}
    stored, others = frozenset(dims), set()
    for value in (*source.input, *source.value_info, *source.output):
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type" and value.type.tensor_type.HasField("shape"):
            shape = value.type.tensor_type.shape.dim
            dims.setdefault(
                value.name, tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in shape)
            )
        elif kind is not None and kind != "tensor_type":
            others.add(value.name)
    inputs = tuple(v.name for v in source.input if v.name not in stored)
    return Shapes(dims, frozenset(others), inputs, doubt)


def _fold(proto: onnx.ModelProto, shapes: Shapes) -> bool:
    """Replace small constant nodes, and Shape of what is known, by initializers; whether there were any."""
    import numpy as np
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    source = proto.graph
    values: dict[str, Any] = {}
    for tensor in source.initializer:
        if math.prod(tensor.dims) <= _SMALL and tensor.data_location == tensor.DEFAULT:
            with contextlib.suppress(Exception):  # a damaged tensor is not folded
                values[tensor.name] = numpy_helper.to_array(tensor)
    kept = []
    for node in source.node:
        small = all(not shapes.known(name) or shapes.elements(name) <= _SMALL for name in node.output)
        found: Any = []
        if node.op_type in SHAPE_READERS and not node.attribute and shapes.known(node.input[0]):
            shape = np.array(shapes(node.input[0]), np.int64)
            found = [shape if node.op_type == "Shape" else shape.prod()]
        elif small and node.op_type not in RANDOM and values.keys() >= set(graph.reads(node)):
            inputs = {name: values[name] for name in graph.reads(node)}
            # what the evaluator cannot do stays a node
            with contextlib.suppress(Exception):
                found = ReferenceEvaluator(_single(proto, node, tuple(inputs))).run(None, inputs)
        if found and all(isinstance(value, np.ndarray | np.generic) for value in found):
            results = {name: np.asarray(value) for name, value in zip(node.output, found, strict=True) if name}
            source.initializer.extend(numpy_helper.from_array(value, name) for name, value in results.items())
            values |= results
        else:
            kept.append(type(node).FromString(node.SerializeToString()))
    folded = len(kept) < len(source.node)
    del source.node[:]
    source.node.extend(kept)
    return folded


def _single(proto: onnx.ModelProto, node: onnx.NodeProto, inputs: tuple[str, ...]) -> onnx.ModelProto:
    from onnx import helper

    values = [helper.make_empty_tensor_value_info(name) for name in inputs]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    return helper.make_model(helper.make_graph([node], node.op_type, values, outputs), opset_imports=proto.opset_import)


def condense(message: str) -> str:
    """The first complaint of ONNX's checker or shape inference, without its boilerplate, in one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = next((line for line in lines if "(op_type" in line), lines[0] if lines else "the model is invalid")
    for noise in ("[ShapeInferenceError]", "[TypeInferenceError]", "Inference error(s):"):
        text = text.replace(noise, "")
    place = next((line.split(":", 1)[1] for line in lines if line.startswith("==> Context:")), None)
    return " ".join((f"{text};{place}" if place else text).split())
