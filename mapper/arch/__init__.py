"""Accelerators: what they are made of, and their YAML form."""

from mapper.arch.architecture import Architecture, Axis, Basis, Compute, FanOut, Level, Memory, Origin, Widths
from mapper.arch.constraints import Above, Constraint, Kept, Only, Relation, Spatial, Tile, parse_constraint
from mapper.arch.energy import EnergyTable, load_table, parse_table, table_names
from mapper.arch.load import load_architecture, parse_architecture
from mapper.arch.spec import Spec, find_spec, read_spec, spec_names

__all__ = [
    "Above",
    "Architecture",
    "Axis",
    "Basis",
    "Compute",
    "Constraint",
    "EnergyTable",
    "FanOut",
    "Kept",
    "Level",
    "Memory",
    "Only",
    "Origin",
    "Relation",
    "Spatial",
    "Spec",
    "Tile",
    "Widths",
    "find_spec",
    "load_architecture",
    "load_table",
    "parse_architecture",
    "parse_constraint",
    "parse_table",
    "read_spec",
    "spec_names",
    "table_names",
]
