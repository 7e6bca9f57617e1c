"""What is attached to a layer works element by element: and what does so in some modes only is not in the others."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper
from onnx.reference import ReferenceEvaluator
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from frontends.onnx.registry import ELEMENTWISE

BITS = {"BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"}
BOOLS = {"And", "Not", "Or", "Xor"}
TOLD = {"BitShift": {"direction": "LEFT"}, "Cast": {"to": TensorProto.DOUBLE}}
W = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_one_element_makes_one(op):
    """Another element of the first input changes the output at its place and nowhere else."""
    schema, shape = defs.get_schema(op), (2, 3, 4)
    dtype = np.uint8 if op in BITS else np.bool_ if op in BOOLS else np.float32
    rng = np.random.default_rng()
    given = [np.asarray(rng.uniform(0.2, 0.8, shape) * (3 if op in BITS else 1)).astype(dtype)]
    given += [np.asarray(rng.uniform(0.3, 0.7, shape)).astype(dtype) for _ in range(1, schema.min_input)]
    if op == "Acosh":
        given[0] += 1
    elif op == "BatchNormalization":
        given[1:] = [rng.uniform(0.5, 1, 3).astype(np.float32) for _ in range(4)]
    elif op == "Where":
        given = [given[0] > 0, *(rng.uniform(0, 1, shape).astype(np.float32) for _ in range(2))]
    elif op in ("QuantizeLinear", "DequantizeLinear"):
        given = [(given[0] * 100).astype(np.uint8 if op[0] == "D" else np.float32), np.array(0.1, np.float32)]
    names = [f"i{index}" for index in range(len(given))]
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip(names, given, strict=True)
    ]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["o"], **TOLD.get(op, {}))], "one", inputs, [onnx.ValueInfoProto(name="o")]
    )
    opsets = [helper.make_opsetid("", defs.onnx_opset_version())]
    ran = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
    place = tuple(int(rng.integers(n)) for n in shape)
    other = given[0].copy()
    other[place] = (
        not other[place] if other.dtype == bool else other[place] + (1 if other.dtype != np.float32 else 0.19)
    )
    before, after = (
        ran.run(None, dict(zip(names, [first, *given[1:]], strict=True)))[0] for first in (given[0], other)
    )
    assert before.shape == shape
    changed = np.argwhere(before != after)
    assert all(tuple(at) == place for at in changed)


def normalised(opset, outputs, **told):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node(
            "BatchNormalization", ["c", "s", "b", "m", "v"], ["y", "n", "u", "k", "l"][:outputs], name="bn", **told
        ),
    ]
    rng = np.random.default_rng(1)
    constants = {"w": W} | {name: rng.uniform(0.5, 1.5, 4).astype(np.float32) for name in "sbmv"}
    return model(nodes, {"x": (2, 3, 8, 8)}, ["y"], constants=constants, opset=opset)


@pytest.mark.parametrize(
    ("opset", "outputs", "told", "attached"),
    [
        (15, 1, {}, True),
        (15, 1, {"training_mode": 0}, True),
        (15, 3, {"training_mode": 1}, False),
        (9, 1, {}, True),
        (9, 5, {}, False),
    ],
)
def test_a_batch_normalisation_that_trains_needs_all_outputs_first(opset, outputs, told, attached, tmp_path):
    proto = normalised(opset, outputs, **told)
    network = (loaded if opset == 9 else assert_model_equals_onnxruntime)(proto, tmp_path).network
    (bn,) = [node for node in network.nodes if node.name == "bn"]
    assert bn.to == ("conv" if attached else "")
    assert (bn.reads, bn.writes) == ((((16, None),), ()) if attached else (((288 + 16, None),), ((288, None),)))


@pytest.mark.parametrize(("training", "attached"), [(False, True), (True, False), (None, True)])
def test_a_dropout_that_does_not_train_is_a_view(training, attached, tmp_path):
    inputs = ["c"] if training is None else ["c", "ratio", "training"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Dropout", inputs, ["d"], name="dropout"),
        helper.make_node("Relu", ["d"], ["y"], name="relu"),
    ]
    constants = {"w": W, "ratio": np.array(0.5, np.float32), "training": np.array(bool(training))}
    network = loaded(model(nodes, {"x": (2, 3, 8, 8)}, ["y"], constants=constants), tmp_path).network
    moved = {
        node.name: (sum(n for n, _ in node.reads), sum(n for n, _ in node.writes), node.to) for node in network.nodes
    }
    assert moved["dropout"] == ((0, 0, "") if attached else (290, 288, ""))
    assert moved["relu"] == ((0, 0, "conv") if attached else (288, 288, ""))


@pytest.mark.parametrize(
    "op", ["InstanceNormalization", "LayerNormalization", "LpNormalization", "LRN", "Softmax", "LogSoftmax", "Hardmax"]
)
def test_what_needs_more_than_its_own_element_is_not_attached(op, tmp_path):
    extra = {"InstanceNormalization": ["s", "s"], "LayerNormalization": ["t"]}.get(op, [])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node(op, ["c", *extra], ["y"], name="norm", **({"size": 3} if op == "LRN" else {})),
    ]
    constants = {"w": W, "s": np.ones(4, np.float32), "t": np.ones(6, np.float32)}
    network = loaded(model(nodes, {"x": (2, 3, 8, 8)}, ["y"], constants=constants), tmp_path).network
    (norm,) = [node for node in network.nodes if node.name == "norm"]
    assert norm.to == "" and norm.writes == ((288, None),) and sum(n for n, _ in norm.reads) >= 288
