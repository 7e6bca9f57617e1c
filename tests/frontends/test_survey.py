"""The survey's networks: exact totals, every layer's shape, structure, execution."""

import csv
from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx_cases import executed

from frontends import survey
from frontends.onnx import load
from mapper.inventory import inventory

NAMES = survey.names()
TOTALS = {  # MACs and weights of convolutions, then of fully connected layers (where the two are equal)
    "survey/lenet5": (1_888_000, 25_500, 405_000),
    "survey/alexnet": (665_784_864, 2_332_704, 58_621_952),
    "survey/overfeat_fast": (2_671_478_784, 15_984_672, 129_925_120),
    "survey/vgg16": (15_346_630_656, 14_710_464, 123_633_664),
    "survey/googlenet": (1_581_647_872, 5_966_272, 1_024_000),
    "survey/resnet50": (3_855_925_248, 23_454_912, 2_048_000),
}


def shapes(name):
    """The layers of a network, by name, as a table derived from the papers has them; a row for each.

    H x H inputs of C channels, M filters of R x R, E x E outputs; an FC layer has R x R inputs, stride and E are 1.
    """
    with (Path(__file__).parents[1] / "data" / "survey_layers.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if f"survey/{row['network']}" == name]
    return {row["name"]: {key: int(n) for key, n in row.items() if key not in ("network", "name")} for row in rows}


@pytest.mark.parametrize("name", NAMES)
def test_totals(name):
    found = inventory(load(name).network)
    macs, weights, connected = TOTALS[name]
    for op, sums in (("Conv", (macs, weights)), ("Gemm", (connected, connected))):
        rows = [row for row in found["layers"] if row["op"] == op]
        assert (sum(row["macs"] for row in rows), sum(row["weights"] for row in rows)) == sums
    assert (found["totals"]["macs"], found["totals"]["weights"]) == (macs + connected, weights + connected)


def test_these_are_all():
    assert list(TOTALS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_layer(name):
    network, expected = load(name).network, shapes(name)
    rows = {row["name"]: row for row in inventory(network)["layers"] if row["macs"]}
    layers = {layer.name: layer for layer in network.layers if layer.nest.macs}
    assert list(rows) == list(expected)
    for layer, row in expected.items():
        H, R, C, M, groups, E = (row[key] for key in ("H", "R", "C", "M", "groups", "E"))
        assert (rows[layer]["macs"], rows[layer]["weights"]) == (row["macs"], row["weights"]), layer
        read, weight = (network.shapes[value] for value in layers[layer].inputs)
        if rows[layer]["op"] == "Gemm":
            assert (read, weight) == ((1, C * R * R), (M, C * R * R)), layer
        else:
            assert (read, weight) == ((1, C, H, H), (M, C // groups, R, R)), layer
            assert network.shapes[layers[layer].outputs[0]] == (1, M, E, E), layer
            assert rows[layer]["dims"]["G"] == groups


@pytest.mark.parametrize("name", NAMES)
def test_every_stride_and_padding(name):
    nodes = {node.name: node for node in survey.build(name).graph.node if node.op_type == "Conv"}
    told = {n: {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for n, node in nodes.items()}
    assert {n: (a["strides"], a["pads"]) for n, a in told.items()} == {
        n: ([row["stride"]] * 2, [row["pad"]] * 4) for n, row in shapes(name).items() if n in nodes
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_valid(name):
    proto = survey.build(name)
    onnx.checker.check_model(proto, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    assert len(inferred.graph.value_info) == len(proto.graph.node) - 1  # all values but the output


def test_alexnet_is_the_papers():
    network = load("survey/alexnet").network
    conv2 = next(layer.nest for layer in network.layers if layer.name == "CONV2")
    assert conv2.extents == {"N": 1, "G": 2, "K": 128, "C": 48, "P": 27, "Q": 27, "R": 5, "S": 5}
    assert [node.op for node in network.nodes[:5]] == ["Conv", "Bias", "Relu", "LRN", "MaxPool"]
    assert network.shapes["CONV1_out"] == (1, 96, 55, 55)


def graph(name):
    """Each node's operator, and those nodes it reads from, weights left out."""
    nodes = survey.build(name).graph.node
    makers = {node.output[0]: node.name for node in nodes}
    return {node.name: (node.op_type, [makers[value] for value in node.input if value in makers]) for node in nodes}


def test_lenet5_has_no_relu_after_its_convolutions():
    found = [op for op, _ in graph("survey/lenet5").values()]
    assert found == ["Conv", "MaxPool", "Conv", "MaxPool", "Flatten", "Gemm", "Relu", "Gemm", "Softmax"]


def test_an_inception_module():
    """Four branches of the same input, each convolution with its ReLU, joined in the paper's order."""
    nodes = graph("survey/googlenet")
    for module, before in (("3a", "conv2/pool"), ("3b", "3a_concat"), ("4a", "3b/pool"), ("5b", "5a_concat")):
        branches = {"1x1": before, "3x3": "3x3r", "5x5": "5x5r", "pool": f"{module}_maxpool"}
        assert nodes[f"{module}_concat"] == ("Concat", [f"{module}_{branch}/relu" for branch in branches])
        for branch in (*branches, "3x3r", "5x5r"):
            source = branches.get(branch, before)
            reads = f"{module}_{source}/relu" if source.endswith("r") else source
            assert nodes[f"{module}_{branch}"] == ("Conv", [reads])
            assert nodes[f"{module}_{branch}/relu"] == ("Relu", [f"{module}_{branch}"])
        assert nodes[f"{module}_maxpool"] == ("MaxPool", [before])
    shapes = load("survey/googlenet").network.shapes
    concats = {module: shapes[f"{module}_concat_out"][1:] for module in ("3a", "3b", "4a", "4d", "4e", "5a", "5b")}
    assert concats == {  # channels and size of Szegedy et al. 2015, Table 1
        "3a": (256, 28, 28),
        "3b": (480, 28, 28),
        "4a": (512, 14, 14),
        "4d": (528, 14, 14),
        "4e": (832, 14, 14),
        "5a": (832, 7, 7),
        "5b": (1024, 7, 7),
    }


def test_bottleneck_blocks():
    """The first of a stage projects its input, the others add it as it is; the ReLU follows the addition."""
    nodes = graph("survey/resnet50")
    assert Counter(op for op, _ in nodes.values())["Add"] == 16
    for stage, blocks, before in (
        ("conv2", 3, "conv1/pool"),
        ("conv3", 4, "conv2_3_relu"),
        ("conv5", 3, "conv4_6_relu"),
    ):
        for block in (f"{stage}_{number}" for number in range(1, blocks + 1)):
            first = block.endswith("_1")
            assert nodes[f"{block}_a"][1] == [before]
            assert nodes[f"{block}_b"][1] == [f"{block}_a/relu"]
            assert nodes[f"{block}_c"][1] == [f"{block}_b/relu"]
            assert nodes[f"{block}_add"] == ("Add", [f"{block}_c", f"{block}_shortcut" if first else before])
            assert not first or nodes[f"{block}_shortcut"][1] == [before]
            assert nodes[f"{block}_relu"] == ("Relu", [f"{block}_add"])
            before = f"{block}_relu"


def test_what_follows_a_layer_is_attached_to_it():
    """The sum of a block works on the output of the layer that runs last."""
    others = load("survey/resnet50").network.others
    assert {node.name: node.to for node in others if node.op == "Add"} == {
        f"conv{stage}_{block}_add": f"conv{stage}_{block}_{'shortcut' if block == 1 else 'c'}"
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, blocks + 1)
    }


@pytest.mark.parametrize("name", ["survey/lenet5", "survey/googlenet", "survey/resnet50"])
def test_execution(name):
    """Layer by layer as ONNX Runtime's whole model; what is random gives something to compare in every layer."""
    read = load(name)
    found = executed(read)
    assert found.passed, found.failure
    assert {check.name for check in found.layers} == {layer.name for layer in read.network.layers}
