"""The process in which ONNX Runtime runs nodes for the shapes of their outputs (`referee`).

It reads models, each behind its length in 8 bytes, and answers each with a line of JSON: the element type and the shape
of each output, or an empty list.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

MEMORY = 2**32
"""Bytes of memory that the process may take beyond what it has when it begins."""

LARGEST = 2**26
"""Elements of the largest output that is made."""


def made(model: bytes) -> list[tuple[int, list[int]]]:
    """The types of the outputs of a model, if they are the same for inputs of zeros, ones and numbers at random; else
    nothing."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised as well
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = session.get_outputs()
        kinds = [_element(value.type) for value in outputs]
    except Exception:  # its errors have no common base; a value may be no tensor
        return []
    if any(math.prod(n for n in value.shape if isinstance(n, int)) > LARGEST for value in outputs):
        return []
    seen = []
    for draw in (np.zeros, np.ones, _random):
        with contextlib.suppress(Exception):  # an index may be out of range
            feeds = {value.name: _value(value, draw) for value in session.get_inputs()}
            found = session.run_with_ort_values([value.name for value in outputs], feeds)
            seen.append([(kind, list(value.shape())) for kind, value in zip(kinds, found, strict=True)])
    return seen[0] if seen and all(each == seen[0] for each in seen) else []


def _element(kind: str) -> int:
    """ONNX's number of the type of an element, of ONNX Runtime's name of the type of a tensor; ValueError if it is
    none."""
    return int(TensorProto.DataType.Value(kind.removeprefix("tensor(").removesuffix(")").upper()))


def _value(value: Any, draw: Any) -> Any:
    element = _element(value.type)
    array = draw(value.shape).astype(helper.tensor_dtype_to_np_dtype(element))
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, element)


def _random(shape: list[int]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.random.default_rng(0).uniform(0, 2, shape)


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer until nothing is asked any more."""
    while len(head := source.read(8)) == 8:
        answer = made(source.read(int.from_bytes(head, "big")))
        target.write(json.dumps(answer).encode() + b"\n")
        target.flush()


def _limit() -> None:
    """Let the process take no more than so much memory, on systems that can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        own = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, own + MEMORY))


if __name__ == "__main__":
    _limit()
    with os.fdopen(os.dup(1), "wb") as answers, Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # nothing else is written between the answers
        serve(sys.stdin.buffer, answers)
