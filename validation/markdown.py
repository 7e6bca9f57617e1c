"""Pieces of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill

WIDTH = 120


def percent(found: float, reference: float) -> float:
    """By how many per cent of the reference a figure differs from it."""
    return (found / reference - 1) * 100


def off(found: float, reference: float) -> str:
    """That as text."""
    text = f"{percent(found, reference):+.1f} %"
    return "0.0 %" if text in ("+0.0 %", "-0.0 %") else text


def span(values: Sequence[float]) -> str:
    """The least and the largest of per cents."""
    return f"{min(values):+.1f} to {max(values):+.1f} %"


def paragraph(text: str) -> str:
    """The text, however it is broken into lines, as one paragraph."""
    return fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def bullets(*points: str) -> str:
    """A list."""
    return "\n".join(
        fill(point, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for point in points
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def page(*blocks: str) -> str:
    """The blocks with an empty line between them."""
    return "\n\n".join(blocks)
