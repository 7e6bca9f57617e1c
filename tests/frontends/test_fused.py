"""What ONNX Runtime's optimiser makes of layers and what stands around them."""

import numpy as np
import pytest
from onnx import helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from mapper.errors import InputError
from mapper.ir import conv, gemm


def fused(op, inputs, **attributes):
    """A model of one node `f`; inputs by name, those that are arrays stored in the model."""
    shapes = {name: value for name, value in inputs.items() if isinstance(value, tuple)}
    constants = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    names = [name if value is not None else "" for name, value in inputs.items()]
    node = helper.make_node(op, names, ["y"], name="f", domain="com.microsoft", **attributes)
    return model([node], shapes, ["y"], constants=constants, domains=["com.microsoft"])


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def attached(read):
    return [node.op for node in read.network.others if node.to]


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("", ()),
        ("Relu", ()),
        ("Tanh", ()),
        ("Sigmoid", ()),
        ("LeakyRelu", (0.3,)),
        ("Clip", (-0.5, 0.75)),
        ("HardSigmoid", (0.3, 0.4)),
    ],
)
def test_conv(activation, parameters, tmp_path):
    told = {"activation": activation, "activation_params": parameters} if activation else {}
    if not parameters:
        told.pop("activation_params", None)
    proto = fused("FusedConv", {"x": (1, 4, 6, 5), "w": normal(6, 2, 3, 3), "b": normal(6)}, group=2, **told)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, layer.nest) == ("f", "FusedConv", conv(G=2, K=3, C=2, P=4, Q=3, R=3, S=3))
    assert attached(read) == ["Bias", *([activation] if activation else [])]


@pytest.mark.parametrize("bias", [False, True])
def test_conv_and_a_sum(bias, tmp_path):
    """The fourth input joins before the activation."""
    inputs = {"x": (2, 3, 6, 6), "w": normal(4, 3, 3, 3), "b": normal(4) if bias else None, "z": (2, 4, 3, 3)}
    proto = fused("FusedConv", inputs, strides=[2, 2], pads=[1, 1, 1, 1], activation="Relu")
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert read.network.layers[0].nest == conv(N=2, K=4, C=3, P=3, Q=3, R=3, S=3, stride=(2, 2))
    assert attached(read) == [*(["Bias"] if bias else []), "Add", "Relu"]


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
@pytest.mark.parametrize(
    "activation",
    [
        {"activation": "Relu"},
        {"activation": "LeakyRelu", "activation_alpha": 0.3},
        {"activation": "HardSigmoid", "activation_alpha": 0.3, "activation_beta": 0.4},
        {"activation": "Elu", "activation_alpha": 0.7},
    ],
)
def test_gemm(a, b, activation, tmp_path):
    inputs = {"x": (5, 4) if a else (4, 5), "w": normal(*((6, 5) if b else (5, 6))), "c": normal(6)}
    proto = fused("FusedGemm", inputs, transA=a, transB=b, alpha=0.5, beta=0.25, **activation)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, layer.nest) == ("f", "FusedGemm", gemm(M=4, N=6, K=5))
    assert attached(read) == ["Bias", activation["activation"]]


def test_gemm_without_a_bias(tmp_path):
    proto = fused("FusedGemm", {"x": (4, 5), "w": normal(5, 6)}, activation="Tanh")
    assert attached(assert_model_equals_onnxruntime(proto, tmp_path)) == ["Tanh"]


@pytest.mark.parametrize(
    ("left", "right", "turns", "extents"),
    [
        ((4, 5), (5, 6), {}, gemm(M=4, N=6, K=5)),
        ((5, 4), (5, 6), {"transA": 1}, gemm(M=4, N=6, K=5)),
        ((4, 5), (6, 5), {"transB": 1}, gemm(M=4, N=6, K=5)),
        ((5, 4), (6, 5), {"transA": 1, "transB": 1}, gemm(M=4, N=6, K=5)),
        ((5,), (6, 5), {"transA": 1, "transB": 1}, gemm(M=1, N=6, K=5)),
        ((2, 3, 5, 4), (2, 3, 6, 5), {"transA": 1, "transB": 1}, gemm(M=4, N=6, K=5, B=6)),
        ((4, 2, 3, 5), (2, 3, 5, 6), {"transBatchA": 1}, gemm(M=4, N=6, K=5, B=6)),
        ((2, 3, 4, 5), (5, 2, 3, 6), {"transBatchB": 1}, gemm(M=4, N=6, K=5, B=6)),
        ((5, 2, 3, 4), (6, 2, 3, 5), {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1},
         gemm(M=4, N=6, K=5, B=6)),
    ],
)  # fmt: skip
def test_matmul(left, right, turns, extents, tmp_path):
    read = assert_model_equals_onnxruntime(fused("FusedMatMul", {"x": left, "w": right}, alpha=0.5, **turns), tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, layer.nest) == ("f", "FusedMatMul", extents)
    # where an operand is turned is only where the layer finds its elements
    transposes = [node for node in read.network.others if not node.to]
    assert {(node.op, node.reads, node.writes) for node in transposes} <= {("Transpose", (), ())}
    assert [node.op for node in read.network.others if node.to] == ["Mul"]


def test_matmul_by_one(tmp_path):
    read = assert_model_equals_onnxruntime(fused("TransposeMatMul", {"x": (4, 5), "w": (6, 5)}, transB=1), tmp_path)
    turned, layer = read.network.nodes
    assert (turned.op, turned.reads, turned.writes, turned.outputs) == ("Transpose", (), (), layer.inputs[1:])
    assert (layer.name, layer.op, layer.nest) == ("f", "TransposeMatMul", gemm(M=4, N=6, K=5))


def test_an_input_that_is_missing(tmp_path):
    for op in ("FusedConv", "FusedGemm", "FusedMatMul"):
        with pytest.raises(InputError, match=f"{op} node f: 2 inputs are needed, it has 1 of them"):
            loaded(fused(op, {"x": (4, 5)}), tmp_path)
