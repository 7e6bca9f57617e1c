"""Files: what is read and written, and what the system says of it."""

import errno
import os
from pathlib import Path

import pytest

from mapper.errors import FileError, InputError
from mapper.files import MissingFileError, read_bytes, read_text, write_text


def test_a_file_is_read_up_to_a_size(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345678")
    assert read_bytes(file, 8) == read_bytes(str(file), 9) == b"12345678"
    with pytest.raises(InputError, match="cannot be read: it has more than 7 bytes"):
        read_bytes(file, 7)
    file.write_bytes(b"")
    assert read_bytes(file, 0) == b""


def test_a_file_that_does_not_say_how_large_it_is():
    assert read_text("/proc/self/status").startswith("Name:")
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(InputError, match="more than 5 bytes"):
        read_bytes("/proc/self/status", 5)


def test_of_a_hole_only_its_beginning_is_read(tmp_path):
    with (tmp_path / "hole").open("wb") as stream:
        stream.truncate(2**40)
    assert read_bytes(tmp_path / "hole", 2**41) == b"\0"


def test_text_is_utf_8_with_any_ends_of_lines(tmp_path):
    (tmp_path / "text").write_bytes("a\r\nµ\rb\n".encode())
    assert read_text(tmp_path / "text") == "a\nµ\nb\n"
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not a text file"):
        read_text(tmp_path / "text")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, MissingFileError),
        (errno.ELOOP, InputError),
        (errno.ENAMETOOLONG, InputError),
        (errno.EIO, FileError),
        (errno.EACCES, FileError),
        (errno.EMFILE, FileError),
    ],
)
def test_the_path_is_the_users_and_the_rest_is_the_systems(monkeypatch, number, kind):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(InputError, match=f"some/file: cannot be read: {os.strerror(number)}") as error:
        read_bytes("some/file", 10)
    assert type(error.value) is kind
    assert error.value.exit_code == (74 if kind is FileError else 1)


@pytest.mark.parametrize("step", ["write", "replace"])
def test_what_cannot_be_finished_leaves_what_was_there(tmp_path, monkeypatch, step):
    (tmp_path / "file").write_text("as it was")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "replace":
        monkeypatch.setattr(Path, "replace", full)
    text = "new" if step == "replace" else "\ud800"  # which is no text that a file can hold
    with pytest.raises(FileError if step == "replace" else InputError, match="cannot be written"):
        write_text(tmp_path / "file", text)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "as it was"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("deep/file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "deep" / "file").read_text() == "text"
    for path in ("", "a\0b", str(tmp_path), "/dev/null"):
        with pytest.raises(InputError):
            write_text(path, "text")
