"""Einsum of two operands: a loop for each letter. What else an Einsum may say is taken apart first (`expand`)."""

from __future__ import annotations

import re

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.site import Lowered, Site
from mapper.errors import InputError
from mapper.ir import LoopNest, Role, Tensor, Term


def parse(equation: str) -> tuple[list[str], str]:
    """The subscripts of each operand and of the output, which may be implicit: then its letters are those that occur
    once, in alphabetical order, behind the ellipsis."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    if not arrow:
        letters = "".join(operands).replace("...", "")
        once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    return operands, right


def check(equation: str, place: str) -> None:
    """InputError for what is no equation: ONNX's inference does not return from some of these."""
    operands, output = parse(equation)
    if not all(re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", word) for word in (*operands, output)):
        raise InputError(
            f"the equation {equation!r} has subscripts that are no letters, or two ellipses in one term", place=place
        )
    letters = output.replace("...", "")
    if len(set(letters)) < len(letters) or not set(letters) <= set("".join(operands)):
        raise InputError(
            f"the output of the equation {equation!r} has a letter twice, or one that no operand has", place=place
        )


def is_product(equation: str) -> bool:
    """Whether it is one loop nest: two operands without an ellipsis, a letter twice, or one that only one of them has
    and the output has not."""
    operands, output = parse(equation)
    if len(operands) != 2 or not all(re.fullmatch("[A-Za-z]*", word) for word in (*operands, output)):
        return False
    left, right = map(set, operands)
    distinct = all(len(set(word)) == len(word) for word in (*operands, output))
    return distinct and left | right >= set(output) >= left ^ right


def broadcasts(site: Site) -> bool:
    """Whether an axis of size 1 meets a longer one of the same letter."""
    operands, _ = parse(str(site.attributes.get("equation", "")))
    sizes: dict[str, set[int]] = {}
    for value, letters in zip(site.inputs, operands, strict=False):
        for letter, n in zip(letters, site.shape(value), strict=False):
            sizes.setdefault(letter, set()).add(n)
    return any(1 in found and len(found) > 1 for found in sizes.values())


def lower(site: Site) -> Lowered:
    """O[..] += A[..] * B[..] with the equation's letters as dims; InputError if the operands do not fit them."""
    operands, output = parse(str(site.attributes.get("equation", "")))
    if len(site.inputs) != len(operands):
        raise site.refuse(f"the equation has {len(operands)} operands, the node {len(site.inputs)}")
    extents: dict[str, int] = {}
    for value, letters in zip(site.inputs, operands, strict=True):
        shape = site.shape(value)
        if len(shape) != len(letters):
            raise site.refuse(f"{value} of shape {shape} does not have the {len(letters)} axes {letters}")
        for letter, n in zip(letters, shape, strict=True):
            if extents.setdefault(letter, n) != n:
                raise site.refuse(f"{letter} is {extents[letter]} and {n}")
    nest = LoopNest(
        tuple(extents.items()),
        tuple(
            Tensor(name, role, tuple((Term(letter),) for letter in letters))
            for name, role, letters in zip("ABO", Role, (*operands, output), strict=True)
        ),
    )
    views = {
        name: View.plain(value, site.shape(value), site.shape(value))
        for name, value in zip("AB", site.inputs, strict=True)
    }
    shape = tuple(extents[letter] for letter in output)
    return Lowered(nest, Binding(views, Result(site.outputs[0], shape, tuple(range(len(shape))), shape)))
