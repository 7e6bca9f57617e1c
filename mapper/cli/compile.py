"""`mapper compile`: a model, layer by layer."""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mapper.arch import find_spec, parse_architecture
from mapper.cli.asked import read
from mapper.cli.folder import Folder, schedule_paths
from mapper.cli.guard import EXIT_INTERNAL, fail
from mapper.cli.options import Asked
from mapper.cli.output import console, energy_text, engineering, table
from mapper.cli.progress import bar
from mapper.errors import InputError, VerificationError
from mapper.ir import LoopNest
from mapper.network import Compiled, check_network, compile_network, exact, layers_csv, summary
from mapper.search import Result


@dataclass(frozen=True, slots=True)
class Request:
    """The options of one call."""

    model: str
    arch: str
    asked: Asked
    output: Path | None
    jobs: int
    verify: bool
    as_json: bool
    shapes: list[str]


def run(request: Request) -> None:
    """Compile, write what was asked for, print the summary, and verify if asked."""
    from frontends.onnx import load

    spec = find_spec(request.arch)
    arch = parse_architecture(spec)
    options = read(request.asked, arch)
    shapes = parse_shapes(request.shapes)
    if request.verify:
        from backends.execute import require_extra

        require_extra()  # before the work, not after it
    model = load(request.model, shapes)
    network = model.network
    for node in network.others:
        if node.note:
            print(f"mapper: warning: {node.op} node {node.name}: {node.note}", file=sys.stderr)
    check_network(network, arch, options)
    paths = schedule_paths(layer.name for layer in network.layers)
    folder = Folder(request.output) if request.output else None
    if folder:
        origin = model.path.resolve() if model.path.exists() else model.path  # a survey network has no file
        about = {"name": network.name, "path": str(origin), "sha256": model.sha256, "shapes": shapes}
        folder.start(about, spec.text)
    finished: dict[LoopNest, Result] = {}
    try:
        with bar("solving", len(network.unique)) as advance, workers(request.jobs) as executor:

            def on_solved(nest: LoopNest, result: Result) -> None:
                finished[nest] = result
                names = [layer.name for layer in network.layers if layer.nest == nest]
                if folder:
                    for name in names:
                        folder.write(
                            paths[name],
                            _schedule(name, nest, spec_name=arch.name, unit=arch.energy_unit, result=result),
                        )
                advance(f"{names[0]} {result.status}")

            compiled = compile_network(network, arch, options, executor=executor, on_solved=on_solved)
    except KeyboardInterrupt:
        kept = f"; their schedules are kept in {folder.path}" if folder else ""
        raise KeyboardInterrupt(f"{len(finished)} of {len(network.unique)} distinct layers are solved{kept}") from None
    except BrokenProcessPool:
        kept = f"; finished schedules are kept in {folder.path}" if folder else ""
        fail(EXIT_INTERNAL, f"a solver process died, perhaps for want of memory: try --jobs 1{kept}")
    data = summary(compiled, schedule_of=lambda name: paths[name] if folder else None, verification=None)
    if folder:
        folder.write("layers.csv", layers_csv(data["layers"]))
        folder.write("summary.json", json.dumps(data, indent=2) + "\n")
    verification = None
    if request.verify:
        data["verification"] = verification = _verify(model, compiled)
        if folder:
            folder.write("summary.json", json.dumps(data, indent=2) + "\n")
    if request.as_json:
        print(json.dumps(data, indent=2))
    else:
        print_summary(compiled, data)
        if folder:
            print(f"written to {folder.path}")
    if verification and not verification["passed"]:
        raise VerificationError(verification["failure"], place=network.name)


def parse_shapes(words: list[str]) -> dict[str, tuple[int, ...]]:
    """`input=1x3x224x224` words as shapes by input name."""
    found = {}
    for word in words:
        name, equals, shape = word.rpartition("=")
        sizes = shape.split("x")
        if not name or not equals or not all(re.fullmatch(r"0*[1-9][0-9]{0,17}", n) for n in sizes):
            raise InputError(f"--shape {word}", hint="write --shape input=1x3x224x224")
        if name in found:
            raise InputError(f"--shape {word}: {name} is given twice")
        found[name] = tuple(int(n) for n in sizes)
    return found


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Processes for solving layers; ended at once, whatever they do, when the block is left by an exception."""
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: an interrupt is this process's to handle
    try:
        executor.submit(int)  # the first task starts the processes
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    executor.shutdown()


def _schedule(name: str, nest: LoopNest, *, spec_name: str, unit: str, result: Result) -> str:
    from backends.emit import Schedule, to_yaml

    about = {
        "status": str(result.status),
        "mapspace": result.mapspace,
        "energy_unit": unit,
        "energy_pj": exact(result.cost.energy),
        "cycles": result.cost.cycles,
        "objective": str(result.objective),
        "bound": exact(result.bound),
    }
    return to_yaml(Schedule(name, nest, spec_name, result.mapping, about))


def _verify(model: Any, compiled: Compiled) -> dict[str, Any]:
    from mapper.cli.verify import execute

    return execute(model, compiled.arch, compiled.results)


def print_summary(compiled: Compiled, data: dict[str, Any]) -> None:
    """The summary as tables."""
    unit, screen = compiled.arch.energy_unit, console()
    right = ("MACs", "energy", "cycles", "util", "DRAM", "solve")
    rows = table("layer", "op", "dims", "status", *right, right=right)
    for layer, row in zip(compiled.network.layers, data["layers"], strict=True):
        cost = compiled.result(layer).cost
        rows.add_row(
            row["name"],
            row["op"],
            " ".join(f"{d}={n}" for d, n in row["dims"].items() if n > 1),
            row["status"],
            engineering(row["macs"]),
            energy_text(cost.energy, unit),
            f"{cost.cycles:,}",
            f"{cost.utilization:.0%}",
            engineering(cost.home_bytes, "B"),
            f"{row['solve_s']:.2f} s",
        )
    screen.print(rows)
    if compiled.transfers:
        groups = Counter(t.node.op for t in compiled.transfers)
        others = table(
            "other operators", "nodes", "moved", "energy", "cycles", right=("nodes", "moved", "energy", "cycles")
        )
        for op, nodes in sorted(groups.items()):
            here = [t for t in compiled.transfers if t.node.op == op]
            others.add_row(
                op,
                str(nodes),
                engineering(sum((t.bytes for t in here), Fraction(0)), "B"),
                energy_text(sum((t.energy for t in here), Fraction(0)), unit),
                f"{sum(t.cycles for t in here):,}",
            )
        screen.print()
        screen.print(others)
    proven = sum(row["status"] == "optimal" for row in data["layers"])
    latency = compiled.latency_s
    screen.print()
    screen.print(
        f"{compiled.network.name} on {compiled.arch.name}: {proven} of {len(data['layers'])} layers proven optimal, "
        f"energy {energy_text(compiled.energy, unit)}, {compiled.cycles:,} cycles"
        + (f" ({engineering(latency, 's')})" if latency else "")
        + f", {engineering(compiled.operations)} MACs, DRAM {engineering(compiled.home_bytes, 'B')}"
    )
    if data["verification"]:
        from mapper.cli.verify import print_verification

        print_verification(data["verification"])
