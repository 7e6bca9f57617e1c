"""ONNX Runtime: the referee of values, and what runs every operator that is not mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from frontends.onnx import graph
from mapper.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


DISABLED = ("QDQSelectorActionTransformer", "WeightBiasQuantization", "MatmulTransposeFusion")
"""Optimisations that change what is compared: the first makes integers of what stands between quantised operators and
rounds otherwise, the second quantises weights that the model has as floats, the third multiplies a transposed matrix by
a vector and gets it wrong."""


class Runtime:
    """ONNX Runtime, as its users run it.

    Raises MissingExtraError without onnxruntime.
    """

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "verify") from error
        self._onnxruntime = onnxruntime
        self._sessions: dict[Any, Any] = {}

    def run(
        self,
        proto: onnx.ModelProto,
        nodes: Sequence[onnx.NodeProto],
        values: Mapping[str, Array],
        outputs: Iterable[str],
        place: str,
        *,
        fixed: Iterable[str] = (),
    ) -> Arrays:
        """`outputs` of nodes of a model, given `values`; those that are `fixed` are the same every time, and become
        initializers, which some operators need.

        A sequence is a list of arrays. InputError where ONNX Runtime cannot run the nodes.
        """
        wanted = list(outputs)
        outside = [v for v in dict.fromkeys(v for node in nodes for v in graph.reads(node)) if v in values]
        feeds = {value: values[value] for value in outside if value not in fixed}
        tensors = [(value, array) for value, array in feeds.items() if isinstance(array, np.ndarray)]
        kinds = tuple((value, array.dtype.str, array.shape) for value, array in tensors)
        key = (*(node.name for node in nodes), *wanted, *kinds)  # nodes of all regions have names of their own
        try:
            if key in self._sessions:
                return dict(zip(wanted, self._sessions[key].run(wanted, feeds), strict=True))
            stored = {value: values[value] for value in outside if value in fixed}
            model = _part(proto, nodes, feeds, stored, wanted).SerializeToString()
            session, found = self._first_run(model, wanted, feeds)
            if len(nodes) == 1:  # it serves every trip of a loop
                self._sessions[key] = session
            return dict(zip(wanted, found, strict=True))
        except Exception as error:  # its errors have no common base
            raise InputError(f"ONNX Runtime cannot run it: {' '.join(str(error).split())}", place=place) from error

    def _first_run(self, model: bytes, wanted: list[str], feeds: Arrays) -> tuple[Any, Any]:
        """A session of one thread, as each has threads of its own which wait busily; and what it makes of the feeds.

        Operators between nodes that dequantise and quantise stay what they are: additions of integers round otherwise,
        and what is a layer of integers is one already. On processors that lack instructions for them sums of 8-bit
        products saturate at 16 bits unless ONNX Runtime is told to be precise; but then it may lack a kernel for
        products of two signed integers, whose sums are exact, and fail where blocks of integers have no zero points.
        """
        try:
            session = self._open(model, precise=True)
            return session, session.run(wanted, feeds)
        except Exception:
            session = self._open(model, precise=False)
            return session, session.run(wanted, feeds)

    def _open(self, model: bytes, *, precise: bool) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its errors are raised as well
        options.intra_op_num_threads = 1
        if precise:
            options.add_session_config_entry("session.x64quantprecision", "1")
        return self._onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(DISABLED)
        )


def _part(
    proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], feeds: Arrays, stored: Arrays, outputs: list[str]
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
    body = helper.make_graph(
        [_precise(node) for node in nodes],
        "part",
        inputs,
        [onnx.ValueInfoProto(name=value) for value in outputs],
        initializer=[numpy_helper.from_array(array, value) for value, array in stored.items()],
    )
    return helper.make_model(body, ir_version=proto.ir_version, opset_imports=proto.opset_import)


def _precise(node: onnx.NodeProto) -> onnx.NodeProto:
    """A node without the leave to compute with fewer bits than its inputs have."""
    if not any(a.name == "accuracy_level" for a in node.attribute):
        return node
    copy: onnx.NodeProto = type(node).FromString(node.SerializeToString())
    del copy.attribute[:]
    copy.attribute.extend(a for a in node.attribute if a.name != "accuracy_level")
    return copy
