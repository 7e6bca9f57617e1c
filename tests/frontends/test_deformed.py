"""DeformConv: samples between the elements of its input, and their product with the weight."""

import math

import pytest
from onnx import helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from mapper.errors import InputError


def deformed(*, n=1, c=4, k=8, size=(9, 8), group=1, sharing=1, mask=False, bias=False, shapes=(), **told):
    """A model of one node, with a kernel of 3 by 2; `shapes` are other ones than fit."""
    kernel = (3, 2)
    pads, strides, dilations = (
        told.get(name, (d,) * m) for name, d, m in (("pads", 0, 4), ("strides", 1, 2), ("dilations", 1, 2))
    )
    out = [(size[i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in range(2)]
    inputs = {"x": (n, c, *size), "w": (k, c // group, *kernel), "offset": (n, sharing * 12, *out)}
    inputs |= {"b": (k,)} if bias else {}
    inputs |= {"mask": (n, sharing * 6, *out)} if mask else {}
    names = [name if name in inputs else "" for name in ("x", "w", "offset", "b", "mask")]
    told |= {"group": group, "offset_group": sharing}
    node = helper.make_node("DeformConv", names, ["y"], name="it", kernel_shape=kernel, **told)
    return model([node], inputs | dict(shapes), ["y"], opset=19)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 2, "group": 2},
        {"n": 2, "sharing": 2, "mask": True, "bias": True},
        {"strides": (2, 1), "pads": (1, 0, 2, 1), "dilations": (1, 2)},
        {"n": 2, "group": 4, "sharing": 4, "pads": (1, 1, 1, 1)},
        {"size": (3, 9), "bias": True},
    ],
)
def test_values(options, tmp_path):
    read = assert_model_equals_onnxruntime(deformed(**options), tmp_path)
    (layer,) = read.network.layers
    n, k, *out = read.network.shapes["y"]
    assert (layer.name, layer.op) == ("it", "DeformConv")
    assert layer.nest.macs == n * k * math.prod(out) * 4 // options.get("group", 1) * 6


def test_what_moves(tmp_path):
    """It reads the input and the offsets, and writes what the windows found."""
    network = loaded(deformed(), tmp_path).network
    moved = {node.name: (node.reads, node.writes) for node in network.others if node.reads or node.writes}
    assert moved == {"it/rest": (((4 * 9 * 8 + 12 * 7 * 7, None),), ((4 * 6 * 7 * 7, None),))}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"offset": (1, 24, 7, 7)}, r"offset has shape \(1, 24, 7, 7\), not \(1, 12, 7, 7\)"),
        ({"w": (8, 3, 3, 2)}, "4 channels and 8 filters of 3 do not fit"),
        ({"x": (1, 4, 9), "w": (8, 4, 3)}, "1-D deformable convolution is not supported"),
    ],
)
def test_bad_input(shapes, words, tmp_path):
    proto = deformed(shapes=shapes)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, (1, 8, 7, 7)))
    with pytest.raises(InputError, match=words):
        loaded(proto, tmp_path)
