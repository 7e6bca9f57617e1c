"""The calls for use from Python."""

import subprocess
import sys

import pytest

import mapper


def test_a_layer_is_a_nest_or_its_short_form():
    by_text = mapper.map_layer("gemm M=16 N=16 K=16", "simple3")
    by_nest = mapper.map_layer(mapper.gemm(M=16, N=16, K=16), mapper.load_architecture("simple3"))
    assert by_text.mapping == by_nest.mapping
    assert by_text.cost.energy == 162_048


def test_a_model_is_compiled_layer_by_layer():
    with pytest.raises(mapper.InputError, match="neither a file nor a known model"):
        mapper.compile_model("alexnt", "simple3")


def test_every_name_can_be_imported_and_no_other():
    assert all(getattr(mapper, name) is not None for name in mapper.__all__)
    assert dir(mapper) == mapper.__all__
    with pytest.raises(AttributeError, match="module 'mapper' has no attribute 'frobnicate'"):
        _ = mapper.frobnicate


def test_importing_costs_nothing():
    program = "import sys, mapper; print(*[m for m in sys.modules if m.startswith('mapper.')])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
