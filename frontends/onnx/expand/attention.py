"""Attention: what queries find in keys weighs the values.

    scores = cap(scale * Q K^T) + biases, -infinity where a query does not see a key;  output = softmax(scores) V

Q has the shape [batch, heads, queries, size], K and V have [batch, groups, keys, size]. As many heads as there are for
each group share its keys and values: their queries are rows of one product, so that these are read once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from frontends.onnx.expand.body import Body
from frontends.onnx.expand.quantized import scaled


def standard(body: Body) -> None:
    """Attention of the ONNX standard.

    Its definition there scales Q and K before the product, and copies K and V for the heads that share them. Here it is
    the scores that are scaled, as they leave the product, and nothing is copied.
    """
    site, told = body.site, body.site.attributes
    shapes = [site.shape(value) for value in site.inputs[:3]]
    flat = len(shapes[0]) == 3
    names = ("q_num_heads", "kv_num_heads", "kv_num_heads")
    counts = [
        shape[1] if len(shape) == 4 else int(told.get(name, 0)) for name, shape in zip(names, shapes, strict=True)
    ]
    q, k, v = (Heads.of(body, *of) for of in zip(site.inputs, shapes, counts, strict=False))
    fresh = k.length
    k, v = k.after(body, site.optional(4)), v.after(body, site.optional(5))
    if (mode := int(told.get("qk_matmul_output_mode", 0))) not in range(4):
        raise site.refuse(f"unknown qk_matmul_output_mode {mode}", "0 to 3 are known")
    weigh = Weigh(
        body,
        told.get("scale", q.scale),
        cap=float(told.get("softcap", 0)),
        precision=int(told.get("softmax_precision", 0)),
    )
    weigh.mask(site.optional(3), k.length)
    first: int | str = k.length - fresh  # the position of the first query among the keys
    if (lengths := site.optional(6)) is not None:
        lengths = body.reshape(lengths, q.batch, 1, 1, 1)
        weigh.seen.append(body("Less", body.places(k.length), lengths))
        first = body("Sub", lengths, body.integers(q.length))
    right = 0 if told.get("is_causal") else int(told.get("right_window_size", -1))
    weigh.window(q, k, first, int(told.get("left_window_size", -1)), right)
    found = attend(body, q, k, v, weigh)
    body.result(0, found.flat(body) if flat else found.value)
    body.result(1, k.value)
    body.result(2, v.value)
    body.result(3, weigh.stages[mode])


def multi_head(body: Body) -> None:
    """MultiHeadAttention of com.microsoft: query, key and value, separate or packed, a bias of these, a mask of keys, a
    bias of the scores, and keys and values of before."""
    site = body.site
    body.required(1)
    if site.optional(8) or site.optional(9):
        raise site.refuse("a cache that is written in place is not supported")
    if len(site.outputs) > 3 and site.outputs[3]:
        raise site.refuse("the scores as an output are not supported")
    heads = int(site.attributes.get("num_heads", 0))
    parts = _unpacked(body, heads)
    if (bias := site.optional(3)) is not None:
        widths = [shape[2] if len(shape) == 3 else heads * shape[3] for _, shape in parts]
        biases = split(body, bias, widths, 0)
        # keys and values that come by heads are those of an encoder, with their bias
        parts = [
            (body("Add", value, bias) if len(shape) == 3 else value, shape)
            for (value, shape), bias in zip(parts, biases, strict=True)
        ]
    q, k, v = (Heads.of(body, value, shape, heads) for value, shape in parts)
    fresh = k.length
    k, v = k.after(body, site.optional(6)), v.after(body, site.optional(7))
    found = attend(body, q, k, v, _biased(body, q, k, fresh, site.optional(4), site.optional(5)))
    body.result(0, found.flat(body))
    body.result(1, k.value)
    body.result(2, v.value)


def projected(body: Body) -> None:
    """Attention of com.microsoft: the product of an input and weights, plus a bias, is queries, keys and values side by
    side. The keys and values of before are one tensor, and so are the present ones."""
    product = body("MatMul", *body.required(2), name="projection")
    _projected(body, product, mask=3, past=4, bias=5)


def projected_integers(body: Body) -> None:
    """QAttention of com.microsoft: the same of integers, with their scales and zero points."""
    x, weights, _, x_scale, w_scale = body.required(5)
    zeros = (body.site.optional(index) for index in (6, 7))
    product = body("MatMulInteger", x, weights, *zeros, name="projection")
    _projected(body, scaled(body, product, body("Mul", x_scale, w_scale)), mask=5, past=8)


def _projected(body: Body, product: str, *, mask: int, past: int, bias: int | None = None) -> None:
    """What follows the product; the inputs at these indices are the mask, the past, and the bias of the scores."""
    site = body.site
    for name in ("do_rotary", "past_present_share_buffer"):
        if site.attributes.get(name):
            raise site.refuse(f"{name} is not supported")
    x, weights = map(site.shape, site.inputs[:2])
    if len(x) != 3 or len(weights) != 2:
        raise site.refuse(f"an input of shape {x} and weights of shape {weights} are not supported")
    heads, (batch, length, _), width = int(site.attributes.get("num_heads", 0)), x, weights[1]
    widths = site.ints("qkv_hidden_sizes", (width // 3,) * 3)
    if sum(widths) != width:
        raise site.refuse(f"the weights have {width} columns, not {' + '.join(map(str, widths))}")
    if (added := site.optional(2)) is not None:
        product = body("Add", product, added)
    parts = zip(split(body, product, widths, 2), widths, strict=True)
    q, k, v = (Heads.of(body, value, (batch, length, n), heads) for value, n in parts)
    if site.optional(past) or (len(site.outputs) > 1 and site.outputs[1]):
        k, v = _kept(body, k, v, site.optional(past))
    biases = None if bias is None else site.optional(bias)
    found = attend(body, q, k, v, _biased(body, q, k, length, site.optional(mask), biases))
    body.result(0, found.flat(body))


@dataclass(frozen=True)
class Heads:
    """A value of the shape [batch, heads, length, size]."""

    value: str
    batch: int
    heads: int
    length: int
    size: int

    @classmethod
    def of(cls, body: Body, value: str, shape: Sequence[int], heads: int) -> Heads:
        """Of a value of this shape: such a one, or [batch, length, heads * size]."""
        if len(shape) == 4 and shape[1] == heads:
            return cls(value, *shape)
        if len(shape) != 3 or heads < 1 or shape[2] % heads:
            raise body.site.refuse(f"{value} of shape {tuple(shape)} does not have {heads} heads")
        batch, length, width = shape
        parted = body.reshape(value, batch, length, heads, width // heads)
        return cls(body("Transpose", parted, perm=[0, 2, 1, 3]), batch, heads, length, width // heads)

    @property
    def scale(self) -> float:
        """What scores are multiplied with unless a model says otherwise; of heads without elements they are 0."""
        return float(max(self.size, 1) ** -0.5)

    def after(self, body: Body, past: str | None) -> Heads:
        """This behind a value of before, if there is one."""
        if past is None:
            return self
        shape = body.site.shape(past)
        if len(shape) != 4 or (*shape[:2], shape[3]) != (self.batch, self.heads, self.size):
            raise body.site.refuse(f"{past} has shape {shape}, not [{self.batch}, {self.heads}, .., {self.size}]")
        return replace(self, value=body("Concat", past, self.value, axis=2), length=shape[2] + self.length)

    def flat(self, body: Body) -> str:
        """The value as [batch, length, heads * size]."""
        turned = body("Transpose", self.value, perm=[0, 2, 1, 3])
        return body.reshape(turned, self.batch, self.length, self.heads * self.size)


def attend(body: Body, q: Heads, k: Heads, v: Heads, weigh: Callable[[str], str]) -> Heads:
    """What the queries find: `weigh` makes weights of scores, both of the shape [batch, heads, queries, keys]."""
    shared = q.heads // max(1, k.heads)
    if (k.batch, k.heads * shared, k.size) != (q.batch, q.heads, q.size):
        raise body.site.refuse(f"{q.heads} heads of {q.size} and {k.heads} of {k.size} for the keys do not fit")
    if (v.batch, v.heads, v.length) != (k.batch, k.heads, k.length):
        raise body.site.refuse("there are not as many values as keys")
    rows, each = (q.batch, k.heads, shared * q.length), (q.batch, q.heads, q.length)

    def shaped(value: str, *shape: int) -> str:
        return value if rows == each else body.reshape(value, *shape)

    turned = body("Transpose", k.value, perm=[0, 1, 3, 2])
    scores = body("MatMul", shaped(q.value, *rows, q.size), turned, name="scores")
    weights = weigh(shaped(scores, *each, k.length))
    found = body("MatMul", shaped(weights, *rows, k.length), v.value, name="values")
    return Heads(shaped(found, *each, v.size), *each, v.size)


@dataclass
class Weigh:
    """Makes weights of scores. `biases` are added, `seen` says where a query sees a key, both as broadcast.

    `precision` is ONNX's number of the type in which the softmax is taken, 0 if that is the scores'. `stages` are the
    scores scaled, capped and biased, and the weights.
    """

    body: Body
    scale: float
    cap: float = 0.0
    precision: int = 0
    biases: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    def __call__(self, scores: str) -> str:
        body, lowest = self.body, self.constant(-np.inf)
        scores = scaled = body("Mul", scores, self.constant(self.scale))
        if self.cap:
            most = self.constant(self.cap)
            scores = body("Mul", body("Tanh", body("Div", scores, most)), most)
        capped = scores
        for bias in self.biases:
            scores = body("Add", scores, bias)
        for seen in self.seen:
            scores = body("Where", seen, scores, lowest)
        kind = body.region.type_of(self.like)[0]
        if self.precision in (0, kind):
            weights = body("Softmax", scores)
        else:
            weights = body("Cast", body("Softmax", body("Cast", scores, to=self.precision)), to=kind)
        if scores != capped:  # a query that sees no key finds nothing
            blind = body("Equal", body("ReduceMax", scores, axes=[-1]), lowest)
            weights = body("Where", blind, self.constant(0), weights)
        self.stages = [scaled, capped, scores, weights]
        return weights

    def constant(self, value: float) -> str:
        """A constant of the scores' type."""
        return self.body.constant(value, self.body.region.shapes.dtype(self.like))

    @property
    def like(self) -> str:
        """An input that has the type of the scores: the first, or where that has integers the bias of the product."""
        first, *_ = self.body.site.inputs
        return self.body.required(3)[2] if self.body.region.shapes.dtype(first).kind in "iu" else first

    def mask(self, mask: str | None, keys: int) -> None:
        """Apply a mask, of truth values or to be added; keys that it lacks are not seen."""
        if mask is None:
            return
        shape, dtype = self.body.site.shape(mask), self.body.region.shapes.dtype(mask)
        if not shape:
            raise self.body.site.refuse(f"the mask {mask} is a single number, not one for each query and key")
        boolean = dtype.kind == "b"
        if (missing := keys - shape[-1]) > 0 and self.body.version >= 24:
            pads = self.body.integers(*(0,) * (2 * len(shape) - 1), missing)
            mask = self.body("Pad", mask, pads, self.body.constant(0 if boolean else -np.inf, dtype))
        (self.seen if boolean else self.biases).append(mask)

    def window(self, q: Heads, k: Heads, first: int | str, left: int, right: int) -> None:
        """Let a query see so many keys on both sides of its own position, all of them where the number is negative.

        `first` is the position of the first query, or a value that has it for each of the batch.
        """
        if left < 0 and right < 0:
            return
        body = self.body
        keys, at = body.places(k.length), body.reshape(body.places(q.length), q.length, 1)
        at = body("Add", at, first if isinstance(first, str) else body.integers(first))
        if left >= 0:
            self.seen.append(body("LessOrEqual", body("Sub", at, body.integers(left)), keys))
        if right >= 0:
            self.seen.append(body("LessOrEqual", keys, body("Add", at, body.integers(right))))


def _biased(body: Body, q: Heads, k: Heads, fresh: int, mask: str | None, bias: str | None) -> Weigh:
    """How com.microsoft weighs: keys that the mask excludes have a large negative bias, by `mask_filter_value`; as many
    keys as are `fresh` are at the positions of the queries if it is unidirectional."""
    told = body.site.attributes
    weigh = Weigh(body, float(told.get("scale", 0)) or q.scale)
    if mask is not None and (seen := _padding(body, mask, q, k)) is not None:
        excluded = weigh.constant(float(told.get("mask_filter_value", -10000)))
        weigh.biases.append(body("Where", seen, weigh.constant(0), excluded))
    if bias is not None:
        weigh.biases.append(bias)
    if told.get("unidirectional"):
        if fresh != q.length:
            raise body.site.refuse(f"it is unidirectional, with {q.length} queries and {fresh} keys")
        weigh.window(q, k, k.length - fresh, -1, 0)
    return weigh


def _padding(body: Body, mask: str, q: Heads, k: Heads) -> str | None:
    """Where a mask of keys lets them be seen, None if everywhere. It has the number of keys of each of the batch, or
    with others behind it, which are the first key of each if there are as many, or 1 where one is seen."""
    shape, batch = body.site.shape(mask), q.batch
    if len(shape) == 2 and shape[0] in (1, batch) and shape[1] == 1:
        return None  # adds the same to all scores
    if shape in ((batch, k.length), (batch, q.length, k.length)):
        return body("Greater", body.reshape(mask, batch, 1, -1, k.length), body.constant(0, np.int32))
    if shape not in ((batch,), (2 * batch,), (3 * batch + 2,)):
        raise body.site.refuse(f"a mask of shape {shape} is not supported")
    ends, *others = split(body, mask, [batch, shape[0] - batch], 0) if shape[0] > batch else [mask]
    keys = body.places(k.length, np.int32)
    seen = body("Less", keys, body.reshape(ends, batch, 1, 1, 1))
    if shape[0] == 2 * batch:
        seen = body("And", seen, body("LessOrEqual", body.reshape(others[0], batch, 1, 1, 1), keys))
    return seen


def _unpacked(body: Body, heads: int) -> list[tuple[str, tuple[int, ...]]]:
    """Query, key and value and their shapes; key and value are packed in one tensor [batch, keys, heads, 2, size] if
    there is no value, all three if there is no key either."""
    site = body.site
    given = [value for value in (site.inputs[0], site.optional(1), site.optional(2)) if value is not None]
    *alone, packed = ((value, site.shape(value)) for value in given)
    if len(given) == 3:
        if wrong := next((of for of in (*alone, packed) if len(of[1]) not in (3, 4)), None):
            raise site.refuse(f"{wrong[0]} has shape {wrong[1]}")
        return [*alone, packed]
    value, shape = packed
    number = 4 - len(given)
    if len(shape) != 5 or shape[2:4] != (heads, number):
        raise site.refuse(f"{value} of shape {shape} is not {number} packed tensors of {heads} heads")
    whole = (*shape[:2], heads * shape[4])
    parts = split(body, value, [1] * number, 3)
    return [*alone, *((body.reshape(part, *whole), whole) for part in parts)]


def _kept(body: Body, k: Heads, v: Heads, past: str | None) -> tuple[Heads, Heads]:
    """Keys and values behind those of before, both in one tensor [2, batch, heads, keys, size], which is an output."""
    site = body.site
    if k.size != v.size:
        raise site.refuse(f"keys of size {k.size} and values of size {v.size} cannot be kept in one tensor")
    shape = (k.batch, k.heads, k.length, k.size)
    fresh = body("Concat", body.reshape(k.value, 1, *shape), body.reshape(v.value, 1, *shape), axis=0)
    before = site.shape(past) if past else (2, k.batch, k.heads, 0, k.size)
    if len(before) != 5 or (*before[:3], before[4]) != (2, k.batch, k.heads, k.size):
        raise site.refuse(f"{past} has shape {before}, not [2, {k.batch}, {k.heads}, .., {k.size}]")
    present = body("Concat", past, fresh, axis=3) if past else fresh
    body.result(1, present)
    length = before[3] + k.length
    keys, values = (body.reshape(part, k.batch, k.heads, length, k.size) for part in split(body, present, [1, 1], 0))
    return replace(k, value=keys, length=length), replace(v, value=values, length=length)


def split(body: Body, value: str, sizes: Sequence[int], axis: int) -> list[str]:
    """The parts of a value, so long on an axis."""
    body("Split", value, body.integers(*sizes), outputs=len(sizes), axis=axis)
    return body.last
