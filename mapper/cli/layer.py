"""`mapper map`: one layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mapper.arch import Architecture, load_architecture
from mapper.cli.output import console, energy_text, table, write_text
from mapper.cost import Cost
from mapper.ir import LoopNest
from mapper.mapping import Mapping
from mapper.network import exact
from mapper.search import Status


def map_layer(
    layer: str, arch_name: str, objective: str, output: Path | None, time_limit_s: float | None, *, as_json: bool
) -> None:
    """Search one layer and print the best mapping."""
    from backends.emit import Schedule, items_data, to_json, to_yaml
    from frontends.einsum import parse_layer
    from mapper.search.cpsat import solve

    arch, nest = load_architecture(arch_name), parse_layer(layer)
    result = solve(nest, arch, time_limit_s=time_limit_s)
    known = {
        "status": str(result.status),
        "objective": objective,
        "mapspace": result.mapspace,
        **cost_data(result.cost, arch),
        "bound": exact(result.bound),
        "fewest_cycles": result.fewest_cycles,
        "solve_s": round(result.solve_s, 3),
    }
    if output:
        about = {k: v for k, v in known.items() if k not in ("counts", "network", "solve_s")}
        schedule = Schedule("layer", nest, arch.name, result.mapping, about)
        write_text(output, to_json(schedule) if output.suffix == ".json" else to_yaml(schedule))
    if as_json:
        head = {"layer": str(nest), "arch": arch.name}
        print(json.dumps({**head, **known, "mapping": items_data(result.mapping)}, indent=2))
        return
    optimal = result.status is Status.OPTIMAL
    proof = "proven optimal" if optimal else f"feasible, at most {result.gap:.2%} above the optimum"
    print_layer(nest, arch, result.mapping, result.cost, f"{proof}, {result.solve_s:.2f} s")


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
        "macs": cost.counts.operations,
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
