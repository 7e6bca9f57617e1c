"""`mapper inspect`: what a model holds."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from mapper.cli.models import read_model, warn
from mapper.cli.output import console, table
from mapper.documents.quantities import engineering
from mapper.inventory import inventory


def inspect_model(model: str, shapes: list[str], dims: list[str], values: list[str], *, as_json: bool) -> None:
    """Print the inventory of a model."""
    read, _ = read_model(model, shapes, dims, values)
    data = inventory(read.network)
    warn(read.network)
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        _print(data)


def _print(data: dict[str, Any]) -> None:
    screen, totals = console(), data["totals"]
    times, bits = (any(row[key] not in (1, {}) for row in data["layers"]) for key in ("times", "bits"))
    right = ("times",) * times + ("MACs", "weights", "activations")
    rows = table("layer", "op", "dims", *("bits",) * bits, "shape", *right, "attached", right=right)
    for row in data["layers"]:
        rows.add_row(
            row["name"],
            row["op"],
            " ".join(f"{d}={n}" for d, n in row["dims"].items() if n > 1),
            *(" ".join(f"{name}:{n}" for name, n in row["bits"].items()),) * bits,
            f"#{row['unique_id']}",
            *(str(row["times"]),) * times,
            engineering(row["macs"]),
            engineering(row["weights"]),
            engineering(row["activations"]),
            " ".join(row["attached"]),
        )
    screen.print(rows)
    screen.print()
    right = ("nodes", "reads", "writes")
    others = table("operator", "treatment", *right, right=right)
    moved: Counter[tuple[str, ...]] = Counter()
    for row in data["other_ops"]:
        for side in ("reads", "writes"):
            moved[row["op"], row["treatment"], side] += row["times"] * row[side]
    for row in data["operators"]:
        kind = (row["op"], row["treatment"])
        layer = row["treatment"] == "layer"
        cells = [""] * 2 if layer else [engineering(moved[(*kind, side)]) for side in ("reads", "writes")]
        others.add_row(*kind, str(row["nodes"]), *cells)
    screen.print(others)
    screen.print()
    screen.print(
        f"{data['model']}: {totals['layers']} layers of {totals['unique_layers']} shapes, "
        f"{totals['macs']:,} MACs, {totals['weights']:,} weights, {totals['activations']:,} activations read and "
        f"written by layers, {totals['other_elements']:,} by other operators"
    )
