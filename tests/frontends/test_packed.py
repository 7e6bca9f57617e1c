"""MatMulNBits: weights of a few bits, in blocks with a scale each."""

import numpy as np
import pytest
from onnx import helper
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model

from mapper.errors import InputError


def packed(*, n=8, k=64, block=32, bits=4, zeros="", rows=(3,), bias=False, **told):
    """A model of one node; `zeros` are "packed", "float" or left out."""
    rng = np.random.default_rng(0)
    blocks = -(-k // block)
    stored = {
        "B": rng.integers(0, 256, (n, blocks, block * bits // 8), np.uint8),
        "scales": rng.uniform(0.1, 1, (n, blocks)).astype(np.float32),
    }
    if zeros == "packed":
        stored["zeros"] = rng.integers(0, 256, (n, -(-blocks * bits // 8)), np.uint8)
    elif zeros:
        stored["zeros"] = rng.uniform(0, 15, (n, blocks)).astype(np.float32)
    if bias:
        stored["bias"] = rng.standard_normal(n).astype(np.float32)
    names = ["A", "B", "scales", "zeros" if zeros else "", "", "bias" if bias else ""]
    told = {"K": k, "N": n, "bits": bits, "block_size": block, **told}
    node = helper.make_node("MatMulNBits", names, ["Y"], name="mm", domain="com.microsoft", **told)
    return model([node], {"A": (*rows, k)}, ["Y"], constants=stored, domains=["com.microsoft"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block": 16, "zeros": "packed"},
        {"k": 40, "block": 16, "zeros": "packed"},
        {"bits": 8},
        {"bits": 8, "zeros": "packed"},
        {"n": 5, "k": 272, "block": 16, "zeros": "packed", "rows": (2, 3), "bias": True},
        {"accuracy_level": 4},  # leave to round the other operand as well, which nobody takes here
    ],
)
def test_values_and_widths(options, tmp_path):
    options = {"n": 8, "k": 64, "block": 32, "bits": 4, **options}
    read = assert_model_equals_onnxruntime(packed(**options), tmp_path)
    (layer,) = read.network.layers
    assert layer.name == "mm"
    rows = np.prod(options.get("rows", (3,)))
    assert layer.nest.extents == {"M": rows, "N": options["n"], "K": options["k"]}
    assert [tensor.bits for tensor in layer.nest.tensors] == [None, options["bits"], None]
    # each block's scale and zero point are read with its weights
    blocks = options["n"] * -(-options["k"] // options["block"])
    reads = {(blocks, None)} | ({(blocks, options["bits"])} if options.get("zeros") else set())
    (scales,) = (node for node in read.network.others if node.op == "DequantizeLinear")
    assert (set(scales.reads), scales.writes, scales.to) == (reads, (), "mm")


@pytest.mark.parametrize("options", [{"bits": 2}, {"zeros": "float"}])
def test_what_is_not_taken_apart_says_so(options, tmp_path):
    (node,) = loaded(packed(**options), tmp_path).network.nodes
    assert (node.op, node.note) == ("MatMulNBits", "its multiply-accumulates are not counted")
    assert node.writes == ((3 * 8, None),)


def test_weights_that_are_not_constant_are_not_taken_apart(tmp_path):
    proto = packed()
    (codes,) = (t for t in proto.graph.initializer if t.name == "B")
    proto.graph.initializer.remove(codes)
    proto.graph.input.append(helper.make_tensor_value_info("B", 2, codes.dims))
    (node,) = loaded(proto, tmp_path).network.nodes
    assert node.note == "its multiply-accumulates are not counted"


def test_it_runs_between_layers(tmp_path):
    """The shape of its output is known although ONNX's inference does not know it."""
    proto = packed(n=64)
    proto.graph.node.append(helper.make_node("MatMul", ["Y", "w"], ["z"], name="next"))
    proto.graph.input.append(helper.make_tensor_value_info("w", 1, (64, 2)))
    proto.graph.output[0].name = "z"
    read = loaded(proto, tmp_path)
    assert [layer.nest.extents["N"] for layer in read.network.layers] == [64, 2]
    assert executed(read).passed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"K": 63}, "does not have K=63"),
        ({"N": 9}, r"B has shape \(8, 2, 16\), not \(9, 2, 16\)"),
        ({"block_size": 0}, "N=8, K=64 in blocks of 0"),
    ],
)
def test_bad_input(options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        loaded(packed(**options), tmp_path)
