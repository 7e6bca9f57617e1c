"""Binding: how the tensors of a loop nest are made from the values of an ONNX model, and the other way round.

A nest sees operands without padding, transposition or groups. A `View` says how an operand is cut out of an ONNX
value, a `Result` how the nest's output becomes the value that the ONNX node defines. Both are plain data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class View:
    """An operand: `value` transposed by `perm`, padded with zeros, cropped to its first elements, then reshaped.

    `pads` has (before, after) and `crop` the size of each axis after the transposition; `shape` is that of the nest's
    tensor. Cropping drops what a stride never reaches.
    """

    value: str
    perm: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    crop: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def plain(cls, value: str, source: tuple[int, ...], shape: tuple[int, ...], perm: tuple[int, ...] = ()) -> View:
        """A view of the whole of `value`, which has the shape `source`: transposed and reshaped only."""
        order = perm or tuple(range(len(source)))
        return cls(value, order, ((0, 0),) * len(source), tuple(source[axis] for axis in order), shape)


@dataclass(frozen=True, slots=True)
class Result:
    """The output: the nest's, reshaped to `split`, transposed by `perm`, reshaped to `shape`, is the product `y`.

    The ONNX value is `alpha * y + beta * bias`, with the value `bias` (None: no such term) reshaped to `bias_shape`,
    which broadcasts to `shape`.
    """

    value: str
    split: tuple[int, ...]
    perm: tuple[int, ...]
    shape: tuple[int, ...]
    alpha: float = 1.0
    beta: float = 1.0
    bias: str | None = None
    bias_shape: tuple[int, ...] = ()

    @property
    def bias_words(self) -> int:
        """Elements of the bias that are read; 0 without one."""
        return math.prod(self.bias_shape) if self.bias is not None else 0


@dataclass(frozen=True, slots=True)
class Binding:
    """The operands of a layer by the name of the nest's tensor, and its result."""

    operands: Mapping[str, View]
    result: Result


def pack(view: View, array: Array) -> Array:
    """The operand of the nest, of shape `view.shape` and the dtype of `array`, which holds the ONNX value."""
    turned = array.transpose(view.perm)
    if any(n for pair in view.pads for n in pair):
        turned = np.pad(turned, view.pads)
    return np.ascontiguousarray(turned[tuple(slice(n) for n in view.crop)]).reshape(view.shape)


def unpack(binding: Binding, array: Array, arrays: Mapping[str, Array]) -> Array:
    """The ONNX value that the nest's output `array` stands for; `arrays` holds the bias if there is one."""
    result = binding.result
    y = array.reshape(result.split).transpose(result.perm).reshape(result.shape)
    if result.alpha != 1.0:
        y = result.alpha * y
    if result.bias is not None:
        y = y + result.beta * arrays[result.bias].reshape(result.bias_shape)
    return y
