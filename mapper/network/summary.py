"""The summary of a compiled network: one form for `summary.json`, standard output and the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from mapper.network.compile import Compiled

SCHEMA = "tilewright.summary/1"


def exact(value: Fraction | int) -> int | float:
    """A number for JSON: whole numbers as integers of any size, others as the nearest float."""
    return int(value) if Fraction(value).denominator == 1 else float(value)


def summary(
    compiled: Compiled, *, objective: str, schedule_of: Callable[[str], str | None], verification: dict[str, Any] | None
) -> dict[str, Any]:
    """The content of `summary.json`.

    `schedule_of` gives the path of a layer's schedule, relative to the output folder, or None where none is written;
    `verification` is None where nothing was executed. Energies are in `energy_unit`.
    """
    latency = compiled.latency_s
    return {
        "schema": SCHEMA,
        "model": compiled.network.name,
        "arch": compiled.arch.name,
        "objective": objective,
        "energy_unit": compiled.arch.energy_unit,
        "totals": {
            "energy_pj": exact(compiled.energy),
            "cycles": compiled.cycles,
            "macs": compiled.operations,
            "latency_s": None if latency is None else float(latency),
            "dram_bytes": exact(compiled.home_bytes),
        },
        "layers": [_layer_row(compiled, i, schedule_of) for i in range(len(compiled.network.layers))],
        "other_ops": [
            {
                "name": t.node.name,
                "op": t.node.op,
                "bytes": exact(t.bytes),
                "energy_pj": exact(t.energy),
                "cycles": t.cycles,
                **({"note": t.node.note} if t.node.note else {}),
            }
            for t in compiled.transfers
        ],
        "verification": verification,
    }


def _layer_row(compiled: Compiled, index: int, schedule_of: Callable[[str], str | None]) -> dict[str, Any]:
    layer = compiled.network.layers[index]
    assert layer.nest is not None
    result = compiled.result(layer)
    cost = result.cost
    return {
        "name": layer.name,
        "op": layer.op,
        "unique_id": compiled.network.unique[layer.nest],
        "dims": dict(layer.nest.dims),
        "macs": cost.counts.operations,
        "status": str(result.status),
        "energy_pj": exact(cost.energy),
        "cycles": cost.cycles,
        "edp": exact(cost.edp),
        "bound": exact(result.bound),
        "utilization": cost.utilization,
        "bottleneck": cost.bottleneck,
        "dram_bytes": exact(cost.home_bytes),
        "solve_s": round(result.solve_s, 3),
        "schedule": schedule_of(layer.name),
    }


def layers_csv(rows: Iterable[dict[str, Any]]) -> str:
    """The layers' rows as CSV, dims as `K=64 C=3`."""
    rows = [{**row, "dims": " ".join(f"{d}={n}" for d, n in row["dims"].items())} for row in rows]
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
