"""Mutated inputs: how many were tried, from which seeds, and what came of them."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from validation.markdown import bullets, page, paragraph, table

RECORD = Path(__file__).parents[1] / "tests" / "data" / "fuzz.csv"
STRUCTURAL = frozenset(
    {"energy tables as data", "folders", "models", "models compiled", "node tests", "random models"}
    | {"schedules as data", "specs as data"}
)
TARGET = 10**6

INPUTS = (
    """*models*: small models of every sort (those of the zoo, operators of ONNX Runtime, bodies, functions, random
    operators) with one to five changes of attributes, operands, operators, bodies, functions, types, constants and
    versions; *random models*: operators drawn at random, with one thing wrong; *node tests*: the same changes to the
    node tests of the ONNX standard; *as bytes*: bytes replaced, put in, left out; *compiled*: what is small enough is
    compiled, executed and compared with ONNX Runtime too.""",
    """*as data*: parts of a document that are gone, twice, elsewhere, or of another type, written as YAML or JSON;
    *as text* and the others: characters, words, numbers and lines; *folders*: a file or two of a compilation, verified.
    """,
    """What is read is used: a network is printed, read back and its inventory taken, a mapping is evaluated, a spec
    gets the mapspace of two layers.""",
)


def report() -> str:
    """The page, from the record of all runs."""
    with RECORD.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        for i, key in enumerate(("inputs", "read", "refused", "defects")):
            counts[row["kind"]][i] += int(row[key])
    total = [sum(each[i] for each in counts.values()) for i in range(4)]
    structural = sum(each[0] for kind, each in counts.items() if kind in STRUCTURAL)
    runs = {row["first seed"]: row for row in rows}
    seeds = [
        [row["day"], row["commit"], seed, f"{sum(int(r['inputs']) for r in rows if r['first seed'] == seed):,}",
         str(sum(int(r["defects"]) for r in rows if r["first seed"] == seed))]
        for seed, row in runs.items()
    ]  # fmt: skip
    return page(
        "# Mutated inputs",
        paragraph(
            f"""Files, texts and data that are changed at random: each must be read, or refused in one line. Anything
            else is a defect: another exception (exit code 70), a message that cannot be printed, the end of the
            process, more than 20 s of processor time, more than 2 GiB of memory. So far {total[0]:,} inputs were tried,
            of which {structural:,} are structural: well-formed files whose content is changed. The aim is {TARGET:,},
            half of them structural. The defects below were found on the way and are mended, each with a test of its
            kind."""
        ),
        table(
            ("inputs", "structural", "tried", "read", "refused", "defects found"),
            [
                [kind, "yes" if kind in STRUCTURAL else "", *(f"{n:,}" for n in each)]
                for kind, each in sorted(counts.items())
            ]
            + [["all", "", *(f"{n:,}" for n in total)]],
        ),
        "## What the inputs are",
        bullets(*(" ".join(point.split()) for point in INPUTS)),
        "## Runs",
        paragraph(
            """A kind and a seed make always the same input, as long as the generators, `onnx` and ONNX Runtime stay as
            they are: `python tests/fuzz.py KIND --seed N` tries it again. The seeds of a run are consecutive for each
            kind from the first on. `make fuzz` runs until it is stopped; `python tests/fuzz.py --minutes M --record`
            adds to this page's record, and `python -m validation fuzz --write` renews the page. `make test` tries a
            hundred of each kind, from a new seed each time."""
        ),
        table(("day", "version", "first seed", "inputs", "defects found"), seeds),
    )
