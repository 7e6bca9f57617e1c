"""Workers: processes that solve layers; interrupts do not reach them, and they end with the process they work for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from mapper.errors import InputError

MOST = 1024
"""More processes than any machine has cores for."""


@contextmanager
def workers(jobs: int, tasks: int) -> Iterator[Executor]:
    """So many processes, at most one for each task; ended at once, whatever they do, when the block raises.

    Raises InputError if `jobs` is not in 1 to `MOST`.
    """
    if not 1 <= jobs <= MOST:
        raise InputError(f"jobs are 1 to {MOST} processes")
    executor = _Pool(max(1, min(jobs, tasks)), multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield executor
    except BaseException:
        with _uninterrupted():
            for process in list((executor._processes or {}).values()):
                process.terminate()
            # waited for: the end of Python may otherwise meet the pool's thread while it closes its pipes
            executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


class _Pool(ProcessPoolExecutor):
    """Processes that interrupts do not reach: those are this one's to handle."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submit a task, which may start a process."""
        with _uninterrupted():
            return super().submit(*args, **kwargs)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Interrupts come when this is over; processes that start within never get any."""
    came: list[tuple[Any, ...]] = []
    main = threading.current_thread() is threading.main_thread()
    # other threads may take a signal that is blocked in this one: the main thread then hears of it all the same
    answer = signal.signal(signal.SIGINT, lambda *what: came.append(what)) if main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if answer is not None:
            signal.signal(signal.SIGINT, answer)
        if came and callable(answer):
            answer(*came[0])


def _end_with_parent() -> None:
    """In a worker: end when the process that started it does, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
