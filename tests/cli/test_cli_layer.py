"""`mapper map` and `mapper evaluate`: one layer."""

import json

import pytest

GEMM = "gemm M=16 N=16 K=16"


def test_map_prints_what_the_contract_names(mapper):
    found = mapper("map", GEMM, "--arch", "simple3", "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)  # and nothing else
    # the reference value; 768 words over 16 words a cycle
    assert (data["status"], data["energy"], data["bound"], data["cycles"]) == ("optimal", 162_048, 162_048, 48)
    assert data["edp"] == 162_048 * 48
    assert data["utilization"] == 4096 / (48 * 256)
    assert isinstance(data["solve_s"], float)
    assert data["counts"]["DRAM"] == {
        "A": {"reads": 256, "writes": 0},
        "B": {"reads": 256, "writes": 0},
        "O": {"reads": 0, "writes": 256},
    }
    assert data["mapping"][:3] == [{"keep": "DRAM", "tensor": t, "tile": [16, 16], "elements": 256} for t in "ABO"]


def test_whole_energies_print_as_whole_numbers(mapper, spec):
    out = mapper("map", "gemm M=2 N=2 K=2", "--arch", spec, "--format", "json").out
    assert isinstance(json.loads(out)["energy"], int)
    spec.write_text(spec.read_text().replace("energy: 1 pJ", "energy: 0.3 pJ"))
    out = mapper("map", "gemm M=2 N=2 K=2", "--arch", spec, "--format", "json").out
    # 12 words at 100 pJ, and what the registers and 8 operations cost
    assert json.loads(out)["energy"] % 1 == pytest.approx(8 * 0.3 % 1)


def test_the_table_shows_nest_proof_and_counts(mapper):
    found = mapper("map", GEMM, "--arch", "simple3")
    assert (found.code, found.err) == (0, "")
    assert "O[M,N] += A[M,K] * B[K,N]" in found.out
    assert "proven optimal" in found.out
    assert "48 cycles (DRAM shared bound)" in found.out


def test_a_time_limit_says_so(mapper):
    layer = "conv K=64 C=3 P=112 Q=112 R=7 S=7 stride=2"
    found = mapper("map", layer, "--arch", "simple3", "--time-limit", "0.001", "--format", "json")
    data = json.loads(found.out)
    assert (found.code, data["status"]) == (0, "feasible")
    assert data["bound"] <= 587_855_732 <= data["energy"]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_what_map_writes_evaluate_reads(mapper, tmp_path, suffix):
    file = tmp_path / f"schedule.{suffix}"
    mapped = json.loads(mapper("map", GEMM, "-a", "simple3", "-f", "json", "-o", file).out)
    found = mapper("evaluate", file, "--arch", "simple3", "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert {key: data[key] for key in ("energy", "cycles", "edp", "utilization", "counts", "network")} == {
        key: mapped[key] for key in ("energy", "cycles", "edp", "utilization", "counts", "network")
    }
    assert "legal on simple3" in mapper("evaluate", file, "--arch", "simple3").out


SCHEDULE = """\
schema: tilewright.schedule/2
layer: {name: products, nest: "O[M,N] += A[M,K] * B[K,N] {M=8 N=1 K=6}"}
arch: simple3
mapping:
  - {keep: DRAM, tensor: A}
  - {keep: DRAM, tensor: B}
  - {keep: DRAM, tensor: O}
  - {for: K, step: 3}
  - {keep: GLB, tensor: A}
  - {parfor: M, step: 4, fanout: PE, axis: x}
  - {for: K, step: 1}
  - {for: M, step: 1}
"""


@pytest.fixture
def schedule(tmp_path):
    path = tmp_path / "products.yaml"
    path.write_text(SCHEDULE)
    return path


def test_evaluate_prints_what_is_counted_of_each_node_network_and_level(mapper, schedule):
    data = json.loads(mapper("evaluate", schedule, "--arch", "simple3", "--format", "json").out)
    glb = next(node for node in data["nodes"] if node["memory"] == "GLB")
    assert (glb["extents"], glb["tile_words"], glb["tile_bits"], glb["runs"]) == ({"M": 8, "K": 3}, 24, 192, 2)
    assert (glb["writes"], glb["fills"], glb["reads"], glb["drains"], glb["refills"]) == (48, 48, 48, 0, 0)
    assert glb["energy"] == 6 * (48 + 48)
    sharing = {network["tensor"]: network["sharing"] for network in data["networks"]}
    assert sharing == {"A": 1, "B": 2, "O": 1}  # B is the same for both instances
    levels = {level["name"]: level for level in data["levels"]}
    assert (levels["GLB"]["used_words"], levels["GLB"]["size_words"]) == (24, 131072)
    assert (levels["MAC"]["used"], levels["MAC"]["instances"]) == (2, 256)
    assert sum(level["energy"] for level in levels.values()) == data["energy"]
    table = mapper("evaluate", schedule, "--arch", "simple3").out
    assert any(line.split()[:4] == ["GLB", "A", "M=8", "K=3"] for line in table.splitlines())
    assert "24 words of 131,072, 0%" in table


def test_explain_takes_the_counts_of_a_node_apart(mapper, schedule):
    text = mapper("evaluate", schedule, "--arch", "simple3", "--explain", "DRAM:B").out
    assert "DRAM:B: 24 reads" in text
    lines = [line.split() for line in text.splitlines()]
    # for K 3 and for K 1 are relevant; of M, 4 steps: the instances of the spatial loop count once
    assert any(line[:3] == ["M", "x", "4"] and "count once" in " ".join(line) for line in lines)
    assert any(line[:3] == ["K", "x", "6"] for line in lines)
    data = json.loads(mapper("evaluate", schedule, "-a", "simple3", "--explain", "DRAM:B", "--format", "json").out)
    assert [part["total"] for part in data["parts"]] == [24]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("GLB:B", "the mapping has no storage node GLB:B (did you mean GLB:A?)"),
        ("GLB", "--explain GLB: name a storage node as MEMORY:TENSOR (for example GLB:I)"),
    ],
)
def test_a_node_to_explain_that_is_not_there(mapper, schedule, node, message):
    found = mapper("evaluate", schedule, "--arch", "simple3", "--explain", node)
    assert (found.code, found.out) == (1, "")
    assert message in found.err and found.err.count("\n") == 1


def test_nothing_is_written_without_o(mapper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mapper("map", GEMM, "--arch", "simple3").code == 0
    assert list(tmp_path.iterdir()) == []


def test_evaluate_says_why_a_mapping_is_illegal(mapper, schedule):
    schedule.write_text(SCHEDULE.replace("{for: M, step: 1}", "{for: M, step: 2}").replace("axis: x", "axis: y"))
    schedule.write_text(schedule.read_text().replace("{parfor: M, step: 4", "{parfor: K, step: 1"))
    found = mapper("evaluate", schedule, "--arch", "eyeriss_v1")
    assert (found.code, found.out) == (1, "")
    illegal = f"mapper: error: {schedule}: illegal on eyeriss_v1: "
    assert found.err == f"{illegal}dim M is not split completely: pieces of 2 remain at the innermost point\n"


def test_evaluate_names_what_a_schedule_misstates_beside_what_is_illegal(mapper, schedule):
    text = SCHEDULE.replace("{for: K, step: 3}", "{for: K, step: 3, extent: 8}").replace(
        "step: 4,", "step: 4, pieces: 3,"
    )
    schedule.write_text(text.replace("{for: M, step: 1}", "{for: M, step: 2}"))
    found = mapper("evaluate", schedule, "--arch", "simple3")
    assert (found.code, found.out) == (1, "")
    why = "by the layer and the loops above (leave it out or correct it)"
    assert [line.removeprefix(f"mapper: error: {schedule}: ") for line in found.err.splitlines()] == [
        f"item 4 of mapping: extent is stated as 8, and is 6 {why}",
        f"item 6 of mapping: pieces is stated as 3, and is 2 {why}",
        "illegal on simple3: dim M is not split completely: pieces of 2 remain at the innermost point",
    ]


def test_a_schedule_of_the_version_before_is_refused(mapper, schedule):
    schedule.write_text(SCHEDULE.replace("schedule/2", "schedule/1"))
    found = mapper("evaluate", schedule, "--arch", "simple3")
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert (
        "it has schema 'tilewright.schedule/1', and this version reads 'tilewright.schedule/2' (compile or" in found.err
    )


def test_evaluate_gives_every_reason_why_a_mapping_is_illegal(mapper, schedule):
    schedule.write_text(SCHEDULE.replace("{for: M, step: 1}", "{for: M, step: 2}").replace("tensor: O", "tensor: A"))
    found = mapper("evaluate", schedule, "--arch", "simple3")
    assert (found.code, found.out) == (1, "")
    assert [line.split("illegal on simple3: ")[1] for line in found.err.splitlines()] == [
        "O must be kept in its home DRAM above all loops and other nodes",
        "DRAM keeps A twice",
        "dim M is not split completely: pieces of 2 remain at the innermost point",
    ]


def test_a_mapping_of_another_machine_is_illegal(mapper, tmp_path):
    file = tmp_path / "schedule.yaml"
    mapper("map", GEMM, "-a", "simple3", "-o", file)
    found = mapper("evaluate", file, "--arch", "eyeriss_v1")
    assert found.code == 1
    assert "eyeriss_v1 has no memory RF" in found.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["map", "gmem M=2", "--arch", "simple3"], "unknown kind of layer 'gmem' (did you mean gemm?)"),
        (["map", "gemm M=0", "--arch", "simple3"], "'M=0': an extent is a whole number of at least 1"),
        (
            ["map", "gemm M=2 N=1 K=1", "--arch", "simple4"],
            "no architecture file or name 'simple4' (did you mean simple3",
        ),
        (["evaluate", "none.yaml", "--arch", "simple3"], "none.yaml: cannot be read: No such file or directory"),
        (["archs", "show", "eyeris"], "no architecture file or name 'eyeris' (did you mean eyeriss_v1?)"),
        (["archs", "check", "none"], "no architecture file or name 'none'"),
        (["verify", "none"], "none/model.json"),
        (["map", GEMM, "--arch", "a" * 5000], "cannot be read: File name too long"),
        (["compile", "a" * 5000, "--arch", "simple3"], "cannot be read: File name too long"),
        (["map", "gemm M=" + "9" * 5000, "--arch", "simple3"], "an extent is a whole number of at least 1"),
        (
            ["map", "gemm M=999999999999999 N=999999999999999 K=1", "--arch", "simple3"],
            "more than the search can count",
        ),
        (["map", "conv P=2 stride=999999999999999999999", "--arch", "simple3"], "a stride is a whole number"),
        (["map", GEMM, "--arch", "simple3", "-o", "/"], "/: is a folder, not a file to write"),
        (["map", GEMM, "--arch", "simple3", "-o", "."], ".: is a folder, not a file to write"),
        (["compile", "alexnet", "--arch", "simple3", "--shape", "data_0=" + "9" * 5000], "--shape data_0="),
        (["compile", "alexnet", "--arch", "simple3", "--shape", "x=1", "--shape", "x=2"], "x is given twice"),
    ],
)
def test_bad_input_gets_one_message_and_code_1(mapper, arguments, message):
    found = mapper(*arguments)
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("mapper: error: ")
    assert message in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["map", GEMM],
        ["map", "--arch", "simple3"],
        ["map", GEMM, "--arch", "simple3", "--format", "xml"],
        ["map", GEMM, "--arch", "simple3", "--objective", "area"],
        ["map", GEMM, "--arch", "simple3", "--time-limit", "soon"],
        ["map", GEMM, "--arch", "simple3", "--frobnicate"],
        ["compile", "alexnet"],
        ["compile", "alexnet", "--arch", "simple3", "--jobs", "0"],
        ["frobnicate"],
        ["archs", "frobnicate"],
    ],
)
def test_wrong_usage_is_code_2(mapper, arguments):
    found = mapper(*arguments)
    assert (found.code, found.out) == (2, "")
    assert "Usage: mapper" in found.err


def test_a_layer_that_cannot_fit_is_code_3(mapper, spec):
    spec.write_text(spec.read_text().replace("size: 64 words", "size: 2 words\n    must_keep: [input, weight, output]"))
    found = mapper("map", "gemm M=2 N=2 K=2", "--arch", spec)
    assert (found.code, found.out) == (3, "")
    assert "RF holds 2 words and must keep at least 3 (A 1 + B 1 + O 1): too small by 1" in found.err


def test_a_defect_of_ours_is_code_70_with_a_traceback(mapper, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("mapper.search.cpsat.solve", broken)
    found = mapper("map", GEMM, "--arch", "simple3")
    assert (found.code, found.out) == (70, "")
    assert "Traceback" in found.err and "ZeroDivisionError: oops" in found.err
    assert found.err.splitlines()[-1].startswith("mapper: error: internal error")


def test_a_file_that_cannot_be_written_is_the_users_error(mapper, tmp_path):
    (tmp_path / "file").write_text("")
    found = mapper("map", "gemm M=2 N=1 K=1", "--arch", "simple3", "-o", tmp_path / "file" / "schedule.yaml")
    assert found.code == 1
    assert "cannot be written" in found.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.txt", "schedules are written as YAML or JSON (end the name in .yaml, .yml or .json)"),
        ("x", "schedules are written as YAML or JSON"),
        ("file/x.yaml", "cannot be written: Not a directory"),
        ("folder", "is a folder, not a file to write"),
        ("n" * 300 + ".yaml", "cannot be written: File name too long"),
    ],
)
def test_a_schedule_that_cannot_be_written_is_refused_before_the_search(mapper, tmp_path, monkeypatch, name, message):
    def search(*_, **__):
        raise AssertionError("it searches")

    monkeypatch.setattr("mapper.cli.layer.solve_layer", search)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    found = mapper("map", GEMM, "--arch", "simple3", "-o", tmp_path / name)
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert message in found.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["x.yaml", "x.yml", "x.JSON"])
def test_folders_are_made_for_a_schedule(mapper, tmp_path, name):
    path = tmp_path / "new" / "newer" / name
    assert mapper("map", "gemm M=2 N=2 K=2", "--arch", "simple3", "-o", path).code == 0
    assert path.read_text().startswith("{") == name.endswith("JSON")
    assert mapper("evaluate", path, "--arch", "simple3").code == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size: 64 words", "size: 1e25 words", "too large to be meant"),
        ("size: 64 words", "size: 1e9999999 words", "must be a number"),
        ("read: 1 pJ", "read: 1e400 pJ", "must be a number"),
        ("read: 1 pJ", "read: " + "9" * 5000, "must be a number"),
        ("{x: 4}", "{x: 1e30}", "too large to be meant"),
        ("4 words/cycle", "1e30 words/cycle", "too large to be meant"),
        ("{x: 4}", "[]", "must name at least one axis"),
        ("name: tiny", "? [a]\n: b\nname: tiny", "must be a single word"),
        ("levels:", "levels: 3\nsources:", "levels must be a list"),
        ("name: tiny", "[" * 3000, "nested too deeply"),
    ],
)
def test_a_spec_beyond_reason_gets_its_place_and_code_1(mapper, spec, old, new, message):
    spec.write_text(spec.read_text().replace(old, new, 1))
    found = mapper("map", GEMM, "--arch", spec)
    assert (found.code, found.out) == (1, "")
    assert message in found.err and found.err.startswith(f"mapper: error: {spec}")
