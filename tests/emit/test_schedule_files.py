"""Schedules as YAML and JSON, and reading them back."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases

from backends.emit import Schedule, parse_schedule, read_schedule, to_json, to_yaml
from mapper.errors import InputError
from mapper.ir import gemm
from mapper.mapping import Keep, Loop, Mapping, ParFor

ITEMS = (Keep("DRAM", "A"), Keep("DRAM", "B", rolling=True), Loop("M", 2), ParFor("N", 1, "PE", "x"))
ABOUT = {"status": "optimal", "energy": 10**20, "bound": 0.5}
SCHEDULE = Schedule("conv1", gemm(M=4, N=2), "tiny", Mapping(ITEMS), ABOUT)


NAMES = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))


@settings(max_examples=50)
@given(cases(), NAMES, NAMES)
def test_what_is_written_can_be_read(case, layer, arch):
    schedule = Schedule(layer, case.nest, arch, case.mapping, ABOUT)
    assert parse_schedule(to_yaml(schedule), "s.yaml") == schedule
    assert parse_schedule(to_json(schedule), "s.json") == schedule


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
arch: tiny
status: optimal
energy: 100000000000000000000
bound: 0.5
mapping:
  - {keep: DRAM, tensor: A}
  - {keep: DRAM, tensor: B, rolling: true}
  - {for: M, step: 2}
  - {parfor: N, step: 1, fanout: PE, axis: x}
"""
    )


def test_json_form_has_the_same_content():
    assert json.loads(to_json(SCHEDULE)) == {
        "schema": "tilewright.schedule/2",
        "layer": {"name": "conv1", "nest": "O[M,N] += A[M,K] * B[K,N] {M=4 N=2 K=1}"},
        "arch": "tiny",
        **ABOUT,
        "mapping": [
            {"keep": "DRAM", "tensor": "A"},
            {"keep": "DRAM", "tensor": "B", "rolling": True},
            {"for": "M", "step": 2},
            {"parfor": "N", "step": 1, "fanout": "PE", "axis": "x"},
        ],
    }


def test_what_is_known_is_not_needed_to_read():
    text = json.dumps({k: v for k, v in json.loads(to_json(SCHEDULE)).items() if k not in ABOUT})
    assert parse_schedule(text, "s.json").mapping == SCHEDULE.mapping


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
        "{loop: M, step: 1}",
        "null",
        "[]",
    ],
)
def test_an_item_that_cannot_be_read_is_named(row):
    text = to_yaml(SCHEDULE).replace("{for: M, step: 2}", row)
    error = refused(text)
    assert error.place == "s.yaml: item 3 of mapping"
    assert error.message.startswith("cannot read ")
    assert error.hint == (
        "write {keep: MEMORY, tensor: T}, {for: DIM, step: N} or {parfor: DIM, step: N, fanout: F, axis: A}"
    )


@pytest.mark.parametrize("row", ["{for: M, step: true}", "{keep: DRAM, tensor: A, rolling: 1}"])
def test_an_item_with_a_value_of_another_type_is_refused(row):
    assert refused(to_yaml(SCHEDULE).replace("{for: M, step: 2}", row)).place == "s.yaml: item 3 of mapping"


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
    text = to_yaml(SCHEDULE).replace("{for: M, step: 2}", "{for: M}").replace("arch: ", "machine: ")
    text = text.replace("{M=4 N=2 K=1}", "{M=0 N=2 K=1}").replace("{parfor: N,", "{parfor: [N],")
    assert [line.split(" (")[0] for line in str(refused(text)).splitlines()] == [
        "s.yaml: layer.nest: O[M,N] += A[M,K] * B[K,N] {M=0 N=2 K=1}: dim M has extent 0, which must be at least 1",
        "s.yaml: arch must name an architecture",
        "s.yaml: item 3 of mapping: cannot read {'for': 'M'}",
        "s.yaml: item 4 of mapping: cannot read {'parfor': ['N'], 'step': 1, 'fanout': 'PE', 'axis': 'x'}",
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
