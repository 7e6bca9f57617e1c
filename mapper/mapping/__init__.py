"""Mappings: loops and storage nodes, what makes them legal, what is counted of them, and their text form."""

from mapper.mapping.counts import Access, Counts, Moves
from mapper.mapping.legality import footprints, violations
from mapper.mapping.mapping import Item, Keep, Loop, Mapping, ParFor, tidy
from mapper.mapping.text import parse_mapping

__all__ = [
    "Access",
    "Counts",
    "Item",
    "Keep",
    "Loop",
    "Mapping",
    "Moves",
    "ParFor",
    "footprints",
    "parse_mapping",
    "tidy",
    "violations",
]
