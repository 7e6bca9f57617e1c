"""Whole commands: mutated models compiled and verified, and the mutated folder of a compilation verified."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from model_zoo import Builder

from fuzzing import bases, models
from fuzzing.kinds import Kind
from fuzzing.mutations import spoilt_data, spoilt_text
from mapper.cli import compile as compiling
from mapper.cli.options import Asked
from mapper.cli.verify import verify_folder

SPEC = """\
name: tiny
energy_unit: MAC
levels:
  - memory: DRAM
    word: 16 bits
    read: 200
    write: 200
  - fanout: PE
    axes: {x: 4}
  - memory: RF
    size: 64 words
    word: 16 bits
    read: 1
    write: 1
  - compute: MAC
    energy: 1
"""
MOST = 3, 10**4
"""Layers of a model that is compiled, and operations of each."""


@contextlib.contextmanager
def _quiet() -> Iterator[Path]:
    """A folder; what is printed meanwhile is not shown, and layers are solved in this process."""
    pool, compiling.workers = compiling.workers, lambda *_: contextlib.nullcontext()  # type: ignore[assignment]
    sink = io.StringIO()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
        ):
            yield Path(folder)
    finally:
        compiling.workers = pool


def _compile(model: Path, output: Path, *, verify: bool, dims: dict[str, int]) -> None:
    spec = model.with_suffix(".yaml")
    spec.write_text(SPEC)
    asked = Asked(factors="perfect", deterministic_limit=0.5)
    words = [f"{name}={n}" for name, n in dims.items()]
    compiling.run(compiling.Request(str(model), str(spec), asked, output, 1, verify, True, [], words, []))


def draw_model(random: Random) -> models.Model:
    base = random.choice(bases.quick()) if random.randint(0, 1) else bases.small(random)
    return models.Model(models.deformed(base, random), {"dims": base.dims})


def attempt_model(given: models.Model) -> None:
    with _quiet() as folder:
        path = folder / "model.onnx"
        path.write_bytes(given.data)
        layers = models.read(str(path), **given.told).network.layers
        if len(layers) <= MOST[0] and all(layer.nest and layer.nest.operations <= MOST[1] for layer in layers):
            _compile(path, folder / "build", verify=True, dims=given.told["dims"])


# -- the folder of a compilation ---------------------------------------------------------------------------------------


@cache
def _model() -> bytes:
    g = Builder(17)
    x = g("Relu", g("Conv", g.input("x", "n", 2, 4, 4), g.weight(3, 2, 3, 3), g.weight(3)))
    g.output("y", g("MatMul", g("Flatten", x), g.weight(12, 5)), "n", 5)
    data: bytes = g.model().SerializeToString(deterministic=True)
    return data


@cache
def _written() -> tuple[tuple[str, str], ...]:
    """The files of the folder, without what differs from run to run and where the model is."""
    with _quiet() as folder:
        path = folder / "model.onnx"
        path.write_bytes(_model())
        _compile(path, folder / "build", verify=False, dims={"n": 2})
        files = sorted(file for file in (folder / "build").rglob("*") if file.is_file())
        texts = {str(file.relative_to(folder / "build")): file.read_text("utf-8") for file in files}
    known = {name: text.replace(str(path), "MODEL") for name, text in texts.items() if not name.endswith(".csv")}
    return tuple((name, re.sub(r'("solve_s": )[0-9.e-]+', r"\g<1>0.5", text)) for name, text in known.items())


def draw_folder(random: Random) -> dict[str, str]:
    """One or two files are changed, as data or as text, or are not there."""
    files = dict(_written())
    texts = tuple(files.values())
    for name in random.sample(sorted(files), random.choice((1, 1, 1, 2))):
        if name.endswith(".json") and random.randint(0, 2):
            files[name] = json.dumps(spoilt_data(json.loads(files[name]), random))
        elif random.randint(0, 19):
            files[name] = spoilt_text(files[name], random, texts)
        else:
            del files[name]
    return files


def attempt_folder(files: dict[str, str]) -> None:
    with _quiet() as folder:
        path = folder / "model.onnx"
        path.write_bytes(_model())
        for name, text in files.items():
            file = folder / "build" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.replace("MODEL", str(path)).encode("utf-8", "surrogatepass"))
        verify_folder(folder / "build", as_json=True)


KINDS: tuple[Kind, ...] = (
    Kind("models compiled", draw_model, attempt_model, structural=True, slow=True),
    Kind("folders", draw_folder, attempt_folder, structural=True, slow=True),
)
