"""Binding: how the tensors of a loop nest are made from the values of an ONNX model, and the other way round.

A nest sees operands without padding, transposition or groups. A `View` says how an operand is cut out of an ONNX
value, a `Result` how the nest's output becomes the value that the ONNX node defines. Both are plain data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from mapper.ir import LoopNest, Role

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class View:
    """An operand: `value` less its `zero` point, transposed by `perm`, padded with zeros, cropped, then reshaped.

    The zero point (None: it is 0) is a value of the model that broadcasts to `value` once it has `zero_shape`. `pads`
    has (before, after), negative where elements are dropped, and `crop` the size of each axis after the transposition:
    cropping drops what a stride never reaches. `shape` is that of the nest's tensor. With `lowest` the padding is not
    zero but less than any value.
    """

    value: str
    perm: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    crop: tuple[int, ...]
    shape: tuple[int, ...]
    zero: str | None = None
    zero_shape: tuple[int, ...] = ()
    lowest: bool = False

    @classmethod
    def plain(cls, value: str, source: tuple[int, ...], shape: tuple[int, ...], perm: tuple[int, ...] = ()) -> View:
        """A view of the whole of `value`, which has the shape `source`: transposed and reshaped only."""
        order = perm or tuple(range(len(source)))
        return cls(value, order, ((0, 0),) * len(source), tuple(source[axis] for axis in order), shape)


@dataclass(frozen=True, slots=True)
class Result:
    """The output: the nest's, reshaped to `split`, transposed by `perm`, reshaped to `shape`, is the product `y`.

    The ONNX value is `alpha * y + beta * bias`, with the value `bias` (None: no such term) reshaped to `bias_shape`,
    which broadcasts to `shape`. With `divisors`, for each of the last axes a number for all places or for each,
    `y` is divided by their product first.
    """

    value: str
    split: tuple[int, ...]
    perm: tuple[int, ...]
    shape: tuple[int, ...]
    alpha: float = 1.0
    beta: float = 1.0
    bias: str | None = None
    bias_shape: tuple[int, ...] = ()
    divisors: tuple[tuple[int, ...], ...] = ()

    @property
    def bias_words(self) -> int:
        """Elements of the bias that are read; 0 without one."""
        return math.prod(self.bias_shape) if self.bias is not None else 0


@dataclass(frozen=True, slots=True)
class Binding:
    """The operands of a layer by the name of the nest's tensor, and its result."""

    operands: Mapping[str, View]
    result: Result


def pack(view: View, arrays: Mapping[str, Array]) -> Array:
    """The operand of the nest, of shape `view.shape`; `arrays` holds the ONNX values.

    It has the dtype of its value, or one that holds the differences to its zero point.
    """
    array = arrays[view.value]
    if view.zero is not None:
        array = array.astype(np.int32) - arrays[view.zero].astype(np.int32).reshape(view.zero_shape)
    turned = array.transpose(view.perm)
    if any(n for pair in view.pads for n in pair):
        ends = zip(view.pads, turned.shape, strict=True)
        turned = turned[tuple(slice(max(0, -before), n - max(0, -after)) for (before, after), n in ends)]
        limits = np.finfo if turned.dtype.kind == "f" else np.iinfo
        value = limits(turned.dtype).min if view.lowest else 0
        pads = [(max(0, before), max(0, after)) for before, after in view.pads]
        turned = np.pad(turned, pads, constant_values=value)
    return np.ascontiguousarray(turned[tuple(slice(n) for n in view.crop)]).reshape(view.shape)


def unpack(binding: Binding, array: Array, arrays: Mapping[str, Array]) -> Array:
    """The ONNX value that the nest's output `array` stands for; `arrays` holds the bias if there is one."""
    result = binding.result
    y = array.reshape(result.split).transpose(result.perm).reshape(result.shape)
    if result.divisors:
        y = y / reduce(np.multiply.outer, map(np.array, result.divisors))
    if result.alpha != 1.0:
        y = result.alpha * y
    if result.bias is not None:
        bias = arrays[result.bias].reshape(result.bias_shape)
        y = y + (bias if result.beta == 1.0 else result.beta * bias)
    return np.asarray(y)  # one number times another is no array any more


# -- plain data --------------------------------------------------------------------------------------------------------


def binding_data(binding: Binding, names: Mapping[str, str]) -> dict[str, Any]:
    """The binding as a schedule holds it; `names` are those of its values in the network.

    An operand is its value less its zero point, transposed, padded, cropped, and reshaped to its tensor. The result is
    the output reshaped, transposed, brought to its shape, divided, multiplied by `alpha`, and with its bias added.
    """

    def named(value: str) -> str:
        return names.get(value, value)

    operands = {}
    for tensor, view in binding.operands.items():
        zero = {"zero_point": {"value": named(view.zero), "shape": list(view.zero_shape)}} if view.zero else {}
        operands[tensor] = {
            "value": named(view.value),
            **zero,
            "transpose": list(view.perm),
            "pads": [list(pair) for pair in view.pads],
            **({"pad_with": "lowest"} if view.lowest else {}),
            "crop": list(view.crop),
        }
    result = binding.result
    return {
        "operands": operands,
        "result": {
            "value": named(result.value),
            "reshape": list(result.split),
            "transpose": list(result.perm),
            "shape": list(result.shape),
            **({"divisors": [list(each) for each in result.divisors]} if result.divisors else {}),
            **({"alpha": number_data(result.alpha)} if result.alpha != 1.0 else {}),
            **({"bias": _bias_data(result, named(result.bias))} if result.bias is not None else {}),
        },
    }


def number_data(value: float) -> float | str:
    """A number, or, as documents have no others, the name of one that is not finite."""
    return value if math.isfinite(value) else str(value)


def _bias_data(result: Result, name: str) -> dict[str, Any]:
    beta = {"beta": number_data(result.beta)} if result.beta != 1.0 else {}
    return {"value": name, "shape": list(result.bias_shape), **beta}


def binding_of(data: Mapping[str, Any], nest: LoopNest) -> Binding:
    """The binding of a layer that `binding_data` wrote; KeyError, TypeError or ValueError where it is none."""
    views = {}
    for tensor in nest.tensors:
        if tensor.role is Role.OUTPUT:
            continue
        row = data["operands"][tensor.name]
        zero = row.get("zero_point")
        views[tensor.name] = View(
            row["value"],
            tuple(row["transpose"]),
            tuple((before, after) for before, after in row["pads"]),
            tuple(row["crop"]),
            nest.shape(tensor),
            zero["value"] if zero else None,
            tuple(zero["shape"]) if zero else (),
            row.get("pad_with") == "lowest",
        )
    row = data["result"]
    bias = row.get("bias") or {}
    return Binding(
        views,
        Result(
            row["value"],
            tuple(row["reshape"]),
            tuple(row["transpose"]),
            tuple(row["shape"]),
            alpha=float(row.get("alpha", 1.0)),
            beta=float(bias.get("beta", 1.0)),
            bias=bias.get("value"),
            bias_shape=tuple(bias.get("shape", ())),
            divisors=tuple(map(tuple, row.get("divisors", ()))),
        ),
    )
