"""`mapper inspect`, and sizes that a model leaves open."""

import json

import pytest
from onnx import TensorProto, helper, save


@pytest.fixture
def open_model(tmp_path):
    """The path of a model with a symbol, and a branch that an input chooses."""
    body = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", weight], [f"{weight}y"], name=weight)],
            weight,
            [],
            [helper.make_tensor_value_info(f"{weight}y", TensorProto.FLOAT, None)],
        )
        for weight in ("u", "v")
    ]
    nodes = [
        helper.make_node("If", ["which"], ["y"], name="if", then_branch=body[0], else_branch=body[1]),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    inputs = {"x": ["batch", 4], "u": [4, 5], "v": [4, 5]}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    values.append(helper.make_tensor_value_info("which", TensorProto.BOOL, []))
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "open", values, [output])
    path = tmp_path / "open.onnx"
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_model_is_listed_with_totals(mapper, model):
    found = mapper("inspect", model, "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert list(data) == ["schema", "model", "totals", "layers", "other_ops", "operators"]
    assert data["totals"] == {
        "layers": 3,
        "unique_layers": 2,
        "macs": 2 * 2304 + 640,
        "weights": 2 * 144 + 640,
        "activations": 4 * 64 + 64 + 10,
        "other_elements": 0,
    }
    first = data["layers"][0]
    assert (first["name"], first["macs"], first["weights"], first["activations"]) == ("conv/1", 2304, 144, 128)
    assert (first["attached"], first["times"], first["bits"]) == (["Relu"], 1, {})
    assert {(row["op"], row["treatment"], row["nodes"]) for row in data["operators"]} == {
        ("Conv", "layer", 2),
        ("Flatten", "view", 1),
        ("Gemm", "layer", 1),
        ("Relu", "attached", 1),
    }
    shown = mapper("inspect", model).out
    assert "3 layers of 2 shapes, 5,248 MACs, 928 weights" in shown
    assert "conv/1" in shown and "attached" in shown


def test_open_sizes_are_named_and_can_be_given(mapper, open_model):
    found = mapper("inspect", open_model)
    assert (found.code, found.out) == (1, "")
    assert "its dimension 0 is the symbol 'batch'" in found.err and "--dim batch=1" in found.err
    found = mapper("inspect", open_model, "--dim", "batch=3", "--format", "json")
    assert found.code == 0
    assert found.err == (
        "mapper: warning: MatMul node if/then/u and 2 more: which branch runs depends on which: both are compiled, and "
        "counted\n"
    )
    assert json.loads(found.out)["totals"]["macs"] == 2 * 3 * 4 * 5
    found = mapper("inspect", open_model, "--shape", "x=3x4", "--value", "which=0", "--format", "json")
    assert (found.code, found.err) == (0, "")
    assert [row["name"] for row in json.loads(found.out)["layers"]] == ["if/v"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dim", "batch"], "--dim batch (write --dim batch=1)"),
        (["--dim", "batch=-1"], "--dim batch=-1 (write --dim batch=1)"),
        (["--dim", "bach=2"], "the model has no dimension 'bach' (did you mean batch?)"),
        (["--dim", "batch=2", "--dim", "batch=3"], "--dim batch=3: batch is given twice"),
        (["--value", "which=yes"], "--value which=yes (write --value rate=16000)"),
        (["--value", "what=1"], "the model has no input 'what'"),
        (["--value", "which=2"], "input which is of bool, which has no 2"),
        (["--shape", "x=3xfour"], "--shape x=3xfour (write --shape input=1x3x224x224)"),
    ],
)
def test_what_cannot_be_given(mapper, open_model, options, message):
    found = mapper("inspect", open_model, *options)
    assert (found.code, found.out) == (1, "")
    assert message in found.err and found.err.count("\n") == 1


def test_every_word_that_cannot_be_given_is_named_at_once(mapper, open_model):
    found = mapper("inspect", open_model, "--shape", "x=3xfour", "--dim", "batch", "--value", "which=yes")
    assert (found.code, found.out) == (1, "")
    assert [line.split(" (")[0] for line in found.err.splitlines()] == [
        f"mapper: error: {word}" for word in ("--shape x=3xfour", "--dim batch", "--value which=yes")
    ]


def test_what_was_given_is_kept_for_verification(mapper, open_model, spec, tmp_path):
    folder = tmp_path / "build"
    options = ("--dim", "batch=2", "--value", "which=1", "-o", folder, "--jobs", 1)
    assert mapper("compile", open_model, "--arch", spec, *options).code == 0
    about = json.loads((folder / "model.json").read_text())
    assert (about["shapes"], about["dims"], about["values"]) == ({}, {"batch": 2}, {"which": 1})
    found = mapper("verify", folder)
    assert found.code == 0 and found.out.startswith("executed 1 layer: every count equal")
