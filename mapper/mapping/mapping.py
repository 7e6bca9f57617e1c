"""Mapping: a nest of loops and storage nodes, outermost first.

    keep DRAM I W O
    for K 64            temporal: K is cut into steps of 64
    keep GLB I          from here inwards GLB holds the tile of I that everything below touches
    parfor C 4 PE.x     spatial: one instance along axis x of fan-out PE for each step of 4 channels
    keep RF W O
    for C 1

A node is loaded once per iteration of all loops above it: its position is its stationarity. A tensor without a node
at a memory bypasses it. Steps need not divide what they cut; the last piece is then shorter.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass

from mapper.arguments import check_fields
from mapper.arrays import exact_integer, least
from mapper.errors import InputError


@dataclass(frozen=True, slots=True)
class Keep:
    """A storage node: `memory` holds the tile of `tensor`.

    `rolling` needs a memory that can hold a rolling window, and a temporal loop over a sliding dim as the nearest
    loop above: consecutive tiles keep the words they share, and only new ones are loaded.
    """

    memory: str
    tensor: str
    rolling: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.memory, str) and isinstance(self.tensor, str) and isinstance(self.rolling, bool)):
            check_fields(self)


@dataclass(frozen=True, slots=True)
class Loop:
    """A temporal loop: cuts `dim` into pieces of `step`. InputError if the step is no integer."""

    dim: str
    step: int

    def __post_init__(self) -> None:
        if not isinstance(self.dim, str):
            check_fields(self)
        object.__setattr__(self, "step", _step(self.step))


@dataclass(frozen=True, slots=True)
class ParFor:
    """A spatial loop: pieces of `step` of `dim`, one for each instance along `axis` of `fanout`."""

    dim: str
    step: int
    fanout: str
    axis: str

    def __post_init__(self) -> None:
        if not (isinstance(self.dim, str) and isinstance(self.fanout, str) and isinstance(self.axis, str)):
            check_fields(self)
        object.__setattr__(self, "step", _step(self.step))


def _step(step: int) -> int:
    try:
        return exact_integer(step)
    except TypeError:
        raise InputError(f"a step is an integer, not {step!r}") from None


Item = Keep | Loop | ParFor


@dataclass(frozen=True, slots=True)
class Mapping:
    """The items of the nest, outermost first."""

    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if type(self.items) is not tuple or not all(isinstance(item, Keep | Loop | ParFor) for item in self.items):
            check_fields(self)

    def nodes(self, tensor: str) -> tuple[int, ...]:
        """Positions of the tensor's storage nodes, outermost first."""
        return tuple(i for i, item in enumerate(self.items) if isinstance(item, Keep) and item.tensor == tensor)

    def loop_above(self, position: int) -> tuple[int, Loop] | None:
        """The nearest loop above the item at `position`, if it is temporal: the one along which a node can roll."""
        for i in range(position - 1, -1, -1):
            item = self.items[i]
            if not isinstance(item, Keep):
                return (i, item) if isinstance(item, Loop) else None
        return None

    def tile(self, position: int, extents: Dict[str, int], steps: Dict[int, int] | None = None) -> dict[str, int]:
        """The largest extent of each dim below the items before `position`; `extents` are the layer's.

        `steps`, by position, stand in for those of the loops, and may be arrays.
        """
        tile = dict(extents)
        for i, item in enumerate(self.items[:position]):
            if not isinstance(item, Keep):
                tile[item.dim] = least(tile[item.dim], item.step if steps is None else steps[i])
        return tile

    def __repr__(self) -> str:
        return f"<Mapping {'; '.join(str(self).splitlines())}>"

    def __str__(self) -> str:
        """The text form; `parse_mapping` reads it back."""
        lines: list[str] = []
        previous: Keep | None = None
        for item in self.items:
            match item:
                case Keep():
                    if previous and previous.memory == item.memory and not (_apart(previous) or _apart(item)):
                        lines[-1] += f" {item.tensor}"
                    else:
                        lines.append(f"keep {item.memory} {item.tensor}{' rolling' * item.rolling}")
                case Loop():
                    lines.append(f"for {item.dim} {item.step}")
                case ParFor():
                    lines.append(f"parfor {item.dim} {item.step} {item.fanout}.{item.axis}")
            previous = item if isinstance(item, Keep) else None
        return "\n".join(lines) + "\n"


def _apart(node: Keep) -> bool:
    """Whether a storage node has a line of its own: a rolling one, and one of a tensor with that word for a name."""
    return node.rolling or node.tensor == "rolling"


def tidy(items: Sequence[Item], extents: dict[str, int]) -> Mapping:
    """The mapping without loops that make a single piece."""
    tile, kept = dict(extents), []
    for item in items:
        if not isinstance(item, Keep):
            if item.step >= tile[item.dim]:
                continue
            tile[item.dim] = item.step
        kept.append(item)
    return Mapping(tuple(kept))
