"""`mapper evaluate`: everything that is counted of one mapping."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mapper.arch import Architecture, load_architecture
from mapper.cli.output import console, table, warn_of
from mapper.cost.breakdown import Breakdown, break_down
from mapper.cost.explain import explain
from mapper.documents.evaluation import evaluation_data, explanation_data
from mapper.documents.quantities import cost_text, energy_text
from mapper.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from backends.emit import Schedule


T = TypeVar("T")


def evaluate_schedule(path: Path, arch_name: str, node: str | None, *, as_json: bool) -> None:
    """Print the breakdown of a schedule's mapping, or what makes up the counts of one node ('GLB:I').

    InputError with everything that the schedule misstates and every violation if the mapping is illegal.
    """
    from backends.emit import nest_text, read_schedule

    arch = load_architecture(arch_name)
    warn_of(arch)
    schedule = read_schedule(path, arch)
    if node is not None:
        _explain(schedule, arch, node, as_json=as_json)
        return
    found = break_down(schedule.nest, arch, schedule.mapping)
    if as_json:
        print(json.dumps(evaluation_data(schedule.nest, arch, found), indent=2))
        return
    print(nest_text(schedule.nest, arch, schedule.mapping))
    print(f"legal on {arch.name}")
    print(cost_text(found.cost))
    for rows in (_tiles(found), _traffic(found, arch), _networks(found, arch), _levels(found, arch)):
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
        print(json.dumps(explanation_data(node, found), indent=2))
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


def _tiles(found: Breakdown) -> Table:
    right = ("words", "bits", "runs", "instances")
    rows = table("memory", "tensor", "largest tile", *right, right=right)
    for first, node in _grouped(found.nodes, "memory"):
        tile = " ".join(f"{d}={n}" for d, n in node.extents.items() if n > 1) or "1"
        numbers = (node.tile_words, node.tile_bits, node.runs, node.instances)
        rows.add_row(first, node.tensor, tile + (", rolling" if node.rolling else ""), *(f"{n:,}" for n in numbers))
    return rows


def _traffic(found: Breakdown, arch: Architecture) -> Table:
    right = ("reads", "writes", "fills", "re-fills", "drains", "accesses", "energy")
    rows = table("memory", "tensor", *right, right=right)
    for first, node in _grouped(found.nodes, "memory"):
        accesses = node.read_accesses + node.write_accesses
        numbers = (node.reads, node.writes, node.fills, node.refills, node.drains, accesses)
        rows.add_row(first, node.tensor, *(f"{n:,}" for n in numbers), energy_text(node.energy, arch.energy_unit))
    return rows


def _networks(found: Breakdown, arch: Architecture) -> Table:
    right = ("passed", "delivered", "reduced", "hops", "sharing", "energy")
    rows = table("network", "tensor", *right, right=right)
    for first, network in _grouped(found.networks, "fanout"):
        numbers = (network.passed, network.delivered, network.reduced, network.hops)
        sharing, energy = f"{float(network.sharing):.4g}", energy_text(network.energy, arch.energy_unit)
        rows.add_row(first, network.tensor, *(f"{n:,}" for n in numbers), sharing, energy)
    return rows


def _grouped(parts: Iterable[T], key: str) -> Iterator[tuple[str, T]]:
    """Each part with its level's name, which only the first of a level shows."""
    previous = None
    for part in parts:
        name = getattr(part, key)
        yield ("" if name == previous else name), part
        previous = name


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
