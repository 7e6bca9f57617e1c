"""Small models like those that people compile, one of each kind, built here so that none needs to be fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from model_zoo import FLOAT, INT64, Builder
from onnx import TensorProto

HALF = TensorProto.FLOAT16
MS = "com.microsoft"


@dataclass(frozen=True)
class Representative:
    """A model, the options that it is compiled with, its layers by operator and its multiply-accumulates.

    `saved` writes it: it may be a tool that works on files. `data` are the inputs that it runs on, where how much there
    is to do depends on them; else they are drawn.
    """

    build: Callable[[], onnx.ModelProto]
    layers: Mapping[str, int]
    macs: int
    options: tuple[str, ...] = ()
    saved: Callable[[onnx.ModelProto, Path], object] = onnx.save
    data: Callable[[], Mapping[str, np.ndarray]] | None = None

    def save(self, path: Path) -> None:
        """Write the model to a file."""
        self.saved(self.build(), path)


# -- text, sound, images, graphs ---------------------------------------------------------------------------------------


def text_classifier(words: int = 24, width: int = 8, hidden: int = 12, classes: int = 4) -> onnx.ModelProto:
    """Bytes as one-hot vectors, compared with a range; normalised by E[x^2] - E[x]^2, which cancels where the mean is
    large; two gated layers, a mean."""
    g = Builder(opset=13)
    text = g.input("bytes", 1, words, kind=INT64)
    last = g.constant([2])
    hot = g("Cast", g("Equal", g("Unsqueeze", text, last), g.constant(np.arange(256))), to=FLOAT)
    x = g("MatMul", hot, g.weight(256, width, around=20))
    axis = g.constant([-1])
    n = g.constant(float(width))
    for _ in range(2):
        mean = g("Div", g("ReduceSum", x, axis, keepdims=1), n)
        square = g("Div", g("ReduceSum", g("Mul", x, x), axis, keepdims=1), n)
        variance = g("Sub", square, g("Mul", mean, mean))
        deviation = g("Sqrt", g("Add", variance, g.constant(1e-5)))
        normal = g("Add", g("Mul", g("Div", g("Sub", x, mean), deviation), g.weight(width, around=1)), g.weight(width))
        gate = g("Sigmoid", g("MatMul", normal, g.weight(width, hidden)))
        raised = g("Mul", gate, g("MatMul", normal, g.weight(width, hidden)))
        x = g("Add", x, g("MatMul", raised, g.weight(hidden, width)))
    pooled = g("ReduceMean", x, axes=[1], keepdims=0)
    g.output("logits", g("Gemm", pooled, g.weight(width, classes), g.weight(classes)), 1, classes)
    return g.model()


def voice_detector(samples: int = 96, frame: int = 32, hop: int = 16, hidden: int = 6) -> onnx.ModelProto:
    """The spectrum of the sound, convolved along time, an LSTM whose state goes in and out, a probability."""
    g, bins = Builder(opset=17), frame // 2 + 1
    sound = g.input("sound", 1, samples)
    h, c = (g.input(name, 1, 1, hidden) for name in ("h", "c"))
    signal = g("Unsqueeze", sound, g.constant([2]))
    window = g.constant(np.hanning(frame), np.float32)
    spectrum = g("STFT", signal, g.constant(hop), window, onesided=1)
    power = g("ReduceSum", g("Mul", spectrum, spectrum), g.constant([3]), keepdims=0)
    level = g("Log", g("Add", power, g.constant(1.0)))
    x = g("Transpose", level, perm=[0, 2, 1])
    x = g("Relu", g("Conv", x, g.weight(8, bins, 3), g.weight(8), pads=[1, 1]))
    x = g("Transpose", x, perm=[2, 0, 1])
    weights = g.weight(1, 4 * hidden, 8), g.weight(1, 4 * hidden, hidden), g.weight(1, 8 * hidden)
    _, after, cell = g("LSTM", x, *weights, "", h, c, outputs=3, hidden_size=hidden)
    speech = g("Sigmoid", g("Gemm", g("Squeeze", after, g.constant([0])), g.weight(hidden, 1), g.weight(1)))
    g.output("speech", speech, 1, 1)
    g.output("hn", after, 1, 1, hidden)
    g.output("cn", cell, 1, 1, hidden)
    return g.model()


def voice_filter(samples: int = 64, channels: int = 6, hidden: int = 5) -> onnx.ModelProto:
    """An encoder of strided convolutions in one dimension, a GRU that makes a mask, and the way back to sound."""
    g = Builder(opset=17)
    x = g.input("noisy", 1, 1, samples)
    coded = g("Relu", g("Conv", x, g.weight(channels, 1, 8), strides=[4], pads=[2, 2]))
    rows = g("Transpose", coded, perm=[2, 0, 1])
    weights = g.weight(1, 3 * hidden, channels), g.weight(1, 3 * hidden, hidden), g.weight(1, 6 * hidden)
    y, _ = g("GRU", rows, *weights, outputs=2, hidden_size=hidden, linear_before_reset=1)
    mask = g("Sigmoid", g.linear(g("Squeeze", y, g.constant([1])), hidden, channels))  # [steps, 1, channels]
    kept = g("Mul", coded, g("Transpose", mask, perm=[1, 2, 0]))
    g.output("clean", g("ConvTranspose", kept, g.weight(channels, 1, 8), strides=[4], pads=[2, 2]), 1, 1, samples)
    return g.model()


def reader(letters: int = 12, hidden: int = 5) -> onnx.ModelProto:
    """Lines of text of any width: convolutions down to one row, an LSTM in both directions, letters for a CTC."""
    g = Builder(opset=14)
    x, n = g.input("line", 1, 1, 16, "width"), 1
    for m, pool in ((4, [2, 2]), (6, [8, 1])):
        x = g("Conv", x, g.weight(m, n, 3, 3), pads=[1] * 4)
        stored = g.weight(m, around=1), g.weight(m), g.weight(m), g.constant(np.full(m, 0.9))
        x = g("HardSwish", g("BatchNormalization", x, *stored))
        x, n = g("MaxPool", x, kernel_shape=pool, strides=pool), m
    rows = g("Transpose", g("Squeeze", x, g.constant([2])), perm=[2, 0, 1])
    weights = g.weight(2, 4 * hidden, n), g.weight(2, 4 * hidden, hidden), g.weight(2, 8 * hidden)
    y, _ = g("LSTM", rows, *weights, outputs=2, hidden_size=hidden, direction="bidirectional")
    flat = g("Reshape", g("Transpose", y, perm=[0, 2, 1, 3]), g.constant([0, 0, -1]))
    g.output("letters", g("Softmax", g.linear(flat, 2 * hidden, letters), axis=2), "steps", 1, letters)
    return g.model()


def _heads(g: Builder, classes: int) -> tuple[str, str, int]:
    """Boxes [1, places, 4] and scores [1, classes, places] of a small image, and how many places there are."""
    image = g.input("image", 1, 3, 16, 16)
    x = g("LeakyRelu", g("Conv", image, g.weight(6, 3, 3, 3), g.weight(6), strides=[2, 2], pads=[1] * 4), alpha=0.1)
    x = g("LeakyRelu", g("Conv", x, g.weight(8, 6, 3, 3), g.weight(8), strides=[2, 2], pads=[1] * 4), alpha=0.1)
    boxes = g("Conv", x, g.weight(4, 8, 1, 1), g.weight(4))
    scores = g("Sigmoid", g("Conv", x, g.weight(classes, 8, 1, 1), g.weight(classes)))
    boxes = g("Transpose", g("Reshape", boxes, g.constant([1, 4, -1])), perm=[0, 2, 1])
    corner, size = g("Split", boxes, outputs=2, axis=2)
    boxes = g("Concat", corner, g("Add", corner, g("Exp", size)), axis=2)
    return boxes, g("Reshape", scores, g.constant([1, classes, -1])), 16


def detector(classes: int = 3, most: int = 4) -> onnx.ModelProto:
    """Boxes and scores by 1 x 1 convolutions, then those that overlap no better one: how many depends on the image.
    Their boxes go through a last layer."""
    g = Builder(opset=17)
    boxes, scores, _ = _heads(g, classes)
    told = g.constant([most]), g.constant([0.5], np.float32), g.constant([0.4], np.float32)
    kept = g("NonMaxSuppression", boxes, scores, *told)
    column = g("Squeeze", g("Slice", kept, g.constant([2]), g.constant([3]), g.constant([1])), g.constant([1]))
    chosen = g("Gather", g("Squeeze", boxes, g.constant([0])), column)
    g.output("boxes", g("MatMul", chosen, g.weight(4, 4)), "found", 4)
    g.output("kept", g("Cast", kept, to=TensorProto.INT32), "found", 3, kind=TensorProto.INT32)
    return g.model()


def finder(classes: int = 3) -> onnx.ModelProto:
    """The places where a score passes a threshold, by NonZero and GatherND, and a layer on what is there."""
    g = Builder(opset=17)
    boxes, scores, _ = _heads(g, classes)
    best = g("ReduceMax", scores, axes=[1], keepdims=0)
    places = g("Transpose", g("NonZero", g("Greater", best, g.constant(0.5))), perm=[1, 0])
    g.output("boxes", g("MatMul", g("GatherND", boxes, places), g.weight(4, 4)), "found", 4)
    return g.model()


def ranker(classes: int = 3, most: int = 5) -> onnx.ModelProto:
    """The best places by TopK, so many that the model says how many, and their boxes by GatherElements."""
    g = Builder(opset=17)
    boxes, scores, _ = _heads(g, classes)
    best = g("ReduceMax", scores, axes=[1], keepdims=0)
    values, places = g("TopK", best, g.constant([most]), outputs=2, axis=1)
    each = g("Expand", g("Unsqueeze", places, g.constant([2])), g.constant([1, most, 4]))
    g.output("boxes", g("MatMul", g("GatherElements", boxes, each, axis=1), g.weight(4, 4)), 1, most, 4)
    g.output("scores", values, 1, most)
    return g.model()


def graph_network(nodes: int = 7, edges: int = 11, width: int = 6, hidden: int = 8, rounds: int = 2) -> onnx.ModelProto:
    """Messages along the edges of a graph, added up at their ends by ScatterElements, and a sum over each graph.

    Seven inputs: nodes, edges with their ends, which graph a node is of, weights of nodes and features of the graphs.
    """
    g = Builder(opset=18)
    x, along = g.input("x", nodes, width), g.input("edge_attr", edges, 3)
    source, target = (g.input(name, edges, kind=INT64) for name in ("source", "target"))
    owner, weight, whole = g.input("batch", nodes, kind=INT64), g.input("weight", nodes, 1), g.input("u", 2, 2)

    def added(values: str, index: str, count: int, rows: int, n: int) -> str:
        """Rows of values, added up by what `index` says of each."""
        zeros = g.constant(np.zeros((rows, n)), np.float32)
        at = g("Expand", g("Unsqueeze", index, g.constant([1])), g.constant([count, n]))
        return g("ScatterElements", zeros, at, values, axis=0, reduction="add")

    n = width
    for _ in range(rounds):
        message = g("Concat", g("Gather", x, source), g("Gather", x, target), along, axis=1)
        message = g("Relu", g.linear(message, 2 * n + 3, hidden))
        x = g("Relu", g.linear(g("Concat", x, added(message, target, edges, nodes, hidden), axis=1), n + hidden, n))
    pooled = added(g("Mul", x, weight), owner, nodes, 2, n)
    g.output("y", g.linear(g("Concat", pooled, whole, axis=1), n + 2, 1), 2, 1)
    return g.model()


# -- few bits ----------------------------------------------------------------------------------------------------------


def float_cnn(channels: int = 6, classes: int = 5) -> onnx.ModelProto:
    """What quantisers are given: convolutions with a residual Add, a depthwise one, pooling, a classifier."""
    g = Builder(opset=17)
    image = g.input("image", 1, 3, 8, 8)
    x = g("Relu", g("Conv", image, g.weight(channels, 3, 3, 3), g.weight(channels), pads=[1] * 4))
    y = g("Relu", g("Conv", x, g.weight(channels, 1, 3, 3), g.weight(channels), pads=[1] * 4, group=channels))
    x = g("Add", x, g("Conv", y, g.weight(channels, channels, 1, 1), g.weight(channels)))
    x = g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g("Flatten", g("GlobalAveragePool", x))
    x = g("Relu", g("MatMul", x, g.weight(channels, 8)))
    g.output("logits", g("Gemm", x, g.weight(8, classes), g.weight(classes)), 1, classes)
    return g.model()


class _Calibration:
    """Inputs for a quantiser to see."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.left = [{"image": rng.standard_normal((1, 3, 8, 8), np.float32)} for _ in range(3)]

    def get_next(self) -> dict[str, Any] | None:
        return self.left.pop() if self.left else None


def static(form: str, activation: str, weight: str, *, per_channel: bool) -> Callable[[onnx.ModelProto, Path], None]:
    """Quantised as ONNX Runtime's tool does it from examples: with `QDQ` nodes or operators on integers, QOperator."""

    def save(proto: onnx.ModelProto, path: Path) -> None:
        from onnxruntime import quantization as q

        q.quantize_static(
            proto,
            path,
            _Calibration(),  # type: ignore[arg-type]
            quant_format=q.QuantFormat[form],
            activation_type=q.QuantType[activation],
            weight_type=q.QuantType[weight],
            per_channel=per_channel,
        )

    return save


def dynamic(weight: str, *, per_channel: bool = False) -> Callable[[onnx.ModelProto, Path], None]:
    """Quantised as it runs: MatMulInteger and ConvInteger behind DynamicQuantizeLinear."""

    def save(proto: onnx.ModelProto, path: Path) -> None:
        from onnxruntime import quantization as q

        q.quantize_dynamic(proto, path, weight_type=q.QuantType[weight], per_channel=per_channel)

    return save


def few_bits(bits: int = 4, k: int = 32, n: int = 8, block: int = 16) -> onnx.ModelProto:
    """Two products with weights of few bits in blocks, with and without zero points."""
    g = Builder(opset=17)
    x = g.input("x", 3, k)
    per = 8 // bits
    for columns, rows in ((n * 4, k), (n, n * 4)):
        blocks = rows // block
        kept = g.constant(g.rng.integers(0, 256, (columns, blocks, block // per)), np.uint8)
        scales = g.constant(g.rng.uniform(0.01, 0.05, (columns, blocks)))
        zeros = [g.constant(g.rng.integers(0, 256, (columns, -(-blocks // per))), np.uint8)] if columns == n else []
        told = {"K": rows, "N": columns, "bits": bits, "block_size": block, "domain": MS}
        x = g("MatMulNBits", x, kept, scales, *zeros, **told)
    g.output("y", x, 3, n)
    return g.model()


def half_inside(width: int = 16) -> onnx.ModelProto:
    """Single precision outside, half precision for a convolution and a block of products inside."""
    g = Builder(opset=17)
    x = g("Cast", g.input("x", 1, 3, 8, 8), to=HALF)

    def half(*shape: int) -> str:
        return g.constant(g.rng.standard_normal(shape) * 0.2, np.float16)

    x = g("Relu", g("Conv", x, half(width, 3, 2, 2), half(width), strides=[2, 2]))
    rows = g("Transpose", g("Reshape", x, g.constant([1, width, -1])), perm=[0, 2, 1])
    scores = g(
        "MatMul", g("MatMul", rows, half(width, 8)), g("Transpose", g("MatMul", rows, half(width, 8)), perm=[0, 2, 1])
    )
    seen = g("MatMul", g("Softmax", scores, axis=-1), rows)
    outside = g("Cast", g("ReduceMean", seen, axes=[1], keepdims=0), to=FLOAT)
    g.output("y", g.linear(outside, width, 3), 1, 3)
    return g.model()


_FEATURES = 8 * 8 * 6 * 27 + 4 * 4 * 8 * 54 + 16 * 8 * (4 + 3)
"""Of the convolutions of whatever finds things in images."""


def _image() -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(0).standard_normal((1, 3, 16, 16), np.float32)}


_IMAGES = {"QLinearConv": 3, "MaxPool": 1, "GlobalAveragePool": 1, "QLinearMatMul": 1, "QGemm": 1}
_WHOLE = {"QLinearConv": 3, "MaxPool": 1, "QLinearMatMul": 1, "QGemm": 1}  # the mean is one of integers, and moves
_DYNAMIC = {"ConvInteger": 3, "MaxPool": 1, "GlobalAveragePool": 1, "MatMulInteger": 2}
_CNN = 64 * (6 * 27 + 6 * 9 + 6 * 6) + 6 * 8 + 8 * 5

REPRESENTATIVES = {
    "text classifier": Representative(
        text_classifier,
        {"MatMul": 7, "ReduceSum": 4, "ReduceMean": 1, "Gemm": 1},
        24 * 256 * 8 + 2 * 3 * 24 * 8 * 12 + 8 * 4,
    ),
    "voice detector": Representative(
        voice_detector,
        {"ReduceSum": 1, "Conv": 1, "LSTM": 2, "Gemm": 1},
        5 * 8 * 17 * 3 + 5 * 24 * (8 + 6) + 6,  # five frames of 17 bins
    ),
    "voice filter": Representative(
        voice_filter,
        {"Conv": 1, "GRU": 2, "MatMul": 1, "ConvTranspose": 4},
        16 * 6 * 8 + 16 * 15 * (6 + 5) + 16 * 5 * 6 + 16 * 6 * 8,
    ),
    "reader": Representative(
        reader,
        {"Conv": 2, "MaxPool": 2, "LSTM": 4, "MatMul": 1},
        16 * 24 * 4 * 9 + 8 * 12 * 6 * 36 + 2 * 12 * 20 * (6 + 5) + 12 * 10 * 12,
        ("--dim", "width=24"),
    ),
    "reader of a longer line": Representative(
        reader,
        {"Conv": 2, "MaxPool": 2, "LSTM": 4, "MatMul": 1},
        16 * 40 * 4 * 9 + 8 * 20 * 6 * 36 + 2 * 20 * 20 * (6 + 5) + 20 * 10 * 12,
        ("--dim", "width=40"),
    ),
    "detector": Representative(
        detector,
        {"Conv": 4, "MatMul": 1},
        _FEATURES + 12 * 4 * 4,
        ("--shape", "/NonMaxSuppression_14_output_0=12x3"),
        data=_image,
    ),
    "finder": Representative(
        finder,
        {"Conv": 4, "ReduceMax": 1, "MatMul": 1},
        _FEATURES + 12 * 4 * 4,
        ("--shape", "/NonZero_16_output_0=2x12"),
        data=_image,
    ),
    "ranker": Representative(ranker, {"Conv": 4, "ReduceMax": 1, "MatMul": 1}, _FEATURES + 5 * 4 * 4),
    "graph network": Representative(
        graph_network, {"MatMul": 5}, 2 * (11 * (6 + 6 + 3) * 8 + 7 * (6 + 8) * 6) + 2 * (6 + 2)
    ),
    "QDQ u8s8": Representative(float_cnn, _IMAGES, _CNN, saved=static("QDQ", "QUInt8", "QInt8", per_channel=False)),
    "QDQ u8u8": Representative(float_cnn, _IMAGES, _CNN, saved=static("QDQ", "QUInt8", "QUInt8", per_channel=False)),
    "QDQ s8s8 by channel": Representative(
        float_cnn, _IMAGES, _CNN, saved=static("QDQ", "QInt8", "QInt8", per_channel=True)
    ),
    "QOperator u8s8 by channel": Representative(
        float_cnn, _WHOLE, _CNN, saved=static("QOperator", "QUInt8", "QInt8", per_channel=True)
    ),
    "QOperator u8u8": Representative(
        float_cnn, _WHOLE, _CNN, saved=static("QOperator", "QUInt8", "QUInt8", per_channel=False)
    ),
    "quantised as it runs, u8u8": Representative(float_cnn, _DYNAMIC, _CNN, saved=dynamic("QUInt8")),
    "quantised as it runs, u8s8": Representative(float_cnn, _DYNAMIC, _CNN, saved=dynamic("QInt8")),
    "half precision inside": Representative(
        half_inside,
        {"Conv": 1, "MatMul": 5, "ReduceMean": 1},
        16 * 16 * 3 * 4 + 2 * 16 * 16 * 8 + 16 * 16 * 8 + 16 * 16 * 16 + 16 * 3,
    ),
    "weights of 4 bits": Representative(few_bits, {"MatMulNBits": 2}, 3 * 32 * 32 + 3 * 32 * 8),
}
