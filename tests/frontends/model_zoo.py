"""Small models as exporters write them: with symbolic dims, shapes that nodes compute, and real-valued weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INT64, FLOAT, BOOL = TensorProto.INT64, TensorProto.FLOAT, TensorProto.BOOL


class Builder:
    """A model in the making: calling it adds a node, `g("Add", a, b)` is the name of the sum."""

    def __init__(self, opset: int, seed: int = 0) -> None:
        self.opset, self.rng = opset, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        made = [f"/{op}_{len(self.nodes)}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name=f"/{op}_{len(self.nodes)}", **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any, dtype: Any = None) -> str:
        """A value that is stored in the model; floats are single."""
        array = np.asarray(value, dtype)
        array = array.astype(np.float32) if dtype is None and array.dtype == np.float64 else array
        self.stored.append(numpy_helper.from_array(array, f"const_{len(self.stored)}"))
        return self.stored[-1].name

    def weight(self, *shape: int, around: float = 0.0) -> str:
        """A weight of this shape, small enough to keep what goes through many layers small."""
        return self.constant((around + self.rng.standard_normal(shape) * 0.2).astype(np.float32))

    def input(self, name: str, *shape: int | str, kind: int = FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, *shape: int | str, kind: int = FLOAT) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"/{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "main_graph", self.inputs, self.outputs, self.stored)
        others = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in others)]
        return helper.make_model(graph, ir_version=8, opset_imports=opsets)

    # -- what exporters write for what they do not have an operator for --------------------------------------------

    def size(self, value: str, axis: int) -> str:
        """The size of an axis, as a scalar."""
        return self("Gather", self("Shape", value), self.constant(axis), axis=0)

    def together(self, *sizes: str | int) -> str:
        """Scalars and numbers as a list, which is a shape."""
        first = self.constant([0])
        listed = [self("Unsqueeze", n, first) if isinstance(n, str) else self.constant([n]) for n in sizes]
        return self("Concat", *listed, axis=0)

    def linear(self, x: str, n: int, m: int) -> str:
        """The product with a weight and a bias, of whatever rank."""
        return self("Add", self.weight(m), self("MatMul", x, self.weight(n, m)))

    def norm(self, x: str, n: int) -> str:
        """Layer normalisation: one operator from opset 17 on, nine before."""
        scale, bias = self.weight(n, around=1), self.weight(n)
        if self.opset >= 17:
            return self("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-5)
        centred = self("Sub", x, self("ReduceMean", x, axes=[-1]))
        variance = self("ReduceMean", self("Pow", centred, self.constant(2.0)), axes=[-1])
        deviation = self("Sqrt", self("Add", variance, self.constant(1e-5)))
        return self("Add", self("Mul", self("Div", centred, deviation), scale), bias)

    def gelu(self, x: str) -> str:
        """With the error function, or for older opsets as GPT-2 approximates it."""
        if self.opset >= 17:
            grown = self("Add", self("Erf", self("Div", x, self.constant(2**0.5))), self.constant(1.0))
            return self("Mul", self("Mul", x, grown), self.constant(0.5))
        cube = self("Mul", self("Pow", x, self.constant(3.0)), self.constant(0.044715))
        bent = self("Tanh", self("Mul", self("Add", x, cube), self.constant((2 / np.pi) ** 0.5)))
        return self("Mul", self("Mul", x, self.constant(0.5)), self("Add", bent, self.constant(1.0)))

    def mlp(self, x: str, width: int, hidden: int) -> str:
        return self.linear(self.gelu(self.linear(x, width, hidden)), hidden, width)

    def by_heads(self, x: str, batch: str, length: str, heads: int, size: int) -> str:
        """[batch, length, width] as [batch, heads, length, size]."""
        return self("Transpose", self("Reshape", x, self.together(batch, length, heads, size)), perm=[0, 2, 1, 3])

    def flat(self, x: str, batch: str, length: str, width: int) -> str:
        """And back."""
        return self("Reshape", self("Transpose", x, perm=[0, 2, 1, 3]), self.together(batch, length, width))


def encoder(width: int = 8, heads: int = 2, hidden: int = 12, words: int = 20, blocks: int = 2) -> onnx.ModelProto:
    """BERT's inputs, normalisation before each part (pre-norm), a mask of the words that are padding."""
    g = Builder(opset=17)
    ids, mask = (g.input(name, "batch", "sequence", kind=INT64) for name in ("input_ids", "attention_mask"))
    batch, length, size = g.size(ids, 0), g.size(ids, 1), width // heads
    places = g("Slice", g.weight(32, width), g.constant([0]), g("Unsqueeze", length, g.constant([0])), g.constant([0]))
    x = g("Add", g("Gather", g.weight(words, width), ids), places)
    hidden_words = g("Sub", g.constant(1.0), g("Cast", g("Unsqueeze", mask, g.constant([1, 2])), to=FLOAT))
    bias = g("Mul", hidden_words, g.constant(np.finfo(np.float32).min, np.float32))
    for _ in range(blocks):
        y = g.norm(x, width)
        q, k, v = (g.by_heads(g.linear(y, width, width), batch, length, heads, size) for _ in "qkv")
        scores = g("Div", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.constant(size**0.5))
        seen = g("MatMul", g("Softmax", g("Add", scores, bias), axis=-1), v)
        x = g("Add", g.linear(g.flat(seen, batch, length, width), width, width), x)
        x = g("Add", x, g.mlp(g.norm(x, width), width, hidden))
    g.output("last_hidden_state", g.norm(x, width), "batch", "sequence", width)
    return g.model()


def decoder(width: int = 8, heads: int = 2, hidden: int = 12, words: int = 20, blocks: int = 2) -> onnx.ModelProto:
    """GPT-2 with a cache: keys and values of the words before come in and go out, longer by the new ones.

    A triangle is the mask: words see those before them and themselves. The projections are Gemms of all words.
    """
    g, size = Builder(opset=14), width // heads
    ids = g.input("input_ids", "batch", "sequence", kind=INT64)
    past = [[g.input(f"past_{i}.{n}", "batch", heads, "past", size) for n in ("key", "value")] for i in range(blocks)]
    batch, length, before = g.size(ids, 0), g.size(ids, 1), g.size(past[0][0], 2)
    whole = g("Add", before, length)
    embedding, first = g.weight(words, width), g.constant([0])
    x = g(
        "Add", g("Gather", embedding, ids), g("Gather", g.weight(99, width), g("Range", before, whole, g.constant(1)))
    )
    ones = g("ConstantOfShape", g.together(whole, whole), value=helper.make_tensor("value", BOOL, [1], [True]))
    triangle = g("Trilu", ones, upper=0)
    seen = g("Slice", triangle, g("Unsqueeze", before, first), g("Unsqueeze", whole, first), first)

    def projected(y: str, n: int, m: int) -> str:
        flat = g("Gemm", g("Reshape", y, g.constant([-1, n])), g.weight(n, m), g.weight(m))
        return g("Reshape", flat, g.together(batch, length, m))

    for i, kept in enumerate(past):
        qkv = g("Split", projected(g.norm(x, width), width, 3 * width), outputs=3, axis=2)
        q, *fresh = (g.by_heads(part, batch, length, heads, size) for part in qkv)
        k, v = (g("Concat", old, new, axis=-2) for old, new in zip(kept, fresh, strict=True))
        scores = g("Div", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), g.constant(size**0.5))
        weights = g("Softmax", g("Where", seen, scores, g.constant(-10000.0)), axis=-1)
        x = g("Add", x, projected(g.flat(g("MatMul", weights, v), batch, length, width), width, width))
        x = g("Add", x, projected(g.gelu(projected(g.norm(x, width), width, hidden)), hidden, width))
        for name, value in (("key", k), ("value", v)):
            g.output(f"present_{i}.{name}", value, "batch", heads, "past + sequence", size)
    logits = g("MatMul", g.norm(x, width), g("Transpose", embedding, perm=[1, 0]))
    g.output("logits", logits, "batch", "sequence", words)
    return g.model()


def gated_decoder(
    width: int = 8, heads: int = 4, groups: int = 2, hidden: int = 12, words: int = 20, blocks: int = 1
) -> onnx.ModelProto:
    """Llama with a cache: rotated queries and keys, heads that share keys and values, a gate, roots of mean squares.

    The mask compares the numbers of words, and is minus infinity where one is not seen.
    """
    g, size = Builder(opset=17), width // heads
    ids = g.input("input_ids", "batch", "sequence", kind=INT64)
    past = [[g.input(f"past_{i}.{n}", "batch", groups, "past", size) for n in ("key", "value")] for i in range(blocks)]
    batch, length, before = g.size(ids, 0), g.size(ids, 1), g.size(past[0][0], 2)
    whole = g("Add", before, length)
    here, there = (g("Range", start, whole, g.constant(1)) for start in (before, g.constant(0)))
    unseen = g("Greater", g("Unsqueeze", there, g.constant([0])), g("Unsqueeze", here, g.constant([1])))
    nothing = g("ConstantOfShape", g("Shape", unseen))
    mask = g("Where", unseen, g.constant(-np.inf), nothing)
    turns = g.constant(10.0 ** -np.arange(size // 2)[None])
    angles = g("MatMul", g("Unsqueeze", g("Cast", here, to=FLOAT), g.constant([1])), turns)
    angles = g("Concat", angles, angles, axis=-1)
    cosine, sine = g("Cos", angles), g("Sin", angles)

    def norm(x: str) -> str:
        mean = g("ReduceMean", g("Pow", x, g.constant(2.0)), axes=[-1])
        root = g("Sqrt", g("Add", mean, g.constant(1e-6)))
        return g("Mul", g.weight(width, around=1), g("Mul", x, g("Reciprocal", root)))

    def rotated(x: str) -> str:
        half, last = g.constant([size // 2]), g.constant([-1])
        low = g("Slice", x, g.constant([0]), half, last)
        high = g("Slice", x, half, g.constant([np.iinfo(np.int64).max]), last)
        return g("Add", g("Mul", x, cosine), g("Mul", g("Concat", g("Neg", high), low, axis=-1), sine))

    def shared(x: str) -> str:
        shape = g.together(batch, groups, heads // groups, whole, size)
        repeated = g("Expand", g("Unsqueeze", x, g.constant([2])), shape)
        return g("Reshape", repeated, g.together(batch, heads, whole, size))

    x = g("Gather", g.weight(words, width), ids)
    for i, kept in enumerate(past):
        y = norm(x)
        q, k, v = (
            g.by_heads(g("MatMul", y, g.weight(width, n * size)), batch, length, n, size)
            for n in (heads, groups, groups)
        )
        k, v = (g("Concat", old, new, axis=2) for old, new in zip(kept, (rotated(k), v), strict=True))
        for name, value in (("key", k), ("value", v)):
            g.output(f"present_{i}.{name}", value, "batch", groups, "past + sequence", size)
        scores = g("MatMul", rotated(q), g("Transpose", shared(k), perm=[0, 1, 3, 2]))
        weights = g("Softmax", g("Add", g("Mul", scores, g.constant(size**-0.5)), mask), axis=-1)
        found = g.flat(g("MatMul", weights, shared(v)), batch, length, width)
        x = g("Add", x, g("MatMul", found, g.weight(width, width)))
        y = norm(x)
        gate = g("MatMul", y, g.weight(width, hidden))
        open_ = g("Mul", g("Mul", gate, g("Sigmoid", gate)), g("MatMul", y, g.weight(width, hidden)))
        x = g("Add", x, g("MatMul", open_, g.weight(hidden, width)))
    g.output("logits", g("MatMul", norm(x), g.weight(width, words)), "batch", "sequence", words)
    return g.model()


def generator(
    width: int = 64, heads: int = 4, groups: int = 2, hidden: int = 80, words: int = 20, blocks: int = 2
) -> onnx.ModelProto:
    """Llama as ONNX Runtime generates text with it: its own operators, weights of 4 bits in blocks, and how many words
    there are is the sum of the mask."""
    g, size, ms = Builder(opset=17), width // heads, "com.microsoft"
    ids = g.input("input_ids", "batch", "sequence", kind=INT64)
    mask = g.input("attention_mask", "batch", "total", kind=INT64)
    past = [[g.input(f"past_{i}.{n}", "batch", groups, "past", size) for n in ("key", "value")] for i in range(blocks)]
    counted = g("ReduceSum", mask, g.constant([1]), keepdims=0)
    last = g("Cast", g("Sub", counted, g.constant([1])), to=TensorProto.INT32)
    total = g("Cast", g.size(mask, 1), to=TensorProto.INT32)
    angles = np.outer(np.arange(64), 10.0 ** -np.arange(size // 2))
    turns = g.constant(np.cos(angles)), g.constant(np.sin(angles))

    def packed(x: str, k: int, n: int) -> str:
        kept = g.constant(g.rng.integers(0, 256, (n, k // 16, 8)), np.uint8)
        scales = g.constant(g.rng.uniform(0.01, 0.05, (n, k // 16)))
        told = {"K": k, "N": n, "bits": 4, "block_size": 16}
        return g("MatMulNBits", x, kept, scales, domain=ms, **told)

    def norm(x: str, y: str) -> tuple[str, str]:
        normal, *_, sum_ = g(
            "SkipSimplifiedLayerNormalization", x, y, g.weight(width, around=1), outputs=4, domain=ms, epsilon=1e-6
        )
        return normal, sum_

    x = g("Gather", g.weight(words, width), ids)
    y = g("SimplifiedLayerNormalization", x, g.weight(width, around=1), axis=-1, epsilon=1e-6, stash_type=1)
    for i, kept in enumerate(past):
        qkv = packed(y, width, (heads + 2 * groups) * size)
        told = {"num_heads": heads, "kv_num_heads": groups, "do_rotary": 1}
        found, *present = g(
            "GroupQueryAttention", qkv, "", "", *kept, last, total, *turns, outputs=3, domain=ms, **told
        )
        for name, value in zip(("key", "value"), present, strict=True):
            g.output(f"present_{i}.{name}", value, "batch", groups, "total", size)
        y, x = norm(x, packed(found, width, width))
        gate = packed(y, width, hidden)
        raised = g("Mul", g("Mul", gate, g("Sigmoid", gate)), packed(y, width, hidden))
        y, x = norm(x, packed(raised, hidden, width))
    g.output("logits", g("MatMul", y, g.weight(width, words)), "batch", "sequence", words)
    return g.model()


def vit(
    size: int = 12, patch: int = 4, width: int = 8, heads: int = 2, hidden: int = 12, classes: int = 5, blocks: int = 2
) -> onnx.ModelProto:
    """Patches by a strided convolution, a class token in front of them, blocks with Q, K and V in one product."""
    g, tokens = Builder(opset=17), (size // patch) ** 2 + 1
    image = g.input("pixel_values", "batch", 3, size, size)
    batch = g.size(image, 0)
    patches = g("Conv", image, g.weight(width, 3, patch, patch), g.weight(width), strides=[patch, patch])
    kept = g("Slice", g("Shape", patches), *map(g.constant, ([0], [2], [0])))
    flat = g("Reshape", patches, g("Concat", kept, g.constant([-1]), axis=0))
    token = g("Expand", g.weight(1, 1, width), g.together(batch, 1, width))
    x = g("Add", g("Concat", token, g("Transpose", flat, perm=[0, 2, 1]), axis=1), g.weight(1, tokens, width))
    for _ in range(blocks):
        qkv = g.linear(g.norm(x, width), width, 3 * width)
        split = g("Reshape", qkv, g.together(batch, tokens, 3, heads, width // heads))
        turned = g("Transpose", split, perm=[2, 0, 3, 1, 4])
        q, k, v = (g("Gather", turned, g.constant(i), axis=0) for i in range(3))
        q = g("Mul", q, g.constant((width // heads) ** -0.5))
        seen = g("MatMul", g("Softmax", g("MatMul", q, g("Transpose", k, perm=[0, 1, 3, 2])), axis=-1), v)
        x = g("Add", x, g.linear(g.flat(seen, batch, g.size(x, 1), width), width, width))
        x = g("Add", x, g.mlp(g.norm(x, width), width, hidden))
    head = g("Gather", g.norm(x, width), g.constant(0), axis=1)
    g.output("logits", g("Gemm", head, g.weight(classes, width), g.weight(classes), transB=1), "batch", classes)
    return g.model()


def unet(channels: int = 4, depth: int = 2, classes: int = 2, *, resize: bool = False) -> onnx.ModelProto:
    """Down by pooling, up by transposed convolutions, or resized to what it is joined with, which may be odd."""
    g = Builder(opset=13)
    x = g.input("image", "batch", 3, "height", "width")

    def twice(y: str, n: int, m: int) -> str:
        for a in (n, m):
            y = g("Relu", g("Conv", y, g.weight(m, a, 3, 3), g.weight(m), pads=[1] * 4, kernel_shape=[3, 3]))
        return y

    def up(y: str, skip: str, n: int) -> str:
        if not resize:
            return g("ConvTranspose", y, g.weight(n, n // 2, 2, 2), g.weight(n // 2), strides=[2, 2])
        begin, middle, end = map(g.constant, ([0], [2], [4]))
        ends = ((y, begin, middle), (skip, middle, end))
        sizes = [g("Slice", g("Shape", value), a, b, begin) for value, a, b in ends]
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        wide = g("Resize", y, "", "", g("Concat", *sizes, axis=0), **mode)
        return g("Conv", wide, g.weight(n // 2, n, 1, 1), g.weight(n // 2))

    skips, n = [], 3
    for level in range(depth):
        x = twice(x, n, channels << level)
        n = channels << level
        skips.append((x, n))
        x = g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = twice(x, n, 2 * n)
    for skip, n in reversed(skips):
        x = twice(g("Concat", skip, up(x, skip, 2 * n), axis=1), 2 * n, n)
    mask = g("Sigmoid", g("Conv", x, g.weight(classes, n, 1, 1), g.weight(classes)))
    g.output("mask", mask, "batch", classes, "height", "width")
    return g.model()


def quantized_cnn(channels: int = 4, classes: int = 5, size: int = 8) -> onnx.ModelProto:
    """Two convolutions, one of them depthwise, a residual Add and a classifier, between nodes that quantise and
    dequantise: 8-bit activations with a zero point, 8-bit weights by channel, 32-bit biases."""
    g = Builder(opset=13)

    def quantized(y: str, scale: float, zero: int = 128) -> tuple[str, float]:
        told = g.constant(scale), g.constant(zero, np.uint8)
        return g("DequantizeLinear", g("QuantizeLinear", y, *told), *told), scale

    def stored(array: np.ndarray, scales: np.ndarray, kind: type) -> str:
        whole = np.rint(array / scales.reshape(-1, *(1,) * (array.ndim - 1))).astype(kind)
        told = whole, scales.astype(np.float32), np.zeros(len(scales), kind)
        return g("DequantizeLinear", *map(g.constant, told), axis=0)

    def layer(op: str, x: str, scale: float, *shape: int, **attributes: Any) -> str:
        weight = g.rng.standard_normal(shape) * 0.3
        scales = np.abs(weight).max(axis=tuple(range(1, len(shape)))) / 127
        bias = stored(g.rng.standard_normal(shape[0]) * 0.1, scales * scale, np.int32)
        return g(op, x, stored(weight, scales, np.int8), bias, **attributes)

    x, scale = quantized(g.input("image", "batch", 3, size, size), 1 / 32)
    x, scale = quantized(g("Relu", layer("Conv", x, scale, channels, 3, 3, 3, pads=[1] * 4, strides=[2, 2])), 1 / 64, 0)
    y, _ = quantized(layer("Conv", x, scale, channels, 1, 3, 3, pads=[1] * 4, group=channels), 1 / 40)
    x, scale = quantized(g("Relu", g("Add", x, y)), 1 / 50, 0)
    x, scale = quantized(g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), scale, 0)
    x, scale = quantized(g("Flatten", x), scale, 0)
    features = channels * (size // 4) ** 2
    x, scale = quantized(layer("Gemm", x, scale, classes, features, transB=1), 1 / 20)
    g.output("logits", x, "batch", classes)
    return g.model()
