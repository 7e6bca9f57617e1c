"""ONNX Runtime as the referee of shapes: what it makes of a node by itself.

That finds the shapes of outputs that ONNX's inference does not know, and those that it gets wrong. Nothing is known
without onnxruntime, of a node that reads too much to be run for this, and where shapes depend on what is computed.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from frontends.onnx import graph
from frontends.onnx.expand import EXPANSIONS
from frontends.onnx.families import PRODUCTS
from frontends.onnx.region import Region, Type
from frontends.onnx.registry import ELEMENTWISE, RANDOM, SELECTING, SHAPE_READERS, VIEWS
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

MOST = 2**22
"""Elements that a node may read if it is run for the shapes of its outputs."""

LONGEST = 64
"""Elements of the longest list that may be one of sizes or axes."""

_PLAIN = frozenset(
    {
        *("ArgMax", "ArgMin", "Concat", "Constant", "ConstantOfShape", "CumProd", "CumSum", "DynamicQuantizeLinear"),
        *("Expand", "EyeLike", "Gather", "GatherElements", "GatherND", "GlobalAveragePool", "GlobalLpPool"),
        *("GlobalMaxPool", "GroupNormalization", "Hardmax", "InstanceNormalization", "LRN", "LayerNormalization"),
        *("LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "OneHot", "Pad", "RMSNormalization", "Range"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "ReverseSequence", "ScatterElements", "ScatterND", "Slice"),
        *("Softmax", "Split", "Tile", "TopK", "Transpose", "Trilu"),
    }
)
"""Operators that move data, whose outputs have the sizes of their inputs, parts or sums of these, or stored ones."""

TRUSTED = frozenset({*_PLAIN, *ELEMENTWISE, *VIEWS, *SHAPE_READERS, *SELECTING, *RANDOM, *PRODUCTS})
"""Operators of which ONNX's inference is not questioned; whoever lowers a product says himself what it makes."""


def questions(node: onnx.NodeProto) -> bool:
    """Whether the inferred shapes of the node's outputs are worth a question: the operator makes its sizes of windows,
    rates or numbers of bins, or is not one of the standard."""
    if not graph.is_standard(node):
        return (node.domain, node.op_type) not in EXPANSIONS
    return node.op_type not in TRUSTED and ("", node.op_type) not in EXPANSIONS and not any(graph.subgraphs(node))


def made(node: onnx.NodeProto, region: Region) -> dict[str, Type]:
    """The types of the node's outputs, by name, as ONNX Runtime makes them whatever it reads; nothing if that cannot be
    said."""
    reads, small, shapes = graph.reads(node), region.small, region.shapes
    changing = [name for name in reads if name not in small]
    if (
        node.op_type in SELECTING
        or any(graph.subgraphs(node))
        or not all(map(shapes.known, reads))
        or not shapes.others.isdisjoint(reads)
        or sum(map(shapes.elements, reads)) > MOST
        or any(_may_be_sizes(node, name, region) for name in changing)
    ):
        return {}
    try:
        found = _run(_model(node, region, changing))
    except InputError:  # a type is unknown
        return {}
    return dict(zip((name for name in node.output if name), found, strict=True)) if found else {}


def _may_be_sizes(node: onnx.NodeProto, value: str, region: Region) -> bool:
    """Whether a value may say how large something becomes, or along which axis, and so must not be made up. Floats can
    do so in the standard (the scales of Resize), elsewhere they quantise."""
    short = len(region.shapes(value)) < 2 and region.shapes.elements(value) <= LONGEST
    return short and (graph.is_standard(node) or region.shapes.dtype(value).kind in "iu")


def _model(node: onnx.NodeProto, region: Region, changing: list[str]) -> bytes:
    """A model of this node alone, the same for all nodes that are alike."""
    from onnx import ValueInfoProto, helper, numpy_helper

    names = {name: f"i{index}" for index, name in enumerate(graph.reads(node))}
    copy = type(node).FromString(node.SerializeToString())
    copy.name, copy.doc_string = "", ""
    copy.input[:] = [names.get(name, "") for name in node.input]
    copy.output[:] = [f"o{index}" if name else "" for index, name in enumerate(node.output)]
    inputs = [ValueInfoProto(name=names[name], type=region.type_proto(name)) for name in changing]
    stored = [numpy_helper.from_array(region.small[name], names[name]) for name in names if name in region.small]
    outputs = [ValueInfoProto(name=name) for name in copy.output if name]
    body = helper.make_graph([copy], "node", inputs, outputs, stored)
    opsets = region.proto.opset_import
    model = helper.make_model(body, ir_version=region.proto.ir_version, opset_imports=opsets, producer_name="")
    return bytes(model.SerializeToString(deterministic=True))


@lru_cache(maxsize=1024)
def _run(model: bytes) -> tuple[Type, ...]:
    """The types of the outputs of a model, if they are the same for inputs of zeros, ones and numbers at random."""
    try:
        import onnxruntime
    except ImportError:
        return ()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised as well
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = session.get_outputs()
        kinds = [_element(value.type) for value in outputs]
    except Exception:  # its errors have no common base; a value may be no tensor
        return ()
    if any(_elements(value.shape) > 16 * MOST for value in outputs):
        return ()
    seen: set[tuple[Type, ...]] = set()
    for draw in (np.zeros, np.ones, _random):
        try:
            feeds = {value.name: _value(onnxruntime, value, draw) for value in session.get_inputs()}
            found = session.run_with_ort_values([value.name for value in outputs], feeds)
            seen.add(tuple((kind, tuple(value.shape())) for kind, value in zip(kinds, found, strict=True)))
        except Exception:  # an index may be out of range
            continue
    return seen.pop() if len(seen) == 1 else ()


def _elements(shape: list[int | str | None]) -> int:
    return math.prod(n for n in shape if isinstance(n, int))


def _element(kind: str) -> int:
    """ONNX's number of the type of an element, of ONNX Runtime's name of the type of a tensor; ValueError if it is
    none."""
    from onnx import TensorProto

    return int(TensorProto.DataType.Value(kind.removeprefix("tensor(").removesuffix(")").upper()))


def _value(onnxruntime: Any, value: Any, draw: Any) -> Any:
    from onnx import helper

    element = _element(value.type)
    array = draw(value.shape).astype(helper.tensor_dtype_to_np_dtype(element))
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, element)


def _random(shape: list[int]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.random.default_rng(0).uniform(0, 2, shape)
