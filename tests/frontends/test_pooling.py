"""Pooling and reductions as loop nests of one operand compute what ONNX Runtime computes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, shape_inference
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from mapper.errors import InputError
from mapper.ir import Reduction


def case(op, shape, *, opset=22, constants=None, inputs=("x",), outputs=("y",), **attributes):
    node = helper.make_node(op, list(inputs), list(outputs), name="it", **attributes)
    return model([node], {"x": shape}, [*outputs], constants=constants, opset=opset)


def only(proto, folder):
    (node,) = assert_model_equals_onnxruntime(proto, folder).network.nodes
    return node


@pytest.mark.parametrize(
    ("shape", "kernel", "attributes", "extents"),
    [
        pytest.param((2, 3, 8, 9), [2, 3], {}, "N=2 C=3 P=7 Q=7 R=2 S=3", id="plain"),
        pytest.param(
            (1, 2, 7, 7), [3, 3], {"strides": [2, 2], "pads": [1, 1, 1, 1]}, "N=1 C=2 P=4 Q=4 R=3 S=3", id="pads"
        ),
        pytest.param(
            (1, 2, 7, 8), [2, 2], {"strides": [2, 2], "ceil_mode": 1}, "N=1 C=2 P=4 Q=4 R=2 S=2", id="ceiling"
        ),
        pytest.param(
            (1, 1, 6, 6), [3, 3], {"strides": [3, 2], "pads": [0, 1, 1, 0], "ceil_mode": 1}, None, id="ceiling, pads"
        ),
        pytest.param((1, 2, 9, 9), [2, 3], {"dilations": [3, 2]}, "N=1 C=2 P=6 Q=5 R=2 S=3", id="dilated"),
        pytest.param((1, 2, 7, 8), [3, 2], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, None, id="same"),
        pytest.param((2, 3, 9), [4], {"strides": [2]}, "N=2 C=3 P=1 Q=3 R=1 S=4", id="1-D"),
        pytest.param((1, 2, 4, 5, 6), [2, 2, 3], {}, "N=1 C=2 D=3 P=4 Q=4 T=2 R=2 S=3", id="3-D"),
    ],
)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "counting the padding"])
def test_pooling(op, shape, kernel, attributes, extents, tmp_path):
    average = {} if op == "MaxPool" else {"count_include_pad": int(op != "AveragePool")}
    kind = "MaxPool" if op == "MaxPool" else "AveragePool"
    node = only(case(kind, shape, kernel_shape=kernel, **attributes, **average), tmp_path)
    assert node.nest.reduction is (Reduction.MAX if op == "MaxPool" else Reduction.SUM)
    if extents:
        assert " ".join(f"{d}={n}" for d, n in node.nest.dims) == extents
    assert node.nest.macs == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_pooling(data, tmp_path):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kernel = [draw(1, 3), draw(1, 3)]
    attributes = {"kernel_shape": kernel, "strides": [draw(1, 3), draw(1, 3)], "ceil_mode": draw(0, 1)}
    attributes["pads"] = [draw(0, k - 1) for k in kernel * 2]
    op = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(0, 1)
    only(case(op, (1, 2, draw(3, 8), draw(3, 8)), **attributes), tmp_path)


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 6), (1, 2, 3, 4, 2)])
def test_global_pooling(op, shape, tmp_path):
    node = only(case(op, shape), tmp_path)
    assert node.nest.operations == np.prod(shape)
    assert node.nest.words(node.nest.output) == shape[0] * shape[1]


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(("axes", "kept"), [([1], "a,c"), ([-1, 0], "b"), ([0, 1, 2], ""), (None, "")])
def test_reductions(op, keep, axes, kept, tmp_path):
    if op == "ReduceSum":
        constants = {"axes": np.array(axes)} if axes else None
        proto = case(op, (2, 3, 4), inputs=("x", *(["axes"] if axes else [])), constants=constants, keepdims=keep)
    else:
        proto = case(op, (2, 3, 4), opset=13, keepdims=keep, **({"axes": axes} if axes else {}))
    nest = only(proto, tmp_path).nest
    arrow = {"ReduceMax": "max=", "ReduceMin": "min="}.get(op, "+=")
    assert str(nest) == f"O[{kept}] {arrow} I[a,b,c] {{a=2 b=3 c=4}}"


@pytest.mark.parametrize(
    "proto",
    [
        pytest.param(case("MaxPool", (1, 2, 4, 4), outputs=("y", "places"), kernel_shape=[2, 2]), id="places"),
        pytest.param(case("ReduceMax", (2, 3), opset=13, axes=[1], inputs=("x",)), id="one axis"),
        pytest.param(case("ReduceSum", (2, 3), noop_with_empty_axes=1), id="nothing"),
        pytest.param(case("ReduceSum", (2, 1), inputs=("x", "axes"), constants={"axes": np.array([1])}), id="of one"),
    ],
)
def test_what_is_no_loop_nest_moves_data(proto, tmp_path):
    if len(proto.graph.output) > 1:
        proto.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
    (node,) = loaded(proto, tmp_path).network.nodes
    assert (node.nest is None) == (proto.graph.node[0].op_type != "ReduceMax")
    assert node.nest or (node.reads and node.writes)


def test_axes_that_are_computed_move_data(tmp_path):
    proto = case("ReduceSum", (2, 3), inputs=("x", "axes"), keepdims=1)
    proto.graph.input.append(helper.make_tensor_value_info("axes", TensorProto.INT64, [1]))
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 2
    proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 1
    (node,) = loaded(proto, tmp_path).network.nodes
    assert (node.nest, node.reads, node.writes) == (None, ((6, None), (1, 64)), ((2, None),))


def test_integers_are_summed_exactly_or_not_at_all(tmp_path):
    def integers(op, kind, **attributes):
        proto = case(op, (2, 3), opset=13, **attributes)
        proto.graph.input[0].type.tensor_type.elem_type = proto.graph.output[0].type.tensor_type.elem_type = kind
        return loaded(proto, tmp_path).network.nodes[0].nest

    assert integers("ReduceSum", TensorProto.INT32).tensor("I").bits == 32
    assert integers("ReduceSum", TensorProto.INT64) is None
    assert integers("ReduceMean", TensorProto.INT32, axes=[0]) is None
    assert str(integers("ReduceMax", TensorProto.INT8, axes=[1])) == "O:8[a] max= I:8[a,b] {a=2 b=3}"


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (case("MaxPool", (1, 2, 3, 3), kernel_shape=[5, 5]), "more than the padded input has"),
        (case("AveragePool", (1, 2, 3, 3), kernel_shape=[1, 1], pads=[2, 0, 0, 0]), "in the padding altogether"),
    ],
)
def test_refused(proto, words, tmp_path):
    with pytest.raises(InputError, match=words):
        loaded(proto, tmp_path)


def test_what_follows_a_pooling_is_attached_to_it(tmp_path):
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"], name="pool"),
        helper.make_node("Sigmoid", ["p"], ["s"], name="gate"),
        helper.make_node("Mul", ["x", "s"], ["y"], name="scaled"),
    ]
    network = assert_model_equals_onnxruntime(model(nodes, {"x": (1, 3, 4, 4)}, ["y"]), tmp_path).network
    assert [(n.name, n.to, n.reads) for n in network.others] == [("gate", "pool", ()), ("scaled", "", ((51, None),))]


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool", "LpPool"])
@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads", "out"),
    [
        ((2, 5, 2, 1), [1, 1], [2, 1], [0, 0, 0, 0], (2, 5, 1, 1)),
        ((1, 1, 9, 9), [4, 4], [4, 4], [2, 2, 2, 2], (1, 1, 3, 3)),
        ((1, 2, 5), [2], [3], [1, 1], (1, 2, 2)),
        ((1, 2, 8, 8), [3, 3], [2, 2], [1, 1, 1, 1], (1, 2, 5, 5)),  # here both agree
    ],
)
@pytest.mark.parametrize("referee", [True, False])
def test_a_window_that_only_inference_sees(op, shape, kernel, strides, pads, out, referee, tmp_path, monkeypatch):
    """Before opset 22 ONNX infers a last window that would begin behind the padding: it is not there, and that is said.

    This is known with and without ONNX Runtime.
    """
    if not referee:
        monkeypatch.setattr("frontends.onnx.referee.made", lambda node, region: {})
    windows = {"ceil_mode": 1, "kernel_shape": kernel, "strides": strides, "pads": pads}
    nodes = [helper.make_node(op, ["x"], ["p"], name="pool", **windows), helper.make_node("Neg", ["p"], ["y"])]
    proto = model(nodes, {"x": shape}, ["y"], opset=18)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert read.network.shapes["y"] == out
    inferred = [dim.dim_value for dim in shape_inference.infer_shapes(proto).graph.output[0].type.tensor_type.shape.dim]
    notes = [node.note for node in read.network.nodes if node.note]
    source = "as ONNX Runtime makes it" if referee else "by definition"
    words = f"ONNX infers {'x'.join(map(str, inferred))} for its output p; {'x'.join(map(str, out))} {source} is taken"
    assert notes == ([words] if tuple(inferred) != out else [])
    assert tuple(inferred) != out or shape == (1, 2, 8, 8)


def test_a_mean_of_everything_is_handed_on(tmp_path):
    """One number has no axes, and is an array still."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], name="mean", keepdims=0),
        helper.make_node("Mul", ["m", "m"], ["y"], name="square"),
    ]
    assert_model_equals_onnxruntime(model(nodes, {"x": (2, 3)}, ["y"]), tmp_path)
