"""How the process ends: one line and the documented exit code for what is the user's or the system's, a traceback for
what is ours."""

from __future__ import annotations

import errno
import functools
import io
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, ParamSpec, TextIO

from mapper.cli import interrupts
from mapper.cli.interrupts import EXIT_INTERRUPTED
from mapper.errors import FileError, MapperError

EXIT_INTERNAL = 70
EXIT_SYSTEM = FileError.exit_code

_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""How writing fails, where an error names no file: it is standard output then."""
_SYSTEM = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS, errno.EACCES, errno.EPERM} | _OUTPUT

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose exceptions end the process with the right exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with guard():
            command(*args, **kwargs)

    return run


@contextmanager
def guard() -> Iterator[None]:
    """Ends the process with the right exit code where what is inside raises, or what it printed cannot be written."""
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what a terminal does not know
            sys.stdout.reconfigure(errors="replace")
        try:
            yield
        finally:
            sys.stdout.flush()
    except MapperError as error:
        fail(error.exit_code, str(error))
    except KeyboardInterrupt as interrupt:
        fail(EXIT_INTERRUPTED, f"interrupted{': ' + str(interrupt) if str(interrupt) else ''}")
    except MemoryError:
        fail(EXIT_SYSTEM, "out of memory")
    except Exception as error:
        if interrupts.came():
            fail(EXIT_INTERRUPTED, "interrupted")
        if isinstance(error, BrokenPipeError) and _unread(sys.stdout):  # as with `| head`
            _discard(sys.stdout)
            raise SystemExit(0) from None
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            output = error.filename is None and error.errno in _OUTPUT
            if output:
                _discard(sys.stdout)
            place = "standard output cannot be written" if output else error.filename or "the system refuses"
            fail(EXIT_SYSTEM, f"{place}: {error.strerror}")
        if lacking := _lacking():  # imports fail in many ways then
            fail(EXIT_SYSTEM, lacking)
        import traceback

        traceback.print_exc()
        fail(EXIT_INTERNAL, "internal error: please report this with the command and the lines above")


def fail(code: int, message: str) -> NoReturn:
    """Print an error to stderr and leave with the code."""
    try:
        print("\n".join(f"mapper: error: {line}" for line in message.splitlines()), file=sys.stderr, flush=True)
    except OSError:  # nobody can be told; the exit code remains
        _discard(sys.stderr)
    raise SystemExit(code) from None


def open_streams() -> None:
    """Make sure of the three standard streams: a file that takes the number of a closed one would get what is printed.

    Ends the process where standard output is closed, before the work and not after it.
    """
    closed = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
            closed.append(number)
    if 2 in closed:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if 1 in closed:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        fail(EXIT_SYSTEM, f"standard output cannot be written: {os.strerror(errno.EBADF)}")


def _unread(stream: TextIO) -> bool:
    """Whether the stream is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard(stream: TextIO) -> None:
    """Let what is printed go nowhere, also what Python keeps of it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _lacking() -> str | None:
    """What the system does not give, in words: file descriptors, memory or threads."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        bytearray(2**26)
        threading.Thread(target=bool).start()
    except OSError as error:
        return f"the system refuses: {error.strerror}"
    except MemoryError:
        return "out of memory"
    except RuntimeError as error:
        return f"the system refuses: {error}"
    return None
