"""Random and damaged models: each is read or refused in one line, and what is read can be printed, counted and run."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import executed, model, saved
from random_models import Draw, inputs, spoil
from test_model_zoo import SMALL

from frontends.onnx import OnnxModel, load
from frontends.onnx.region import Region
from mapper.errors import InputError, MapperError
from mapper.inventory import inventory
from mapper.ir import parse_network

ZOO = [(case.build().SerializeToString(), case.dims) for case in SMALL.values()]


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
    assert_connected(found)
    return found


def assert_connected(found: OnnxModel) -> None:
    """Each node follows those that make what it reads; what none makes is an input, of a body perhaps, or stored."""
    network, made = found.network, set()
    bodies = {name for region in regions(found.region) for name in region.inputs if name not in region.captured}
    for node in network.nodes:
        for value in node.inputs:
            given = value in network.stored or any(value == name or value.endswith(f"/{name}") for name in bodies)
            unknown = value not in network.shapes  # an odd constant, whose shape nobody needs
            assert value in made or (value not in network.made and (given or unknown)), (node.name, value)
        made.update(node.outputs)


def regions(region: Region) -> Iterator[Region]:
    yield region
    for inner in region.inner.values():
        for each in inner.values():
            yield from regions(each)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "case.onnx"


@settings(max_examples=200, derandomize=True)
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
    if found is not None and found.network.layers:
        ran = executed(found, inputs=arrays)
        assert ran.passed, ran.failure
        assert not ran.uncompared


@settings(max_examples=400, derandomize=True)
@given(st.integers(0, 2**32))
def test_spoilt_models(path, seed):
    """Wrong sizes, and something else that is wrong."""
    random = Random(seed)
    proto = Draw(random, right=random.choice((0, 20, 60))).model(random.randint(1, 6))
    read(spoil(proto, random), path)


@settings(max_examples=200, derandomize=True)
@given(
    st.sampled_from(ZOO),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=2)), min_size=1, max_size=3),
    st.integers(-1, 1),
)
def test_damaged_models(path, model, changes, longer):
    """Bytes replaced; one put in or left out."""
    data, dims = model
    damaged = bytearray(data)
    for position, new in changes:
        position %= len(damaged)
        damaged[position : position + len(new)] = new
    if longer:
        damaged[position : position + (longer < 0)] = b"" if longer < 0 else b"x"
    read(bytes(damaged), path, dims)


# -- what is too large -------------------------------------------------------------------------------------------------

HUGE = 10**15
node = helper.make_node
LARGE = {
    "lists": ([node("Concat", ["x", "x"], ["c"], axis=0), node("Add", ["c", "c"], ["y"])], {"x": (HUGE,)}, {}),
    "a list that is filled": ([node("ConstantOfShape", ["s"], ["c"]), node("Mul", ["c", "x"], ["y"])], {"x": (1,)},
                              {"s": [HUGE]}),
    "a list of numbers": ([node("Size", ["x"], ["n"]), node("Range", ["a", "n", "b"], ["y"])], {"x": (HUGE, 1)},
                          {"a": 0, "b": 1}),
    "constants": ([node("Expand", ["one", "s"], ["w"]), node("Trilu", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
                  {"x": (2, 10**7)}, {"s": [10**7, 10**8], "one": np.float32(1)}),
    "copies": ([node("Tile", ["x", "s"], ["y"])], {"x": (10, 10)}, {"s": [10**7, 10**6]}),
    "a product": ([node("MatMul", ["x", "w"], ["y"])], {"x": (10**8, 10**8), "w": (10**8, 10**8)}, {}),
    "windows": ([node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)], {"x": (1, 3, 10**6, 10**9)},
                {}),
    "a window": ([node("AveragePool", ["x"], ["y"], kernel_shape=[10**7] * 2)], {"x": (1, 3, 10**7, 10**7)}, {}),
    "everything": ([node("GlobalAveragePool", ["x"], ["y"])], {"x": (1, 3, 10**7, 10**7)}, {}),
    "phases": ([node("ConvTranspose", ["x", "w"], ["y"], strides=[10**4] * 2)], {"x": (1, 3, 5, 5), "w": (3, 8, 3, 3)},
               {}),
    "steps": ([node("LSTM", ["x", "w", "r"], ["y"], hidden_size=4)],
              {"x": (10**12, 1000, 3), "w": (1, 16, 3), "r": (1, 16, 4)}, {}),
    "states": ([node("RNN", ["x", "w", "r"], ["y"], hidden_size=4)],
               {"x": (2, HUGE, 3), "w": (1, 4, 3), "r": (1, 4, 4)}, {}),
    "places": ([node("Attention", ["q", "k", "k"], ["y"], is_causal=1)], {"q": (1, 2, 10**7, 8), "k": (1, 2, 10**8, 8)},
               {}),
}  # fmt: skip


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
def test_what_is_too_large_for_any_memory(case, path):
    nodes, shapes, constants = case
    proto = model(nodes, shapes, ["y"], constants={k: np.asarray(v) for k, v in constants.items()}, opset=23)
    tracemalloc.start()
    try:
        read(proto.SerializeToString(), path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_trips_that_never_end(path):
    """A loop of constants only: it is not computed, however small what it makes."""
    state = helper.make_tensor_value_info("s", TensorProto.FLOAT, [2])
    numbers = [helper.make_tensor_value_info(*v, []) for v in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))]
    after = [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_empty_tensor_value_info("t")]
    inside = [node("Identity", ["go"], ["on"]), node("Neg", ["s"], ["t"])]
    loop = node("Loop", ["trips", "", "c"], ["w"], body=helper.make_graph(inside, "b", [*numbers, state], after))
    constants = {"trips": np.array(2**62), "c": np.ones(2, np.float32)}
    proto = model([loop, node("MatMul", ["x", "w"], ["y"])], {"x": (3, 2)}, ["y"], constants=constants)
    found = read(proto.SerializeToString(), path)
    assert found is not None and [layer.nest.macs for layer in found.network.layers] == [6]


def test_sizes_that_are_negative(tmp_path):
    """Inference itself ends the process when it slices what has a negative size."""
    pool, cut = node("MaxPool", ["x"], ["p"], kernel_shape=[5, 5], name="pool"), ["a", "b", "c"]
    constants = {name: np.array([n]) for name, n in zip(cut, (0, 6, 2), strict=True)}
    after = node("MaxPool", ["s"], ["p"], kernel_shape=[5, 5], name="pool")
    ends = [node("Slice", ["p", *cut], ["y"])]
    for nodes, size in (([pool, *ends], [3, 3]), ([node("Slice", ["x", *cut], ["s"]), after, *ends], [2, 3])):
        path = saved(model(nodes, {"x": (1, 2, "h", "w")}, ["y"], constants=constants), tmp_path)
        with pytest.raises(InputError, match=r"pool: its output p would be of the sizes \[1, 2, -1, -1\]"):
            load(path, dims={"h": 3, "w": 3})
        assert load(path, dims={"h": 7, "w": 7}).network.shapes["p"] == (1, 2, *size)


@pytest.mark.parametrize("size", [-1, 2**63, 2**70])
def test_sizes_that_are_none(size, tmp_path):
    proto = model([node("Relu", ["x"], ["y"])], {"x": ("n", 3)}, ["y"])
    for told in ({"dims": {"n": size}}, {"shapes": {"x": (size, 3)}}):
        with pytest.raises(InputError, match=r"must be at least . and fit 64 bits"):
            load(saved(proto, tmp_path), **told)


def test_values_that_are_none(tmp_path):
    for shape, value, words in (
        ((2, 3), float("nan"), "float32, which has no nan"),
        ((2, 3), 1e300, "has no 1e.300"),
        ((10**7, 10**8), 0, "too many to be given a value"),
    ):
        proto = model([node("Relu", ["x"], ["y"])], {"x": shape}, ["y"])
        with pytest.raises(InputError, match=words):
            load(saved(proto, tmp_path), values={"x": value})


# -- what is no model --------------------------------------------------------------------------------------------------


def test_files_that_are_no_models(path, tmp_path):
    tensor = numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    good, cycle, missing = (onnx.load_model_from_string(ZOO[0][0]) for _ in range(3))
    cycle.graph.node[3].input[0] = cycle.graph.node[-1].output[0]
    del missing.graph.initializer[5]
    for data in (
        *(ZOO[0][0][: len(ZOO[0][0]) * part // 16] for part in range(16)),
        *(other.SerializeToString() for other in (tensor, good.graph, good.graph.node[0], good.opset_import[0])),
        *(cycle.SerializeToString(), missing.SerializeToString()),
        *(b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\x03\x04" + bytes(99), b"{}", b"\n", b"\xff" * 99, b"import onnx\n"),
    ):
        assert read(data, path, ZOO[0][1]) is None
    for place in (tmp_path, tmp_path / "none.onnx", "\0", "a" * 5000, ""):
        with pytest.raises(InputError):
            load(str(place))
