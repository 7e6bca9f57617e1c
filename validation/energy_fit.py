"""The points to which `mapper.arch.estimate` is fitted, and the fits."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mapper.arch.estimate import PARTS, REFERENCE_DRAM_BITS, ROWS, Law, cell_leak_pw

POINTS = Path(__file__).parent / "energy_points.csv"
SOURCES = {
    "cacti": "computed with CACTI 7.0: R. Balasubramonian et al., ACM TACO 14(2), 2017; RAM or main memory, "
    "itrs-lstp transistors, 300 K, least leakage, one read-write port; built from the sources in the package "
    "hwcomponents-cacti 1.0.40, with its settings (derived)",
    "horowitz": "M. Horowitz, ISSCC 2014, 45 nm at 0.9 V: 8 KiB at 32 bits and DRAM verified, the others "
    "recalled-crosschecked",
    "eyeriss": "what nn_dataflow charges for the Eyeriss chip, 65 nm (verified)",
    "isca16": "storage areas of Y.-H. Chen, J. Emer, V. Sze, ISCA 2016, 65 nm, as in the authors' simulator, "
    "get_storage_area_from_size.m (verified)",
    "timeloop": "energy reference table of the Timeloop exercises, eyeriss_like, 65 nm (verified)",
    "accelergy": "energy reference table of Accelergy's Eyeriss-like example; its technology, not stated, is taken for "
    "65 nm (verified but for that)",
}
"""Where points come from, and how sure they are."""


@dataclass(frozen=True, slots=True)
class Point:
    """A published or computed memory; what its source does not give is None. An access moves `width` bits."""

    kind: str
    source: str
    nm: int
    bits: int | None
    width: int
    read: float | None
    write: float | None
    leak: float | None
    area: float | None

    def value(self, quantity: str) -> float | None:
        """pJ, pJ, pW or um2."""
        found: float | None = getattr(self, quantity)
        return found

    @property
    def size(self) -> int:
        """Bits, of an unlimited DRAM those it is taken for."""
        return REFERENCE_DRAM_BITS if self.bits is None else self.bits

    @property
    def covered(self) -> bool:
        """Whether an SRAM has enough words to be an array."""
        return self.kind != "sram" or self.size >= ROWS * self.width


def points() -> list[Point]:
    """All points."""

    def number(text: str, scale: float = 1) -> float | None:
        return float(text) * scale if text else None

    with POINTS.open(encoding="utf-8", newline="") as file:
        return [
            Point(
                row["kind"],
                row["source"],
                int(row["nm"]),
                int(row["bytes"]) * 8 if row["bytes"] else None,
                int(row["width"]),
                number(row["read_pj"]),
                number(row["write_pj"]),
                number(row["leak_uw"], 1e6),
                number(row["area_um2"]),
            )
            for row in csv.DictReader(file)
        ]


def estimated(point: Point, quantity: str) -> float:
    """What the laws say of a point, before digits are cut."""
    part = PARTS[point.kind]
    laws: tuple[Law, ...] = getattr(part, quantity)
    cell = cell_leak_pw(point.nm) if quantity == "leak" and part.cells else 1.0
    return cell * sum(law.at(point.nm, point.size, point.width) for law in laws)


def power_law(found: Sequence[Point], quantity: str, free: Sequence[str], fixed: dict[str, float]) -> Law:
    """The law of least squares in logarithms with these exponents free (node, size, width) and those fixed."""
    import numpy as np

    size_of: dict[str, Callable[[Point], float]] = {
        "node": lambda p: p.nm,
        "size": lambda p: p.size,
        "width": lambda p: p.width,
    }
    rows = np.array([[1.0, *(np.log(size_of[name](p)) for name in free)] for p in found])
    known = np.array([sum(e * np.log(size_of[name](p)) for name, e in fixed.items()) for p in found])
    values = np.log(np.array([p.value(quantity) for p in found], float)) - known
    solution = np.linalg.lstsq(rows, values, rcond=None)[0]
    exponents = fixed | dict(zip(free, map(float, solution[1:]), strict=True))
    return Law(float(np.exp(solution[0])), *(exponents.get(name, 0.0) for name in ("node", "size", "width")))


def sum_of_laws(found: Sequence[Point], quantity: str, shapes: Sequence[Law]) -> tuple[Law, ...]:
    """Laws of these exponents whose sum has the least squares of relative errors."""
    import numpy as np

    values = np.array([p.value(quantity) for p in found], float)
    columns = np.array([[law.at(p.nm, p.size, p.width) for law in shapes] for p in found]) / values[:, None]
    scales = np.linalg.lstsq(columns, np.ones(len(found)), rcond=None)[0]
    return tuple(Law(float(scale), law.node, law.size, law.width) for scale, law in zip(scales, shapes, strict=True))


def fits() -> dict[tuple[str, str], tuple[Law, ...]]:
    """Every law of `PARTS` by kind and quantity, fitted again; leakage of SRAM and register files is no fit."""
    import numpy as np

    every = [p for p in points() if p.covered]
    computed = {kind: [p for p in every if (p.kind, p.source) == (kind, "cacti")] for kind in ("sram", "dram")}
    rf = [p for p in every if p.kind == "rf"]
    read = power_law(computed["sram"], "read", ("node", "size", "width"), {})
    spad = [p for p in rf if p.read]
    spads = power_law(spad, "read", ("size",), {"node": round(read.node, 2), "width": 1})
    dram = power_law(computed["dram"], "read", ("node", "size"), {"width": 1})
    areas = [p for p in rf if p.area]
    assert len(np.unique([p.nm for p in rf])) == 1  # so its node's exponent is that of SRAM
    return {
        ("sram", "read"): (read,),
        ("sram", "write"): (power_law(computed["sram"], "write", ("node", "size", "width"), {}),),
        ("sram", "area"): sum_of_laws(computed["sram"], "area", (Law(1, 2, 1, 0), Law(1, 2, 0, 2))),
        ("rf", "read"): (spads,),
        ("rf", "write"): (spads,),
        ("rf", "area"): sum_of_laws(areas, "area", (Law(1, 2, 0.5, 0), Law(1, 2, 1, 0))),
        ("dram", "read"): (dram,),
        ("dram", "write"): (dram,),
        ("dram", "leak"): (power_law(computed["dram"], "leak", ("node", "size"), {}),),
        ("dram", "area"): (power_law(computed["dram"], "area", ("size",), {"node": 2}),),
    }


def cell_leaks() -> dict[int, float]:
    """pW of a bit of SRAM by node: the geometric mean of CACTI's memories."""
    import numpy as np

    found: dict[int, list[float]] = {}
    for p in points():
        if (p.kind, p.source) == ("sram", "cacti") and p.covered and p.leak:
            found.setdefault(p.nm, []).append(p.leak / p.size)
    return {nm: float(np.exp(np.mean(np.log(values)))) for nm, values in sorted(found.items())}
