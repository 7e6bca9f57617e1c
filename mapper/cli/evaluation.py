"""`mapper evaluate`: everything that is counted of one mapping."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapper.arch import Architecture, load_architecture
from mapper.cli.layer import cost_data, totals
from mapper.cli.output import console, energy_text, table
from mapper.cost.breakdown import Breakdown, break_down
from mapper.cost.explain import explain
from mapper.errors import InputError
from mapper.mapping import violations
from mapper.network import exact

if TYPE_CHECKING:
    from rich.table import Table

    from backends.emit import Schedule


def evaluate_schedule(path: Path, arch_name: str, node: str | None, *, as_json: bool) -> None:
    """Print the breakdown of a schedule's mapping, or what makes up the counts of one node ('GLB:I').

    InputError with every violation if the mapping is illegal.
    """
    from backends.emit import nest_text, read_schedule

    arch, schedule = load_architecture(arch_name), read_schedule(path)
    if broken := violations(schedule.nest, arch, schedule.mapping):
        raise InputError("\n".join(f"illegal on {arch.name}: {problem}" for problem in broken), place=str(path))
    if node is not None:
        _explain(schedule, arch, node, as_json=as_json)
        return
    found = break_down(schedule.nest, arch, schedule.mapping)
    if as_json:
        head = {"layer": str(schedule.nest), "arch": arch.name}
        print(json.dumps({**head, **cost_data(found.cost, arch), **breakdown_data(found)}, indent=2))
        return
    print(nest_text(schedule.nest, arch, schedule.mapping))
    print(f"legal on {arch.name}")
    print(totals(found.cost, arch))
    for rows in (_nodes(found, arch), _networks(found, arch), _levels(found, arch)):
        if rows.row_count:
            print()
            console().print(rows)


def _explain(schedule: Schedule, arch: Architecture, node: str, *, as_json: bool) -> None:
    """Print what makes up the counts of a node, a table for each part."""
    memory, colon, tensor = node.partition(":")
    if not colon:
        raise InputError(f"--explain {node}: name a storage node as MEMORY:TENSOR", hint="for example GLB:I")
    found = explain(schedule.nest, arch, schedule.mapping, memory, tensor)
    if as_json:
        print(json.dumps({"node": node, **asdict(found)}, indent=2))
        return
    for direction in ("writes", "reads"):
        parts = [part for part in found.parts if part.direction == direction]
        print(f"{node}: {sum(part.total for part in parts):,} {direction}")
        for part in parts:
            print(f"\n  {part.total:,} {part.what}")
            rows = table("  dims", "factor", "cut above by", "why", right=("factor",))
            for factor in part.factors:
                rows.add_row(f"  {' '.join(factor.dims)}", f"x {factor.value:,}", ", ".join(factor.loops), factor.why)
            console().print(rows)
            if part.fresh:
                product = part.total + part.fresh
                print(f"  = {product:,}, less {part.fresh:,} that begin from zero")
        print()
    print(f"loops inside the tile, which do not multiply what loads or drains it: {', '.join(found.inside) or 'none'}")


def breakdown_data(found: Breakdown) -> dict[str, Any]:
    """A breakdown as plain data; counts are over all runs and instances."""
    parts: dict[str, Iterable[Any]] = {"nodes": found.nodes, "networks": found.networks, "levels": found.levels}
    return {name: [{k: _plain(v) for k, v in asdict(part).items()} for part in group] for name, group in parts.items()}


def _plain(value: Any) -> Any:
    return exact(value) if isinstance(value, Fraction) else value


def _nodes(found: Breakdown, arch: Architecture) -> Table:
    right = ("words", "bits", "runs", "instances", "reads", "writes", "fills", "re-fills", "drains", "energy")
    rows = table("memory", "tensor", "tile", *right, right=right)
    previous = None
    for node in found.nodes:
        tile = " ".join(f"{d}={n}" for d, n in node.extents.items() if n > 1) or "1"
        numbers = (
            node.tile_words, node.tile_bits, node.runs, node.instances, node.reads, node.writes, node.fills,
            node.refills, node.drains,
        )  # fmt: skip
        rows.add_row(
            node.memory if node.memory != previous else "",
            node.tensor,
            tile + (", rolling" if node.rolling else ""),
            *(f"{n:,}" for n in numbers),
            energy_text(node.energy, arch.energy_unit),
        )
        previous = node.memory
    return rows


def _networks(found: Breakdown, arch: Architecture) -> Table:
    right = ("passed", "delivered", "reduced", "hops", "sharing", "energy")
    rows = table("network", "tensor", *right, right=right)
    previous = None
    for network in found.networks:
        numbers = (network.passed, network.delivered, network.reduced, network.hops)
        rows.add_row(
            network.fanout if network.fanout != previous else "",
            network.tensor,
            *(f"{n:,}" for n in numbers),
            f"{float(network.sharing):.4g}",
            energy_text(network.energy, arch.energy_unit),
        )
        previous = network.fanout
    return rows


def _levels(found: Breakdown, arch: Architecture) -> Table:
    rows = table(
        "level", "instances", "in use", "capacity used", "cycles", "energy", right=("instances", "in use", "energy")
    )
    for level in found.levels:
        capacity = ""
        if level.used_words is not None:
            capacity = f"{level.used_words:,} words"
        if level.used_words is not None and level.size_words is not None:
            capacity += f" of {level.size_words:,}, {level.used_words / level.size_words:.0%}"
        ports = [
            f"{port.removeprefix(level.name).strip()} {cycles:,}{' (bottleneck)' * (port == found.cost.bottleneck)}"
            for port, cycles in level.cycles_by_port.items()
        ]
        rows.add_row(
            level.name,
            f"{level.instances:,}",
            f"{level.used:,}",
            capacity,
            ", ".join(ports).strip(),
            energy_text(level.energy, arch.energy_unit),
        )
    return rows
