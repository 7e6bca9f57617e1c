"""GroupQueryAttention of com.microsoft, with a cache of keys and values and positions turned into rotations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from frontends.onnx.expand.attention import Heads, Weigh, attend, split
from frontends.onnx.expand.body import Body

_OTHERS = {
    "causal": (1,),
    "k_quant_type": ("NONE",),
    "kv_cache_bit_width": (0,),
    "qk_output": (0,),
    "sliding_window_cache": (0,),
    "smooth_softmax": (-1, 0),
    "v_quant_type": ("NONE",),
}
"""Attributes that ask for something else unless they have one of these values."""


def attention(body: Body) -> None:
    """A query sees the keys up to its own position, or a window of these.

    The keys and values of before may stand in a buffer that is longer than they are. How many there are with the new
    ones is what the input for it says, if that is constant; else the buffer is full. What else the operator can (a
    smooth softmax, sinks, a cache of few bits or of a window only, keys behind the query) is not taken apart.
    """
    from onnx import TensorProto

    site, told = body.site, body.site.attributes
    others = any(told.get(name, known[0]) not in known for name, known in _OTHERS.items())
    if others or any((*site.inputs[11:], *site.outputs[3:])):
        return
    q, k, v = _operands(body)
    if site.optional(5) is None:
        raise site.refuse("it is not told how long the sequences are")
    buffer, length = _length(body, site.optional(3)), _total(body, k)
    before: str | None = None  # how many keys there were, for each of the batch; none if all are new
    ends = body("Cast", body.reshape(site.inputs[5], q.batch, 1, 1, 1), to=TensorProto.INT64)  # the last key of each
    if buffer and length != k.length:
        before = body("Sub", ends, body.integers(k.length - 1))
    if told.get("do_rotary"):
        places = site.optional(9) or _places(body, q, before)
        q, k = (_rotated(body, each, places) for each in (q, k))
    kept = max(length, buffer)
    k, v = (_cached(body, each, site.optional(3 + index), before, kept) for index, each in enumerate((k, v)))
    body.result(1, k.value)
    body.result(2, v.value)

    weigh = Weigh(body, float(told.get("scale", 0)) or q.scale, cap=float(told.get("softcap", 0)))
    if (bias := site.optional(10)) is not None:
        weigh.biases.append(bias)
    weigh.window(q, replace(k, length=length), before or 0, int(told.get("local_window_size", 0)) - 1, 0)
    k, v = (_first(body, each, length) for each in (k, v))
    if before is None:  # sequences may be shorter than the longest
        weigh.seen.append(body("LessOrEqual", body.places(length), ends))
    body.result(0, attend(body, q, k, v, weigh).flat(body))


def _operands(body: Body) -> tuple[Heads, Heads, Heads]:
    """The queries, keys and values that are new; side by side in one tensor if there are no keys."""
    site = body.site
    heads, groups = (int(site.attributes.get(name, 0)) for name in ("num_heads", "kv_num_heads"))
    counts, given = (heads, groups, groups), [value for value in site.inputs[:3] if value]
    if heads < 1 or groups < 1 or len(given) not in (1, 3):
        raise site.refuse(f"{len(given)} tensors of {heads} and {groups} heads are not queries, keys and values")
    shapes = [site.shape(value) for value in given]
    if len(given) == 1:
        size = shapes[0][-1] // sum(counts)
        given = split(body, given[0], [count * size for count in counts], 2)
        shapes = [(*shapes[0][:2], count * size) for count in counts]
    q, k, v = (Heads.of(body, *each) for each in zip(given, shapes, counts, strict=True))
    return q, k, v


def _length(body: Body, past: str | None) -> int:
    """How many keys or values of before there is room for."""
    if past is None:
        return 0
    if len(shape := body.site.shape(past)) != 4:
        raise body.site.refuse(f"{past} has shape {shape}, not four axes")
    return shape[2]


def _total(body: Body, k: Heads) -> int:
    """How many keys there are, with the new ones."""
    total = body.site.constants.get(body.site.optional(6) or "")
    most = _length(body, body.site.optional(3)) + k.length
    length = most if total is None else int(total.sum())  # of one number
    if not k.length <= length <= most:
        raise body.site.refuse(f"there are {k.length} new keys and {most - k.length} of before, and {length} in all")
    return length


def outline(body: Body) -> None:
    """What it makes in any of its forms."""
    q, k, _ = _operands(body)
    kept = max(_total(body, k), _length(body, body.site.optional(3)))
    dtype = body.region.shapes.dtype(body.site.inputs[0])
    body.result(0, body.full(0, dtype, q.batch, q.length, q.heads * q.size))
    for index in (1, 2):
        body.result(index, body.full(0, dtype, k.batch, k.heads, kept, k.size))


def _places(body: Body, q: Heads, before: str | None) -> str:
    """The positions of the new keys: [batch, length]."""
    places = body.reshape(body.places(q.length), 1, q.length)
    start = body.reshape(before, q.batch, 1) if before else body.full(0, np.int64, q.batch, 1)
    return body("Add", places, start)


def _rotated(body: Body, heads: Heads, places: str) -> Heads:
    """Each pair of elements turned by an angle that its position gives."""
    from onnx import helper

    cos, sin = (body.site.optional(index) for index in (7, 8))
    if cos is None or sin is None:
        raise body.site.refuse("do_rotary needs the inputs cos_cache and sin_cache")
    if len(body.opsets) == 1:
        body.opsets.append(helper.make_opsetid("com.microsoft", 1))
    interleaved = int(body.site.attributes.get("rotary_interleaved", 0))
    turned = body("RotaryEmbedding", heads.value, places, cos, sin, domain="com.microsoft", interleaved=interleaved)
    return replace(heads, value=turned)


def _cached(body: Body, fresh: Heads, past: str | None, before: str | None, kept: int) -> Heads:
    """The new keys behind those of before, in a tensor of so many, zero where there is none."""
    buffer = _length(body, past)
    if not buffer and kept == fresh.length:
        return fresh
    everything = fresh.after(body, past)
    at = body.reshape(body.places(kept), 1, 1, kept, 1)
    new = body("Sub", at, before) if before else at
    index = body("Where", body("Less", new, body.integers(0)), at, body("Add", new, body.integers(buffer)))
    index = body("Min", index, body.integers(everything.length - 1))
    shape = body.integers(fresh.batch, fresh.heads, kept, fresh.size)
    found = body("GatherElements", everything.value, body("Expand", index, shape), axis=2)
    zero = body.constant(0, body.region.shapes.dtype(body.site.inputs[0]))
    found = body("Where", body("Less", new, body.integers(fresh.length)), found, zero)
    return replace(fresh, value=found, length=kept)


def _first(body: Body, heads: Heads, length: int) -> Heads:
    """The first of them."""
    if heads.length == length:
        return heads
    first, _ = split(body, heads.value, [length, heads.length - length], 2)
    return replace(heads, value=first, length=length)
