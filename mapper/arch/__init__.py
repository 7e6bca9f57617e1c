"""Accelerators: what they are made of, and their YAML form."""

from mapper.arch.architecture import Architecture, Axis, Compute, FanOut, Level, Memory, Widths
from mapper.arch.energy import EnergyTable, load_table, parse_table, table_names
from mapper.arch.load import load_architecture, parse_architecture
from mapper.arch.spec import Spec, find_spec, spec_names

__all__ = [
    "Architecture",
    "Axis",
    "Compute",
    "EnergyTable",
    "FanOut",
    "Level",
    "Memory",
    "Spec",
    "Widths",
    "find_spec",
    "load_architecture",
    "load_table",
    "parse_architecture",
    "parse_table",
    "spec_names",
    "table_names",
]
