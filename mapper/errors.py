"""The errors a user can cause, and the exit code each one has.

Everything that is the user's to mend is a `MapperError`: one message, the place it concerns and what to do.
Anything else that is raised is a defect of this program and stays an ordinary exception (exit code 70).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapper.search import Result


def printable(text: str) -> str:
    """A line of text with everything escaped that cannot be printed, and that a terminal might obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def readable(text: str) -> str:
    """A line of a message: printable, and no longer than a person reads, whatever it quotes.

    Of a word of more than 200 characters, and of a line of more than 1000 after that, the middle is left out.
    """
    words = re.sub(r"[^ ]{201,}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", printable(text))
    return words if len(words) <= 1000 else f"{words[:700]} ... {words[-290:]}"


class MapperError(Exception):
    """A problem the user can mend.

    `message` says what is wrong, `place` where (file:line:column, layer or node), `hint` what to do about it. As text,
    what cannot be printed is escaped and what is very long is shortened: it quotes what users and files hold.
    """

    exit_code = 1

    def __init__(self, message: str, *, place: str | None = None, hint: str | None = None) -> None:
        self.message, self.place, self.hint = message, place, hint
        self._parts: tuple[MapperError, ...] = ()
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        text = f"{text} ({self.hint})" if self.hint else text
        return "\n".join(map(readable, text.split("\n")))

    @property
    def problems(self) -> tuple[MapperError, ...]:
        """The errors that `all_of` made this one of; of any other error, that error alone."""
        return self._parts or (self,)

    def __reduce__(self) -> tuple[object, ...]:  # keyword-only arguments must survive a process pool
        return (_rebuild, (type(self), self.message, self.place, self.hint), {"_parts": self._parts})


def _rebuild(kind: type[MapperError], message: str, place: str | None, hint: str | None) -> MapperError:
    return kind(message, place=place, hint=hint)


class InputError(MapperError):
    """A file, name or value that cannot be read or makes no sense."""


class FileError(InputError):
    """The system cannot read or write what it was asked to: a full disk, a permission, no file descriptors left."""

    exit_code = 74


class InfeasibleError(MapperError):
    """No legal mapping exists; the message names the memory and by how much it is too small."""

    exit_code = 3


class VerificationError(MapperError):
    """Execution disagrees with the model or with the reference."""

    exit_code = 4


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            hint=f"pip install 'tilewright[{extra}]'",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (InputError, self.message, self.place, self.hint))


class Interrupted(KeyboardInterrupt):
    """An interrupt (Ctrl-C) ended a search, or the compilation of a model.

    `result` is the best that the search had found by then, with its bound; None if that is nothing. `solved` has the
    result of each layer of the model that was solved by then, by the layer's name.
    """

    def __init__(self, message: str, result: Result | None = None, solved: Mapping[str, Result] | None = None) -> None:
        self.result, self.solved = result, dict(solved or {})
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return (Interrupted, (str(self), self.result, self.solved))


def all_of(problems: Iterable[MapperError]) -> MapperError | None:
    """One error that lists every problem, a line each; None when there are none."""
    found = list(problems)
    if len(found) < 2:
        return found[0] if found else None
    error = type(found[0])("\n".join(str(p) for p in found))
    error._parts = tuple(each for p in found for each in p.problems)
    return error
