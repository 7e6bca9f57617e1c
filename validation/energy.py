"""The report of the estimates of memories against the points to which they are fitted; every number is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mapper.arch.estimate import CELL_LEAK_PW, PARTS, ROWS, Law, estimate
from validation.energy_fit import SOURCES, Point, cell_leaks, estimated, fits, points
from validation.markdown import bullets, off, page, paragraph, table

QUANTITIES = {"read": "pJ", "write": "pJ", "leak": "uW", "area": "um2"}
NAMES = {"sram": "SRAM", "rf": "Register files", "dram": "DRAM"}


def report() -> str:
    """The whole comparison."""
    found = [point for point in points() if point.covered]
    return page(introduction(found), laws(), sweep(), *(residuals(kind, found) for kind in PARTS), sources()) + "\n"


def introduction(found: Sequence[Point]) -> str:
    """What is estimated, and how far it is off at most."""
    return page(
        "# Validation: estimates of memories",
        paragraph(
            """A memory with `energy: estimated` has its energies, leakage and area from sums of power laws in the
            technology, the size and the width of an access. This page fits them again, and sets them beside each
            point. `python -m validation energy` prints it; the tests hold the coefficients to the fit, the estimates
            within the stated factors of all points, and increasing in size and width."""
        ),
        table(
            ["kind", "quantity", "points", "least, model / point", "largest", "stated: within a factor of"],
            [_spread(kind, quantity, found) for kind in PARTS for quantity in PARTS[kind].factors],
        ),
        bullets(
            "SRAM and DRAM follow CACTI alone; points of other sources are shown beside it, and lie within the same "
            "factors.",
            f"Leakage is that of low-standby-power transistors at 300 K, a bit of SRAM {_cells()}. Faster transistors "
            f"and hotter chips leak far more: of the memories of the Eyeriss chip it is {_eyeriss_uw():.0f} uW, "
            "where nn_dataflow charges 30 mW of static power. State `leak` where it matters.",
            "Register files follow few points, of designs that differ: their energy is good for an order of magnitude. "
            "They are taken to leak per area as much as SRAM, and to scale with the technology as SRAM does.",
            "A write of DRAM and of register files is taken to cost as much as a read. DRAM is the device alone: no "
            "controller, no physical interface; what it leaks includes refresh.",
            "CACTI ends at 22 nm. Below that memories no longer shrink by the same law, so nothing under 15 nm is "
            "estimated.",
        ),
    )


def _cells() -> str:
    assert {nm: float(f"{leak:.3g}") for nm, leak in cell_leaks().items()} == CELL_LEAK_PW
    return ", ".join(f"{leak:g} pW at {nm} nm" for nm, leak in CELL_LEAK_PW.items())


def _eyeriss_uw() -> float:
    """Leakage of the memories of the Eyeriss chip: 108 KiB and 168 register files of 520 B, 65 nm."""
    buffer, files = (estimate(kind, size * 8, 16, 65) for kind, size in (("sram", 108 * 1024), ("rf", 520)))
    return (buffer.leak_pw + 168 * files.leak_pw) / 1e6


def _of(kind: str, quantity: str, found: Iterable[Point]) -> list[tuple[Point, float, float]]:
    """The points of a kind that have a quantity, it, and what the laws say."""
    return [
        (point, value, estimated(point, quantity))
        for point in found
        if point.kind == kind and (value := point.value(quantity)) is not None
    ]


def _spread(kind: str, quantity: str, found: Sequence[Point]) -> list[str]:
    ratios = [model / value for _, value, model in _of(kind, quantity, found)]
    least, most, stated = min(ratios), max(ratios), PARTS[kind].factors[quantity]
    return [NAMES[kind], quantity, f"{len(ratios)}", f"{least:.2f}", f"{most:.2f}", f"{stated:g}"]


def laws() -> str:
    """The formulas, those in use beside those fitted now."""
    rows = []
    for (kind, quantity), fitted in fits().items():
        used: tuple[Law, ...] = getattr(PARTS[kind], quantity)
        rows.append([NAMES[kind], quantity, " + ".join(map(str, used)), " + ".join(map(str, fitted))])
    rows += [[NAMES[kind], "leak", PARTS[kind].formula("leak"), ""] for kind in PARTS if PARTS[kind].cells]
    limits = [
        [NAMES[kind], *(f"{r.least:,} to {r.most:,} {r.unit}, x {r.margin:g}" for r in (p.sizes, p.widths, p.nodes))]
        for kind, p in PARTS.items()
    ]
    return page(
        "## Formulas",
        paragraph(
            "n is the technology in nm, B the size in bits, W the bits of an access; pJ, um2, and pW of leakage."
        ),
        table(["kind", "quantity", "in use", "fitted to the points"], rows),
        "Up to the margin beyond these ranges estimates are extrapolated, and say so; beyond that they are refused:",
        table(["kind", "size", "width", "technology"], limits),
        f"An SRAM has at least {ROWS} words.",
    )


def sweep() -> str:
    """What estimates look like."""
    rows = []
    for kibibytes in (4, 32, 256, 2048, 16384):
        for nm in (65, 28):
            found = estimate("sram", kibibytes * 8192, 64, nm)
            numbers = f"{float(found.read):g}", f"{float(found.write):g}", f"{found.leak_pw / 1e6:.3g}"
            rows.append([f"{kibibytes:,} KiB", f"{nm}", *numbers, f"{float(found.area_um2) / 1e6:.3g}"])
    return page("## SRAM of 64 bits", table(["size", "nm", "read, pJ", "write, pJ", "leak, uW", "area, mm2"], rows))


def residuals(kind: str, found: Sequence[Point]) -> str:
    """Each point of a kind: what its source has, and by how much the law is off."""
    rows = []
    for point in found:
        if point.kind != kind:
            continue
        cells = [point.source, f"{point.nm}", size_text(point.bits), f"{point.width}"]
        for quantity in QUANTITIES:
            value = point.value(quantity)
            scale = 1e-6 if quantity == "leak" else 1
            cells.append("" if value is None else f"{value * scale:.4g}, {off(estimated(point, quantity), value)}")
        rows.append(cells)
    head = ["source", "nm", "size", "bits", *(f"{name}, {unit}, error" for name, unit in QUANTITIES.items())]
    return page(f"## {NAMES[kind]}", table(head, rows))


def size_text(bits: int | None) -> str:
    """A size in bytes."""
    if bits is None:
        return "any"
    size = bits // 8
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def sources() -> str:
    """Where the points come from."""
    return page("## Sources", bullets(*(f"*{name}*: {source}." for name, source in SOURCES.items())))
