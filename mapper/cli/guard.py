"""What happens to exceptions: one line and the documented exit code for the user's, a traceback for ours."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

from mapper.errors import MapperError

EXIT_INTERRUPTED = 130
EXIT_INTERNAL = 70

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose exceptions end the process with the right exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what a terminal does not know
            sys.stdout.reconfigure(errors="replace")
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except MapperError as error:
            fail(error.exit_code, str(error))
        except KeyboardInterrupt as interrupt:
            fail(EXIT_INTERRUPTED, f"interrupted{': ' + str(interrupt) if str(interrupt) else ''}")
        except BrokenPipeError:  # the reader of our output has gone, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except Exception:
            import traceback

            traceback.print_exc()
            fail(EXIT_INTERNAL, "internal error: please report this with the command and the lines above")

    return run


def fail(code: int, message: str) -> NoReturn:
    """Print an error to stderr and leave with the code."""
    print("\n".join(f"mapper: error: {line}" for line in message.splitlines()), file=sys.stderr)
    raise SystemExit(code) from None
