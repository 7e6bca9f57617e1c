"""`mapper archs` and `mapper ops`: what there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mapper.cli.output import console, table
from mapper.documents.numbers import exact

if TYPE_CHECKING:
    pass


def list_architectures(*, as_json: bool) -> None:
    """Print the name and description of each architecture of the package."""
    from mapper.arch import load_architecture, spec_names

    _list({name: load_architecture(name).description for name in spec_names()}, "name", as_json=as_json)


def list_tables(*, as_json: bool) -> None:
    """Print the name and description of each energy table of the package."""
    from mapper.arch import load_table, table_names
    from mapper.arch.estimate import ESTIMATED

    found = {name: load_table(name).description for name in table_names()}
    found[ESTIMATED] = "Memories by size, width and technology: formulas fitted to CACTI 7.0 and to published memories"
    _list(found, "table", as_json=as_json)


def list_schedules(*, as_json: bool) -> None:
    """Print the name of each schedule of the package, and the layer that it runs."""
    from backends.emit import parse_schedule
    from mapper.arch.spec import find_schedule, schedule_names

    texts = {name: find_schedule(name) for name in schedule_names()}
    found = {name: str(parse_schedule(spec.text, spec.place).nest) for name, spec in texts.items() if spec}
    _list(found, "schedule", as_json=as_json, text="layer")


def _list(found: dict[str, str], heading: str, *, as_json: bool, text: str = "what it is") -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = table(heading, text)
    for name, description in found.items():
        rows.add_row(name, description)
    console().print(rows)


def show_table(name: str, *, as_json: bool) -> None:
    """Print the rows of an energy table with their sources, or the formulas of estimates."""
    from mapper.arch import load_table
    from mapper.arch.estimate import ESTIMATED

    if name == ESTIMATED:
        _show_estimates(as_json=as_json)
        return
    found = load_table(name)
    data = [
        {
            "kind": row.kind,
            "for": sorted(row.actions),
            "size_bits": row.size_bits,
            "width_bits": row.width_bits,
            "energy": exact(row.energy),
            "source": row.source,
            "confidence": row.confidence,
        }
        for row in found.rows
    ]
    if as_json:
        head = {"name": found.name, "energy_unit": found.energy_unit, "technology_nm": found.technology_nm}
        print(json.dumps({**head, "rows": data}, indent=2))
        return
    rows = table("kind", "for", "up to", "width", f"{found.energy_unit}", "source", right=(found.energy_unit,))
    for row in found.rows:
        size = "" if row.size_bits is None else f"{row.size_bits // 8:,} B"
        width = "" if row.width_bits is None else f"{row.width_bits} bits"
        source = f"{row.source} ({row.confidence})"
        rows.add_row(row.kind, ", ".join(sorted(row.actions)), size, width, f"{float(row.energy):g}", source)
    console().print(rows)


def _show_estimates(*, as_json: bool) -> None:
    """Print the laws of each kind of memory, where they hold, and within which factor of their points they are."""
    from mapper.arch.estimate import CELL_LEAK_PW, PARTS

    data: list[dict[str, Any]] = [
        {
            "kind": kind,
            "quantity": quantity,
            "formula": part.formula(quantity),
            "unit": unit,
            "within_factor": part.factors.get(quantity),
            **{limits.what: [limits.least, limits.most] for limits in (part.sizes, part.widths, part.nodes)},
        }
        for kind, part in PARTS.items()
        for quantity, unit in (("read", "pJ"), ("write", "pJ"), ("leak", "pW"), ("area", "um2"))
    ]
    if as_json:
        print(json.dumps({"name": "estimated", "cell_leak_pw": CELL_LEAK_PW, "laws": data}, indent=2))
        return
    right = ("size, bits", "width, bits", "technology, nm", "within x")
    rows = table("kind", "quantity", "formula", "unit", *right, right=right)
    for law in data:
        spans = (f"{law[what][0]:,}-{law[what][1]:,}" for what in ("size", "width", "technology"))
        factor = "" if law["within_factor"] is None else f"{law['within_factor']:g}"
        rows.add_row(law["kind"], law["quantity"], law["formula"], law["unit"], *spans, factor)
    console().print(rows)
    cells = ", ".join(f"{leak:g} pW at {nm} nm" for nm, leak in CELL_LEAK_PW.items())
    print(f"n: technology in nm; B: size in bits; W: bits of an access; cell: a bit of SRAM leaks {cells}")


def print_operators(*, as_json: bool) -> None:
    """Print how each ONNX operator is treated."""
    from frontends.onnx.operators import treatments

    _list(treatments(), "operator", as_json=as_json, text="treatment")
