"""What is done so far, on stderr: a bar over layers, or how a search goes; silent where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mapper.errors import printable

if TYPE_CHECKING:
    from mapper.arch import Architecture
    from mapper.search import Objective
    from mapper.search import Progress as SearchProgress
    from mapper.search.reports import OnProgress


def note(text: str) -> None:
    """A line on stderr, where that is a terminal."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(text, file=sys.stderr)


class Advance(Protocol):
    """Called when a layer is done, with what to show beside the bar."""

    def __call__(self, note: str = "") -> None: ...


@contextmanager
def bar(title: str, total: int) -> Iterator[Advance]:
    """A progress bar for `total` steps."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from mapper.cli.output import console

    screen = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(note: str = "") -> None:
            progress.update(task, advance=1, note=printable(note))

        yield advance


@contextmanager
def live(objective: Objective, arch: Architecture) -> Iterator[OnProgress]:
    """A line with the best value of a search so far, its bound, the gap and the seconds."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from mapper.cli.output import console
    from mapper.documents.quantities import value_text

    screen = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as shown:
        task = shown.add_task("searching", total=None)

        def report(progress: SearchProgress) -> None:
            least = f"at least {value_text(progress.bound, objective, arch.energy_unit)}"
            if progress.incumbent is not None and progress.gap is not None:
                found = value_text(progress.incumbent, objective, arch.energy_unit)
                least = f"{found}, {least}, gap {progress.gap:.2%}"
            shown.update(task, description=least)

        yield report
