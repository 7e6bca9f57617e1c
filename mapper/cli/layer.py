"""`mapper map`: one layer."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mapper.arch import Architecture, load_architecture
from mapper.cli import interrupts
from mapper.cli.asked import read
from mapper.cli.options import Asked
from mapper.cli.output import console, energy_text, table, value_text
from mapper.cli.progress import live
from mapper.cost import Cost
from mapper.errors import Interrupted
from mapper.files import write_text
from mapper.ir import LoopNest
from mapper.mapping import Mapping
from mapper.network.summary import exact, finite
from mapper.options import solve_layer
from mapper.search import Objective, Point, Result, Status


def map_layer(layer: str, arch_name: str, asked: Asked, output: Path | None, *, as_json: bool) -> None:
    """Search one layer and print the best mapping, or the front and its first mapping.

    KeyboardInterrupt if an interrupt ended the search, after what was found by then is printed.
    """
    from backends.emit import Schedule, items_data, to_json, to_yaml
    from frontends.einsum import parse_layer
    from mapper.search import cpsat, lattice  # noqa: F401  # before interrupts are kept for the search

    arch, nest = load_architecture(arch_name), parse_layer(layer)
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
    known = {
        "status": str(result.status),
        "objective": str(result.objective),
        "mapspace": result.mapspace,
        **cost_data(result.cost, arch),
        **proof_data(result),
    }
    if output:
        about = {k: v for k, v in known.items() if k not in ("counts", "network", "solve_s", "statistics")}
        schedule = Schedule("layer", nest, arch.name, result.mapping, about)
        write_text(output, to_json(schedule) if output.suffix == ".json" else to_yaml(schedule))
    if as_json:
        head = {"layer": str(nest), "arch": arch.name}
        front = [{**_point_data(point), "mapping": items_data(point.mapping)} for point in result.front]
        print(json.dumps({**head, **known, "mapping": items_data(result.mapping), "front": front}, indent=2))
    else:
        if result.objective is Objective.PARETO:
            print_front(result, arch)
        print_layer(nest, arch, result.mapping, result.cost, headline(result, arch))
    if interrupted:
        raise interrupted


def headline(result: Result, arch: Architecture) -> str:
    """What is proven of a result, and how long it took."""
    optimal = result.status is Status.OPTIMAL
    if result.objective is Objective.PARETO:
        count = f"{len(result.front)} {'point' if len(result.front) == 1 else 'points'}"
        proof = (
            f"proven: the front has {count}" if optimal else f"feasible: {count} of the front, others may be missing"
        )
    elif optimal:
        proof = "proven optimal"
    elif math.isfinite(result.gap):
        proof = f"feasible, at most {result.gap:.2%} above the optimum"
    else:
        proof = "feasible, with no bound"
    if result.objective in (Objective.LATENCY, Objective.EDP):
        proof += f" ({result.objective} {value_text(result.value, result.objective, arch.energy_unit)})"
    stopped = "interrupted: " if result.statistics.interrupted else ""
    return f"{stopped}{proof}, {result.statistics.wall_s:.2f} s"


def proof_data(result: Result) -> dict[str, Any]:
    """What is proven of a result, and how the search went, as plain data."""
    statistics = result.statistics
    return {
        "bound": exact(result.bound),
        "gap": finite(result.gap),
        "tie_proven": result.tie_proven,
        "solve_s": round(statistics.wall_s, 3),
        "statistics": {
            **asdict(statistics),
            "incumbents": [[round(seconds, 3), exact(value)] for seconds, value in statistics.incumbents],
        },
    }


def _point_data(point: Point) -> dict[str, Any]:
    cost = point.cost
    return {
        "energy_pj": exact(cost.energy),
        "cycles": cost.cycles,
        "edp": exact(cost.edp),
        "utilization": cost.utilization,
    }


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


def cost_data(cost: Cost, arch: Architecture) -> dict[str, Any]:
    """A cost as plain data; counts are elements, all instances together."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (level, tensor), access in cost.counts.accesses.items():
        counts.setdefault(level, {})[tensor] = {"reads": access.reads, "writes": access.writes}
    network: dict[str, dict[str, dict[str, int]]] = {}
    for (level, tensor), moved in cost.counts.moves.items():
        network.setdefault(level, {})[tensor] = {"delivered": moved.delivered, "reduced": moved.reduced}
    return {
        "energy_unit": arch.energy_unit,
        "energy_pj": exact(cost.energy),
        "cycles": cost.cycles,
        "edp": exact(cost.edp),
        "utilization": cost.utilization,
        "bottleneck": cost.bottleneck,
        "operations": cost.counts.operations,
        "dram_bytes": exact(cost.home_bytes),
        "counts": counts,
        "network": network,
    }


def print_layer(nest: LoopNest, arch: Architecture, mapping: Mapping, cost: Cost, headline: str) -> None:
    """Print the nest, the totals and the counts of a mapping."""
    from backends.emit import nest_text

    print(nest_text(nest, arch, mapping))
    print(headline)
    print(totals(cost, arch))
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


def totals(cost: Cost, arch: Architecture) -> str:
    """What a mapping costs, in a line."""
    return (
        f"energy {energy_text(cost.energy, arch.energy_unit)}, {cost.cycles:,} cycles ({cost.bottleneck} bound), "
        f"utilisation {cost.utilization:.1%}, {cost.counts.operations:,} operations"
    )
