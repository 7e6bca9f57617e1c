"""Results for people: a line each, and tables of HTML for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mapper.cost import Cost
from mapper.documents.layer import cost_rows
from mapper.documents.network import node_rows, share, summary
from mapper.documents.quantities import cost_text, energy_text, engineering, percent, plain
from mapper.network.compile import Compiled
from mapper.network.spent import OTHERS
from mapper.search.result import Objective, Result, Status

PARTS = 7
"""Of a total that are named, the largest first; the rest is one more."""

_WHERE = {
    "energy_by_level": "energy by level",
    "energy_by_tensor": "energy by tensor",
    "energy_by_operator": "energy by operator",
    "cycles_by_bottleneck": "time by bottleneck",
    "dram_bytes_by_tensor": "DRAM by tensor",
}


def where(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Where a summary's energy, time and traffic go, the largest parts first; what is nothing is left out."""
    rows = []
    for key, title in _WHERE.items():
        of = key.partition("_by_")[0]
        shares = {name: share(part, data["totals"][of]) for name, part in data["breakdown"][key].items() if part}
        largest = sorted(shares, key=lambda name: -shares[name])
        told = [f"{'other operators' if name == OTHERS else name} {percent(shares[name])}" for name in largest[:PARTS]]
        if rest := largest[PARTS:]:
            told.append(f"{len(rest)} others {percent(sum(shares[name] for name in rest))}")
        rows.append((title, ", ".join(told) or "nothing"))
    return rows


def rates(compiled: Compiled) -> str:
    """How fast and how well, as far as the architecture has a clock and its energies are joules."""
    told = []
    if (per_second := compiled.inferences_per_s) is not None:
        told.append(f"{plain(per_second)} inferences/s")
    if (tops := compiled.tops) is not None:
        told.append(f"{plain(tops)} TOPS")
    if (efficiency := compiled.tops_per_w) is not None:
        told.append(f"{plain(efficiency)} TOPS/W")
    if (power := compiled.power_w) is not None:
        told.append(engineering(power, "W"))
    if (utilization := compiled.utilization) is not None:
        told.append(f"{percent(utilization)} of peak")
    return ", ".join(told)


def result_text(result: Result) -> str:
    """A result in a line."""
    known = str(result.status)
    if result.objective is Objective.PARETO:
        known += f", front of {len(result.front)}"
    elif result.status is not Status.OPTIMAL:
        known += f", at most {result.gap:.2%} above the optimum" if math.isfinite(result.gap) else ", with no bound"
    return f"{result.nest} on {result.arch}: {known}, {cost_text(result.cost)}"


def compiled_text(compiled: Compiled) -> str:
    """A compiled network in a line."""
    layers, unit = compiled.network.layers, compiled.arch.energy_unit
    proven = sum(compiled.result(layer).status is Status.OPTIMAL for layer in layers)
    return (
        f"{compiled.network.name} on {compiled.arch.name}: {proven} of {len(layers)} layers proven optimal, "
        f"energy {energy_text(compiled.energy, unit)}, {compiled.cycles:,} cycles"
    )


def cost_html(cost: Cost) -> str:
    """A cost as HTML: its figures, and a row for each tensor at each level."""
    return f"<p>{escape(cost_text(cost))}</p>{_counts(cost)}"


def result_html(result: Result) -> str:
    """A result as HTML: what is known, the points of a front, and the counts of the first mapping."""
    front = ""
    if result.objective is Objective.PARETO:
        points = [
            (energy_text(p.cost.energy, p.cost.energy_unit), p.cost.cycles, f"{p.cost.utilization:.1%}")
            for p in result.front
        ]
        front = _table(("energy", "cycles", "utilisation"), points)
    return f"<p>{escape(result_text(result))}</p>{_warnings(result.warnings)}{front}{_counts(result.cost)}"


def compiled_html(compiled: Compiled) -> str:
    """A compiled network as HTML: its totals, a row for each node, and where it goes."""
    data, unit = summary(compiled), compiled.arch.energy_unit
    columns = ("name", "op", "times", "dims", "status", "operations", "cycles", "bottleneck", "dram_bytes")
    nodes = [[*(row.get(column) for column in columns), energy_text(row["energy"], unit)] for row in node_rows(data)]
    head = "".join(f"<p>{escape(text)}</p>" for text in (compiled_text(compiled), rates(compiled)) if text)
    head += _warnings(compiled.warnings)
    return f"{head}{_table(('where it goes', ''), where(data))}{_table((*columns, 'energy'), nodes)}"


def _warnings(found: Iterable[object]) -> str:
    return "".join(f"<p>warning: {escape(str(warning))}</p>" for warning in found)


def _counts(cost: Cost) -> str:
    columns = ("level", "what", "reads", "writes", "delivered", "reduced", "hops")
    rows = [
        [*(row.get(column) for column in columns), energy_text(row["energy"], cost.energy_unit)]
        for row in cost_rows(cost)
    ]
    return _table((*columns, "energy"), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as an HTML table: whole numbers with commas and to the right, None as nothing."""

    def cell(value: Any) -> str:
        if isinstance(value, int):
            return f'<td style="text-align: right">{value:,}</td>'
        return f"<td>{'' if value is None else escape(str(value))}</td>"

    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
