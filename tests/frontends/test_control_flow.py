"""Loops and scans: their bodies are compiled once and count as often as they run; what is not known is said."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model

from mapper.inventory import inventory

node = helper.make_node
W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)


def value(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def loop(nodes, *, trips="n", condition="", go_on="given", outputs=("y", "ys"), results=("h2", "h2")):
    """A Loop whose body hands `h` on; the weight `w` is taken from outside."""
    ends = {"given": node("Identity", ["go"], ["on"]), "computed": node("Less", ["i", "limit"], ["on"])}
    body = helper.make_graph(
        [*nodes, ends[go_on]],
        "body",
        [value("i", TensorProto.INT64, ()), value("go", TensorProto.BOOL, ()), value("h")],
        [value("on", TensorProto.BOOL), *map(value, results)],
    )
    return node("Loop", [trips, condition, "x"], list(outputs), name="loop", body=body)


def case(nodes, constants=None, *, inputs=None, outputs=("y", "ys")):
    known = {"w": W, "n": np.int64(5), "limit": np.int64(2), **(constants or {})}
    used = {name for each in nodes for name in each.input} | {"w", "limit", *(constants or {})}
    stored = {name: array for name, array in known.items() if name in used}
    return model(nodes, {"x": (3, 4)} | (inputs or {}), outputs, constants=stored)


STEP = [node("MatMul", ["h", "w"], ["h1"], name="mm"), node("Relu", ["h1"], ["h2"], name="relu")]


def test_a_loop_of_known_length(tmp_path):
    read = assert_model_equals_onnxruntime(case([loop(STEP)]), tmp_path)
    product, relu, *_, whole = read.network.nodes
    assert (product.name, product.times, product.inputs) == ("loop/mm", 5, ("loop/h", "w"))
    assert (relu.name, relu.times, relu.to) == ("loop/relu", 5, "loop/mm")
    assert (whole.name, whole.times, whole.reads, whole.note) == ("loop", 1, (), "")
    assert read.network.shapes["ys"] == (5, 3, 4)


def test_a_loop_in_a_loop(tmp_path):
    """Times multiply; the inner one takes a weight from two graphs further out."""
    inner = loop(STEP, trips="m", outputs=("z", "zs"))
    inner.input[2] = "h"
    inner.name = "inner"
    outer = loop([inner], results=("z", "zs"))
    read = assert_model_equals_onnxruntime(case([outer], {"m": np.int64(3)}, outputs=("y", "ys")), tmp_path)
    (product,) = read.network.layers
    assert (product.name, product.times) == ("loop/inner/mm", 15)


@pytest.mark.parametrize(
    ("changes", "constants", "times"),
    [
        pytest.param({"trips": "n"}, {"n": np.int64(0)}, 0, id="never"),
        pytest.param({"trips": "n", "condition": "c"}, {"c": np.array(False)}, 0, id="condition is false"),
        pytest.param({"trips": "n", "condition": "c"}, {"c": np.array(True)}, 5, id="condition is true"),
    ],
)
def test_how_often_a_loop_runs(changes, constants, times, tmp_path):
    read = loaded(case([loop(STEP, **changes, outputs=("y",), results=("h2",))], constants, outputs=("y",)), tmp_path)
    assert [layer.times for layer in read.network.layers] == [times]
    assert not any(each.note for each in read.network.nodes)


def test_a_loop_of_unknown_length_counts_once_and_says_so(tmp_path):
    """Whether it ends is computed in its body."""
    proto = case([loop(STEP, go_on="computed", outputs=("y",), results=("h2",))], outputs=("y",))
    read = loaded(proto, tmp_path)
    note = "how often it runs is not known: its body is counted once"
    assert [(layer.times, layer.note) for layer in read.network.layers] == [(1, note)]
    assert [each.note for each in read.network.nodes if each.op == "Loop"] == [note]
    found = executed(read)  # as often as it does run
    assert found.passed and len(found.layers) == 1


def test_a_state_that_grows_is_not_compiled_and_says_so(tmp_path):
    nodes = [node("MatMul", ["h", "w"], ["h1"], name="mm"), node("Concat", ["h", "h1"], ["h2"], axis=0)]
    proto = case([loop(nodes, outputs=("y",), results=("h2",))], outputs=("y",))
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 96
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 4
    (only,) = loaded(proto, tmp_path).network.nodes
    assert (only.op, only.nest, only.writes) == ("Loop", None, ((384, None),))
    assert only.note == ("its bodies are not compiled: the shape of h changes from one trip to the next, or is unknown")


def scan(**attributes):
    body = helper.make_graph(
        [node("Gemm", ["s", "w", "v"], ["t"], name="mm"), node("Tanh", ["t"], ["u"]), node("Relu", ["u"], ["r"])],
        "body",
        [value("s"), value("v")],
        [value("u"), value("r")],
    )
    return node("Scan", ["x", "seq"], ["y", "ys"], name="scan", body=body, num_scan_inputs=1, **attributes)


@pytest.mark.parametrize(
    ("shape", "attributes", "stacked"),
    [
        pytest.param((6, 3, 4), {}, (6, 3, 4), id="plain"),
        pytest.param(
            (6, 3, 4), {"scan_input_directions": [1], "scan_output_directions": [1]}, (6, 3, 4), id="backward"
        ),
        pytest.param((3, 6, 4), {"scan_input_axes": [1], "scan_output_axes": [2]}, (3, 4, 6), id="other axes"),
    ],
)
def test_a_scan(shape, attributes, stacked, tmp_path):
    proto = case([scan(**attributes)], inputs={"seq": shape})
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.times) == ("scan/mm", 6)
    assert read.network.shapes["ys"] == stacked


def test_the_totals_count_every_trip(tmp_path):
    totals = inventory(loaded(case([loop(STEP)]), tmp_path).network)["totals"]
    assert (totals["macs"], totals["weights"], totals["layers"]) == (5 * 3 * 4 * 4, 16, 1)
