"""Units that specs may use, each as an exact multiple of the unit that the architecture keeps ('' is a bare number)."""

from __future__ import annotations

from fractions import Fraction

Units = dict[str, Fraction | None]
"""Factor by unit; a unit without one is known, but cannot be used in this spec."""

ENERGY_UNITS: dict[str, Units] = {
    "pJ": {"": Fraction(1), "fJ": Fraction(1, 1000), "pJ": Fraction(1), "nJ": Fraction(1000)},
    "MAC": {"": Fraction(1), "MAC": Fraction(1)},
}
"""Units of an energy, by the energy unit of the spec."""

AREA_UNITS: Units = {"um2": Fraction(1), "mm2": Fraction(10**6)}
BIT_UNITS: Units = {"": Fraction(1), "bit": Fraction(1), "bits": Fraction(1)}
CLOCK_UNITS: Units = {"Hz": Fraction(1), "kHz": Fraction(10**3), "MHz": Fraction(10**6), "GHz": Fraction(10**9)}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def size_units(word_bits: int) -> Units:
    """Sizes in words of so many bits."""
    units: Units = {"words": Fraction(1), "bits": Fraction(1, word_bits)}
    return units | {unit: Fraction(8 * size, word_bits) for unit, size in _BYTES.items()}


def bandwidth_units(word_bits: int, clock_hz: int | None) -> Units:
    """Bandwidths in words per cycle; those per second need a clock."""
    units: Units = {
        "words/cycle": Fraction(1),
        "bits/cycle": Fraction(1, word_bits),
        "B/cycle": Fraction(8, word_bits),
    }
    for unit, bits in {"MB/s": 8 * 10**6, "GB/s": 8 * 10**9, "Mbit/s": 10**6, "Gbit/s": 10**9}.items():
        units[unit] = Fraction(bits, word_bits * clock_hz) if clock_hz else None
    return units


def leak_units(energy_unit: str, clock_hz: int | None) -> Units:
    """Energies per cycle, and powers, which need a clock and energies in pJ."""
    units: Units = {f"{unit}/cycle" if unit else "": factor for unit, factor in ENERGY_UNITS[energy_unit].items()}
    if energy_unit == "pJ":
        for unit, pj_per_second in {"nW": 10**3, "uW": 10**6, "mW": 10**9, "W": 10**12}.items():
            units[unit] = Fraction(pj_per_second, clock_hz) if clock_hz else None
    return units
