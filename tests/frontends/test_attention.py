"""Attention in all its forms, whole transformer blocks, and shapes that only the parts of an operator tell."""

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model, run_onnxruntime

from mapper.errors import InputError
from mapper.ir import gemm

MS = "com.microsoft"
BATCH, HEADS, GROUPS, QUERIES, KEYS, PAST, SIZE, VALUES = 2, 4, 2, 3, 5, 4, 8, 6
WIDTH = HEADS * SIZE
KINDS = {np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64}


def alone(op, inputs, outputs=("y",), *, domain="", opset=23, types=None, **attributes):
    """A model of one node `att`. `inputs` are, by name, the shape, or the values of what is stored in the model, and
    None for an input that is left out; `types` are those that are not single precision."""
    stored = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    given = {name: shape for name, shape in inputs.items() if isinstance(shape, tuple)}
    names = [name if name in stored or name in given else "" for name in inputs]
    while not names[-1]:
        names.pop()
    node = helper.make_node(op, names, outputs, name="att", domain=domain, **attributes)
    wanted = [name for name in outputs if name]
    proto = model([node], given, wanted, constants=stored, opset=opset, domains=(domain,) if domain else ())
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = (types or {}).get(value.name, TensorProto.FLOAT)
    return proto


def layers(read):
    assert all(layer.times == 1 for layer in read.network.layers)
    return {layer.name: layer.nest for layer in read.network.layers}


def moves(read):
    """What each node that moves data reads and writes, by name; views are left out."""
    found = {node.name: (node.reads, node.writes) for node in read.network.others}
    return {name: moved for name, moved in found.items() if moved != ((), ())}


def standard(more=None, *, flat=False, past=0, **options):
    """Attention of the standard with q, k and v, and what `more` has of inputs 3 to 6."""
    sizes = {"q": (HEADS, QUERIES, SIZE), "k": (GROUPS, KEYS, SIZE), "v": (GROUPS, KEYS, VALUES)}
    shapes = {name: (BATCH, n, h * s) if flat else (BATCH, h, n, s) for name, (h, n, s) in sizes.items()}
    kept = {"pk": (BATCH, GROUPS, past, SIZE), "pv": (BATCH, GROUPS, past, VALUES)} if past else {}
    if past:
        options.setdefault("outputs", ("y", "present_k", "present_v"))
    if flat:
        options |= {"q_num_heads": HEADS, "kv_num_heads": GROUPS}
    return alone("Attention", {**shapes, **dict.fromkeys(("m", "pk", "pv", "n")), **kept, **(more or {})}, **options)


MASKS = {2: (QUERIES, KEYS), 3: (HEADS, QUERIES, KEYS), 4: (BATCH, 1, QUERIES, KEYS)}


@pytest.mark.parametrize("mask", [None, *itertools.product(MASKS, ("added", "seen"))])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("past", [0, PAST])
@pytest.mark.parametrize("flat", [False, True])
def test_standard(flat, past, causal, mask, tmp_path):
    """Every mask, with and without heads of their own, keys of before and causality; the opsets take turns."""
    keys = past + KEYS
    rank, kind = mask or (0, "")
    more = {"m": (*MASKS[rank][:-1], keys)} if mask else {}
    opset = 23 + (flat + causal + (past > 0) + rank) % 3
    types = {"m": TensorProto.BOOL} if kind == "seen" else {}
    proto = standard(more, flat=flat, past=past, is_causal=causal, types=types, opset=opset)
    # the heads of a group are rows of one product
    rows = HEADS // GROUPS * QUERIES
    assert layers(assert_model_equals_onnxruntime(proto, tmp_path)) == {
        "att/scores": gemm(B=BATCH * GROUPS, M=rows, N=keys, K=SIZE),
        "att/values": gemm(B=BATCH * GROUPS, M=rows, N=VALUES, K=keys),
    }


def test_heads_that_share_nothing(tmp_path):
    proto = alone("Attention", dict.fromkeys("qkv", (BATCH, HEADS, 3, SIZE)), scale=0.3)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert layers(read) == {
        "att/scores": gemm(B=BATCH * HEADS, M=3, N=3, K=SIZE),
        "att/values": gemm(B=BATCH * HEADS, M=3, N=SIZE, K=3),
    }
    # the scores are scaled as they leave the layer, and the softmax reads and writes them: nothing else is moved
    scores = BATCH * HEADS * 3 * 3
    assert moves(read) == {
        "att/rest": (((scores, None),), ((scores, None),)),
    }


def test_what_moves_with_a_cache_and_a_mask(tmp_path):
    keys, scores = PAST + KEYS, BATCH * HEADS * QUERIES * (PAST + KEYS)
    proto = standard({"m": (BATCH, 1, QUERIES, keys)}, past=PAST, flat=True, is_causal=1)
    kept = BATCH * GROUPS * keys * (SIZE + VALUES)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    found = moves(read)
    attached = [node for node in read.network.others if node.to]
    assert {node.to for node in attached} == {"att/scores"}
    # the present keys and values are made and the mask is added; which keys come first is known without reading
    assert found["att/rest"] == (((kept, None),), ((kept, None),))
    assert [node.reads for node in attached] == [
        (),
        ((BATCH * QUERIES * keys, None),),
        (),
    ]
    assert found["att/rest_2"] == (((scores, None),), ((scores, None),))
    assert set(found) == {"att/rest", "att/rest_2", attached[1].name}


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("cap", [0.0, 1.5])
def test_scores_as_an_output(cap, mode, tmp_path):
    """They are given out scaled, capped, masked or as weights."""
    options = {"softcap": cap, "qk_matmul_output_mode": mode, "is_causal": 1, "opset": 25}
    proto = standard({"m": MASKS[4]}, outputs=("y", "", "", "scores"), **options)
    assert_model_equals_onnxruntime(proto, tmp_path)


@pytest.mark.parametrize("kind", ["added", "seen"])
def test_queries_that_see_nothing(kind, tmp_path):
    seen = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    mask = seen if kind == "seen" else np.where(seen, np.float32(0.5), np.float32(-np.inf))
    proto = standard({"m": mask}, outputs=("y", "", "", "weights"), qk_matmul_output_mode=3)
    assert_model_equals_onnxruntime(proto, tmp_path)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(("left", "right"), [(-1, -1), (1, -1), (-1, 1), (1, 0), (0, 2)])
@pytest.mark.parametrize("past", [0, PAST])
def test_windows(past, left, right, causal, tmp_path):
    windows = {"left_window_size": left, "right_window_size": right}
    assert_model_equals_onnxruntime(standard(past=past, opset=25, is_causal=causal, **windows), tmp_path)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("left", [-1, 1])
@pytest.mark.parametrize("lengths", [[3, 5], [5, 2]])  # with two keys the first of three queries sees none
def test_lengths(lengths, left, causal, tmp_path):
    window = {"left_window_size": left} if left >= 0 else {}
    proto = standard({"n": np.array(lengths)}, is_causal=causal, opset=25 if window else 24, **window)
    assert_model_equals_onnxruntime(proto, tmp_path)


@pytest.mark.parametrize("kind", ["added", "seen"])
@pytest.mark.parametrize("width", [1, KEYS - 2])
def test_mask_of_fewer_keys(width, kind, tmp_path):
    types = {"m": TensorProto.BOOL if kind == "seen" else TensorProto.FLOAT}
    assert_model_equals_onnxruntime(standard({"m": (QUERIES, width)}, opset=25, types=types), tmp_path)


@pytest.mark.parametrize("precision", [0, TensorProto.FLOAT])
def test_half_precision(precision, tmp_path):
    types = dict.fromkeys("qkvmy", TensorProto.FLOAT16)
    told = {"softmax_precision": precision} if precision else {}
    read = assert_model_equals_onnxruntime(
        standard({"m": MASKS[2]}, types=types, is_causal=1, softcap=2.0, **told), tmp_path
    )
    parts = read.region.inner["att"][""]
    (softmax,) = (node for node in parts.graph.node if node.op_type == "Softmax")
    assert parts.shapes.types[softmax.output[0]] == (precision or TensorProto.FLOAT16)
    assert {tensor.bits for nest in layers(read).values() for tensor in nest.tensors} == {16}


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ({"q": (2, 3, 30)}, {"q_num_heads": 4, "kv_num_heads": 2}, "q of shape (2, 3, 30) does not have 4 heads"),
        ({"q": (2, 3, 32)}, {}, "q of shape (2, 3, 32) does not have 0 heads"),
        ({"v": (2, 4, 32)}, {"q_num_heads": 4, "kv_num_heads": 4}, "there are not as many values as keys"),
        ({"k": (2, 5, 36)}, {"q_num_heads": 4, "kv_num_heads": 4}, "4 heads of 8 and 4 of 9 for the keys do not fit"),
        ({"k": (2, 5, 24), "v": (2, 5, 24)}, {"q_num_heads": 4, "kv_num_heads": 3}, "4 heads of 8 and 3 of 8"),
    ],
)
def test_operands_that_do_not_fit(inputs, options, message, tmp_path):
    shapes = {"q": (2, 3, 32), "k": (2, 5, 32), "v": (2, 5, 32)} | inputs
    with pytest.raises(InputError, match="Attention node att") as error:
        loaded(alone("Attention", shapes, **options), tmp_path)
    assert message in str(error.value)


# -- com.microsoft ---------------------------------------------------------------------------------------------------

HEADS_MS, QUERY = 2, 2 * SIZE  # heads, and the width of queries and keys


def int32(*values):
    return np.array(values, np.int32)


def multi_head(keys=KEYS, values=VALUES, more=None, **options):
    """MultiHeadAttention with query, key and value, and what `more` has of inputs 3 to 7."""
    shapes = {"q": (BATCH, QUERIES, QUERY), "k": (BATCH, keys, QUERY), "v": (BATCH, keys, HEADS_MS * values)}
    left_out = dict.fromkeys(("b", "m", "bias", "pk", "pv"))
    options = {"num_heads": HEADS_MS, "domain": MS, "opset": 17} | options
    return alone("MultiHeadAttention", {**shapes, **left_out, **(more or {})}, **options)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"b": (2 * QUERY + HEADS_MS * VALUES,)},
        {"m": int32(3, 5)},  # keys of each of the batch
        {"m": int32(3, 5, 0, 3, 6, 0, 5, 10)},
        {"m": int32([1, 0, 1, 1, 1], [0, 1, 1, 0, 1])},
        {"m": np.tri(QUERIES, KEYS, 1, np.int32)[None].repeat(BATCH, 0)},
        {"bias": (BATCH, HEADS_MS, QUERIES, KEYS)},
        {"bias": (1, 1, QUERIES, KEYS), "m": int32([1, 0, 1, 1, 1], [0, 1, 1, 0, 1])},
    ],
)
@pytest.mark.parametrize("options", [{}, {"scale": 0.2, "mask_filter_value": -3.0}])
def test_multi_head(more, options, tmp_path):
    read = assert_model_equals_onnxruntime(multi_head(more=more, **options), tmp_path)
    assert layers(read) == {
        "att/scores": gemm(B=BATCH * HEADS_MS, M=QUERIES, N=KEYS, K=SIZE),
        "att/values": gemm(B=BATCH * HEADS_MS, M=QUERIES, N=VALUES, K=KEYS),
    }
    assert read.network.shapes["y"] == (BATCH, QUERIES, HEADS_MS * VALUES)


KEPT = dict.fromkeys(("pk", "pv"), (BATCH, HEADS_MS, PAST, SIZE))
PRESENT = ("y", "present_k", "present_v")


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("mask", [{}, {"m": int32(*np.tri(BATCH, PAST + QUERIES, 4, int).tolist())}])
@pytest.mark.parametrize("bias", [{}, {"b": (3 * QUERY,)}])
@pytest.mark.parametrize("past", [{}, KEPT])
def test_multi_head_with_cache(past, bias, mask, causal, tmp_path):
    """A step of a decoder that keeps keys and values."""
    if mask and not past:
        mask = {"m": mask["m"][:, -QUERIES:]}
    proto = multi_head(QUERIES, SIZE, past | bias | mask, outputs=PRESENT, unidirectional=causal)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    keys = QUERIES + (PAST if past else 0)
    assert layers(read)["att/scores"] == gemm(B=BATCH * HEADS_MS, M=QUERIES, N=keys, K=SIZE)
    assert read.network.shapes["present_k"] == (BATCH, HEADS_MS, keys, SIZE)


@pytest.mark.parametrize("bias", [{}, {"b": (3 * QUERY,)}])
def test_keys_and_values_by_heads(bias, tmp_path):
    """Those of an encoder, kept as they are: the bias is of the queries only."""
    proto = multi_head(more=dict.fromkeys("kv", (BATCH, HEADS_MS, KEYS, SIZE)) | bias)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert sum(nest.operations for nest in layers(read).values()) == BATCH * HEADS_MS * QUERIES * KEYS * SIZE * 2


@pytest.mark.parametrize("number", [3, 2])
def test_packed(number, tmp_path):
    """ONNX Runtime's processor does not run them: the parts do what it does with operands that are not packed."""
    rng = np.random.default_rng(0)
    split = rng.normal(size=(3, BATCH, KEYS, HEADS_MS, SIZE)).astype(np.float32)
    flat = dict(zip("qkv", split.reshape(3, BATCH, KEYS, QUERY), strict=True))
    packed = {"k" if number == 2 else "q": np.stack(split[3 - number :], 3)}
    given = packed if number == 3 else {"q": flat["q"]} | packed
    shapes = {name: array.shape for name, array in given.items()}
    read = loaded(alone("MultiHeadAttention", shapes, num_heads=HEADS_MS, domain=MS, opset=17), tmp_path)
    assert layers(read)["att/values"] == gemm(B=BATCH * HEADS_MS, M=KEYS, N=SIZE, K=KEYS)
    whole = multi_head(more={name: array.shape for name, array in flat.items()})
    (expected,) = run_onnxruntime(whole, flat)
    (found,) = run_onnxruntime(read.region.inner["att"][""].proto, given)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


WIDE, ROWS = 10, BATCH * QUERIES  # what is projected


def projected(sizes=(QUERY,) * 3, more=None, **options):
    """Attention of com.microsoft with an input, weights, and what `more` has of inputs 2 to 5."""
    shapes = {"x": (BATCH, QUERIES, WIDE), "w": (WIDE, sum(sizes)), **dict.fromkeys(("b", "m", "past", "bias"))}
    return alone("Attention", shapes | (more or {}), num_heads=HEADS_MS, domain=MS, opset=17, **options)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"b": (3 * QUERY,)},
        {"m": int32(2, 3)},  # where keys end
        {"m": int32(2, 3, 1, 0)},  # where they end and begin
        {"m": int32(2, 3, 0, 3, 6, 0, 3, 6)},
        {"m": int32([1, 0, 1], [0, 1, 1])},
        {"m": int32([[1, 0, 1], [1, 0, 0], [1, 1, 1]], [[1, 1, 1], [1, 0, 1], [1, 1, 0]])},
        {"m": int32([0], [0])},  # no mask
        {"m": int32([0])},
        {"bias": (1, HEADS_MS, QUERIES, QUERIES)},
    ],
)
@pytest.mark.parametrize("options", [{}, {"unidirectional": 1, "scale": 0.2, "mask_filter_value": -3.0}])
def test_projected(more, options, tmp_path):
    read = assert_model_equals_onnxruntime(projected(more=more, **options), tmp_path)
    assert layers(read) == {
        "att/projection": gemm(M=ROWS, N=3 * QUERY, K=WIDE),
        "att/scores": gemm(B=BATCH * HEADS_MS, M=QUERIES, N=QUERIES, K=SIZE),
        "att/values": gemm(B=BATCH * HEADS_MS, M=QUERIES, N=SIZE, K=QUERIES),
    }


def test_values_of_their_own_size(tmp_path):
    sizes = (QUERY, QUERY, HEADS_MS * VALUES)
    read = assert_model_equals_onnxruntime(projected(sizes, qkv_hidden_sizes=sizes), tmp_path)
    assert layers(read)["att/projection"] == gemm(M=ROWS, N=2 * QUERY + HEADS_MS * VALUES, K=WIDE)
    assert read.network.shapes["y"] == (BATCH, QUERIES, HEADS_MS * VALUES)


@pytest.mark.parametrize("options", [{}, {"unidirectional": 1}])
@pytest.mark.parametrize("mask", [None, int32([1, 0, 1], [0, 1, 1])])
@pytest.mark.parametrize("each", [False, True], ids=["one scale", "a scale for each column"])
def test_projected_from_integers(each, mask, options, tmp_path):
    rng, columns = np.random.default_rng(0), 3 * QUERY
    stored = {
        "w": rng.integers(-20, 20, (WIDE, columns), np.int8),
        "b": rng.standard_normal(columns).astype(np.float32),
        "xs": np.array(0.05, np.float32),
        "ws": np.array(rng.uniform(0.01, 0.02, columns if each else None), np.float32),
        "m": mask,
        "xz": np.array(100, np.uint8),
        "wz": np.zeros(columns, np.int8) if each else np.array(3, np.int8),
    }
    types = {"x": TensorProto.UINT8}
    inputs = {"x": (BATCH, QUERIES, WIDE), **stored}
    proto = alone("QAttention", inputs, num_heads=HEADS_MS, domain=MS, opset=17, types=types, **options)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    projection, *others = read.network.layers
    assert [tensor.bits for tensor in projection.nest.tensors] == [8, 8, None]
    assert projection.nest.partial_bits == 32
    assert [layer.name for layer in others] == ["att/scores", "att/values"]


@pytest.mark.parametrize("past", [0, PAST])
def test_projected_with_cache(past, tmp_path):
    more = {"past": (2, BATCH, HEADS_MS, past, SIZE)} if past else {}
    proto = projected(more=more, outputs=("y", "present"), unidirectional=1)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    keys, scores = past + QUERIES, BATCH * HEADS_MS * QUERIES * (past + QUERIES)
    assert read.network.shapes["present"] == (2, BATCH, HEADS_MS, keys, SIZE)
    # queries, keys and values are where the projection left them; keys and values are moved once, to what is kept
    kept = 2 * BATCH * HEADS_MS * keys * SIZE
    rests = [moved for name, moved in moves(read).items() if "/rest" in name]
    assert rests == [
        (((kept, None),), ((kept, None),)),
        (((scores, None),), ((scores, None),)),
    ]


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (multi_head(unidirectional=1), "it is unidirectional, with 3 queries and 5 keys"),
        (multi_head(more={"m": int32([1, 0, 1], [0, 1, 1])}), r"a mask of shape \(2, 3\) is not supported"),
        (multi_head(outputs=("y", "", "", "scores")), "the scores as an output are not supported"),
        (multi_head(more=KEPT | {"n": int32(3)}, outputs=PRESENT), "a cache that is written in place"),
        (
            multi_head(values=SIZE, more={"pk": (BATCH, 3, PAST, SIZE), "pv": KEPT["pv"]}),
            r"pk has shape \(2, 3, 4, 8\)",
        ),
        (multi_head(more={"v": (BATCH, KEYS)}), r"v has shape \(2, 5\)"),
        (multi_head(num_heads=3), r"q of shape \(2, 3, 16\) does not have 3 heads"),
        (alone("MultiHeadAttention", {"q": (2, 3, 48)}, num_heads=2, domain=MS), "is not 3 packed tensors of 2 heads"),
        (projected(more={"x": (QUERIES, WIDE)}), r"an input of shape \(3, 10\)"),
        (alone("Attention", {"x": (BATCH, QUERIES, WIDE)}, domain=MS), "2 inputs are needed"),
        (standard(qk_matmul_output_mode=4), "unknown qk_matmul_output_mode 4"),
        (projected(do_rotary=1), "do_rotary is not supported"),
        (projected(past_present_share_buffer=1), "past_present_share_buffer is not supported"),
        (projected(more={"m": (BATCH, 1, 9, 9)}), r"a mask of shape \(2, 1, 9, 9\) is not supported"),
        (projected(qkv_hidden_sizes=[16, 16, 8]), r"the weights have 48 columns, not 16 \+ 16 \+ 8"),
        (
            projected((16, 16, 8), qkv_hidden_sizes=(16, 16, 8), outputs=("y", "present")),
            "keys of size 8 and values of size 4 cannot be kept in one tensor",
        ),
        (projected(more={"past": (2, BATCH, 3, PAST, SIZE)}, outputs=("y", "present")), "past has shape"),
        (alone("Attention", {"q": (2, 3, 4, 8), "k": (2, 0, 6, 8), "v": (2, 0, 6, 8)}), "3 heads of 8 and 0 of 8"),
        (alone("Attention", {"q": (2, 3, 4, 8), "k": (2, 3, 6, 8), "v": (2, 3, 6, 8), "m": ()}), "is a single number"),
    ],
)
def test_what_is_refused(proto, message, tmp_path):
    with pytest.raises(InputError, match=f"Attention node att: .*{message}"):
        loaded(proto, tmp_path)


# -- operators that the standard defines by others -------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"b": (5,)}, {"b": (5,), "past": (2, 5, 3)}])
@pytest.mark.parametrize("activation", ["none", "silu"])
def test_causal_convolution(activation, more, tmp_path):
    shapes = {"x": (2, 5, 16), "w": (5, 1, 4), "b": None, "past": None} | more
    proto = alone("CausalConvWithState", shapes, ("y", "state"), opset=27, activation=activation)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.nest.operations) == ("att", 2 * 5 * 16 * 4)
    assert layer.nest.extents["G"] == 5


RULES = {"linear": (), "gated": ("decay",), "delta": ("beta",), "gated_delta": ("decay", "beta")}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("state", [{}, {"state": (2, 2, 8, 6)}])
def test_linear_attention(state, rule, tmp_path):
    """Its steps are a Scan; the state is read and written by products of its own."""
    steps, heads = 5, 4
    inputs = {"q": (2, steps, heads * 8), "k": (2, steps, 16), "v": (2, steps, 12), "state": None}
    inputs |= state | {"decay": None, "beta": None}
    inputs |= {name: {"decay": (2, steps, 16), "beta": (2, steps, 2)}[name] for name in RULES[rule]}
    options = {"q_num_heads": heads, "kv_num_heads": 2, "update_rule": rule}
    proto = alone("LinearAttention", inputs, ("y", "present"), opset=27, **options)
    network = assert_model_equals_onnxruntime(proto, tmp_path).network
    written, read = 2 * 2 * 8 * 6, 2 * heads * 8 * 6
    found = {layer.name.rpartition("/")[2]: (layer.times, layer.nest.operations) for layer in network.layers}
    expected = {"Outer": (steps, written), "ReadOut": (steps, read)}
    if "beta" in RULES[rule]:
        expected["Retrieved"] = (steps, written)
    assert found == expected
    assert network.shapes["y"] == (2, steps, heads * 6)


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("size", [(3, 4), (2, 3, 4)])
def test_affine_grid(size, corners, tmp_path):
    rank, points = len(size), int(np.prod(size))
    inputs = {"theta": (2, rank, rank + 1), "size": np.array([2, 1, *size])}
    read = assert_model_equals_onnxruntime(alone("AffineGrid", inputs, opset=20, align_corners=corners), tmp_path)
    (layer,) = read.network.layers
    assert (layer.name, layer.nest.operations) == ("att", 2 * 3 * 4 * points)  # in two dimensions with a third


# -- blocks of transformers ------------------------------------------------------------------------------------------

LONG, DEEP, INNER = 6, 16, 32  # words, the width of the model, and that of its feed-forward layers


class Block:
    """Nodes, with random constants."""

    def __init__(self):
        self.rng, self.nodes, self.constants = np.random.default_rng(0), [], {}

    def __call__(self, op, name, *inputs, outputs=1, domain="", **attributes):
        """Adds a node; inputs are values, or shapes of constants."""
        names = [value if isinstance(value, str) else self.weight(value) for value in inputs]
        made = [f"{name}_out", *(f"{name}_out{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, names, made, name=name, domain=domain, **attributes))
        return made if outputs > 1 else made[0]

    def weight(self, shape):
        name = f"w{len(self.constants)}"
        self.constants[name] = self.rng.normal(size=shape).astype(np.float32) * 0.3
        return name

    def model(self, inputs, outputs, **options):
        return model(self.nodes, inputs, outputs, constants=self.constants, **options)


def encoder():
    """Two blocks of BERT as ONNX Runtime optimises them: ONNX's inference knows nothing from the embedding on."""
    block = Block()
    embedded = block(
        *("EmbedLayerNormalization", "embed", "words", "", (50, DEEP), (LONG, DEEP), "", (DEEP,), (DEEP,), "mask"),
        outputs=2,
        domain=MS,
    )
    hidden, lengths = embedded
    for i in range(2):
        p = f"b{i}_"
        wide = (DEEP, 3 * DEEP)
        found = block("Attention", p + "att", hidden, wide, wide[1:], lengths, domain=MS, num_heads=2)
        out = block("MatMul", p + "out", found, (DEEP, DEEP))
        norm = ((DEEP,),) * 3
        hidden = block("SkipLayerNormalization", p + "norm", out, hidden, *norm, domain=MS)
        up = block("FastGelu", p + "gelu", block("MatMul", p + "up", hidden, (DEEP, INNER)), (INNER,), domain=MS)
        down = block("MatMul", p + "down", up, (INNER, DEEP))
        hidden = block("SkipLayerNormalization", p + "end", down, hidden, *norm, domain=MS)
    proto = block.model({"words": (2, LONG), "mask": (2, LONG)}, [hidden, "b0_norm_out"], domains=(MS,))
    for value in proto.graph.input:
        value.type.tensor_type.elem_type = TensorProto.INT32
    return proto


def test_encoder_of_optimised_operators(tmp_path):
    network = assert_model_equals_onnxruntime(encoder(), tmp_path).network
    rows = 2 * LONG
    assert [(layer.name, layer.nest) for layer in network.layers[6:]] == [
        ("b1_att/projection", gemm(M=rows, N=3 * DEEP, K=DEEP)),
        ("b1_att/scores", gemm(B=2 * 2, M=LONG, N=LONG, K=DEEP // 2)),
        ("b1_att/values", gemm(B=2 * 2, M=LONG, N=DEEP // 2, K=LONG)),
        ("b1_out", gemm(M=rows, N=DEEP, K=DEEP)),
        ("b1_up", gemm(M=rows, N=INNER, K=DEEP)),
        ("b1_down", gemm(M=rows, N=DEEP, K=INNER)),
    ]
    assert [layer.nest for layer in network.layers[:6]] == [layer.nest for layer in network.layers[6:]]
    assert network.shapes["b1_end_out"] == (2, LONG, DEEP)
    (norm,) = (node for node in network.others if node.name == "b0_norm")
    words = rows * DEEP
    assert (norm.reads, norm.writes) == (((2 * words + 3 * DEEP, None),), ((words, None),))


def test_shapes_that_stay_unknown_name_the_input(tmp_path):
    """What the parts could tell they do not tell of symbols; given a size for these they do."""
    proto = encoder()
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    with pytest.raises(InputError, match=r"the shape of tensor .* is") as error:
        loaded(proto, tmp_path)
    assert "--dim N=1" in error.value.hint
    read = loaded(proto, tmp_path, words=(3, LONG), mask=(3, LONG))
    assert read.network.shapes["b1_end_out"] == (3, LONG, DEEP)


def test_decoder_with_opset_23(tmp_path):
    """A step of a decoder whose heads share keys and values, with a cache and a mask."""
    block, heads, groups, size = Block(), 4, 2, DEEP // 4
    norm = block("RMSNormalization", "norm", "x", (DEEP,))
    q, k, v = (
        block("MatMul", name, norm, (DEEP, n * size)) for name, n in (("q", heads), ("k", groups), ("v", groups))
    )
    found, present_k, present_v = block(
        *("Attention", "att", q, k, v, "mask", "past_k", "past_v"),
        outputs=3,
        q_num_heads=heads,
        kv_num_heads=groups,
        is_causal=1,
    )
    out = block("Add", "sum", block("MatMul", "out", found, (DEEP, DEEP)), "x")
    gate = block("Sigmoid", "gate", block("MatMul", "gated", out, (DEEP, INNER)))
    y = block("MatMul", "down", block("Mul", "both", gate, block("MatMul", "up", out, (DEEP, INNER))), (INNER, DEEP))
    kept = (1, groups, PAST, size)
    inputs = {"x": (1, 1, DEEP), "mask": (1, 1, 1, PAST + 1), "past_k": kept, "past_v": kept}
    read = assert_model_equals_onnxruntime(block.model(inputs, [y, present_k, present_v], opset=23), tmp_path)
    found = layers(read)
    assert list(found) == ["q", "k", "v", "att/scores", "att/values", "out", "gated", "up", "down"]
    assert found["att/scores"] == gemm(B=groups, M=heads // groups, N=PAST + 1, K=size)
    assert found["att/values"] == gemm(B=groups, M=heads // groups, N=size, K=PAST + 1)
    width, cached = DEEP * (DEEP + groups * size * 2 + DEEP), 2 * heads * (PAST + 1) * size
    assert sum(nest.operations for nest in found.values()) == width + cached + 3 * DEEP * INNER


def test_cross_attention_of_a_decoder(tmp_path):
    """Keys and values of an encoder, and queries, with weights of their own."""
    block = Block()
    q = block("MatMul", "q", "x", (DEEP, DEEP))
    k, v = (block("MatMul", name, "memory", (DEEP, DEEP)) for name in "kv")
    found = block("MultiHeadAttention", "att", q, k, v, (3 * DEEP,), domain=MS, num_heads=2)
    y = block("SkipLayerNormalization", "norm", block("MatMul", "out", found, (DEEP, DEEP)), "x", (DEEP,), domain=MS)
    proto = block.model({"x": (2, 3, DEEP), "memory": (2, 5, DEEP)}, [y], domains=(MS,))
    found = layers(assert_model_equals_onnxruntime(proto, tmp_path))
    assert found["att/scores"] == gemm(B=2 * 2, M=3, N=5, K=DEEP // 2)
    macs = (2 * 3 + 2 * 5) * DEEP * DEEP * 2 + 2 * 3 * 5 * DEEP * 2
    assert sum(nest.operations for nest in found.values()) == macs


# -- shapes that only the bodies of a node tell ----------------------------------------------------------------------


def looped(op):
    """A loop of three trips that stacks what a product gives, squeezed by an axis that it takes from outside."""
    block = Block()
    block.constants["axis"] = np.array([0])
    nodes = [
        helper.make_node("MatMul", ["state", "w"], ["next"], name="product"),
        helper.make_node("Squeeze", ["next", "axis"], ["row"], name="row"),
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in ("next", "row")]
    if op == "Loop":
        names = ["trip", "go", "state"]
        nodes.insert(0, helper.make_node("Identity", ["go"], ["on"]))
        outputs.insert(0, helper.make_empty_tensor_value_info("on"))
        block.constants["trips"] = np.array(3)
        inputs, options = ["trips", "", "x"], {}
    else:
        names = ["state", "each"]
        inputs, options = ["x", "rows"], {"num_scan_inputs": 1}
    kinds = {"trip": (TensorProto.INT64, ()), "go": (TensorProto.BOOL, ())}
    given = [helper.make_tensor_value_info(name, *kinds.get(name, (TensorProto.FLOAT, None))) for name in names]
    block.constants["w"] = block.rng.normal(size=(4, 4)).astype(np.float32)
    body = helper.make_graph(nodes, "body", given, outputs)
    block.nodes.append(helper.make_node(op, inputs, ["last", "rows_out"], name="loop", body=body, **options))
    y = block("MatMul", "after", "rows_out", (4, 2))
    return block.model({"x": (1, 4), **({"rows": (3, 5)} if op == "Scan" else {})}, [y, "last"], opset=21)


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_loops_tell_the_shapes_of_what_they_stack(op, tmp_path):
    """ONNX's inference does not look at constants outside of a body."""
    read = assert_model_equals_onnxruntime(looped(op), tmp_path)
    assert read.network.shapes["rows_out"] == (3, 4)
    assert {layer.name: (layer.times, layer.nest) for layer in read.network.layers} == {
        "loop/product": (3, gemm(M=1, N=4, K=4)),
        "after": (1, gemm(M=3, N=2, K=4)),
    }


def test_branches_tell_the_shape_that_both_have(tmp_path):
    branches = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Neg")):
        nodes = [helper.make_node("Squeeze", ["x", "axis"], [f"{op}_in"]), helper.make_node(op, [f"{op}_in"], [op])]
        branches[name] = helper.make_graph(nodes, op, [], [helper.make_empty_tensor_value_info(op)])
    block = Block()
    block.constants["axis"] = np.array([0])
    block.nodes.append(helper.make_node("If", ["which"], ["row"], name="choice", **branches))
    y = block("MatMul", "after", "row", (4, 2))
    proto = block.model({"x": (1, 3, 4), "which": ()}, [y])
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.BOOL
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert layers(read) == {"after": gemm(M=3, N=2, K=4)}


# -- what moves nothing ----------------------------------------------------------------------------------------------


def test_a_cast_to_the_same_type_is_a_view(tmp_path):
    block = Block()
    soft = block("Softmax", "soft", block("Cast", "same", "x", to=TensorProto.FLOAT))
    half = block("Cast", "half", soft, to=TensorProto.FLOAT16)
    y = block("CastLike", "like", block("CastLike", "back", half, "x"), "x")
    assert moves(assert_model_equals_onnxruntime(block.model({"x": (3, 5)}, [y]), tmp_path)) == {
        "soft": (((15, None),), ((15, None),)),
        "half": (((15, None),), ((15, 16),)),
        "back": (((15, 16), (15, None)), ((15, None),)),
    }


@pytest.mark.parametrize("op", ["Attention", "MultiHeadAttention", "GroupQueryAttention"])
@pytest.mark.parametrize("present", [True, False])
def test_keys_values_and_past_may_all_be_constant(op, present, tmp_path):
    """What its parts make of them is folded, and has a type nevertheless."""
    rng = np.random.default_rng(0)
    constants = {name: rng.standard_normal((1, 5, 16)).astype(np.float32) for name in "kv"}
    constants |= {name: rng.standard_normal((1, 2, 3, 8)).astype(np.float32) for name in ("pk", "pv")}
    constants |= {"last": np.array([7], np.int32), "total": np.array(8, np.int32)}
    heads = {"q_num_heads": 2, "kv_num_heads": 2} if op == "Attention" else {"num_heads": 2}
    inputs = ["q", "k", "v", *{"Attention": ("", "pk", "pv"), "MultiHeadAttention": ("", "", "", "pk", "pv")}.get(
        op, ("pk", "pv", "last", "total"))]  # fmt: skip
    if op == "GroupQueryAttention":
        heads["kv_num_heads"] = 2
    domain = "" if op == "Attention" else "com.microsoft"
    node = helper.make_node(op, inputs, ["y", "nk", "nv"], name="att", domain=domain, **heads)
    used = {name: array for name, array in constants.items() if name in inputs}
    outputs, domains = ["y", "nk", "nv"] if present else ["y"], ["com.microsoft"] * bool(domain)
    proto = model([node], {"q": (1, 5, 16)}, outputs, opset=23, domains=domains, constants=used)
    network = assert_model_equals_onnxruntime(proto, tmp_path).network
    assert [layer.nest.operations for layer in network.layers] == [2 * 5 * 8 * 8] * 2
