"""The record of what was tried: a line for each run and kind."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from fuzzing.run import Outcome

FILE = Path(__file__).parents[1] / "data" / "fuzz.csv"


def record(first: int, found: Mapping[str, Outcome]) -> None:
    """Add the counts of a run, whose seeds begin at `first` for each kind."""
    with FILE.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        day = datetime.now(UTC).date().isoformat()
        for kind, outcome in found.items():
            if outcome.count:
                defects = len(outcome.defects)
                writer.writerow((day, kind, first, outcome.count, outcome.read, outcome.refused, defects))
