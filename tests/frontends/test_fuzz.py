"""Random and damaged models: each is read or refused in one line, and what is read can be printed, counted and run."""

from __future__ import annotations

from random import Random

import model_zoo as zoo
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_cases import executed
from random_models import Draw, inputs, spoil

from frontends.onnx import OnnxModel, load
from mapper.errors import MapperError
from mapper.inventory import inventory
from mapper.ir import parse_network

ZOO = [
    build().SerializeToString()
    for build in (zoo.encoder, zoo.decoder, zoo.gated_decoder, zoo.vit, zoo.unet, zoo.quantized_cnn)
]
DIMS = {"batch": 1, "sequence": 2, "past": 3, "height": 8, "width": 8}


def read(data: bytes, path, dims: dict[str, int] | None = None) -> OnnxModel | None:
    """The model, of which the text form and the inventory work; None if it is refused."""
    path.write_bytes(data)
    try:
        found = load(str(path), dims=dims)
    except MapperError as error:
        assert str(error).isprintable(), str(error)
        return None
    assert parse_network(str(found.network)) == found.network
    assert len(inventory(found.network)["layers"]) == len(found.network.layers)
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "case.onnx"


@settings(max_examples=150, derandomize=True)
@given(st.integers(0, 2**32))
def test_random_models(path, seed):
    """Where ONNX Runtime takes a model, so does execution layer by layer, and with the same results."""
    random = Random(seed)
    proto = Draw(random).model(random.randint(1, 6))
    found = read(proto.SerializeToString(), path)
    try:
        arrays = inputs(proto, seed)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        session.run(None, arrays)
    except Exception:
        return
    if found is not None and found.network.layers and not found.region.shapes.others:
        ran = executed(found, inputs=arrays)
        assert ran.passed, ran.failure
        assert not ran.uncompared


@settings(max_examples=250, derandomize=True)
@given(st.integers(0, 2**32))
def test_spoilt_models(path, seed):
    """Wrong sizes, and something else that is wrong."""
    random = Random(seed)
    proto = Draw(random, right=random.choice((0, 20, 60))).model(random.randint(1, 6))
    read(spoil(proto, random), path)


@settings(max_examples=100, derandomize=True)
@given(
    st.sampled_from(ZOO),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=4),
)
def test_damaged_models(path, data, changes):
    """Bytes replaced, inserted and left out."""
    damaged = bytearray(data)
    for position, removed, inserted in changes:
        position %= len(damaged)
        damaged[position : position + removed] = inserted
    read(bytes(damaged), path, DIMS if all(name.encode() in damaged for name in DIMS) else None)
