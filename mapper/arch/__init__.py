"""Accelerators: what they are made of, and their YAML form."""

from mapper.arch.architecture import Architecture, Axis, Compute, FanOut, Level, Memory

__all__ = ["Architecture", "Axis", "Compute", "FanOut", "Level", "Memory"]
