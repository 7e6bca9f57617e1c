"""Data for a model's inputs, read from files of NumPy's: one `.npz`, one `.npy`, or a folder of `.npy` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mapper.errors import InputError, MapperError, all_of
from mapper.files import problems, reading
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Wanted = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]

FORMS = "FILE.npz with an array for each input, FILE.npy for a model of one input, or a folder of INPUT.npy files"

_BROKEN = "the array of input {} cannot be read"


def read_data(path: str | Path, wanted: Wanted) -> dict[str, Array]:
    """The arrays of all inputs that are `wanted`, which has the shape and the type of each by name.

    In a folder the array of the input `a/b` is the file `a/b.npy`. Of types that NumPy does not have (bfloat16, float8)
    the bytes are taken, as NumPy stores them. Shapes and types are checked before anything large is read. Raises
    InputError with everything that is wrong: a file that cannot be read, names that are missing or that the model does
    not have, other shapes and types.
    """
    place = Path(path)
    with problems(place, "read"):
        if place.is_dir():
            files = {file.relative_to(place).with_suffix("").as_posix(): file for file in sorted(place.rglob("*.npy"))}
            return _read(place, list(files), lambda name: reading(files[name]), wanted)
        if place.suffix == ".npz":
            with reading(place) as stream:
                return _read_archive(place, stream, wanted)
        if place.suffix == ".npy":
            if len(wanted) != 1:
                some = f"this one has {len(wanted)}: {', '.join(wanted)}"
                raise InputError(f"one array is for a model of one input, {some}", place=str(place), hint=FORMS)
            return _read(place, list(wanted), lambda name: reading(place), wanted)
        with reading(place):
            raise InputError("its name does not end in .npz or .npy", place=str(place), hint=FORMS)


def _read_archive(place: Path, stream: IO[bytes], wanted: Wanted) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(stream) as archive:
            files = {name.removesuffix(".npy"): name for name in archive.namelist()}
            return _read(place, list(files), lambda name: archive.open(files[name]), wanted)
    except zipfile.BadZipFile as error:
        raise InputError("cannot be read: it is no .npz file, or damaged", place=str(place), hint=FORMS) from error


def _read(
    place: Path, names: list[str], opened: Callable[[str], AbstractContextManager[IO[bytes]]], wanted: Wanted
) -> dict[str, Array]:
    """The wanted arrays, of which there are these names and a file for each."""
    wrong: list[MapperError] = []
    for name in names:
        if name not in wanted:
            hint = did_you_mean(name, wanted) or f"its inputs: {', '.join(wanted)}"
            wrong.append(InputError(f"the model has no input '{name}'", place=str(place), hint=hint))
    found: dict[str, Array] = {}
    for name, (shape, dtype) in wanted.items():
        if name not in names:
            wrong.append(InputError(f"there is no array for input {name}", place=str(place), hint=FORMS))
            continue
        try:
            with opened(name) as file:
                found[name] = _array(file, name, shape, dtype)
        except (NotImplementedError, RuntimeError) as error:  # an archive with a password, or packed otherwise
            wrong.append(InputError(f"{_BROKEN.format(name)}: {error}", place=str(place)))
        except InputError as error:
            wrong.append(InputError(error.message, place=str(place), hint=error.hint))
    if problem := all_of(wrong):
        raise problem
    return found


def _array(file: IO[bytes], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """One array, whose header is held against what is wanted before the rest is read."""
    import numpy as np
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not known")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        has, fortran, kind = read_header(file)
    except (ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{_BROKEN.format(name)}: {' '.join(str(error).split())}") from error
    stored = np.dtype(f"V{dtype.itemsize}") if dtype.kind == "V" and kind.kind == "V" else dtype
    same = kind == stored or kind.newbyteorder("=") == stored or (dtype.kind == "O" and kind.kind == "U")
    if has != shape or not same:
        hint = f"array.astype('{dtype.name}')" if has == shape and dtype.kind not in "OV" else None
        what = "text" if dtype.kind == "O" else dtype.name
        raise InputError(f"input {name} is {what} of shape {shape}, the array is {kind} of shape {has}", hint=hint)
    count = int(np.prod(shape, dtype=np.int64))
    size = count * kind.itemsize
    try:
        data = file.read(size)
    except (EOFError, zlib.error) as error:
        raise InputError(f"{_BROKEN.format(name)}: {error}") from error
    if len(data) != size:
        raise InputError(f"{_BROKEN.format(name)}: it ends after {len(data)} of {size} bytes")
    array = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "V":
        return np.ascontiguousarray(array).view(dtype)
    return np.ascontiguousarray(array.astype(dtype)).reshape(shape)
