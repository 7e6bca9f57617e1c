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
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        raise
    executor.shutdown()


class _Pool(ProcessPoolExecutor):
    """Processes that interrupts do not reach: those are this one's to handle."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submit a task, which may start a process: it inherits what is blocked meanwhile."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a worker: end when the process that started it does, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
