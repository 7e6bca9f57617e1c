"""How far apart two results of the same sums may be: bounds of rounding errors.

The rounding errors of a sum of n products are at most n u sum|a||b| to first order, with u the unit roundoff
(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.1), whatever the order of
the sum. Errors that are independent grow with the square root of n (N. J. Higham and T. Mary, A new approach to
probabilistic rounding error analysis, SIAM J. Sci. Comput. 41(5), 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from backends.execute.compare import TOLERANCE, TOLERANCES, is_real, located
from backends.execute.reference import reference
from backends.execute.runtime import Array
from frontends.onnx import unpack
from frontends.onnx.binding import Binding
from mapper.ir import LoopNest, Reduction

DOUBLE, SINGLE = 2.0**-53, 2.0**-24
"""Unit roundoffs."""

EXACT = 2.0**53
"""Sums of integers below this are exact in double precision."""

LIKELY = 4.0
"""Errors of a sum of n terms in single precision of more than this times sqrt(n) units are not seen: vectors of partial
sums keep them below it, even where all of them have the same sign."""


def terms(nest: LoopNest) -> int:
    """Products that make a result."""
    return math.prod(n for dim, n in nest.dims if dim not in nest.output.dims)


def magnitude(nest: LoopNest, operands: Mapping[str, Array]) -> Array:
    """sum|a||b| of each result, in float64; 0 where the greatest or the least is taken, as nothing is rounded there."""
    if nest.reduction is not Reduction.SUM:
        return np.zeros(nest.shape(nest.output))
    return reference(nest, {name: np.abs(values.astype(np.float64)) for name, values in operands.items()})


def misplaced(nest: LoopNest, ours: Array, exact: Array, size: Array, *, integers: bool) -> str | None:
    """Where our result differs by more than summation explains from another one in double precision, in words.

    Both may be n u sum|a||b| from the right value; sums of `integers` below 2**53 are exact. `size` is sum|a||b|.
    """
    allowed = 2 * (terms(nest) + 1) * DOUBLE * size
    if integers and float(size.max(initial=0.0)) < EXACT:
        allowed = np.zeros_like(size)
    wrong = ~((np.abs(ours - exact) <= allowed) | (ours == exact))
    if not wrong.any():
        return None
    return located(wrong, ours, exact, "double precision", "more than the rounding of the sum explains")


def disagrees(
    nest: LoopNest, binding: Binding, ours: Array, theirs: Array, size: Array, values: Mapping[str, Array]
) -> tuple[str | None, float]:
    """Where the value of a layer is not ONNX Runtime's, in words; and their distance relative to sum|a||b|, at most.

    Integers must be equal. A float may be off by the tolerance of its type, relative to itself, and by what single
    precision makes of the sum, which is more where terms cancel. `size` is sum|a||b| of the nest's results.
    """
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, ONNX Runtime's is {theirs.shape}", 0.0
    if not is_real(theirs.dtype):
        wrong = ours != theirs
        return (located(wrong, ours, theirs, "ONNX Runtime", "integers are equal") if wrong.any() else None), 0.0
    sizes = value_size(binding, size, values)
    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    apart = np.abs(one - other)
    unit = 4 * DOUBLE if theirs.dtype == np.float64 else SINGLE
    rounding = float(np.finfo(np.float32).tiny) + epsilon(theirs.dtype) * np.abs(other)
    allowed = rounding + LIKELY * math.sqrt(terms(nest) + 1) * unit * sizes
    if (narrow := TOLERANCES.get(theirs.dtype.name)) is not None:
        finite = np.abs(other[np.isfinite(other)])
        allowed = np.maximum(allowed, narrow * finite.max(initial=0.0))
    elif nest.reduction is Reduction.SUM:
        allowed = np.maximum(allowed, TOLERANCE * np.abs(other))
    wrong = ~((apart <= allowed) | (one == other) | (np.isnan(one) & np.isnan(other)))
    shares = np.divide(apart, sizes, out=np.zeros_like(apart), where=(sizes > 0) & np.isfinite(apart))
    share = float(shares.max(initial=0.0))
    likely = LIKELY * math.sqrt(terms(nest) + 1) * unit
    if wrong.any():
        return located(wrong, ours, theirs, "ONNX Runtime", "more than single precision explains"), likely
    return None, min(share, likely)


def overflows(sizes: Array, ours: Array, theirs: Array) -> Array:
    """Which elements are others, beyond what their type holds in the end or on the way: there it depends on the order
    of the sum, or on the processor, what becomes of them. `sizes` is sum|a||b| of each."""
    kind, beyond = theirs.dtype, np.zeros(ours.shape, bool)
    if ours.shape == theirs.shape and kind.kind in "iu":
        beyond = (sizes > float(np.iinfo(kind).max)) & (ours != theirs)
    elif ours.shape == theirs.shape and kind.kind == "f":  # not of the types that NumPy does not have
        beyond = (sizes >= float(np.finfo(kind).max)) & ~(np.isfinite(ours) & np.isfinite(theirs))
    return beyond


def value_size(binding: Binding, size: Array, values: Mapping[str, Array]) -> Array:
    """sum|a||b| of each element of the value that a layer defines, its bias included."""
    result = binding.result
    bias = {} if result.bias is None else {result.bias: np.abs(values[result.bias].astype(np.float64))}
    magnitudes = replace(result, alpha=abs(result.alpha), beta=abs(result.beta))
    return unpack(Binding(binding.operands, magnitudes), size, bias)


def epsilon(dtype: np.dtype[Any]) -> float:
    """The distance from 1 to the next number of a type of floats."""
    if dtype.name != "bfloat16":
        return float(np.finfo(dtype).eps)
    return 2.0**-7
