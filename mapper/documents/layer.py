"""A layer's cost, its mapping and what is proven of it, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mapper.arch import Architecture
from mapper.cost import Cost
from mapper.documents.numbers import exact, finite
from mapper.documents.schema import schema
from mapper.ir import LoopNest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor
from mapper.search.result import Objective, Point, Result


def figures(cost: Cost) -> dict[str, Any]:
    """The figures of a cost that are numbers or words: energy with its unit, cycles, their product, and so on."""
    return {
        "energy": exact(cost.energy),
        "energy_unit": cost.energy_unit,
        "cycles": cost.cycles,
        "edp": exact(cost.edp),
        "utilization": cost.utilization,
        "bottleneck": cost.bottleneck,
        "operations": cost.counts.operations,
        "dram_bytes": exact(cost.home_bytes),
    }


def cost_data(cost: Cost) -> dict[str, Any]:
    """A cost; counts are elements, all instances together."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (level, tensor), access in cost.counts.accesses.items():
        counts.setdefault(level, {})[tensor] = {"reads": access.reads, "writes": access.writes}
    network: dict[str, dict[str, dict[str, int]]] = {}
    for (level, tensor), moved in cost.counts.moves.items():
        network.setdefault(level, {})[tensor] = {"delivered": moved.delivered, "reduced": moved.reduced}
    return {
        **figures(cost),
        "energy_by_level": {level: exact(part) for level, part in cost.energy_by_level.items()},
        "cycles_by_port": dict(cost.cycles_by_port),
        "counts": counts,
        "network": network,
    }


def cost_rows(cost: Cost) -> list[dict[str, Any]]:
    """A row for each tensor at each memory and network, with its counts and its energy; then a row for the operations
    and, where levels leak, one for the leakage of each: the energies add up to that of the cost."""
    unit = {"energy_unit": cost.energy_unit}
    rows: list[dict[str, Any]] = []
    for (level, tensor), access in cost.counts.accesses.items():
        counts = {"reads": access.reads, "writes": access.writes}
        rows.append({"level": level, "what": tensor, **counts, "energy": exact(cost.energy_by_tensor[level, tensor])})
    for (level, tensor), moved in cost.counts.moves.items():
        counts = {"delivered": moved.delivered, "reduced": moved.reduced, "hops": moved.hops}
        rows.append({"level": level, "what": tensor, **counts, "energy": exact(cost.energy_by_tensor[level, tensor])})
    compute = list(cost.energy_by_level)[-1]
    rows.append({"level": compute, "what": "operations", "energy": exact(cost.operation_energy)})
    leaks = {level: exact(leak) for level, leak in cost.leak_by_level.items() if leak}
    rows += [{"level": level, "what": "leakage", "energy": leak} for level, leak in leaks.items()]
    return [{**row, **unit} for row in rows]


def items_data(mapping: Mapping) -> list[dict[str, Any]]:
    """The items of a mapping, outermost first."""
    return [item_data(item) for item in mapping.items]


def item_data(item: Item) -> dict[str, Any]:
    """One item of a mapping."""
    match item:
        case Keep(memory, tensor, rolling):
            return {"keep": memory, "tensor": tensor, **({"rolling": True} if rolling else {})}
        case Loop(dim, step):
            return {"for": dim, "step": step}
        case ParFor(dim, step, fanout, axis):
            return {"parfor": dim, "step": step, "fanout": fanout, "axis": axis}


def proof_data(result: Result) -> dict[str, Any]:
    """What is proven of a result: `gap` is None where nothing is known."""
    return {
        "status": str(result.status),
        "bound": exact(result.bound),
        "gap": finite(result.gap),
        "tie_proven": result.tie_proven,
    }


def front_data(result: Result) -> dict[str, list[list[int | float]]]:
    """Where the objective is the front, its points as pairs of energy and cycles."""
    if result.objective is not Objective.PARETO:
        return {}
    return {"front": [[exact(point.cost.energy), point.cost.cycles] for point in result.front]}


def statistics_data(result: Result) -> dict[str, Any]:
    """How the search went."""
    statistics = result.statistics
    incumbents = [[round(seconds, 3), exact(value)] for seconds, value in statistics.incumbents]
    return {"solve_s": round(statistics.wall_s, 3), "statistics": {**asdict(statistics), "incumbents": incumbents}}


def result_data(result: Result) -> dict[str, Any]:
    """A result: what was asked for, its cost, what is proven, how the search went, its mapping, and its front."""
    return {
        "objective": str(result.objective),
        "mapspace": result.mapspace,
        **cost_data(result.cost),
        **proof_data(result),
        **statistics_data(result),
        "mapping": items_data(result.mapping),
        "front": [{**_point(point), "mapping": items_data(point.mapping)} for point in result.front],
    }


def layer_data(nest: LoopNest, arch: Architecture, result: Result) -> dict[str, Any]:
    """The result of a layer on an architecture."""
    return {"schema": schema("layer"), "layer": str(nest), "arch": arch.name, **result_data(result)}


def result_rows(result: Result) -> list[dict[str, Any]]:
    """A row for each point of a front, or the one row of another objective, with what is proven of all."""
    proof = {**proof_data(result), "solve_s": round(result.statistics.wall_s, 3)}
    head = {"objective": str(result.objective)}
    return [{**head, **figures(point.cost), **proof} for point in result.front]


def _point(point: Point) -> dict[str, Any]:
    return {key: figures(point.cost)[key] for key in ("energy", "energy_unit", "cycles", "edp", "utilization")}
