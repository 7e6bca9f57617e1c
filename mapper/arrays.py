"""Arithmetic that holds for integers and, element by element, for arrays of integers alike.

A mapping with an array for each step stands for many mappings (`mapper.cost.batch`); where a step is an array, so is
all that depends on it. Types say `int`.
"""

from __future__ import annotations


def least(a: int, b: int) -> int:
    """The smaller one."""
    return a + (b - a) * (b < a)


def most(a: int, b: int) -> int:
    """The larger one."""
    return a + (b - a) * (b > a)
