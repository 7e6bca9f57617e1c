"""`mapper compile`: a model into a folder."""

import csv
import hashlib
import io
import json
import sys

import pytest
from onnx import TensorProto, helper, save

from backends.emit import read_schedule
from mapper.arch import load_architecture
from mapper.cli.compile import Request, run
from mapper.cli.options import Asked
from mapper.cli.output import console, table
from mapper.mapping import violations

LAYERS = ["conv/1", "conv 2", "gemm"]
FILES = ["arch.yaml", "breakdown.csv", "layers.csv", "model.json", "schedule", "summary.json"]
SCHEDULES = ["conv_1.yaml", "conv_2.yaml", "gemm.yaml"]


@pytest.fixture
def build(mapper, model, spec, tmp_path):
    """Compiles the model into a folder."""
    folder = tmp_path / "build"
    found = mapper("compile", model, "--arch", spec, "-o", folder, "--jobs", 1, "--format", "json")
    assert (found.code, found.err) == (0, "")
    return folder, found.out


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_summary_is_printed_and_written(build):
    folder, out = build
    data = json.loads((folder / "summary.json").read_text())
    assert json.loads(out) == data
    assert list(data) == [
        "schema", "model", "arch", "objective", "factors", "mapspace", "dataflow", "constraints", "limits",
        "engine",
        "energy_unit", "totals", "breakdown", "layers", "other_ops", "warnings", "verification",
    ]  # fmt: skip
    assert (data["model"], data["arch"], data["objective"], data["energy_unit"]) == ("small", "tiny", "energy", "pJ")
    assert data["verification"] is None

    assert [row["name"] for row in data["layers"]] == LAYERS
    first, second, gemm = data["layers"]
    assert (first["op"], first["unique_id"], second["unique_id"], gemm["unique_id"]) == ("Conv", 0, 0, 1)
    assert {d: n for d, n in first["dims"].items() if n > 1} == {"K": 4, "C": 4, "P": 4, "Q": 4, "R": 3, "S": 3}
    assert (first["macs"], gemm["macs"]) == (4 * 4 * 16 * 9, 640)
    for row in data["layers"]:
        assert row["status"] == "optimal"
        assert row["energy"] == row["bound"]
        assert row["edp"] == row["energy"] * row["cycles"]
        assert row["utilization"] == row["macs"] / (row["cycles"] * 4)
        assert all(type(row[key]) is int for key in ("energy", "cycles", "edp", "bound", "macs", "dram_bytes"))
        assert (folder / row["schedule"]).is_file()

    others = {row["name"]: row for row in data["other_ops"]}
    # the Relu works on what the convolution is about to write; flattening moves nothing
    assert others["relu"]["attached_to"] == "conv/1"
    assert [(others[name]["treatment"], others[name]["order"]) for name in ("relu", "flat")] == [
        ("attached", 2),
        ("view", 4),
    ]
    for name in ("relu", "flat"):
        assert (others[name]["dram_bytes"], others[name]["energy"], others[name]["cycles"]) == (0, 0, 0)

    rows = [*data["layers"], *data["other_ops"]]
    totals = data["totals"]
    assert totals["energy"] == sum(row["energy"] for row in rows)
    assert totals["cycles"] == sum(row["cycles"] for row in rows)
    assert totals["macs"] == 2 * 2304 + 640
    assert totals["latency_s"] == totals["cycles"] / 10**7
    assert totals["dram_bytes"] == sum(row["dram_bytes"] for row in rows)


def test_the_folder_has_the_documented_files_and_no_others(build, model, spec):
    folder, _ = build
    assert names(folder) == FILES
    assert names(folder / "schedule") == SCHEDULES
    assert (folder / "arch.yaml").read_text() == spec.read_text()
    about = json.loads((folder / "model.json").read_text())
    assert about["path"] == str(model)
    assert about["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    with (folder / "layers.csv").open() as stream:
        assert [row["name"] for row in csv.DictReader(stream)] == ["conv/1", "relu", "conv 2", "flat", "gemm"]


def test_schedules_are_legal_and_name_their_layer(build, spec):
    folder, _ = build
    schedules = [read_schedule(folder / "schedule" / name) for name in SCHEDULES]
    assert [schedule.layer for schedule in schedules] == LAYERS
    for schedule in schedules:
        assert violations(schedule.nest, load_architecture(str(spec)), schedule.mapping) == []


def test_compiling_again_replaces_what_is_stale_only(build, mapper, model, spec):
    folder, _ = build
    (folder / "schedule" / "stale.yaml").write_text("old")
    (folder / "notes.txt").write_text("mine")
    assert mapper("compile", model, "--arch", spec, "-o", folder, "--jobs", 1).code == 0
    assert names(folder) == sorted([*FILES, "notes.txt"])
    assert names(folder / "schedule") == SCHEDULES


def test_what_cannot_be_mapped_is_found_before_anything_is_written(build, mapper, model, spec):
    folder, _ = build
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    spec.write_text(spec.read_text().replace("word: 16 bits", "word: 16 bits\n    size: 200 words"))
    found = mapper("compile", model, "--arch", spec, "-o", folder, "--jobs", 1)
    assert (found.code, found.out) == (3, "")
    # I 4 x 6 x 6, W 4 x 4 x 3 x 3, O 4 x 4 x 4; the Gemm 64 + 640 + 10
    assert found.err.splitlines() == [
        "mapper: error: layer conv/1: DRAM holds 200 words and must keep at least 352 (I 144 + W 144 + O 64): too "
        "small by 152 (make the memory larger or let a tensor bypass it in tiny)",
        "mapper: error: layer gemm: DRAM holds 200 words and must keep at least 714 (A 64 + B 640 + O 10): too "
        "small by 514 (make the memory larger or let a tensor bypass it in tiny)",
    ]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_with_other_files_is_left_alone(mapper, model, spec, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "summary.json").write_text("my own")
    found = mapper("compile", model, "--arch", spec, "-o", tmp_path / "mine")
    assert (found.code, found.out) == (1, "")
    assert "mine: holds files that are no compilation's (choose an empty or new folder)" in found.err
    assert names(tmp_path / "mine") == ["summary.json"]


def test_nothing_is_written_without_o(mapper, model, spec, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = names(tmp_path)
    found = mapper("compile", model, "--arch", spec, "--jobs", 1, "--format", "json")
    assert found.code == 0
    assert {row["schedule"] for row in json.loads(found.out)["layers"]} == {None}
    assert (names(tmp_path), names(tmp_path / "here")) == (before, [])


def test_the_table_has_a_line_for_each_layer_and_the_totals(mapper, model, spec):
    found = mapper("compile", model, "--arch", spec, "--jobs", 1)
    assert (found.code, found.err) == (0, "")  # no bar where stderr is no terminal
    assert all(any(line.startswith(name) for line in found.out.splitlines()) for name in [*LAYERS, "Relu", "Flatten"])
    assert "small on tiny: 3 of 3 layers proven optimal" in found.out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_is_about_to_be_solved_is_said_where_stderr_is_a_terminal(model, spec, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", Terminal())
    asked = Asked(objective="latency", time_limit=60, constraints=["keep RF:input"], max_cycles="1M")
    run(Request(str(model), str(spec), asked, None, 4, False, True, [], [], []))
    assert sys.stderr.getvalue().splitlines()[0] == (
        "small on tiny: 3 layers, 2 distinct, least latency over imperfect factors, uneven tiles, 1 constraint, "
        "caps on cost, at most 60 s for each, 2 at a time"
    )
    assert json.loads(capsys.readouterr().out)["objective"] == "latency"


def test_the_table_shows_where_it_goes_and_how_fast(mapper, model, spec):
    lines = mapper("compile", model, "--arch", spec, "--jobs", 1).out.splitlines()
    start = lines.index(next(line for line in lines if line.startswith("where it goes")))
    titles = ["energy by level", "energy by tensor", "energy by operator", "time by bottleneck", "DRAM by tensor"]
    for line, title in zip(lines[start + 2 :], titles, strict=False):
        assert line.startswith(title)
        shares = [float(word.rstrip("%,").lstrip("<")) for word in line.split() if "%" in word]
        assert shares == sorted(shares, reverse=True) and 97 < sum(shares) < 103
    assert "TOPS/W" in lines[-1] and "inferences/s" in lines[-1] and lines[-1].endswith("% of peak")


def test_names_are_whole_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    rows, name = table("layer", "op", "dims"), "encoder/layer.0/attention/query"
    rows.add_row(name, "MatMulInteger", "M=128 N=768 K=768")
    console().print(rows)
    assert f"{name}   MatMulInteger   M=128 N=768 K=768" in sys.stdout.getvalue()


def test_a_name_that_a_terminal_would_obey_is_escaped_on_a_line(mapper, spec, tmp_path):
    value, float32 = helper.make_tensor_value_info, TensorProto.FLOAT
    node = helper.make_node("MatMul", ["a", "b"], ["y"], name="[/x]\x1b[31m\nred")
    shapes = [value(name, float32, [2, 2]) for name in "aby"]
    graph = helper.make_graph([node], "g", shapes[:2], shapes[2:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    for command in (["compile", tmp_path / "m.onnx", "--arch", spec, "--jobs", 1], ["inspect", tmp_path / "m.onnx"]):
        assert mapper(*command).out.splitlines()[2].startswith(r"[/x]\x1b[31m\nred")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alexnt", "--arch", "simple3"], "'alexnt' is neither a file nor a known model (did you mean alexnet"),
        (["alexnet", "--arch", "simple"], "no architecture file or name 'simple' (did you mean simple3"),
        (["{spec}", "--arch", "simple3"], "this is not an ONNX model, or only a part of one"),
        (["{model}", "--arch", "{spec}", "--shape", "x=1xtwo"], "--shape x=1xtwo (write --shape input=1x3x224x224)"),
        (["{model}", "--arch", "{spec}", "-o", "{model}"], "is a file, not a folder"),
    ],
)
def test_bad_input_gets_one_message_and_code_1(mapper, model, spec, arguments, message):
    found = mapper("compile", *(text.format(model=model, spec=spec) for text in arguments))
    assert (found.code, found.out) == (1, "")
    assert message in found.err
    assert found.err.count("\n") == 1


def test_a_truncated_model_is_no_model(mapper, model, spec):
    model.write_bytes(model.read_bytes()[:100])
    found = mapper("compile", model, "--arch", spec)
    assert (found.code, found.out) == (1, "")
    assert f"{model}: this is not an ONNX model, or only a part of one" in found.err


def test_a_survey_network_needs_no_file(mapper, spec, tmp_path):
    spec.write_text(spec.read_text().replace("word: 16 bits", "word: 16 bits\n    size: 9 words"))
    found = mapper("compile", "survey/alexnet", "--arch", spec)
    assert found.code == 3  # found and read, though it cannot be mapped
