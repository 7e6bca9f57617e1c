"""Files: the one place where they are read, and the one where they are written.

What is read is a regular file of a bounded size: a device, a pipe or an endless file is refused, not waited for. What
is written is whole or not there: it is written under another name first, and then renamed.

A path that names no such file is the user's to mend: InputError. Where the system fails, such as on a full disk, it is
FileError.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mapper.errors import FileError, InputError

TEXT = 2**22
"""The most bytes of a text that people write: 4 MiB."""
DATA = 2**28
"""The most bytes of what this program writes, and reads back: 256 MiB."""
_CHUNK = 2**20

_WRONG_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV
}  # fmt: skip
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class MissingFileError(InputError):
    """There is no file of that name."""


def read_bytes(path: Path | str, most: int) -> bytes:
    """The content of a regular file of at most so many bytes.

    Of one that begins with a zero byte, as neither text nor a model does, no more than that: it may be one large hole.

    Raises MissingFileError where there is none, InputError where it is of another kind or larger, FileError where the
    system cannot read it.
    """
    with problems(path, "read"), os.fdopen(_opened(path), "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= most and os.pread(stream.fileno(), 1, 0) == b"\0":
            return b"\0"
        data = stream.readall() if 0 < size <= most else b""
        while not size and len(data) <= most and (part := stream.read(_CHUNK)):  # which does not say how large it is
            data += part
        if max(size, len(data)) > most:
            raise InputError(f"cannot be read: it has more than {most:,} bytes", place=str(path))
        return data


@contextmanager
def reading(path: Path | str) -> Iterator[IO[bytes]]:
    """A regular file, open to be read in parts; raises like `read_bytes`."""
    with problems(path, "read"), os.fdopen(_opened(path), "rb") as stream:
        yield stream


def _opened(path: Path | str) -> int:
    """The descriptor of a regular file; InputError for one of another kind."""
    # a pipe's other end is not waited for
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise InputError(f"cannot be read: it is {kind}", place=str(path), hint="give a regular file")


def read_text(path: Path | str, most: int = TEXT) -> str:
    """The content of a text file; raises like `read_bytes`, and InputError where it is no UTF-8 text."""
    try:
        return read_bytes(path, most).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError("cannot be read: not a text file", place=str(path)) from error


def write_text(path: Path | str, text: str) -> None:
    """Write a file whole or not at all, and the folders above it; where it is a link, what that leads to.

    Raises InputError where the path cannot be that of a regular file, FileError where the system cannot write it.
    """
    with problems(path, "written"):
        target = _target(path)
        folder = Path(target).parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{os.urandom(8).hex()}.tmp"  # short: the file's own name may be as long as names can be
        try:
            with temporary.open("x", encoding="utf-8") as stream:
                stream.write(text)
            temporary.replace(target)
        finally:
            with suppress(OSError):  # interrupted or failed: nothing half-written stays
                temporary.unlink()


def check_writable(path: Path | str) -> None:
    """Raise what `write_text` would as things stand, before the work that is to be written is done."""
    with problems(path, "written"):
        folder = Path(_target(path)).parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _target(path: Path | str) -> str:
    """What a path leads to; InputError where that is there and no regular file."""
    target = os.path.realpath(path)
    with suppress(FileNotFoundError):
        mode = os.stat(target).st_mode  # noqa: PTH116
        if stat.S_ISDIR(mode):
            raise InputError("is a folder, not a file to write", place=str(path))
        if not stat.S_ISREG(mode):
            raise InputError("is no regular file, which is all that can be replaced", place=str(path))
    return target


@contextmanager
def problems(path: Path | str, done: str) -> Iterator[None]:
    """Turns what the system says of a path that cannot be `done` into InputError or FileError."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFileError(f"cannot be {done}: {error.strerror}", place=str(path)) from error
    except OSError as error:
        kind = InputError if error.errno in _WRONG_PATH else FileError
        raise kind(f"cannot be {done}: {error.strerror}", place=str(path)) from error
    except ValueError as error:  # a name with a zero byte, or with half of a surrogate pair
        raise InputError(f"cannot be {done}: {error}", place=str(path)) from error
