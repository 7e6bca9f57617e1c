"""A layer's cost, its mapping and what is proven of it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import asdict
from typing import Any

from mapper.cost import Cost
from mapper.documents.numbers import exact, finite
from mapper.documents.schema import schema
from mapper.ir import LoopNest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor
from mapper.mapping.idle import IdleAxis
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
    levels = list(cost.energy_by_level)  # from the outermost to the compute unit
    rows.sort(key=lambda row: levels.index(row["level"]))
    rows.append({"level": levels[-1], "what": "operations", "energy": exact(cost.operation_energy)})
    leaks = {level: exact(leak) for level, leak in cost.leak_by_level.items() if leak}
    rows += [{"level": level, "what": "leakage", "energy": leak} for level, leak in leaks.items()]
    return [{**row, **unit} for row in rows]


def items_data(mapping: Mapping, nest: LoopNest) -> list[dict[str, Any]]:
    """The items of a mapping, outermost first, with what follows from the layer and the loops above.

    A loop cuts the `extent` that is left of its dim into `pieces`; a storage node has the shape of its largest `tile`,
    a number for each rank of the tensor, and its `elements`. Of dims and tensors that the layer does not have nothing
    follows.
    """
    tile = dict(nest.dims)
    rows = []
    for item in mapping.items:
        rows.append(_item(item, nest, tile))
        if not isinstance(item, Keep) and item.dim in tile:
            tile[item.dim] = min(tile[item.dim], item.step)
    return rows


def _item(item: Item, nest: LoopNest, tile: Dict[str, int]) -> dict[str, Any]:
    match item:
        case Keep(memory, name, rolling):
            tensor = next((t for t in nest.tensors if t.name == name), None)
            held = {"tile": list(nest.shape(tensor, tile)), "elements": nest.words(tensor, tile)} if tensor else {}
            return {"keep": memory, "tensor": name, **({"rolling": True} if rolling else {}), **held}
        case Loop(dim, step):
            return {"for": dim, "step": step, **_pieces(dim, step, tile)}
        case ParFor(dim, step, fanout, axis):
            return {"parfor": dim, "step": step, "fanout": fanout, "axis": axis, **_pieces(dim, step, tile)}


def _pieces(dim: str, step: int, tile: Dict[str, int]) -> dict[str, int]:
    return {"extent": tile[dim], "pieces": -(-tile[dim] // step)} if dim in tile and step > 0 else {}


def nest_data(nest: LoopNest) -> dict[str, Any]:
    """A layer: its text form, and what that says in parts.

    A rank of a tensor is a sum of dims times a coefficient, as {P: 2, R: 1}; `shape` is that of the whole tensor.
    """
    tensors = {
        tensor.name: {
            "role": str(tensor.role),
            "ranks": [{term.dim: term.coef for term in rank} for rank in tensor.ranks],
            "shape": list(nest.shape(tensor)),
            **({"bits": tensor.bits} if tensor.bits is not None else {}),
        }
        for tensor in nest.tensors
    }
    if nest.partial_bits is not None:
        tensors[nest.output.name]["partial_bits"] = nest.partial_bits
    return {"nest": str(nest), "dims": dict(nest.dims), "tensors": tensors}


def proof_data(result: Result) -> dict[str, Any]:
    """What is proven of a result: `gap` is None where nothing is known."""
    return {
        "status": str(result.status),
        "proven_by": None if result.proven_by is None else str(result.proven_by),
        "bound": exact(result.bound),
        "gap": finite(result.gap),
        "tie_proven": result.tie_proven,
    }


def idle_data(idle: IdleAxis) -> dict[str, Any]:
    """A warning of an axis that is idle because dims are left out."""
    told = {"axis": idle.place, "size": idle.size, "causes": list(idle.causes), "left_out": list(idle.left_out)}
    return {"warning": "idle axis", **told}


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
    """A result: the layer, what was asked for, the cost, what is proven, how the search went, mapping and front."""
    front = [{**_point(point), "mapping": items_data(point.mapping, result.nest)} for point in result.front]
    return {
        "schema": schema("layer"),
        "layer": str(result.nest),
        "arch": result.arch,
        "objective": str(result.objective),
        "mapspace": result.mapspace,
        **cost_data(result.cost),
        **proof_data(result),
        **statistics_data(result),
        "warnings": [{**idle_data(idle), "text": str(idle)} for idle in result.warnings],
        "mapping": items_data(result.mapping, result.nest),
        "front": front,
    }


def result_rows(result: Result) -> list[dict[str, Any]]:
    """A row for each point of a front, or the one row of another objective, with what is proven of all."""
    proof = {**proof_data(result), "solve_s": round(result.statistics.wall_s, 3)}
    head = {"layer": str(result.nest), "arch": result.arch, "objective": str(result.objective)}
    return [{**head, **figures(point.cost), **proof} for point in result.front]


def _point(point: Point) -> dict[str, Any]:
    return {key: figures(point.cost)[key] for key in ("energy", "energy_unit", "cycles", "edp", "utilization")}
