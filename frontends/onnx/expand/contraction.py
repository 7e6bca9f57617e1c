"""Einsum of any equation: products of two operands at a time, the diagonals and sums before them, the order after."""

from __future__ import annotations

import string

from frontends.onnx.einsum import parse
from frontends.onnx.expand.body import Body
from frontends.onnx.site import Site


def lettered(site: Site) -> tuple[list[str], str, dict[str, int]]:
    """The letters of each operand and of the output, with letters of its own for the ellipsis, and their extents: an
    axis of size 1 fits any. InputError if the operands do not fit the equation."""
    operands, output = parse(str(site.attributes.get("equation", "")))
    if len(operands) != len(site.inputs):
        raise site.refuse(f"the equation has {len(operands)} operands, the node {len(site.inputs)}")
    shapes = [site.shape(value) for value in site.inputs]
    hidden = [len(shape) - len(word.replace("...", "")) for word, shape in zip(operands, shapes, strict=True)]
    if any(n < 0 or (n and "..." not in word) for n, word in zip(hidden, operands, strict=True)):
        raise site.refuse(f"operands of shapes {', '.join(map(str, shapes))} do not fit the equation")
    free = [letter for letter in string.ascii_letters if letter not in "".join(operands)]
    dots = "".join(free[: max(hidden)])
    words = [word.replace("...", dots[len(dots) - n :]) for word, n in zip(operands, hidden, strict=True)]
    extents: dict[str, int] = {}
    for word, shape in zip(words, shapes, strict=True):
        for letter, n in zip(word, shape, strict=True):
            if extents.setdefault(letter, n) == 1:
                extents[letter] = n
            elif n not in (1, extents[letter]):
                raise site.refuse(f"{letter} is {extents[letter]} and {n}")
    return words, output.replace("...", dots), extents


def einsum(body: Body) -> None:
    """One operand after the other joins the product; a letter is summed as soon as nothing else has it.

    The ellipsis becomes letters of its own; of axes that broadcast those of size 1 are dropped.
    """
    site = body.site
    words, output, extents = lettered(site)
    if len(words) == 1:
        return  # a sum or another order, which moves data
    terms: list[tuple[str, str]] = []  # value and letters
    for value, word in zip(site.inputs, words, strict=True):
        shape = site.shape(value)
        kept = [(letter, n) for letter, n in zip(word, shape, strict=True) if n == extents[letter] or n != 1]
        if len(kept) < len(word):
            value = body.reshape(value, *(n for _, n in kept))
        terms.append((value, "".join(letter for letter, _ in kept)))

    for index, (value, word) in enumerate(terms):  # diagonals, and letters that only this operand has
        elsewhere = set(output).union(*(other for i, (_, other) in enumerate(terms) if i != index))
        wanted = "".join(letter for letter in dict.fromkeys(word) if letter in elsewhere)
        if wanted != word:
            terms[index] = body("Einsum", value, equation=f"{word}->{wanted}"), wanted
    value, word = terms[0]
    for index, (other, letters) in enumerate(terms[1:], 1):
        needed = set(output).union(*(later for _, later in terms[index + 1 :]))
        joined = "".join(letter for letter in dict.fromkeys(word + letters) if letter in needed)
        joined = output if index == len(terms) - 1 and set(joined) == set(output) else joined
        name = "product" if len(terms) == 2 else f"product_{index}"
        value, word = body("Einsum", value, other, name=name, equation=f"{word},{letters}->{joined}"), joined
    if word != output:
        value = body("Einsum", value, equation=f"{word}->{output}")
    body.result(0, value)
