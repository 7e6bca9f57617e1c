"""Energy tables: published energies of memories, networks and arithmetic, by kind, size and width.

A table is a YAML file whose rows say where they come from and how sure they are (`docs/architecture.md`). A row holds
for the sizes up to its own and is scaled to other widths: memories, networks and additions linearly, multiplications
and multiply-accumulates with the square (Sze et al. 2017, section on reduced precision).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from mapper.arch.spec import Spec, read_spec
from mapper.arch.units import BIT_UNITS, ENERGY_UNITS, TECHNOLOGY_UNITS, size_units
from mapper.arch.yaml_node import Reader, open_document
from mapper.errors import InputError, all_of
from mapper.files import MissingFileError
from mapper.spelling import nearest

ACTIONS = ("read", "write", "deliver", "reduce", "hop", "mac", "multiply", "add")
CONFIDENCE = ("verified", "derived", "recalled-crosschecked", "recalled-unverified")
_QUADRATIC = frozenset({"mac", "multiply"})
_TOP = ("name", "description", "energy_unit", "technology", "notes", "rows")
_ROW = ("kind", "for", "size", "width", "energy", "source", "confidence", "note")


@dataclass(frozen=True, slots=True)
class Row:
    """An energy of one action of one kind of part.

    `size_bits` is the largest memory that it holds for, `width_bits` the width of the access or operands that it was
    given for; None: any.
    """

    kind: str
    actions: frozenset[str]
    energy: Fraction
    source: str
    confidence: str
    size_bits: int | None = None
    width_bits: int | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """An energy found in a table, scaled to the width asked for, and the rows it is made of."""

    energy: Fraction
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class EnergyTable:
    """A named table; `technology_nm` is None where its source does not say."""

    name: str
    description: str
    energy_unit: str
    technology_nm: int | None
    rows: tuple[Row, ...]

    def has(self, kind: str, action: str) -> bool:
        """Whether some row is about this action of this kind of part."""
        return any(row.kind == kind and action in row.actions for row in self.rows)

    def kinds(self, *actions: str) -> list[str]:
        """The kinds of part that have rows about any of these actions."""
        return sorted({row.kind for row in self.rows if row.actions.intersection(actions)})

    def price(self, kind: str, action: str, width_bits: int, size_bits: int | None = None) -> Priced:
        """The energy of an action at that width: of the smallest size that is large enough, then the nearest width.

        `size_bits` None is an unlimited memory, or no memory. InputError if no row fits.
        """
        rows = [row for row in self.rows if row.kind == kind and action in row.actions]
        if not rows:
            kinds = self.kinds(action)
            hint = nearest(kind, kinds) if kinds else "state the energy in the spec"
            raise InputError(f"table {self.name} has no '{action}' of kind '{kind}'", hint=hint)
        fitting = [r for r in rows if r.size_bits is None or (size_bits is not None and size_bits <= r.size_bits)]
        if not fitting:
            most = max(row.size_bits or 0 for row in rows)
            asked = "an unlimited one" if size_bits is None else f"{size_bits} bits"
            problem = f"table {self.name} has '{kind}' up to {most} bits only, not {asked}"
            raise InputError(problem, hint="state the energy in the spec, or have it estimated: energy: estimated")
        smallest = min((row.size_bits for row in fitting if row.size_bits is not None), default=None)
        alike = [row for row in fitting if row.size_bits == smallest]
        row = min(alike, key=lambda row: (_ratio(row.width_bits or width_bits, width_bits), -(row.width_bits or 0)))
        scale = Fraction(width_bits, row.width_bits or width_bits)
        return Priced(row.energy * (scale**2 if action in _QUADRATIC else scale), (row,))

    def operation(self, kind: str, width_bits: int, sum_bits: int) -> Priced:
        """A multiply-accumulate: a row of its own, or a multiplication and an addition of `sum_bits`."""
        if self.has(kind, "mac"):
            return self.price(kind, "mac", width_bits)
        if not (self.has(kind, "multiply") and self.has(kind, "add")):
            kinds = ", ".join(self.kinds("mac", "multiply")) or "none"
            problem = f"table {self.name} has no operation of kind '{kind}', its kinds: {kinds}"
            raise InputError(problem, hint="name one of them or state the energy in the spec")
        product, total = self.price(kind, "multiply", width_bits), self.price(kind, "add", sum_bits)
        return Priced(product.energy + total.energy, product.rows + total.rows)


def _ratio(a: int, b: int) -> Fraction:
    return Fraction(max(a, b), min(a, b))


def table_names() -> list[str]:
    """The energy tables that come with the package."""
    folder = resources.files("arch_specs") / "tables"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def load_table(name: str, beside: str = "") -> EnergyTable:
    """The table of that name, or in that YAML file, whose path may be relative to the spec file `beside`.

    InputError with every problem, each at file:line:column.
    """
    if name in table_names():
        text = (resources.files("arch_specs") / "tables" / f"{name}.yaml").read_text("utf-8")
        return parse_table(Spec(f"tables/{name}.yaml", text))
    try:
        return parse_table(read_spec(str(Path(beside).parent / name)))
    except MissingFileError:
        raise InputError(f"no energy table or file '{name}'", hint=nearest(name, table_names())) from None


def parse_table(spec: Spec) -> EnergyTable:
    """The table that a spec describes; raises like `load_table`."""
    reader, top = open_document(spec.text, spec.place, _TOP, ("name", "energy_unit", "rows"), "the table")
    unit = reader.choice(top["energy_unit"], ENERGY_UNITS, "energy_unit") if "energy_unit" in top else "pJ"
    for note in reader.items(top, "notes"):
        reader.text(note, "a note")
    rows = [_row(reader, node, unit) for node in reader.items(top, "rows")]
    table = EnergyTable(
        reader.name(top["name"]) if "name" in top else "",
        reader.text(top["description"], "description").strip() if "description" in top else "",
        unit,
        reader.integer(top["technology"], TECHNOLOGY_UNITS, "technology") if "technology" in top else None,
        tuple(row for row in rows if row),
    )
    if problem := all_of(reader.in_order()):
        raise problem
    return table


def _row(reader: Reader, node: Any, unit: str) -> Row | None:
    keys = reader.mapping(node, _ROW, "a row")
    missing = [key for key in ("kind", "for", "energy", "source", "confidence") if key not in keys]
    if missing:
        reader.problem(node, f"the row has no {', '.join(missing)}")
        return None
    energy = reader.quantity(keys["energy"], ENERGY_UNITS[unit], "the energy", lambda v: v >= 0, "zero or more")
    size = width = None
    if "size" in keys:
        units = {unit: bits for unit, bits in size_units(1).items() if not unit.startswith("word")}
        size = reader.integer(keys["size"], units, "the size")
    if "width" in keys:
        width = reader.integer(keys["width"], BIT_UNITS, "the width")
    if "note" in keys:
        reader.text(keys["note"], "a note")
    return Row(
        reader.text(keys["kind"], "the kind"),
        reader.words(keys["for"], ACTIONS, "for"),
        energy or Fraction(0),
        reader.text(keys["source"], "the source"),
        reader.choice(keys["confidence"], CONFIDENCE, "the confidence"),
        size,
        width,
    )
