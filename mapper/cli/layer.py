"""`mapper map`: one layer."""

from __future__ import annotations

import json
import math
from pathlib import Path

from mapper.arch import Architecture, load_architecture
from mapper.cli import interrupts
from mapper.cli.asked import read
from mapper.cli.options import Asked
from mapper.cli.output import console, table, warn_of, warning
from mapper.cli.progress import live
from mapper.cost import Cost
from mapper.documents.layer import result_data
from mapper.documents.quantities import cost_text, energy_text, value_text
from mapper.errors import InputError, Interrupted
from mapper.files import check_writable, write_text
from mapper.ir import LoopNest
from mapper.mapping import Mapping
from mapper.options import solve_layer
from mapper.search import Objective, Result


def map_layer(layer: str, arch_name: str, asked: Asked, output: Path | None, *, as_json: bool) -> None:
    """Search one layer and print the best mapping, or the front and its first mapping.

    KeyboardInterrupt if an interrupt ended the search, after what was found by then is printed.
    """
    from backends.emit import Schedule, about, to_json, to_yaml
    from frontends.einsum import parse_layer
    from mapper.search import engines  # noqa: F401  # before interrupts are kept for the search

    if output:
        check_schedule_path(output)
    arch, nest = load_architecture(arch_name), parse_layer(layer)
    warn_of(arch)
    options = read(asked, arch)
    interrupts.keep()
    interrupted: Interrupted | None = None
    try:
        with live(options.objective, arch) as report:
            result = solve_layer(nest, arch, options, on_progress=report)
    except Interrupted as interrupt:
        if interrupt.result is None:
            raise
        result, interrupted = interrupt.result, interrupt
    for idle in result.warnings:
        warning(f"{layer}: {idle}")
    if output:
        schedule = Schedule("layer", nest, arch.name, result.mapping, about(result))
        write_text(output, to_json(schedule) if output.suffix.lower() == ".json" else to_yaml(schedule))
    if as_json:
        print(json.dumps(result_data(result), indent=2))
    else:
        if result.objective is Objective.PARETO:
            print_front(result, arch)
        print_layer(nest, arch, result.mapping, result.cost, headline(result, arch))
    if interrupted:
        raise interrupted


def check_schedule_path(path: Path) -> None:
    """Refuse, before the search, a file that cannot be written or whose name is of another kind than a schedule's."""
    check_writable(path)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise InputError(
            "schedules are written as YAML or JSON", place=f"-o {path}", hint="end the name in .yaml, .yml or .json"
        )


def headline(result: Result, arch: Architecture) -> str:
    """What is proven of a result, and how long it took."""
    if result.objective is Objective.PARETO:
        count = f"{len(result.front)} {'point' if len(result.front) == 1 else 'points'}"
        proof = (
            f"proven by {result.proven_by.in_words}: the front has {count}"
            if result.proven_by
            else f"feasible: {count} of the front, others may be missing"
        )
    elif result.proven_by:
        proof = f"proven optimal by {result.proven_by.in_words}"
    elif math.isfinite(result.gap):
        proof = f"feasible, at most {result.gap:.2%} above the optimum"
    else:
        proof = f"feasible, with no bound: {result.mapspace}"
    if result.objective in (Objective.LATENCY, Objective.EDP):
        proof += f" ({result.objective} {value_text(result.value, result.objective, arch.energy_unit)})"
    stopped = "interrupted: " if result.statistics.interrupted else ""
    return f"{stopped}{proof}, {result.statistics.wall_s:.2f} s"


def print_front(result: Result, arch: Architecture) -> None:
    """Print the points of a front, by ascending energy."""
    least = min(point.cost.edp for point in result.front)
    right = ("energy", "cycles", "EDP", "utilisation")
    rows = table(*right, "", right=right)
    for point in result.front:
        cost = point.cost
        rows.add_row(
            energy_text(cost.energy, arch.energy_unit),
            f"{cost.cycles:,}",
            value_text(cost.edp, Objective.EDP, arch.energy_unit),
            f"{cost.utilization:.1%}",
            "least EDP" if cost.edp == least else "",
        )
    console().print(rows)
    print()


def print_layer(nest: LoopNest, arch: Architecture, mapping: Mapping, cost: Cost, headline: str) -> None:
    """Print the nest, the totals and the counts of a mapping."""
    from backends.emit import nest_text

    print(nest_text(nest, arch, mapping))
    print(headline)
    print(cost_text(cost))
    rows = table(
        "level",
        "tensor",
        "reads",
        "writes",
        "delivered",
        "reduced",
        "energy",
        right=("reads", "writes", "delivered", "reduced", "energy"),
    )
    for level in arch.levels:
        energy = energy_text(cost.energy_by_level[level.name], arch.energy_unit)
        lines = [
            (tensor, f"{access.reads:,}", f"{access.writes:,}", "", "")
            for (name, tensor), access in cost.counts.accesses.items()
            if name == level.name
        ] + [
            (tensor, "", "", f"{moved.delivered:,}", f"{moved.reduced:,}")
            for (name, tensor), moved in cost.counts.moves.items()
            if name == level.name
        ]
        for i, line in enumerate(lines or [("", "", "", "", "")]):
            rows.add_row(level.name if i == 0 else "", *line, energy if i == 0 else "")
    console().print(rows)
