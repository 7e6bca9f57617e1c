"""A compiled network: `summary.json`, and the same as rows for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from mapper.documents.layer import figures, front_data, idle_data, proof_data
from mapper.documents.numbers import exact
from mapper.documents.schema import schema
from mapper.inventory import bits, treatment
from mapper.ir import Node
from mapper.network.compile import Compiled
from mapper.network.spent import LEAKAGE, OTHERS, Spent, role_bytes, role_energies, spent
from mapper.network.totals import Mapped, Of, Transfer
from mapper.search import Limits


def mapped_data(mapped: Mapped[Of]) -> dict[str, Any]:
    """The part of a summary that follows from the mappings alone."""
    return {
        "model": mapped.network.name,
        "arch": mapped.arch.name,
        "energy_unit": mapped.arch.energy_unit,
        "totals": _totals(mapped),
        "breakdown": spent_data(spent(mapped)),
        "layers": [_layer_row(mapped, layer) for layer in mapped.network.layers],
        "other_ops": [_other_row(mapped, t) for t in mapped.transfers],
    }


def _totals(mapped: Mapped[Of]) -> dict[str, Any]:
    """The sums over the network; what cannot be said, for want of a clock or of joules, is left out."""
    rates = {
        "latency_s": mapped.latency_s,
        "inferences_per_s": mapped.inferences_per_s,
        "power_w": mapped.power_w,
        "tops": mapped.tops,
        "tops_per_w": mapped.tops_per_w,
        "utilization": mapped.utilization,
    }
    return {
        "energy": exact(mapped.energy),
        "energy_unit": mapped.arch.energy_unit,
        "cycles": mapped.cycles,
        "macs": mapped.macs,
        "operations": mapped.operations,
        "dram_bytes": exact(mapped.home_bytes),
        **{name: float(rate) for name, rate in rates.items() if rate is not None},
    }


def spent_data(found: Spent) -> dict[str, dict[str, int | float]]:
    """Where energy, cycles and bytes of the outermost memory go; each part adds up to its total."""
    return {
        "energy_by_level": _parts(found.energy_by_level),
        "energy_by_tensor": _parts(found.energy_by_tensor),
        "energy_by_operator": _parts(found.energy_by_operator),
        "cycles_by_bottleneck": dict(found.cycles_by_bottleneck),
        "dram_bytes_by_tensor": _parts(found.home_bytes_by_tensor),
    }


def _parts(parts: Mapping[str, Fraction]) -> dict[str, int | float]:
    return {name: exact(part) for name, part in parts.items()}


def _layer_row(mapped: Mapped[Of], layer: Node) -> dict[str, Any]:
    assert layer.nest is not None
    cost, times = mapped.result(layer).cost, layer.times
    totals: dict[str, Fraction | int] = {"energy": cost.energy, "cycles": cost.cycles, "macs": layer.nest.macs}
    totals |= {"operations": cost.counts.operations, "dram_bytes": cost.home_bytes}
    return {
        **_head(mapped, layer),
        "unique_id": mapped.network.unique[layer.nest],
        "dims": dict(layer.nest.dims),
        "bits": bits(layer),
        "macs": layer.nest.macs,
        **figures(cost),
        **{f"total_{name}": exact(times * value) for name, value in totals.items()},
        "energy_by_level": _parts(cost.energy_by_level),
        "energy_by_tensor": _parts(role_energies(layer.nest, cost)),
        "dram_bytes_by_tensor": _parts(role_bytes(layer.nest, cost)),
        **({"note": layer.note} if layer.note else {}),
    }


def _other_row(mapped: Mapped[Of], moved: Transfer) -> dict[str, Any]:
    node = moved.node
    totals: dict[str, Fraction | int] = {"energy": moved.energy, "cycles": moved.cycles, "macs": 0, "operations": 0}
    totals |= {"dram_bytes": moved.bytes}
    return {
        **_head(mapped, node),
        **({"attached_to": node.to} if node.to else {}),
        "energy": exact(moved.energy),
        "energy_unit": mapped.arch.energy_unit,
        "cycles": moved.cycles,
        **({"bottleneck": moved.bottleneck} if moved.cycles else {}),
        "dram_bytes": exact(moved.bytes),
        **{f"total_{name}": exact(node.times * value) for name, value in totals.items()},
        "energy_by_level": _parts(moved.energy_by_level),
        "energy_by_tensor": _parts({OTHERS: moved.access_energy, LEAKAGE: moved.leak_energy}),
        "dram_bytes_by_tensor": _parts({OTHERS: moved.bytes}),
        **({"note": node.note} if node.note else {}),
    }


def _head(mapped: Mapped[Of], node: Node) -> dict[str, Any]:
    """What every node has: `order` is its place among all nodes, in which they can run."""
    order = mapped.network.places[node.name]
    return {"name": node.name, "op": node.op, "treatment": str(treatment(node)), "order": order, "times": node.times}


def summary(
    compiled: Compiled,
    *,
    schedule_of: Callable[[str], str | None] = lambda name: None,
    verification: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `summary.json`.

    `schedule_of` gives the path of a layer's schedule, relative to the output folder, or None where none is written;
    `verification` is None where nothing was executed. Energies are in `energy_unit`.
    """
    options, data = compiled.options, mapped_data(compiled)
    rows = []
    for layer, row in zip(compiled.network.layers, data["layers"], strict=True):
        result = compiled.result(layer)
        proof = {**proof_data(result), **front_data(result), "solve_s": round(result.statistics.wall_s, 3)}
        rows.append({**row, **proof, "schedule": schedule_of(layer.name)})
    return {
        "schema": schema("summary"),
        "model": data["model"],
        "arch": data["arch"],
        "objective": str(options.objective),
        "factors": str(options.factors),
        "mapspace": "even" if options.even else "uneven",
        "dataflow": options.dataflow,
        "constraints": [str(constraint) for constraint in options.constraints],
        "limits": _limits(options.limits),
        "engine": str(options.engine),
        **data,
        "layers": rows,
        "warnings": [
            {**idle_data(found.idle), "layers": list(found.layers), "text": str(found)} for found in compiled.warnings
        ],
        "verification": verification,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    caps = ("max_cycles", "max_energy", "max_dram_bytes", "min_utilization")
    stated = {name: exact(cap) for name in caps if (cap := getattr(limits, name)) is not None}
    return {**stated, **({"max_words": dict(limits.max_words)} if limits.max_words else {})}


# -- rows --------------------------------------------------------------------------------------------------------------


def node_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """A flat row for each node of a summary, in order, all with the same columns: None where one has no such thing.

    Dims are written as `K=64 C=3`, a front as `ENERGY:CYCLES` of each point; parts of an energy have a column each, as
    `energy_by_level.DRAM`. The columns `total_...` add up to the totals of the summary.
    """
    flat = [_flat(row) for row in sorted((*data["layers"], *data["other_ops"]), key=lambda row: row["order"])]
    columns = dict.fromkeys(column for row in sorted(flat, key=len, reverse=True) for column in row)
    return [{column: row.get(column) for column in columns} for row in flat]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        match key, value:
            case (("dims" | "bits"), dict()):
                found[key] = " ".join(f"{name}={n}" for name, n in value.items())
            case "front", list():
                found[key] = " ".join(f"{energy}:{cycles}" for energy, cycles in value)
            case _, dict():
                found |= {f"{key}.{name}": part for name, part in value.items()}
            case _:
                found[key] = value
    return found


def breakdown_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each part of a summary's breakdown: `of` what, taken apart `by` what, the part's name, its value and
    unit, and its share of the total."""
    units = {"energy": data["energy_unit"], "cycles": "cycles", "dram_bytes": "B"}
    rows: list[dict[str, Any]] = []
    for key, parts in data["breakdown"].items():
        of, _, by = key.partition("_by_")
        total = data["totals"][of]
        rows += [
            {"of": of, "by": by, "name": name, "value": value, "unit": units[of], "share": share(value, total)}
            for name, value in parts.items()
        ]
    return rows


def share(part: float, total: float) -> float:
    """A part of a total, from 0 to 1; 0 of nothing."""
    return float(Fraction(part) / Fraction(total)) if total else 0.0


def csv_text(rows: Iterable[dict[str, Any]]) -> str:
    """Rows with the same columns as CSV; nothing for none."""
    rows, stream = list(rows), io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
