"""The QDQ form of quantised models: which groups become layers of integers, and that these are what they stand for."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import executed, model, saved
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from quantized_cases import F32, I8, TYPES, U8, bits, scales, whole, zero

from backends.execute import network as execution
from frontends.onnx import load
from mapper.ir import conv, gemm

NAMES = {"Conv": "QLinearConv", "Gemm": "QGemm", "MatMul": "QLinearMatMul"}
NESTS = {"Conv": conv(K=6, C=3, P=4, Q=3, R=3, S=3), "Gemm": gemm(M=4, N=6, K=9), "MatMul": gemm(M=4, N=6, K=9)}


def group(op, x=U8, w=I8, *, channels=False, bias=True, after=(), opset=17, **attributes):
    """A model of a layer `q` between nodes that dequantise and quantise; `after` are operators before the last of them,
    with their inputs but the first."""
    rng = np.random.default_rng(1)
    turned = attributes.get("transB", 0)
    shape = (6, 3, 3, 3) if op == "Conv" else (6, 9) if turned else (9, 6)
    each, axis = ((6,) if channels else ()), ({"axis": 0 if op == "Conv" or turned else 1} if channels else {})
    constants = {
        "xs": F32(1 / 45),
        "xz": zero(rng, x),
        "w": whole(rng, w, *shape),
        "ws": scales(rng, *each),
        "wz": np.full(each, zero(rng, w)),
        "ys": F32(0.4),
        "yz": zero(rng, x),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xf"], name="dx"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], name="dw", **axis),
    ]
    operands = ["xf", "wf"]
    if bias and op != "MatMul":
        constants["c"] = rng.integers(-3000, 3000, 6).astype(np.int32)
        constants["cs"] = F32(attributes.get("alpha", 1.0)) * constants["xs"] * constants["ws"]
        constants["cz"] = np.zeros(each, np.int32)
        nodes.append(helper.make_node("DequantizeLinear", ["c", "cs", "cz"], ["cf"], name="dc", axis=0))
        operands.append("cf")
    nodes.append(helper.make_node(op, operands, ["r0"], name="q", **attributes))
    for i, (kind, told) in enumerate(after):
        nodes.append(helper.make_node(kind, [f"r{i}", *told], [f"r{i + 1}"], name=kind))
    nodes += [
        helper.make_node("QuantizeLinear", [f"r{len(after)}", "ys", "yz"], ["yq"], name="out"),
        helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"], name="dy"),
    ]
    inputs = {"x": (1, 3, 6, 5) if op == "Conv" else (4, 9)}
    return model(nodes, inputs, ["y"], constants=constants, opset=opset)


def node(proto, name):
    return next(n for n in proto.graph.node if n.name == name)


def put(proto, **arrays):
    """Store these arrays, in the place of what has their names."""
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in arrays]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend([*kept, *(numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items())])


def optimised(path, folder):
    """The operators of the model as ONNX Runtime optimises it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node}


def run(path, monkeypatch, *, x=U8, exact=True):
    """Load and run a model, and hold its outputs against those of ONNX Runtime for the file: they are the same."""
    begin = execution.initial
    given = {}

    def begun(*told):
        fixed, values, drawn = begin(*told)
        given.update(values)
        return fixed, values, drawn

    monkeypatch.setattr(execution, "initial", begun)
    read = load(path)
    result = executed(read)
    assert (result.failure, result.max_relative_error) == (None, 0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    for name, theirs in zip(
        names, session.run(names, {v.name: given[v.name] for v in session.get_inputs()}), strict=True
    ):
        np.testing.assert_array_equal(result.outputs[name], theirs)
        assert len(np.unique(theirs)) > 3
    return read


def layer(read):
    (found,) = read.network.layers
    return found


@pytest.mark.parametrize("op", NAMES)
@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize("channels", [False, True])
def test_a_group_becomes_a_layer_of_integers(op, x, w, channels, monkeypatch, tmp_path):
    path = saved(group(op, x, w, channels=channels), tmp_path)
    read = run(path, monkeypatch, x=x)
    made = layer(read)
    assert (made.name, made.op, made.nest.extents) == ("q", NAMES[op], NESTS[op].extents)
    assert (bits(made), made.nest.partial_bits) == ([8, 8, 8], 32)
    assert [n.op_type for n in read.region.graph.node] == ["QuantizeLinear", NAMES[op], "DequantizeLinear"]
    assert NAMES[op] in optimised(path, tmp_path)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Conv", {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}),
        ("Conv", {"auto_pad": "SAME_LOWER"}),
        ("Conv", {"bias": False}),
        ("Gemm", {"transB": 1}),
        ("Gemm", {"transB": 1, "channels": True}),
        ("Gemm", {"bias": False}),
        ("Gemm", {"bias": False, "alpha": 0.3, "beta": 0.0}),
    ],
)
def test_attributes(op, attributes, monkeypatch, tmp_path):
    path = saved(group(op, **attributes), tmp_path)
    assert layer(run(path, monkeypatch)).op == NAMES[op]
    assert NAMES[op] in optimised(path, tmp_path)


def test_gemm_with_its_input_turned(monkeypatch, tmp_path):
    proto = group("Gemm", transA=1)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, (9, 4)))
    assert layer(run(saved(proto, tmp_path), monkeypatch)).nest.extents == NESTS["Gemm"].extents


@pytest.mark.parametrize("op", NAMES)
def test_zero_points_that_are_left_out(op, monkeypatch, tmp_path):
    """They are 0, of the type that is quantised; that of the output is uint8."""
    proto = group(op)
    for name in ("dx", "dw", "out", "dy"):
        del node(proto, name).input[2:]
    del proto.graph.node[0].input[2:]
    if op != "MatMul":
        del node(proto, "dc").input[2:]
    path = saved(proto, tmp_path)
    assert layer(run(path, monkeypatch)).op == NAMES[op]


def test_a_weight_that_is_quantised_in_the_model(monkeypatch, tmp_path):
    """As quantisation-aware training leaves it: constant, and therefore free."""
    proto = group("MatMul", channels=True)
    real = np.random.default_rng(3).normal(size=(9, 6)).astype(F32)
    put(proto, w=real)
    node(proto, "dw").input[0] = "wq"
    axis = helper.make_node("QuantizeLinear", ["w", "ws", "wz"], ["wq"], name="qw", axis=1)
    proto.graph.node.insert(0, axis)
    path = saved(proto, tmp_path)
    read = run(path, monkeypatch)
    assert layer(read).op == "QLinearMatMul"
    assert "qw" not in {n.name for n in read.network.nodes}


def test_dequantised_values_that_are_read_elsewhere_are_kept(monkeypatch, tmp_path):
    proto = group("Conv")
    proto.graph.node.append(helper.make_node("Relu", ["xf"], ["z"], name="relu"))
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    read = run(saved(proto, tmp_path), monkeypatch)
    assert layer(read).op == "QLinearConv"
    assert {"dx", "relu"} <= {n.name for n in read.network.nodes}
    assert not {"dw", "dc"} & {n.name for n in read.region.graph.node}


@pytest.mark.parametrize("x", [U8, I8])
@pytest.mark.parametrize("after", [("Relu", []), ("Clip", ["low"]), ("Clip", ["low", "high"]), ("Clip", ["", "high"])])
def test_a_range_that_integers_keep_to_anyway(x, after, monkeypatch, tmp_path):
    """The lowest integer stands for 0, the highest for 255 * 0.4 = 102."""
    proto = group("Conv", x, after=[after])
    put(proto, yz=np.array(np.iinfo(x).min, x), low=F32(0), high=F32(102))
    path = saved(proto, tmp_path)
    read = run(path, monkeypatch, x=x)
    assert layer(read).op == "QLinearConv"
    assert after[0] not in {n.op for n in read.network.nodes}
    assert "QLinearConv" in optimised(path, tmp_path)


def stays(proto, folder, *, referee=True):
    """The group is left as it is, by ONNX Runtime as well; the layer reads dequantised operands."""
    path = saved(proto, folder)
    read = load(path)
    assert layer(read).op not in NAMES.values()
    assert layer(read).nest.tensors[1].bits == 8
    if referee:
        assert not optimised(path, folder) & set(NAMES.values())
    assert executed(read).passed


@pytest.mark.parametrize(
    ("point", "after", "limits"),
    [
        (1, ("Relu", []), {}),
        (0, ("Clip", ["low", "high"]), {"low": 0, "high": 101.7}),
        (0, ("Clip", ["low", "high"]), {"low": 0.3, "high": 102}),
        (3, ("Clip", ["low"]), {"low": -0.9}),
    ],
)
def test_a_range_that_integers_do_not_keep_to(point, after, limits, tmp_path):
    proto = group("Conv", after=[after])
    put(proto, yz=np.array(point, U8), **{name: F32(limit) for name, limit in limits.items()})
    stays(proto, tmp_path)


def test_a_range_that_is_computed(tmp_path):
    proto = group("Conv", after=[("Clip", ["low"])])
    put(proto, flat=np.array([-1]), first=np.array(0))
    proto.graph.node.insert(0, helper.make_node("Gather", ["row", "first"], ["low"]))
    proto.graph.node.insert(0, helper.make_node("Reshape", ["x", "flat"], ["row"]))
    stays(proto, tmp_path)


def test_two_ranges(tmp_path):
    proto = group("Conv", after=[("Relu", []), ("Relu", [])])
    put(proto, yz=np.array(0, U8))
    proto.graph.node[-3].name = "other"
    stays(proto, tmp_path, referee=False)  # to ONNX Runtime one Relu after another is needless first


def test_an_output_that_is_read_twice(tmp_path):
    proto = group("Gemm")
    proto.graph.node.append(helper.make_node("Relu", ["r0"], ["z"]))
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    stays(proto, tmp_path)


def test_an_output_that_is_returned(tmp_path):
    proto = group("Gemm")
    proto.graph.output.append(helper.make_tensor_value_info("r0", TensorProto.FLOAT, None))
    stays(proto, tmp_path)


def test_an_output_that_is_a_scale(tmp_path):
    proto = group("Conv", bias=False)
    put(proto, one=np.ones((1, 6, 4, 3), F32))
    node(proto, "out").input[:2] = ["one", "r0"]
    read = load(saved(proto, tmp_path))
    assert layer(read).op == "Conv"


def test_another_operand_that_is_no_integer(tmp_path):
    """A bias, which is not quantised."""
    proto = group("Gemm")
    put(proto, cf=np.ones(6, F32))
    proto.graph.node.remove(node(proto, "dc"))
    stays(proto, tmp_path, referee=False)  # ONNX Runtime quantises it itself


def test_another_type_of_output(tmp_path):
    """ONNX Runtime has no such layer, and makes the output unsigned where it is dequantised again."""
    proto = group("Conv")
    put(proto, yz=np.array(3, I8))
    stays(proto, tmp_path, referee=False)


def test_wider_integers(tmp_path):
    proto = group("Conv", bias=False, opset=21)
    put(proto, xz=np.array(3000, np.uint16), yz=np.array(3000, np.uint16))
    stays(proto, tmp_path)


def test_scales_of_blocks(tmp_path):
    proto = group("Gemm", opset=21, transB=1, bias=False)
    put(proto, ws=scales(np.random.default_rng(2), 2, 9), wz=np.zeros((2, 9), I8))
    node(proto, "dw").attribute.extend([helper.make_attribute("axis", 0), helper.make_attribute("block_size", 3)])
    assert layer(load(saved(proto, tmp_path))).op == "Gemm"


def test_scales_of_the_rows_of_several_matrices(tmp_path):
    proto = group("MatMul")
    rng = np.random.default_rng(2)
    put(proto, w=whole(rng, I8, 2, 9, 6), ws=scales(rng, 9), wz=np.zeros(9, I8))
    assert layer(load(saved(proto, tmp_path))).op == "MatMul"


def test_an_operator_that_is_only_called_relu(tmp_path):
    proto = group("Conv", after=[("Relu", [])])
    put(proto, yz=np.array(0, U8))
    node(proto, "Relu").domain = "own"
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.graph.value_info.append(helper.make_tensor_value_info("r1", TensorProto.FLOAT, (1, 6, 4, 3)))
    assert layer(load(saved(proto, tmp_path))).op == "Conv"


@pytest.mark.parametrize(("op", "axis"), [("Conv", 1), ("Gemm", 0), ("MatMul", 0)])
def test_scales_that_are_not_of_output_channels(op, axis, tmp_path):
    proto = group(op, bias=False)
    n = node(proto, "dw")
    n.attribute.append(helper.make_attribute("axis", axis))
    each = 3 if op == "Conv" else 9
    put(proto, ws=scales(np.random.default_rng(2), each), wz=np.zeros(each, I8))
    assert layer(load(saved(proto, tmp_path))).op == op  # ONNX Runtime takes them for those of output channels


def test_scales_of_input_channels(tmp_path):
    proto = group("Conv", bias=False)
    put(proto, xs=scales(np.random.default_rng(2), 3), xz=np.zeros(3, U8))
    assert layer(load(saved(proto, tmp_path))).op == "Conv"


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
@pytest.mark.parametrize("channels", [False, True])
def test_a_bias_in_another_scale(op, channels, tmp_path):
    """ONNX Runtime looks at that of a Conv only."""
    proto = group(op, channels=channels)
    put(proto, cs=F32(0.001) * np.ones(6 if channels else (), F32))
    assert layer(load(saved(proto, tmp_path))).op == op


def test_a_bias_with_too_few_scales(tmp_path):
    proto = group("Conv", channels=True)
    put(proto, cs=scales(np.random.default_rng(2), 3), cz=np.zeros(3, np.int32))
    assert layer(load(saved(proto, tmp_path))).op == "Conv"


def test_a_bias_of_unknown_shape(tmp_path):
    proto = group("Gemm", channels=True)
    stored = [tensor for tensor in proto.graph.initializer if tensor.name == "c"]
    proto.graph.initializer.remove(stored[0])
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.INT32, (6,)))
    assert layer(load(saved(proto, tmp_path))).op == "Gemm"


def test_a_bias_that_does_not_count_from_0(tmp_path):
    proto = group("Conv")
    put(proto, cz=np.array(3, np.int32))
    assert layer(load(saved(proto, tmp_path))).op == "Conv"


@pytest.mark.parametrize("told", [{"alpha": 0.5}, {"beta": 0.5}])
def test_a_gemm_that_weighs_its_bias(told, tmp_path):
    stays(group("Gemm", **told), tmp_path)


@pytest.mark.parametrize(("axis", "op"), [(1, "QGemm"), (-1, "QGemm"), (0, "Gemm")])
def test_a_bias_for_each_output(axis, op, tmp_path):
    """A matrix as the bias of a Gemm: its scales may be of its columns, not of its rows."""
    proto = group("Gemm", channels=True)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, (6, 9)))
    put(proto, c=np.random.default_rng(2).integers(-3000, 3000, (6, 6)).astype(np.int32))
    node(proto, "dc").attribute[0].i = axis
    read = load(saved(proto, tmp_path))
    assert layer(read).op == op
    assert executed(read).passed


def test_scales_below_zero(tmp_path):
    proto = group("Conv")
    put(proto, ys=F32(-0.4))
    assert layer(load(saved(proto, tmp_path))).op == "Conv"


def test_scales_in_half_precision(tmp_path):
    proto = group("MatMul", opset=19)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    put(proto, **{name: np.float16(0.02) for name in ("xs", "ws", "ys")})
    assert layer(load(saved(proto, tmp_path))).op == "MatMul"


def test_scales_that_are_computed(tmp_path):
    proto = group("Conv", bias=False)
    put(proto, one=F32(1 / 45))
    proto.graph.node.insert(0, helper.make_node("Abs", ["s"], ["xs"]))
    kept = [t for t in proto.graph.initializer if t.name != "xs"]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    proto.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ()))
    read = load(saved(proto, tmp_path))
    assert layer(read).op == "Conv"


# -- whole models ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A small network in single precision, in a file."""
    rng = np.random.default_rng(5)
    shapes = {
        "w1": (8, 3, 3, 3),
        "b1": (8,),
        "w2": (6, 8, 3, 3),
        "b2": (6,),
        "w3": (96, 10),
        "b3": (10,),
        "w4": (10, 5),
    }
    constants = {name: rng.normal(size=shape, scale=0.3).astype(F32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["c2"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["g"], name="fc"),
        helper.make_node("Tanh", ["g"], ["t"], name="tanh"),
        helper.make_node("MatMul", ["t", "w4"], ["y"], name="mm"),
    ]
    return Path(saved(model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants=constants), tmp_path_factory.mktemp("real")))


class Samples(CalibrationDataReader):
    """Random images."""

    def __init__(self):
        rng = np.random.default_rng(6)
        self.left = iter([{"x": rng.normal(size=(1, 3, 8, 8)).astype(F32)} for _ in range(8)])

    def get_next(self):
        return next(self.left, None)


MACS = {"conv1": 8 * 3 * 9 * 16, "conv2": 6 * 8 * 9 * 16, "fc": 96 * 10, "mm": 10 * 5}


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize("channels", [False, True])
def test_a_network_quantised_beforehand(form, x, w, channels, real, monkeypatch, tmp_path):
    kinds = {U8: QuantType.QUInt8, I8: QuantType.QInt8}
    path = str(tmp_path / "case.onnx")
    quantize_static(real, path, Samples(), form, activation_type=kinds[x], weight_type=kinds[w], per_channel=channels)
    read = run(path, monkeypatch, x=x, exact=form == QuantFormat.QDQ or x is U8)
    layers = read.network.layers
    assert {n.name.removesuffix("_quant"): n.nest.operations for n in layers} == MACS
    assert [n.op for n in layers] == ["QLinearConv", "QLinearConv", "QGemm", "QLinearMatMul"]
    assert all(bits(n) == [8, 8, 8] and n.nest.partial_bits == 32 for n in layers)
    assert "relu1" not in {n.name for n in read.network.nodes}


@pytest.mark.parametrize("w", [U8, I8])
@pytest.mark.parametrize("channels", [False, True])
def test_a_network_quantised_as_it_runs(w, channels, real, monkeypatch, tmp_path):
    kinds = {U8: QuantType.QUInt8, I8: QuantType.QInt8}
    path = str(tmp_path / "case.onnx")
    quantize_dynamic(real, path, weight_type=kinds[w], per_channel=channels)
    read = run(path, monkeypatch)
    layers = read.network.layers
    assert {n.name.removesuffix("_quant").removesuffix("_MatMul"): n.nest.operations for n in layers} == MACS
    assert [n.op for n in layers] == ["ConvInteger", "ConvInteger", "MatMulInteger", "MatMulInteger"]
    assert all(bits(n)[:2] == [8, 8] and n.nest.partial_bits == 32 for n in layers)
