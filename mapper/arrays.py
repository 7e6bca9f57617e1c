"""Exact integers, and arithmetic that holds for them and, element by element, for arrays of integers alike.

A mapping with an array for each step stands for many mappings (`mapper.cost.batch`); where a step is an array, so is
all that depends on it. Types say `int`.
"""

from __future__ import annotations

import operator


def exact_integer(value: int) -> int:
    """A Python integer of the same value, which no product overflows; TypeError for what is no integer.

    NumPy's integers would wrap around in silence.
    """
    return value if type(value) is int else operator.index(value)


def least(a: int, b: int) -> int:
    """The smaller one."""
    return a + (b - a) * (b < a)


def most(a: int, b: int) -> int:
    """The larger one."""
    return a + (b - a) * (b > a)
