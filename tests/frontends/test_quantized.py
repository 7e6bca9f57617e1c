"""Layers of quantised models: bit for bit what ONNX Runtime computes, and the products of few bits that they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model
from quantized_cases import F32, I8, TYPES, U8, bits, scales, whole, zero

from backends.execute.runtime import Runtime
from mapper.errors import InputError
from mapper.ir import conv, gemm


def quantized(op, shape, values, *, x=U8, y=None, place=0, domain="com.microsoft", **attributes):
    """A model of one node `q` whose input at `place` is the model's, quantised to the type x; `values` are its other
    inputs by name, None for one left out, among them "xs" and "xz" for the scale and zero point of that one; its output
    has the type y."""
    constants = {name: value for name, value in values.items() if value is not None}
    names = [name if value is not None else "" for name, value in values.items()]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], name="in"),
        helper.make_node(op, [*names[:place], "xq", *names[place:]], ["y"], name="q", domain=domain, **attributes),
    ]
    proto = model(nodes, {"x": shape}, ["y"], constants=constants, domains=["com.microsoft"])
    proto.graph.output[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(y or x))
    return proto


def qlinear_conv(rng, filters, kernel, *, x=U8, w=I8, per_channel=True, bias=True, size=(1, 4, 7, 6), **attributes):
    each = (filters,) if per_channel else ()
    values = {
        "xs": F32(1 / 45),
        "xz": zero(rng, x),
        "w": whole(rng, w, filters, size[1] // attributes.get("group", 1), *kernel),
        "ws": scales(rng, *each),
        # ONNX Runtime has kernels for one zero point only, unless all are alike
        "wz": np.full(each, zero(rng, w)),
        "ys": F32(0.4),
        "yz": zero(rng, x),
    }
    if bias:
        values["b"] = rng.integers(-3000, 3000, filters).astype(np.int32)
    return quantized("QLinearConv", size, values, x=x, domain="", **attributes)


@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(x, w, per_channel, bias, monkeypatch, tmp_path):
    proto = qlinear_conv(np.random.default_rng(3), 6, (3, 3), x=x, w=w, per_channel=per_channel, bias=bias)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, bits(layer), layer.nest.partial_bits) == ("q", "QLinearConv", [8, 8, 8], 32)
    assert layer.nest.extents == conv(K=6, C=4, P=5, Q=4, R=3, S=3).extents
    assert {node.to for node in read.network.others if node.name.startswith("q/") and node.reads} <= {"q"}


@pytest.mark.parametrize(
    ("kernel", "size", "attributes"),
    [
        ((3,), (2, 4, 9), {"strides": [2], "pads": [1, 2]}),
        ((2, 3), (1, 4, 7, 6), {"group": 2, "dilations": [2, 1], "pads": [1, 0, 0, 1]}),
        ((3, 3), (1, 4, 7, 6), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((2, 2, 2), (1, 2, 3, 4, 3), {"auto_pad": "SAME_LOWER"}),
    ],
)
def test_qlinear_conv_attributes(kernel, size, attributes, tmp_path):
    """Padding is the zero point, which stands for 0."""
    proto = qlinear_conv(np.random.default_rng(4), 8, kernel, size=size, **attributes)
    assert_model_equals_onnxruntime(proto, tmp_path)


def qlinear_matmul(rng, left, right, *, x=U8, w=I8, scale=(), point=(), turned=False):
    values = {
        "xs": F32(1 / 45),
        "xz": zero(rng, x),
        "w": whole(rng, w, *right),
        "ws": scales(rng, *scale),
        "wz": zero(rng, w, *point),
        "ys": F32(0.4),
        "yz": zero(rng, x),
    }
    return quantized("QLinearMatMul", left, values, x=x, domain="")


@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize(
    ("scale", "point"), [((), ()), ((1,), (1,)), ((7,), ()), ((7,), (7,)), ((1, 7), (1, 7)), ((), (7,))]
)
def test_qlinear_matmul(x, w, scale, point, monkeypatch, tmp_path):
    """Scales and zero points of the right operand: one, or one for each column."""
    proto = qlinear_matmul(np.random.default_rng(5), (4, 9), (9, 7), x=x, w=w, scale=scale, point=point)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, bits(layer), layer.nest.partial_bits) == ("q", "QLinearMatMul", [8, 8, 8], 32)
    assert layer.nest.extents == gemm(M=4, N=7, K=9).extents


@pytest.mark.parametrize(
    ("left", "right", "scale", "extents"),
    [
        ((9,), (9, 7), (), gemm(M=1, N=7, K=9)),
        ((4, 9), (9,), (1,), gemm(M=4, N=1, K=9)),
        ((9,), (9,), (1,), gemm(M=1, N=1, K=9)),
        ((2, 3, 4, 9), (9, 7), (7,), gemm(M=24, N=7, K=9)),
        ((2, 4, 9), (2, 9, 7), (2, 1, 7), gemm(M=4, N=7, K=9, B=2)),
    ],
)
def test_qlinear_matmul_shapes(left, right, scale, extents, tmp_path):
    proto = qlinear_matmul(np.random.default_rng(6), left, right, scale=scale, point=scale)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert read.network.layers[0].nest.extents == extents.extents


def test_qlinear_matmul_by_row(tmp_path, monkeypatch):
    """A scale and a zero point for each row of the left operand, which ONNX Runtime refuses: the formula is judge."""
    rng = np.random.default_rng(7)
    proto = qlinear_matmul(rng, (4, 9), (9, 7), scale=(7,), point=(7,))
    stored = {t.name: t for t in proto.graph.initializer}
    each = {"as": scales(rng, 4), "az": zero(rng, U8, 4)}
    for name, array in each.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto.graph.node[1].input[1:3] = each
    values = {name: numpy_helper.to_array(t) for name, t in stored.items()} | each
    run, compared = Runtime.run, []

    def judge(self, proto, nodes, known, outputs, place, **options):
        if nodes[-1].op_type != "QLinearMatMul":
            return run(self, proto, nodes, known, outputs, place, **options)
        a = known["xq"] if "xq" in known else run(self, proto, nodes[:-1], known, ["xq"], place, **options)["xq"]
        product = (a.astype(int) - values["az"][:, None]) @ (values["w"].astype(int) - values["wz"])
        scaled = product.astype(F32) * (values["as"][:, None] * values["ws"] / values["ys"])
        compared.append(np.clip(np.rint(scaled) + values["yz"], 0, 255).astype(U8))
        return {"y": compared[-1]}

    monkeypatch.setattr(Runtime, "run", judge)
    assert_model_equals_onnxruntime(proto, tmp_path)
    assert len(compared) == 3  # the operator in both walks, and the model
    assert len(np.unique(compared[0])) > 10


def qgemm(rng, *, x=U8, w=I8, columns=True, bias=None, few=True, **attributes):
    each = (7,) if columns else ()
    m, n, k = 4, 7, 9
    values = {
        "xs": F32(1 / 45),
        "xz": zero(rng, x),
        "w": whole(rng, w, *((n, k) if attributes.get("transB") else (k, n))),
        "ws": scales(rng, *each),
        "wz": zero(rng, w, *each),
        "c": None if bias is None else rng.integers(-9000, 9000, bias).astype(np.int32),
    }
    if few:
        values |= {"ys": F32(0.4), "yz": zero(rng, x)}
    shape = (k, m) if attributes.get("transA") else (m, k)
    return quantized("QGemm", shape, values, x=x, y=x if few else F32, **attributes)


@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("bias", [None, (), (7,), (1, 7), (4, 1), (4, 7)])
def test_qgemm(x, w, few, bias, monkeypatch, tmp_path):
    """Its output is of few bits only if it has a scale and a zero point."""
    read = assert_model_equals_onnxruntime(qgemm(np.random.default_rng(8), x=x, w=w, bias=bias, few=few), tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, layer.nest.extents) == ("q", "QGemm", gemm(M=4, N=7, K=9).extents)
    assert (bits(layer), layer.nest.partial_bits) == ([8, 8, 8 if few else None], 32)
    assert read.network.shapes["y"] == (4, 7)


@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
@pytest.mark.parametrize("columns", [False, True])
def test_qgemm_attributes(alpha, a, b, columns, tmp_path):
    proto = qgemm(np.random.default_rng(9), columns=columns, bias=(7,), transA=a, transB=b, alpha=alpha)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert read.network.layers[0].nest.extents == gemm(M=4, N=7, K=9).extents


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.125, 3, width=32))
def test_scales_are_multiplied_in_the_order_of_onnxruntime(seed, alpha, tmp_path_factory):
    """Another order differs in the last bit now and then, and rounds to another integer or float."""
    rng = np.random.default_rng(seed)
    for proto in (
        qlinear_matmul(rng, (4, 9), (9, 7), scale=(7,)),
        qgemm(rng, bias=(7,), alpha=alpha),
        qgemm(rng, bias=(7,), few=False, alpha=alpha),
    ):
        read = loaded(proto, tmp_path_factory.mktemp("case"))
        assert executed(read, seed=seed).max_relative_error == 0


def to_float(rng, *, x=U8, w=I8, points="xw", columns=True, bias=True, left=(4, 9), right=(9, 7)):
    each = right[-1:] if columns else ()
    values = {
        "w": whole(rng, w, *right),
        "xs": F32(1 / 45),
        "ws": scales(rng, *each),
        "xz": zero(rng, x),
        "wz": zero(rng, w, *each) if "w" in points else None,
        "c": rng.normal(size=right[-1]).astype(F32) if bias else None,
    }
    return quantized("MatMulIntegerToFloat", left, values, x=x, y=F32)


@pytest.mark.parametrize(("x", "w"), TYPES)
@pytest.mark.parametrize("points", ["x", "xw"])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_matmul_integer_to_float(x, w, points, columns, bias, monkeypatch, tmp_path):
    proto = to_float(np.random.default_rng(10), x=x, w=w, points=points, columns=columns, bias=bias)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert executed(read).max_relative_error == 0
    (layer,) = read.network.layers
    assert (layer.name, layer.nest.extents) == ("q", gemm(M=4, N=7, K=9).extents)
    assert (bits(layer), layer.nest.partial_bits) == ([8, 8, None], 32)


def test_matmul_integer_to_float_of_batches(tmp_path):
    proto = to_float(np.random.default_rng(11), left=(3, 2, 4, 9), right=(2, 9, 7), columns=False)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert read.network.layers[0].nest.extents == gemm(M=12, N=7, K=9, B=2).extents
    assert read.network.shapes["y"] == (3, 2, 4, 7)


@pytest.mark.parametrize("w", [U8, I8])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_dynamic_quantize_matmul(w, columns, point, bias, tmp_path):
    """The left operand is quantised first, to 8 bits."""
    rng = np.random.default_rng(12)
    each = (7,) if columns else ()
    constants = {"w": whole(rng, w, 9, 7), "ws": scales(rng, *each)}
    if point:
        constants["wz"] = zero(rng, w, *each)
    if bias:
        constants["c"] = rng.normal(size=7).astype(F32)
    names = [name if name in constants else "" for name in ("w", "ws", "wz", "c")]
    node = helper.make_node("DynamicQuantizeMatMul", ["x", *names], ["y"], name="q", domain="com.microsoft")
    proto = model([node], {"x": (2, 4, 9)}, ["y"], constants=constants, domains=["com.microsoft"])
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.op, layer.nest.extents) == ("q", "DynamicQuantizeMatMul", gemm(M=8, N=7, K=9).extents)
    assert (bits(layer), layer.nest.partial_bits) == ([8, 8, None], 32)
    first, n = read.network.nodes[0], 7 if columns else 1  # the product of the scales is made there as well
    assert (first.name, first.reads, first.writes) == ("q/rest", ((72 + n, None),), ((72 + 1, 8), (n, None)))


def test_an_input_that_is_missing(tmp_path):
    for op in ("QGemm", "MatMulIntegerToFloat"):
        proto = quantized(op, (4, 9), {"xs": F32(1), "xz": np.array(3, U8)})
        with pytest.raises(InputError, match=f"{op} node q: . inputs are needed, it has 3 of them"):
            loaded(proto, tmp_path)


def test_constant_weights_stay_integers_and_their_scales_are_read(tmp_path):
    """Whether they are few, so that they could be folded, or many."""
    for columns in (4, 2000):
        rng = np.random.default_rng(0)
        stored = {
            "w": rng.integers(-9, 9, (8, columns), np.int8),
            "s": rng.uniform(1, 2, columns).astype(np.float32),
            "to": np.array([3, 8]),
        }
        nodes = [
            helper.make_node("Reshape", ["x", "to"], ["r"]),
            helper.make_node("DequantizeLinear", ["w", "s"], ["wf"], name="weights", axis=1),
            helper.make_node("MatMul", ["r", "wf"], ["y"], name="mm"),
        ]
        read = assert_model_equals_onnxruntime(model(nodes, {"x": (3, 4, 2)}, ["y"], constants=stored), tmp_path)
        (layer,) = read.network.layers
        assert [tensor.bits for tensor in layer.nest.tensors] == [None, 8, None]
        (weights,) = (node for node in read.network.others if node.name == "weights")
        assert (weights.reads, weights.writes, weights.to) == (((columns, None),), (), "mm")


def scaled(value, result, op="DequantizeLinear", name=""):
    return helper.make_node(op, [value, "s", "z"], [result], name=name)


CONSTANTS = {"s": np.array(0.05, np.float32), "z": np.array(3, np.uint8)}


def between(nodes, outputs, **options):
    """A model whose nodes read the dequantised inputs a and b of 3 x 8."""
    before = [scaled("aq", "a", name="da"), scaled("bq", "b", name="db")]
    proto = model([*before, *nodes], {}, outputs, constants=CONSTANTS | options)
    for name in ("aq", "bq"):
        proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.UINT8, (3, 8)))
    return proto


def moved(read):
    return {node.name: (node.reads, node.writes, node.to) for node in read.network.others}


SCALE = ((1, None), (1, 8))


def test_what_stands_between_integers_moves_integers(tmp_path):
    """A residual addition reads and writes bytes; its scales are read where they are stated."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["c"], name="add"),
        scaled("c", "cq", "QuantizeLinear", "q"),
        scaled("cq", "d", name="d"),
        helper.make_node("MatMul", ["d", "w"], ["y"], name="mm"),
    ]
    read = assert_model_equals_onnxruntime(between(nodes, ["y"], w=np.ones((8, 2), np.float32)), tmp_path)
    assert moved(read) == {
        "da": (SCALE, (), ""),
        "db": (SCALE, (), ""),
        "add": (((48, 8),), ((24, 8),), ""),
        "q": (SCALE, (), ""),
        "d": (SCALE, (), "mm"),
    }
    assert [tensor.bits for tensor in read.network.layers[0].nest.tensors] == [8, None, None]


def test_pooling_reads_and_writes_integers(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["a", "to"], ["r"], name="view"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2]),
        scaled("p", "pq", "QuantizeLinear", "q"),
        helper.make_node("Neg", ["b"], ["n"], name="neg"),
    ]
    proto = between(nodes, ["pq", "n"], to=np.array([1, 3, 8]))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert [tensor.bits for tensor in read.network.layers[0].nest.tensors] == [8, 8]
    assert moved(read) == {
        "da": (SCALE, (), "pool"),
        "db": (SCALE, (), ""),
        "view": ((), (), ""),
        "q": (SCALE, (), "pool"),
        "neg": (((24, 8),), ((24, None),), ""),
    }


@pytest.mark.parametrize("why", ["an output", "a body", "made of layers"])
def test_floats_that_somebody_needs_are_written(why, tmp_path):
    nodes, outputs = [helper.make_node("MatMul", ["a", "w"], ["y"], name="mm")], ["y"]
    constants = {"w": np.ones((8, 2), np.float32)}
    if why == "an output":
        outputs.append("a")
    elif why == "a body":
        body = helper.make_graph(
            [helper.make_node("Neg", ["a"], ["n"])], "body", [], [helper.make_empty_tensor_value_info("n")]
        )
        nodes += [helper.make_node("If", ["c"], ["out"], then_branch=body, else_branch=body)]
        outputs.append("out")
    else:
        nodes += [helper.make_node("Einsum", ["a", "b", "w"], ["out"], equation="ij,ij,jk->ik")]
        outputs.append("out")
    proto = between(nodes, outputs, **constants)
    if why == "a body":
        proto.graph.input.append(helper.make_tensor_value_info("c", 9, ()))
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert moved(read)["da"] == (((25, 8), (1, None)), ((24, None),), "")
    (layer,) = (layer for layer in read.network.layers if layer.name == "mm")
    assert [tensor.bits for tensor in layer.nest.tensors] == [None] * 3


def test_zero_points_are_read(tmp_path):
    """One of the input, and one of each filter."""
    stored = {
        "w": np.random.default_rng(0).integers(0, 9, (3, 2, 2, 2), np.uint8),
        "xz": np.array(7, np.uint8),
        "wz": np.array([1, 2, 3], np.uint8),
    }
    node = helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], name="conv")
    proto = model([node], {"x": (1, 2, 5, 5)}, ["y"], constants=stored)
    for value, kind in ((proto.graph.input[0], TensorProto.UINT8), (proto.graph.output[0], TensorProto.INT32)):
        value.type.tensor_type.elem_type = kind
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (zeros,) = read.network.others
    assert (zeros.op, zeros.inputs, zeros.reads, zeros.writes) == ("ZeroPoint", ("xz", "wz"), ((4, 8),), ())
    assert zeros.to == "conv"
