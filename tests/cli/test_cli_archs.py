"""`mapper archs` and `mapper ops`: what there is."""

import json
from importlib import resources

from mapper.arch import load_architecture, spec_names, table_names


def test_list_names_and_describes(mapper):
    found = mapper("archs", "list", "--format", "json")
    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out) == {name: load_architecture(name).description for name in spec_names()}
    table = mapper("archs", "list")
    assert all(name in table.out for name in ("simple3", "simple3_rolling", "eyeriss_v1"))
    assert mapper("archs").out == table.out


def test_show_prints_the_file(mapper):
    text = (resources.files("arch_specs") / "simple3.yaml").read_text("utf-8")
    assert mapper("archs", "show", "simple3").out == text


def test_check_describes_a_valid_file(mapper, spec):
    found = mapper("archs", "check", spec)
    assert (found.code, found.err) == (0, "")
    lines = [line.split() for line in found.out.splitlines()]
    assert found.out.startswith(f"{spec}: ok: tiny: at most 4 operations per cycle\n")
    assert ["DRAM", "1", "unlimited", "16", "bits", "read", "100", "pJ,", "write", "100", "pJ"] in lines


def test_check_says_where_energies_of_a_table_come_from(mapper):
    found = mapper("archs", "check", "eyeriss_v1")
    assert (found.code, found.err) == (0, "")
    assert "source: GLB read, write: 15 pJ, table eyeriss_65nm: nn_dataflow" in found.out


def test_tables_lists_the_energy_tables_and_shows_one(mapper):
    names = json.loads(mapper("archs", "tables", "--format", "json").out)
    assert list(names) == [*table_names(), "estimated"]
    assert all(name in mapper("archs", "tables").out for name in names)
    rows = json.loads(mapper("archs", "tables", "survey_65nm", "--format", "json").out)["rows"]
    assert {row["kind"]: row["energy"] for row in rows} == {"rf": 1, "network": 2, "sram": 6, "dram": 200, "mac": 1}
    assert "ISCA 2016" in mapper("archs", "tables", "survey_65nm").out


def test_tables_shows_the_formulas_of_estimates(mapper):
    laws = json.loads(mapper("archs", "tables", "estimated", "--format", "json").out)["laws"]
    assert {(law["kind"], law["quantity"]) for law in laws} == {
        (kind, quantity) for kind in ("sram", "rf", "dram") for quantity in ("read", "write", "leak", "area")
    }
    table = mapper("archs", "tables", "estimated").out
    assert all(law["formula"] in table for law in laws)


def test_schedules_of_the_package_are_listed_and_evaluated_by_name(mapper):
    found = json.loads(mapper("archs", "schedules", "--format", "json").out)
    assert list(found) == [f"eyeriss_v1/CONV{i}" for i in range(1, 6)]
    assert found["eyeriss_v1/CONV1"].endswith("{N=4 G=1 K=96 C=3 P=55 Q=55 R=11 S=11}")
    assert all(name in mapper("archs", "schedules").out for name in found)
    evaluated = mapper("evaluate", "eyeriss_v1/CONV1", "--arch", "eyeriss_v1", "--format", "json")
    assert (evaluated.code, evaluated.err) == (0, "")
    assert json.loads(evaluated.out)["operations"] == 421_660_800
    wrong = mapper("evaluate", "eyeriss_v1/CONV9", "--arch", "eyeriss_v1")
    assert wrong.code == 1 and "did you mean eyeriss_v1/CONV" in wrong.err


def test_an_unknown_table_is_bad_input(mapper):
    found = mapper("archs", "tables", "survey")
    assert (found.code, found.out) == (1, "")
    assert found.err == "mapper: error: no energy table or file 'survey' (did you mean survey_65nm?)\n"


def test_check_gives_every_problem_with_its_place(mapper, spec):
    spec.write_text(spec.read_text().replace("read: 100 pJ", "raed: 100 pJ").replace("{x: 4}", "{x: none}"))
    found = mapper("archs", "check", spec)
    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines() == [
        f"mapper: error: {spec}:7:5: unknown key 'raed' in a memory (did you mean read or packed?)",
        f"mapper: error: {spec}:11:15: axis x of PE must be a number, not 'none'",
    ]


def test_ops_tells_how_operators_are_treated(mapper):
    found = mapper("ops", "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert all(data[op].startswith("layer") for op in ("Conv", "Gemm", "MatMul", "LSTM", "MaxPool"))
    assert not any(data[op].startswith("layer") for op in ("Relu", "Softmax", "Reshape"))
    assert "Conv" in mapper("ops").out
