"""Small models to begin with: the zoo's, those of random operators, operators of ONNX Runtime, control flow, functions,
and the node tests of the ONNX standard."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

import numpy as np
import onnx
from model_zoo import BOOL, FLOAT, INT64, Builder
from onnx import helper
from random_models import Draw
from test_model_zoo import SMALL

MS = "com.microsoft"
F32, U8, I8, I32 = np.float32, np.uint8, np.int8, np.int32
node, value = helper.make_node, helper.make_tensor_value_info


class Base(NamedTuple):
    """A model, and the sizes of its symbolic dims."""

    data: bytes
    dims: dict[str, int]

    def proto(self) -> onnx.ModelProto:
        """A copy that may be changed."""
        return onnx.ModelProto.FromString(self.data)


Operand = tuple[int, ...] | tuple[Any, tuple[int, ...]] | str | None
"""The shape of an input of single precision, a type and the shape of a constant, "" or None for one left out."""


def alone(op: str, *operands: Operand, domain: str = MS, opset: int = 21, outputs: int = 1, **attributes: Any) -> Base:
    """A model of one node whose inputs are the model's or constants."""
    g = Builder(opset)
    names = []
    for i, operand in enumerate(operands):
        if not operand and operand != ():
            names.append("")
        elif isinstance(operand, tuple) and operand and isinstance(operand[0], type):
            kind, shape = operand
            drawn = g.rng.integers(0, 9, shape) if np.dtype(kind).kind in "iu" else g.rng.uniform(0.01, 0.5, shape)
            names.append(g.constant(drawn, kind))
        else:
            names.append(g.input(f"x{i}", *operand))  # type: ignore[misc]
    told = {"domain": domain} if domain else {}
    made = g(op, *names, outputs=outputs, **told, **attributes)
    for name in [made] if outputs == 1 else made:
        g.outputs.append(helper.make_empty_tensor_value_info(name))
        g.outputs[-1].type.tensor_type.elem_type = FLOAT
    return Base(g.model().SerializeToString(), {})


def single(op: str, **told: Any) -> Base:
    """A recurrent network of the standard."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    shapes = ((F32, (1, gates * 4, 3)), (F32, (1, gates * 4, 4)), (F32, (1, 2 * gates * 4)))
    return alone(op, (5, 2, 3), *shapes, domain="", hidden_size=4, outputs=2, **told)


def operators() -> list[Base]:
    """Operators of ONNX Runtime, and those of the standard that are taken apart."""
    block = {"K": 32, "N": 8, "bits": 4, "block_size": 16}
    xs: tuple[Operand, ...] = ((F32, ()), (U8, ()))
    past = (2, 2, 4, 8)
    return [
        alone("MatMulNBits", (2, 3, 32), (U8, (8, 2, 8)), (F32, (8, 2)), (U8, (8, 1)), **block),
        alone("FusedConv", (1, 3, 6, 6), (F32, (4, 3, 3, 3)), (F32, (4,)), activation="Relu", pads=[1] * 4),
        alone("FusedGemm", (3, 4), (F32, (4, 5)), (F32, (5,)), activation="LeakyRelu", activation_alpha=0.1),
        alone("FusedMatMul", (2, 3, 4), (F32, (2, 5, 4)), transB=1, alpha=0.5),
        alone("TransposeMatMul", (2, 4, 3), (F32, (2, 4, 5)), transA=1),
        alone("QGemm", (U8, (3, 4)), *xs, (I8, (4, 5)), (F32, (5,)), (I8, (5,)), (I32, (5,)), *xs),
        alone("DynamicQuantizeMatMul", (2, 3, 4), (I8, (4, 5)), (F32, (5,)), (I8, (5,)), (F32, (5,))),
        alone("MatMulIntegerToFloat", (U8, (3, 4)), (I8, (4, 5)), (F32, ()), (F32, (5,)), (U8, ()), (I8, (5,))),
        alone("DynamicQuantizeLSTM", (5, 2, 3), (I8, (1, 3, 16)), (I8, (1, 4, 16)), (F32, (1, 32)), "", "", "", "",
              (F32, (1,)), (I8, (1,)), (F32, (1,)), (I8, (1,)), hidden_size=4, outputs=3),
        alone("Attention", (2, 3, 8), (F32, (8, 24)), (F32, (24,)), num_heads=2),
        alone("Attention", (2, 3, 8), (F32, (8, 24)), (F32, (24,)), (I32, (2,)), (2, 2, 2, 4, 4), num_heads=2,
              outputs=2, unidirectional=1),
        alone("QAttention", (U8, (2, 3, 8)), (I8, (8, 24)), (F32, (24,)), (F32, ()), (F32, ()), "", (U8, ()), (I8, ()),
              num_heads=2),
        alone("MultiHeadAttention", (2, 3, 8), (2, 5, 8), (2, 5, 8), (F32, (24,)), num_heads=2),
        alone("MultiHeadAttention", (2, 3, 2, 3, 4), num_heads=2, scale=0.3),
        alone("MultiHeadAttention", *[(2, 3, 16)] * 3, "", "", "", past, past, num_heads=2, outputs=3),
        alone("GroupQueryAttention", (2, 1, 32), (2, 1, 16), (2, 1, 16), past, past, (I32, (2,)), (I32, ()), outputs=3,
              num_heads=4, kv_num_heads=2),
        alone("SkipLayerNormalization", (2, 3, 4), (2, 3, 4), (F32, (4,)), (F32, (4,)), (F32, (4,))),
        alone("EmbedLayerNormalization", (I32, (2, 3)), (I32, (2, 3)), (F32, (9, 4)), (F32, (9, 4)), (F32, (2, 4)),
              (F32, (4,)), (F32, (4,)), outputs=2),
        alone("FastGelu", (2, 3), (F32, (3,))),
        alone("QLinearAdd", (U8, (3, 4)), *xs, (U8, (4,)), *xs, *xs),
        alone("QLinearConcat", *xs, (U8, (3, 4)), *xs, (U8, (2, 4)), *xs, axis=0),
        alone("NhwcMaxPool", (U8, (1, 6, 6, 3)), kernel_shape=[2, 2]),
        alone("GatherBlockQuantized", (U8, (9, 32)), (I32, (2, 3)), (F32, (9, 2)), block_size=16),
        alone("GridSample", (1, 3, 6, 6), (1, 4, 4, 2), domain=""),
        alone("Attention", (2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 6), (3, 5), domain="", opset=23, is_causal=1),
        alone("Attention", (2, 3, 32), (2, 5, 16), (2, 5, 12), domain="", opset=23, q_num_heads=4, kv_num_heads=2,
              softcap=1.5, qk_matmul_output_mode=1, outputs=4),
        alone("DeformConv", (1, 2, 5, 5), (F32, (3, 2, 2, 2)), (1, 8, 4, 4), (F32, (3,)), (1, 4, 4, 4), domain=""),
        alone("QLinearConv", (U8, (1, 3, 6, 6)), *xs, (I8, (4, 3, 3, 3)), (F32, (4,)), (I8, (4,)), *xs, (I32, (4,)),
              domain="", pads=[1] * 4),
        alone("QLinearMatMul", (U8, (2, 3, 4)), *xs, (I8, (4, 5)), (F32, (5,)), (I8, (5,)), *xs, domain=""),
        alone("ConvInteger", (U8, (1, 3, 6, 6)), (I8, (4, 3, 3, 3)), (U8, ()), (I8, ()), domain=""),
        alone("MatMulInteger", (U8, (2, 3, 4)), (I8, (4, 5)), (U8, ()), (I8, (5,)), domain=""),
        alone("ConvTranspose", (1, 4, 3, 3), (F32, (4, 2, 3, 3)), (F32, (4,)), domain="", group=2, strides=[2, 2],
              pads=[1] * 4, output_padding=[1, 1]),
        alone("Einsum", (2, 3, 4), (F32, (2, 4, 5)), (F32, (5,)), domain="", equation="bij,bjk,k->bi"),
        alone("STFT", (1, 32, 1), (np.int64, ()), (F32, (16,)), domain=""),
        alone("DFT", (1, 8, 1), (np.int64, ()), domain="", opset=20),
        *(single(op, direction=way) for op in ("LSTM", "GRU", "RNN") for way in ("forward", "reverse")),
        single("LSTM", activations=["Tanh", "Affine", "ThresholdedRelu"], activation_alpha=[0.5, 0.1],
               activation_beta=[0.2], clip=1.0),
        single("GRU", linear_before_reset=1),
    ]  # fmt: skip


def _loop(trips: int | None) -> Base:
    inside = [node("Identity", ["go"], ["on"]), node("MatMul", ["s", "w"], ["t"]), node("Relu", ["t"], ["each"])]
    given = [value("i", INT64, []), value("go", BOOL, []), value("s", FLOAT, [2, 3])]
    made = [value("on", BOOL, []), value("t", FLOAT, [2, 3]), value("each", FLOAT, [2, 3])]
    body = helper.make_graph(inside, "body", given, made)
    g = Builder(17)
    x, w = g.input("x", 2, 3), g.input("w", 3, 3)
    count = g.input("trips", kind=INT64) if trips is None else g.constant(trips)
    last, stacked = g("Loop", count, "", x, outputs=2, body=body)
    assert w == "w"
    g.output("last", last, 2, 3)
    g.output("all", stacked, "trips", 2, 3)
    return Base(g.model().SerializeToString(), {})


def _scan() -> Base:
    inside = [
        node("MatMul", ["item", "w"], ["p"]),
        node("Add", ["sum", "p"], ["next"]),
        node("Neg", ["next"], ["each"]),
    ]
    given = [value("sum", FLOAT, [3]), value("item", FLOAT, [3])]
    made = [value("next", FLOAT, [3]), value("each", FLOAT, [3])]
    g = Builder(17)
    s, x, _ = g.input("s", 3), g.input("x", "steps", 3), g.input("w", 3, 3)
    body = helper.make_graph(inside, "body", given, made)
    last, stacked = g("Scan", s, x, outputs=2, body=body, num_scan_inputs=1, scan_input_directions=[1])
    g.output("last", last, 3)
    g.output("all", stacked, "steps", 3)
    return Base(g.model().SerializeToString(), {"steps": 4})


def _if() -> Base:
    bodies = [
        helper.make_graph([node(op, ["x", "w"], [name])], name, [], [value(name, FLOAT, [3, 3])])
        for op, name in (("MatMul", "a"), ("Add", "b"))
    ]
    g = Builder(17)
    g.input("x", 3, 3)
    g.input("w", 3, 3)
    g.output("y", g("If", g.input("c", kind=BOOL), then_branch=bodies[0], else_branch=bodies[1]), 3, 3)
    return Base(g.model().SerializeToString(), {})


def _function() -> Base:
    """A function with an attribute, a default for another one, and a function in it."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    norm = node("LeakyRelu", ["p"], ["y"])
    norm.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    product = [node("MatMul", ["x", "w"], ["p"]), norm]
    inner = helper.make_function("own", "Dense", ["x", "w"], ["y"], product, opsets, ["slope"])
    calls = [node("Dense", ["x", "w"], ["h"], domain="own", slope=0.1), node("Transpose", ["w"], ["v"]),
             node("Dense", ["h", "v"], ["y"], domain="own", slope=0.2)]  # fmt: skip
    outer = helper.make_function("own", "Two", ["x", "w"], ["y"], calls, opsets, [])
    g = Builder(17)
    x, w = g.input("x", 2, 3), g.weight(3, 3)
    g.output("y", g("Two", x, w, domain="own"), 2, 3)
    proto = g.model()
    proto.functions.extend([inner, outer])
    return Base(proto.SerializeToString(), {})


def _sequences() -> Base:
    g = Builder(17)
    x = g.input("x", 4, 3)
    parts = g("SequenceConstruct", x, g("Neg", x))
    optional = g("Optional", g("SequenceAt", parts, g.constant(1)))
    g.output("y", g("MatMul", g("OptionalGetElement", optional), g.weight(3, 2)), 4, 2)
    return Base(g.model().SerializeToString(), {})


@cache
def quick() -> tuple[Base, ...]:
    """Operators, control flow, functions, sequences."""
    flow = [_loop(3), _loop(None), _scan(), _if(), _function(), _sequences()]
    return (*operators(), *flow, *flow, *flow)


@cache
def zoo() -> tuple[Base, ...]:
    """The models of the zoo, which have many nodes."""
    return tuple(Base(case.build().SerializeToString(), case.dims) for case in SMALL.values())


def small(random: Random) -> Base:
    """One of these, the zoo's seldom, or of random operators that mostly fit."""
    if random.randint(0, 39) == 39:
        return random.choice(zoo())
    if random.randint(0, 2):
        return random.choice(quick())
    drawn = Draw(random, right=random.choice((0, 20, 60))).model(random.randint(1, 6))
    return Base(drawn.SerializeToString(), {})


@cache
def standard() -> tuple[Base, ...]:
    """The node tests of the installed onnx."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases divide by zero and overflow on purpose
        return tuple(Base(case.model.SerializeToString(), {}) for case in collect_testcases(None))


@cache
def schemas() -> tuple[tuple[str, str, int, tuple[tuple[str, int], ...]], ...]:
    """Domain, name, most inputs, and attributes with their types, of every operator that onnx or ONNX Runtime has."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    known: Sequence[Any] = (*onnx.defs.get_all_schemas(), *runtime.get_all_operator_schema())
    found = {}
    for schema in known:
        told = tuple((name, int(a.type.value if hasattr(a.type, "value") else a.type)) for name, a in
                     sorted(schema.attributes.items()))  # fmt: skip
        found.setdefault((schema.domain, schema.name), (schema.domain, schema.name, min(12, schema.max_input), told))
    return tuple(found[key] for key in sorted(found))
