"""Schedules as YAML and JSON, and reading them back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from strategies import cases

from backends.emit import Schedule, parse_schedule, read_schedule, schedule_data, to_json, to_yaml
from mapper.arch import Architecture, Compute, Memory
from mapper.errors import InputError
from mapper.ir import gemm, parse_nest
from mapper.mapping import Keep, Loop, Mapping, ParFor, violations

ITEMS = (Keep("DRAM", "A"), Keep("DRAM", "B", rolling=True), Loop("M", 2), ParFor("N", 1, "PE", "x"), Keep("RF", "B"))
ABOUT = {"status": "optimal", "energy": 10**20, "bound": 0.5}
ONNX = {"op": "Gemm", "order": 3, "after": ["conv0"], "constants": [{"value": "six", "data": [0.5, "-inf"]}]}
SCHEDULE = Schedule("conv1", gemm(M=4, N=2), "tiny", Mapping(ITEMS), ABOUT, ONNX)


NAMES = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50)
@given(cases(), NAMES, NAMES, st.dictionaries(NAMES, PLAIN, max_size=3))
def test_what_is_written_can_be_read(case, layer, arch, onnx):
    schedule = Schedule(layer, case.nest, arch, case.mapping, ABOUT, onnx)
    assert parse_schedule(to_yaml(schedule), "s.yaml", case.arch) == schedule
    assert parse_schedule(to_json(schedule), "s.json", case.arch) == schedule


def read_as(version, text):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return yaml.load(text)


@pytest.mark.parametrize("text", ["on", "no", "Yes", "12:30", "0o17", "017", "1_000", "1e3", "~", "=", "2026-01-01"])
def test_names_are_texts_in_every_version_of_yaml(text):
    written = to_yaml(replace(SCHEDULE, layer=text, onnx={text: [text, 1e-5, -3e20, 5e-324, 1e16]}))
    for version in ("1.1", "1.2"):
        data = read_as(version, written)
        assert (data["layer"]["name"], data["onnx"]) == (text, {text: [text, 1e-5, -3e20, 5e-324, 1e16]})


def test_json_keeps_names_outside_the_basic_plane():
    schedule = replace(SCHEDULE, layer="\N{GRINNING FACE}")
    assert parse_schedule(to_json(schedule), "s.json") == schedule


def test_yaml_form():
    assert (
        to_yaml(SCHEDULE)
        == """\
schema: tilewright.schedule/2
layer:
  name: conv1
  nest: O[M,N] += A[M,K] * B[K,N] {M=4 N=2 K=1}
  dims: {M: 4, N: 2, K: 1}
  tensors:
    A: {role: input, ranks: [{M: 1}, {K: 1}], shape: [4, 1]}
    B: {role: weight, ranks: [{K: 1}, {N: 1}], shape: [1, 2]}
    O: {role: output, ranks: [{M: 1}, {N: 1}], shape: [4, 2]}
onnx:
  op: Gemm
  order: 3
  after: [conv0]
  constants: [{value: six, data: [0.5, -inf]}]
arch: tiny
status: optimal
energy: 100000000000000000000
bound: 0.5
mapping:
  - {keep: DRAM, tensor: A, tile: [4, 1], elements: 4}
  - {keep: DRAM, tensor: B, rolling: true, tile: [1, 2], elements: 2}
  - {for: M, step: 2, extent: 4, pieces: 2}
  - {parfor: N, step: 1, fanout: PE, axis: x, extent: 2, pieces: 2}
  - {keep: RF, tensor: B, tile: [1, 1], elements: 1}
"""
    )


def test_json_form_has_the_same_content():
    data = json.loads(to_json(SCHEDULE))
    assert data["layer"]["nest"] == "O[M,N] += A[M,K] * B[K,N] {M=4 N=2 K=1}"
    assert (data["schema"], data["onnx"], data["mapping"][2]) == (
        "tilewright.schedule/2",
        ONNX,
        {"for": "M", "step": 2, "extent": 4, "pieces": 2},
    )


def test_widths_and_steps_of_a_tensor_are_told():
    nest = parse_nest("O:8/32[K,P] += I:8[C,2*P+3*R] * W:4[K,C,R] {K=2 P=3 C=4 R=5}")
    tensors = schedule_data(replace(SCHEDULE, nest=nest, mapping=Mapping(())))["layer"]["tensors"]
    assert tensors == {
        "I": {"role": "input", "ranks": [{"C": 1}, {"P": 2, "R": 3}], "shape": [4, 17], "bits": 8},
        "W": {"role": "weight", "ranks": [{"K": 1}, {"C": 1}, {"R": 1}], "shape": [2, 4, 5], "bits": 4},
        "O": {"role": "output", "ranks": [{"K": 1}, {"P": 1}], "shape": [2, 3], "bits": 8, "partial_bits": 32},
    }


def plain(schedule):
    """The schedule as people write it: without what follows from the rest."""
    data = schedule_data(schedule)
    data["layer"] = {key: data["layer"][key] for key in ("name", "nest")}
    follows = ("extent", "pieces", "tile", "elements")
    data["mapping"] = [{key: v for key, v in row.items() if key not in follows} for row in data["mapping"]]
    return {key: data[key] for key in ("schema", "layer", "arch", "mapping")}


@settings(max_examples=30)
@given(cases())
def test_what_follows_need_not_be_stated(case):
    schedule = Schedule("layer", case.nest, case.arch.name, case.mapping)
    assert parse_schedule(json.dumps(plain(schedule)), "s.json", case.arch) == schedule


@settings(max_examples=60)
@given(cases(), st.data())
def test_whatever_is_misstated_is_named(case, data):
    """Any one number of what follows from the rest, changed."""
    stated = schedule_data(Schedule("layer", case.nest, case.arch.name, case.mapping))
    places = []
    for i, row in enumerate(stated["mapping"], 1):
        places += [(row, key, f"item {i} of mapping: {key}") for key in ("extent", "pieces", "elements") if key in row]
        places += [(row["tile"], r, f"item {i} of mapping: tile") for r in range(len(row.get("tile", ())))]
    layer = stated["layer"]
    places += [(layer["dims"], dim, f"layer: dims.{dim}") for dim in layer["dims"]]
    for name, tensor in layer["tensors"].items():
        places += [(tensor["shape"], r, f"layer: tensors.{name}.shape") for r in range(len(tensor["shape"]))]
        places += [(rank, d, f"layer: tensors.{name}.ranks") for rank in tensor["ranks"] for d in rank]
    chosen = data.draw(st.lists(st.sampled_from(range(len(places))), min_size=1, max_size=3, unique=True))
    for index in chosen:
        where, key, _ = places[index]
        where[key] += data.draw(st.integers(1, 3))
    with pytest.raises(InputError) as error:
        parse_schedule(json.dumps(stated), "s.json", case.arch)
    lines = str(error.value).splitlines()
    assert {line.split(" is stated as ")[0] for line in lines} == {f"s.json: {places[index][2]}" for index in chosen}


def test_what_contradicts_and_what_is_illegal_are_named_at_once():
    text = (
        to_yaml(SCHEDULE).replace("extent: 4, pieces: 2", "extent: 8, pieces: true").replace("tile: [1, 1]", "tile: 1")
    )
    text = text.replace("B: {role: weight", "B: {role: input").replace("dims: {M: 4", "dims: {L: 1, M: 4")
    arch = Architecture("one", (Memory("DRAM"), Compute("MAC")))
    with pytest.raises(InputError) as error:
        parse_schedule(text, "s.yaml", arch)
    hint = " (leave it out or correct it)"
    assert str(error.value).splitlines() == [
        "s.yaml: layer: dims.L is stated, which its nest does not have",
        f"s.yaml: layer: tensors.B.role is stated as 'input', and is 'weight' by its nest{hint}",
        f"s.yaml: item 3 of mapping: extent is stated as 8, and is 4 by the layer and the loops above{hint}",
        f"s.yaml: item 3 of mapping: pieces is stated as True, and is 2 by the layer and the loops above{hint}",
        f"s.yaml: item 5 of mapping: tile is stated as 1, and is [1, 1] by the layer and the loops above{hint}",
        *(f"s.yaml: illegal on one: {problem}" for problem in violations(SCHEDULE.nest, arch, SCHEDULE.mapping)),
    ]


def test_a_schedule_of_the_version_before_is_refused_with_what_to_do():
    text = to_yaml(SCHEDULE).replace("schedule/2", "schedule/1")
    assert str(refused(text)) == (
        "s.yaml: it has schema 'tilewright.schedule/1', and this version reads 'tilewright.schedule/2' (compile or map "
        "again; or keep the mapping, whose form is the same: write 'tilewright.schedule/2', and energy for energy_pj)"
    )


def test_what_is_known_is_not_needed_to_read():
    text = json.dumps({k: v for k, v in json.loads(to_json(SCHEDULE)).items() if k not in ABOUT})
    assert parse_schedule(text, "s.json").mapping == SCHEDULE.mapping


LOOP = "{for: M, step: 2, extent: 4, pieces: 2}"


def refused(text):
    with pytest.raises(InputError) as error:
        parse_schedule(text, "s.yaml")
    return error.value


@pytest.mark.parametrize(
    "row",
    [
        "keep DRAM A",
        "{keep: DRAM}",
        "{tensor: A}",
        "{keep: [DRAM], tensor: A}",
        "{keep: DRAM, tensor: A, roling: true}",
        "{for: M}",
        "{for: M, step: two}",
        "{for: M, step: 1.5}",
        "{for: M, step: 1, axis: x}",
        "{parfor: M, step: 1}",
        "{parfor: M, step: 1, fanout: PE, axis: x, size: 3}",
        "{for: M, step: 1, tile: [4, 1]}",
        "{keep: DRAM, tensor: A, extent: 4}",
        "{loop: M, step: 1}",
        "null",
        "[]",
    ],
)
def test_an_item_that_cannot_be_read_is_named(row):
    text = to_yaml(SCHEDULE).replace(LOOP, row)
    error = refused(text)
    assert error.place == "s.yaml: item 3 of mapping"
    assert error.message.startswith("cannot read ")
    assert error.hint == (
        "write {keep: MEMORY, tensor: T}, {for: DIM, step: N} or {parfor: DIM, step: N, fanout: F, axis: A}"
    )


@pytest.mark.parametrize("row", ["{for: M, step: true}", "{keep: DRAM, tensor: A, rolling: 1}"])
def test_an_item_with_a_value_of_another_type_is_refused(row):
    assert refused(to_yaml(SCHEDULE).replace(LOOP, row)).place == "s.yaml: item 3 of mapping"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schedule/2", "recipe/2", "schema is 'tilewright.recipe/2', expected a mapping with schema"),
        ("schedule/2", "schedule/3", "it has schema 'tilewright.schedule/3', and this version reads"),
        ("schema: ", "scheme: ", "schema is None, expected a mapping with schema 'tilewright.schedule/2'"),
        ("  name: conv1\n", "", "layer must be a mapping with name and nest"),
        ("  nest:", "  loops:", "layer must be a mapping with name and nest"),
        ("mapping:", "loops:", "mapping must be a list"),
        ("arch: ", "machine: ", "arch must name an architecture"),
        ("{M=4 N=2 K=1}", "{M=4 N=2}", "uses dim K, which has no extent"),
        ("O[M,N] += ", "O[M,N] = ", "layer.nest: "),
    ],
)
def test_a_part_that_is_missing_or_wrong_is_named(old, new, message):
    error = refused(to_yaml(SCHEDULE).replace(old, new))
    assert error.place == "s.yaml"
    assert message in error.message


def test_a_layer_that_is_no_mapping():
    text = json.dumps({**json.loads(to_json(SCHEDULE)), "layer": "conv1"})
    assert str(refused(text)) == "s.yaml: layer must be a mapping with name and nest"


def test_every_problem_is_reported_at_once():
    text = to_yaml(SCHEDULE).replace(LOOP, "{for: M}").replace("arch: ", "machine: ")
    text = text.replace("{M=4 N=2 K=1}", "{M=0 N=2 K=1}").replace("{parfor: N,", "{parfor: [N],")
    assert [line.split(" (")[0] for line in str(refused(text)).splitlines()] == [
        "s.yaml: layer.nest: O[M,N] += A[M,K] * B[K,N] {M=0 N=2 K=1}: dim M has extent 0, which must be at least 1",
        "s.yaml: arch must name an architecture",
        "s.yaml: item 3 of mapping: cannot read {'for': 'M'}",
        "s.yaml: item 4 of mapping: cannot read {'parfor': ['N'], 'step': 1, 'fanout': 'PE', 'axis': 'x', "
        "'extent': 2, 'pieces': 2}",
    ]


@pytest.mark.parametrize("rows", ["none", {"for": "M"}, 3])
def test_a_mapping_that_is_no_list(rows):
    error = refused(json.dumps({**json.loads(to_json(SCHEDULE)), "mapping": rows}))
    assert str(error) == "s.yaml: mapping must be a list"


@pytest.mark.parametrize("text", ["", "[]", "3", "schedule"])
def test_a_document_of_another_kind(text):
    assert str(refused(text)).startswith("s.yaml: the file is empty or no mapping, expected a mapping with schema")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("{", "s.yaml:1:2: not valid JSON: "),
        ("a: b: c", "s.yaml:1:5: not valid YAML: "),
        ("\x00", "s.yaml: not a schedule: "),
        ("? {a: 1}\n: 2\n", "s.yaml:1:3: not valid YAML: found unhashable key"),
        ("? [{a: 1}]\n: 2\n", "s.yaml: not a schedule: "),
        ("a: !!int x\n", "s.yaml: not a schedule: "),
        ("a: !!timestamp x\n", "s.yaml:1:4: not valid YAML: "),
        ("a: !!float [1]\n", "s.yaml:1:4: not valid YAML: "),
        ("a: 1\na: 2\n", "s.yaml:2:1: not valid YAML: found duplicate key"),
    ],
)
def test_not_yaml(text, start):
    assert str(refused(text)).startswith(start)
    assert "\n" not in str(refused(text))


def test_files(tmp_path):
    (tmp_path / "s.yaml").write_text(to_yaml(SCHEDULE))
    assert read_schedule(tmp_path / "s.yaml") == SCHEDULE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file or directory"),
        ("", "it is a directory"),
        ("binary", "not a text file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, reason):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as error:
        read_schedule(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: cannot be read: {reason}")
