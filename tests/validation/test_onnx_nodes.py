"""ONNX's own node tests, through lowering, mapping and execution."""

from pathlib import Path

import pytest

from validation.onnx_nodes import outcomes, report

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation" / "onnx_nodes.md"


@pytest.mark.slow
def test_every_case_that_runs_counts_and_computes_what_it_must():
    found = outcomes()
    assert [case for case in found if case.wrong] == []
    ran = {case.op for case in found if case.layers and not case.reason}
    products = {"Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul", "MatMulInteger"}
    assert ran >= products | {"QLinearConv", "QLinearMatMul", "LSTM", "GRU", "RNN", "Attention", "MaxPool"}
    # what does not run is for want of a referee, or of sizes that no model could state
    reasons = {case.reason for case in found if case.reason}
    assert all(reason.startswith(("ONNX Runtime", "not read: a shape depends")) for reason in reasons), reasons
    assert DOCUMENT.read_text("utf-8") == report()
