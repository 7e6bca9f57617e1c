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

TOLERANCES = {np.dtype(np.float16): 1e-2}
"""Of other types of floats; integers and truth values must be equal."""


def relative_error(ours: Array, theirs: Array) -> float:
    """max|ours - theirs| / max|theirs| over finite values; infinite if shapes differ or the others are not the same.

    Of what is no number, as text, infinite unless all of it is the same.
    """
    error = _largest_error(ours, theirs)
    if not _numeric(theirs):
        return error
    values = theirs.astype(np.float64)
    scale = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return error / scale if scale else (float("inf") if error else 0.0)


def disagreement(ours: Array, theirs: Array) -> str | None:
    """Where two values differ most, in words; None if no more than is allowed for their type."""
    error = relative_error(ours, theirs)
    real = theirs.dtype.kind == "f"
    allowed = TOLERANCES.get(theirs.dtype, TOLERANCE if real else 0.0)
    if error <= allowed or (real and _largest_error(ours, theirs) <= SMALLEST):
        return None
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, ONNX Runtime's is {theirs.shape}"
    if not _numeric(theirs):
        at = np.unravel_index(int(np.argmax(ours != theirs)), ours.shape)
        return f"at [{_index(at)}] {ours[at]!r}, not {theirs[at]!r}"
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    at = np.unravel_index(int(np.nan_to_num(apart, nan=np.inf).argmax()), apart.shape)
    return (
        f"relative error {error:.2g} against ONNX Runtime, {allowed:g} is allowed: "
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


def _largest_error(ours: Array, theirs: Array) -> float:
    """max|ours - theirs| over finite values; infinite if shapes differ or the others are not the same."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not _numeric(theirs):
        return 0.0 if np.array_equal(ours, theirs) else float("inf")
    ours, theirs = (array.astype(np.float64) for array in (ours, theirs))
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return float("inf")
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))
