"""Running inputs of a kind: in processes of their own, within limits of time and memory, from seed to seed."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzzing.kinds import Kind
from mapper.errors import MapperError

SECONDS = 20
"""Of the processor that one input may take; a hang is a defect."""
MEMORY = 2**31
"""Bytes of address space that an input may take beyond what its process had."""
PATIENCE = 600
"""Seconds of the clock after which a process that waits for something is given up."""


class TooLong(BaseException):
    """An input takes too long: no part of the program may take this for one of its own exceptions."""


@dataclass
class Outcome:
    """What came of inputs: how many were read, how many refused, and the defects by seed."""

    read: int = 0
    refused: int = 0
    defects: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.read + self.refused + len(self.defects)

    def add(self, other: Outcome) -> None:
        self.read, self.refused = self.read + other.read, self.refused + other.refused
        self.defects |= other.defects


def attempt(kind: Kind, seed: int) -> bool:
    """Whether the input of that seed is read; False if it is refused in a message that can be printed."""
    given = kind.input(seed)
    try:
        with _time_limit():
            kind.attempt(given)
    except MapperError as error:
        assert all(line.isprintable() for line in str(error).split("\n")), repr(str(error))
        return False
    return True


@contextmanager
def _time_limit() -> Iterator[None]:
    """First as an exception; what does not come back to Python to raise it is ended by the kernel."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    signal.signal(signal.SIGPROF, _too_long)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 2 * SECONDS, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_CPU, before)


def _too_long(number: int, frame: Any) -> None:
    raise TooLong(f"more than {SECONDS} s")


def _limits() -> None:
    words = Path("/proc/self/statm")
    if words.exists():
        used = int(words.read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def _work(kind: Kind, first: int, count: int, done: Any, answer: Connection) -> None:
    """Try seeds one after the other. `done` counts what is read and refused and `answer` is sent the defects, each at
    once: the process may not survive the next input."""
    _limits()
    for seed in range(first, first + count):
        try:
            done[0 if attempt(kind, seed) else 1] += 1
        except (Exception, TooLong):
            answer.send((seed, traceback.format_exc()))
    answer.send(None)


def _batch(kind: Kind, first: int, count: int) -> Outcome:
    """What comes of `count` seeds from `first` on in a process of their own; where that ends on the way, of those up to
    the one at which it does, which is a defect."""
    context = multiprocessing.get_context("fork")  # what is imported once is there in each
    done = context.Array("q", 2, lock=False)
    answer, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(kind, first, count, done, theirs), daemon=True)
    process.start()
    theirs.close()
    found, ended = Outcome(), "it waits for something"
    with contextlib.suppress(EOFError):
        while answer.poll(PATIENCE):
            if (defect := answer.recv()) is None:
                ended = ""
                break
            found.defects[defect[0]] = defect[1]
    if ended:
        process.kill()
    process.join()
    found.read, found.refused = done
    if ended:
        end = f"{ended}, or the process ended: {process.exitcode} (a negative number is a signal)"
        found.defects[first + found.count] = end
    return found


def run(kind: Kind, first: int, count: int) -> Outcome:
    """Try seeds in another process, and in a new one after a defect that ends it."""
    found = Outcome()
    while found.count < count:
        found.add(_batch(kind, first + found.count, count - found.count))
    return found


def site(text: str) -> str:
    """Where a defect is, by its traceback: defects of one site have most likely one reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith('File "') and "/tests/" not in line]
    return f"{places[-1] if places else ''}: {lines[-1][:120]}"


def sites(found: Outcome) -> dict[str, list[int]]:
    """The seeds of defects by site, most of them first."""
    counted = Counter(map(site, found.defects.values()))
    return {
        place: [s for s, text in found.defects.items() if site(text) == place] for place, _ in counted.most_common()
    }
