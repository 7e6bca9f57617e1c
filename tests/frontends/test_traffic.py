"""What data movement reads: no more than it picks, and no element twice."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import loaded, model

from mapper.errors import InputError

MS = "com.microsoft"
TABLE = (1000, 8)


def ints(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("op", "inputs", "constants", "told", "reads"),
    [
        ("Gather", {"x": TABLE}, {"at": ints(3, 5)}, {}, 2 * 8),
        ("Gather", {"x": (3, 8)}, {"at": ints(*[0] * 40)}, {}, 3 * 8),  # a table smaller than what is made of it
        ("Gather", {"x": TABLE}, {"at": ints(1)}, {"axis": 1}, 1000),
        ("GatherND", {"x": TABLE}, {"at": ints([1, 2], [3, 4])}, {}, 2),
        ("GatherElements", {"x": TABLE}, {"at": ints([1, 2, 3])}, {}, 3),
        ("Slice", {"x": TABLE}, {"from": ints(4), "to": ints(7)}, {}, 3 * 8),
        ("Split", {"x": TABLE}, {}, {"num_outputs": 2}, 1000 * 8),
        ("Softmax", {"x": TABLE}, {}, {}, 1000 * 8),
        ("Max", {"x": TABLE, "y": (8,)}, {}, {}, 1000 * 8 + 8),
        ("RotaryEmbedding", {"x": (2, 4, 3, 16), "cos": (500, 8), "sin": (500, 8)}, {"at": ints([0] * 3, [0] * 3)}, {},
         2 * 4 * 3 * 16 + 2 * (2 * 3 * 8)),
        ("RotaryEmbedding", {"x": (2, 3, 64), "cos": (2, 3, 8), "sin": (2, 3, 8)}, {}, {"num_heads": 4},
         2 * 3 * 64 + 2 * (2 * 3 * 8)),
    ],
)  # fmt: skip
def test_reads(op, inputs, constants, told, reads, tmp_path):
    outputs = ["z", "z2"] if op == "Split" else ["z"]
    node = helper.make_node(op, [*inputs, *constants], outputs, name="it", **told)
    proto = model([node], inputs, outputs, constants=constants, opset=23)
    (found,) = (n for n in loaded(proto, tmp_path).network.nodes if n.name == "it")
    read = {bits: n for n, bits in found.reads}
    assert read.get(None, 0) == reads
    assert read.get(64, 0) == sum(array.size for array in constants.values())  # what says where is read as well


def test_rotations_of_onnx_runtime(tmp_path):
    inputs = {"x": (2, 4, 3, 16), "cos": (500, 8), "sin": (500, 8)}
    node = helper.make_node("RotaryEmbedding", ["x", "at", "cos", "sin"], ["z"], name="it", domain=MS)
    proto = model([node], inputs, ["z"], constants={"at": ints(7)}, domains=[MS])
    (found,) = loaded(proto, tmp_path).network.nodes
    assert found.reads == ((2 * 4 * 3 * 16 + 2 * (3 * 8), None), (1, 64))  # the same for both of the batch


def test_parts_that_nobody_wants(tmp_path):
    node = helper.make_node("Split", ["x"], ["a", "b", "c"], name="it", axis=1, num_outputs=3)
    (found,) = loaded(model([node], {"x": (8, 9)}, ["b"], opset=23), tmp_path).network.nodes
    assert (found.reads, found.writes) == (((8 * 3, None),), ((8 * 3, None),))


def test_embeddings_of_onnx_runtime(tmp_path):
    inputs = {"words": TABLE, "places": (512, 8), "g": (8,), "b": (8,)}
    node = helper.make_node(
        "EmbedLayerNormalization", ["ids", "", "words", "places", "", "g", "b"], ["z", "n"], domain=MS
    )
    proto = model([node], inputs, ["z"], domains=[MS])
    proto.graph.input.append(helper.make_tensor_value_info("ids", TensorProto.INT32, (2, 5)))
    (found,) = loaded(proto, tmp_path).network.nodes
    assert found.reads == ((10, 32), (2 * (2 * 5 * 8) + 8 + 8, None))


def test_what_is_picked_must_be_known(tmp_path):
    node = helper.make_node("NonZero", ["x"], ["at"])
    after = helper.make_node("Gather", ["x", "at"], ["z"], name="it")
    with pytest.raises(InputError, match="its dimension 1 is unknown"):
        loaded(model([node, after], {"x": TABLE}, ["z"]), tmp_path)
