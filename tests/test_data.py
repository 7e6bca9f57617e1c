"""Data for a model's inputs, and everything that may be wrong with it."""

import os
import zipfile

import ml_dtypes
import numpy as np
import pytest

from mapper.data import FORMS, read_data
from mapper.errors import InputError

WANTED = {
    "image": ((2, 3), np.dtype(np.float32)),
    "ids/first": ((4,), np.dtype(np.int64)),
    "half": ((2,), np.dtype(ml_dtypes.bfloat16)),
    "words": ((2,), np.dtype(object)),
}
ARRAYS = {
    "image": np.arange(6, dtype=np.float32).reshape(2, 3),
    "ids/first": np.array([3, 1, 2, 0]),
    "half": np.array([1.5, -2], ml_dtypes.bfloat16),
    "words": np.array(["one", "three"]),
}


def folder(path, arrays):
    for name, array in arrays.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(path / f"{name}.npy", array)
    return path


def archive(path, arrays, *, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path / "data.npz", **arrays)
    return path / "data.npz"


@pytest.mark.parametrize("write", [folder, archive, lambda *given: archive(*given, compressed=True)])
def test_arrays_come_back_as_they_were(write, tmp_path):
    found = read_data(write(tmp_path, ARRAYS), WANTED)
    assert list(found) == list(WANTED)
    for name, array in ARRAYS.items():
        assert found[name].dtype == WANTED[name][1] and found[name].shape == WANTED[name][0]
        assert found[name].tolist() == array.tolist()


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(ARRAYS["image"]), ARRAYS["image"].astype(">f4"), ARRAYS["image"][::-1].copy()[::-1]],
)
def test_one_array_in_any_order(array, tmp_path):
    np.save(tmp_path / "x.npy", array)
    found = read_data(tmp_path / "x.npy", {"image": WANTED["image"]})["image"]
    assert found.tolist() == ARRAYS["image"].tolist() and found.flags.c_contiguous and found.dtype == np.float32


def test_numbers_and_nothing(tmp_path):
    np.savez(tmp_path / "x.npz", number=np.array(3.0), none=np.zeros((0, 4)))
    wanted = {"number": ((), np.dtype(float)), "none": ((0, 4), np.dtype(float))}
    found = read_data(tmp_path / "x.npz", wanted)
    assert found["number"].shape == () and found["none"].shape == (0, 4)
    assert read_data(tmp_path / "x.npz", wanted)["number"] == 3


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    wrong = {"image": np.zeros((3, 2)), "ids": np.zeros(4), "half": np.zeros(2, np.int16), "words": ARRAYS["words"]}
    with pytest.raises(InputError) as error:
        read_data(archive(tmp_path, wrong), WANTED)
    lines = str(error.value).splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "the model has no input 'ids' (its inputs: image, ids/first, half, words)",
        "input image is float32 of shape (2, 3), the array is float64 of shape (3, 2)",
        f"there is no array for input ids/first ({FORMS})",
        "input half is bfloat16 of shape (2,), the array is int16 of shape (2,)",
    ]
    assert all(line.startswith(f"{tmp_path / 'data.npz'}: ") for line in lines)


def test_another_type_says_how_to_mend_it(tmp_path):
    np.save(tmp_path / "x.npy", ARRAYS["image"].astype(float))
    with pytest.raises(InputError, match=r"the array is float64 of shape \(2, 3\) \(array.astype\('float32'\)\)"):
        read_data(tmp_path / "x.npy", {"image": WANTED["image"]})


def test_one_array_for_several_inputs(tmp_path):
    np.save(tmp_path / "x.npy", ARRAYS["image"])
    with pytest.raises(
        InputError, match="one array is for a model of one input, this one has 4: image, ids/first, half"
    ):
        read_data(tmp_path / "x.npy", WANTED)


def broken(path, kind):
    """A file that is none of the format."""
    np.save(path / "x.npy", ARRAYS["image"])
    data = (path / "x.npy").read_bytes()
    large = data.replace(b"(2, 3)", b"(2,99999999999)")
    pickled = path / "p.npy"
    np.save(pickled, np.array([{}, []], object), allow_pickle=True)
    content = {
        "empty": b"",
        "text": b"1 2 3\n",
        "short": data[:-4],
        "version": data[:6] + b"\x09\x00" + data[8:],
        "header": data.replace(b"shape", b"shapf"),
        "large": large,
        "pickled": pickled.read_bytes(),
    }[kind]
    (path / "x.npy").write_bytes(content)
    return path / "x.npy"


@pytest.mark.parametrize("kind", ["empty", "text", "short", "version", "header", "large", "pickled"])
def test_broken_files(kind, tmp_path):
    path = broken(tmp_path, kind)
    with pytest.raises(InputError) as error:
        read_data(path, {"image": WANTED["image"]})
    assert str(error.value).startswith(f"{path}: ") and "input image" in str(error.value)


def test_broken_archives(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InputError, match=r"cannot be read: it is no .npz file, or damaged"):
        read_data(tmp_path / "x.npz", WANTED)
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as file:
        file.writestr("image.npy", b"no array")
    with pytest.raises(InputError, match="the array of input image cannot be read"):
        read_data(tmp_path / "y.npz", {"image": WANTED["image"]})
    data = bytearray(archive(tmp_path, {"image": ARRAYS["image"]}, compressed=True).read_bytes())
    data[70] ^= 255  # inside the compressed array
    (tmp_path / "z.npz").write_bytes(data)
    with pytest.raises(InputError):
        read_data(tmp_path / "z.npz", {"image": WANTED["image"]})


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_data(tmp_path / "none.npz", WANTED)
    with pytest.raises(InputError, match="cannot be read: it is a device"):
        read_data("/dev/zero", WANTED)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="cannot be read: it is a pipe"):
        read_data(tmp_path / "pipe.npy", {"image": WANTED["image"]})
    (tmp_path / "data.csv").write_text("1,2\n")
    with pytest.raises(InputError, match=r"its name does not end in .npz or .npy \(FILE.npz with an array"):
        read_data(tmp_path / "data.csv", WANTED)
