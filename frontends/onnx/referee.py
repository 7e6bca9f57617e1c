"""ONNX Runtime as the referee of shapes: what it makes of a node by itself.

That finds the shapes of outputs that ONNX's inference does not know, and those that it gets wrong. Nothing is known
without onnxruntime, of a node that reads too much to be run for this, and where shapes depend on what is computed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

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

SECONDS = 20
"""How long a node may run for the shapes of its outputs."""

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
    """The types of the outputs of a model; none if that cannot be said."""
    if find_spec("onnxruntime") is None:
        return ()
    return tuple((kind, tuple(shape)) for kind, shape in _process.ask(model))


class _Process:
    """The process that runs nodes: ONNX Runtime may crash on what makes no sense, and takes what memory it needs.

    It is begun when it is first needed, ends with this process, and is begun anew after a crash.
    """

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, model: bytes) -> list[tuple[int, list[int]]]:
        """What it makes of a model; nothing if it crashes or takes too long."""
        with self._lock:
            if self._popen is None or self._owner != os.getpid():  # a copy of this process must not share it
                self._popen, self._owner = self._begin(), os.getpid()
            timer = threading.Timer(SECONDS, self._popen.kill)
            timer.start()
            try:
                answer = self._answer(self._popen, model)
            except BaseException:  # Ctrl-C: what it still says is no answer to the next question
                self._popen.kill()
                self.end()
                raise
            finally:
                timer.cancel()
            if not answer.endswith(b"\n"):
                self._popen.kill()
                self.end()
                return []
            return list(json.loads(answer))

    def _answer(self, popen: subprocess.Popen[bytes], model: bytes) -> bytes:
        assert popen.stdin is not None and popen.stdout is not None
        try:
            popen.stdin.write(len(model).to_bytes(8, "big") + model)
            popen.stdin.flush()
            return popen.stdout.readline()
        except OSError:  # it is gone
            return b""

    def end(self) -> None:
        """End the process, if this one began it."""
        if self._popen is not None and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                self._popen.communicate()
            self._popen = None

    def _begin(self) -> subprocess.Popen[bytes]:
        atexit.unregister(self.end)
        atexit.register(self.end)
        return subprocess.Popen(
            [sys.executable, "-m", "frontends.onnx.running"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process
        )


_process = _Process()
