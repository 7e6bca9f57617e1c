"""The record of what was tried: a line for each run and kind."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from fuzzing.run import Outcome

FILE = Path(__file__).parents[1] / "data" / "fuzz.csv"
HEAD = ("day", "commit", "kind", "first seed", "inputs", "read", "refused", "defects")


def record(first: int, found: Mapping[str, Outcome]) -> None:
    """Write the counts of a run, whose seeds begin at `first` for each kind, in place of what was recorded of it."""
    rows = [row for row in _rows() if row[3] != str(first)]
    day, commit = datetime.now(UTC).date().isoformat(), _commit()
    for kind, outcome in found.items():
        if outcome.count:
            counts = (outcome.count, outcome.read, outcome.refused, len(outcome.defects))
            rows.append([day, commit, kind, *map(str, (first, *counts))])
    with FILE.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])


def _rows() -> list[list[str]]:
    if not FILE.exists():
        return []
    with FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def _commit() -> str:
    """The version of the program, if git knows it: a seed makes the same input as long as the generators stay."""
    command = ["git", "rev-parse", "--short=9", "HEAD"]
    try:
        return subprocess.run(command, cwd=FILE.parent, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
