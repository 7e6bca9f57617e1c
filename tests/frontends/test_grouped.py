"""GroupQueryAttention: its cache, its rotations and what it moves."""

import numpy as np
import pytest
from onnx import helper
from onnx_cases import executed, loaded, model

from mapper.errors import InputError
from mapper.ir import gemm

HEADS, GROUPS, SIZE = 4, 2, 16


def grouped(
    *,
    batch=1,
    new=4,
    before=0,
    total=None,
    last=None,
    packed=False,
    bias=False,
    positions=False,
    dtype=np.float32,
    constant=True,
    outputs=("y", "keys", "values"),
    **told,
):
    """A model of one node, and its inputs. `total` keys in all, `last` is the last key of each of the batch."""
    total = total or before + new
    rng = np.random.default_rng(0)

    def drawn(*shape):
        return rng.standard_normal(shape).astype(dtype)

    widths = {"q": HEADS + 2 * GROUPS} if packed else {"q": HEADS, "k": GROUPS, "v": GROUPS}
    given = {name: drawn(batch, new, n * SIZE) for name, n in widths.items()}
    if before:
        given |= {name: drawn(batch, GROUPS, before, SIZE) for name in ("past_k", "past_v")}
    given["last"] = np.array([total - 1] * batch if last is None else last, np.int32)
    stored = {"total": np.array(total, np.int32)}
    if told.get("do_rotary"):
        angles = rng.standard_normal((64, SIZE // 2))
        stored |= {"cos": np.cos(angles).astype(dtype), "sin": np.sin(angles).astype(dtype)}
    if positions:
        given["positions"] = np.arange(7, 7 + new)[None].repeat(batch, 0)
    if bias:
        given["bias"] = drawn(1, 1, new, total)
    if not constant:
        given["total"] = stored.pop("total")
    order = ("q", "k", "v", "past_k", "past_v", "last", "total", "cos", "sin", "positions", "bias")
    names = [name if name in given or name in stored else "" for name in order]
    told = {"num_heads": HEADS, "kv_num_heads": GROUPS, **told}
    node = helper.make_node("GroupQueryAttention", names, outputs, name="att", domain="com.microsoft", **told)
    proto = model([node], {}, outputs, constants=stored, domains=["com.microsoft"])
    for name, array in given.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        proto.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    for value in proto.graph.output:
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return proto, given


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="prompt"),
        pytest.param({"batch": 2, "last": [3, 1]}, id="prompts of several lengths"),
        pytest.param({"before": 3, "new": 1}, id="next token"),
        pytest.param({"batch": 2, "before": 3, "new": 1, "last": [3, 1]}, id="next tokens, shorter sequences"),
        pytest.param({"before": 5, "new": 3}, id="several tokens"),
        pytest.param({"before": 5, "new": 1, "constant": False}, id="a number of keys that is an input"),
        pytest.param({"before": 8, "new": 1, "total": 5}, id="a buffer"),
        pytest.param({"before": 8, "total": 4}, id="a prompt in a buffer"),
        pytest.param({"new": 6, "local_window_size": 3}, id="window"),
        pytest.param({"before": 9, "new": 1, "local_window_size": 3}, id="next token, window"),
        pytest.param({"batch": 2, "new": 6, "local_window_size": 2, "last": [5, 3]}, id="window, several lengths"),
        pytest.param({"packed": True, "do_rotary": 1}, id="packed, rotated"),
        pytest.param(
            {"batch": 2, "before": 3, "new": 1, "last": [3, 1], "do_rotary": 1, "rotary_interleaved": 1},
            id="next tokens, rotated in pairs",
        ),
        pytest.param({"do_rotary": 1, "positions": True}, id="rotated, positions of its own"),
        pytest.param({"before": 5, "new": 3, "softcap": 2.0, "scale": 0.3}, id="capped and scaled"),
        pytest.param({"before": 5, "new": 1, "bias": True}, id="bias"),
        pytest.param({"smooth_softmax": -1, "qk_output": 0, "k_quant_type": "NONE"}, id="defaults"),
        pytest.param({"before": 8, "new": 1, "total": 5, "dtype": np.float16}, id="half precision"),
    ],
)
def test_values(options, tmp_path):
    proto, given = grouped(**options)
    read = loaded(proto, tmp_path)
    total = options.get("total") or options.get("before", 0) + options.get("new", 4)
    rows = HEADS // GROUPS * options.get("new", 4)
    batch = GROUPS * options.get("batch", 1)
    bits = {None: None, np.float16: 16}[options.get("dtype")]
    assert [(layer.name, layer.nest.extents) for layer in read.network.layers] == [
        ("att/scores", gemm(B=batch, M=rows, N=total, K=SIZE).extents),
        ("att/values", gemm(B=batch, M=rows, N=SIZE, K=total).extents),
    ]
    assert {tensor.bits for layer in read.network.layers for tensor in layer.nest.tensors} == {bits}
    found = executed(read, inputs=given)
    assert found.passed, found.failure
    assert not found.uncompared
    assert {check.name for check in found.others} > {"output y", "output keys", "output values"}


def test_what_moves(tmp_path):
    """A step of a decoder reads the keys and values of before and the new ones, and writes the present ones once."""
    network = loaded(grouped(before=8, new=1, total=5)[0], tmp_path).network
    moved = {node.op: (node.reads, node.writes) for node in network.others if node.to}
    moved |= {node.name: (node.reads, node.writes) for node in network.others if not node.to and node.writes}
    past, fresh, scores = GROUPS * 8 * SIZE, GROUPS * SIZE, HEADS * 5
    assert moved == {
        # and the last key of the sequence, from which follows which keys the query sees
        "att/rest": (((1, 32), (2 * (past + fresh), None)), ((2 * past, None), (5, 8))),
        "Mul": ((), ()),
        "Where": (((5, 8),), ()),
        "att/rest_2": (((scores, None),), ((scores, None),)),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_heads": 3}, "does not have 3 heads"),
        ({"total": 3}, "there are 4 new keys and 0 of before, and 3 in all"),
        ({"before": 3, "new": 1, "total": 9}, "there are 1 new keys and 3 of before, and 9 in all"),
        ({"kv_num_heads": 0}, "3 tensors of 4 and 0 heads"),
    ],
)
def test_bad_input(options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        loaded(grouped(**options)[0], tmp_path)


@pytest.mark.parametrize(
    "told", [{"smooth_softmax": 1}, {"causal": 0}, {"local_window_size": 3, "sliding_window_cache": 1}]
)
def test_what_is_not_taken_apart_says_so(told, tmp_path):
    proto, _ = grouped(before=2, packed=True, **told)
    network = loaded(proto, tmp_path).network
    (node,) = network.nodes
    assert node.note == "its multiply-accumulates are not counted"
    assert [network.shapes[name] for name in ("y", "keys", "values")] == [(1, 4, 64), *[(1, 2, 6, 16)] * 2]
