"""Estimates of memories by size, width and technology: energy, leakage and area, as sums of power laws.

The laws are least-squares fits, in logarithms, to memories that CACTI 7.0 computes (Balasubramonian et al., ACM TACO
14(2), 2017: low-standby-power transistors, 300 K, one read-write port), and for register files to published ones;
`python -m validation energy` fits them again and prints how far they are from each point. CACTI's own form would be
linear in the width and in the square root of the size; free exponents come nearer, and grow with both all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from mapper.errors import InputError

ESTIMATED = "estimated"
"""In place of the name of a table, or of a memory's energy: read, write, leak and area follow size and width."""
ROWS = 64
"""The fewest words of an SRAM: fewer are no array."""
REFERENCE_DRAM_BITS = 2**33
"""The DRAM that an unlimited one is taken for: 1 GiB."""


@dataclass(frozen=True, slots=True)
class Law:
    """`scale` x nm^node x bits^size x width^width: nm of the technology, bits in all and of an access."""

    scale: float
    node: float
    size: float
    width: float

    def at(self, nm: float, bits: float, width: float) -> float:
        """Its value."""
        return float(self.scale * nm**self.node * bits**self.size * width**self.width)

    def __str__(self) -> str:
        powers = {"n": self.node, "B": self.size, "W": self.width}
        factors = [name if power == 1 else f"{name}^{power:.3g}" for name, power in powers.items() if power]
        return " ".join([f"{self.scale:.3g}"] * (self.scale != 1) + factors)


@dataclass(frozen=True, slots=True)
class Range:
    """From `least` to `most` a law has points or is linear; up to a `margin` beyond it is extrapolated."""

    what: str
    unit: str
    least: int
    most: int
    margin: float

    def off(self, value: int) -> str | None:
        """That a value is outside of the points, in words; InputError where it is outside of the margin too."""
        if self.least <= value <= self.most:
            return None
        span = f"{self.least:,} to {self.most:,} {self.unit}"
        if not self.least <= value * self.margin or not value <= self.most * self.margin:
            problem = f"no estimate for a {self.what} of {value:,} {self.unit}: the formula holds from {span}"
            raise InputError(problem, hint="state read, write, leak and area")
        return f"the {self.what} is outside of {span}"


@dataclass(frozen=True, slots=True)
class Part:
    """The laws of a kind of memory: pJ of an access, pW, um2; and within which factor they are of all their points."""

    read: tuple[Law, ...]
    write: tuple[Law, ...]
    area: tuple[Law, ...]
    leak: tuple[Law, ...]
    sizes: Range
    widths: Range
    nodes: Range
    factors: dict[str, float] = field(default_factory=dict)
    cells: bool = False  # the leakage is that of so many bits of SRAM

    def formula(self, quantity: str) -> str:
        """The laws of read, write, leak or area as a formula in n (nm), B (bits) and W (bits of an access)."""
        laws: tuple[Law, ...] = getattr(self, quantity)
        text = " + ".join(map(str, laws))
        return (
            text if quantity != "leak" or not self.cells else f"({text}) x cell" if len(laws) > 1 else f"{text} x cell"
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A memory's energies in pJ, leakage in pW, area in um2; `remarks` say what was assumed and what extrapolated."""

    read: Fraction
    write: Fraction
    leak_pw: float
    area_um2: Fraction
    remarks: tuple[str, ...] = ()


# leakage of a cell is no power of the node: transistors of 45 nm have other gates than those of 65 nm
CELL_LEAK_PW = {22: 19.2, 32: 5.67, 45: 3.29, 65: 21.6, 90: 11.1}
"""pW of a bit of SRAM, periphery included, by nm; in between interpolated in logarithms."""

_NODES = Range("technology", "nm", 22, 90, 1.5)
_SRAM_AREA = (Law(1.92e-4, 2, 1, 0), Law(4.71e-5, 2, 0, 2))

PARTS: dict[str, Part] = {
    "sram": Part(
        read=(Law(7.22e-7, 1.80, 0.550, 0.714),),
        write=(Law(7.69e-7, 1.90, 0.482, 0.849),),
        area=_SRAM_AREA,
        leak=(Law(1, 0, 1, 0),),  # x the leakage of a cell
        sizes=Range("size", "bits", 2**11, 2**30, 4),
        widths=Range("width", "bits", 32, 1024, 4),
        nodes=_NODES,
        cells=True,
        factors={"read": 2.0, "write": 1.5, "area": 1.7, "leak": 2.0},
    ),
    "rf": Part(
        read=(Law(1.19e-6, 1.80, 0.433, 1),),
        write=(Law(1.19e-6, 1.80, 0.433, 1),),
        area=(Law(1.91e-2, 2, 0.5, 0), Law(3.10e-4, 2, 1, 0)),
        leak=(Law(99.5, 0, 0.5, 0), Law(1.61, 0, 1, 0)),  # its area over that of an SRAM cell
        sizes=Range("size", "bits", 16, 2**15, 4),
        widths=Range("width", "bits", 4, 64, 8),  # linear: a multiplexer for each bit
        nodes=_NODES,
        cells=True,
        factors={"read": 5.0, "area": 2.6},
    ),
    "dram": Part(
        read=(Law(3.44e-5, 1.70, 0.291, 1),),
        write=(Law(3.44e-5, 1.70, 0.291, 1),),
        area=(Law(1.99e-3, 2, 0.777, 0),),
        leak=(Law(0.215, 0.530, 0.984, 0),),
        sizes=Range("size", "bits", 2**27, 2**33, 16),
        widths=Range("width", "bits", 8, 1024, 4),  # linear: a burst
        nodes=Range("technology", "nm", 22, 65, 1.5),
        factors={"read": 1.3, "area": 1.3, "leak": 2.6},
    ),
}
"""By kind; coefficients are rounded to three digits."""


def estimate(kind: str, size_bits: int | None, width_bits: int, technology_nm: int) -> Estimate:
    """What a memory of a kind costs, each access moving `width_bits`.

    `size_bits` None is an unlimited DRAM, taken for one of 1 GiB. Results have three digits, of energies no finer than
    10 fJ, of those below 50 fJ than 1 fJ. Raises InputError for another kind, and outside of what the fit can be
    extrapolated to.
    """
    if kind not in PARTS:
        raise InputError(f"no estimate for a memory of kind '{kind}'", hint=f"kinds: {', '.join(PARTS)}")
    part, remarks = PARTS[kind], []
    if size_bits is None:
        if kind != "dram":
            raise InputError(f"no estimate for an unlimited '{kind}'", hint="give it a size")
        size_bits = REFERENCE_DRAM_BITS
        remarks.append("taken for 1 GiB")
    if kind == "sram" and size_bits < ROWS * width_bits:
        problem = f"no estimate for an SRAM of {size_bits:,} bits accessed {width_bits:,} at a time"
        raise InputError(problem, hint=f"an SRAM has at least {ROWS} words; a smaller memory is of kind rf")
    for limits, value in ((part.sizes, size_bits), (part.widths, width_bits), (part.nodes, technology_nm)):
        if off := limits.off(value):
            remarks.append(f"extrapolated: {off}")

    def total(laws: tuple[Law, ...]) -> float:
        return sum(law.at(technology_nm, size_bits, width_bits) for law in laws)

    cell = cell_leak_pw(technology_nm) if part.cells else 1.0
    read, write = (_digits(pj, 2 if pj >= 0.05 else 3) for pj in (total(part.read), total(part.write)))
    return Estimate(read, write, total(part.leak) * cell, _digits(total(part.area), 0), tuple(remarks))


def cell_leak_pw(nm: int) -> float:
    """Leakage of a bit of SRAM, interpolated; beyond the nodes of the table that of the nearest."""
    nodes = sorted(CELL_LEAK_PW)
    nm = min(max(nm, nodes[0]), nodes[-1])
    above = next(node for node in nodes if node >= nm)
    below = max(node for node in nodes if node <= nm)
    if above == below:
        return CELL_LEAK_PW[nm]
    share = math.log(nm / below) / math.log(above / below)
    return float(CELL_LEAK_PW[below] ** (1 - share) * CELL_LEAK_PW[above] ** share)


def leak_per_cycle(leak_pw: float, clock_hz: int, instances: int = 1) -> Fraction:
    """pW of an instance as pJ per cycle, of all instances together with three digits, no finer than 10 fJ."""
    return _digits(leak_pw * instances / clock_hz, 2) / instances


def _digits(value: float, decimals: int) -> Fraction:
    """Three digits of a value, no finer than so many decimals.

    Energies are exact, and the search counts them in integers: a hundredth of a pJ leaves room for 10^10 operations.
    """
    places = min(decimals, 2 - math.floor(math.log10(value)))
    return Fraction(round(value, places)).limit_denominator(10**decimals)
