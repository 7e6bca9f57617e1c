"""The kinds of models that people compile: each is inspected, compiled and verified, as on the command line."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter

import numpy as np
import pytest
from representatives import REPRESENTATIVES
from typer.testing import CliRunner

from mapper.cli import compile as compiling
from mapper.cli.app import app

SPEC = """\
name: tiny
energy_unit: MAC
levels:
  - memory: DRAM
    word: 16 bits
    read: 200
    write: 200
  - fanout: PE
    axes: {x: 4}
  - memory: RF
    size: 64 words
    word: 16 bits
    read: 1
    write: 1
  - compute: MAC
    energy: 1
"""


@pytest.fixture(params=REPRESENTATIVES)
def representative(request):
    return REPRESENTATIVES[request.param]


@pytest.fixture
def path(representative, tmp_path):
    logging.disable()  # the quantiser recommends another tool
    try:
        representative.save(tmp_path / "model.onnx")
    finally:
        logging.disable(logging.NOTSET)
    return tmp_path / "model.onnx"


@pytest.fixture
def mapper(monkeypatch):
    """Runs a command, whose layers are solved here: there are few, and a process takes longer to start."""
    monkeypatch.setattr(compiling, "workers", lambda jobs, tasks: contextlib.nullcontext())

    def run(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "--format", "json"], prog_name="mapper")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_it_is_inspected(mapper, representative, path):
    found = mapper("inspect", path, *representative.options)
    assert Counter(row["op"] for row in found["layers"]) == representative.layers
    assert found["totals"]["macs"] == representative.macs


@pytest.mark.slow
def test_it_is_compiled_and_verified(mapper, representative, path, tmp_path):
    spec, folder = tmp_path / "tiny.yaml", tmp_path / "build"
    spec.write_text(SPEC)
    options = ("--arch", spec, "--factors", "perfect", "--time-limit", 30, "--output", folder)
    data = ()
    if representative.data is not None:
        np.savez(tmp_path / "data.npz", **representative.data())
        data = ("--data", tmp_path / "data.npz")
    found = mapper("compile", path, *representative.options, *options, "--verify", *data)
    assert {row["status"] for row in found["layers"] if "status" in row} == {"optimal"}
    verification = found["verification"]
    assert verification["passed"] and verification["counts_match"]
    assert verification["layers_checked"] == sum(representative.layers.values())
    assert mapper("verify", folder, *data)["passed"]
