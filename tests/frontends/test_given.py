"""Shapes that the user gives to values whose sizes depend on what is computed."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import executed, loaded, model, saved

from frontends.onnx import load
from mapper.errors import InputError

W = np.random.default_rng(0).standard_normal((16, 5)).astype(np.float32)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def picked(op, **told):
    """Rows of x where a mask is not zero, and a product of them."""
    if op == "NonZero":
        nodes = [node("NonZero", ["m"], ["found"]), node("Transpose", ["found"], ["places"])]
        nodes += [node("GatherND", ["x", "places"], ["rows"])]
    elif op == "Compress":
        nodes = [node("Cast", ["m"], ["bools"], to=TensorProto.BOOL), node("Reshape", ["bools", "flat"], ["list"])]
        nodes += [node("Reshape", ["x", "wide"], ["all"]), node("Compress", ["all", "list"], ["found"], axis=0)]
        nodes += [node("Identity", ["found"], ["rows"])]
    else:
        nodes = [node("Cast", ["m"], ["whole"], to=TensorProto.INT64), node("Unique", ["whole"], ["found"])]
        nodes += [node("Reshape", ["x", "wide"], ["all"]), node("Sub", ["found", "found"], ["zeros"])]
        nodes += [node("Gather", ["all", "zeros"], ["rows"])]
    nodes += [node("MatMul", ["rows", "w"], ["y"])]
    constants = {"w": W, "flat": np.array([-1]), "wide": np.array([48, 16])}
    read = {name for each in nodes for name in each.input}
    return model(
        nodes, {"x": (6, 8, 16), "m": (6, 8)}, ["y"], constants={k: v for k, v in constants.items() if k in read}
    )


BOUNDS = {"NonZero": (2, 48), "Compress": (48, 16), "Unique": (48,)}


@pytest.mark.parametrize("op", BOUNDS)
def test_the_option_to_write_is_said_and_works(op, tmp_path):
    """It proposes the largest size; any other that fits what is known is taken, and executed."""
    path, most = saved(picked(op), tmp_path), BOUNDS[op]
    with pytest.raises(InputError, match=f"{op} node found: .*--shape found={'x'.join(map(str, most))}"):
        load(path)
    for count in (48, 7, 60):
        given = tuple(count if n == 48 else n for n in most)
        read = load(path, {"found": given})
        assert read.network.layers[0].nest.operations == count * 16 * 5
        found = executed(read)
        assert found.passed and len(found.layers) == 1
        told = dict(found.uncompared).get(f"{op} node found", "")
        if count == 60:  # there cannot be so many
            assert f"was brought to {'x'.join(map(str, given))} as given" in told


def test_what_the_file_states_is_brought_to_its_size_too(tmp_path):
    proto = picked("NonZero")
    proto.graph.value_info.append(helper.make_tensor_value_info("found", TensorProto.INT64, (2, 20)))
    found = executed(loaded(proto, tmp_path))
    assert found.passed and "brought to 2x20 as the file states" in dict(found.uncompared)["NonZero node found"]


def detector(most=10):
    nodes = [
        node("MatMul", ["x", "to_boxes"], ["boxes"]),
        node("MatMul", ["x", "to_scores"], ["scores"]),
        node("Transpose", ["scores"], ["classes"], perm=[0, 2, 1]),
        node("NonMaxSuppression", ["boxes", "classes", "most"], ["found"]),
        node("Gather", ["found", "two"], ["places"], axis=1),
        node("Gather", ["x", "places"], ["rows"], axis=1),
        node("MatMul", ["rows", "w"], ["y"]),
    ]
    rng = np.random.default_rng(1)
    constants = {"w": W, "most": np.array([most]), "two": np.array(2)}
    constants |= {
        name: rng.standard_normal((16, n)).astype(np.float32) for name, n in (("to_boxes", 4), ("to_scores", 3))
    }
    return model(nodes, {"x": (1, 50, 16)}, ["y"], constants=constants)


@pytest.mark.parametrize(("most", "bound"), [(10, 30), (1000, 150)])
def test_a_detector(most, bound, tmp_path):
    """No more boxes than are asked for of each class, and than there are."""
    path = saved(detector(most), tmp_path)
    with pytest.raises(InputError, match=f"NonMaxSuppression node found: .*--shape found={bound}x3"):
        load(path)
    for count in (bound, 12, 0):
        read = load(path, {"found": (count, 3)})
        assert [layer.nest.operations for layer in read.network.layers][2:] == [count * 16 * 5] * (count > 0)
        assert executed(read).passed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"found": (3, 20)}, r"found is 2x\?, which follows from the inputs, and not 3x20 as given"),
        ({"found": (2, 20), "y": (21, 5)}, "y is 20x5, which follows from the inputs, and not 21x5 as given"),
        ({"fuond": (2, 20)}, "no input or value 'fuond' .did you mean found"),
        ({"found": (40,)}, r"found is 2x\?, which .* not 40 as given"),
        ({"found": (2, -1)}, "at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(given, words, tmp_path):
    with pytest.raises(InputError, match=words):
        load(saved(picked("NonZero"), tmp_path), given)


def test_inside_a_branch_that_is_taken_and_a_body(tmp_path):
    """Values of a branch are named after the If, those of a body as they are."""
    inside = [*picked("NonZero").graph.node][:-1]
    out = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, None)]
    branch = helper.make_graph(inside, "branch", [], out)
    nodes = [node("If", ["yes"], ["r"], then_branch=branch, else_branch=branch), node("MatMul", ["r", "w"], ["y"])]
    proto = model(nodes, {"x": (6, 8, 16), "m": (6, 8)}, ["y"], constants={"w": W, "yes": np.array(True)})
    path = saved(proto, tmp_path)
    with pytest.raises(InputError, match="--shape r/found=2x48"):
        load(path)
    assert load(path, {"r/found": (2, 9)}).network.layers[0].nest.operations == 9 * 16 * 5

    state = [("i", TensorProto.INT64, ()), ("go", TensorProto.BOOL, ())]
    given = [helper.make_tensor_value_info(*each) for each in state]
    made = [helper.make_tensor_value_info("on", TensorProto.BOOL, ()), helper.make_tensor_value_info("s", 1, None)]
    inside = [*picked("NonZero").graph.node, node("Identity", ["go"], ["on"])]
    inside += [node("ReduceSum", ["y"], ["s"], keepdims=0)]
    body = helper.make_graph(inside, "body", given, made)
    proto = model([node("Loop", ["three", ""], ["z"], body=body)], {"x": (6, 8, 16), "m": (6, 8)}, ["z"],
                  constants={"w": W, "three": np.array(3)})  # fmt: skip
    layers = load(saved(proto, tmp_path), {"found": (2, 9)}).network.layers
    assert [(layer.nest.operations, layer.times) for layer in layers if layer.op == "MatMul"] == [(9 * 16 * 5, 3)]
