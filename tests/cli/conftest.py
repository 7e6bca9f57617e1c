"""A command line without a process of its own, and small models and machines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from onnx import TensorProto, helper, save
from typer.testing import CliRunner

from mapper.cli.app import app

SPEC = """\
name: tiny
energy_unit: pJ
clock: 10 MHz
levels:
  - memory: DRAM
    word: 16 bits
    read: 100 pJ
    write: 100 pJ
    bandwidth: 4 words/cycle
  - fanout: PE
    axes: {x: 4}
  - memory: RF
    size: 64 words
    read: 1 pJ
    write: 1 pJ
  - compute: MAC
    energy: 1 pJ
"""


@dataclass(frozen=True)
class Output:
    code: int
    out: str
    err: str


@pytest.fixture
def mapper():
    """Runs the command with some arguments."""

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="mapper")
        return Output(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def spec(tmp_path):
    """The path of a small machine."""
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def model(tmp_path):
    """The path of two equal convolutions, a Relu between them, and a Gemm."""
    weights = [("w", (4, 4, 3, 3)), ("v", (4, 4, 3, 3)), ("m", (64, 10))]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv/1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "v"], ["c"], name="conv 2", pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["c"], ["d"], name="flat"),
        helper.make_node("Gemm", ["d", "m"], ["y"], name="gemm"),
    ]
    value, float32 = helper.make_tensor_value_info, TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", float32, [1, 4, 4, 4]), *(value(name, float32, shape) for name, shape in weights)],
        [value("y", float32, [1, 10])],
    )
    path = tmp_path / "small.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
