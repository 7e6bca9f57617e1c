"""Shapes that only ONNX Runtime knows, and those that ONNX's inference gets wrong."""

import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import executed, loaded, model, run_onnxruntime

from frontends.onnx import referee
from mapper.errors import InputError

MS = "com.microsoft"
FLOAT, UINT8 = np.float32, np.uint8
SCALE, ZERO = np.array(0.1, FLOAT), np.array(3, UINT8)
Q = np.arange(6 * 8 * 8, dtype=UINT8).reshape(1, 6, 8, 8)
X = np.random.default_rng(0).standard_normal((1, 6, 8, 8)).astype(FLOAT)
GRID = np.random.default_rng(1).uniform(-1, 1, (1, 4, 5, 2)).astype(FLOAT)


def case(op, inputs, *given, outputs=1, constants=None, **attributes):
    """A node whose inputs are words: q and x are inputs, s and z a scale and a zero point, others `constants`."""
    return op, inputs.split(), dict(zip("qxg", given, strict=False)), outputs, constants or {}, attributes


QUANTISED = {"s": SCALE, "z": ZERO}
CASES = [
    *(case(op, "q s z q s z s z", Q) for op in ("QLinearAdd", "QLinearMul")),
    case("QLinearSigmoid", "q s z s z", Q),
    case("QLinearLeakyRelu", "q s z s z", Q, alpha=0.1),
    case("QLinearSoftmax", "q s z s z", Q, axis=1, opset=13),
    case("QLinearGlobalAveragePool", "q s z s z", Q),
    case("QLinearAveragePool", "q s z s z", Q, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    case("QLinearConcat", "s z q s z q s z", Q, axis=1),
    case("QLinearWhere", "c q s z q s z s z", Q, constants={"c": np.array([True])}),
    case("NhwcMaxPool", "q", Q, kernel_shape=[3, 3], strides=[2, 2]),
    case("DequantizeLinear", "q s z", Q),
    case("QuantizeLinear", "x s z", None, X),
    case("GridSample", "x g", None, X, GRID),
    case("Trilu", "x", None, X),
    case("Pad", "x p", None, X, constants={"p": np.array([0, 0, 1, 1, 0, 0, 2, 2])}),
    case("ExpandDims", "x a", None, X, constants={"a": np.array(1, np.int32)}),
    case("Inverse", "x", None, X),
    case(
        "GatherBlockQuantized",
        "w i v",
        constants={
            "w": np.arange(128, dtype=UINT8).reshape(4, 32),
            "i": np.array([[3, 1, 0]]),
            "v": np.ones((4, 2), FLOAT),
        },
        gather_axis=0,
        quantize_axis=1,
        block_size=16,
        bits=8,
    ),
]


@pytest.mark.parametrize(
    ("op", "inputs", "given", "outputs", "constants", "attributes"), CASES, ids=[each[0] for each in CASES]
)
def test_operators_that_only_onnx_runtime_knows(op, inputs, given, outputs, constants, attributes, tmp_path):
    """They have shapes although neither ONNX nor the file says so, and so has what follows."""
    read = {name: array for name, array in given.items() if array is not None}
    stored = {**QUANTISED, **constants}
    nodes = [helper.make_node(op, inputs, ["o"], name="node", domain=MS, **attributes)]
    nodes += [helper.make_node("Identity", ["o"], ["y"])]
    if op == "GatherBlockQuantized":  # what it picks is no constant
        read = {"i": stored.pop("i")}
    proto = model(nodes, {}, ["y"], constants=stored, domains=[MS], opset=21)
    for name, array in read.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        proto.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    if op.startswith(("Q", "Nhwc")):
        proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    network = loaded(proto, tmp_path).network
    (expected,) = run_onnxruntime(proto, read)
    assert network.shapes["o"] == network.shapes["y"] == expected.shape
    (moved,) = [node for node in network.nodes if node.name == "node"]
    assert moved.note == "" and sum(n for n, _ in moved.writes) == expected.size


def test_normalisations_are_like_their_input(tmp_path, monkeypatch):
    monkeypatch.setattr(referee, "made", lambda node, region: {})
    nodes = [
        helper.make_node("GroupNormalization", ["x", "one", "one"], ["g"], num_groups=2),
        helper.make_node("MeanVarianceNormalization", ["g"], ["y"]),
    ]
    constants = {"one": np.ones(6, FLOAT)}
    read = loaded(model(nodes, {"x": X.shape}, ["y"], constants=constants, opset=21), tmp_path)
    assert read.network.shapes["g"] == read.network.shapes["y"] == X.shape


@pytest.mark.parametrize("referee_is_there", [True, False])
@pytest.mark.parametrize("told", [{}, {"onesided": 1}, {"onesided": 0}])
@pytest.mark.parametrize("by", ["window", "length", "both"])
def test_bins_of_a_spectrum(told, by, referee_is_there, tmp_path, monkeypatch):
    """ONNX infers all bins where `onesided` is left out, although half of them is the default."""
    if not referee_is_there:
        monkeypatch.setattr(referee, "made", lambda node, region: {})
    constants = {"s": np.array(10), "w": np.hanning(16).astype(FLOAT), "n": np.array(16)}
    inputs = {"window": ["x", "s", "w"], "length": ["x", "s", "", "n"], "both": ["x", "s", "w", "n"]}[by]
    nodes = [helper.make_node("STFT", inputs, ["f"], name="f", **told), helper.make_node("ReduceSum", ["f"], ["y"])]
    proto = model(nodes, {"x": (2, 64, 1)}, ["y"], constants=constants)
    read = loaded(proto, tmp_path)
    bins = 16 if told.get("onesided") == 0 else 9
    assert read.network.shapes["f"] == (2, 5, bins, 2)
    assert executed(read).passed
    notes = [node.note for node in read.network.nodes if node.note]
    source = "as ONNX Runtime makes it" if referee_is_there else "by definition"
    expected = f"ONNX infers 2x5x16x2 for its output f; 2x5x9x2 {source} is taken"
    assert notes == ([] if told else [expected]) or onnx.__version__ >= "1.24"


def test_wrong_inference_behind_an_operator_that_it_does_not_know(tmp_path):
    """What follows is found in the same pass, and corrected there."""
    nodes = [
        helper.make_node("Trilu", ["x"], ["t"], domain=MS),
        helper.make_node("AveragePool", ["t"], ["p"], kernel_shape=[4, 4], strides=[4, 4], pads=[2] * 4, ceil_mode=1),
        helper.make_node("MatMul", ["p", "w"], ["y"]),
    ]
    constants = {"w": np.ones((3, 5), FLOAT)}
    read = loaded(model(nodes, {"x": (1, 1, 9, 9)}, ["y"], constants=constants, domains=[MS]), tmp_path)
    assert read.network.shapes["p"] == (1, 1, 3, 3) and executed(read).passed


def test_sizes_that_depend_on_what_is_computed_are_not_made_up(tmp_path):
    """Zeros, ones and numbers at random give others; and a list that may be a shape is never made up."""
    shaped = [helper.make_node("Cast", ["n"], ["i"], to=7), helper.make_node("Expand", ["x", "i"], ["y"])]
    for nodes, inputs in (
        ([helper.make_node("Odd", ["x"], ["y"], domain="own")], {"x": (2, 3)}),
        ([helper.make_node("NonZero", ["x"], ["y"], name="y")], {"x": (2, 3)}),
        (shaped, {"x": (1,), "n": (2,)}),
    ):
        nodes.append(helper.make_node("Softmax", ["y"], ["z"]))
        with pytest.raises(InputError, match=r"tensor y .*unknown"):
            loaded(model(nodes, inputs, ["z"], domains=["own"]), tmp_path)


def test_large_nodes_are_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(referee, "MOST", 100)
    nodes = [helper.make_node("Trilu", ["x"], ["y"], domain=MS)]
    with pytest.raises(InputError, match="the shape of tensor y is unknown"):
        loaded(model(nodes, {"x": (20, 20)}, ["y"], domains=[MS]), tmp_path)


def test_a_crash_is_nothing_known_and_no_crash_here(monkeypatch):
    """The process that runs nodes may die, or what asks be interrupted: the next one answers."""

    def interrupted(popen, model):
        raise KeyboardInterrupt

    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": (2, 3)}, ["y"]).SerializeToString()
    asked = referee._Process()
    try:
        assert asked.ask(proto) == [[TensorProto.FLOAT, [2, 3]]]
        asked._popen.kill()
        assert asked.ask(proto) == []
        assert asked.ask(proto) == [[TensorProto.FLOAT, [2, 3]]]
        assert asked.ask(b"no model") == []
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(asked, "_answer", interrupted)
            asked.ask(proto)
        assert asked._popen is None and asked.ask(proto) == [[TensorProto.FLOAT, [2, 3]]]
    finally:
        asked.end()


def test_without_onnx_runtime_it_is_said_that_it_may_know(tmp_path, monkeypatch):
    """It is an extra: what it knows is not known without it, but for operators whose definition is here."""
    for module in ("frontends.onnx.referee", "frontends.onnx.shapes"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    referee._run.cache_clear()
    nodes = [helper.make_node("Trilu", ["x"], ["y"], domain=MS)]
    with pytest.raises(InputError, match=r"--shape y=N1xN2x\.\.; ONNX Runtime may know it: pip install"):
        loaded(model(nodes, {"x": (4, 4)}, ["y"], domains=[MS]), tmp_path)
    referee._run.cache_clear()


@pytest.mark.slow
def test_shapes_of_what_onnx_tests_itself_with(tmp_path):
    """A draw of the single nodes that ONNX's own tests run: each known shape is that of the expected output."""
    from onnx.backend.test.case.node import collect_testcases

    seed = np.random.default_rng().integers(2**32)
    print(f"seed {seed}")
    with warnings.catch_warnings(action="ignore"):
        cases = [each for each in collect_testcases(None) if len(each.model.graph.node) == 1]
    checked = 0
    for index in np.random.default_rng(seed).permutation(len(cases))[:200]:
        proto = onnx.ModelProto.FromString(cases[index].model.SerializeToString())
        inputs, outputs = cases[index].data_sets[0]
        for value, array in zip(list(proto.graph.input), inputs, strict=False):
            if isinstance(array, np.ndarray | np.generic) and np.asarray(array).dtype.kind in "iu" and array.ndim < 2:
                proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
                proto.graph.input.remove(value)
        for value in proto.graph.output:
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")
        try:
            network = loaded(proto, tmp_path).network
        except InputError:
            continue
        for value, array in zip(proto.graph.output, outputs, strict=True):
            if value.name in network.shapes and isinstance(array, np.ndarray | np.generic):
                assert network.shapes[value.name] == np.shape(array), cases[index].name
                checked += 1
    assert checked > 50
