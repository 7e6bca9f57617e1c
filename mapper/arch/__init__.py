"""Accelerators: what they are made of, and their YAML form."""

from mapper.arch.architecture import Architecture, Axis, Compute, FanOut, Level, Memory, Widths
from mapper.arch.load import Spec, find_spec, load_architecture, parse_architecture, spec_names

__all__ = [
    "Architecture",
    "Axis",
    "Compute",
    "FanOut",
    "Level",
    "Memory",
    "Spec",
    "Widths",
    "find_spec",
    "load_architecture",
    "parse_architecture",
    "spec_names",
]
