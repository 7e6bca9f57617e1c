"""Whole models: totals, names, constants, data movement, shapes."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model, saved

from frontends.onnx import files, load, short_names
from mapper.errors import InputError
from mapper.ir import parse_network

CONV_MACS = {
    "alexnet": 595_938_432,
    "inception_v1": 1_430_532_352,
    "resnet50": 4_087_136_256,
}
LAYERS = {
    "alexnet": 8,
    "densenet121": 121,
    "inception_v1": 58,
    "inception_v2": 70,
    "resnet50": 54,
    "shufflenet": 50,
    "squeezenet": 26,
    "vgg19": 19,
    "zfnet512": 8,
}


def elements(n, bits=None):
    return ((n, bits),) if n else ()


def conv_macs(network):
    return sum(layer.nest.operations for layer in network.layers if layer.op == "Conv")


@pytest.mark.parametrize("name", short_names())
def test_every_known_model(name):
    read = load(name)
    network = read.network
    assert network.name == name
    products = [layer for layer in network.layers if layer.nest.macs]
    assert len(products) == LAYERS.get(name, len(products))
    assert set(read.bindings) == {layer.name for layer in network.layers}
    assert len({node.name for node in network.nodes}) == len(network.nodes)
    if name in CONV_MACS:
        assert conv_macs(network) == CONV_MACS[name]
    written = {value for node in network.nodes for value in node.outputs}
    assert {output.name for output in read.region.graph.output} <= written
    for node in network.others:  # nothing is free in silence
        assert bool(node.reads) or node.to or node.op in {"Reshape", "Flatten", "Unsqueeze", "Dropout"}, node
        attached = {"Bias", "Relu", "Add", "Sum", "Mul", "BatchNormalization"}
        assert not node.to or node.op in attached, node
    assert parse_network(str(network)) == network


def test_the_hash_is_the_files(tmp_path):
    path = saved(model([helper.make_node("Relu", ["x"], ["y"])], {"x": (2, 3)}, ["y"]), tmp_path)
    read = load(path)
    assert read.sha256 == hashlib.sha256((tmp_path / "case.onnx").read_bytes()).hexdigest()
    assert read.path == tmp_path / "case.onnx"
    assert load("survey/vgg16").sha256 == load("survey/vgg16").sha256


def test_a_model_without_layers(tmp_path):
    network = loaded(model([helper.make_node("Relu", ["x"], ["y"])], {"x": (2, 3)}, ["y"]), tmp_path).network
    assert network.layers == ()
    assert [(n.name, n.reads, n.writes) for n in network.others] == [("Relu_0", elements(6), elements(6))]


def test_names(tmp_path):
    """Given names survive; empty and doubled ones become the operator and its index, also where that is taken."""
    names = ["a", "", "twice", "twice", "Relu_1"]
    nodes = [helper.make_node("Relu", [f"x{i}"], [f"x{i + 1}"], name=name) for i, name in enumerate(names)]
    network = loaded(model(nodes, {"x0": (2,)}, ["x5"]), tmp_path).network
    assert [n.name for n in network.nodes] == ["a", "Relu_1_2", "Relu_2", "Relu_3", "Relu_1"]


def test_bias_and_what_follows_element_by_element_are_attached(tmp_path):
    """They read their other operands only; whatever else reads a value, or another order of elements, ends that."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], name="c"),
        helper.make_node("Mul", ["y", "scale"], ["z"], name="c/bias"),
        helper.make_node("Reshape", ["z", "to"], ["r"], name="view"),
        helper.make_node("Add", ["r", "other"], ["s"], name="residual"),
        helper.make_node("Relu", ["s"], ["t"], name="twice"),
        helper.make_node("Add", ["t", "t"], ["u"], name="both"),
        helper.make_node("Sigmoid", ["t"], ["v"], name="again"),
    ]
    inputs = {"x": (1, 2, 4, 4), "w": (3, 2, 3, 3), "b": (3,), "scale": (3, 1, 1), "other": (3, 4)}
    network = loaded(model(nodes, inputs, ["u", "v"], constants={"to": np.array([3, 4])}), tmp_path).network
    assert [(n.name, n.op, n.inputs, n.reads, n.writes, n.to) for n in network.nodes] == [
        ("c", "Conv", ("x", "w"), (), (), ""),
        ("c/bias_2", "Bias", ("b",), elements(3), (), "c"),
        ("c/bias", "Mul", ("y", "scale"), elements(3), (), "c"),
        ("view", "Reshape", ("z", "to"), (), (), ""),
        ("residual", "Add", ("r", "other"), elements(12), (), "c"),
        ("twice", "Relu", ("s",), (), (), "c"),
        ("both", "Add", ("t",), elements(12), elements(12), ""),
        ("again", "Sigmoid", ("t",), elements(12), elements(12), ""),
    ]


def test_what_follows_an_operator_made_of_one_layer_is_attached_to_it(tmp_path):
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up"),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    network = assert_model_equals_onnxruntime(
        model(nodes, {"x": (1, 2, 4, 4), "w": (2, 3, 3, 3)}, ["z"]), tmp_path
    ).network
    assert [(n.name, n.op) for n in network.layers] == [("up", "ConvTranspose")]
    assert [(n.op, n.to, n.reads) for n in network.others][-1] == ("Relu", "up", ())


def test_narrow_outputs_are_written_before_they_are_widened(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="mm"),
        helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["b"], name="q"),
        helper.make_node("DequantizeLinear", ["b", "scale", "zero"], ["y"], name="dq"),
    ]
    constants = {"scale": np.float32(0.1), "zero": np.uint8(3)}
    network = loaded(model(nodes, {"x": (3, 4), "w": (4, 5)}, ["y"], constants=constants), tmp_path).network
    assert [tensor.bits for tensor in network.layers[0].nest.tensors] == [None, None, 8]
    assert [(n.name, n.to, n.reads, n.writes) for n in network.others] == [
        ("q", "mm", ((1, None), (1, 8)), ()),
        ("dq", "", ((16, 8), (1, None)), ((15, None),)),
    ]


def test_the_sum_of_two_layers_is_attached_to_the_later(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMul", ["x", "v"], ["b"], name="second"),
        helper.make_node("Add", ["b", "a"], ["y"], name="sum"),
    ]
    network = loaded(model(nodes, {"x": (3, 4), "w": (4, 5), "v": (4, 5)}, ["y"]), tmp_path).network
    assert [(n.name, n.to, n.reads) for n in network.others] == [("sum", "second", elements(15))]


def test_an_output_of_the_model_is_written_as_it_is(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], name="mm"), helper.make_node("Relu", ["a"], ["y"], name="r")]
    network = loaded(model(nodes, {"x": (3, 4), "w": (4, 5)}, ["a", "y"]), tmp_path).network
    assert [(n.name, n.to, n.reads, n.writes) for n in network.others] == [("r", "", elements(15), elements(15))]


def test_constants_are_no_nodes(tmp_path):
    """Weights that nodes make of constants, however far, cost nothing; what an input reaches is kept."""
    filled = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.5])
    nodes = [
        helper.make_node("Constant", [], ["dims"], value_ints=[4, 5]),
        helper.make_node("ConstantOfShape", ["dims"], ["w0"], value=filled),
        helper.make_node("Transpose", ["w0"], ["w1"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "w1"], ["y"], name="mm"),
        helper.make_node("RandomNormal", [], ["noise"], shape=[3, 4]),
        helper.make_node("Add", ["y", "noise"], ["z"], name="add"),
    ]
    network = loaded(model(nodes, {"x": (3, 5)}, ["z"]), tmp_path).network
    assert [n.name for n in network.nodes] == ["mm", "RandomNormal_4", "add"]
    assert network.layers[0].nest.extents == {"M": 3, "N": 4, "K": 5}
    assert (network.others[-1].reads, network.others[-1].to) == (elements(12), "mm")
    assert network.stored == {"w1"}


def test_data_movement(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["r"], name="reshape"),
        helper.make_node("Dropout", ["r"], ["d"], name="dropout"),
        helper.make_node("Dropout", ["d"], ["e", "mask"], name="masked"),
        helper.make_node("Cast", ["mask"], ["m"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Shape", ["e"], ["s"], name="shape"),
        helper.make_node("PRelu", ["e", "slope"], ["p"], name="prelu"),
        helper.make_node("Split", ["p"], ["left", "right"], name="split", axis=1),
    ]
    constants = {"to": np.array([3, 4], np.int64), "slope": np.ones(4, np.float32)}
    network = loaded(model(nodes, {"x": (2, 6)}, ["m", "left"], constants=constants), tmp_path).network
    assert {n.name: (n.reads, n.writes) for n in network.nodes} == {
        "reshape": ((), ()),
        "dropout": ((), ()),
        "masked": (elements(12), ((12, None), (12, 8))),  # a mask is of bytes
        "cast": (elements(12, 8), elements(12)),
        "prelu": (elements(16), elements(12)),
        "split": (elements(6), elements(6)),  # of the part that is used
    }


def test_nodes_out_of_order_are_sorted(tmp_path):
    nodes = [
        helper.make_node("Relu", ["b"], ["c"], name="third"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["x"], ["a"], name="first"),
    ]
    network = loaded(model(nodes, {"x": (2,)}, ["c"]), tmp_path).network
    assert [n.name for n in network.nodes] == ["first", "second", "third"]


def test_cycle(tmp_path):
    nodes = [
        helper.make_node("Add", ["x", "c"], ["b"], name="one"),
        helper.make_node("Relu", ["b"], ["c"], name="two"),
    ]
    with pytest.raises(InputError, match="the graph has a cycle: one -> two -> one"):
        loaded(model(nodes, {"x": (2,)}, ["c"]), tmp_path)


def test_local_functions_are_inlined(tmp_path):
    body = [helper.make_node("MatMul", ["a", "b"], ["m"], name="inner"), helper.make_node("Relu", ["m"], ["r"])]
    function = helper.make_function("own", "Dense", ["a", "b"], ["r"], body, [helper.make_opsetid("", 17)])
    proto = model([helper.make_node("Dense", ["x", "w"], ["y"], domain="own")], {"x": (2, 3), "w": (3, 4)}, ["y"],
                  domains=["own"])  # fmt: skip
    proto.functions.append(function)
    assert [n.op for n in loaded(proto, tmp_path).network.nodes] == ["MatMul", "Relu"]


def branches(op):
    """A model with `op` in both branches of an If, on values from outside."""
    body = [
        helper.make_graph([helper.make_node(op, ["x", "w"], [f"{b}_y"])], b, [],
                          [helper.make_tensor_value_info(f"{b}_y", TensorProto.FLOAT, [2, 2])])
        for b in ("then", "else")
    ]  # fmt: skip
    node = helper.make_node("If", ["cond"], ["y"], name="if", then_branch=body[0], else_branch=body[1])
    proto = model([node], {"x": (2, 2), "w": (2, 2)}, ["y"])
    proto.graph.input.append(helper.make_tensor_value_info("cond", TensorProto.BOOL, []))
    return proto


def test_both_branches_are_compiled(tmp_path):
    read = loaded(branches("MatMul"), tmp_path)
    note = "which branch runs depends on cond: both are compiled, and counted"
    assert [(n.name, n.op, n.inputs, n.outputs, n.note) for n in read.network.nodes] == [
        ("if/then/MatMul_0", "MatMul", ("x", "w"), ("if/then/then_y",), note),
        ("if/else/MatMul_0", "MatMul", ("x", "w"), ("if/else/else_y",), note),
        ("if", "If", ("cond", "x", "w"), ("y",), note),
    ]
    found = executed(read)  # the branch that is taken
    assert found.passed and len(found.layers) == 1


def test_a_branch_that_is_known_takes_the_place_of_its_choice(tmp_path):
    """The condition follows from a shape; one branch returns a value from outside."""
    proto = branches("MatMul")
    chosen = proto.graph.node[0]
    del proto.graph.input[-1]
    proto.graph.node.insert(0, helper.make_node("Shape", ["x"], ["shape"]))
    proto.graph.node.insert(1, helper.make_node("Gather", ["shape", "first"], ["rows"]))
    proto.graph.node.insert(2, helper.make_node("Equal", ["rows", "two"], ["cond"]))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(0), "first"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2), "two"))
    assert chosen.op_type == "If"
    network = assert_model_equals_onnxruntime(proto, tmp_path).network
    assert [(n.name, n.op, n.outputs, n.note) for n in network.nodes] == [("if/MatMul_0", "MatMul", ("y",), "")]
    network = assert_model_equals_onnxruntime(proto, tmp_path, x=(3, 2)).network
    assert [(n.name, n.outputs) for n in network.nodes] == [("if/MatMul_0", ("y",))]


def test_symbolic_dimension(tmp_path):
    proto = model([helper.make_node("Relu", ["x"], ["y"], name="r")], {"x": ("batch", 3, None)}, ["y"])
    with pytest.raises(InputError, match=r"tensor x .*dimension 0 is the symbol 'batch'.*--shape x=1x3x1"):
        loaded(proto, tmp_path)
    network = loaded(proto, tmp_path, x=(2, 3, 4)).network
    assert network.shapes == {"x": (2, 3, 4), "y": (2, 3, 4)}


def test_symbols_get_sizes(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")]
    proto = model(nodes, {"x": ("batch", "n"), "w": ("n", "m")}, ["y"])
    network = load(saved(proto, tmp_path), {"w": (4, 5)}, {"batch": 2, "n": 4}).network
    assert network.layers[0].nest.extents == {"M": 2, "N": 5, "K": 4}
    for dims, words in (
        ({"bach": 1}, "no dimension 'bach' .did you mean batch"),
        ({"q": 1}, "its symbols: batch, n, m"),
    ):
        with pytest.raises(InputError, match=words):
            load(saved(proto, tmp_path), {}, dims)


def test_shapes_replace_what_the_file_says():
    network = load("squeezenet", {"data_0": (1, 3, 256, 256)}).network
    assert network.layers[0].nest.extents["P"] == 127


def test_shapes_that_a_model_cannot_have():
    """A number of elements is written into it."""
    for shape in ((1, 3, 256, 256), (2, 3, 224, 224)):
        with pytest.raises(InputError, match=r"Reshape node n173: it makes 2048 elements of (8192|4096)$"):
            load("resnet50", {"gpu_0/data_0": shape})


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"data": (1, 3, 4, 4)}, "no input or value 'data'.*did you mean data_0"),
        ({"nothing like it": (1,)}, "no input.*its inputs: data_0"),
        ({"data_0": (3, 224, 224)}, "has 4 dimensions, the given shape 3"),
        ({"data_0": (1, 3, 224, -1)}, "at least 0"),
        ({"data_0": (1, 3, 224, 0)}, "the kernel reaches over"),
        ({"data_0": (1, 4, 224, 224)}, "4 channels"),
    ],
)
def test_bad_shapes(shapes, words):
    with pytest.raises(InputError, match=words):
        load("alexnet", shapes)


def test_shapes_that_need_folding(tmp_path):
    """A target shape that goes through arithmetic on constants and on a known shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ReduceProd", ["shape"], ["all"], keepdims=1),
        helper.make_node("Div", ["all", "four"], ["rows"]),
        helper.make_node("Concat", ["rows", "four"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
        helper.make_node("MatMul", ["y", "w"], ["z"], name="mm"),
    ]
    proto = model(nodes, {"x": (3, 8), "w": (4, 5)}, ["z"], constants={"four": np.array([4], np.int64)})
    network = loaded(proto, tmp_path).network
    assert network.layers[0].nest.extents == {"M": 6, "N": 5, "K": 4}
    assert network.nodes[0].name == "Reshape_4"


@pytest.mark.parametrize("domains", [("", "ai.onnx"), ("ai.onnx", ""), ("", "")])
@pytest.mark.parametrize("versions", [(17, 27), (27, 17)])
def test_two_versions_of_the_standard_are_refused(domains, versions, tmp_path):
    """Which one a node is of is not known."""
    node = helper.make_node("LinearAttention", ["q", "q", "q"], ["y"], q_num_heads=2, kv_num_heads=2)
    proto = model([node], {"q": (1, 3, 8)}, ["y"])
    del proto.opset_import[:]
    proto.opset_import.extend(map(helper.make_opsetid, domains, versions))
    with pytest.raises(InputError, match="imports opsets 17 and 27 of the standard"):
        loaded(proto, tmp_path)


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 4])
def test_another_number_of_outputs_than_a_split_has_is_refused(count, tmp_path):
    """On fewer, ONNX's inference of shapes ends the process."""
    nodes = [helper.make_node("Split", ["x"], [*"abc"], name="it", axis=1, num_outputs=n) for n in (count, 3)]
    nodes[1].name, nodes[1].output[:] = "other", [*"def"]
    proto = model(nodes, {"x": (2, 8)}, [*"abcdef"], opset=18)
    with pytest.raises(InputError, match=f"Split node it: num_outputs is {count}, but it has 3 outputs"):
        loaded(proto, tmp_path)


UNGUARDED = {
    "EyeLike": {"dtype": 1},
    "RegexFullMatch": {"pattern": "a"},
    "ai.onnx.ml.LabelEncoder": {"classes_strings": ["a"]},
    "ai.onnx.ml.DictVectorizer": {"string_vocabulary": ["a"]},
}


def either(body, output):
    """An If of two equal branches."""
    cast = helper.make_node("Cast", ["c"], ["b"], to=TensorProto.BOOL)
    return [cast, helper.make_node("If", ["b"], [output], then_branch=body, else_branch=body)]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("op", UNGUARDED)
def test_operators_that_read_what_nothing_is_known_of(op, inside, tmp_path):
    """ONNX's inference ends the process where they do."""
    domain, _, name = op.rpartition(".")
    nodes = [
        helper.make_node("Unheard", ["x"], ["u"], domain="own"),
        helper.make_node(name, ["u"], ["v"], domain=domain, **UNGUARDED[op]),
    ]
    if inside:
        body = helper.make_graph(nodes, "body", [], [helper.make_empty_tensor_value_info("v")])
        nodes = either(body, "v")
    shapes = {"x": (3, 3)} | ({"c": ()} if inside else {})
    proto = model(nodes, shapes, ["v"], opset=20, domains=["own", "ai.onnx.ml"])
    with pytest.raises(InputError, match=r"shape of tensor [uv] is"):
        loaded(proto, tmp_path)


@pytest.mark.parametrize("inside", [False, True])
def test_what_such_operators_make_of_what_is_known(inside, tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["u"], perm=[1, 0]),
        helper.make_node("EyeLike", ["u"], ["e"], dtype=1),
        helper.make_node("MatMul", ["e", "x"], ["y"]),
    ]
    if inside:
        body = helper.make_graph(nodes, "body", [], [helper.make_empty_tensor_value_info("y")])
        nodes = either(body, "y")
    shapes = {"x": (4, 4)} | ({"c": ()} if inside else {})
    read = loaded(model(nodes, shapes, ["y"], opset=20), tmp_path)
    assert read.network.shapes["y"] == (4, 4)


NEGATIVE = {
    "AveragePool": {"kernel_shape": [3, 3]},
    "Conv": {},
    "ConvInteger": {},
    "ConvTranspose": {},
    "DeformConv": {},
    "LpPool": {"kernel_shape": [3, 3]},
    "MaxPool": {"kernel_shape": [3, 3]},
    "QLinearConv": {},
    "com.microsoft.FusedConv": {},
    "com.microsoft.NhwcMaxPool": {"kernel_shape": [3, 3]},
}


def padded(op, pads):
    """A node whose windows slide over an input that is padded so."""
    domain, _, name = op.rpartition(".")
    inputs = {"QLinearConv": ["x", *"szwszsz"], "DeformConv": [*"xwo"], "AveragePool": ["x"], "LpPool": ["x"]}
    inputs |= {"MaxPool": ["x"], "NhwcMaxPool": ["x"]}
    given = inputs.get(name, ["x", "w"])
    return helper.make_node(name, given, ["y"], name="it", domain=domain, pads=pads, **NEGATIVE[op])


@pytest.mark.parametrize("op", NEGATIVE)
def test_negative_padding_is_refused(op, tmp_path):
    """ONNX refuses it where it infers shapes, which need not be strict here."""
    shapes = {"x": (1, 4, 6, 6), "w": (4, 4, 3, 3), "o": (1, 18, 4, 4), "s": (), "z": ()}
    nodes = [padded(op, [0, -1, 2, 0]), padded(op, [-3, 1, 1, 1])]
    nodes[1].name, nodes[1].output[0] = "other", "v"
    proto = model(nodes, {name: shapes[name] for name in nodes[0].input}, ["y"], opset=19, domains=["com.microsoft"])
    with pytest.raises(InputError) as caught:
        loaded(proto, tmp_path)
    first, second = str(caught.value).splitlines()
    assert f"{nodes[0].op_type} node it: pads must be at least 0, not 0, -1, 2, 0" in first
    assert f"{nodes[0].op_type} node other: pads must be at least 0, not -3, 1, 1, 1" in second
    assert all("case.onnx" in line for line in (first, second))


def test_what_may_drop_elements_by_negative_padding(tmp_path):
    sizes = {"size": np.array([5, 5]), "block": np.array([3, 3])}
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxUnpool", ["a", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[-1, -1, 0, 0]),
        helper.make_node("Pad", ["x", "cut"], ["z"]),
        helper.make_node("Col2Im", ["c", "size", "block"], ["u"], pads=[-1, -1, -1, -1]),
    ]
    constants = {"cut": np.array([0, 0, 0, -1, 0, 0, -1, 0])} | sizes
    shapes = {"x": (1, 3, 8, 8), "c": (1, 9, 1)}
    read = loaded(model(nodes, shapes, ["y", "z", "u"], constants=constants, opset=18), tmp_path)
    assert (read.network.shapes["y"], read.network.shapes["z"]) == ((1, 3, 9, 9), (1, 3, 7, 7))


def test_one_version_may_be_imported_twice(tmp_path):
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (3,)}, ["y"])
    proto.opset_import.add(domain="ai.onnx", version=proto.opset_import[0].version)
    assert loaded(proto, tmp_path).network.nodes


def test_custom_operators_of_known_shape_are_kept(tmp_path):
    proto = model([helper.make_node("Odd", ["x"], ["y"], domain="own"), helper.make_node("Relu", ["y"], ["z"])],
                  {"x": (2, 3)}, ["z"], domains=["own"])  # fmt: skip
    with pytest.raises(InputError, match="Odd node Odd_0: the shape of tensor y is unknown"):
        loaded(proto, tmp_path)
    proto.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [5]))
    assert [(n.op, n.reads, n.writes) for n in loaded(proto, tmp_path).network.nodes] == [
        ("Odd", elements(6), elements(5)),
        ("Relu", elements(5), elements(5)),
    ]


def test_weights_beside_the_file_are_not_read(tmp_path):
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 64)}, ["y"],
                  constants={"w": np.ones((64, 3), np.float32)})  # fmt: skip
    onnx.save_model(proto, tmp_path / "case.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert load(str(tmp_path / "case.onnx")).network.layers[0].nest.extents == {"M": 2, "N": 3, "K": 64}
    (tmp_path / "w.bin").unlink()
    load(str(tmp_path / "case.onnx"))


def test_weights_outside_the_folder_are_refused(tmp_path):
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret").write_bytes(bytes(800))
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 64)}, ["y"],
                  constants={"w": np.ones((64, 3), np.float32)})  # fmt: skip
    onnx.save_model(proto, inside / "case.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    stored = onnx.load(inside / "case.onnx", load_external_data=False)
    for location in ("../secret", str(tmp_path / "secret"), "", "a/../../secret"):
        stored.graph.initializer[0].external_data[0].value = location
        (inside / "case.onnx").write_bytes(stored.SerializeToString())
        with pytest.raises(InputError, match="not inside the model's folder"):
            load(str(inside / "case.onnx"))
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "pipe")
    for location in ("loop", "pipe", "n" * 300):  # of which nothing is needed
        stored.graph.initializer[0].external_data[0].value = location
        (inside / "case.onnx").write_bytes(stored.SerializeToString())
        assert load(str(inside / "case.onnx")).network.layers


def test_missing_weights_are_named_when_they_are_needed(tmp_path):
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 64)}, ["y"],
                  constants={"w": np.ones((64, 300), np.float32)})  # fmt: skip
    onnx.save_model(proto, tmp_path / "case.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    read = load(str(tmp_path / "case.onnx"))
    (tmp_path / "w.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="the values of the weight w cannot be read"):
        executed(read)


def test_an_input_can_be_given_a_value(tmp_path):
    proto = branches("MatMul")
    network = load(saved(proto, tmp_path), values={"cond": 1}).network
    assert [(n.name, n.note) for n in network.nodes] == [("if/MatMul_0", "")]
    for values, words in (({"con": 1}, "no input 'con'.*cond"), ({"cond": 0.5}, "is of bool, which has no 0.5")):
        with pytest.raises(InputError, match=words):
            load(saved(proto, tmp_path), values=values)


def test_bad_files(tmp_path):
    good = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (2, 3)}, ["y"])
    data = good.SerializeToString()
    bad = {"truncated": data[: len(data) * 2 // 3], "text": b"<html></html>", "empty": b"", "two": b"\x08\x03"}
    for name, content in bad.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(InputError, match="not an ONNX model"):
            load(str(tmp_path / f"{name}.onnx"))
    with pytest.raises(InputError, match=r"[Dd]irectory"):
        load(str(tmp_path))
    with pytest.raises(InputError, match=r"'restnet50' is neither a file nor a known model \(did you mean resnet50"):
        load("restnet50")
    with pytest.raises(InputError, match="did you mean survey/alexnet"):
        load("survey/alexnt")
    with pytest.raises(InputError, match="known: alexnet"):
        load("zzzzzzzz")


def test_bad_graphs(tmp_path):
    def refuse(proto, words):
        with pytest.raises(InputError, match=words) as caught:
            loaded(proto, tmp_path)
        assert "\n" not in str(caught.value)
        assert "case.onnx" in str(caught.value)

    def relu(read, write):
        return helper.make_node("Relu", [read], [write], name="r")

    refuse(model([], {"x": (2,)}, []), "the graph is empty")
    refuse(model([relu("missing", "y")], {"x": (2,)}, ["y"]), "Relu node r: it reads missing, which nothing produces")
    refuse(model([relu("x", "x")], {"x": (2,)}, ["x"]), "the value x is produced twice")
    refuse(model([helper.make_node("Konv", ["x"], ["y"])], {"x": (2,)}, ["y"]), "No Op registered for Konv")
    refuse(model([relu("x", "y")], {"x": (2,)}, ["z"]), "z")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], name="a")]
    refuse(model(nodes, {"x": (2, 3), "w": (4, 5)}, ["y"]), "tensor y.*shape inference says: .*Incompatible dimensions")


@settings(max_examples=200, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=4)
)
def test_damaged_files(changes, tmp_path_factory):
    """A model with bytes replaced, inserted and left out is read or refused in one line, whatever it is."""
    data = bytearray(files.read("squeezenet")[1].read_bytes())
    for position, removed, inserted in changes:
        position %= len(data)
        data[position : position + removed] = inserted
    path = tmp_path_factory.mktemp("damaged") / "case.onnx"
    path.write_bytes(data)
    try:
        load(str(path))
    except InputError as error:
        assert "\n" not in str(error)


def test_importing_the_frontends_loads_nothing_heavy():
    code = (
        "import sys, frontends, frontends.onnx, frontends.survey, frontends.einsum; frontends.onnx.short_names();"
        "assert not {'onnx', 'onnxruntime', 'networkx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
