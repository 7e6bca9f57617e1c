"""Mappings: loops and storage nodes, what makes them legal, and their text form."""

from mapper.mapping.counts import Access, Counts, Moves
from mapper.mapping.mapping import Item, Keep, Loop, Mapping, ParFor, tidy

__all__ = ["Access", "Counts", "Item", "Keep", "Loop", "Mapping", "Moves", "ParFor", "tidy"]
