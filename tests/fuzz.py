"""Try mutated inputs of every kind until interrupted or for a time: each must be read, or refused in one line.

python tests/fuzz.py [KIND ...] [--minutes M] [--count N] [--record]
python tests/fuzz.py KIND --seed N [--save FILE]

A kind and a seed make always the same input. A defect is printed with its seed and traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parent / "frontends"))

from fuzzing.every import KINDS
from fuzzing.kinds import Kind
from fuzzing.record import record
from fuzzing.run import Outcome, attempt, run, sites

SEEDS = 2**48
"""Random seeds are less than this."""
RECORD = 120
"""Seconds between two records of a run: what ends it loses no more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 if there was a defect."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; default: all but slow ones")
    parser.add_argument("--minutes", type=float, help="stop after so many; default: never")
    parser.add_argument("--count", type=int, help="inputs of each kind; default: no end")
    parser.add_argument("--seed", type=int, help="the first seed; default: a random one, which is printed")
    parser.add_argument("--save", type=Path, metavar="FILE", help="only write the input of the seed to a file")
    parser.add_argument("--record", action="store_true", help="add the counts to tests/data/fuzz.csv")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.kinds if name not in KINDS]
    if unknown:
        parser.error(f"there is no kind {', '.join(unknown)}; kinds: {', '.join(KINDS)}")
    kinds = [KINDS[name] for name in asked.kinds] or [kind for kind in KINDS.values() if not kind.slow]
    if asked.save:
        given = kinds[0].input(asked.seed or 0)
        given = given[0] if isinstance(given, tuple) and isinstance(given[0], bytes) else given
        asked.save.write_bytes(given if isinstance(given, bytes) else str(given).encode("utf-8", "surrogatepass"))
        return 0
    if asked.seed is not None and asked.count is None:  # here, so that a debugger can look on
        print("read" if attempt(kinds[0], asked.seed) else "refused")
        return 0
    return _every(kinds, asked)


def _every(kinds: list[Kind], asked: argparse.Namespace) -> int:
    begun, first = time.monotonic(), asked.seed if asked.seed is not None else random.SystemRandom().randrange(SEEDS)
    print(f"first seed {first}", flush=True)
    total = {kind.name: Outcome() for kind in kinds}
    part, due = 25, begun + RECORD

    def is_open(kind: Kind) -> bool:
        return asked.count is None or total[kind.name].count < asked.count

    with contextlib.suppress(KeyboardInterrupt):
        while any(map(is_open, kinds)) and (asked.minutes is None or time.monotonic() - begun < 60 * asked.minutes):
            for kind in filter(is_open, kinds):
                found = total[kind.name]
                count = part * (2 if kind.structural else 1)
                count = count if asked.count is None else min(count, asked.count - found.count)
                new = run(kind, first + found.count, count)
                found.add(new)
                for place, seeds in sites(new).items():
                    print(f"DEFECT {kind.name} {' '.join(map(str, seeds))}: {place}", flush=True)
                    print(new.defects[seeds[0]], flush=True)
            part = min(2 * part, 800)
            if asked.record and time.monotonic() > due:
                record(first, total)
                due = time.monotonic() + RECORD
    for name, found in total.items():
        outcome = f"{found.read:,} read, {found.refused:,} refused, {len(found.defects)} defects"
        print(f"{name}: {found.count:,} inputs, {outcome}", flush=True)
    if asked.record:
        record(first, total)
    return 1 if any(found.defects for found in total.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
