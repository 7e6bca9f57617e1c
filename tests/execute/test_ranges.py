"""Inputs are drawn from the range that the graph shows."""

from pathlib import Path

import numpy as np
import pytest
from odd_models import BOOL, FLOAT, INT32, INT64, UINT8, Graph
from onnx import TensorProto, helper
from test_network import verify

from frontends.onnx import load


def drawn(graph: Graph, made: str, folder: Path, kind: int = INT64, shape=(2, 4), **inputs):
    """From what the input `i` is drawn, in a model with a layer beside."""
    total = graph("ReduceSum", graph("Cast", made, to=FLOAT), keepdims=0)
    y = graph("Add", graph("MatMul", "x", graph.constant(np.eye(4))), total)
    given = {"x": (FLOAT, (3, 4)), "i": (kind, shape), **inputs}
    found = verify(load(graph.save(folder / "case.onnx", given, y)))
    assert found.passed, found.failure
    return dict(found.drawn)["i"]


def table(graph: Graph, *shape: int) -> str:
    return graph.constant(np.random.default_rng(0).standard_normal(shape))


READERS = {
    "a table": ("0..29 (Gather node Gather_0)", lambda g: g("Gather", table(g, 30, 4), "i")),
    "its last axis": ("0..3 (Gather node Gather_0)", lambda g: g("Gather", table(g, 30, 4), "i", axis=-1)),
    "of the smaller of two": (
        "0..6 (Gather node Gather_0)",
        lambda g: g("Add", g("Gather", table(g, 30, 4), "i"), g("Gather", table(g, 7, 4), "i")),
    ),
    "positions after others": (
        "-2..27 (Gather node Gather_1)",
        lambda g: g("Gather", table(g, 30, 4), g("Add", "i", g.constant(2, np.int64))),
    ),
    "positions before others": (
        "1..30 (Gather node Gather_1)",
        lambda g: g("Gather", table(g, 30, 4), g("Sub", "i", g.constant([1], np.int64))),
    ),
    "through views": (
        "0..29 (Gather node Gather_2)",
        lambda g: g("Gather", table(g, 30, 4), g("Reshape", g("Cast", "i", to=INT32), g.constant([8], np.int64))),
    ),
    "elements": ("0..29 (GatherElements node GatherElements_0)", lambda g: g("GatherElements", table(g, 30, 4), "i")),
    "several axes": ("0..4 (GatherND node GatherND_0)", lambda g: g("GatherND", table(g, 9, 8, 6, 5), "i")),
    "scattered": (
        "0..29 (ScatterElements node ScatterElements_0)",
        lambda g: g("ScatterElements", table(g, 30, 4), "i", table(g, 2, 4)),
    ),
    "one-hot": (
        "0..11 (OneHot node OneHot_0)",
        lambda g: g("OneHot", "i", g.constant(12, np.int64), g.constant([0, 1])),
    ),
    "one-hot by hand": (
        "0..255 (Equal node Equal_1)",
        lambda g: g("Equal", g("Unsqueeze", "i", g.constant([2], np.int64)), g.constant(range(256), np.int64)),
    ),
    "one number": ("0..8 (Equal node Equal_0)", lambda g: g("Equal", "i", g.constant(7, np.int64))),
    "a range": (
        "3..9 (Clip node Clip_0)",
        lambda g: g("Clip", "i", g.constant(3, np.int64), g.constant(9, np.int64)),
    ),
    "a mask": ("0..1 (Cast node Cast_0)", lambda g: g("Where", g("Cast", "i", to=BOOL), table(g, 4), table(g, 2, 4))),
    "nothing": ("0..1 (nothing is known of them)", lambda g: g("Neg", "i")),
}


@pytest.mark.parametrize("name", READERS)
def test_ranges_of_integers(name: str, tmp_path: Path):
    expected, build = READERS[name]
    graph = Graph()
    assert drawn(graph, build(graph), tmp_path) == expected


def test_floats_that_become_positions(tmp_path: Path):
    graph = Graph()
    made = graph("Gather", table(graph, 30, 4), graph("Cast", "i", to=INT64))
    assert drawn(graph, made, tmp_path, FLOAT) == "0..29 (Gather node Gather_1)"


def test_bytes_are_all_bytes(tmp_path: Path):
    """Images and what is quantised."""
    for kind, expected in ((UINT8, "0..255 (its type)"), (TensorProto.INT8, "-128..127 (its type)")):
        graph = Graph()
        scale, zero = graph.constant(0.1), graph.constant(3, helper.tensor_dtype_to_np_dtype(kind))
        assert drawn(graph, graph("DequantizeLinear", "i", scale, zero), tmp_path, kind) == expected
    graph = Graph()
    assert drawn(graph, graph("Cast", "i", to=FLOAT), tmp_path, UINT8) == "0..255 (its type)"


def test_ranges_that_a_type_does_not_hold(tmp_path: Path):
    """Comparisons with what no input can be."""
    for kind, value, expected in (
        (UINT8, 300, "0..255 (Equal node Equal_1)"),
        (UINT8, -3, "0..1 (Equal node Equal_1)"),
        (INT64, 2**63 - 1, f"0..{2**62} (Equal node Equal_1)"),
    ):
        graph = Graph()
        made = graph("Equal", graph("Cast", "i", to=INT64), graph.constant(value, np.int64))
        assert drawn(graph, made, tmp_path, kind) == expected


def test_edges_of_a_graph(tmp_path: Path):
    """As in a graph network: what is gathered along edges is added up at their ends."""
    graph = Graph()
    start, end = (
        graph(
            "Squeeze", graph("Slice", "i", *(graph.constant([n], np.int64) for n in cut)), graph.constant([0], np.int64)
        )
        for cut in ((0, 1, 0), (1, 2, 0))
    )
    messages = graph("Gather", "nodes", start)
    ends = graph("Expand", graph("Unsqueeze", end, graph.constant([1], np.int64)), graph.constant([20, 4], np.int64))
    made = graph("ScatterElements", graph.constant(np.zeros((9, 4))), ends, messages, axis=0, reduction="add")
    expected = drawn(graph, made, tmp_path, shape=(2, 20), nodes=(FLOAT, (9, 4)))
    assert expected.startswith("0..8 (")
