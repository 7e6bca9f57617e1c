"""Executing a whole network: every layer through its own mapping, everything else through ONNX Runtime.

The reference is ONNX Runtime on the same model with the same random inputs and random weights. Weights are random even
where the model has some: constant ones, as in models shipped without training, would hide a transposed operand. A layer
is given what the layers before it produced here, so errors are not hidden by the reference's values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from frontends.onnx import OnnxModel, graph, pack, unpack
from frontends.onnx.shapes import table
from mapper.arch import Architecture
from mapper.errors import InputError, MapperError, MissingExtraError
from mapper.ir import LoopNest
from mapper.mapping import Counts
from mapper.mapping import Mapping as LayerMapping

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-4
"""The largest relative error of a layer that passes. Layers are summed in float64 and handed on as float32, ONNX
Runtime sums in float32: errors of 1e-6 to 1e-5 are normal, a wrong operand gives errors near 1."""

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


class Execution(Protocol):
    """What running a layer gives: the output, of the shape of the nest's output tensor, and what was counted."""

    @property
    def output(self) -> Array: ...
    @property
    def counts(self) -> Counts: ...


Executor = Callable[[LoopNest, Architecture, LayerMapping, Mapping[str, Array]], Execution]


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One layer: max|ours - reference| / max|reference|, and what disagrees first in words, None if nothing does."""

    name: str
    relative_error: float
    counts_match: bool
    mismatch: str | None = None


@dataclass(frozen=True)
class Verification:
    """What was checked of a network; it passed if all counts match and no relative error is above `TOLERANCE`."""

    layers: tuple[LayerCheck, ...]

    @property
    def layers_checked(self) -> int:
        """Layers that were executed and compared: all of the network."""
        return len(self.layers)

    @property
    def counts_match(self) -> bool:
        """Whether every count of every layer is the expected one."""
        return all(layer.counts_match for layer in self.layers)

    @property
    def max_relative_error(self) -> float:
        """The largest relative error of a layer; infinite where an output has another shape or is not finite."""
        return max((layer.relative_error for layer in self.layers), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether execution agrees with the cost model and with ONNX Runtime."""
        return self.counts_match and self.max_relative_error <= TOLERANCE


def verify_network(
    model: OnnxModel,
    arch: Architecture,
    mappings: Mapping[LoopNest, LayerMapping],
    expected: Mapping[LoopNest, Counts],
    *,
    seed: int = 0,
    on_layer: Callable[[LayerCheck], None] | None = None,
    execute: Executor | None = None,
) -> Verification:
    """Run the network through `mappings` and compare each layer with ONNX Runtime and with the `expected` counts.

    `on_layer` is called after each layer; `execute` replaces the counting executor. Raises MissingExtraError without
    onnxruntime, InputError if a layer has no mapping or ONNX Runtime cannot run the model.
    """
    session = _runtime()
    run_layer = execute or _counting_executor()
    nests = {layer.name: layer.nest for layer in model.network.layers if layer.nest is not None}
    for name, nest in nests.items():
        if nest not in mappings or nest not in expected:
            raise InputError("the layer has no mapping", place=name)

    source = model.proto.graph
    constant = graph.constants(source)
    nodes = [node for node in source.node if any(value and value not in constant for value in node.output)]
    fixed, values = _values(model, nodes, constant, np.random.default_rng(seed), session)
    outputs = [model.bindings[name].result.value for name in nests]
    reference = _run(session, model, nodes, fixed, values, outputs, model.network.name) if outputs else {}

    last = {value: index for index, node in enumerate(nodes) for value in graph.reads(node)}
    checks: list[LayerCheck] = []
    for index, node in enumerate(nodes):
        if node.name in nests:
            nest, binding = nests[node.name], model.bindings[node.name]
            operands = {name: pack(view, values[view.value]) for name, view in binding.operands.items()}
            try:
                execution = run_layer(nest, arch, mappings[nest], operands)
            except MapperError as error:
                raise type(error)(error.message, place=f"layer {node.name}", hint=error.hint) from error
            value = binding.result.value
            theirs = reference.pop(value)
            if execution.output.shape != nest.shape(nest.output):
                raise ValueError(f"{node.name}: output of shape {execution.output.shape} for {nest}")
            with np.errstate(over="ignore"):  # what overflows becomes infinite, and is reported as such
                ours = unpack(binding, execution.output, values).astype(theirs.dtype)
            check = _check(node.name, relative_error(ours, theirs), difference(expected[nest], execution.counts))
            checks.append(check)
            if on_layer is not None:
                on_layer(check)
            values[value] = ours
        else:  # what no node reads is no layer's business
            wanted = [value for value in node.output if value in last]
            if wanted:
                values |= _run(session, model, [node], fixed, values, wanted, graph.place(node))
        for value in graph.reads(node):
            if last[value] == index:
                values.pop(value, None)
    return Verification(tuple(checks))


def _check(name: str, error: float, counts: str | None) -> LayerCheck:
    values = f"relative error {error:.2g} against ONNX Runtime, {TOLERANCE:g} is allowed"
    return LayerCheck(name, error, counts is None, counts or (None if error <= TOLERANCE else values))


def _counting_executor() -> Executor:
    from backends.execute.counting import execute  # compiled, and therefore slow to import

    return execute


def relative_error(ours: Array, theirs: Array) -> float:
    """max|ours - theirs| / max|theirs|; infinite if shapes differ or a value is not finite, 0 if both are all zero."""
    if ours.shape != theirs.shape or not np.isfinite(ours).all() or not np.isfinite(theirs).all():
        return float("inf")
    error = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0))
    scale = float(np.abs(theirs).max(initial=0.0))
    return error / scale if scale else (float("inf") if error else 0.0)


def difference(expected: Counts, counted: Counts) -> str | None:
    """The first count in which the two differ, in words; None if they are equal."""
    for what, model, executed in _pairs(expected, counted):
        if model != executed:
            return f"{what}: expected {model}, executed {executed}"
    return None


def _pairs(expected: Counts, counted: Counts) -> Iterator[tuple[str, object, object]]:
    for key in dict.fromkeys((*expected.accesses, *counted.accesses)):
        yield " ".join(key), expected.accesses.get(key), counted.accesses.get(key)
    for key in dict.fromkeys((*expected.moves, *counted.moves)):
        yield " ".join(key), expected.moves.get(key), counted.moves.get(key)
    yield "operations", expected.operations, counted.operations
    yield "steps", expected.steps, counted.steps


# Random values


# How constants are drawn by (operator, input): near one where they multiply, divide or stand under a root, kept where
# they steer what the operator does. Weights of layers are scaled by their fan-in; all others are drawn around zero.
_NEAR_ONE = {
    *(("BatchNormalization", i) for i in (1, 4)),
    *((op, 1) for op in ("InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization")),
    *((op, i) for op in ("Mul", "Div", "Pow", "PRelu") for i in (0, 1)),
    *((op, 0) for op in ("Sqrt", "Log", "Reciprocal")),
}
_KEPT = {
    *((op, i) for op in ("Resize", "Upsample", "Clip", "Pad", "OneHot", "Range") for i in (1, 2, 3)),
    *((op, i) for op in ("QuantizeLinear", "DequantizeLinear") for i in (0, 1, 2)),
}


def _values(
    model: OnnxModel, nodes: list[onnx.NodeProto], constant: set[str], rng: np.random.Generator, session: Any
) -> tuple[Arrays, Arrays]:
    """The constants that keep their values, and all values that exist before the first node, those included.

    Random: the model's inputs and its floating-point constants of more than one element.
    """
    from onnx import helper

    source = model.proto.graph
    types = _types(source)
    readers: dict[str, set[tuple[str, int]]] = {}
    for node in nodes:
        for index, value in enumerate(node.input):
            readers.setdefault(value, set()).add((node.op_type, index))
        for value in graph.reads(node):
            readers.setdefault(value, set())
    stored = graph.initializers(source)
    inputs = [v.name for v in source.input if v.name not in stored]
    weights = {
        layer.inputs[1]: layer.nest.operations // layer.nest.words(layer.nest.output)
        for layer in model.network.layers
        if layer.nest is not None
    }

    shapes = table(source)
    kept: list[str] = []
    values: Arrays = {}
    for value in (*inputs, *(name for name in readers if name in constant)):
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(types[value])) if value in types else None
        uses = readers.get(value, set())
        is_float = dtype is not None and np.issubdtype(dtype, np.floating)
        if value in constant and (
            not is_float or uses & _KEPT or (shapes.elements(value) < 2 and value not in weights)
        ):
            kept.append(value)
            continue
        if dtype is None:
            raise InputError(f"the input {value} is no tensor: it cannot be given random values")
        drawn: Array
        if not is_float:  # token numbers, masks, conditions: 0 and 1 are nearly always valid
            drawn = rng.integers(0, 2, shapes(value))
        elif uses & _NEAR_ONE:
            drawn = rng.uniform(0.5, 1.5, shapes(value))
        elif value in weights:  # keeps the variance through a layer and its ReLU (He et al. 2015)
            drawn = rng.standard_normal(shapes(value), np.float32) * np.float32((2 / weights[value]) ** 0.5)
        else:
            spread = 0.1 if value in constant else 1.0
            drawn = rng.standard_normal(shapes(value), np.float32) * np.float32(spread)
        values[value] = drawn.astype(dtype, copy=False)
    fixed = _constants(model, kept, session)
    return fixed, values | fixed


def _constants(model: OnnxModel, wanted: list[str], session: Any) -> Arrays:
    """The true values of these constants, computed by ONNX Runtime where nodes make them."""
    from onnx import numpy_helper

    source = model.proto.graph
    makers = {value: node for node in source.node for value in node.output}
    needed, pending = set[str](), list(wanted)
    while pending:
        value = pending.pop()
        if value not in needed:
            needed.add(value)
            pending += graph.reads(makers[value]) if value in makers else ()
    folder = str(model.path.parent)
    known = {t.name: numpy_helper.to_array(t, folder) for t in source.initializer if t.name in needed}
    made = [value for value in wanted if value not in known]
    if made:
        nodes = [node for node in source.node if needed.intersection(node.output)]
        known |= _run(session, model, nodes, known, known, made, "the constants of the model")
    return {value: known[value] for value in wanted}


# ONNX Runtime


def _runtime() -> Any:
    """A function from a model to a session that runs it; MissingExtraError without onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "verify") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # operators as they stand in the model, so that each layer's output exists and is that operator's own
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def session(proto: onnx.ModelProto) -> Any:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    return session


def _run(
    session: Any,
    model: OnnxModel,
    nodes: list[onnx.NodeProto],
    fixed: Arrays,
    values: Mapping[str, Array],
    outputs: list[str],
    place: str,
) -> Arrays:
    """`outputs` of the nodes, given `values`; those that are `fixed` become initializers, which some operators need."""
    import onnx
    from onnx import helper, numpy_helper

    outside = dict.fromkeys(value for node in nodes for value in graph.reads(node) if value in values)
    feeds = {value: values[value] for value in outside if value not in fixed}
    if odd := [value for value, array in feeds.items() if not isinstance(array, np.ndarray)]:
        raise InputError(f"{odd[0]} is no tensor; such values cannot be executed", place=place)
    inputs = [
        helper.make_tensor_value_info(value, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for value, array in feeds.items()
    ]
    body = helper.make_graph(
        nodes,
        "part",
        inputs,
        [onnx.ValueInfoProto(name=value) for value in outputs],
        initializer=[numpy_helper.from_array(fixed[value], value) for value in outside if value in fixed],
    )
    # from IR 4 on initializers need not be inputs as well
    version = max(model.proto.ir_version, 4)
    part = helper.make_model(body, ir_version=version, opset_imports=model.proto.opset_import)
    try:
        return dict(zip(outputs, session(part).run(outputs, feeds), strict=True))
    except Exception as error:  # its errors have no common base
        raise InputError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())}", place=place) from error


def _types(source: onnx.GraphProto) -> dict[str, int]:
    """The ONNX element type of each tensor."""
    types = {t.name: t.data_type for t in source.initializer}
    for value in (*source.input, *source.value_info, *source.output):
        if value.type.HasField("tensor_type"):
            types.setdefault(value.name, value.type.tensor_type.elem_type)
    return types
