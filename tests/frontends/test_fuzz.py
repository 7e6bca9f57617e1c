"""Random models run as ONNX Runtime runs them; what is too large for any memory, and what is no model.

Models that are changed at random are among those of `tests/fuzzing`.
"""

from __future__ import annotations

import json
import tracemalloc
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
from fuzzing import bases, models
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import executed, model, saved
from random_models import Draw, inputs
from test_model_zoo import SMALL

from frontends.onnx import OnnxModel, load
from frontends.onnx.binding import binding_data, binding_of
from mapper.errors import InputError, MapperError

ZOO = [(case.build().SerializeToString(), case.dims) for case in SMALL.values()]


def read(data: bytes, path, dims: dict[str, int] | None = None) -> OnnxModel | None:
    """The model, of which the text form and the inventory work; None if it is refused."""
    path.write_bytes(data)
    try:
        return models.read(str(path), dims=dims)
    except MapperError as error:
        assert str(error).isprintable(), str(error)
        return None


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "case.onnx"


OPERANDS = [(base, at) for base in bases.operators() for at in range(len(base.proto().graph.input))]


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
@pytest.mark.parametrize(
    ("base", "at"), OPERANDS, ids=[f"{base.proto().graph.node[-1].op_type}-{at}" for base, at in OPERANDS]
)
def test_operands_of_too_few_dims(base, at, shape, path):
    """Each operand of each operator is read with such a shape, or refused in one line."""
    proto = base.proto()
    dims = proto.graph.input[at].type.tensor_type.shape
    dims.CopyFrom(onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=n) for n in shape]))
    read(proto.SerializeToString(), path, base.dims)


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


# -- what mutated models found -----------------------------------------------------------------------------------------


def refused(proto, path, **told):
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError) as caught:
        models.read(str(path), **told)
    return str(caught.value)


def test_an_attribute_that_refers_to_a_functions_outside_of_one(path):
    proto = bases._function().proto()
    proto.graph.node.append(node("LeakyRelu", ["x"], ["z"], name="r"))
    proto.graph.node[-1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    words = "LeakyRelu node r: alpha is the attribute slope of a function, but the node is in none"
    assert words in refused(proto, path)


def test_functions_that_call_themselves_or_are_there_twice(path):
    proto = bases._function().proto()
    proto.functions[0].node[0].CopyFrom(node("Two", ["x", "w"], ["p"], domain="own"))
    assert "its functions cannot be put in: Cycle detected" in refused(proto, path)
    proto = bases._function().proto()
    proto.functions.append(proto.functions[0])
    assert "its functions cannot be put in: Model contains multiple local functions" in refused(proto, path)


@pytest.mark.parametrize("base", bases.operators(), ids=lambda base: base.proto().graph.node[0].op_type)
def test_operators_that_no_checker_knows(base, path):
    """Each attribute of every other kind, and without its last inputs: read, or refused in one line."""
    (only, *_) = base.proto().graph.node
    for i in range(len(only.attribute)):
        for other in (1, 0.5, "text", [1], [0.5], ["text"]):
            proto = base.proto()
            proto.graph.node[0].attribute[i].CopyFrom(helper.make_attribute(only.attribute[i].name, other))
            read(proto.SerializeToString(), path)
        proto = base.proto()
        for name in ("ints", "floats", "strings"):
            proto.graph.node[0].attribute[i].ClearField(name)
        read(proto.SerializeToString(), path)
    for count in range(len(only.input)):
        proto = base.proto()
        del proto.graph.node[0].input[count:]
        read(proto.SerializeToString(), path)
        proto = base.proto()
        proto.graph.node[0].input[count] = ""
        read(proto.SerializeToString(), path)


@pytest.mark.parametrize("count", [[], [1, 2], 2.5])
def test_trips_that_are_no_number(count, path):
    proto = bases._loop(3).proto()
    (tensor,) = (t for t in proto.graph.initializer if t.name.startswith("const"))
    tensor.CopyFrom(numpy_helper.from_array(np.array(count, np.float32 if count == 2.5 else np.int64), tensor.name))
    assert "Loop_0" in refused(proto, path)


def test_phases_of_what_has_no_outputs(path):
    """Strides so large that nobody can count to them, next to an axis that is empty."""
    nodes = [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2**31], pads=[2, 0, 2, 0])]
    proto = model(nodes, {"x": (1, 3, 1, 9), "w": (3, 8, 3, 3)}, ["y"])
    assert read(proto.SerializeToString(), path) is None


def test_a_value_beyond_64_bits(path):
    proto = model([node("Cast", ["n"], ["y"], to=TensorProto.FLOAT)], {"n": ()}, ["y"])
    for kind in (TensorProto.INT64, TensorProto.BFLOAT16, TensorProto.FLOAT16, TensorProto.BOOL):
        proto.graph.input[0].type.tensor_type.elem_type = kind
        assert "has no 1e+30" in refused(proto, path, values={"n": 10**30})


def test_an_output_stated_with_another_rank(path):
    """Inference did not take what was found of it, and it was found for ever."""
    proto = bases.alone("DeformConv", (1, 2, 5, 5), (3, 2, 2, 2), (1, 8, 4, 4), domain="").proto()
    proto.graph.output[0].type.tensor_type.shape.SetInParent()
    read(proto.SerializeToString(), path)


def test_a_choice_of_two_branches_that_do_not_fit(path):
    proto = bases._if().proto()
    kind = proto.graph.input[0].type
    kind.Clear()
    kind.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    proto.graph.node[0].attribute[0].g.node.insert(0, node("GatherND", ["w", "x"], ["g"]))
    assert "has unsupported type: seq" in refused(proto, path)


@pytest.mark.parametrize("step", [2**31, 2**32, -(2**40)])
@pytest.mark.parametrize("stored", [True, False])
def test_steps_beyond_32_bits(step, stored, path):
    """Inference took them for others: it ended the process, or never ended."""
    cut = {"s": [0], "e": [2**62], "t": [step]}
    constants = {name: np.array(value) for name, value in cut.items() if name != "t" or stored}
    nodes = [node("Slice", ["x", "s", "e", "a", "t"], ["y"])]
    if not stored:
        nodes.insert(0, node("Constant", [], ["t"], value_ints=[step]))
    proto = model(nodes, {"x": (5,), "a": (1,)}, ["y"], constants=constants)
    for value in proto.graph.input:
        value.type.tensor_type.elem_type = TensorProto.INT64
    read(proto.SerializeToString(), path)


def test_text_given_a_number(path):
    proto = model([node("StringConcat", ["s", "s"], ["y"])], {"s": (2,)}, ["y"], opset=20)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.STRING
    assert "input s is of text" in refused(proto, path, values={"s": 1})


def test_loops_that_never_end(path):
    """Refused where that is known, and where it shows when the loop is executed."""
    proto = bases._loop(3).proto()
    (only, *_) = proto.graph.node
    only.input[0] = ""
    assert "Loop_0" in refused(proto, path)
    only.input[1] = "c"
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    path.write_bytes(proto.SerializeToString())
    found = models.read(str(path), shapes={"/Loop_0_output_1": (4, 2, 3)})
    with pytest.raises(InputError, match="Loop node /Loop_0: on these inputs it would run for ever"):
        executed(
            found, inputs={"x": np.ones((2, 3), np.float32), "w": np.eye(3, dtype=np.float32), "c": np.array(True)}
        )
    proto = bases._loop(None).proto()
    path.write_bytes(proto.SerializeToString())
    found = models.read(str(path))
    with pytest.raises(InputError, match="Loop node /Loop_0: on these inputs it would run 4611686018427387904 times"):
        executed(
            found, inputs={"x": np.ones((2, 3), np.float32), "w": np.eye(3, dtype=np.float32), "trips": np.array(2**62)}
        )


def test_numbers_that_are_not_finite_have_names_in_documents(path):
    nodes = [node("Gemm", ["a", "b", "c"], ["y"], alpha=-np.inf, beta=np.inf)]
    proto = model(nodes, {"a": (2, 3), "b": (3, 4), "c": (4,)}, ["y"])
    found = read(proto.SerializeToString(), path)
    assert found is not None
    (binding,) = found.bindings.values()
    told = json.loads(json.dumps(binding_data(binding, {}), allow_nan=False))
    assert binding_of(told, found.network.layers[0].nest) == binding


def test_more_inputs_than_the_definition_of_an_operator_has(path):
    proto = bases.alone("AffineGrid", (1, 2, 3), (np.int64, (4,)), domain="", opset=20).proto()
    proto.graph.node[0].input.append(proto.graph.node[0].input[0])
    read(proto.SerializeToString(), path)


def test_lists_without_elements(path):
    """Pads and strides of a convolution, plain and between nodes that quantise, that are there and empty."""
    bits = {"s": np.float32(0.1), "z": np.uint8(3), "w": np.full((2, 3, 1, 1), 5, np.uint8)}
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["a"]),
        node("DequantizeLinear", ["w", "s", "z"], ["v"]),
        node("Conv", ["a", "v"], ["c"]),
        node("QuantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    proto = model(nodes, {"x": (1, 3, 4, 4)}, ["y"], constants=bits)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.UINT8
    for name in ("pads", "strides"):
        proto.graph.node[2].attribute.add(name=name, type=onnx.AttributeProto.INTS)
    found = read(proto.SerializeToString(), path)
    assert found is not None and [layer.nest.macs for layer in found.network.layers] == [4 * 4 * 2 * 3]


def test_constants_made_by_a_loop_that_never_ends(path):
    """Nothing is counted of it, and it is not executed."""
    body = bases._loop(3).proto().graph.node[0].attribute[0].g
    for trips, told in (("", "for ever"), ("n", "4611686018427387904 times")):
        constants = {"c": np.ones((2, 3), np.float32), "w": np.eye(3, dtype=np.float32), "n": np.array(2**62)}
        nodes = [
            node("Loop", [trips, "", "c"], ["last", "all"], name="loop", body=body),
            node("MatMul", ["x", "last"], ["y"]),
        ]
        path.write_bytes(model(nodes, {"x": (4, 2)}, ["y"], constants=constants).SerializeToString())
        found = models.read(str(path), shapes={} if trips else {"last": (2, 3)})
        with pytest.raises(InputError, match=f"Loop node loop: on these inputs it would run {told}"):
            executed(found)


@pytest.mark.parametrize("op", ["Expand", "Tile", "ConstantOfShape", "Reshape"])
def test_a_slice_of_what_has_a_negative_size(op, path):
    """Inference ends the process, unless it is looked at first."""
    reads = ["n"] if op == "ConstantOfShape" else ["x", "n"]
    constants = {"n": np.array([-1, 2, 3]), "s": np.array([-3]), "e": np.array([-1]), "a": np.array([0])}
    nodes = [node(op, reads, ["m"]), node("Slice", ["m", "s", "e", "a"], ["y"])]
    proto = model(nodes, {"x": (1, 2, 3)}, ["y"], constants=constants)
    read(proto.SerializeToString(), path)


def test_an_opset_that_does_not_have_an_operator(path):
    proto = bases.alone("AffineGrid", (1, 2, 3), (np.int64, (4,)), domain="", opset=20).proto()
    proto.opset_import[0].version = -1
    assert read(proto.SerializeToString(), path) is None
