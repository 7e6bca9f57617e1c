"""Limits: caps on what a mapping may cost, beside the objective."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from mapper.arch import Architecture
from mapper.arguments import is_number, rule, shown
from mapper.cost import Cost
from mapper.errors import InputError, all_of
from mapper.ir import LoopNest
from mapper.mapping import Mapping, footprints
from mapper.spelling import nearest


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps, each None where there is none: `max_energy` in the architecture's energy unit, `max_dram_bytes` on what is
    read from and written to the outermost memory, `min_utilization` of the peak operations, from 0 to 1, and by memory
    `max_words`, the words of each instance that tiles take (in a double-buffered memory, both copies), as a dict or as
    pairs.

    Raises InputError if one is no number, negative, or a utilization not in 0 to 1.
    """

    max_cycles: int | None = None
    max_energy: Fraction | None = None
    max_dram_bytes: Fraction | None = None
    min_utilization: Fraction | None = None
    max_words: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.max_words, dict):
            object.__setattr__(self, "max_words", tuple(self.max_words.items()))
        words = rule("tuple[tuple[str, int], ...]")
        if not words.holds(self.max_words):
            raise InputError(f"max_words is a dict of memories to words, not {shown(self.max_words)}")
        share = self.min_utilization
        for name in ("max_energy", "max_dram_bytes", "min_utilization"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _fraction(name, getattr(self, name)))
        if self.max_cycles is not None:
            object.__setattr__(self, "max_cycles", math.floor(_fraction("max_cycles", self.max_cycles)))
        caps = {"max_cycles": self.max_cycles, "max_energy": self.max_energy, "max_dram_bytes": self.max_dram_bytes}
        for name, cap in (*caps.items(), *((f"max_words {memory}", words) for memory, words in self.max_words)):
            if cap is not None and cap < 0:
                raise InputError(f"{name} is {cap}, which nothing can reach: it is at least 0")
        if self.min_utilization is not None and not 0 <= self.min_utilization <= 1:
            raise InputError(f"min_utilization is {shown(share)}, not a share from 0 to 1")

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given["max_words"] = ", ".join(f"{memory} {words}" for memory, words in self.max_words) or None
        stated = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
        return f"<Limits {stated or 'none'}>"

    @classmethod
    def of(cls, given: Limits | Dict[str, Any] | None) -> Limits:
        """The limits that a dict by their names states, or these; InputError with the nearest name for another one."""
        if given is None or isinstance(given, Limits):
            return given or NONE
        names = [field.name for field in fields(cls)]
        unknown = (
            InputError(f"there is no limit '{key}'", hint=nearest(key, names)) for key in given if key not in names
        )
        if problem := all_of(unknown):
            raise problem
        return cls(**given)

    def check(self, arch: Architecture) -> None:
        """Raise InputError if `max_words` names a memory that the architecture does not have, or its outermost."""
        names = [memory.name for memory in arch.memories[1:]]
        for name, _ in self.max_words:
            if name == arch.home.name:
                raise InputError(f"max_words: {name} holds whole tensors, whatever the mapping")
            if name not in names:
                raise InputError(f"max_words: {arch.name} has no memory {name}, but {', '.join(names)}")

    def cycles(self, nest: LoopNest, arch: Architecture) -> int | None:
        """Cycles that both the cap on cycles and the utilization allow; None: any number."""
        caps = [] if self.max_cycles is None else [self.max_cycles]
        if self.min_utilization:
            caps.append(math.floor(nest.operations / (self.min_utilization * arch.peak_operations)))
        return min(caps, default=None)

    def home_words(self, arch: Architecture) -> int | None:
        """Words that may pass the outermost memory; None: any number."""
        if self.max_dram_bytes is None:
            return None
        return math.floor(self.max_dram_bytes * 8 / arch.home.word_bits)

    def broken(self, nest: LoopNest, arch: Architecture, mapping: Mapping, cost: Cost) -> Iterator[str]:
        """The caps that a mapping does not keep, with what it takes."""
        if self.max_cycles is not None and cost.cycles > self.max_cycles:
            yield f"it takes {cost.cycles:,} cycles, more than {self.max_cycles:,}"
        if self.max_energy is not None and cost.energy > self.max_energy:
            yield f"it takes an energy of {float(cost.energy):,.10g}, more than {float(self.max_energy):,.10g}"
        if self.max_dram_bytes is not None and cost.home_bytes > self.max_dram_bytes:
            yield f"it moves {float(cost.home_bytes):,.10g} bytes, more than {float(self.max_dram_bytes):,.10g}"
        used = Fraction(nest.operations, cost.cycles * arch.peak_operations)
        if self.min_utilization is not None and used < self.min_utilization:
            yield f"its utilization is {float(used):.4%}, less than {float(self.min_utilization):.4%}"
        for name, words in self.max_words:
            taken = occupied(nest, arch, mapping, name)
            if taken > words:
                yield f"its tiles take {taken:,} words of {name}, more than {words:,}"


def _fraction(name: str, given: object) -> Fraction:
    try:
        if is_number(given) or isinstance(given, str):
            return Fraction(str(given))  # 0.8 as it is written
    except (ValueError, ZeroDivisionError):
        pass
    raise InputError(f"{name} is {shown(given)}, which is no number")


NONE = Limits()


def occupied(nest: LoopNest, arch: Architecture, mapping: Mapping, memory: str) -> int:
    """Words of each instance of a memory that the mapping's tiles take, twice where they are double-buffered."""
    copies = 2 if arch.memory(memory).double_buffered else 1
    return copies * sum(footprints(nest, arch, mapping, arch.memory(memory)).values())
