"""Kind: how inputs of one kind are made and tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

Input = Any
"""What a kind makes: texts, the bytes of a file, or what else `attempt` takes."""


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind.

    `draw` makes one from random numbers alone. `attempt` gives it to the program: a `MapperError` is a refusal, which
    is as good as success; any other exception is a defect. `structural` inputs are well-formed files whose content is
    changed; the others are changed as text or bytes. `slow` ones need a long start or take long.
    """

    name: str
    draw: Callable[[Random], Input]
    attempt: Callable[[Input], object]
    structural: bool = False
    slow: bool = False

    def input(self, seed: int) -> Input:
        """The input of a seed, always the same."""
        return self.draw(Random(f"{self.name} {seed}"))
