"""`mapper archs` and `mapper ops`: what there is."""

import json
import re
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
    assert found.out.startswith(f"{spec}: ok: tiny: at most 4 operations per cycle, 8e-05 TOPS at 10 MHz (a multiply-")
    spec.write_text(re.sub("clock: .*", "", spec.read_text()))
    assert mapper("archs", "check", spec).out.startswith(
        f"{spec}: ok: tiny: at most 4 operations per cycle (no clock, so no TOPS)\n"
    )
    assert ["DRAM", "1", "unlimited", "16", "bits", "4", "0.08"] in lines
    assert "read 100 pJ, write 100 pJ" in found.out


def test_check_says_where_energies_of_a_table_come_from(mapper):
    found = mapper("archs", "check", "eyeriss_v1")
    assert (found.code, found.err) == (0, "")
    assert "source: GLB read, write: 15 pJ, table eyeriss_65nm: nn_dataflow" in found.out
    assert re.search(r"^GLB +read 15 pJ, write 15 pJ +table eyeriss_65nm +verified", found.out, re.MULTILINE)


MACHINE = """\
name: machine
technology: 45 nm
clock: 500 MHz
energies: horowitz_45nm
levels:
  - {memory: DRAM, kind: dram, word: 16 bits, bandwidth: {read: 2 GB/s, write: 500 MB/s}}
  - {memory: GLB, kind: sram, size: 2 MiB, word: 64 bits, packed: true, energy: estimated, bandwidth: 8 GB/s}
  - {fanout: PE, axes: {x: 4, y: 8}, hop: 0.1, deliver: 0}
  - {memory: RF, size: 100 B, read: 1, write: 0, keeps: [output], area: 50 um2}
  - {compute: MAC, kind: int, rate: 2 MACs/cycle, widths: {input: 8, weight: 8, output: 32}}
constraints: [bypass GLB:weight]
"""


def test_check_gives_peak_sizes_bandwidths_and_prices(mapper, tmp_path):
    """All by hand: 32 units x 2 x 500 MHz x 2; 2 MiB of 64-bit words, eight elements of 8 bits in each."""
    file = tmp_path / "machine.yaml"
    file.write_text(MACHINE)
    found = mapper("archs", "check", file, "--format", "json")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert data["peak"] == {"operations_per_cycle": 64, "tops": 0.064, "operations_of_a_mac": 2}
    dram, glb, mesh, rf, mac = data["levels"]
    assert (dram["size_bytes"], dram["all_elements"]) == (None, None)
    assert dram["words_per_cycle"] == {"read": 2, "write": 0.5} and dram["gb_per_s"] == {"read": 2, "write": 0.5}
    assert (glb["size_words"], glb["size_bytes"], glb["all_bytes"]) == (2**18, 2**21, 2**21)
    assert (glb["all_elements"], glb["words_per_cycle"], glb["gb_per_s"]) == (2**21, {"shared": 2}, {"shared": 8})
    # an element of 32 bits takes four words of 8
    assert (rf["instances"], rf["size_bytes"], rf["all_bytes"], rf["all_elements"]) == (32, 100, 3200, 25 * 32)
    assert (mesh["axes"], mesh["fans_out_to"], mac["instances"]) == ({"x": 4, "y": 8}, 32, 32)
    basis = {(price["level"], price["action"]): price["basis"] for price in data["prices"]}
    assert basis == {
        ("DRAM", "read"): "table",
        ("DRAM", "write"): "table",
        ("GLB", "read"): "estimated",
        ("GLB", "write"): "estimated",
        ("GLB", "leak"): "estimated",
        ("PE", "deliver"): "stated",  # to be free
        ("PE", "hop"): "stated",
        ("RF", "read"): "stated",
        ("RF", "write"): "stated",
        ("MAC", "operation"): "table",
    }
    assert {(gap["level"], gap["action"]) for gap in data["not_priced"]} == {
        ("PE", "reduce"),
        *((level, "leak") for level in ("DRAM", "PE", "RF", "MAC")),
        (None, "arithmetic of other operators"),
    }
    confidence = {(p["level"], p["action"]): p["confidence"] for p in data["prices"]}
    assert (confidence["DRAM", "read"], confidence["GLB", "read"]) == ("verified", "estimated")
    assert confidence["MAC", "operation"] == "recalled-crosschecked"  # the less sure of its two rows
    text = mapper("archs", "check", file).out
    assert "0.064 TOPS at 500 MHz (a multiply-accumulate counts as two operations)" in text
    assert "not priced, so free: leak of DRAM, PE, RF, MAC; reduce of PE; arithmetic of operators that are" in text
    assert re.search(r"area: 6.\d+ mm2 \(GLB 6.\d+, RF 0.0016\); not known: DRAM, PE, MAC", text)
    assert "read 2, write 0.5" in text and "every mapping keeps to 1 constraint\n" in text


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


def test_what_is_extrapolated_is_a_warning(mapper, tmp_path):
    file = tmp_path / "machine.yaml"
    file.write_text(MACHINE.replace("word: 64 bits", "word: 16 bits"))
    warning = "mapper: warning: machine: GLB is estimated, extrapolated: the width is outside of 32 to 1,024 bits\n"
    assert mapper("archs", "check", file).err == warning
    assert warning in mapper("map", "gemm M=4 N=4 K=4", "-a", file).err


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
