"""`--verify` and `mapper verify`: executing what was compiled."""

import json
import re
import sys

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("numba")


@pytest.fixture
def build(mapper, model, spec, tmp_path):
    """A folder of a compilation."""
    folder = tmp_path / "build"
    assert mapper("compile", model, "--arch", spec, "-o", folder, "--jobs", 1).code == 0
    return folder


def edit(file, **changes):
    data = json.loads(file.read_text())
    data.update(changes)
    file.write_text(json.dumps(data))


def test_compile_verifies_every_layer(mapper, model, spec):
    found = mapper("compile", model, "--arch", spec, "--jobs", 1, "--verify", "--format", "json")
    assert (found.code, found.err) == (0, "")
    verification = json.loads(found.out)["verification"]
    assert verification.pop("max_relative_error") < 1e-4
    drawn = verification.pop("drawn")
    assert verification == {"layers_checked": 3, "counts_match": True, "compared": "outputs", "passed": True}
    assert drawn and set(drawn.values()) == {"random numbers"}


def test_verify_executes_a_folder(mapper, build):
    found = mapper("verify", build, "--format", "json")
    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out)["passed"] is True
    assert "executed 3 layers: every count equal to the model's" in mapper("verify", build).out


@pytest.mark.parametrize("key", ["energy", "cycles", "macs", "edp", "dram_bytes", "utilization", "unique_id"])
def test_a_summary_that_says_something_else_is_code_4(mapper, build, key):
    data = json.loads((build / "summary.json").read_text())
    data["layers"][0][key] += 1
    (build / "summary.json").write_text(json.dumps(data))
    found = mapper("verify", build)
    assert found.code == 4
    assert f"summary.json: layers[0].{key} is " in found.err


def test_a_model_that_has_changed_is_not_verified(mapper, build, model):
    edit(build / "model.json", sha256="0")
    found = mapper("verify", build)
    assert (found.code, found.out) == (1, "")
    assert "the model has changed since it was compiled (compile it again)" in found.err


def test_a_schedule_that_was_edited_is_checked_first(mapper, build):
    file = build / "schedule" / "gemm.yaml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "for: K" not in line))
    found = mapper("verify", build)
    assert found.code == 1
    assert f"{file}: illegal on tiny: dim K is not split completely" in found.err


def test_a_schedule_that_says_something_else_of_the_model_is_code_4(mapper, build):
    file = build / "schedule" / "conv_1.yaml"
    assert "pads: [[0, 0], [0, 0], [1, 1], [1, 1]]" in file.read_text()
    file.write_text(file.read_text().replace("[1, 1], [1, 1]]", "[1, 1], [1, 2]]").replace("order: 1\n", "order: 2\n"))
    found = mapper("verify", build)
    assert (found.code, found.out) == (4, "")
    assert found.err.splitlines() == [
        f"mapper: error: {file}: onnx.order is 2, the model has 1",
        f"mapper: error: {file}: onnx.operands.I.pads[3][1] is 2, the model has 1",
    ]


def test_all_schedules_that_are_wrong_are_named_at_once(mapper, build):
    first, second, third = (build / "schedule" / f"{name}.yaml" for name in ("conv_1", "conv_2", "gemm"))
    first.write_text(first.read_text().replace("tensor: W", "tensor: V", 1))
    second.write_text(second.read_text().replace("arch: tiny", "arch: huge"))
    third.unlink()
    found = mapper("verify", build)
    assert (found.code, found.out) == (1, "")
    assert f"{first}: illegal on tiny: keep DRAM V: the layer has no tensor V" in found.err
    assert f"{second}: is for huge, the folder for tiny\n" in found.err
    assert f"{third}: cannot be read" in found.err


def test_figures_that_the_mappings_do_not_give_are_named_at_once(mapper, build):
    for name in ("conv_1", "gemm"):
        file = build / "schedule" / f"{name}.yaml"
        file.write_text(re.sub(r"^(energy|cycles): .*", r"\1: 1", file.read_text(), flags=re.MULTILINE))
    found = mapper("verify", build)
    assert (found.code, found.out) == (4, "")
    expected = [
        f"{name}.yaml: {key} is 1, its mapping gives" for name in ("conv_1", "gemm") for key in ("energy", "cycles")
    ]
    for line, what in zip(found.err.splitlines(), expected, strict=True):
        assert what in line


def test_everything_that_a_summary_says_otherwise_is_named_at_once(mapper, build):
    data = json.loads((build / "summary.json").read_text())
    data["totals"]["energy"] = data["breakdown"]["energy_by_operator"]["Conv"] = 7
    (build / "summary.json").write_text(json.dumps(data))
    lines = mapper("verify", build).err.splitlines()
    assert ["totals.energy is 7" in lines[0], "energy_by_operator.Conv is 7" in lines[1], len(lines)] == [True, True, 2]


@pytest.mark.parametrize("name", ["summary.json", "model.json"])
def test_an_unfinished_folder_is_not_verified(mapper, build, name):
    (build / name).unlink()
    found = mapper("verify", build)
    assert (found.code, found.out) == (1, "")
    assert f"{build / name}: " in found.err


@pytest.mark.parametrize("name", ["summary", "model"])
@pytest.mark.parametrize(
    ("number", "advice"),
    [(1, "compile again: mapper compile MODEL -o DIR"), (3, "a newer version of tilewright wrote it")],
)
def test_a_folder_of_another_version_is_refused_with_what_to_do(mapper, build, name, number, advice):
    edit(build / f"{name}.json", schema=f"tilewright.{name}/{number}")
    found = mapper("verify", build)
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert f"{name}.json: it has schema 'tilewright.{name}/{number}', and this version reads" in found.err
    assert f"({advice})" in found.err


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_summary_is_named(mapper, build, text):
    (build / "summary.json").write_text(text)
    found = mapper("verify", build)
    assert (found.code, found.out) == (1, "")
    assert str(build / "summary.json") in found.err


def test_a_missing_extra_is_named_with_the_command_that_installs_it(mapper, model, spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = mapper("compile", model, "--arch", spec, "--jobs", 1, "--verify")
    assert (found.code, found.out) == (1, "")
    assert (
        "this needs the package 'onnxruntime', which is not installed (pip install 'tilewright[verify]')" in found.err
    )


def test_a_folder_without_its_architecture_names_the_file(mapper, build):
    (build / "arch.yaml").unlink()
    found = mapper("verify", build)
    assert (found.code, found.out) == (1, "")
    assert f"no folder of a compilation: {build / 'arch.yaml'}: cannot be read: No such file" in found.err


def test_layers_that_the_inputs_do_not_lead_to_are_named(mapper, spec, tmp_path):
    """Of two branches one runs."""
    onnx = pytest.importorskip("onnx")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    floats = {name: value(name, onnx.TensorProto.FLOAT, (2, 2)) for name in ("x", "w", "a", "b", "y")}
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            [make("MatMul", ["x", "w"], [made], name=made)], name, [], [floats[made]]
        )
        for name, made in (("then", "a"), ("else", "b"))
    }
    whether = value("c", onnx.TensorProto.BOOL, ())
    graph = onnx.helper.make_graph(
        [make("If", ["c"], ["y"], name="if", **branches)], "one", [floats["x"], floats["w"], whether], [floats["y"]]
    )
    chosen = tmp_path / "chosen.onnx"
    onnx.save_model(
        onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]), chosen
    )
    found = mapper("compile", chosen, "--arch", spec, "--jobs", 1, "--verify")
    assert found.code == 0 and "executed 1 layer:" in found.out
    assert "not executed, as these inputs do not lead there: if/" in found.out
    found = mapper("compile", chosen, "--arch", spec, "--jobs", 1, "--verify", "--format", "json")
    (idle,) = json.loads(found.out)["verification"]["not_run"]
    assert idle in ("if/then/a", "if/else/b")


@pytest.fixture
def inputs(model):
    """An array for each input of the model."""
    graph = pytest.importorskip("onnx").load(model).graph
    stored = {tensor.name for tensor in graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input if v.name not in stored}
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def test_inputs_are_given_as_files(mapper, model, spec, tmp_path, inputs):
    np.savez(tmp_path / "data.npz", **inputs)
    asked = ("compile", model, "--arch", spec, "--jobs", 1, "-o", tmp_path / "build", "--verify")
    found = mapper(*asked, "--data", tmp_path / "data.npz", "--format", "json")
    assert (found.code, found.err) == (0, "")
    assert "drawn" not in json.loads(found.out)["verification"]
    (tmp_path / "data").mkdir()
    for name, array in inputs.items():
        np.save(tmp_path / "data" / f"{name}.npy", array)
    found = mapper("verify", tmp_path / "build", "--data", tmp_path / "data", "--format", "json")
    assert found.code == 0 and "drawn" not in json.loads(found.out)


def test_infinite_inputs_print_no_warnings(mapper, build, tmp_path, inputs):
    inputs["x"] = np.full_like(inputs["x"], 3e38)
    inputs["x"][0, 0, 0, 0] = np.inf
    np.savez(tmp_path / "data.npz", **inputs)
    found = mapper("verify", build, "--data", tmp_path / "data.npz")
    assert (found.code, found.err) == (0, "")
    assert "not compared: layer conv/1: it is given values that are not finite" in found.out


def test_wrong_inputs_are_said_before_anything_is_solved(mapper, model, spec, tmp_path, inputs):
    name = next(iter(inputs))
    np.savez(tmp_path / "data.npz", **{**inputs, name: inputs[name].astype(float), "other": np.zeros(1)})
    found = mapper("compile", model, "--arch", spec, "-o", tmp_path / "build", "--verify", "-d", "x")
    assert found.code == 2
    found = mapper(
        "compile", model, "--arch", spec, "-o", tmp_path / "build", "--verify", "--data", tmp_path / "data.npz"
    )
    assert (found.code, found.out) == (1, "") and not (tmp_path / "build").exists()
    assert "data.npz: the model has no input 'other'" in found.err
    assert f"input {name} is float32 of shape" in found.err and "(array.astype('float32'))" in found.err
    found = mapper("compile", model, "--arch", spec, "--data", tmp_path / "data.npz")
    assert (found.code, found.out) == (1, "")
    assert "--data: these inputs are for execution only (add --verify)" in found.err


def test_a_verification_that_fails_prints_the_result_first(mapper, model, spec, tmp_path, monkeypatch):
    """Whether values differ or nothing can be executed at all."""
    from backends.execute import counting
    from mapper.errors import InputError

    original = counting.execute

    def wrong(*given):
        found = original(*given)
        found.output.flat[0] += 1
        return found

    def large(*given):
        raise InputError("too large to execute: 3 words", place="here")

    asked = ("compile", model, "--arch", spec, "--jobs", 1, "--verify", "-o", tmp_path / "build")
    for execute, code, said in ((wrong, 4, "against double precision"), (large, 1, "too large to execute: 3 words")):
        monkeypatch.setattr(counting, "execute", execute)
        found = mapper(*asked)
        assert found.code == code and said in found.err
        assert "3 of 3 layers proven optimal" in found.out
        verification = json.loads((tmp_path / "build" / "summary.json").read_text())["verification"]
        assert verification["passed"] is False and said in verification["failure"]


def test_an_ill_conditioned_output_is_said_and_passes(mapper, spec, tmp_path):
    """Of a model that subtracts the same sum, in two halves, from itself."""
    onnx = pytest.importorskip("onnx")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("MatMul", ["x", "w"], ["a"], name="a"),
        make("Split", ["x"], ["x0", "x1"], name="halves", axis=1),
        make("MatMul", ["x0", "w0"], ["a0"], name="a0"),
        make("MatMul", ["x1", "w1"], ["a1"], name="a1"),
        make("Add", ["a0", "a1"], ["b"], name="b"),
        make("Sub", ["a", "b"], ["c"], name="c"),
        make("Mul", ["c", "million"], ["y"], name="y"),
    ]
    weight = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    stored = {"w": weight, "w0": weight[:32], "w1": weight[32:], "million": np.array(1e6, np.float32)}
    graph = onnx.helper.make_graph(
        nodes,
        "cancels",
        [value("x", onnx.TensorProto.FLOAT, (4, 64))],
        [value("y", onnx.TensorProto.FLOAT, (4, 8))],
        initializer=[onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    path = tmp_path / "cancels.onnx"
    onnx.save_model(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    found = mapper("compile", path, "--arch", spec, "--jobs", 1, "--verify")
    assert found.code == 0, found.err
    assert re.search(
        r"^output y: ill-conditioned on these inputs: \S+ from ONNX Runtime's; from double precision ours is \S+, "
        r"ONNX Runtime's \S+$",
        found.out,
        re.MULTILINE,
    ), found.out


@pytest.mark.parametrize("value", [{"a": 1}, "1", True, [1]])
def test_a_value_that_is_no_number_is_code_1(mapper, build, value):
    edit(build / "model.json", values={"x": value})
    found = mapper("verify", build)
    assert found.code == 1 and "is no number" in found.err
