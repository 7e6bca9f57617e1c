"""ConvTranspose: the same values as ONNX Runtime's, and no product by a zero put between the inputs."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from mapper.errors import InputError
from mapper.ir import conv


def transposed(x, w, *, bias=False, stored=True, opset=17, **attributes):
    """A model of one node `up` with an input of that shape and a weight, stored or another input, of that."""
    rng = np.random.default_rng(1)
    constants = {"w": rng.normal(size=w).astype(np.float32)} if stored else {}
    if bias:
        constants["b"] = rng.normal(size=w[1] * attributes.get("group", 1)).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w", *(["b"] if bias else [])], ["y"], name="up", **attributes)
    return model([node], {"x": x} | ({} if stored else {"w": w}), ["y"], constants=constants, opset=opset)


def macs(read):
    return sum(layer.nest.operations for layer in read.network.layers)


def moved(read):
    """The values that are read and written by what is no layer."""
    counted = [
        (n.name, *(sum(m for m, bits in e if bits is None) for e in (n.reads, n.writes))) for n in read.network.others
    ]
    return [(name, reads, writes) for name, reads, writes in counted if reads or writes]


def products_of(n, k, stride, dilation, before, out):
    """The products along an axis: of each phase, the outputs whose taps reach the input times these taps."""
    total = 0
    for phase in range(before, before + min(stride, out)):
        reach = [r * dilation for r in range(k) if (phase - r * dilation) % stride == 0]
        if reach:
            outputs = range(phase, before + out, stride)
            total += len(reach) * sum(reach[0] <= p and p - reach[-1] <= (n - 1) * stride for p in outputs)
    return total


def test_one_phase_is_the_whole_output(tmp_path):
    """Stride 1: the convolution with the kernel reversed; 6 = 4 + 3 - 1 outputs, each meets 3 of 3 taps."""
    read = assert_model_equals_onnxruntime(transposed((1, 3, 4, 4), (3, 2, 3, 3)), tmp_path)
    (node,) = read.network.nodes
    assert (node.name, node.op, node.inputs[0], node.outputs, node.times) == ("up", "ConvTranspose", "x", ("y",), 1)
    assert node.nest == conv(K=2, C=3, P=6, Q=6, R=3, S=3)


def test_the_bias_of_one_phase_is_attached(tmp_path):
    read = assert_model_equals_onnxruntime(
        transposed((1, 3, 4, 4), (3, 2, 3, 3), bias=True, pads=[1, 1, 1, 1]), tmp_path
    )
    layer, bias = read.network.nodes
    assert layer.nest == conv(K=2, C=3, P=4, Q=4, R=3, S=3)
    assert (bias.op, bias.to) == ("Bias", "up")
    assert moved(read) == [("up/bias", 2, 0)]


def test_each_combination_of_phases_is_a_layer(tmp_path):
    """Kernel 3, stride 2, pad 1: even outputs meet tap 1, odd ones the taps 2 and 0."""
    proto = transposed((1, 3, 4, 5), (3, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert {layer.name: layer.nest for layer in read.network.layers} == {
        "up/phase_0": conv(K=2, C=3, P=4, Q=5, R=1, S=1),
        "up/phase_1": conv(K=2, C=3, P=4, Q=5, R=1, S=2),
        "up/phase_2": conv(K=2, C=3, P=4, Q=5, R=2, S=1),
        "up/phase_3": conv(K=2, C=3, P=4, Q=5, R=2, S=2),
    }
    assert macs(read) == 6 * (4 * 3) * (5 * 3)
    # all phases are as long, so that they only take turns
    assert moved(read) == [("up/rest", 2 * 8 * 10, 2 * 8 * 10)]


@pytest.mark.parametrize("kernel", [(2,), (3, 2), (2, 1, 3)])
@pytest.mark.parametrize("group", [1, 2])
def test_as_many_products_as_inputs_times_kernel(kernel, group, tmp_path):
    """With the stride of the kernel's size no tap meets padding."""
    size = (4, 3, 2)[: len(kernel)]
    proto = transposed((2, 4, *size), (4, 3, *kernel), group=group, strides=kernel, bias=True)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert macs(read) == 2 * 4 * math.prod(size) * 3 * math.prod(kernel)
    assert [layer.name for layer in read.network.layers] == [f"up/phase_{n}" for n in range(math.prod(kernel))]
    outputs = 2 * 3 * group * math.prod(size) * math.prod(kernel)
    assert moved(read) == [("up/rest", outputs + 3 * group, outputs)]


def test_outputs_beyond_the_kernel_cost_nothing(tmp_path):
    """The last two of each axis come from output_padding; every fourth output, and the one behind it, meet an input."""
    proto = transposed((1, 1, 3), (1, 1, 2), strides=[4], output_padding=[2], bias=True)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert [(layer.name, layer.nest) for layer in read.network.layers] == [
        ("up/phase_0", conv(Q=3)),
        ("up/phase_1", conv(Q=3)),
    ]
    assert macs(read) == 6
    assert read.network.shapes["y"] == (1, 1, 12)


def test_an_output_longer_than_all_that_meets_an_input(tmp_path):
    """Two outputs have the bias alone, which is therefore not attached to the layer."""
    read = loaded(transposed((1, 1, 5), (1, 1, 3), output_shape=[9], bias=True), tmp_path)
    assert [(layer.name, layer.nest) for layer in read.network.layers] == [("up", conv(Q=7, S=3))]
    assert moved(read) == [("up/rest", 7 + 1, 9)]


def test_phases_without_taps_are_zeros(tmp_path):
    """A stride and a dilation of 4 and 6 leave phase 0 and 2, with the taps 0, 2 and 1; stride 3 and kernel 1 one."""
    read = assert_model_equals_onnxruntime(transposed((1, 1, 5), (1, 1, 3), strides=[4], dilations=[6]), tmp_path)
    assert [(layer.name, layer.nest) for layer in read.network.layers] == [
        ("up/phase_0", conv(Q=8, S=2, dilation=(1, 3))),
        ("up/phase_2", conv(Q=5)),
    ]
    read = assert_model_equals_onnxruntime(
        transposed((1, 2, 4, 4), (2, 3, 1, 1), strides=[3, 3], pads=[2, 1, 0, 0], bias=True), tmp_path
    )
    (layer,) = read.network.layers
    assert layer.name == "up"
    assert layer.nest == conv(K=3, C=2, P=3, Q=3)


def test_pads_that_drop_inputs(tmp_path):
    """Pads beyond the kernel crop the input of the phases."""
    read = assert_model_equals_onnxruntime(transposed((1, 1, 6), (1, 1, 2), pads=[3, 2]), tmp_path)
    assert macs(read) == 2 * 2
    read = assert_model_equals_onnxruntime(transposed((1, 1, 6), (1, 1, 2), strides=[2], pads=[5, 3]), tmp_path)
    assert macs(read) == 4


def test_no_output_meets_an_input(tmp_path):
    """All that is kept is between the inputs: only the bias is left."""
    proto = transposed((1, 2, 1), (2, 3, 1), strides=[4], pads=[1, 0], output_padding=[3], bias=True)
    read = loaded(proto, tmp_path)
    assert read.network.layers == ()
    proto = transposed((1, 2, 1, 2), (2, 3, 1, 1), strides=[4, 1], pads=[1, 0, 0, 0], output_padding=[3, 0], bias=True)
    assert loaded(proto, tmp_path).network.layers == ()


GEOMETRIES = {
    "strides": {"strides": [2, 3]},
    "SAME_UPPER": {"strides": [2, 3], "auto_pad": "SAME_UPPER"},
    "SAME_LOWER": {"strides": [2, 3], "auto_pad": "SAME_LOWER"},
    "SAME of a stride beyond the kernel": {"strides": [4, 1], "auto_pad": "SAME_UPPER"},
    "SAME dilated": {"strides": [3, 1], "dilations": [2, 2], "auto_pad": "SAME_LOWER"},
    "VALID": {"strides": [2, 1], "auto_pad": "VALID"},
    "VALID and an output shape": {"strides": [2, 2], "auto_pad": "VALID", "output_shape": [8, 9]},
    "output shape": {"strides": [2, 3], "output_shape": [8, 14]},
    "output shape instead of pads": {"strides": [2, 2], "output_shape": [8, 10], "pads": [1, 0, 0, 1]},
    "output shape UPPER": {"strides": [2, 3], "output_shape": [8, 14], "auto_pad": "SAME_UPPER"},
    "output shape LOWER": {"strides": [2, 3], "output_shape": [8, 14], "auto_pad": "SAME_LOWER"},
    "output shape and padding": {"strides": [3, 2], "output_shape": [10, 9], "output_padding": [1, 1]},
    "output shape beyond the kernel": {"strides": [2, 2], "output_shape": [10, 12]},
    "pads": {"strides": [2, 2], "pads": [0, 1, 2, 1], "kernel_shape": [3, 3]},
    "dilated": {"strides": [2, 3], "dilations": [3, 2], "pads": [1, 2, 0, 1]},
    "dilated by the stride": {"strides": [2, 2], "dilations": [2, 2]},
    "groups": {"strides": [2, 1], "group": 2, "pads": [1, 1, 1, 1]},
    "depthwise": {"strides": [2, 2], "group": 4, "output_padding": [1, 1]},
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_attributes(name, bias, tmp_path):
    attributes = GEOMETRIES[name]
    read = assert_model_equals_onnxruntime(transposed((2, 4, 4, 5), (4, 3, 3, 3), bias=bias, **attributes), tmp_path)
    filters = 3 * attributes.get("group", 1)
    assert all(
        (layer.nest.extents["G"], layer.nest.extents["K"], layer.nest.extents["C"])
        == (attributes.get("group", 1), 3, 4 // attributes.get("group", 1))
        for layer in read.network.layers
    )
    assert read.network.shapes["y"][:2] == (2, filters)


@st.composite
def geometries(draw):
    """By axis: size, kernel, stride, dilation, pads, output padding."""
    rank = draw(st.integers(1, 3))
    most = (9, 5, 3)[rank - 1]
    found = []
    for _ in range(rank):
        stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        n, k = draw(st.integers(1, most)), draw(st.integers(1, 4))
        pads = draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
        more = draw(st.integers(0, stride - 1))
        assume((n - 1) * stride + (k - 1) * dilation + 1 + more - sum(pads) >= 1)
        found.append((n, k, stride, dilation, pads, more))
    return found


@settings(max_examples=60, deadline=None)
@given(axes=geometries(), group=st.sampled_from([1, 2]), bias=st.booleans(), stored=st.booleans())
def test_any_geometry(axes, group, bias, stored, tmp_path_factory):
    size, kernel, strides, dilations, pads, more = (list(values) for values in zip(*axes, strict=True))
    proto = transposed(
        (1, 4, *size),
        (4, 3, *kernel),
        bias=bias,
        stored=stored,
        group=group,
        strides=strides,
        dilations=dilations,
        pads=[pair[end] for end in (0, 1) for pair in pads],
        output_padding=more,
    )
    read = assert_model_equals_onnxruntime(proto, tmp_path_factory.mktemp("case"))
    out = read.network.shapes["y"][2:]
    along = [products_of(n, k, s, d, p[0], m) for (n, k, s, d, p, _), m in zip(axes, out, strict=True)]
    assert macs(read) == 4 * 3 * math.prod(along)
    landing = [
        sum(0 <= i * s + r * d - p[0] < m for i, r in product(range(n), range(k)))
        for (n, k, s, d, p, _), m in zip(axes, out, strict=True)
    ]
    assert macs(read) >= 4 * 3 * math.prod(landing)
    if all(k == s and d == 1 for _, k, s, d, _, _ in axes):
        assert macs(read) == 4 * 3 * math.prod(landing)


def test_opset_1(tmp_path):
    assert_model_equals_onnxruntime(transposed((1, 2, 3), (2, 3, 2), strides=[2], opset=8), tmp_path)


def test_a_weight_that_is_computed_is_moved(tmp_path):
    """Each tap is read and written once, to the phase that it belongs to."""
    read = assert_model_equals_onnxruntime(transposed((1, 3, 4), (3, 2, 5), strides=[2], stored=False), tmp_path)
    assert moved(read) == [("up/rest", 3 * 2 * 5, 3 * 2 * 5), ("up/rest_2", 2 * 11, 2 * 11)]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"strides": [2]}, "attribute strides has 1 values where 2 are needed"),
        ({"strides": [0, 1]}, "strides and dilations must be at least 1"),
        ({"kernel_shape": [3, 2]}, "kernel"),
        ({"group": 3}, "4 channels, a weight of 4 and 3 group"),
        ({"auto_pad": "SAME"}, "auto_pad"),
        ({"pads": [-1, 0, 0, 0]}, "pads must be at least 0, not -1, 0, 0, 0"),
        ({"output_padding": [-1, 0]}, "output_padding must be at least 0"),
        ({"pads": [9, 9, 9, 9]}, "the shape of tensor y"),
        # ONNX's shape inference and ONNX Runtime do not agree on this one
        ({"strides": [2, 2], "output_padding": [1, 1], "auto_pad": "SAME_UPPER"}, "8x10, shape inference says 9x11"),
    ],
)
def test_what_does_not_fit(attributes, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        loaded(transposed((1, 4, 4, 5), (4, 3, 3, 3), **attributes), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "w", "words"),
    [
        ((1, 4, 5), (3, 2, 3), "4 channels, a weight of 3 and 1 group"),
        ((1, 4, 5), (4, 2, 3, 3), r"an input of shape \(1, 4, 5\) and a weight of shape \(4, 2, 3, 3\) do not fit"),
        ((4,), (4,), "-1-D transposed convolution is not supported"),
        ((1, 4, 1, 1, 1, 2), (4, 2, 1, 1, 1, 2), "4-D transposed convolution is not supported.*1-D to 3-D are"),
    ],
)
def test_shapes_that_do_not_fit(x, w, words, tmp_path):
    with pytest.raises(InputError, match=words):
        loaded(transposed(x, w), tmp_path)
