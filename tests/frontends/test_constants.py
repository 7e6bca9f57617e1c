"""Constants: where they are stored, what is folded, and that all who read them find the same."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model, saved
from test_grouped import grouped
from test_packed import packed

from frontends.onnx import load
from mapper.errors import InputError
from mapper.ir import parse_network

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
MS = "com.microsoft"
node, value = helper.make_node, helper.make_tensor_value_info


def ones(*shape):
    return np.ones(shape, np.float32)


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def integers(*shape):
    return np.random.default_rng(0).integers(-8, 8, shape).astype(np.int8)


LSTM = node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=4, name="it")
TRANSPOSED = node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], name="it")
UNIFORM = {
    "a bias": (LSTM, (3, 2, 4), {"w": drawn(1, 16, 4), "r": drawn(1, 16, 4), "b": 0 * ones(1, 32)}),
    "weights": (LSTM, (3, 2, 4), {"w": ones(1, 16, 4), "r": ones(1, 16, 4), "b": drawn(1, 32)}),
    "many weights": (LSTM, (3, 2, 400), {"w": ones(1, 16, 400) / 100, "r": drawn(1, 16, 4), "b": drawn(1, 32)}),
    "a kernel": (TRANSPOSED, (1, 2, 4, 4), {"w": ones(2, 3, 3, 3)}),
    "a large kernel": (TRANSPOSED, (1, 40, 4, 4), {"w": ones(40, 30, 3, 3)}),
}


@pytest.mark.parametrize("case", UNIFORM.values(), ids=UNIFORM)
def test_constants_that_are_all_the_same(case, tmp_path):
    """They may be replaced by random ones: then for all who read them."""
    it, shape, constants = case
    assert_model_equals_onnxruntime(model([it], {"x": shape}, ["y"], constants=constants), tmp_path)


def test_scales_that_are_all_the_same(tmp_path):
    for n in (8, 8000):
        proto = packed(n=n)
        (scales,) = (t for t in proto.graph.initializer if t.name == "scales")
        scales.CopyFrom(numpy_helper.from_array(ones(n, 2), "scales"))
        assert_model_equals_onnxruntime(proto, tmp_path)


def repeated(*, go_on="given", trips=4):
    """A loop whose number of trips is the output of a node, and whose body may say itself that it goes on."""
    always = node("Constant", [], ["on"], value=numpy_helper.from_array(np.array(True)))
    inside = [node("MatMul", ["s", "w"], ["t"]), node("Identity", ["go"], ["on"]) if go_on == "given" else always]
    given = [value("i", INT64, []), value("go", BOOL, []), value("s", FLOAT, [3, 8])]
    body = helper.make_graph(inside, "body", given, [value("on", BOOL, []), value("t", FLOAT, [3, 8])])
    return [
        node("Constant", [], ["trips"], value=numpy_helper.from_array(np.array(trips))),
        node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body),
    ]


@pytest.mark.parametrize("go_on", ["given", "always"])
def test_trips_that_a_node_says(go_on, tmp_path):
    """Though all shapes are known as it is."""
    proto = model(repeated(go_on=go_on), {"x": (3, 8)}, ["y"], constants={"w": drawn(8, 8) / 9})
    proto.graph.output[0].CopyFrom(value("y", FLOAT, [3, 8]))
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert [(layer.times, layer.note) for layer in read.network.layers] == [(4, "")]


def test_trips_that_follow_from_a_shape(tmp_path):
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "second"], ["trips"]),
        *repeated()[1:],
    ]
    proto = model(nodes, {"x": (3, 8)}, ["y"], constants={"w": drawn(8, 8) / 9, "second": np.array(1)})
    assert [layer.times for layer in assert_model_equals_onnxruntime(proto, tmp_path).network.layers] == [8]


def test_axes_that_a_node_says(tmp_path):
    nodes = [
        node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1]))),
        node("ReduceMean", ["x", "axes"], ["y"], name="mean"),
    ]
    read = assert_model_equals_onnxruntime(model(nodes, {"x": (3, 8)}, ["y"], opset=18), tmp_path)
    assert [layer.name for layer in read.network.layers] == ["mean"]


def test_a_number_of_keys_that_a_node_says(tmp_path):
    proto, given = grouped(before=8, new=1, total=5)
    (total,) = (t for t in proto.graph.initializer if t.name == "total")
    nodes = [node("Constant", [], ["total"], value=total), *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.remove(total)
    read = loaded(proto, tmp_path)
    assert [layer.nest.extents["N"] for layer in read.network.layers] == [5, 16]
    assert executed(read, inputs=given).passed


DEQUANTISED = {
    "transposed": ([node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])], (3, 8), (5, 8)),
    "LSTM": ([LSTM], (3, 2, 4), (1, 16, 4)),
    "ConvTranspose": ([TRANSPOSED], (1, 2, 4, 4), (2, 3, 3, 3)),
    "FusedMatMul": ([node("FusedMatMul", ["x", "w"], ["y"], transB=1, domain=MS)], (3, 8), (5, 8)),
    "Attention": ([node("Attention", ["x", "w", "b"], ["y"], num_heads=2, domain=MS)], (1, 3, 8), (8, 24)),
}


@pytest.mark.parametrize(("nodes", "shape", "weight"), DEQUANTISED.values(), ids=DEQUANTISED)
@pytest.mark.parametrize("same", [False, True])
def test_weights_stay_integers(same, nodes, shape, weight, tmp_path):
    """Also where a layer finds them in another order, or is a part of an operator."""
    constants = {"wq": integers(*weight) * 0 + 1 if same else integers(*weight), "s": np.float32(0.1) * ones()}
    constants["b"] = drawn(*{"LSTM": (1, 32), "Attention": (24,)}.get(nodes[0].op_type, (1,)))
    constants["r"] = drawn(1, 16, 4)
    made = node("DequantizeLinear", ["wq", "s"], ["w"], name="weights")
    proto = model([made, *nodes], {"x": shape}, ["y"], constants=constants, domains=[MS])
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert parse_network(str(read.network)) == read.network
    first = read.network.layers[0]
    assert [tensor.bits for tensor in first.nest.tensors] == [None, 8, None]
    scales = [n for n in read.network.nodes if n.op == "DequantizeLinear"]
    assert [(n.reads, n.writes, n.to) for n in scales] == [(((1, None),), (), first.name)]


LARGE = {
    "ConvTranspose": ([TRANSPOSED], (1, 40, 4, 4), (40, 12, 3, 3)),
    "turned": ([node("Transpose", ["w"], ["t"], perm=[1, 0, 2, 3]), TRANSPOSED], (1, 40, 4, 4), (12, 40, 3, 3)),
    "LSTM": ([node("LSTM", ["x", "w", "r"], ["y"], hidden_size=100, name="it")], (3, 2, 30), (1, 400, 30)),
}


@pytest.mark.parametrize(("nodes", "shape", "weight"), LARGE.values(), ids=LARGE)
def test_many_weights_stay_integers(nodes, shape, weight, tmp_path):
    """Which the parts take from around them; a weight of the state is read in the steps."""
    if nodes[0].op_type == "Transpose":
        nodes = [nodes[0], node("ConvTranspose", ["x", "t"], ["y"], strides=[2, 2], name="it")]
    constants = {"wq": integers(*weight), "s": np.float32(0.01) * ones(), "rq": integers(1, 400, 100)}
    before = [node("DequantizeLinear", ["wq", "s"], ["w"]), node("DequantizeLinear", ["rq", "s"], ["r"])]
    proto = model([*before, *nodes], {"x": shape}, ["y"], constants=constants)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert {layer.nest.tensors[1].bits for layer in read.network.layers} == {8}
    scales = [n for n in read.network.nodes if n.op == "DequantizeLinear"]
    recurrent = nodes[-1].op_type == "LSTM"
    assert [(n.reads, n.writes) for n in scales] == [(((1, None),), ())] * (1 + recurrent)


def test_a_weight_that_is_folded_is_no_integer(tmp_path):
    nodes = [
        node("DequantizeLinear", ["wq", "s"], ["w"], name="weights"),
        node("MatMul", ["w", "c"], ["folded"], name="constant"),
        node("MatMul", ["x", "folded"], ["y"], name="mm"),
    ]
    constants = {"wq": integers(8, 5), "s": np.float32(0.1) * ones(), "c": drawn(5, 4)}
    network = assert_model_equals_onnxruntime(model(nodes, {"x": (3, 8)}, ["y"], constants=constants), tmp_path).network
    assert [(n.name, n.op) for n in network.nodes] == [("mm", "MatMul")]
    assert network.layers[0].nest.tensors[1].bits is None


def test_a_long_way_from_integers_to_the_layer(tmp_path):
    chain = [node("Identity", [f"d{i}"], [f"d{i + 1}"]) for i in range(1500)]
    nodes = [node("DequantizeLinear", ["q", "s"], ["d0"]), *chain, node("MatMul", ["d1500", "w"], ["y"])]
    proto = model(nodes, {}, ["y"], constants={"s": np.float32(0.1) * ones(), "w": drawn(8, 4)})
    proto.graph.input.append(value("q", TensorProto.INT8, (3, 8)))
    assert loaded(proto, tmp_path).network.layers[0].nest.tensors[0].bits == 8


def test_one_layer_and_one_operator_made_of_layers_read_a_weight(tmp_path):
    """Each with its own scales."""
    nodes = [
        node("DequantizeLinear", ["wq", "s"], ["w"], name="weights"),
        node("MatMul", ["x", "w"], ["y"], name="mm"),
        node("FusedMatMul", ["y", "w"], ["z"], transB=1, domain=MS, name="fused"),
    ]
    constants = {"wq": integers(8, 5), "s": np.float32(0.1) * ones()}
    proto = model(nodes, {"x": (3, 8)}, ["z"], constants=constants, domains=[MS])
    network = assert_model_equals_onnxruntime(proto, tmp_path).network
    assert [layer.nest.tensors[1].bits for layer in network.layers] == [8, 8]
    scales = [n for n in network.nodes if n.op == "DequantizeLinear"]
    assert [(n.reads, n.writes, n.to) for n in scales] == [(((1, None),), (), name) for name in ("mm", "fused")]


def test_weights_of_which_few_are_stored(tmp_path):
    """As numbers of elements, and as their indices."""
    for at in (np.array([1, 5, 22]), np.array([[0, 1], [1, 1], [5, 2]])):
        proto = model([node("MatMul", ["x", "w"], ["y"], name="mm")], {"x": (3, 6)}, ["y"])
        few, where = numpy_helper.from_array(drawn(3), "w"), numpy_helper.from_array(at, "")
        proto.graph.sparse_initializer.append(helper.make_sparse_tensor(few, where, [6, 4]))
        assert_model_equals_onnxruntime(proto, tmp_path)


def test_shapes_beside_the_file_are_read(tmp_path):
    constants = {"to": np.array([4, 12]), "w": drawn(12, 500)}
    nodes = [node("Reshape", ["x", "to"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    proto = model(nodes, {"x": (6, 8)}, ["y"], constants=constants)
    onnx.save_model(proto, tmp_path / "case.onnx", save_as_external_data=True, location="data", size_threshold=0)
    read = load(str(tmp_path / "case.onnx"))
    assert read.network.layers[0].nest.extents == {"M": 4, "N": 500, "K": 12}
    assert executed(read).passed


@pytest.mark.parametrize("version", [3, 4])
def test_files_as_old_as_their_operators(version, tmp_path):
    """Before IR 4 initializers are inputs as well, those that parts have of their own as little as any."""
    for it, shape, constants in (UNIFORM["a bias"], UNIFORM["a kernel"]):
        proto = model([it], {"x": shape}, ["y"], constants=constants, opset=9)
        proto.ir_version = version
        proto.graph.input.extend(value(t.name, FLOAT, t.dims) for t in proto.graph.initializer)
        assert executed(load(saved(proto, tmp_path))).passed


def test_names_that_a_model_has_already(tmp_path):
    nodes = [node("Relu", ["x"], ["it/Reshape_0"]), node("Neg", ["it/Reshape_0"], ["it/constant_0"])]
    lstm = onnx.NodeProto.FromString(LSTM.SerializeToString())
    lstm.input[0] = "it/constant_0"
    _, shape, constants = UNIFORM["a bias"]
    assert_model_equals_onnxruntime(model([*nodes, lstm], {"x": shape}, ["y"], constants=constants), tmp_path)


def test_what_is_random_is_no_constant(tmp_path):
    """Nor is what runs it, or a Dropout that trains."""
    inside = [node("RandomNormal", [], ["r"], shape=[3, 4]), node("Identity", ["go"], ["on"])]
    body = helper.make_graph(inside, "b", [value("i", INT64, []), value("go", BOOL, [])],
                             [value("on", BOOL, []), value("r", FLOAT, [3, 4])])  # fmt: skip
    nodes = [
        node("Loop", ["trips", ""], ["many"], name="loop", body=body),
        node("ReduceSum", ["many", "first"], ["w"], keepdims=0, name="sum"),
        node("Dropout", ["c", "half", "train"], ["d"], name="drop"),
        node("MatMul", ["w", "d"], ["y"], name="mm"),
    ]
    constants = {
        "trips": np.array(2),
        "first": np.array([0]),
        "c": ones(4, 2),
        "half": ones() / 2,
        "train": np.array(True),
    }
    network = loaded(model(nodes, {}, ["y"], constants=constants), tmp_path).network
    assert {"loop", "drop", "sum"} <= {n.name for n in network.nodes}


def test_branches_without_names_that_use_the_same_ones(tmp_path):
    """In a body, where each is a scope of its own."""

    def chosen(op, number, result):
        inside = [node(op, ["s", "k"], ["t"])]
        branch = helper.make_graph(inside, "branch", [], [value("t", FLOAT, [2, 2])],
                                   [numpy_helper.from_array(number * ones(2, 2), "k")])  # fmt: skip
        return node("If", ["always"], [result], then_branch=branch, else_branch=branch)

    inside = [
        node("Identity", ["go"], ["on"]),
        chosen("Add", 2, "a"),
        chosen("Mul", 3, "b"),
        node("MatMul", ["a", "b"], ["m"]),
        node("Tanh", ["m"], ["next"]),
    ]
    given = [value("i", INT64, []), value("go", BOOL, []), value("s", FLOAT, [2, 2])]
    body = helper.make_graph(inside, "body", given, [value("on", BOOL, []), value("next", FLOAT, [2, 2])])
    nodes = [node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)]
    constants = {"trips": np.array(3), "always": np.array(True)}
    read = assert_model_equals_onnxruntime(model(nodes, {"x": (2, 2)}, ["y"], constants=constants), tmp_path)
    assert [layer.times for layer in read.network.layers] == [3]


def test_a_small_weight_beside_the_file_that_is_missing_is_named(tmp_path):
    nodes = [node("Reshape", ["x", "to"], ["r"]), node("Relu", ["r"], ["y"])]
    proto = model(nodes, {"x": (6, 8)}, ["y"], constants={"to": np.array([4, 12])})
    onnx.save_model(proto, tmp_path / "case.onnx", save_as_external_data=True, location="data", size_threshold=0)
    (tmp_path / "data").write_bytes(b"short")
    with pytest.raises(InputError, match="stored beside the model could not be read: to in data"):
        load(str(tmp_path / "case.onnx"))
