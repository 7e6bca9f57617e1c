"""Execute random mappings and hold the cost model to what is observed, until interrupted or proven wrong.

python tests/prove.py [--cases N] [--part N]

A failure prints the smallest case found that shows it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from pricing import price
from strategies import Case, cases

from backends.execute import execute
from backends.execute.reference import reference
from mapper.cost import count, evaluate


def check(case: Case) -> None:
    """Execute a case: every count is the model's, what they cost too, and the result is the reference's."""
    rng = np.random.default_rng(0)
    # small whole numbers: sums are exact in whatever order they are added
    operands = {
        t.name: rng.integers(-8, 9, case.nest.shape(t)).astype(float)
        for t in case.nest.tensors
        if t is not case.nest.output
    }
    run = execute(case.nest, case.arch, case.mapping, operands)
    assert run.counts == count(case.nest, case.arch, case.mapping)
    assert np.array_equal(run.output, reference(case.nest, operands))
    cost = evaluate(case.nest, case.arch, case.mapping)
    assert price(case, run.counts) == (cost.energy_by_level, cost.cycles_by_port, cost.home_words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run in parts of new random cases each, with a line of progress for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, help="stop after so many; default: never")
    parser.add_argument("--part", type=int, default=1000, help="cases between two lines of progress (default: 1000)")
    asked = parser.parse_args(arguments)
    for part in itertools.count(1):
        run = settings(max_examples=asked.part, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        seed(random.SystemRandom().getrandbits(64))(run(given(cases())(lambda case: check(case))))()
        done = f"{part * asked.part:,} random mappings executed"
        print(f"{done}: every count equal to the model's, every result exact", flush=True)
        if asked.cases is not None and part * asked.part >= asked.cases:
            break
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
