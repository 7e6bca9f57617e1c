"""How far a value that was computed here is from ONNX Runtime's, and counts from those expected, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backends.execute.runtime import Array
from mapper.mapping import Counts

TOLERANCE = 1e-4
"""The largest relative error of single-precision values that passes. Layers are summed in float64 and handed on as
float32, ONNX Runtime sums in float32: errors of 1e-6 to 1e-5 are normal, a wrong operand gives errors near 1."""

SMALLEST = 1e-6
"""An absolute error of a floating-point value that always passes: of what saturates, as a sigmoid far from zero."""

TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2}
"""Of narrower types of floats, by name; all others but floats must be equal."""


def tolerance(dtype: np.dtype[Any], narrowest: str | None = None) -> float:
    """The relative error that passes for values of a type, if the `narrowest` float on the way to them is of that."""
    if not is_real(dtype):
        return 0.0
    return max(TOLERANCES.get(dtype.name, TOLERANCE), TOLERANCES.get(narrowest or "", TOLERANCE))


def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether elements are floats, of at least 16 bits."""
    return dtype.name in ("float16", "bfloat16", "float32", "float64")


def relative_error(ours: Array, theirs: Array) -> float:
    """max|ours - theirs| / max|theirs| over finite values; infinite if shapes differ or the others are not the same.

    Of what is no number, as text, infinite unless all of it is the same.
    """
    error = largest_error(ours, theirs)
    if not _numeric(theirs):
        return error
    values = _unbounded(theirs)
    scale = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return error / scale if scale else (float("inf") if error else 0.0)


def disagreement(ours: Array, theirs: Array, narrowest: str | None = None) -> str | None:
    """Where two values differ most, in words; None if no more than is allowed for their type, and for the `narrowest`
    on the way to them."""
    allowed, error = tolerance(theirs.dtype, narrowest), relative_error(ours, theirs)
    if error <= allowed or (allowed and largest_error(ours, theirs) <= SMALLEST):
        return None
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, ONNX Runtime's is {theirs.shape}"
    if not _numeric(theirs):
        at = np.unravel_index(int(np.argmax(ours != theirs)), ours.shape)
        return f"at [{_index(at)}] {ours[at]!r}, not {theirs[at]!r}"
    return located(np.ones(ours.shape, bool), ours, theirs, "ONNX Runtime", f"{allowed:g} is allowed")


def located(wrong: Array, ours: Array, theirs: Array, whose: str, allowed: str) -> str:
    """The place among those that are `wrong` where two values of one shape differ most, in words."""
    with np.errstate(invalid="ignore"):
        apart = np.nan_to_num(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)), nan=np.inf)
    at = np.unravel_index(int(np.where(wrong, apart, -1.0).argmax()), apart.shape)
    return (
        f"relative error {relative_error(ours, theirs):.2g} against {whose}, {allowed}: "
        f"at [{_index(at)}] {ours[at]:.6g}, not {theirs[at]:.6g}"
    )


def difference(expected: Counts, counted: Counts) -> str | None:
    """The first count in which the two differ, in words; None if they are equal."""
    for what, model, executed in _pairs(expected, counted):
        if model != executed:
            return f"{what}: expected {model}, executed {executed}"
    return None


def _pairs(expected: Counts, counted: Counts) -> Iterator[tuple[str, object, object]]:
    for key in dict.fromkeys((*expected.accesses, *counted.accesses)):
        yield " ".join(key), expected.accesses.get(key), counted.accesses.get(key)
    for key in dict.fromkeys((*expected.moves, *counted.moves)):
        yield " ".join(key), expected.moves.get(key), counted.moves.get(key)
    yield "operations", expected.operations, counted.operations
    yield "steps", expected.steps, counted.steps


def _numeric(array: Array) -> bool:
    return array.dtype.kind not in "OSU"


def _index(at: tuple[Any, ...]) -> str:
    return ",".join(map(str, at))


def largest_error(ours: Array, theirs: Array) -> float:
    """max|ours - theirs| over finite values; infinite if shapes differ or the others are not the same."""
    if ours.shape == theirs.shape and not _numeric(theirs):
        return 0.0 if np.array_equal(ours, theirs) else float("inf")
    apart = distances(ours, theirs)
    return float("inf") if apart is None else float(apart.max(initial=0.0))


def _unbounded(array: Array) -> Array:
    """The same as doubles, with infinities for the largest numbers of a type of floats."""
    wide = np.array(array, np.float64)
    if is_real(array.dtype) and array.dtype.kind == "f":
        wide[np.abs(wide) == float(np.finfo(array.dtype).max)] *= np.inf
    return wide


def distances(ours: Array, theirs: Array) -> Array | None:
    """|ours - theirs| by element, 0 where both are the same infinity or no number; None if they cannot be compared.

    The largest number of a type stands for infinity, as in masks.
    """
    if ours.shape != theirs.shape or not _numeric(theirs):
        return None
    ours, theirs = (_unbounded(array) for array in (ours, theirs))
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return None
    apart = np.zeros(ours.shape)
    np.subtract(ours, theirs, out=apart, where=finite)
    return np.abs(apart)
