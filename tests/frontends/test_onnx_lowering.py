"""Each MAC operator as a loop nest computes what ONNX Runtime computes."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_cases import assert_layer_equals_onnxruntime, loaded, model

from mapper.errors import InputError


def conv_case(x, w, *, bias=False, **attributes):
    inputs = {"x": x, "w": w, **({"b": (w[0],)} if bias else {})}
    return model([helper.make_node("Conv", list(inputs), ["y"], name="conv", **attributes)], inputs, ["y"])


def matmul_case(a, b):
    return model([helper.make_node("MatMul", ["a", "b"], ["y"], name="mm")], {"a": a, "b": b}, ["y"])


@pytest.mark.parametrize(
    ("x", "w", "attributes"),
    [
        pytest.param((1, 3, 9, 8), (4, 3, 3, 2), {}, id="plain"),
        pytest.param((2, 6, 9, 9), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}, id="grouped"),
        pytest.param((1, 5, 7, 7), (10, 1, 3, 3), {"group": 5}, id="depthwise"),
        pytest.param((1, 2, 10, 11), (3, 2, 3, 2), {"strides": [2, 3]}, id="strided, rest of the input unused"),
        pytest.param((1, 2, 12, 11), (3, 2, 3, 3), {"dilations": [2, 3]}, id="dilated"),
        pytest.param((1, 2, 5, 6), (3, 2, 3, 3), {"pads": [0, 1, 2, 3]}, id="uneven pads"),
        pytest.param((1, 2, 7, 8), (3, 2, 1, 1), {"strides": [2, 2]}, id="pointwise strided"),
        pytest.param((1, 2, 7, 8), (3, 2, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, id="same upper"),
        pytest.param((1, 2, 7, 8), (3, 2, 2, 4), {"auto_pad": "SAME_LOWER", "strides": [1, 3]}, id="same lower"),
        pytest.param((1, 2, 7, 8), (3, 2, 1, 1), {"auto_pad": "SAME_UPPER", "strides": [3, 3]}, id="same, no pads"),
        pytest.param((1, 2, 7, 8), (3, 2, 3, 3), {"auto_pad": "VALID"}, id="valid"),
        pytest.param((1, 4, 5, 6, 7), (6, 2, 2, 3, 3), {"group": 2, "strides": [1, 2, 1]}, id="3-D"),
        pytest.param(
            (1, 2, 5, 4, 4), (3, 2, 2, 2, 2), {"pads": [1, 0, 1, 0, 1, 1], "dilations": [2, 1, 1]}, id="3-D, uneven"
        ),
        pytest.param((2, 4, 11), (6, 2, 3), {"group": 2, "strides": [2], "pads": [1, 2]}, id="1-D"),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(x, w, attributes, bias, tmp_path):
    nest = assert_layer_equals_onnxruntime(conv_case(x, w, bias=bias, **attributes), tmp_path)
    group = attributes.get("group", 1)
    assert [nest.extents[d] for d in "NGKCRS"][:4] == [x[0], group, w[0] // group, w[1]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_conv(data, tmp_path):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    group, kernel, dilations = draw(1, 3), [draw(1, 3), draw(1, 3)], [draw(1, 3), draw(1, 3)]
    size = [d * (k - 1) + 1 + draw(0, 5) for d, k in zip(dilations, kernel, strict=True)]
    attributes = {"group": group, "strides": [draw(1, 3), draw(1, 3)], "dilations": dilations}
    attributes["pads"] = [draw(0, 2) for _ in range(4)]
    x, w = (draw(1, 2), group * 2, *size), (group * draw(1, 2), 2, *kernel)
    assert_layer_equals_onnxruntime(conv_case(x, w, **attributes), tmp_path)


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (3, 1), (3, 5), (1,), ()])
def test_gemm(trans_a, trans_b, bias, tmp_path):
    inputs = {"a": (4, 3) if trans_a else (3, 4), "b": (5, 4) if trans_b else (4, 5)}
    inputs |= {} if bias is None else {"c": bias}
    node = helper.make_node("Gemm", list(inputs), ["y"], transA=trans_a, transB=trans_b, alpha=0.5, beta=2.0)
    nest = assert_layer_equals_onnxruntime(model([node], inputs, ["y"]), tmp_path)
    assert nest.extents == {"M": 3, "N": 5, "K": 4}


def test_gemm_without_beta_reads_no_bias(tmp_path):
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], beta=0.0)
    proto = model([node], {"a": (3, 4), "b": (4, 5), "c": (5,)}, ["y"])
    assert_layer_equals_onnxruntime(proto, tmp_path)
    assert loaded(proto, tmp_path).network.others == ()


@pytest.mark.parametrize(
    ("a", "b", "extents"),
    [
        ((3, 4), (4, 5), {"M": 3, "N": 5, "K": 4}),
        ((4,), (4, 5), {"M": 1, "N": 5, "K": 4}),
        ((3, 4), (4,), {"M": 3, "N": 1, "K": 4}),
        ((4,), (4,), {"M": 1, "N": 1, "K": 4}),
        ((2, 3, 4), (4,), {"M": 6, "N": 1, "K": 4}),
        ((4,), (2, 4, 5), {"M": 1, "N": 10, "K": 4}),
        ((2, 6, 3, 4), (4, 5), {"M": 36, "N": 5, "K": 4}),
        ((3, 4), (2, 6, 4, 5), {"M": 3, "N": 60, "K": 4}),
        ((2, 6, 3, 4), (2, 6, 4, 5), {"B": 12, "M": 3, "N": 5, "K": 4}),
        ((2, 1, 3, 4), (1, 6, 4, 5), {"M": 6, "N": 30, "K": 4}),
        ((2, 6, 3, 4), (6, 4, 5), {"B": 6, "M": 6, "N": 5, "K": 4}),
        ((6, 3, 4), (2, 6, 4, 5), {"B": 6, "M": 3, "N": 10, "K": 4}),
        ((7, 1, 2, 3, 4), (1, 6, 2, 4, 5), {"B": 2, "M": 21, "N": 30, "K": 4}),
    ],
)
def test_matmul(a, b, extents, tmp_path):
    assert assert_layer_equals_onnxruntime(matmul_case(a, b), tmp_path).extents == extents


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_matmul(data, tmp_path):
    batch = data.draw(st.lists(st.integers(1, 3), max_size=3))
    a, b = (
        [data.draw(st.sampled_from([n, 1])) for n in batch[data.draw(st.integers(0, len(batch))) :]] for _ in range(2)
    )
    nest = assert_layer_equals_onnxruntime(matmul_case((*a, 2, 3), (*b, 3, 4)), tmp_path)
    broadcast = [max(pair) for pair in zip([1] * (3 - len(a)) + a, [1] * (3 - len(b)) + b, strict=True)]
    assert nest.operations == math.prod(broadcast) * 2 * 3 * 4  # nothing is computed twice


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (conv_case((1, 2, 5, 5, 5, 5), (3, 2, 3, 3, 3, 3)), "4-D convolution is not supported"),
        (conv_case((1, 4, 5, 5), (3, 3, 3, 3)), "4 channels and 3 filters of 3 channels do not fit 1 group"),
        (conv_case((1, 4, 5, 5), (3, 2, 3, 3), group=2), "do not fit 2 group"),
        (conv_case((1, 2, 2, 2), (3, 2, 3, 3)), "more than the padded input has"),
        (matmul_case((3, 4), (5, 6)), "do not multiply"),
    ],
)
def test_refused(proto, words, tmp_path):
    with pytest.raises(InputError, match=f"case.onnx, {proto.graph.node[0].op_type} node .*{words}"):
        loaded(proto, tmp_path)


def test_operators_that_multiply_without_a_family_are_kept_and_say_so(tmp_path):
    inputs = {"x": (2, 3, 4), "router": (6, 5), "w": (5, 4, 7), "v": (5, 7, 4)}
    node = helper.make_node("MoE", list(inputs), ["y"], name="it", domain="com.microsoft")
    proto = model([node], inputs, ["y"], domains=["com.microsoft"])
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, inputs["x"]))
    (node,) = loaded(proto, tmp_path).network.nodes
    elements = sum(math.prod(shape) for shape in inputs.values())
    assert (node.name, node.op, node.nest) == ("it", "MoE", None)
    assert (node.reads, node.writes) == (((elements, None),), ((24, None),))
    assert node.note == "its multiply-accumulates are not counted"
