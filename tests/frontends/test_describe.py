"""What a schedule says of a layer in its model: enough to rebuild it without the model's file."""

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_cases import loaded, model, run_onnxruntime, saved
from test_model_zoo import SMALL
from test_quantized import qlinear_conv, qlinear_matmul

from backends.emit import Schedule, parse_schedule, to_json, to_yaml
from backends.execute.reference import reference
from frontends.onnx import OnnxModel, binding_of, describe, load, pack, unpack
from frontends.onnx.binding import Binding
from mapper.ir import Network
from mapper.mapping import Keep, Loop, Mapping


def schedules(read: OnnxModel, write=to_yaml) -> list[Schedule]:
    """The schedules of a model's layers, written and read, in the order in which they say that they run."""
    told, found = describe(read), []
    for layer in read.network.layers:
        nest = layer.nest
        items = [Keep("DRAM", tensor.name) for tensor in nest.tensors] + [Loop(dim, 1) for dim, _ in nest.dims]
        text = write(Schedule(layer.name, nest, "tiny", Mapping(tuple(items)), {}, told[layer.name]))
        found.append(parse_schedule(text, "schedule"))
        assert found[-1].onnx == json.loads(json.dumps(told[layer.name]))
    return sorted(found, key=lambda schedule: schedule.onnx["order"])


def dtype(row) -> np.dtype:
    return helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(row["type"].upper()))


def rebuilt(schedule: Schedule, values: dict[str, np.ndarray]) -> None:
    """Run a layer from its schedule and the values that it reads alone; puts what it makes among these."""
    told, nest = schedule.onnx, schedule.nest
    for row in told["constants"]:
        values.setdefault(row["value"], np.array(row["data"], dtype(row)).reshape(row["shape"]))
    binding = binding_of(told, nest)
    operands = {tensor: pack(view, values) for tensor, view in binding.operands.items()}
    made = unpack(binding, reference(nest, operands), values)
    values[binding.result.value] = made.astype(dtype(told["result"]))
    for row in told["attached"]:
        node = helper.make_node(
            row["op"], row["inputs"], row["outputs"], domain=row.get("domain", ""), **row.get("attributes", {})
        )
        given = {name: values[name] for name in dict.fromkeys(row["inputs"]) if name}
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in given.items()
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in row["outputs"]]
        graph = helper.make_graph([node], "one", inputs, results)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        proto = helper.make_model(graph, ir_version=8, opset_imports=opsets)
        values |= dict(zip(row["outputs"], run_onnxruntime(proto, given), strict=True))


def stored(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def chain() -> onnx.ModelProto:
    """Layers with all that a binding has, and nothing but layers and what is attached to them."""
    make, rng = helper.make_node, np.random.default_rng(1)
    nodes = [
        make("Conv", ["x", "w1"], ["c1"], name="strided", strides=[2, 1], pads=[1, 2, 0, 1], kernel_shape=[3, 3]),
        make("Clip", ["c1", "", "six"], ["r1"], name="clip"),
        make("Conv", ["r1", "w2", "b2"], ["c2"], name="dilated", group=2, dilations=[2, 1], pads=[2, 0, 2, 0]),
        make("LeakyRelu", ["c2"], ["r2"], name="leaky", alpha=0.25),
        make("MaxPool", ["r2"], ["p"], name="pool", kernel_shape=[2, 2], pads=[1, 0, 1, 0], strides=[2, 2]),
        make("AveragePool", ["p"], ["q"], name="mean", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        make("Conv", ["q", "w3"], ["c3"], name="pointwise"),
        make("Add", ["q", "c3"], ["s"], name="residual"),
        make("Einsum", ["s", "m"], ["e"], name="einsum", equation="nchw,ck->nkhw"),
        make("MatMul", ["e", "n"], ["y"], name="product"),
    ]
    values = {
        "w1": rng.normal(size=(4, 3, 3, 3)),
        "w2": rng.normal(size=(6, 2, 3, 2)),
        "b2": rng.normal(size=6),
        "w3": rng.normal(size=(6, 6, 1, 1)),
        "six": 0.5,
        "m": rng.normal(size=(6, 5)),
        "n": rng.normal(size=(3, 2)),
    }
    return model(nodes, {"x": (1, 3, 9, 7)}, ["y"], constants={k: np.asarray(v, np.float32) for k, v in values.items()})


@pytest.mark.parametrize("write", [to_yaml, to_json])
def test_a_network_runs_from_its_schedules_alone(write, tmp_path):
    proto = chain()
    x = {"x": np.random.default_rng(2).normal(size=(1, 3, 9, 7)).astype(np.float32)}
    (expected,) = run_onnxruntime(proto, x)
    values = {**x, **stored(proto)}
    del values["six"]  # which the schedule tells
    found = schedules(loaded(proto, tmp_path), write)
    after = {schedule.layer: schedule.onnx["after"] for schedule in found}
    assert after["dilated"] == ["strided"] and after["pointwise"] == ["mean"]
    assert after["einsum"] == ["pointwise"]  # which is done with what is attached to it, and that reads the mean
    done = set()
    for schedule in found:
        assert done >= set(schedule.onnx["after"])
        rebuilt(schedule, values)
        done.add(schedule.layer)
    np.testing.assert_allclose(values["y"], expected, rtol=1e-4, atol=1e-5)


def test_what_is_told_of_a_convolution(tmp_path):
    told = describe(loaded(chain(), tmp_path))
    dilated, strided = told["dilated"], told["strided"]
    assert (dilated["op"], dilated["times"], dilated["attributes"]["dilations"]) == ("Conv", 1, [2, 1])
    assert dilated["operands"]["I"] == {
        "value": "r1", "type": "float", "shape": [1, 4, 4, 8], "transpose": [0, 1, 2, 3],
        "pads": [[0, 0], [0, 0], [2, 2], [0, 0]], "crop": [1, 4, 8, 8],
    }  # fmt: skip
    assert dilated["result"]["bias"] == {"value": "b2", "shape": [6, 1, 1]}
    assert dilated["attached"] == [
        {"name": "leaky", "op": "LeakyRelu", "inputs": ["c2"], "outputs": ["r2"], "attributes": {"alpha": 0.25}}
    ]
    assert strided["attached"] == [{"name": "clip", "op": "Clip", "inputs": ["c1", "", "six"], "outputs": ["r1"]}]
    assert strided["constants"] == [{"value": "six", "type": "float", "shape": [], "data": [0.5]}]
    assert told["pool"]["operands"]["I"]["pad_with"] == "lowest"


@pytest.mark.parametrize("case", ["conv", "matmul"])
def test_a_quantised_layer_runs_from_its_schedule_alone(case, tmp_path):
    """Zero points and scales are told: they are small, and stored."""
    rng = np.random.default_rng(3)
    proto = qlinear_conv(rng, 6, (3, 3), pads=[1, 0, 1, 2]) if case == "conv" else qlinear_matmul(rng, (4, 9), (9, 7))
    (shape,) = ([d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.input)
    x = {"x": rng.uniform(-2, 3, shape).astype(np.float32)}
    (expected,) = run_onnxruntime(proto, x)
    (schedule,) = schedules(loaded(proto, tmp_path))
    assert all(operand["zero_point"] for operand in schedule.onnx["operands"].values())
    weights = stored(proto)
    values = {
        "xq": np.clip(np.rint(x["x"] / weights["xs"]) + weights["xz"], 0, 255).astype(np.uint8),
        **{name: weights[name] for name in ("w", "b") if name in weights},
    }
    rebuilt(schedule, values)
    assert values["y"].dtype == expected.dtype
    assert np.abs(values["y"].astype(int) - expected.astype(int)).max() <= 1


def renamed(binding: Binding, names: dict[str, str]) -> Binding:
    """The binding with other names of values."""
    views = {
        tensor: replace(
            view,
            value=names[view.value],
            shape=tuple(view.shape),
            zero=None if view.zero is None else names.get(view.zero, view.zero),
        )
        for tensor, view in binding.operands.items()
    }
    bias = binding.result.bias
    result = replace(
        binding.result, value=names[binding.result.value], bias=None if bias is None else names.get(bias, bias)
    )
    return Binding(views, replace(result, divisors=tuple(map(tuple, result.divisors))))


def bias_names(network: Network) -> Iterator[tuple[str, str, str]]:
    for node in network.others:
        if node.op in ("Bias", "ZeroPoint"):
            yield from ((node.to, node.op, name) for name in node.inputs)


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_bindings_are_read_back_from_every_kind_of_model(case, tmp_path):
    read = load(saved(case.build(), tmp_path), dims=case.dims)
    told, layers = describe(read), {layer.name: layer for layer in read.network.layers}
    assert list(told) == list(layers)
    for schedule in schedules(read):
        layer, binding = layers[schedule.layer], read.bindings[schedule.layer]
        found = binding_of(schedule.onnx, schedule.nest)
        names = {
            view.value: name for view, name in zip(binding.operands.values(), layer.inputs, strict=True)
        } | {binding.result.value: layer.outputs[0]}  # fmt: skip
        expected = renamed(binding, names)
        for theirs, ours in zip(expected.operands.values(), found.operands.values(), strict=True):
            assert replace(theirs, zero=None) == replace(ours, zero=None)
            assert (theirs.zero is None) == (ours.zero is None)
        assert replace(expected.result, bias=None) == replace(found.result, bias=None)
        attached = {name for to, op, name in bias_names(read.network) if to == schedule.layer and op == "Bias"}
        assert ({found.result.bias} if found.result.bias else set()) >= attached
        places = [layers[name] and read.network.places[name] for name in schedule.onnx["after"]]
        assert all(place < schedule.onnx["order"] for place in places)
        assert schedule.onnx["times"] == layer.times


def test_layers_inside_operators_and_loops_follow_what_they_read(tmp_path):
    make, rng = helper.make_node, np.random.default_rng(4)
    nodes = [
        make("MatMul", ["x", "a"], ["xa"], name="first"),
        make("Unsqueeze", ["xa", "axis"], ["seq"], name="unsqueeze"),
        make("LSTM", ["seq", "w", "r"], ["y", "h"], name="lstm", hidden_size=4),
        make("Squeeze", ["h", "zero"], ["hs"], name="squeeze"),
        make("MatMul", ["hs", "m"], ["z"], name="last"),
    ]
    values = {"a": (5, 5), "w": (1, 16, 5), "r": (1, 16, 4), "m": (4, 7)}
    constants = {name: rng.normal(size=shape).astype(np.float32) for name, shape in values.items()}
    constants |= {"axis": np.array([1]), "zero": np.array([0])}
    told = describe(loaded(model(nodes, {"x": (3, 5)}, ["z"], constants=constants), tmp_path))
    assert {name: row["after"] for name, row in told.items()} == {
        "first": [],
        "lstm/input": ["first"],
        "lstm/steps/recurrent": ["lstm/input"],
        "last": ["lstm/input", "lstm/steps/recurrent"],  # the gates are data movement of both
    }
    assert told["lstm/steps/recurrent"]["times"] == 3


def test_values_are_not_told_where_they_are_large(tmp_path):
    bounds = np.linspace(0, 1, 65).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
        helper.make_node("Mul", ["y", "s"], ["z"], name="scale"),
        helper.make_node("Max", ["z", "least"], ["o"], name="max"),
    ]
    constants = {"w": np.ones((2, 65), np.float32), "s": bounds, "least": np.array(-np.inf, np.float32)}
    (told,) = describe(loaded(model(nodes, {"x": (3, 2)}, ["o"], constants=constants), tmp_path)).values()
    assert told["constants"] == [{"value": "least", "type": "float", "shape": [], "data": ["-inf"]}]
    assert [row["inputs"] for row in told["attached"]] == [["y", "s"], ["z", "least"]]
    assert json.dumps(told, allow_nan=False)
