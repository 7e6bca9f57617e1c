"""Reading a mapping from its text form; `str(mapping)` prints it.

keep DRAM A B O         a storage node for each of the tensors
for M 4                 a temporal loop over M, in pieces of 4
keep GLB A rolling      a node whose tile rolls along the temporal loop directly above it
parfor K 2 PE.x         a spatial loop over K, in pieces of 2, along the axis x of the fan-out PE
"""

from __future__ import annotations

from mapper.errors import InputError
from mapper.mapping.mapping import Item, Keep, Loop, Mapping, ParFor


def parse_mapping(text: str) -> Mapping:
    """The mapping that `text` describes, a line each item; InputError with the line number if it does not parse."""
    items: list[Item] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            items += _items(line.split())
        except ValueError as error:
            raise InputError(str(error), place=f"line {number}: {line.strip()}") from error
    return Mapping(tuple(items))


def _items(words: list[str]) -> list[Item]:
    match words:
        case []:
            return []
        case ["keep", memory, tensor, "rolling"]:
            return [Keep(memory, tensor, rolling=True)]
        case ["keep", _, *tensors] if len(tensors) > 1 and "rolling" in tensors:
            raise ValueError(
                "a rolling window is kept for one tensor, in a line of its own: 'keep MEMORY TENSOR rolling'"
            )
        case ["keep", memory, *tensors] if tensors:
            return [Keep(memory, tensor) for tensor in tensors]
        case ["for", dim, step]:
            return [Loop(dim, int(step))]
        case ["parfor", dim, step, place] if place.count(".") == 1:
            return [ParFor(dim, int(step), *place.split("."))]
    raise ValueError(
        "expected 'keep MEMORY TENSOR..', 'keep MEMORY TENSOR rolling', 'for DIM STEP' or 'parfor DIM STEP FANOUT.AXIS'"
    )
