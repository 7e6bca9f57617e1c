"""Sizes of 0: what makes nothing costs nothing, and says so."""

import numpy as np
import pytest
from onnx import helper
from onnx_cases import executed, loaded, model, saved

from frontends.onnx import load
from mapper.cli.models import parse_dims, parse_shapes

W = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
NOTE = "one of its sizes is 0: it computes nothing"


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def test_options_take_0():
    assert parse_dims(["past=0"]) == {"past": 0} and parse_shapes(["p=4x0"]) == {"p": (4, 0)}


def test_an_empty_cache(tmp_path):
    """Nothing is in front of the new keys: they are all there is."""
    nodes = [node("Concat", ["p", "k"], ["all"], axis=1), node("MatMul", ["q", "all"], ["y"])]
    path = saved(model(nodes, {"p": (4, "past"), "k": (4, 5), "q": (2, 4)}, ["y"]), tmp_path)
    for past in (0, 3):
        read = load(path, dims={"past": past})
        assert read.network.layers[0].nest.extents == {"M": 2, "N": 5 + past, "K": 4}
        assert read.network.nodes[0].reads == ((20 + 4 * past, None),)
        assert executed(read).passed


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "written"),
    [
        ("MatMul", [(0, 4), (4, 5)], {}, 0),
        ("MatMul", [(2, 0), (0, 5)], {}, 10),
        ("MatMul", [(0, 2, 4), (4, 5)], {}, 0),
        ("Gemm", [(2, 0), (0, 5), (5,)], {}, 10),
        ("Conv", [(0, 3, 8, 8), (4, 3, 3, 3)], {}, 0),
        ("Einsum", [(2, 0), (0, 5)], {"equation": "ij,jk->ik"}, 10),
        ("Einsum", [(0, 4), (4, 5), (5, 2)], {"equation": "ij,jk,kl->il"}, 0),
        ("AveragePool", [(0, 3, 8, 8)], {"kernel_shape": [2, 2]}, 0),
        ("MaxPool", [(0, 3, 8, 8)], {"kernel_shape": [2, 2]}, 0),
        ("GlobalAveragePool", [(0, 3, 8, 8)], {}, 0),
        ("ReduceSum", [(0, 3)], {}, 1),
        ("ConvTranspose", [(0, 3, 8, 8), (3, 4, 3, 3)], {}, 0),
        ("LayerNormalization", [(0, 3), (3,)], {}, 0),
        ("Softmax", [(0, 3)], {}, 0),
    ],
)
def test_what_makes_nothing_costs_nothing(op, shapes, attributes, written, tmp_path):
    """Or the zeros that a sum of nothing is, which are written. What follows works on nothing, or on these."""
    given = dict(zip("xwb", shapes, strict=False))
    names = list(given)
    constants = {name: np.ones(given[name], np.float32) for name in names[1:] if 0 not in given[name]}
    inputs = {name: shape for name, shape in given.items() if name not in constants}
    proto = model([node(op, names, ["o"], **attributes), node("Relu", ["o"], ["y"])], inputs, ["y"],
                  constants=constants, opset=17)  # fmt: skip
    read = loaded(proto, tmp_path)
    first, second = read.network.nodes
    assert not read.network.layers and first.note == ("" if op in ("LayerNormalization", "Softmax") else NOTE)
    assert sum(n for n, _ in first.writes) == sum(n for n, _ in second.reads) == written
    assert sum(n for n, _ in first.reads) == (5 if op == "Gemm" else 0)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("op", ["GRU", "LSTM", "RNN"])
def test_no_steps_and_no_batch(op, steps, tmp_path):
    gates = {"GRU": 3, "LSTM": 4, "RNN": 1}[op]
    constants = {
        "w": np.ones((1, gates * 5, 4), np.float32),
        "r": np.ones((1, gates * 5, 5), np.float32),
    }
    proto = model([node(op, ["x", "w", "r"], ["y"], hidden_size=5)], {"x": (steps, 0 if steps else 2, 4)}, ["y"],
                  constants=constants)  # fmt: skip
    network = loaded(proto, tmp_path).network
    assert not network.layers and [n.note for n in network.nodes] == [NOTE]


def test_layers_around_an_idle_one_run(tmp_path):
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("MatMul", ["none", "v"], ["b"]),
        node("Concat", ["a", "b"], ["c"], axis=0),
        node("MatMul", ["c", "w"], ["y"]),
    ]
    constants = {"w": np.ones((4, 4), np.float32), "v": np.ones((7, 4), np.float32)}
    read = loaded(model(nodes, {"x": (2, 4), "none": (0, 7)}, ["y"], constants=constants), tmp_path)
    found = executed(read)
    assert found.passed and [check.name for check in found.layers] == ["a", "y"]
