"""Units of specs, options and messages: each as an exact multiple of the unit that the architecture keeps.

A bare number has the unit ''. `TABLE` has all of them by quantity; `docs/architecture.md` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from mapper.spelling import did_you_mean

Units = dict[str, Fraction | None]
"""Factor by unit; a unit without one is known, but cannot be used in this spec."""

_SHOWN = 10  # of the units of a quantity, in a message
_POWERS = {"f": -5, "p": -4, "n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4}


def _decimal(unit: str, prefixes: Iterable[str], of: Fraction | int = 1) -> dict[str, Fraction]:
    """The unit with each of the decimal prefixes, the unit itself being `of` base units."""
    return {f"{p}{unit}": of * Fraction(1000) ** _POWERS[p] for p in prefixes}


def _binary(unit: str, of: Fraction | int = 1) -> dict[str, Fraction]:
    """The unit with each of the binary prefixes."""
    return {f"{p}{unit}": of * Fraction(1024) ** power for p, power in _BINARY.items()}


_LARGE = ("", "k", "M", "G", "T")
_BYTES = {**_decimal("B", _LARGE, 8), **_binary("B", 8)}  # in bits
_BITS = {**_decimal("bit", _LARGE), **_decimal("b", _LARGE), **_binary("bit")}
_DATA = {"bits": Fraction(1), **_BYTES, **_BITS}
_JOULES = _decimal("J", ("f", "p", "n", "u", "m", ""), of=Fraction(10) ** 12)  # in pJ
_WATTS = _decimal("W", ("n", "u", "m", ""), of=Fraction(10) ** 12)  # in pJ per second

COUNT_UNITS: Units = {**_decimal("", ("", "k", "M", "G", "T", "P"))}
"""Numbers of things: 600k."""
ENERGY_UNITS: dict[str, Units] = {
    "pJ": {"": Fraction(1), **_JOULES},
    "MAC": {"": Fraction(1), **_decimal("MAC", ("", "k", "M", "G", "T", "P"))},
}
"""Units of an energy, by the energy unit of the spec."""
AREA_UNITS: Units = {"um2": Fraction(1), "mm2": Fraction(10**6)}
BIT_UNITS: Units = {"": Fraction(1), "bit": Fraction(1), "bits": Fraction(1), "B": Fraction(8)}
CLOCK_UNITS: Units = {**_decimal("Hz", ("", "k", "M", "G"))}
TECHNOLOGY_UNITS: Units = {"nm": Fraction(1), "um": Fraction(1000)}
RATE_UNITS: Units = dict.fromkeys(
    ("", "operations/cycle", "operation/cycle", "ops/cycle", "MACs/cycle", "MAC/cycle"), Fraction(1)
)
"""Operations per cycle; an operation is a multiply-accumulate."""
BYTE_UNITS: Units = {**COUNT_UNITS, **{unit: bits / 8 for unit, bits in _BYTES.items()}}
"""Bytes, for caps; a bare number is bytes, as are `k`, `M`..."""


def size_units(word_bits: int) -> Units:
    """Sizes in words of so many bits."""
    return {"words": Fraction(1), **{unit: bits / word_bits for unit, bits in _DATA.items()}, "word": Fraction(1)}


def bandwidth_units(word_bits: int, clock_hz: int | None) -> Units:
    """Bandwidths in words per cycle; those per second need a clock."""
    cycle: Units = {f"{unit}/cycle": factor for unit, factor in size_units(word_bits).items()}
    second: Units = {f"{u}/s": bits / (word_bits * clock_hz) if clock_hz else None for u, bits in _DATA.items()}
    usual = ("words/cycle", "bits/cycle", "B/cycle", "MB/s", "GB/s", "MiB/s", "GiB/s", "Mbit/s", "Gbit/s", "Gb/s")
    every = cycle | second
    return {unit: every[unit] for unit in usual} | every


def leak_units(energy_unit: str, clock_hz: int | None) -> Units:
    """Energies per cycle, and powers, which need a clock and energies in pJ."""
    units: Units = {f"{unit}/cycle" if unit else "": factor for unit, factor in ENERGY_UNITS[energy_unit].items()}
    if energy_unit == "pJ":
        for unit, pj_per_second in _WATTS.items():
            units[unit] = pj_per_second / clock_hz if clock_hz else None
    return units


def hint(unit: str, units: Units) -> str:
    """The units nearest to one that is not among them, or those there are."""
    names = [name for name in units if name]
    alike = [name for name in names if _folded(name) == _folded(unit)]
    if alike:
        return f"did you mean {' or '.join(alike)}?"
    if len(unit) > 3 and (near := did_you_mean(unit, names)):  # shorter ones resemble whatever there is
        return near
    return f"units: {', '.join(names[:_SHOWN])}{'...' * (len(names) > _SHOWN)}" if names else "write the number alone"


def _folded(unit: str) -> str:
    """A unit whatever its case, and whether its prefix is decimal or binary: KB is taken for kB, kb and KiB."""
    return unit.casefold().replace("ib", "b")


TABLE: dict[str, Units] = {
    "size": size_units(1),
    "word, width": BIT_UNITS,
    "bandwidth": bandwidth_units(1, 1),
    "energy": ENERGY_UNITS["pJ"],
    "energy, relative": ENERGY_UNITS["MAC"],
    "leakage": leak_units("pJ", 1),
    "clock": CLOCK_UNITS,
    "rate": RATE_UNITS,
    "area": AREA_UNITS,
    "technology": TECHNOLOGY_UNITS,
}
"""The units of each quantity of a spec."""
