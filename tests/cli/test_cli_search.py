"""What `mapper map` and `mapper compile` can be asked for: objectives, mapspaces, constraints, limits, interrupts."""

import io
import json
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import pytest
from rich.console import Console

from mapper import search
from mapper.arch import load_architecture, units
from mapper.cli import asked, layer, options, output, progress
from mapper.errors import InputError
from mapper.search import Objective, Progress, cpsat

GEMM = "gemm M=16 N=16 K=16"
CONV = "conv K=16 C=16 P=14 Q=14 R=3 S=3"
TRADES = "gemm M=64 N=64 K=64"  # on simple3, energy and cycles cannot both be least

DATAFLOWS = """\
constraints:
  - keep RF:output
dataflows:
  rows:
    - PE.x only M
    - M spatial PE.x = 2
"""


@pytest.fixture
def flows(spec):
    """A small machine with a constraint and a dataflow."""
    spec.write_text(spec.read_text() + DATAFLOWS)
    return spec


@pytest.fixture
def solved(mapper):
    """Maps a layer and gives the JSON."""

    def run(*arguments):
        found = mapper("map", *arguments, "--format", "json")
        assert (found.code, found.err) == (0, "")
        return json.loads(found.out)

    return run


# -- objectives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mine", "theirs"), [(options.Objective, search.Objective), (options.Factors, search.Factors)])
def test_the_choices_are_those_of_the_search(mine, theirs):
    assert set(map(str, mine)) == set(map(str, theirs))


def test_each_objective_makes_its_own_measure_least(solved):
    found = {o: solved(TRADES, "-a", "simple3", "--objective", o) for o in ("energy", "latency", "edp")}
    assert {data["status"] for data in found.values()} == {"optimal"}
    for objective, measure in (("energy", "energy"), ("latency", "cycles"), ("edp", "edp")):
        assert found[objective][measure] == found[objective]["bound"] == min(f[measure] for f in found.values())
    assert found["energy"]["energy"] < found["latency"]["energy"]
    assert found["latency"]["cycles"] == 64**3 / 256  # every unit busy


def test_json_has_what_is_proven_and_how_the_search_went(solved):
    data = solved(GEMM, "-a", "simple3")
    assert (data["gap"], data["proven_by"], data["tie_proven"], data["objective"]) == (0, "solver", True, "energy")
    assert data["mapspace"] == "imperfect"
    assert [point["mapping"] for point in data["front"]] == [data["mapping"]]
    statistics = data["statistics"]
    assert statistics["solves"] > 0 and statistics["interrupted"] is False
    assert data["solve_s"] == round(statistics["wall_s"], 3)
    assert "fewest_cycles" not in data


def test_a_front_is_a_table_above_its_first_point(mapper, tmp_path):
    file = tmp_path / "first.yaml"
    data = json.loads(mapper("map", TRADES, "-a", "simple3", "--objective", "pareto", "-f", "json", "-o", file).out)
    front = data["front"]
    energies, cycles = [point["energy"] for point in front], [point["cycles"] for point in front]
    assert len(front) > 1
    assert energies == sorted(set(energies)) and cycles == sorted(set(cycles), reverse=True)
    assert (data["energy"], data["cycles"], data["mapping"]) == (energies[0], cycles[0], front[0]["mapping"])
    evaluated = json.loads(mapper("evaluate", file, "-a", "simple3", "-f", "json").out)
    assert evaluated["energy"] == energies[0]

    table = mapper("map", TRADES, "-a", "simple3", "--objective", "pareto").out
    rows = [line for line in table.split("\n\n")[0].splitlines() if "MMAC" in line]
    least = min(range(len(front)), key=lambda i: front[i]["edp"])
    assert [f"{n:,}" in row for n, row in zip(cycles, rows, strict=True)] == [True] * len(front)
    assert ["least EDP" in row for row in rows] == [i == least for i in range(len(front))]
    assert f"proven by CP-SAT: the front has {len(front)} points" in table
    assert "O[M,N] += A[M,K] * B[K,N]" in table


# -- mapspaces ---------------------------------------------------------------------------------------------------------


def test_factors_choose(solved, spec):
    seven = ("gemm M=7 N=1 K=1", "-a", spec, "--objective", "latency")
    perfect, imperfect = solved(*seven, "--factors", "perfect"), solved(*seven)
    # 7 is prime, so one instance of four does all; imperfectly two steps do, and 15 words at 4 a cycle take 4
    assert (perfect["cycles"], imperfect["cycles"]) == (7, 4)
    assert (perfect["mapspace"], imperfect["mapspace"]) == ("perfect", "imperfect")


def test_an_even_mapspace_is_smaller(solved):
    even, uneven = (solved(GEMM, "-a", "simple3", "--mapspace", m) for m in ("even", "uneven"))
    assert even["mapspace"] == "imperfect, even"
    assert even["energy"] >= uneven["energy"]


def test_constraints_are_kept(solved):
    texts = ("K spatial PE.x = 4", "keep GLB:A", "bypass RF:O")
    data = solved(GEMM, "-a", "simple3", *(word for text in texts for word in ("-c", text)))
    assert data["mapspace"] == "imperfect, 3 constraints"
    unrolled = [(item["parfor"], item["axis"], item["step"]) for item in data["mapping"] if "parfor" in item]
    assert [(d, axis) for d, axis, _ in unrolled if (d, axis) == ("K", "x")] == [("K", "x")]
    kept = [(item["keep"], item["tensor"]) for item in data["mapping"] if "keep" in item]
    assert ("GLB", "A") in kept and ("RF", "O") not in kept


def test_a_dataflow_of_the_spec_is_kept_where_it_is_asked_for(solved, flows):
    free, rows = solved("gemm M=4 N=1 K=4", "-a", flows), solved("gemm M=4 N=1 K=4", "-a", flows, "--dataflow", "rows")
    assert (free["mapspace"], rows["mapspace"]) == ("imperfect, 1 constraint", "imperfect, 3 constraints")
    kept = [{(item.get("keep"), item.get("tensor")) for item in data["mapping"]} for data in (free, rows)]
    assert all(("RF", "O") in found for found in kept)
    unrolled = [(item["parfor"], item["step"]) for item in rows["mapping"] if "parfor" in item]
    assert [d for d, _ in unrolled] == ["M"]


def test_check_names_constraints_and_dataflows(mapper, flows):
    out = mapper("archs", "check", flows).out
    assert "every mapping keeps to 1 constraint\n" in out
    assert "dataflows: rows\n" in out


# -- limits ------------------------------------------------------------------------------------------------------------


def test_limits_are_kept(solved):
    free = solved(TRADES, "-a", "simple3")
    fast = solved(TRADES, "-a", "simple3", "--max-cycles", "2k", "--max-energy", "3.5 MMAC")
    assert fast["cycles"] <= 2000 < free["cycles"]
    assert free["energy"] < fast["energy"] <= 3_500_000
    busy = solved(TRADES, "-a", "simple3", "--min-utilization", "100%", "--max-words", "RF=40")
    assert busy["utilization"] == 1
    small = solved(TRADES, "-a", "simple3", "--max-dram-bytes", f"{free['dram_bytes']}")
    assert small["dram_bytes"] == free["dram_bytes"]


def test_a_deterministic_limit_ends_every_run_alike(solved):
    first, second = (solved(CONV, "-a", "simple3", "--deterministic-limit", "0.1") for _ in range(2))
    assert first["status"] == "feasible"
    assert (first["mapping"], first["bound"]) == (second["mapping"], second["bound"])


def test_a_time_limit_says_how_far_the_optimum_may_be(mapper):
    found = mapper("map", CONV, "--arch", "simple3", "-t", "0.001")
    assert (found.code, found.err) == (0, "")
    assert "feasible, at most " in found.out and "% above the optimum" in found.out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("600000", 600_000),
        ("602,112", 602_112),
        ("1_000_000", 10**6),
        ("1.5e6", 1_500_000),
        ("2M", 2 * 10**6),
        ("2 MB", 2 * 10**6),
        ("64KiB", 65_536),
        ("0.5kB", 500),
        ("8B", 8),
    ],
)
def test_bytes_are_written_as_people_do(text, value):
    assert asked.quantity("here", text, units.BYTE_UNITS) == value


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("35.2 mJ", "pJ", Fraction("35.2e9")),
        ("3 nJ", "pJ", 3000),
        ("1J", "pJ", 10**12),
        ("2M", "pJ", 2 * 10**6),
        ("455.8 MMAC", "MAC", 455_800_000),
        ("7", "MAC", 7),
    ],
)
def test_energies_are_written_as_they_are_printed(text, unit, value):
    assert asked.quantity("here", text, units.COUNT_UNITS | units.ENERGY_UNITS[unit]) == value


@pytest.mark.parametrize("text", ["", "-1", "1,5", "1.2.3", "two", "1e400", "nan", "inf", "0x10", "1e18 k", "3 q"])
def test_no_amounts(text):
    with pytest.raises(InputError, match=r"^here: "):
        asked.quantity("here", text, units.COUNT_UNITS)


@pytest.mark.parametrize(("text", "value"), [("0.8", 0.8), (".5", 0.5), ("80%", 0.8), ("12.5 %", 0.125), ("1", 1)])
def test_shares(text, value):
    assert asked.share(text) == pytest.approx(value)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-c", "K spatial PE.x = 16", "-c", "K spatial PE.x <= 8"],
            "K spatial PE.x = 16 contradicts K spatial PE.x <= 8",
        ),
        (
            ["-c", "K spatial PE.x = 3", "--factors", "perfect"],
            "K spatial PE.x = 3: K = 16 has no factor 3: the nearest are 2 and 4",
        ),
        (["-c", "K spatial PEx = 3"], "K spatial PEx = 3: no fan-out or axis PEx (did you mean PE?)"),
        (["-c", "Z spatial PE = 3"], "Z spatial PE = 3: the layer has no dim Z (known: K, M, N)"),
        (["-c", "K spatial PE"], "'K spatial PE' is no constraint (write it as K spatial PE.x = 16)"),
        (["--dataflow", "rows"], "simple3 has no dataflow 'rows' (its spec names none)"),
        (["-t", "0"], "a time limit is a positive number of seconds, not 0"),
        (["-t", "nan"], "a time limit is a positive number of seconds, not nan"),
        (["-t", "-1"], "a time limit is a positive number of seconds, not -1"),
        (["--deterministic-limit", "inf"], "a deterministic limit is a positive number, not inf"),
        (["--max-words", "GLX=3"], "max_words: simple3 has no memory GLX, but GLB, RF"),
        (["--max-words", "GLB"], "--max-words GLB: this is no cap on a memory (write --max-words GLB=50k)"),
        (["--max-words", "GLB=3 KB"], "--max-words GLB=3 KB: the unit KB is not known (did you mean kB or KiB or kb?)"),
        (["--max-words", "GLB=1.5"], "--max-words GLB=1.5: this is no whole number"),
        (["--max-words", "GLB=1", "--max-words", "GLB=2"], "--max-words GLB=2: GLB is given twice"),
        (["--min-utilization", "8"], "--min-utilization 8: this is no share from 0 to 1 (write 0.8 or 80%)"),
        (["--min-utilization", "120%"], "--min-utilization 120%: this is no share from 0 to 1 (write 0.8 or 80%)"),
        (["--max-cycles", "many"], "--max-cycles many: this is no number of at least 0 (units: k, M, G, T, P)"),
        (
            ["--max-energy", "3 mJ"],
            "--max-energy 3 mJ: the unit mJ is not known (units: k, M, G, T, P, MAC, kMAC",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_1(mapper, arguments, message):
    found = mapper("map", GEMM, "--arch", "simple3", *arguments)
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith(f"mapper: error: {message}")
    assert found.err.count("\n") == 1


def test_everything_that_cannot_be_read_is_said_at_once(mapper):
    found = mapper("map", GEMM, "-a", "simple3", "-t", "0", "-c", "no", "--max-cycles", "x", "--max-words", "GLX=3")
    assert found.code == 1
    assert found.err.count("mapper: error: ") == found.err.count("\n") == 4


@pytest.mark.parametrize("limit", [["--max-energy", "1k"], ["--max-cycles", "0"], ["--max-dram-bytes", "10B"]])
def test_limits_that_nothing_keeps_are_code_3(mapper, limit):
    found = mapper("map", GEMM, "--arch", "simple3", *limit)
    assert (found.code, found.out) == (3, "")
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("gemm M=0", "'M=0': an extent is a whole number of at least 1"),
        ("gemm M=1000000000000 N=1 K=1", "more than the search can count"),
        ("gemm M=1000000000000 N=1000000000000 K=1", "more than the search can count"),
    ],
)
def test_an_extent_beyond_reason_is_one_line_at_once(mapper, layer, message):
    found = mapper("map", layer, "--arch", "simple3")
    assert (found.code, found.out) == (1, "")
    assert message in found.err and found.err.count("\n") == 1


# -- progress and interrupts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "shown"),
    [
        (Objective.ENERGY, "2 MMAC, at least 1.6 MMAC, gap 25.00%"),
        (Objective.PARETO, "2 MMAC, at least 1.6 MMAC, gap 25.00%"),
        (Objective.LATENCY, "2,000,000 cycles, at least 1,600,000 cycles, gap 25.00%"),
        (Objective.EDP, "2 MMAC x cycles, at least 1.6 MMAC x cycles, gap 25.00%"),
    ],
)
def test_progress_is_live_on_a_terminal(monkeypatch, objective, shown):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(output, "console", lambda **_: terminal)
    with progress.live(objective, load_architecture("simple3")) as report:
        report(Progress(None, Fraction(1_600_000), 0.1))
        report(Progress(Fraction(2_000_000), Fraction(1_600_000), 0.2))
    assert shown in screen.getvalue()


@pytest.fixture
def interrupting(monkeypatch):
    """Interrupts the search when it reports its first mapping."""

    @contextmanager
    def live(*_):
        reports = []

        def report(found):
            reports.append(found)
            if len(reports) == 1:
                os.kill(os.getpid(), signal.SIGINT)

        yield report

    monkeypatch.setattr(layer, "live", live)


def test_an_interrupt_leaves_the_best_mapping_found(mapper, interrupting):
    found = mapper("map", CONV, "--arch", "simple3")
    assert found.code == 130
    assert "\ninterrupted: feasible, at most " in found.out and "energy" in found.out
    assert found.err == "mapper: error: interrupted: this is the best mapping found by then\n"


def test_an_interrupt_leaves_json_and_the_schedule(mapper, interrupting, tmp_path):
    file = tmp_path / "best.json"
    found = mapper("map", CONV, "--arch", "simple3", "--format", "json", "-o", file)
    data = json.loads(found.out)
    assert (found.code, data["status"], data["statistics"]["interrupted"]) == (130, "feasible", True)
    assert json.loads(file.read_text())["mapping"] == data["mapping"]


# -- models ------------------------------------------------------------------------------------------------------------


def test_a_model_is_compiled_as_asked(mapper, model, spec):
    arguments = ("compile", model, "--arch", spec, "--jobs", 1, "--format", "json", "--objective", "latency")
    found = mapper(*arguments, "-c", "R spatial PE = 3", "--factors", "perfect", "--max-words", "RF=60")
    assert (found.code, found.err) == (0, "")
    data = json.loads(found.out)
    assert (data["objective"], data["factors"], data["mapspace"]) == ("latency", "perfect", "uneven")
    assert (data["constraints"], data["limits"]) == (["R spatial PE = 3"], {"max_words": {"RF": 60}})
    conv, _, gemm = data["layers"]
    assert [row["bound"] for row in data["layers"]] == [row["cycles"] for row in data["layers"]]
    assert conv["utilization"] <= 3 / 4 < gemm["utilization"]  # the Gemm has no R, and uses all four instances


def test_a_constraint_that_no_layer_can_take_is_refused(mapper, model, spec):
    found = mapper("compile", model, "--arch", spec, "-c", "Z spatial PE = 3", "-c", "K tile RX = 1")
    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines() == [
        "mapper: error: Z spatial PE = 3: no layer of small has what it names (dims are N, G, K, C, P, Q, R, S, M; "
        "tensors are I, W, O, A, B; both may go by role)",
        "mapper: error: K tile RX = 1: no memory RX (known: DRAM, RF)",
    ]


def test_contradictions_name_the_layer(mapper, model, spec):
    found = mapper("compile", model, "--arch", spec, "-c", "R spatial PE = 2", "-c", "P,Q spatial PE.x = 2")
    assert found.code == 1
    assert found.err.startswith("mapper: error: layer conv/1: ")
    assert "PE has 4 instances, 8 are needed" in found.err and found.err.count("\n") == 1


def test_every_layer_for_which_nothing_is_found_is_named(mapper, model, spec, tmp_path):
    folder = tmp_path / "build"
    found = mapper("compile", model, "--arch", spec, "--jobs", 1, "--max-cycles", "500", "-o", folder)
    assert (found.code, found.out) == (3, "")
    # a convolution of 2304 operations takes at least 576 cycles on four units
    assert found.err.startswith("mapper: error: layer conv/1: ") and found.err.count("\n") == 1
    assert [path.name for path in (folder / "schedule").iterdir()] == ["gemm.yaml"]
    assert not (folder / "summary.json").exists()


def test_a_front_of_each_layer(mapper, model, spec):
    found = mapper("compile", model, "--arch", spec, "--jobs", 1, "--objective", "pareto", "--format", "json")
    for row in json.loads(found.out)["layers"]:
        assert row["front"][0] == [row["energy"], row["cycles"]]


def test_imperfect_mappings_execute(mapper, spec, tmp_path):
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="odd", strides=[2, 1])],
        "odd",
        [value("x", TensorProto.FLOAT, [1, 3, 23, 13]), value("w", TensorProto.FLOAT, [7, 3, 3, 3])],
        [value("y", TensorProto.FLOAT, [1, 7, 11, 11])],
    )
    path = tmp_path / "odd.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    perfect = json.loads(mapper("map", "conv K=7 C=3 P=11 Q=11 R=3 S=3", "-a", spec, "-f", "json").out)
    found = mapper("compile", path, "-a", spec, "--objective", "latency", "--jobs", 1, "--verify", "--format", "json")
    data = json.loads(found.out)
    assert data["verification"]["passed"] is True
    assert data["layers"][0]["cycles"] <= perfect["cycles"]


def test_an_interrupted_result_of_the_solver_is_reported_as_one(mapper, monkeypatch):
    honest = cpsat.solve

    def interrupted(*arguments, **keywords):
        result = honest(*arguments, **keywords)
        return replace(result, statistics=replace(result.statistics, interrupted=True))

    monkeypatch.setattr("mapper.search.cpsat.solve", interrupted)
    assert mapper("map", GEMM, "--arch", "simple3").code == 130
