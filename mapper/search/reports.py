"""Reports: what is known of the optimum while it is sought, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from mapper.search.program import Clock
from mapper.search.result import Progress

OnProgress = Callable[[Progress], None]


class Reports:
    """The best `value` so far and a `bound` that no mapping is below; `on_progress` hears when one gets better."""

    def __init__(self, clock: Clock, on_progress: OnProgress | None, bound: Fraction) -> None:
        self.clock, self.on_progress = clock, on_progress
        self.value: Fraction | None = None
        self.bound = bound

    def add(self, value: Fraction | None, bound: Fraction) -> None:
        """A mapping of this value (None: no other than before), and a bound."""
        now = self.clock.elapsed_s
        news = bound > self.bound
        self.bound = max(bound, self.bound)
        if value is not None and (self.value is None or value < self.value):
            news, self.value = True, value
            self.clock.incumbents.append((now, value))
        if news and self.on_progress:
            least = self.bound if self.value is None else min(self.bound, self.value)
            self.on_progress(Progress(self.value, least, now))

    def start(self, bound: Fraction) -> None:
        """Another point of a front is sought from here on."""
        self.value, self.bound = None, bound
