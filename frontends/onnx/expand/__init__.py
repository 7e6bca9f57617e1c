"""Operators that are made of others: for each a small graph in ONNX's own operators, with the products in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph
from frontends.onnx.expand import (
    attention,
    contraction,
    deformed,
    fused,
    grouped,
    packed,
    quantized,
    recurrent,
    standard,
    transposed,
)
from frontends.onnx.expand.body import Body
from frontends.onnx.expand.outlines import OUTLINES
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region

Writer = Callable[[Body], None]

EXPANSIONS: Mapping[tuple[str, str], Writer] = {
    ("", "AffineGrid"): standard.function,
    ("", "Attention"): attention.standard,
    ("", "CausalConvWithState"): standard.function,
    ("", "ConvTranspose"): transposed.conv,
    ("", "DeformConv"): deformed.conv,
    ("", "Einsum"): contraction.einsum,
    ("", "GRU"): recurrent.gru,
    ("", "LSTM"): recurrent.lstm,
    ("", "LinearAttention"): standard.function,
    ("", "QLinearConv"): quantized.conv,
    ("", "QLinearMatMul"): quantized.matmul,
    ("", "RNN"): recurrent.rnn,
    ("com.microsoft", "Attention"): attention.projected,
    ("com.microsoft", "DynamicQuantizeLSTM"): recurrent.dynamic_lstm,
    ("com.microsoft", "DynamicQuantizeMatMul"): quantized.dynamic_matmul,
    ("com.microsoft", "FusedConv"): fused.conv,
    ("com.microsoft", "FusedGemm"): fused.gemm,
    ("com.microsoft", "FusedMatMul"): fused.matmul,
    ("com.microsoft", "GroupQueryAttention"): grouped.attention,
    ("com.microsoft", "MatMulIntegerToFloat"): quantized.matmul_to_float,
    ("com.microsoft", "MatMulNBits"): packed.matmul,
    ("com.microsoft", "MultiHeadAttention"): attention.multi_head,
    ("com.microsoft", "QAttention"): attention.projected_integers,
    ("com.microsoft", "QGemm"): quantized.gemm,
    ("com.microsoft", "TransposeMatMul"): fused.matmul,
}
"""By domain and name, what writes the parts of a node."""


_KINDS: Mapping[str, tuple[str, ...]] = {
    "INT": (
        *("K", "N", "bits", "block_size", "do_rotary", "group", "hidden_size", "input_forget", "interleaved"),
        *("kv_cache_bit_width", "kv_num_heads", "local_window_size", "mask_index_type", "num_heads", "qk_output"),
        *("past_present_share_buffer", "rotary_embedding_dim", "rotary_interleaved", "smooth_softmax", "transA"),
        *("transB", "transBatchA", "transBatchB", "unidirectional"),
    ),
    "FLOAT": ("alpha", "beta", "clip", "epsilon", "mask_filter_value", "scale", "softcap"),
    "INTS": ("dilations", "kernel_shape", "pads", "qkv_hidden_sizes", "strides"),
    "FLOATS": ("activation_params",),
    "STRING": ("activation", "auto_pad", "direction", "k_quant_type", "v_quant_type"),
    "STRINGS": ("activations",),
}
_SCALARS = {"FusedGemm": "FLOAT", "DynamicQuantizeLSTM": "FLOATS"}
"""The kind of activation_alpha and activation_beta, which differs."""


Parts = tuple["onnx.GraphProto", list["onnx.OperatorSetIdProto"]]
"""A graph, which reads and writes the values of the node that it stands for, and its opsets."""


def expansion(node: onnx.NodeProto, region: Region) -> Parts | None:
    """The graph that does what a node does; None if it is not made of others. InputError for what is not supported."""
    return _written(node, region, EXPANSIONS)


def outline(node: onnx.NodeProto, region: Region) -> Parts | None:
    """A graph whose outputs have the types and shapes of the node's; None if there is none, InputError as above."""
    return _written(node, region, EXPANSIONS) or _written(node, region, OUTLINES)


def _written(node: onnx.NodeProto, region: Region, writers: Mapping[tuple[str, str], Writer]) -> Parts | None:
    domain = "" if graph.is_standard(node) else node.domain
    if (write := writers.get((domain, node.op_type))) is None:
        return None
    if domain:
        _check_kinds(node)
    body = Body(node, region)
    write(body)
    return (body.graph(), body.opsets) if body.nodes else None


def _check_kinds(node: onnx.NodeProto) -> None:
    """InputError for an attribute of another kind than the operator's: ONNX's checker knows the standard's only."""
    from onnx import AttributeProto

    kinds = {name: kind for kind, names in _KINDS.items() for name in names}
    kinds |= dict.fromkeys(("activation_alpha", "activation_beta"), _SCALARS.get(node.op_type, "FLOAT"))
    for a in node.attribute:
        found = AttributeProto.AttributeType.Name(a.type)
        if a.name in kinds and found != kinds[a.name]:
            raise InputError(f"attribute {a.name} is of kind {found}, not {kinds[a.name]}", place=graph.place(node))
