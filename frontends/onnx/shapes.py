"""Shapes: ONNX shape inference, shapes given by the user, and what to say where a dimension stays unknown."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from importlib.util import find_spec
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from frontends.onnx import graph
from frontends.onnx.fold import fold, small_values
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

Dims = tuple[int | str, ...]


@dataclass(frozen=True)
class Shapes:
    """The shapes of a model's values: known sizes are integers, symbolic ones their name, unknown ones "?".

    `dims` lacks values of unknown rank, `types` has ONNX's number of the type of an element where that is known,
    `others` are those that are no tensors (sequences, maps), `doubt` is what shape inference complained of, `inputs`
    are the inputs of the model without its initializers. `sources` says of a value whose shape does not follow from
    the inputs where it is from, `remarks` what there is to say of the shape of a value, in words, and `bounds` has the
    values of unknown shape that are made of what is known, with the largest shape that they can have (None: no idea).
    """

    dims: Mapping[str, Dims]
    types: Mapping[str, int]
    others: Set[str]
    inputs: tuple[str, ...]
    doubt: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)

    def known(self, name: str) -> bool:
        """Whether every dimension is a number, or the value has no shape at all because it is no tensor."""
        return name in self.others or is_known(self.dims.get(name))

    def __call__(self, name: str) -> tuple[int, ...]:
        """The shape; InputError that names the tensor and the dimension if it is unknown."""
        dims = self.dims.get(name)
        if dims is None:
            raise self._unknown(name, f"the shape of tensor {name} is unknown")
        for axis, n in enumerate(dims):
            if not isinstance(n, int):
                # inference makes symbols of its own
                given = any(n in self.dims.get(value, ()) for value in self.inputs)
                what = f"its dimension {axis} is " + (f"the symbol '{n}'" if given and n != "?" else "unknown")
                raise self._unknown(name, f"the shape of tensor {name} is needed and {what}")
        return tuple(n for n in dims if isinstance(n, int))

    def elements(self, name: str) -> int:
        """Elements of the tensor; 0 for a value that is none."""
        return 0 if name in self.others else math.prod(self(name))

    def is_empty(self, name: str) -> bool:
        """Whether it is a tensor that is known to have no elements."""
        return name not in self.others and 0 in self.dims.get(name, ())

    def bits(self, name: str) -> int | None:
        """Bits of an element, by its type; None for single and double precision, which a machine narrows to its own."""
        from onnx import TensorProto

        number = self.types.get(name, TensorProto.FLOAT)
        if number not in TensorProto.DataType.values():
            return None  # a damaged file
        kind = TensorProto.DataType.Name(number)
        if kind == "BOOL":
            return 8
        digits = re.search(r"\d+", kind)  # INT8, BFLOAT16, FLOAT8E4M3FN
        return int(digits[0]) if digits else None

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type of an element; InputError if it is no tensor."""
        from onnx import helper

        if name in self.others or not self.types.get(name):
            raise InputError(f"{name} is no tensor")
        try:
            return helper.tensor_dtype_to_np_dtype(self.types[name])
        except KeyError:  # a damaged file
            raise InputError(f"{name} is of type {self.types[name]}, which ONNX does not have") from None

    def _unknown(self, name: str, message: str) -> InputError:
        unsized = {each: self.dims[each] for each in self.inputs if each in self.dims and not self.known(each)}
        shapes = [
            f"{each}={'x'.join(str(n) if isinstance(n, int) else '1' for n in dims)}"
            for each, dims in unsized.items()
            if "?" in dims
        ]
        symbols = dict.fromkeys(n for dims in unsized.values() if "?" not in dims for n in dims if isinstance(n, str))
        options = [f"--shape {quote(shape)}" for shape in shapes]
        options += [f"--dim {quote(f'{symbol}=1')}" for symbol in symbols]
        more = ""
        if (
            not options and self.bounds
        ):  # it depends on what is computed, or on an operator that inference does not know
            value = name if name in self.bounds else next(iter(self.bounds))
            largest = self.bounds[value]
            options = [f"--shape {quote(f'{value}=' + ('N1xN2x..' if largest is None else text(largest)))}"]
            if find_spec("onnxruntime") is None:
                more = "; ONNX Runtime may know it: pip install 'tilewright[verify]'"
        doubt = f"; ONNX shape inference says: {self.doubt}" if self.doubt else ""
        return InputError(message + doubt, hint=f"give it, for example: {' '.join(options)}{more}" if options else None)


def is_known(dims: Dims | None) -> bool:
    """Whether every dimension is a number."""
    return dims is not None and all(isinstance(n, int) for n in dims)


def fits(dims: Dims, known: Dims | None) -> bool:
    """Whether a shape is not at odds with what is known."""
    if known is None:
        return True
    pairs = zip(dims, known, strict=False)
    return len(dims) == len(known) and all(a == b or isinstance(a, str) or isinstance(b, str) for a, b in pairs)


def infer(proto: onnx.ModelProto, told: Mapping[str, onnx.TypeProto] | None = None) -> tuple[onnx.ModelProto, Shapes]:
    """The model with inferred shapes: those that follow from its inputs, and from what is `told` of other values.

    What the model itself states of values that it makes is not looked at. Small constants are folded: axes and numbers
    of trips are read of them, and some are too intricate for ONNX's own inference. An If whose condition turns out to
    be constant is replaced by the branch that is taken.
    """
    _state(proto.graph, told or {})
    inferred, shapes = _infer(proto, told or {})
    while fold(inferred, shapes):
        _state(inferred.graph, told or {})  # what was inferred of less than is known now may be wrong
        inferred, shapes = _infer(inferred, told or {})
    return inferred, shapes


def _state(source: onnx.GraphProto, told: Mapping[str, onnx.TypeProto]) -> None:
    """Make a graph state no more of the values that its nodes make than is told."""
    made = {value for node in source.node for value in node.output if value}
    returned = {value.name for value in source.output}
    del source.value_info[:]
    for value in source.output:
        value.ClearField("type")
        if value.name in made and value.name in told:
            value.type.CopyFrom(told[value.name])
    for name, kind in told.items():
        if name in made and name not in returned:
            source.value_info.add(name=name).type.CopyFrom(kind)


UNGUARDED = frozenset({"DictVectorizer", "EyeLike", "LabelEncoder", "RegexFullMatch", "TreeEnsemble"})
"""Operators on which inference ends the process where nothing is known of what they read."""


def _infer(proto: onnx.ModelProto, told: Mapping[str, onnx.TypeProto]) -> tuple[onnx.ModelProto, Shapes]:
    stated = {index for index, node in enumerate(proto.graph.node) if _is_told(node, told)}
    nodes = enumerate(graph.all_nodes(proto.graph))
    unguarded = {index: node.input[0] for index, node in nodes if node.op_type in UNGUARDED and len(node.input)}
    while True:
        inferred, shapes = _without(proto, stated | unguarded.keys())
        typed = _typed(inferred.graph) if unguarded else frozenset()
        ready = {index for index, value in unguarded.items() if value in typed}
        if not ready - stated:
            return inferred, shapes
        unguarded = {index: value for index, value in unguarded.items() if index not in ready}


def _typed(source: onnx.GraphProto) -> Set[str]:
    """The values, of a graph and its subgraphs, of which it is known what they are."""
    tables = [table(each) for each in graph.all_graphs(source)]
    kinds = (name for each in tables for name, kind in each.types.items() if kind)
    return frozenset(kinds).union(*(each.others for each in tables))


def _without(proto: onnx.ModelProto, hidden: Set[int]) -> tuple[onnx.ModelProto, Shapes]:
    """What is inferred where some nodes, by their numbers in the graph and its subgraphs, are of no known operator.

    Inference takes what is stated of the outputs of such a node, and does not object.
    """
    if not hidden:
        return _checked(proto)
    domains = {index: node.domain for index, node in enumerate(graph.all_nodes(proto.graph)) if index in hidden}
    proto.opset_import.add(domain="opaque", version=1)
    _set_domains(proto, dict.fromkeys(hidden, "opaque"))
    try:
        inferred, shapes = _checked(proto)
    finally:
        proto.opset_import.pop()
        _set_domains(proto, domains)
    inferred.opset_import.pop()
    _set_domains(inferred, domains)
    return inferred, shapes


def _is_told(node: onnx.NodeProto, told: Mapping[str, onnx.TypeProto]) -> bool:
    """Whether all is told of a node; not of one with bodies, of which ONNX Runtime needs what is inferred in them."""
    made = [value for value in node.output if value]
    return bool(made) and all(value in told for value in made) and not any(graph.subgraphs(node))


def _set_domains(proto: onnx.ModelProto, domains: Mapping[int, str]) -> None:
    for index, node in enumerate(graph.all_nodes(proto.graph)):
        if index in domains:
            node.domain = domains[index]


def _checked(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Shapes]:
    """The model with what ONNX infers, which is strict unless it complains; what bodies state is not looked at."""
    from onnx import shape_inference

    nodes = proto.graph.node
    if any(value.type.tensor_type.HasField("shape") for value in graph.stated_inside(proto.graph)):
        proto = type(proto).FromString(proto.SerializeToString())
        for value in graph.stated_inside(proto.graph):
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
    doubt, follow = None, _may_follow(proto)
    try:
        inferred = shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=follow)
    except Exception as error:  # InferenceError, but for some models others too
        # One odd operator must not hide the shapes of all others; whoever misses a shape is told of the complaint
        doubt = condense(str(error))
        inferred = _inferred(proto, follow)
    if nodes is not proto.graph.node:
        graph.keep(inferred.graph.node, nodes)
    return inferred, table(inferred.graph, doubt)


def _inferred(proto: onnx.ModelProto, follow: bool) -> onnx.ModelProto:
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(proto, data_prop=follow)
    except Exception as error:
        raise InputError(condense(str(error))) from error


LIMIT = 2**63
"""What a dimension must be less than."""

LONG = 2**20
"""Elements of the longest list whose values ONNX's inference may follow."""

_SHRINKING = frozenset(
    {
        *("AffineGrid", "AveragePool", "CenterCropPad", "Col2Im", "ConstantOfShape", "Conv", "ConvInteger"),
        *("ConvTranspose", "DFT", "Expand", "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool", "OneHot", "Pad"),
        *("QLinearConv", "RandomNormal", "RandomUniform", "Range", "Reshape", "Resize", "RoiAlign", "STFT", "Split"),
        *("Tile", "TopK", "Upsample"),
    }
)
"""Operators of whose outputs inference may say that they have a negative size."""


def _may_follow(proto: onnx.ModelProto) -> bool:
    """Whether inference may follow values, which are meant to be those of shapes: it does so one by one, in memory, of
    lists of any type and length.

    Raises InputError for a negative size: inference ends the process where a Slice reads it. So a Slice is hidden from
    inference until the shape of what it reads is known to be a good one. Nor may it follow one in steps that do not fit
    32 bits, which it takes for others, such as 0.
    """
    from onnx import helper

    if _has_far_steps(proto.graph):
        return False
    copy = type(proto)()
    copy.CopyFrom(proto)
    nodes = list(graph.all_nodes(copy.graph))
    shrinking = any(node.op_type in _SHRINKING for node in nodes)
    slices = [node for node in nodes if shrinking and node.op_type == "Slice" and graph.is_standard(node)]
    for node in slices:
        node.domain = "hidden"
    copy.opset_import.append(helper.make_opsetid("hidden", 1))
    while True:
        inferred = _inferred(copy, False).graph
        if slices:
            _check_sizes(inferred)
        known = table(inferred)
        ready = [node for node in slices if node.domain and known.known(node.input[0])]
        if not ready:
            lists = [dims[0] for dims in known.dims.values() if len(dims) == 1]
            return all(not isinstance(n, int) or n <= LONG for n in lists)
        for node in ready:
            node.domain = ""


def _has_far_steps(source: onnx.GraphProto) -> bool:
    """Whether there is a Slice whose steps are constants that do not fit 32 bits."""
    nodes = list(graph.all_nodes(source))
    steps = {node.input[4] for node in nodes if node.op_type == "Slice" and len(node.input) > 4}
    if not steps:
        return False
    known = {name: value for each in graph.all_graphs(source) for name, value in small_values(each).items()}
    known |= {node.output[0]: _constant(node) for node in nodes if node.op_type == "Constant" and len(node.output)}
    found = (known[name] for name in steps if known.get(name) is not None)
    return any(value.dtype.kind in "iu" and bool(np.any(abs(value.astype(object)) >= 2**31)) for value in found)


def _constant(node: onnx.NodeProto) -> Any:
    """The value of a Constant that is a tensor or integers, else None."""
    from onnx import numpy_helper

    for a in node.attribute:
        if a.name == "value":
            with contextlib.suppress(Exception):  # a damaged tensor
                return numpy_helper.to_array(a.t)
        if a.name in ("value_int", "value_ints"):
            return np.array(a.i if a.name == "value_int" else a.ints, np.int64)
    return None


def _check_sizes(inferred: onnx.GraphProto) -> None:
    """Raise InputError for a value that is said to have a negative size."""
    for value in (*inferred.value_info, *inferred.output):
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if min(sizes, default=0) < 0:
            maker = next(node for node in inferred.node if value.name in node.output)
            raise InputError(f"its output {value.name} would be of the sizes {sizes}", place=graph.place(maker))


def table(source: onnx.GraphProto, doubt: str | None = None) -> Shapes:
    """The shapes that the graph states, after inference those that it infers."""
    dims: dict[str, Dims] = {t.name: tuple(t.dims) for t in source.initializer}
    types = {t.name: t.data_type for t in source.initializer}
    dims |= {t.values.name: tuple(t.dims) for t in source.sparse_initializer}
    types |= {t.values.name: t.values.data_type for t in source.sparse_initializer}
    stored, others = frozenset(dims), set()
    for value in (*source.input, *source.value_info, *source.output):
        kind = value.type.WhichOneof("value")
        if kind == "tensor_type":
            types.setdefault(value.name, value.type.tensor_type.elem_type)
            if value.type.tensor_type.HasField("shape"):
                dims.setdefault(value.name, sizes(value.type))
        elif kind is not None:
            others.add(value.name)
    inputs = tuple(v.name for v in source.input if v.name not in stored)
    return Shapes(dims, types, frozenset(others), inputs, doubt)


def sizes(kind: onnx.TypeProto) -> Dims:
    """The shape that a type of a tensor states."""
    return tuple(map(size, kind.tensor_type.shape.dim))


def size(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    """A dimension: its size, its symbol, or "?"."""
    if dim.HasField("dim_value") and dim.dim_value >= 0:  # exporters write -1 for what they do not know
        return dim.dim_value
    return dim.dim_param or "?"


def text(dims: Iterable[int | str]) -> str:
    """A shape in words, as `--shape` takes it; inference makes symbols of its own, which say nothing."""
    return "x".join("?" if str(n).startswith("unk__") else str(n) for n in dims) or "scalar"


def condense(message: str) -> str:
    """The first complaint of ONNX's checker or shape inference, without its boilerplate, in one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = next((line for line in lines if "(op_type" in line), lines[0] if lines else "the model is invalid")
    for noise in ("[ShapeInferenceError]", "[TypeInferenceError]", "Inference error(s):"):
        text = text.replace(noise, "")
    place = next((line.split(":", 1)[1] for line in lines if line.startswith("==> Context:")), None)
    return " ".join((f"{text};{place}" if place else text).split())
