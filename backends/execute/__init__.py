"""Execution of mappings: word by word with counters, and the reference result."""

from backends.execute.counting import Execution, execute

__all__ = ["Execution", "execute"]
