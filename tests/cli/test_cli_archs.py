"""`mapper archs` and `mapper ops`: what there is."""

import json
from importlib import resources

from mapper.arch import load_architecture, spec_names


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
    assert found.out == f"{spec}: ok: tiny: memories DRAM, RF; 4 operations per cycle at most\n"


def test_check_gives_every_problem_with_its_place(mapper, spec):
    spec.write_text(spec.read_text().replace("read: 100 pJ", "raed: 100 pJ").replace("{x: 4}", "{x: none}"))
    found = mapper("archs", "check", spec)
    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines() == [
        f"mapper: error: {spec}:7:5: unknown key 'raed' in a memory (did you mean read?)",
        f"mapper: error: {spec}:11:15: axis x of PE must be a number, not 'none'",
    ]


def test_ops_tells_how_operators_are_treated(mapper):
    found = mapper("ops", "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert all(data[op].startswith("mapped") for op in ("Conv", "Gemm", "MatMul"))
    assert not any(data[op].startswith("mapped") for op in ("Relu", "Softmax", "Reshape"))
    assert "Conv" in mapper("ops").out
