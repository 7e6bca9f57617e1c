"""The calls for use from Python."""

import subprocess
import sys
from fractions import Fraction

import pytest

import mapper


def test_a_layer_is_a_nest_or_its_short_form():
    by_text = mapper.search_layer("gemm M=16 N=16 K=16", "simple3")
    by_nest = mapper.search_layer(mapper.gemm(M=16, N=16, K=16), mapper.load_architecture("simple3"))
    assert by_text.mapping == by_nest.mapping
    assert by_text.cost.energy == 162_048


def test_a_model_is_compiled_layer_by_layer():
    with pytest.raises(mapper.InputError, match="neither a file nor a known model"):
        mapper.compile_model("alexnt", "simple3")


def test_options_are_words_or_values():
    words = mapper.search_layer(
        "gemm M=7 N=4 K=4", "simple3", objective="latency", factors="perfect", constraints=["K spatial PE.x = 4"]
    )
    values = mapper.search_layer(
        mapper.gemm(M=7, N=4, K=4),
        "simple3",
        objective=mapper.Objective.LATENCY,
        factors=mapper.Factors.PERFECT,
        constraints=mapper.parse_constraint("K spatial PE.x = 4"),
    )
    assert words.mapping == values.mapping
    assert words.objective is mapper.Objective.LATENCY
    assert words.mapspace == "perfect, 1 constraint"


def test_limits_and_progress():
    reports = []
    limits = mapper.Limits(min_utilization=Fraction(1))
    found = mapper.search_layer(
        "gemm M=64 N=64 K=64", "simple3", limits=limits, time_limit=300, on_progress=reports.append
    )
    assert found.cost.utilization == 1
    assert reports and all(isinstance(report, mapper.Progress) for report in reports)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "edpp"}, "objective: there is no 'edpp' (did you mean edp?)"),
        ({"factors": "any"}, "factors: there is no 'any' (known: imperfect, perfect)"),
        ({"time_limit": 0}, "a time limit is a positive number of seconds, not 0"),
        ({"time_limit": float("nan")}, "a time limit is a positive number of seconds, not nan"),
        ({"deterministic_limit": float("inf")}, "a deterministic limit is a positive number, not inf"),
        ({"dataflow": "rows"}, "simple3 has no dataflow 'rows' (its spec names none)"),
        ({"constraints": "K spatial"}, "'K spatial' is no constraint (write it as K spatial PE.x = 16)"),
        (
            {"constraints": ["K spatial PE.x = 4", "K spatial PE.x = 2", "keep GLB:A", "bypass GLB:A"]},
            "K spatial PE.x = 4 contradicts K spatial PE.x = 2\nkeep GLB:A contradicts bypass GLB:A",
        ),
    ],
)
def test_what_makes_no_sense_is_said_before_searching(options, message):
    with pytest.raises(mapper.InputError) as error:
        mapper.search_layer("gemm M=16 N=16 K=16", "simple3", **options)
    assert str(error.value) == message
    if "constraints" not in options and "dataflow" not in options:
        with pytest.raises(mapper.InputError):
            mapper.compile_model("squeezenet", "simple3", **options)


def test_every_name_can_be_imported_and_no_other():
    assert all(getattr(mapper, name) is not None for name in mapper.__all__)
    assert dir(mapper) == mapper.__all__
    with pytest.raises(AttributeError, match="module 'mapper' has no attribute 'frobnicate'"):
        _ = mapper.frobnicate


def test_importing_costs_nothing():
    program = "import sys, mapper; print(*[m for m in sys.modules if m.startswith('mapper.')])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_help_shows_the_functions_first():
    import pydoc

    text = pydoc.plain(pydoc.render_doc(mapper))
    functions = [
        name for name in mapper.__all__ if not isinstance(getattr(mapper, name), type) and name != "Constraint"
    ]
    shown = [text.index(f"{name}(") for name in functions if name != "search_layer"]
    assert max(shown) < text.index("Architecture") < text.index("PACKAGE CONTENTS")
    assert all(getattr(mapper, name).__doc__ for name in mapper.__all__)
    described = mapper.__doc__.partition("What they take")[2]
    assert all(name in described for name in mapper.__all__ if name not in functions and name != "FileError")


def test_objects_show_themselves_in_a_line():
    nest, arch = mapper.gemm(M=2, N=2, K=2), mapper.load_architecture("simple3")
    mapping = mapper.parse_mapping("keep DRAM A B O\nparfor M 1 PE.x\nkeep RF A B O\nfor N 1\nfor K 1\n")
    shown = {
        nest: "<LoopNest O[M,N] += A[M,K] * B[K,N] {M=2 N=2 K=2}>",
        mapping: "<Mapping keep DRAM A B O; parfor M 1 PE.x; keep RF A B O; for N 1; for K 1>",
        arch: "<Architecture simple3: DRAM, GLB 131,072 words of 8 bits, PE 16 x 16, RF 512 words of 8 bits, MAC>",
        mapper.Limits(max_cycles=4, min_utilization="1/2", max_words={"RF": 40}):
            "<Limits max_cycles 4, min_utilization 1/2, max_words RF 40>",
        mapper.Limits(): "<Limits none>",
        mapper.Mapspace(nest, arch): f"<Mapspace imperfect, of {nest} on simple3>",
        mapper.Network("net", (), ()): "<Network net: 0 layers, 0 other nodes>",
    }  # fmt: skip
    assert [repr(value) for value in shown] == list(shown.values())
    broken_down = repr(mapper.break_down(nest, arch, mapping))
    assert broken_down.startswith("<Breakdown of <Cost ")
    assert broken_down.endswith(" by nodes DRAM:A, DRAM:B, DRAM:O, RF:A, RF:B, RF:O>")
    explained = repr(mapper.explain(nest, arch, mapping, "RF", "B"))
    assert explained.startswith("<Explanation ") and "writes: fills" in explained
    batch = repr(mapper.evaluate_batch(nest, arch, mapping, [(1, 1, 1), (2, 1, 1), (1, 2, 2)]))
    assert batch.startswith("<BatchCost of 3 mappings, ") and batch.endswith(" of them legal>")
