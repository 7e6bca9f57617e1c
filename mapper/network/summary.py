"""The summary of a compiled network: one form for `summary.json`, standard output and the table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from mapper.inventory import bits
from mapper.ir import Node
from mapper.network.compile import Compiled
from mapper.network.totals import Mapped, Of, Transfer
from mapper.search import Limits, Objective, Result

SCHEMA = "tilewright.summary/1"


def exact(value: Fraction | int) -> int | float:
    """A number for JSON: whole numbers as integers of any size, others as the nearest float."""
    return int(value) if Fraction(value).denominator == 1 else float(value)


def finite(value: float) -> float | None:
    """A number for JSON, which has none that is not finite."""
    return value if math.isfinite(value) else None


def mapped_data(mapped: Mapped[Of]) -> dict[str, Any]:
    """The part of a summary that follows from the mappings alone."""
    latency = mapped.latency_s
    return {
        "model": mapped.network.name,
        "arch": mapped.arch.name,
        "energy_unit": mapped.arch.energy_unit,
        "totals": {
            "energy_pj": exact(mapped.energy),
            "cycles": mapped.cycles,
            "macs": mapped.macs,
            "operations": mapped.operations,
            "latency_s": None if latency is None else float(latency),
            "dram_bytes": exact(mapped.home_bytes),
        },
        "layers": [_layer_row(mapped, layer) for layer in mapped.network.layers],
        "other_ops": [_other_row(t) for t in mapped.transfers],
    }


def _layer_row(mapped: Mapped[Of], layer: Node) -> dict[str, Any]:
    assert layer.nest is not None
    cost = mapped.result(layer).cost
    return {
        "name": layer.name,
        "op": layer.op,
        "unique_id": mapped.network.unique[layer.nest],
        "times": layer.times,
        "dims": dict(layer.nest.dims),
        "bits": bits(layer),
        "macs": layer.nest.macs,
        "operations": cost.counts.operations,
        "energy_pj": exact(cost.energy),
        "cycles": cost.cycles,
        "edp": exact(cost.edp),
        "utilization": cost.utilization,
        "bottleneck": cost.bottleneck,
        "dram_bytes": exact(cost.home_bytes),
    }


def _other_row(moved: Transfer) -> dict[str, Any]:
    node = moved.node
    return {
        "name": node.name,
        "op": node.op,
        "times": node.times,
        **({"attached_to": node.to} if node.to else {}),
        "bytes": exact(moved.bytes),
        "energy_pj": exact(moved.energy),
        "cycles": moved.cycles,
        **({"note": node.note} if node.note else {}),
    }


def summary(
    compiled: Compiled, *, schedule_of: Callable[[str], str | None], verification: dict[str, Any] | None
) -> dict[str, Any]:
    """The content of `summary.json`.

    `schedule_of` gives the path of a layer's schedule, relative to the output folder, or None where none is written;
    `verification` is None where nothing was executed. Energies are in `energy_unit`.
    """
    options, data = compiled.options, mapped_data(compiled)
    rows = [
        {**row, **_proof(compiled.result(layer)), "schedule": schedule_of(layer.name)}
        for layer, row in zip(compiled.network.layers, data["layers"], strict=True)
    ]
    return {
        "schema": SCHEMA,
        "model": data["model"],
        "arch": data["arch"],
        "objective": str(options.objective),
        "factors": str(options.factors),
        "mapspace": "even" if options.even else "uneven",
        "dataflow": options.dataflow,
        "constraints": [str(constraint) for constraint in options.constraints],
        "limits": _limits(options.limits),
        **data,
        "layers": rows,
        "verification": verification,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    caps = ("max_cycles", "max_energy", "max_dram_bytes", "min_utilization")
    stated = {name: exact(cap) for name in caps if (cap := getattr(limits, name)) is not None}
    return {**stated, **({"max_words": dict(limits.max_words)} if limits.max_words else {})}


def _proof(result: Result) -> dict[str, Any]:
    front = {"front": [[exact(p.cost.energy), p.cost.cycles] for p in result.front]}
    return {
        "status": str(result.status),
        "bound": exact(result.bound),
        "gap": finite(result.gap),
        "tie_proven": result.tie_proven,
        **(front if result.objective is Objective.PARETO else {}),
        "solve_s": round(result.statistics.wall_s, 3),
    }


def layers_csv(rows: Iterable[dict[str, Any]]) -> str:
    """The layers' rows as CSV, dims as `K=64 C=3`, a front as `ENERGY:CYCLES` of each point."""
    rows = [{**row, "dims": " ".join(f"{d}={n}" for d, n in row["dims"].items())} for row in rows]
    rows = [{**row, "bits": " ".join(f"{name}={n}" for name, n in row["bits"].items())} for row in rows]
    for row in rows:
        if "front" in row:
            row["front"] = " ".join(f"{energy}:{cycles}" for energy, cycles in row["front"])
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
