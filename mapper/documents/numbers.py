"""Numbers as documents hold them."""

from __future__ import annotations

import math
from fractions import Fraction


def exact(value: Fraction | int) -> int | float:
    """A number for JSON: whole numbers as integers of any size, others as the nearest float."""
    return int(value) if Fraction(value).denominator == 1 else float(value)


def finite(value: float) -> float | None:
    """A number for JSON, which has none that is not finite."""
    return value if math.isfinite(value) else None
