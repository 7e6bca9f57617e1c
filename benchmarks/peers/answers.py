"""What a mapper answers for a layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The energy a mapper reports, by its own model, and the CPU seconds of its search, imports left out.

    `mappings` are texts of `mapper.parse_mapping`: its mapping, in each form that it has there; none if it has none.
    """

    energy: float
    cpu_s: float
    version: str
    mappings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, in one line."""

    reason: str
