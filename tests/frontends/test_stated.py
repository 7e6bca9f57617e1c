"""What a file states of inner values and outputs: asked only where it does not follow from the inputs."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model, saved

from frontends.onnx import load
from mapper.errors import InputError

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def stating(proto, kind=FLOAT, **shapes):
    """The model, which states these shapes of its values."""
    outputs = {value.name: value for value in proto.graph.output}
    for name, shape in shapes.items():
        value = helper.make_tensor_value_info(name, kind, shape)
        if name in outputs:
            outputs[name].CopyFrom(value)
        else:
            proto.graph.value_info.append(value)
    return proto


def chain(x=(4, 16, 8)):
    nodes = [node("Relu", ["x"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    return model(nodes, {"x": x}, ["y"], constants={"w": np.ones((8, 5), np.float32)})


@pytest.mark.parametrize(
    ("stated", "remark"),
    [
        ({"r": (1, 16, 8)}, "the shape 1x16x8 that the file states of its output r contradicts 4x16x8, which follows"),
        ({"y": (1, 16, 5)}, "the shape 1x16x5 that the file states of its output y contradicts 4x16x5, which follows"),
        ({"r": (64, 8)}, "the shape 64x8 that the file states of its output r contradicts 4x16x8, which follows"),
        ({"r": (1, 16, 8), "y": (1, 16, 5)}, "is taken, and so do those of 1 more values"),
        ({"r": (4, 16, 8), "y": (4, 16, 5)}, None),
        ({"r": ("n", 16, None), "y": (-1, 16, 5)}, None),
    ],
)
def test_a_shape_that_contradicts_is_reported_once_and_not_believed(stated, remark, tmp_path):
    network = assert_model_equals_onnxruntime(stating(chain(), **stated), tmp_path).network
    assert network.layers[0].nest.operations == 2560
    assert network.shapes == {"x": (4, 16, 8), "r": (4, 16, 8), "w": (8, 5), "y": (4, 16, 5)}
    notes = [n.note for n in network.nodes if n.note]
    assert len(notes) == (remark is not None)
    assert remark is None or remark in notes[0]


def test_what_is_stated_of_a_constant_does_not_hide_another(tmp_path):
    nodes = [node("Neg", ["w"], ["v"]), node("Relu", ["x"], ["r"]), node("MatMul", ["r", "v"], ["y"])]
    for rows in (8, 8000):  # folded, and left to be computed
        proto = model(nodes, {"x": (4, rows)}, ["y"], constants={"w": np.ones((rows, 5), np.float32)})
        network = loaded(stating(proto, v=(7, 5), r=(1, rows)), tmp_path).network
        assert [n.name for n in network.nodes if n.note] == ["r"]


def test_a_type_that_contradicts_is_not_believed(tmp_path):
    """The width of what is moved follows from the input."""
    network = loaded(stating(chain(), TensorProto.FLOAT16, r=(4, 16, 8)), tmp_path).network
    assert network.layers[0].nest.tensors[0].bits is None


def test_a_branch_that_states_another_shape(tmp_path):
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(op, ["x"], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, (1, 8))]
        )
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [node("If", ["c"], ["r"], **branches), node("MatMul", ["r", "w"], ["y"])]
    proto = model(nodes, {"x": (6, 8)}, ["y"], constants={"w": np.ones((8, 5), np.float32)})
    proto.graph.input.append(helper.make_tensor_value_info("c", BOOL, ()))
    assert loaded(proto, tmp_path).network.layers[0].nest.operations == 6 * 8 * 5


def test_a_body_that_states_another_shape(tmp_path):
    value = helper.make_tensor_value_info
    inside = [node("Identity", ["go"], ["on"]), node("MatMul", ["s", "w"], ["t"])]
    given = [value("i", INT64, ()), value("go", BOOL, ()), value("s", FLOAT, (1, 8))]
    body = helper.make_graph(inside, "body", given, [value("on", BOOL, ()), value("t", FLOAT, (1, 8))])
    proto = model([node("Loop", ["n", "", "x"], ["y"], body=body)], {"x": (6, 8)}, ["y"],
                  constants={"n": np.array(3), "w": np.ones((8, 8), np.float32)})  # fmt: skip
    (layer,) = loaded(proto, tmp_path).network.layers
    assert (layer.nest.operations, layer.times) == (6 * 8 * 8, 3)


def test_what_nobody_else_knows_is_believed(tmp_path):
    """Of operators without a schema, one after the other, and what follows from them wins again."""
    nodes = [
        node("Odd", ["x"], ["a"], domain="own"),
        node("Relu", ["a"], ["b"]),
        node("Shape", ["b"], ["s"]),
        node("Reshape", ["x", "s"], ["c"]),
        node("Odd", ["c"], ["d"], domain="own"),
        node("MatMul", ["d", "w"], ["y"]),
    ]
    constants = {"w": np.ones((8, 5), np.float32)}
    proto = model(nodes, {"x": (4, 8)}, ["y"], constants=constants, domains=["own"])
    read = loaded(stating(proto, a=(4, 8), b=(1, 8), c=(1, 8), d=(4, 8)), tmp_path)
    assert read.network.shapes["c"] == (4, 8) and read.network.layers[0].nest.operations == 160
    assert [n.name for n in read.network.nodes if n.note] == ["b"]
    assert read.region.shapes.sources == {"a": "as the file states", "d": "as the file states"}


def test_where_a_shape_is_from_is_said(tmp_path):
    nodes = [node("Odd", ["x"], ["a"], domain="own"), node("MatMul", ["a", "w"], ["y"])]
    proto = model(nodes, {"x": (4, 8)}, ["y"], constants={"w": np.ones((7, 5), np.float32)}, domains=["own"])
    path = saved(stating(proto, a=(4, 8)), tmp_path)
    with pytest.raises(InputError, match="a is 4x8 as the file states"):
        load(path)


def test_what_is_stated_in_symbols_holds_for_their_sizes(tmp_path):
    """What is stated in numbers may hold for the file's own inputs only."""
    nodes = [node("Odd", ["x"], ["a"], domain="own"), node("MatMul", ["a", "w"], ["y"])]
    constants = {"w": np.ones((8, 5), np.float32)}
    for stated, known in (("batch", 8), True), ((2, 8), False):
        proto = model(nodes, {"x": ("batch", 8)}, ["y"], constants=constants, domains=["own"])
        path = saved(stating(proto, a=stated), tmp_path)
        for options in ({"dims": {"batch": 6}}, {"shapes": {"x": (6, 8)}}):
            if known:
                assert load(path, **options).network.layers[0].nest.operations == 240
            else:
                with pytest.raises(InputError, match=r"the shape of tensor a is unknown.*--shape a=N1xN2x"):
                    load(path, **options)
