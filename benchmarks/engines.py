"""Whole compiles by engine: is the lattice worth its time, as a start for the solver or in its place?

python -m benchmarks.engines MODEL MACHINE WAY compiles one model in one way, in this process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import RUNS

COMPILED = (
    ("survey/alexnet", "eyeriss_v1"),
    ("resnet50", "simple3"),
    ("mobilenet_v2", "simple3"),
    ("bert_base", "simple3"),
)
WAYS = {
    "solver": "CP-SAT alone",
    "auto": "started by the lattice",
    "lattice": "the lattice's word, where it covers the layer",
}


def engines() -> None:
    """CPU seconds of whole processes that compile with the default options, runs of all ways in turn."""
    print(f"| model | machine | distinct layers | {' | '.join(f'{words}: CPU-s' for words in WAYS.values())} |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for model, machine in COMPILED:
            seconds: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(RUNS):
                for way, own in seconds.items():
                    before = os.times()
                    told = subprocess.run(
                        [sys.executable, "-m", "benchmarks.engines", _path(model, Path(folder)), machine, way],
                        check=True,
                        capture_output=True,
                        text=True,
                    )
                    after = os.times()
                    own.append(sum(after[2:4]) - sum(before[2:4]))  # of children, user and system
            cells = " | ".join(f"{statistics.median(own):.1f}" for own in seconds.values())
            print(f"| {model} | `{machine}` | {told.stdout.strip()} | {cells} |", flush=True)


def _path(model: str, folder: Path) -> str:
    """The model's name, or a file with one that is built here."""
    from benchmarks import built

    if not hasattr(built, model):
        return model
    path = folder / f"{model}.onnx"
    if not path.exists():
        path.write_bytes(getattr(built, model)().SerializeToString())
    return str(path)


def compiled(model: str, machine: str, way: str) -> int:
    """Solve the distinct layers of a model one after the other; how many there are."""
    import mapper
    from frontends.onnx import load
    from mapper.options import Options, mapspace, solve_layer
    from mapper.search import Engine, Objective
    from mapper.search.engines import unanswered
    from mapper.search.limits import NONE

    arch, layers = mapper.load_architecture(machine), list(load(model).network.unique)
    for layer in layers:
        engine = Engine(way)
        space = mapspace(layer, arch, Options())
        if engine is Engine.LATTICE and unanswered(space, Objective.ENERGY, NONE, None):
            engine = Engine.AUTO
        result = solve_layer(layer, arch, Options(engine=engine))
        assert result.status is mapper.Status.OPTIMAL
    return len(layers)


if __name__ == "__main__":
    print(compiled(*sys.argv[1:]))
