"""Tables for people, and files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mapper.arch import Architecture


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; wide enough for every table where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 160, highlight=False, emoji=False, markup=False)


def warning(text: str) -> None:
    """Print a warning, a line on stderr."""
    print(f"mapper: warning: {text}", file=sys.stderr)


def warn_of(arch: Architecture) -> None:
    """Warn of what is to be known of a machine's numbers."""
    for remark in arch.remarks:
        warning(f"{arch.name}: {remark}")


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with these columns, the `right` ones aligned to the right."""
    from rich import box
    from rich.table import Table

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        found.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return found
