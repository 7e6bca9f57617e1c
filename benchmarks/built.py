"""Models for benchmarks, built from their published layer shapes; weights are a constant each, in no space."""

from __future__ import annotations

from itertools import count
from typing import Any

import onnx
from onnx import TensorProto, helper


class Builder:
    """An ONNX model, node by node."""

    def __init__(self, *shape: int) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names = count()
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The output of a new node."""
        name = f"{op}{next(self.names)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """A weight of that shape."""
        name = f"shape{next(self.names)}"
        self.constants.append(helper.make_tensor(name, TensorProto.INT64, [len(shape)], shape))
        return self("ConstantOfShape", name, value=helper.make_tensor("value", TensorProto.FLOAT, [1], [0.01]))

    def sizes(self, *shape: int) -> str:
        """A constant shape."""
        name = f"sizes{next(self.names)}"
        self.constants.append(helper.make_tensor(name, TensorProto.INT64, [len(shape)], shape))
        return name

    def model(self, output: str) -> onnx.ModelProto:
        """The model with that output."""
        told = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "built", [self.input], [told], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 at 224 x 224, width 1 (Sandler et al., CVPR 2018, table 2)."""
    b = Builder(1, 3, 224, 224)

    def conv(x: str, k: int, c: int, *, size: int = 1, stride: int = 1, group: int = 1) -> str:
        weight = b.weight(k, c // group, size, size)
        padding = [size // 2] * 4
        return b("Conv", x, weight, strides=[stride] * 2, pads=padding, group=group, kernel_shape=[size] * 2)

    x, c = b("Relu", conv("x", 32, 3, size=3, stride=2)), 32
    for t, k, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                       (6, 320, 1, 1)):  # fmt: skip
        for i in range(n):
            stride = s if i == 0 else 1
            y = b("Relu", conv(x, t * c, c)) if t > 1 else x
            y = b("Relu", conv(y, t * c, t * c, size=3, stride=stride, group=t * c))
            y = conv(y, k, t * c)
            x, c = (b("Add", x, y) if stride == 1 and c == k else y), k
    x = b("GlobalAveragePool", b("Relu", conv(x, 1280, 320)))
    return b.model(b("Gemm", b("Flatten", x), b.weight(1280, 1000)))


def bert_base(words: int = 128) -> onnx.ModelProto:
    """The encoder of BERT-base: 12 blocks of 768, 12 heads, 3072 (Devlin et al., NAACL 2019); no embedding."""
    width, heads, hidden = 768, 12, 3072
    size = width // heads
    b = Builder(1, words, width)

    def by_heads(x: str, order: list[int]) -> str:
        return b("Transpose", b("Reshape", b("MatMul", x, b.weight(width, width)), b.sizes(1, words, heads, size)),
                 perm=order)  # fmt: skip

    def norm(x: str) -> str:
        return b("LayerNormalization", x, b.weight(width), b.weight(width))

    x = "x"
    for _ in range(12):
        q, v, k = by_heads(x, [0, 2, 1, 3]), by_heads(x, [0, 2, 1, 3]), by_heads(x, [0, 2, 3, 1])
        y = b("MatMul", b("Softmax", b("MatMul", q, k)), v)
        y = b("Reshape", b("Transpose", y, perm=[0, 2, 1, 3]), b.sizes(1, words, width))
        x = norm(b("Add", x, b("MatMul", y, b.weight(width, width))))
        x = norm(b("Add", x, b("MatMul", b("Relu", b("MatMul", x, b.weight(width, hidden))), b.weight(hidden, width))))
    return b.model(x)
