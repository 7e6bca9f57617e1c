"""Operators by what is known of them, by name: those that move no data, that read no elements, and so on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

UNMAPPED = frozenset(
    {
        "DecoderMaskedMultiHeadAttention",
        "DecoderMaskedSelfAttention",
        "DynamicQuantizeLSTM",
        "FlexAttention",
        "GemmFastGelu",
        "GroupQueryAttention",
        "LongformerAttention",
        "MatMulBnb4",
        "MatMulNBits",
        "MoE",
        "NhwcConv",
        "NhwcFusedConv",
        "PackedAttention",
        "PackedMultiHeadAttention",
        "QMoE",
        "SparseToDenseMatMul",
    }
)
"""Operators, of any domain, that multiply and accumulate; where they are not taken apart, the network says so."""

UNOFFICIAL = {"LayerNormalization": 17, "SimplifiedLayerNormalization": math.inf}
"""Operators that ONNX Runtime has in the domain of the standard, whichever version of it a model asks for, and from
which version on the standard has them."""

VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that move nothing (Dropout as inference runs it)."""

ELEMENTWISE = frozenset(
    {
        *("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BitShift"),
        *("BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos"),
        *("Cosh", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater"),
        *("GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log"),
        *("Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear"),
        *("Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign"),
        *("Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor"),
    }
)
"""Operators that make each output of the inputs at the same place (as inference runs them)."""

SHAPE_READERS = frozenset({"Shape", "Size"})
"""Operators that read the shape of their input but not its elements."""

SELECTING = frozenset({"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"})
"""Operators whose outputs are as large as what they find in their inputs, and no larger than these."""

RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators whose output is no constant even if their inputs are."""


def is_elementwise(node: onnx.NodeProto) -> bool:
    """Whether a node makes each output of the inputs at the same place: not a BatchNormalization that trains, which
    needs the mean and the variance of all of them first. Before opset 14 it does so if it returns these."""
    if node.op_type not in ELEMENTWISE or node.domain not in STANDARD_DOMAINS:
        return False
    trains = any(a.name == "training_mode" and a.i for a in node.attribute) or any(node.output[1:])
    return node.op_type != "BatchNormalization" or not trains


def is_view(node: onnx.NodeProto, outputs: tuple[str, ...], types: Mapping[str, int]) -> bool:
    """Whether a node with these outputs moves nothing; `types` are those of values, as ONNX numbers them."""
    if node.op_type in ("Cast", "CastLike"):  # to the type that it has
        return types.get(node.input[0]) == types.get(outputs[0])
    if node.op_type not in VIEWS or node.domain not in STANDARD_DOMAINS:
        return False
    # a Dropout that trains or whose mask is used does write something
    return node.op_type != "Dropout" or (len(node.input) < 3 and outputs == (node.output[0],))
