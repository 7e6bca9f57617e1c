"""Small ONNX models for tests, and the comparison of a lowered one with ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from backends.execute.network import Verification, verify_network
from backends.execute.reference import reference
from frontends.onnx import OnnxModel, load, pack, unpack
from mapper.arch import Architecture, Compute, Memory
from mapper.ir import LoopNest
from mapper.mapping import Counts, Keep, Mapping

OPSET = 17


def model(nodes, inputs, outputs, *, constants=None, opset=OPSET, domains=(), name="case"):
    """A model from nodes; `inputs` maps names to shapes, `constants` names to arrays."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    results = [helper.make_empty_tensor_value_info(n) for n in outputs]
    for result in results:
        result.type.tensor_type.elem_type = TensorProto.FLOAT
    stored = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, name, values, results, initializer=stored)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets)


def saved(proto: onnx.ModelProto, folder: Path, name: str = "case.onnx") -> str:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return str(path)


def loaded(proto: onnx.ModelProto, folder: Path, **shapes: tuple[int, ...]) -> OnnxModel:
    return load(saved(proto, folder), shapes)


def run_onnxruntime(proto: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: arrays[i.name] for i in session.get_inputs()})


ARCH = Architecture("one memory", (Memory("DRAM"), Compute("MAC")))


@dataclass
class Ran:
    """What the stand-in executor gives."""

    output: np.ndarray
    counts: Counts


def executed(read: OnnxModel, **options) -> Verification:
    """Run a model with a stand-in for the executor that computes each layer from its nest alone."""
    nests = read.network.unique
    counts = {nest: Counts({}, {}, nest.operations, nest.operations) for nest in nests}

    def run(nest, arch, mapping, operands):
        return Ran(reference(nest, operands), counts[nest])

    mapping = Mapping(tuple(Keep("DRAM", tensor) for tensor in "IWO"))
    return verify_network(read, ARCH, dict.fromkeys(nests, mapping), counts, execute=run, **options)


def assert_model_equals_onnxruntime(proto: onnx.ModelProto, folder: Path, **shapes: tuple[int, ...]) -> OnnxModel:
    """Load a model and run it layer by layer: every layer, every operator made of layers and every output agree."""
    read = loaded(proto, folder, **shapes)
    found = executed(read)
    assert found.passed, found.failure
    assert {check.name for check in found.layers} == {layer.name for layer in read.network.layers}
    return read


def assert_layer_equals_onnxruntime(proto: onnx.ModelProto, folder: Path) -> LoopNest:
    """Lower a model of one MAC node and compare its nest, on random operands, with ONNX Runtime; returns the nest."""
    read = loaded(proto, folder)
    (layer,) = read.network.layers
    rng = np.random.default_rng(0)
    arrays = {v.name: rng.normal(size=[d.dim_value for d in v.type.tensor_type.shape.dim]) for v in proto.graph.input}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    (expected,) = run_onnxruntime(proto, arrays)
    binding = read.bindings[layer.name]
    operands = {tensor: pack(view, arrays) for tensor, view in binding.operands.items()}
    found = unpack(binding, reference(layer.nest, operands), arrays)
    assert found.shape == expected.shape == read.network.shapes[layer.outputs[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return layer.nest
