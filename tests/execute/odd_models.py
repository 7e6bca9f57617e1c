"""Models in which single precision, a rounding step or a draw decides what comes out: small ones of the kinds that
people have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
INT32, INT64, UINT8 = TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8


class Graph:
    """A graph, written node by node: `graph(op, *inputs)` is the name of what it makes."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        made = [f"{self.prefix}{op}_{len(self.nodes)}" + (f".{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name=made[0], domain=domain, **attributes))
        return made[0]

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
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


def text_classifier(folder: Path, *, length: int = 16, width: int = 16, depth: int = 10, parity: bool = False) -> str:
    """Bytes as one-hot vectors and layers behind LayerNorm as E[x^2] - E[x]^2, which cancels where features are alike:
    as those of the bytes 0 and 1 are. `parity`: of the hundredths of its scores, which jumps as often as can be."""
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
    if parity:
        hundredths = graph("Cast", graph("Mul", y, graph.constant(100)), to=INT64)
        y = graph("Mod", hundredths, graph.constant(2, np.int64))
    kind = INT64 if parity else FLOAT
    return graph.save(folder / "text_classifier.onnx", {"text": (INT64, (1, length))}, y, kind)


def rounding_tie(folder: Path) -> str:
    """Half a million floats that are quantised: some of them lie so near the middle of two steps that single precision
    takes the other one."""
    graph = Graph()
    weight = np.random.default_rng(4).standard_normal((16, 3, 3, 3))
    y = graph("Conv", "x", graph.constant(weight))
    scale, zero = graph.constant(0.05), graph.constant(128, np.uint8)
    y = graph("DequantizeLinear", graph("QuantizeLinear", y, scale, zero), scale, zero)
    return graph.save(folder / "rounding_tie.onnx", {"x": (FLOAT, (1, 3, 64, 64))}, y)


def dynamic_bytes(folder: Path) -> str:
    """Unsigned bytes times signed ones."""
    graph = Graph()
    x = graph("DynamicQuantizeLinear", "x", outputs=3)
    weight = np.random.default_rng(1).integers(-127, 128, (128, 8))
    y = graph("MatMulInteger", x, graph.constant(weight, np.int8), f"{x}.2", graph.constant(0, np.int8))
    return graph.save(folder / "dynamic_bytes.onnx", {"x": (FLOAT, (4, 128))}, y, TensorProto.INT32)


def half_inside(folder: Path) -> str:
    """A product in half precision between floats."""
    graph = Graph()
    weight = np.random.default_rng(0).standard_normal((64, 16))
    y = graph("MatMul", graph("Cast", "x", to=TensorProto.FLOAT16), graph.constant(weight, np.float16))
    return graph.save(folder / "half_inside.onnx", {"x": (FLOAT, (4, 64))}, graph("Cast", y, to=FLOAT))


def half_inside_a_branch(folder: Path) -> str:
    """The same in a branch."""
    graph, branches = Graph(), {}
    weight = graph.constant(np.random.default_rng(0).standard_normal((64, 16)), np.float16)
    for name in ("then_branch", "else_branch"):
        body = Graph(f"{name}/")
        y = body("MatMul", body("Cast", "x", to=TensorProto.FLOAT16), weight)
        y = body("Cast", y, to=FLOAT) if name == "then_branch" else body("Neg", "z")
        branches[name] = helper.make_graph(
            body.nodes, name, [], [helper.make_tensor_value_info(body.nodes[-1].output[0], FLOAT, (4, 16))]
        )
    inputs = {"x": (FLOAT, (4, 64)), "z": (FLOAT, (4, 16)), "which": (BOOL, ())}
    return graph.save(folder / "half_inside_a_branch.onnx", inputs, graph("If", "which", **branches))


def noise(folder: Path, op: str = "RandomNormalLike") -> str:
    """Noise on the way, which another run would draw otherwise."""
    graph = Graph()
    weight = graph.constant(np.random.default_rng(0).standard_normal((8, 8)))
    x = graph("MatMul", "x", weight)
    drawn = {
        "RandomNormalLike": lambda: graph("RandomNormalLike", x),
        "RandomUniform": lambda: graph("RandomUniform", shape=[4, 8], dtype=FLOAT),
        "Bernoulli": lambda: graph("Bernoulli", graph("Sigmoid", x)),
        "Multinomial": lambda: graph("Cast", graph("Multinomial", x, sample_size=8), to=FLOAT),
        "Dropout": lambda: graph("Dropout", x, graph.constant(0.5), graph.constant(True, bool)),
    }[op]()
    return graph.save(folder / "noise.onnx", {"x": (FLOAT, (4, 8))}, graph("MatMul", graph("Add", x, drawn), weight))


def noise_in_a_loop(folder: Path) -> str:
    """A state to which each trip adds what it draws."""
    graph, body = Graph(), Graph("body/")
    weight = graph.constant(np.random.default_rng(0).standard_normal((8, 8)))
    state = body("Add", body("MatMul", "state", weight), body("RandomNormalLike", "state"))
    more = body("Identity", "go")
    kinds = {"trip": (INT64, ()), "go": (BOOL, ()), "state": (FLOAT, (4, 8))}
    given = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    made = [helper.make_tensor_value_info(more, *kinds["go"]), helper.make_tensor_value_info(state, *kinds["state"])]
    inner = helper.make_graph(body.nodes, "body", given, made)
    y = graph("Loop", graph.constant(3, np.int64), graph.constant(True, bool), "x", body=inner)
    return graph.save(folder / "noise_in_a_loop.onnx", {"x": (FLOAT, (4, 8))}, y)


def float8(folder: Path, kind: int = TensorProto.FLOAT8E4M3FN) -> str:
    """What is quantised to floats of 8 bits."""
    graph = Graph()
    graph.constants.append(helper.make_tensor("zero", kind, [], [0.0]))
    scale = graph.constant(0.1)
    x = graph("DequantizeLinear", graph("QuantizeLinear", "x", scale, "zero"), scale)
    weight = graph.constant(np.random.default_rng(0).standard_normal((32, 6)))
    return graph.save(folder / "float8.onnx", {"x": (FLOAT, (3, 32))}, graph("MatMul", x, weight), opset=19)


def narrow(folder: Path, kind: int) -> str:
    """A type that NumPy does not have, as an output."""
    graph = Graph()
    weight = graph.constant(np.random.default_rng(0).standard_normal((32, 6)))
    y = graph("Cast", graph("MatMul", "x", weight), to=kind)
    return graph.save(folder / "narrow.onnx", {"x": (FLOAT, (3, 32))}, y, kind, opset=21)


def not_finite(folder: Path) -> str:
    """A division by what is always zero."""
    graph = Graph()
    y = graph("ReduceSum", graph("Div", "x", graph("Sub", "x", "x")), keepdims=0)
    return graph.save(folder / "not_finite.onnx", {"x": (FLOAT, (4, 8)), "unused": (FLOAT, (1,))}, y)


def written_in_place(folder: Path) -> str:
    """BatchNormalization in training mode with one value as scale, shift, mean and variance: ONNX Runtime writes the
    running mean over it where nobody wants that."""
    graph = Graph()
    x = graph("Conv", "x", graph.constant(np.random.default_rng(0).standard_normal((4, 3, 3, 3))))
    one = graph.constant([1, 2, 3, 4])
    y = graph("BatchNormalization", x, one, one, one, one, outputs=3, training_mode=1)
    return graph.save(folder / "written_in_place.onnx", {"x": (FLOAT, (2, 3, 8, 8))}, y)


def quantised_cells(folder: Path) -> str:
    """An operator that is made of layers before a rounding step: ONNX Runtime's own sums in another order."""
    rng, graph = np.random.default_rng(3), Graph()
    weights = [graph.constant(rng.standard_normal((1, 128, n)) / n**0.5) for n in (64, 32)]
    y = graph("LSTM", "x", *weights, hidden_size=32)
    scale, zero = graph.constant(2.0**-15), graph.constant(0, np.int16)
    y = graph("QuantizeLinear", y, scale, zero)
    return graph.save(folder / "quantised_cells.onnx", {"x": (FLOAT, (20, 40, 64))}, y, TensorProto.INT16, opset=21)


def classified(folder: Path) -> str:
    """Classes whose scores are nearly the same, by which rows of a table are chosen."""
    rng, graph = np.random.default_rng(2), Graph()
    one = rng.standard_normal((64, 1))
    scores = graph("MatMul", "x", graph.constant(np.hstack([one, one * (1 + 2e-7), one])))
    chosen = graph("Gather", graph.constant(rng.standard_normal((3, 5))), graph("ArgMax", scores, axis=1, keepdims=0))
    return graph.save(folder / "classified.onnx", {"x": (FLOAT, (500, 64))}, chosen)


def repeated(folder: Path) -> str:
    """A state that is multiplied by the same weight on each of three trips."""
    graph, body = Graph(), Graph("body/")
    weight = graph.constant(np.random.default_rng(0).standard_normal((8, 8)))
    state, more = body("MatMul", "state", weight), body("Identity", "go")
    kinds = {"trip": (INT64, ()), "go": (BOOL, ()), "state": (FLOAT, (4, 8))}
    given = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    made = [helper.make_tensor_value_info(more, *kinds["go"]), helper.make_tensor_value_info(state, *kinds["state"])]
    inner = helper.make_graph(body.nodes, "body", given, made)
    y = graph("Loop", graph.constant(3, np.int64), graph.constant(True, bool), "x", body=inner)
    return graph.save(folder / "repeated.onnx", {"x": (FLOAT, (4, 8))}, y)
