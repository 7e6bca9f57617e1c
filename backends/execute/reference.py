"""The result a layer must have, computed from the nest alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from mapper.errors import InputError
from mapper.ir import LoopNest, Reduction, Tensor


def reference(nest: LoopNest, operands: Mapping[str, ArrayLike], dtype: type[np.generic] = np.float64) -> NDArray[Any]:
    """The output of a layer, computed in `dtype`, of shape `nest.shape(nest.output)`.

    Sums in a type of integers wrap. `operands` has the input and, if there is one, the weight by name, of shape
    `nest.shape(tensor)`. Raises InputError if one is missing or its shape differs.
    """
    letter = {d: i for i, (d, _) in enumerate(nest.dims)}
    arguments: list[Any] = []
    for tensor in nest.tensors:
        if tensor is nest.output:
            continue
        view, dims = _view(nest, tensor, operand(nest, tensor, operands, dtype))
        arguments += [view, [letter[d] for d in dims]]
    # a dim of the output alone repeats the result along itself
    alone = [d for d in nest.output.dims if not any(d in t.dims for t in nest.tensors if t is not nest.output)]
    for d in alone:
        arguments += [np.ones(nest.extents[d], dtype), [letter[d]]]
    output = [d for d in nest.output.dims if nest.extents[d] > 1 or d in alone]
    if nest.reduction is Reduction.SUM:
        result = np.einsum(*arguments, [letter[d] for d in output], optimize=True)
    else:  # over the one operand's dims that the output lacks
        view, dims = arguments[0], [d for d, _ in nest.dims if letter[d] in arguments[1]]
        view = np.einsum(view, arguments[1], sorted(arguments[1]))
        lost = tuple(i for i, d in enumerate(dims) if d not in nest.output.dims)
        least = view.max(axis=lost) if nest.reduction is Reduction.MAX else view.min(axis=lost)
        kept = [letter[d] for d in dims if d in nest.output.dims]
        result = np.einsum(least, kept, *arguments[2:], [letter[d] for d in output])
    return np.asarray(result, dtype).reshape(nest.shape(nest.output))


def operand(
    nest: LoopNest, tensor: Tensor, operands: Mapping[str, ArrayLike], dtype: type[np.generic] = np.float64
) -> NDArray[Any]:
    """An operand as contiguous values of `dtype`. Raises InputError if it is missing, not real or of another shape."""
    if tensor.name not in operands:
        raise InputError(f"no values for operand {tensor.name}", place=str(nest))
    try:
        given = np.asarray(operands[tensor.name])
        real = given.astype(dtype) if given.dtype.kind not in "cSUMm" else None
    except (TypeError, ValueError):
        real = None
    if real is None:
        raise InputError(f"operand {tensor.name} is no array of real numbers", place=str(nest))
    if given.shape != nest.shape(tensor):
        raise InputError(f"{tensor.name} has shape {given.shape}, not {nest.shape(tensor)}", place=str(nest))
    return np.ascontiguousarray(real).reshape(real.shape)  # which makes a row of a scalar


def _view(nest: LoopNest, tensor: Tensor, values: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """The operand with an axis for each of its dims of more than one iteration, so that rank coordinates add up."""
    step = {
        term.dim: term.coef * stride for rank, stride in zip(tensor.ranks, values.strides, strict=True) for term in rank
    }
    dims = [d for d in tensor.dims if nest.extents[d] > 1]
    view = as_strided(values, [nest.extents[d] for d in dims], [step[d] for d in dims], writeable=False)
    return view, dims


def typed(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sums as a type has them: floats are rounded, integers wrap."""
    return (array.astype(np.int64) if dtype.kind in "iu" else array).astype(dtype)
