"""What the user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import NoReturn

from mapper.errors import InputError


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """`did you mean A or B?` with the known names nearest to `word`, whatever their case; None if none is near."""
    by_fold: dict[str, str] = {}
    for name in known:
        by_fold.setdefault(name.casefold(), name)
    near = difflib.get_close_matches(word.casefold(), by_fold, n=3)
    return f"did you mean {' or '.join(by_fold[n] for n in near)}?" if near else None


def nearest(word: str, known: Iterable[str]) -> str:
    """The same, or all known names where none is near."""
    known = list(known)
    return did_you_mean(word, known) or f"known: {', '.join(sorted(known))}"


class Choice(StrEnum):
    """Words of which one is chosen: another one is an InputError with the nearest."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        words = list(cls)
        hint = nearest(value, words) if isinstance(value, str) else f"known: {', '.join(sorted(words))}"
        raise InputError(f"{cls.__name__.lower()}: there is no {str(value)[:40]!r}", hint=hint)
