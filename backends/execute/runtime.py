"""ONNX Runtime: the referee of values, and what runs every operator that is not mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.execute.exact import exact
from frontends.onnx import control, graph
from mapper.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]

WIDER = {
    **dict.fromkeys(("bfloat16", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), "FLOAT"),
    **dict.fromkeys(("int4", "int2"), "INT8"),
    **dict.fromkeys(("uint4", "uint2"), "UINT8"),
}
"""Types that ONNX Runtime does not hand to Python, and those that hold the same values; of float8e4m3fn it hands over
the bytes."""


class Runtime:
    """ONNX Runtime on one thread and without optimisations of graphs, so that operators are run as they are written.

    Optimisations change what is compared: they make integers of what stands between quantised operators, quantise
    weights, or sum in another order. Raises MissingExtraError without onnxruntime.
    """

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "verify") from error
        self._onnxruntime = onnxruntime
        self._sessions: dict[Any, _Session] = {}

    def run(
        self,
        proto: onnx.ModelProto,
        nodes: Sequence[onnx.NodeProto],
        values: Mapping[str, Array],
        outputs: Iterable[str],
        place: str,
        *,
        fixed: Iterable[str] = (),
        types: Mapping[str, int] | None = None,
    ) -> Arrays:
        """`outputs` of nodes of a model, given `values`; those that are `fixed` are the same every time, and become
        initializers, which some operators need. `types` are those of what the nodes compute, as ONNX numbers them.

        A sequence is a list of arrays. InputError where ONNX Runtime cannot run the nodes.
        """
        for node in nodes:
            control.check_ends(node, values)
        wanted = list(outputs)
        outside = [v for v in dict.fromkeys(v for node in nodes for v in graph.reads(node)) if v in values]
        feeds = {value: values[value] for value in outside if value not in fixed}
        tensors = [(value, array) for value, array in feeds.items() if isinstance(array, np.ndarray)]
        kinds = tuple((value, array.dtype.name, array.shape) for value, array in tensors)
        key = (*(node.name for node in nodes), *wanted, *kinds)  # nodes of all regions have names of their own
        try:
            session = self._sessions.get(key)
            if session is None:
                stored = {value: values[value] for value in outside if value in fixed}
                session = _Session(self._onnxruntime, _part(proto, nodes, feeds, stored, wanted, types or {}))
                if len(nodes) == 1:  # it serves every trip of a loop
                    self._sessions[key] = session
            return dict(zip(wanted, session.run(feeds), strict=False))
        except Exception as error:  # its errors have no common base
            raise InputError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())}", place=place) from error


class _Session:
    """A model ready to run, with values of types that ONNX Runtime has and NumPy has not."""

    def __init__(self, onnxruntime: Any, model: onnx.ModelProto) -> None:
        self._onnxruntime = onnxruntime
        self._session = self._open(model)
        kinds = [value.type.removeprefix("tensor(").removesuffix(")") for value in self._session.get_outputs()]
        self._dtypes = [_extra_dtype(kind) for kind in kinds]
        if any(kind in WIDER for kind in kinds):
            self._session = self._open(_widened(model, kinds))

    def run(self, feeds: Arrays) -> list[Array]:
        """Its outputs, each of its own type."""
        found = self._session.run(None, {name: self._feed(array) for name, array in feeds.items()})
        return [_of_type(array, dtype) for array, dtype in zip(found, self._dtypes, strict=True)]

    def _open(self, model: onnx.ModelProto) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its errors are raised as well
        options.intra_op_num_threads = 1  # each session has threads of its own, which wait busily
        options.graph_optimization_level = self._onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return self._onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _feed(self, array: Array) -> Any:
        if not isinstance(array, np.ndarray) or _extra_dtype(_kind(array.dtype)) is None:
            return array
        from onnx import helper

        raw = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
        number = helper.np_dtype_to_tensor_dtype(array.dtype)
        return self._onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, number)


def _kind(dtype: np.dtype[Any]) -> str:
    """The name that ONNX Runtime has for a type of ml_dtypes."""
    return dtype.name.replace("_", "")


def _extra_dtype(kind: str) -> np.dtype[Any] | None:
    """The type of that name if NumPy itself has none for it: a narrow float or integer."""
    from onnx import TensorProto, helper

    if kind != "float8e4m3fn" and kind not in WIDER:
        return None
    return helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(kind.upper()))


def _of_type(array: Array, dtype: np.dtype[Any] | None) -> Array:
    """An output in its own type, of which ONNX Runtime hands over the bytes or a wider type."""
    if dtype is None:
        return array
    return array.view(dtype) if _kind(dtype) not in WIDER else array.astype(dtype)


def _widened(model: onnx.ModelProto, kinds: Sequence[str]) -> onnx.ModelProto:
    """The model with its outputs in types that ONNX Runtime hands over."""
    import onnx
    from onnx import TensorProto, helper

    wider: onnx.ModelProto = type(model).FromString(model.SerializeToString())
    for output, kind in zip(wider.graph.output, kinds, strict=True):
        if kind in WIDER:
            name = f"{output.name} wider"
            number = TensorProto.DataType.Value(WIDER[kind])
            wider.graph.node.append(helper.make_node("Cast", [output.name], [name], to=number))
            output.CopyFrom(onnx.ValueInfoProto(name=name))
    return wider


def _part(
    proto: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    feeds: Arrays,
    stored: Arrays,
    outputs: list[str],
    types: Mapping[str, int],
) -> onnx.ModelProto:
    """A model of these nodes alone."""
    import onnx
    from onnx import helper, numpy_helper

    graph = proto.graph
    stated = {v.name: v for v in (*graph.input, *graph.value_info, *graph.output) if v.type.WhichOneof("value")}
    inputs = [
        stated[value]
        if value in stated and not stated[value].type.HasField("tensor_type")  # an optional one may be an array as well
        else helper.make_tensor_value_info(value, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for value, array in feeds.items()
    ]
    given = {
        name: helper.np_dtype_to_tensor_dtype(array.dtype)
        for name, array in (feeds | stored).items()
        if isinstance(array, np.ndarray)
    }
    made, constants = exact(nodes, {**types, **given})
    wanted = [*outputs, *(value for node in nodes for value in _written_in_place(node) if value not in outputs)]
    body = helper.make_graph(
        made,
        "part",
        inputs,
        [onnx.ValueInfoProto(name=value) for value in wanted],
        initializer=[*(numpy_helper.from_array(array, value) for value, array in stored.items()), *constants],
    )
    return helper.make_model(body, ir_version=proto.ir_version, opset_imports=proto.opset_import)


def _written_in_place(node: onnx.NodeProto) -> list[str]:
    """Outputs that ONNX Runtime writes over the inputs, even over what it was given, unless somebody wants them."""
    return [value for value in node.output[1:] if value] if node.op_type == "BatchNormalization" else []
