"""Reading an architecture from its YAML form (`docs/architecture.md` describes every key)."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Dict
from os import PathLike
from typing import Any

from mapper.arch.architecture import Architecture, FanOut, Memory, level_problems
from mapper.arch.constraints import Constraint, located, parse_constraint
from mapper.arch.edit import edited, text
from mapper.arch.energy import EnergyTable, load_table
from mapper.arch.estimate import ESTIMATED
from mapper.arch.levels import Levels
from mapper.arch.spec import Spec, find_spec
from mapper.arch.units import CLOCK_UNITS, ENERGY_UNITS, TECHNOLOGY_UNITS
from mapper.arch.yaml_node import Reader, compose, open_tree
from mapper.errors import InputError, all_of

_TOP = (
    "name", "description", "energy_unit", "energies", "clock", "technology", "sources", "levels", "constraints",
    "dataflows",
)  # fmt: skip


def load_architecture(spec: str | PathLike[str]) -> Architecture:
    """The architecture of that name, in that file, or that this YAML text describes.

    Raises InputError with every problem, each at file:line:column.
    """
    return parse_architecture(find_spec(spec))


def parse_architecture(spec: Spec) -> Architecture:
    """The architecture that a spec describes; raises like `load_architecture`."""
    return _parse(spec, compose(spec.text, spec.place))


def replaced(spec: Spec, changes: Dict[str, Any]) -> Architecture:
    """The architecture of a spec in which values are others, by path; raises like `load_architecture` and `edited`."""
    root = edited(spec, changes)
    return _parse(Spec(spec.place, text(root)), root)


def _parse(spec: Spec, root: Any) -> Architecture:
    """The architecture that a tree describes, which is that of the spec or of one at other places."""
    reader, top = open_tree(root, spec.place, _TOP, ("name", "levels"), "the spec")
    technology = reader.integer(top["technology"], TECHNOLOGY_UNITS, "technology") if "technology" in top else None
    estimated = "energies" in top and top["energies"].value == ESTIMATED
    table = _table(reader, top["energies"], technology) if "energies" in top and not estimated else None
    unit = table.energy_unit if table else "pJ"
    if "energy_unit" in top:
        unit = reader.choice(top["energy_unit"], ENERGY_UNITS, "energy_unit")
        if table and unit != table.energy_unit:
            reader.problem(top["energy_unit"], f"energies of table {table.name} are in {table.energy_unit}, not {unit}")
            table = None
    clock = reader.integer(top["clock"], CLOCK_UNITS, "clock") if "clock" in top else None
    sources = [reader.text(source, "a source") for source in reader.items(top, "sources")]
    levels = Levels(reader, unit, clock, table, "energies" in top, technology, estimated)
    for node in reader.items(top, "levels"):
        levels.read(node)
    name = reader.name(top["name"]) if "name" in top else ""
    description = reader.text(top["description"], "description").strip() if "description" in top else ""
    if "levels" in top:
        for index, text in level_problems(levels.found, complete=levels.complete):
            reader.problem(top["levels"] if index is None else levels.nodes[index], text)
    constraints = _constraints(reader, reader.items(top, "constraints"), levels)
    dataflows = {
        dataflow: _constraints(reader, reader.sequence(node, f"dataflow {dataflow}"), levels)
        for dataflow, node in (reader.named(top["dataflows"], "dataflows") if "dataflows" in top else {}).items()
    }
    if problem := all_of(reader.in_order()):
        raise problem
    arch = Architecture(
        name,
        tuple(levels.found),
        unit,
        clock,
        description,
        technology,
        (*sources, *levels.sources),
        constraints,
        tuple(dataflows.items()),
        tuple(levels.origins),
    )
    object.__setattr__(arch, "spec", spec)
    return arch


def _constraints(reader: Reader, nodes: Iterable[Any], levels: Levels) -> tuple[Constraint, ...]:
    """The constraints that these nodes state, each once, with the levels they name looked up.

    Where a level could not be made out, its name may be any.
    """
    memories = [level.name for level in levels.found if isinstance(level, Memory)]
    axes = {level.name: [a.name for a in level.axes] for level in levels.found if isinstance(level, FanOut)}
    found: list[Constraint] = []
    for node in nodes:
        stated = reader.text(node, "a constraint")
        if node.id != "scalar":
            continue
        try:
            parsed = parse_constraint(stated)
            found += [located(c, memories, axes) for c in parsed] if levels.complete else parsed
        except InputError as error:
            reader.problem(node, f"{error.place}: {error.message}" if error.place else error.message, error.hint)
    return tuple(dict.fromkeys(found))


def _table(reader: Reader, node: Any, technology: int | None) -> EnergyTable | None:
    """The energy table that the spec names; None, with a problem noted, if it cannot be used."""
    try:
        table = load_table(reader.text(node, "energies"), reader.file)
    except InputError as error:
        reader.problem(node, str(error))
        return None
    if technology and table.technology_nm and technology != table.technology_nm:
        problem = f"table {table.name} is of {table.technology_nm} nm, the spec of {technology} nm"
        reader.problem(node, problem, "leave technology out to use it all the same")
    return table
