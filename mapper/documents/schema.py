"""The name and number that every document carries in `schema`, and what is said of documents of another."""

from __future__ import annotations

import re
from typing import Any

from mapper.errors import InputError

VERSION = 2
"""Of all documents together; 1 had `energy_pj` for `energy`, and schedules of a layer and a mapping alone."""

_AGAIN = {
    "schedule": "compile or map again; or keep the mapping, whose form is the same: write '{schema}', and energy for "
    "energy_pj",
    "summary": "compile again: mapper compile MODEL -o DIR",
    "model": "compile again: mapper compile MODEL -o DIR",
}


def schema(kind: str) -> str:
    """What a document of this kind carries, as `tilewright.schedule/2`."""
    return f"tilewright.{kind}/{VERSION}"


def check_schema(data: Any, kind: str, place: str) -> dict[str, Any]:
    """The document itself if it is one of this kind and version; InputError that says what to do if not."""
    expected = schema(kind)
    if not isinstance(data, dict):
        raise InputError(f"the file is empty or no mapping, expected a mapping with schema '{expected}'", place=place)
    found = data.get("schema")
    if found == expected:
        return data
    number = re.fullmatch(rf"tilewright\.{kind}/([0-9]{{1,9}})", found) if isinstance(found, str) else None
    if number is None:
        raise InputError(f"schema is {found!r}, expected a mapping with schema '{expected}'", place=place)
    newer = int(number[1]) > VERSION
    raise InputError(
        f"it has schema '{found}', and this version reads '{expected}'",
        place=place,
        hint="a newer version of tilewright wrote it" if newer else _AGAIN[kind].format(schema=expected),
    )
