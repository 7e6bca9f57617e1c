"""Mutations of texts and of plain data, whatever they mean."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

NUMBERS = ("0", "-1", "1", "2", "7", "00", "1.5", "1e9", "1e99", "-0.0", "nan", "inf", "0x10", "1_0", "0b1", "9" * 18,
           "1:30", "9" * 30, "9" * 5000, "18446744073709551616", "\u0663", "\u00b2", "+3", "1/2", "1,000")  # fmt: skip
PIECES = ("", " ", "  ", "\n", "\t", "\r", "\0", "\x85", "\u2028", "\ufeff", "\u00e9", "\U0001f600", "\x1b[31m", "'",
          '"', "{", "}", "[", "]", "(", ")", ":", ",", ".", "..", "*", "&a", "*a", "!!int", "!!python/none", "!!binary",
          "!!timestamp", "!!set", "!!omap", "%YAML 1.1", "---", "...", "|", ">", "? ", "- ", "#", "<<: ", "=", "+=",
          "max=", "->", "-", "--", "/", "\\", "\\u0000", "%", "$", "~", "null", "true", "2001-01-01", "{}", "[]",
          "a" * 300, "all", "x")  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**18, 10**30, -(2**63), 1.5, 0.0, -0.0, 1e300, float("nan"), float("inf"), "",
    " ", "x", "a b", "é\n", "\0", "1", "2001-01-01", [], {}, [1], [[]], ["x", "y"], {"x": 1}, {"x": {"y": []}}, "=",
    "null", "~", "*", "9" * 400,
)  # fmt: skip
"""What may stand in plain data anywhere."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_NUMBER = re.compile(r"\d+")


def spoilt_text(text: str, random: Random, others: tuple[str, ...] = ()) -> str:
    """The text with one to four changes: characters, words, numbers or lines that are other ones, gone or twice.

    `others` are texts of the same kind, of which parts may come in.
    """
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        text = random.choice(_CHANGES)(text, random, others or (text,))
    return text


Change = Callable[[str, Random, tuple[str, ...]], str]


def _characters(text: str, random: Random, others: tuple[str, ...]) -> str:
    at = random.randint(0, len(text))
    end = min(len(text), at + random.choice((0, 0, 1, 1, 2, 9, 99)))
    new = random.choice((*PIECES, chr(random.choice((random.randint(0, 127), random.randint(128, 0xD7FF))))))
    return text[:at] + new * random.choice((1, 1, 1, 1, 2, 50)) + text[end:]


def _word(text: str, random: Random, others: tuple[str, ...]) -> str:
    """A word becomes another one, of this or another text."""
    words = _WORD.findall(text) or [""]
    known = _WORD.findall(random.choice(others)) or [""]
    words[random.randrange(len(words))] = random.choice((random.choice(known), random.choice(known), "", *PIECES[:3]))
    return "".join(words)


def _swap(text: str, random: Random, others: tuple[str, ...]) -> str:
    words = _WORD.findall(text) or [""]
    a, b = (random.randrange(len(words)) for _ in "ab")
    words[a], words[b] = words[b], words[a]
    return "".join(words)


def _number(text: str, random: Random, others: tuple[str, ...]) -> str:
    places = list(_NUMBER.finditer(text))
    if not places:
        return text + random.choice(NUMBERS)
    place = random.choice(places)
    new = random.choice((random.choice(NUMBERS), str(random.randint(0, 20)), place[0] + random.choice("0x.e-")))
    return text[: place.start()] + new + text[place.end() :]


def _lines(text: str, random: Random, others: tuple[str, ...]) -> str:
    """A line that is gone, twice, elsewhere, of another text, or further in."""
    lines = text.splitlines(keepends=True) or [""]
    at = random.randrange(len(lines))
    match random.randint(0, 4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(random.randrange(len(lines)), lines[at])
        case 2:
            lines.insert(random.randrange(len(lines)), lines.pop(at))
        case 3:
            lines[at] = random.choice(random.choice(others).splitlines(keepends=True) or [""])
        case _:
            lines[at] = "  " + lines[at]
    return "".join(lines)


def _cut(text: str, random: Random, others: tuple[str, ...]) -> str:
    at = random.randint(0, len(text))
    return random.choice((text[:at], text[at:], text[:at] + random.choice(others)))


_CHANGES: tuple[Change, ...] = (_characters, _characters, _word, _word, _word, _swap, _number, _number, _lines, _lines,
                                _cut)  # fmt: skip


def spoilt_data(data: Any, random: Random, others: tuple[Any, ...] = ()) -> Any:
    """A copy of nested lists and mappings with one to four changes: values, keys or parts that are other ones, gone,
    twice or elsewhere."""
    data = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        places = list(_places(data))
        if not places:
            return random.choice(VALUES)
        holder, key = random.choice(places)
        parts = list(_places(random.choice(others or (data,))))
        match random.randint(0, 6):
            case 0:
                del holder[key]
            case 1 if parts:
                owner, name = random.choice(parts)
                holder[key] = copy.deepcopy(owner[name])
            case 2 if isinstance(holder, dict):
                known = [name for owner, name in parts if isinstance(owner, dict)]
                new = random.choice((*known, *(v for v in VALUES if not isinstance(v, list | dict))))
                holder[new] = holder.pop(key)
            case 3 if isinstance(holder, list):
                holder.insert(random.randint(0, len(holder)), copy.deepcopy(holder[key]))
            case 4:
                holder[key] = random.choice(([holder[key]], {"x": holder[key]}, [holder[key]] * 2))
            case 5:
                holder[key] = _near(holder[key], random)
            case _:
                holder[key] = copy.deepcopy(random.choice(VALUES))
    return data


def _near(value: Any, random: Random) -> Any:
    """Another value like this one."""
    match value:
        case bool():
            return not value
        case int():
            return random.choice((value + 1, value - 1, -value, value * 2, value * 10**12, float(value), str(value)))
        case float():
            return random.choice((-value, value * 1e300, int(value) if abs(value) < 1e300 else 0, str(value)))
        case str():
            return spoilt_text(value, random)
        case list():
            return random.sample(value, random.randint(0, len(value)))
        case _:
            return random.choice(VALUES)


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every list and mapping with every key of it."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from _places(data[key])
