"""Tables for people, and files."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from mapper.errors import printable, readable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mapper.arch import Architecture


WIDE = 160
"""Columns that most tables fit into. A narrower terminal breaks their lines, which beats names cut to a few letters."""


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; on stdout wide enough for tables."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    found = Console(stderr=stderr, width=None if terminal else WIDE, highlight=False, emoji=False, markup=False)
    if not stderr:
        found.width = max(found.width, WIDE)
    return found


def warning(text: str) -> None:
    """Print a warning, a line on stderr."""
    print(f"mapper: warning: {readable(text)}", file=sys.stderr)


def warn_of(arch: Architecture) -> None:
    """Warn of what is to be known of a machine's numbers."""
    for remark in arch.remarks:
        warning(f"{arch.name}: {remark}")


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with these columns, the `right` ones aligned to the right; what is too wide goes on below.

    Each row is a line otherwise, whatever names hold.
    """
    from rich import box

    found = _lines()(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        found.add_column(
            column, justify="right" if column in right else "left", no_wrap=column in right, overflow="fold"
        )
    return found


@cache
def _lines() -> type[Table]:
    from rich.table import Table

    class Lines(Table):
        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options)

    return Lines
