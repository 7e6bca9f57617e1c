"""Bodies that do not run, that cannot be compiled, and that do not fit their node."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import executed, loaded, model, run_onnxruntime

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, value = helper.make_node, helper.make_tensor_value_info


def loop(trips, outputs=2):
    """The state becomes its product with a weight; each is an output too."""
    inside = [node("Identity", ["go"], ["on"]), node("MatMul", ["s", "w"], ["t"]), node("Relu", ["t"], ["each"])]
    given = [value("i", INT64, []), value("go", BOOL, []), value("s", FLOAT, [2, 3])]
    made = [value("on", BOOL, []), value("t", FLOAT, [2, 3]), value("each", FLOAT, [2, 3])]
    body = helper.make_graph(inside, "body", given, made)
    nodes = [node("Loop", ["trips", "", "x"], ["last", "all", "more"][:outputs], name="loop", body=body)]
    proto = model(nodes, {"x": (2, 3), "w": (3, 3)}, ["last", "all"])
    if trips is None:
        proto.graph.input.append(value("trips", INT64, []))
    else:
        proto.graph.initializer.append(helper.make_tensor("trips", INT64, [], [trips]))
    return proto


def scan(steps, **told):
    """The running sum of the products with a weight."""
    inside = [
        node("MatMul", ["item", "w"], ["p"]),
        node("Add", ["sum", "p"], ["next"]),
        node("Neg", ["next"], ["each"]),
    ]
    given = [value("sum", FLOAT, [3]), value("item", FLOAT, [3])]
    made = [value("next", FLOAT, [3]), value("each", FLOAT, [3])]
    body = helper.make_graph(inside, "body", given, made)
    nodes = [node("Scan", ["s", "x"], ["last", "all"], name="scan", body=body, **{"num_scan_inputs": 1, **told})]
    return model(nodes, {"s": (3,), "x": (steps, 3), "w": (3, 3)}, ["last", "all"])


def drawn(proto, **given):
    rng = np.random.default_rng(0)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.input}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()} | given


@pytest.mark.parametrize("trips", [0, 1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_trips(trips, known, tmp_path):
    """A loop that runs not once gives its state back, and a stack of nothing."""
    proto = loop(trips if known else None)
    arrays = drawn(proto, **({} if known else {"trips": np.array(trips)}))
    read = loaded(proto, tmp_path, **({} if known else {"trips": ()}))
    assert [layer.times for layer in read.network.layers] == [trips if known else 1]
    found = executed(read, inputs=arrays)
    assert found.passed and len(found.layers) == (trips > 0)
    for ours, theirs in zip(found.outputs.values(), run_onnxruntime(proto, arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_nothing_to_scan(axis, tmp_path):
    """ONNX Runtime refuses this."""
    proto = scan(0, scan_output_axes=[axis])
    arrays = drawn(proto)
    found = executed(loaded(proto, tmp_path), inputs=arrays)
    assert found.passed and not found.layers
    np.testing.assert_array_equal(found.outputs["last"], arrays["s"])
    assert found.outputs["all"].shape == ((3, 0) if axis else (0, 3))


def test_numbers_are_scanned(tmp_path):
    """Slices of a list have no axes."""
    inside = [node("Mul", ["item", "w"], ["p"]), node("Add", ["sum", "p"], ["next"]), node("Neg", ["next"], ["each"])]
    kinds = [value(name, FLOAT, []) for name in ("sum", "item", "next", "each")]
    body = helper.make_graph(inside, "body", kinds[:2], kinds[2:])
    nodes = [
        node("Scan", ["s", "x"], ["last", "all"], body=body, num_scan_inputs=1),
        node("MatMul", ["all", "m"], ["y"]),
    ]
    proto = model(nodes, {"s": (), "x": (5,), "w": (), "m": (5, 2)}, ["last", "y"])
    assert executed(loaded(proto, tmp_path), inputs=drawn(proto)).passed


def test_a_branch_that_cannot_be_compiled_runs_as_it_is(tmp_path):
    """One branch multiplies by what a mask chooses: how much that is depends on the mask."""
    chosen = [
        node("Compress", ["x", "mask"], ["some"], axis=1),
        node("Compress", ["w", "mask"], ["few"], axis=0),
        node("MatMul", ["some", "few"], ["few_y"]),
    ]
    bodies = {
        "then_branch": helper.make_graph(chosen, "then", [], [value("few_y", FLOAT, [2, 4])]),
        "else_branch": helper.make_graph(
            [node("MatMul", ["x", "w"], ["w_y"])], "else", [], [value("w_y", FLOAT, [2, 4])]
        ),
    }
    nodes = [node("If", ["cond"], ["y"], name="if", **bodies)]
    proto = model(nodes, {"x": (2, 3), "w": (3, 4)}, ["y"])
    proto.graph.input.append(value("mask", BOOL, [3]))
    proto.graph.input.append(value("cond", BOOL, []))
    read = loaded(proto, tmp_path)
    assert [layer.name for layer in read.network.layers] == ["if/else/MatMul_0"]
    assert "then_branch is not compiled" in read.network.nodes[-1].note
    for cond in (True, False):
        arrays = drawn(proto, cond=np.array(cond), mask=np.array([True, False, True]))
        found = executed(read, inputs=arrays)
        assert found.passed and len(found.layers) == (not cond)
        np.testing.assert_allclose(found.outputs["y"], run_onnxruntime(proto, arrays)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (loop(2, 3), "its body has 3 inputs and 3 outputs, not 3 and 4"),
        (scan(4, num_scan_inputs=2**40), "num_scan_inputs is 1099511627776, it has 2 inputs"),
        (scan(4, num_scan_inputs=0), "num_scan_inputs is 0, it has 2 inputs"),
        (scan(4, scan_input_axes=[7]), "has no axis 7"),
        (scan(4, scan_output_axes=[0, 0]), "scan_output_axes has 2 values where 1 are needed"),
        (scan(4, scan_input_directions=[0, 0, 0]), "scan_input_directions has 3 values where 1 are needed"),
    ],
)
def test_bodies_that_do_not_fit(proto, words, tmp_path):
    """They are kept, with a note, where the shapes are stated."""
    for name, shape in (("last", [3]), ("all", [4, 3]), ("more", [2, 3])):
        proto.graph.value_info.append(value(name, FLOAT, shape))
    del proto.graph.output[:]
    proto.graph.output.append(value("last", FLOAT, [2, 3] if proto.graph.node[0].op_type == "Loop" else [3]))
    (kept,) = loaded(proto, tmp_path).network.nodes
    assert words in kept.note
