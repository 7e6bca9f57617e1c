"""Workers: what a block leaves behind when it raises."""

import os
import threading
import time

import pytest

from mapper.network.workers import workers


def test_a_block_that_raises_leaves_neither_processes_nor_threads():
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt), workers(1, 1) as executor:
        process = executor.submit(os.getpid).result()
        sleeps = executor.submit(time.sleep, 600)
        raise KeyboardInterrupt
    assert sleeps.done()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    # a thread of the pool that still closes its pipes while Python ends makes a traceback
    assert set(threading.enumerate()) == before
