"""What an architecture is, as `archs check` prints it: peak, sizes, bandwidths, prices, and what has no price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mapper.arch import Architecture, Basis, Compute, FanOut, Level, Memory
from mapper.arch.words import unknown_words
from mapper.documents.numbers import exact
from mapper.documents.schema import schema
from mapper.ir import Role

OPERATIONS_OF_A_MAC = 2
"""As TOPS count them: a multiplication and an addition."""


@dataclass(frozen=True, slots=True)
class Price:
    """What an action of a level costs: `unit` pJ or MAC, of leakage that in a cycle, of all its instances.

    `basis` says what it rests on, None for what nothing prices, so that it costs 0.
    """

    level: str
    action: str
    value: Fraction
    unit: str
    basis: Basis | None
    source: str = ""
    confidence: str = ""


def prices(arch: Architecture) -> list[Price]:
    """The price of every action of every level; leakage is that of one instance."""
    origins = {(origin.level, origin.action): origin for origin in arch.origins}
    found = []
    for level in arch.levels:
        for action, value in _actions(level):
            unit = f"{arch.energy_unit}/cycle" if action == "leak" else arch.energy_unit
            origin = origins.get((level.name, action))
            if origin is None:
                found.append(Price(level.name, action, value, unit, Basis.STATED if value else None))
            else:
                found.append(Price(level.name, action, value, unit, origin.basis, origin.source, origin.confidence))
    return found


def _actions(level: Level) -> Iterator[tuple[str, Fraction]]:
    """What can happen on a level, with its energy."""
    match level:
        case Memory():
            yield "read", level.read_energy
            yield "write", level.write_energy
        case FanOut():
            yield "deliver", level.deliver_energy
            if level.reduce:
                yield "reduce", level.reduce_energy
            yield "hop", level.hop_energy
        case Compute():
            yield "operation", level.energy
    yield "leak", level.leak_energy


def peak_tops(arch: Architecture) -> Fraction | None:
    """Operations per second with every instance busy, in 10^12, a multiply-accumulate being two; None: no clock."""
    if arch.clock_hz is None:
        return None
    return Fraction(arch.peak_operations * arch.clock_hz * OPERATIONS_OF_A_MAC, 10**12)


def ports(memory: Memory) -> dict[str, Fraction]:
    """Words per cycle of an instance by port; a port without a limit is left out."""
    every = {"read": memory.read_bandwidth, "write": memory.write_bandwidth, "shared": memory.shared_bandwidth}
    return {port: words for port, words in every.items() if words is not None}


def gigabytes(memory: Memory, words: Fraction, clock_hz: int) -> Fraction:
    """Words per cycle as 10^9 bytes per second."""
    return words * memory.word_bits * clock_hz / (8 * 10**9)


def size_bytes(memory: Memory) -> Fraction | None:
    """Bytes of an instance; None: unlimited."""
    return None if memory.size_words is None else Fraction(memory.size_words * memory.word_bits, 8)


def elements(memory: Memory, arch: Architecture) -> int | None:
    """Elements that an instance holds, of the narrowest it may keep; None: unlimited."""
    if memory.size_words is None:
        return None
    widths = arch.compute.widths
    own = {Role.INPUT: widths.input, Role.WEIGHT: widths.weight, Role.OUTPUT: widths.output}
    bits = min(own[role] or memory.word_bits for role in memory.may_keep) if memory.may_keep else memory.word_bits
    if bits > memory.word_bits:
        return memory.size_words // -(-bits // memory.word_bits)
    return memory.size_words * (memory.word_bits // bits if memory.packed else 1)


def architecture_data(arch: Architecture) -> dict[str, Any]:
    """The whole as plain data."""
    every, tops = prices(arch), peak_tops(arch)
    return {
        "schema": schema("architecture"),
        "name": arch.name,
        "description": arch.description,
        "energy_unit": arch.energy_unit,
        "technology_nm": arch.technology_nm,
        "clock_hz": arch.clock_hz,
        "peak": {
            "operations_per_cycle": arch.peak_operations,
            "tops": None if tops is None else float(tops),
            "operations_of_a_mac": OPERATIONS_OF_A_MAC,
        },
        "area_um2": None if arch.area_um2 is None else exact(arch.area_um2),
        "levels": [_level_data(level, arch) for level in arch.levels],
        "prices": [
            {
                "level": price.level,
                "action": price.action,
                "energy": exact(price.value),
                "unit": price.unit,
                "basis": str(price.basis),
                "source": price.source,
                "confidence": price.confidence,
            }
            for price in every
            if price.basis
        ],
        "not_priced": [
            *({"level": price.level, "action": price.action} for price in every if price.basis is None),
            {"level": None, "action": "arithmetic of other operators"},
        ],
        "constraints": [str(constraint) for constraint in arch.constraints],
        "dataflows": {name: [str(constraint) for constraint in found] for name, found in arch.dataflows},
        "sources": list(arch.sources),
        "warnings": list(unknown_words(arch)),
    }


def _level_data(level: Level, arch: Architecture) -> dict[str, Any]:
    instances = arch.instances(level)
    head = {
        "level": level.name,
        "instances": instances,
        "area_um2": None if level.area_um2 is None else exact(level.area_um2),
    }
    match level:
        case Memory():
            held, size, limits = elements(level, arch), size_bytes(level), ports(level)
            rates = {p: gigabytes(level, n, arch.clock_hz) for p, n in limits.items()} if arch.clock_hz else None
            return head | {
                "kind": "memory",
                "size_words": level.size_words,
                "size_bytes": None if size is None else exact(size),
                "all_bytes": None if size is None else exact(size * instances),
                "all_elements": None if held is None else held * instances,
                "word_bits": level.word_bits,
                "line_words": level.line_words,
                "words_per_cycle": {port: exact(words) for port, words in limits.items()},
                "gb_per_s": None if rates is None else {port: exact(rate) for port, rate in rates.items()},
                "keeps": sorted(level.may_keep),
                "must_keep": sorted(level.must_keep),
                "packed": level.packed,
                "rolling": level.rolling,
                "double_buffered": level.double_buffered,
            }
        case FanOut():
            return head | {
                "kind": "fanout",
                "axes": {axis.name: axis.size for axis in level.axes},
                "dims": {axis.name: sorted(axis.dims) for axis in level.axes if axis.dims is not None},
                "fans_out_to": level.size,
                "multicast": sorted(level.multicast),
                "reduce": level.reduce,
                "drain": level.drain,
                "halo": level.halo,
            }
        case Compute():
            return head | {"kind": "compute", "operations_per_cycle": level.rate}
