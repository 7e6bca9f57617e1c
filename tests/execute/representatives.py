"""Models in which single precision, a rounding step or a draw decides what comes out: small ones of the kinds that
people have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """A graph, written node by node: `graph(op, *inputs)` is the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        made = [f"{op}_{len(self.nodes)}" + (f".{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name=made[0], domain=domain, **attributes))
        return made[0]

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def save(
        self,
        path: Path,
        inputs: dict[str, tuple[int, tuple[int, ...]]],
        output: str,
        kind: int = TensorProto.FLOAT,
        opset: int = 17,
    ) -> str:
        """Write a model whose inputs have these types and shapes."""
        given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        result = helper.make_tensor_value_info(output, kind, None)
        graph = helper.make_graph(self.nodes, path.stem, given, [result], initializer=self.constants)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        onnx.save_model(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
        return str(path)


def text_classifier(folder: Path, *, length: int = 16, width: int = 16, depth: int = 10) -> str:
    """Bytes as one-hot vectors and layers behind LayerNorm as E[x^2] - E[x]^2, which cancels where features are alike:
    as those of the bytes 0 and 1 are."""
    rng, graph = np.random.default_rng(7), Graph()
    table = rng.standard_normal((256, width))
    table[:2] = 100 + 0.02 * table[:2]
    hot = graph(
        "Equal", graph("Unsqueeze", "text", graph.constant([2], np.int64)), graph.constant(range(256), np.int64)
    )
    x = graph("MatMul", graph("Cast", hot, to=TensorProto.FLOAT), graph.constant(table))
    for _ in range(depth):
        last, share = graph.constant([-1], np.int64), graph.constant(1 / width)
        mean = graph("Mul", graph("ReduceSum", x, last), share)
        squares = graph("Mul", graph("ReduceSum", graph("Mul", x, x), last), share)
        variance = graph("Sub", squares, graph("Mul", mean, mean))
        scale = graph("Sqrt", graph("Add", graph("Abs", variance), graph.constant(1e-5)))
        normal = graph("Div", graph("Sub", x, mean), scale)
        weight = graph.constant(rng.standard_normal((width, width)) / width**0.5)
        x = graph("Add", x, graph("Relu", graph("MatMul", normal, weight)))
    y = graph("MatMul", graph("ReduceMean", x, axes=[1], keepdims=0), graph.constant(rng.standard_normal((width, 4))))
    return graph.save(folder / "text_classifier.onnx", {"text": (TensorProto.INT64, (1, length))}, y)
