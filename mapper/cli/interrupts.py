"""Interrupts (Ctrl-C): where nothing is kept they end the process at once, elsewhere they are exceptions.

At once, because an exception may come up anywhere, and what is being imported then fails in its own way.
"""

from __future__ import annotations

import os
import signal

EXIT_INTERRUPTED = 130

_keeping = False
_came = False


def install() -> None:
    """From here on this process answers interrupts so, unless it was started to ignore them."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _answer)


def ignore() -> None:
    """All is done and said: an interrupt has nothing left to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep() -> None:
    """From here on an interrupt is a KeyboardInterrupt, so that what is found by then can be kept."""
    global _keeping
    _keeping = True


def came() -> bool:
    """Whether there was one: what fails then has failed because of it."""
    return _came


def _answer(*_: object) -> None:
    global _came
    if not _keeping:
        os._exit(EXIT_INTERRUPTED)
    _came = True
    raise KeyboardInterrupt
