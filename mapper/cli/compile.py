"""`mapper compile`: a model, layer by layer."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mapper.arch import Architecture, find_spec, parse_architecture
from mapper.cli import interrupts
from mapper.cli.asked import read
from mapper.cli.folder import Folder, schedule_paths
from mapper.cli.guard import EXIT_INTERNAL, fail
from mapper.cli.models import read_model, warn
from mapper.cli.options import Asked
from mapper.cli.output import console, table, warn_of, warning
from mapper.cli.progress import bar, note
from mapper.cli.verify import execute, read_inputs
from mapper.documents.network import breakdown_rows, csv_text, node_rows, summary
from mapper.documents.quantities import energy_text, engineering
from mapper.documents.show import rates, where
from mapper.errors import InputError, Interrupted
from mapper.ir import LoopNest, Network
from mapper.network import Compiled, Transfer, check_network, compile_network
from mapper.network.workers import workers
from mapper.options import Options
from mapper.search import Engine, Objective, Result
from mapper.search.limits import NONE


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
    dims: list[str]
    values: list[str]
    data: Path | None = None


def run(request: Request) -> None:
    """Compile, write what was asked for, print the summary, and verify if asked."""
    from backends.emit import Schedule, about, to_yaml
    from frontends.onnx import describe

    spec = find_spec(request.arch)
    arch = parse_architecture(spec)
    warn_of(arch)
    options = read(request.asked, arch)
    if request.data and not request.verify:
        raise InputError("these inputs are for execution only", place="--data", hint="add --verify")
    if request.verify:
        from backends.execute import require_extra

        require_extra()  # before the work, not after it
    model, given = read_model(request.model, request.shapes, request.dims, request.values)
    network = model.network
    inputs = read_inputs(model, request.data)
    warn(network)
    check_network(network, arch, options)
    paths = schedule_paths(layer.name for layer in network.layers)
    folder = Folder(request.output) if request.output else None
    interrupts.keep()
    if folder:
        origin = model.path.resolve() if model.path.exists() else model.path  # a survey network has no file
        folder.start({"name": network.name, "path": str(origin), "sha256": model.sha256, **given}, spec.text)
    told = describe(model) if folder else {}
    note(plan(network, arch, options, request.jobs))
    distinct = len(network.unique)
    kept = f"; their schedules are kept in {folder.path}" if folder else ""
    try:
        with bar("solving", distinct) as advance, workers(request.jobs, distinct) as executor:

            def on_solved(nest: LoopNest, result: Result) -> None:
                names = [layer.name for layer in network.layers if layer.nest == nest]
                if folder:
                    for name in names:
                        folder.write(
                            paths[name],
                            to_yaml(Schedule(name, nest, arch.name, result.mapping, about(result), told[name])),
                        )
                advance(f"{names[0]} {result.status}")

            compiled = compile_network(network, arch, options, executor=executor, on_solved=on_solved)
    except Interrupted as interrupt:
        raise KeyboardInterrupt(f"{interrupt}{kept}") from None
    except BrokenProcessPool:
        kept = f"; finished schedules are kept in {folder.path}" if folder else ""
        fail(EXIT_INTERNAL, f"a solver process died, perhaps for want of memory: try --jobs 1{kept}")
    for found in compiled.warnings:
        warning(str(found))
    data = summary(compiled, schedule_of=lambda name: paths[name] if folder else None, verification=None)
    if folder:
        folder.write("layers.csv", csv_text(node_rows(data)))
        folder.write("breakdown.csv", csv_text(breakdown_rows(data)))
        folder.write("summary.json", json.dumps(data, indent=2) + "\n")
    verified = None
    if request.verify:
        verified = execute(model, arch, compiled.results, inputs)
        data["verification"] = verified.data
        if folder:
            folder.write("summary.json", json.dumps(data, indent=2) + "\n")
    if request.as_json:
        print(json.dumps(data, indent=2))
    else:
        print_summary(compiled, data)
        if folder:
            print(f"written to {folder.path}")
    if verified and verified.problem:
        raise verified.problem


def plan(network: Network, arch: Architecture, options: Options, jobs: int) -> str:
    """What is about to be solved, in a line."""
    layers, distinct = len(network.layers), len(network.unique)
    goal = "the front of energy and cycles" if options.objective is Objective.PARETO else f"least {options.objective}"
    limits = [] if options.time_limit is None else [f"{options.time_limit:g} s"]
    limits += [] if options.deterministic_limit is None else ["a limit of work"]
    told = [
        f"{layers} layer{'s' * (layers != 1)}, {distinct} distinct",
        f"{goal} over {options.factors} factors, {'even' if options.even else 'uneven'} tiles",
        f"dataflow {options.dataflow}" if options.dataflow else "",
        f"{len(options.constraints)} constraint{'s' * (len(options.constraints) > 1)}" if options.constraints else "",
        "caps on cost" if options.limits != NONE else "",
        f"at most {' and '.join(limits)} for each" if limits else "",
        f"engine {options.engine}" if options.engine is not Engine.AUTO else "",
        f"{min(jobs, max(1, distinct))} at a time",
    ]
    return f"{network.name} on {arch.name}: {', '.join(filter(None, told))}"


def _group(moved: Transfer) -> str:
    return f"{moved.node.op}, attached" if moved.node.to else moved.node.op


def _proven(compiled: Compiled) -> str:
    """How many layers are proven optimal, and by whom."""
    layers = [compiled.result(layer) for layer in compiled.network.layers]
    by = Counter(result.proven_by for result in layers if result.proven_by)
    if len(by) == 1:
        whom = f" by {next(iter(by)).in_words}"
    else:
        whom = f" ({', '.join(f'{n} by {engine.in_words}' for engine, n in by.items())})" if by else ""
    return f"{by.total()} of {len(layers)} layers proven optimal{whom}"


def print_summary(compiled: Compiled, data: dict[str, Any]) -> None:
    """The summary as tables."""
    unit, screen = compiled.arch.energy_unit, console()
    times = any(layer.times > 1 for layer in compiled.network.layers)
    right = (*("times",) * times, "operations", "energy", "cycles", "util", "DRAM", "solve")
    rows = table("layer", "op", "dims", "status", *right, right=right)
    for layer, row in zip(compiled.network.layers, data["layers"], strict=True):
        cost = compiled.result(layer).cost
        rows.add_row(
            row["name"],
            row["op"],
            " ".join(f"{d}={n}" for d, n in row["dims"].items() if n > 1),
            row["status"],
            *(str(row["times"]),) * times,
            engineering(row["operations"]),
            energy_text(cost.energy, unit),
            f"{cost.cycles:,}",
            f"{cost.utilization:.0%}",
            engineering(cost.home_bytes, "B"),
            f"{row['solve_s']:.2f} s",
        )
    screen.print(rows)
    if compiled.transfers:
        groups = Counter(map(_group, compiled.transfers))
        others = table(
            "other operators", "nodes", "moved", "energy", "cycles", right=("nodes", "moved", "energy", "cycles")
        )
        for op, nodes in sorted(groups.items()):
            here = [t for t in compiled.transfers if _group(t) == op]
            others.add_row(
                op,
                str(nodes),
                engineering(sum((t.node.times * t.bytes for t in here), Fraction(0)), "B"),
                energy_text(sum((t.node.times * t.energy for t in here), Fraction(0)), unit),
                f"{sum(t.node.times * t.cycles for t in here):,}",
            )
        screen.print()
        screen.print(others)
    screen.print()
    going = table("where it goes", "")
    for title, parts in where(data):
        going.add_row(title, parts)
    screen.print(going)
    latency = compiled.latency_s
    screen.print()
    screen.print(
        f"{compiled.network.name} on {compiled.arch.name}: {_proven(compiled)}, "
        f"energy {energy_text(compiled.energy, unit)}, {compiled.cycles:,} cycles"
        + (f" ({engineering(latency, 's')})" if latency else "")
        + f", {engineering(compiled.macs)} MACs, DRAM {engineering(compiled.home_bytes, 'B')}"
    )
    if rate := rates(compiled):
        screen.print(rate)
    if data["verification"]:
        from mapper.cli.verify import print_verification

        print_verification(data["verification"])
