"""CPU time of calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

RUNS = 3


def median_cpu_s(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median CPU seconds of a call, after one that compiles and fills caches."""
    call()
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)
