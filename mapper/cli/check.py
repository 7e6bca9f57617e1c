"""`mapper archs check`: what a valid architecture file describes."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING

from mapper.arch import Architecture, Basis, Compute, FanOut, Level, Memory, load_architecture
from mapper.arch.words import unknown_words
from mapper.cli.output import console, table, warn_of, warning
from mapper.documents.architecture import (
    Price,
    architecture_data,
    elements,
    gigabytes,
    peak_tops,
    ports,
    prices,
    size_bytes,
)
from mapper.documents.quantities import energy_text, engineering

if TYPE_CHECKING:
    from rich.table import Table


def check_architecture(file: str, *, as_json: bool) -> None:
    """Print its peak, its levels, what each energy rests on, what has no price, and where its numbers come from."""
    arch = load_architecture(file)
    for text in unknown_words(arch):
        warning(f"{file}: {text}")
    warn_of(arch)
    if as_json:
        print(json.dumps(architecture_data(arch), indent=2))
        return
    print(f"{file}: ok: {arch.name}: {_peak(arch)}")
    every = prices(arch)
    for rows in (_memories(arch), _others(arch), _prices(every)):
        print()
        console().print(rows)
    print()
    for line in (*_not_priced(every), *_area(arch)):
        print(line)
    if arch.constraints:
        print(f"every mapping keeps to {len(arch.constraints)} constraint{'s' * (len(arch.constraints) > 1)}")
    if arch.dataflows:
        print(f"dataflows: {', '.join(name for name, _ in arch.dataflows)}")
    for source in arch.sources:
        print(f"source: {source}")


def _peak(arch: Architecture) -> str:
    most = f"at most {arch.peak_operations:,} operations per cycle"
    tops = peak_tops(arch)
    if tops is None or arch.clock_hz is None:
        return f"{most} (no clock, so no TOPS)"
    clock = engineering(arch.clock_hz, "Hz")
    return f"{most}, {float(tops):,.4g} TOPS at {clock} (a multiply-accumulate counts as two operations)"


def _memories(arch: Architecture) -> Table:
    right = ("instances", "size", "bytes", "bytes in all", "elements in all", "word", "words/cycle", "GB/s")
    rows = table("memory", *right, "features", right=right)
    for memory in arch.memories:
        count, size, held = arch.instances(memory), size_bytes(memory), elements(memory, arch)
        rows.add_row(
            memory.name,
            f"{count:,}",
            "unlimited" if memory.size_words is None else f"{memory.size_words:,} words",
            "" if size is None else _number(size),
            "" if size is None else _number(size * count),
            "" if held is None else f"{held * count:,}",
            f"{memory.word_bits} bits",
            _ports(ports(memory)),
            _ports({port: gigabytes(memory, n, arch.clock_hz) for port, n in ports(memory).items()})
            if arch.clock_hz
            else "",
            _features(memory),
        )
    return rows


def _number(value: Fraction) -> str:
    return f"{int(value):,}" if value.denominator == 1 else f"{float(value):,g}"


def _ports(found: dict[str, Fraction]) -> str:
    """Bandwidths by port; of the one that reads and writes share, the number alone."""
    return ", ".join(f"{float(n):.4g}" if port == "shared" else f"{port} {float(n):.4g}" for port, n in found.items())


def _others(arch: Architecture) -> Table:
    rows = table("fan-out, compute", "instances", "axes", "features", right=("instances",))
    for level in arch.levels:
        if not isinstance(level, Memory):
            axes = " ".join(f"{axis.name}={axis.size}" for axis in level.axes) if isinstance(level, FanOut) else ""
            rows.add_row(level.name, f"{arch.instances(level):,}", axes, _features(level))
    return rows


def _features(level: Level) -> str:
    match level:
        case Memory():
            flags = {
                f"lines of {level.line_words}": level.line_words > 1,
                "packed": level.packed,
                "rolling": level.rolling,
                "double-buffered": level.double_buffered,
                "keeps " + ", ".join(sorted(level.may_keep)): len(level.may_keep) < 3,
            }
        case FanOut():
            flags = {
                "multicast " + ", ".join(sorted(level.multicast)): bool(level.multicast),
                "reduce": level.reduce,
                "drain": level.drain,
                "halo": level.halo,
                **{
                    f"{axis.name} unrolls {', '.join(sorted(axis.dims)) or 'nothing'}": True
                    for axis in level.axes
                    if axis.dims is not None
                },
            }
        case Compute():
            flags = {f"{level.rate} operations per cycle": level.rate > 1}
    return ", ".join(what for what, holds in flags.items() if holds)


def _prices(every: list[Price]) -> Table:
    """What is priced: the actions of a level that rest on the same, a row."""
    rows = table("priced", "energies", "from", "confidence")
    priced = [price for price in every if price.basis]
    previous = None
    for (level, basis, source, confidence), group in groupby(
        priced, key=lambda price: (price.level, price.basis, price.source, price.confidence)
    ):
        energies = ", ".join(f"{price.action} {_energy(price)}" for price in group)
        origin = "the spec" if basis is Basis.STATED else source.partition(":")[0] if basis is Basis.TABLE else basis
        rows.add_row("" if level == previous else level, energies, str(origin), confidence)
        previous = level
    return rows


def _energy(price: Price) -> str:
    unit, slash, cycle = price.unit.partition("/")
    return f"{energy_text(price.value, unit)}{slash}{cycle}"


def _not_priced(every: list[Price]) -> list[str]:
    """What costs nothing because nothing prices it, by action."""
    levels: dict[str, list[str]] = {}
    for price in every:
        if price.basis is None:
            levels.setdefault(price.action, []).append(price.level)
    found = [f"{action} of {', '.join(names)}" for action, names in levels.items()]
    return [f"not priced, so free: {'; '.join([*found, 'arithmetic of operators that are no layers'])}"]


def _area(arch: Architecture) -> list[str]:
    """The area that is known, largest first, and of which levels it is not."""
    known = {level.name: level.area_um2 * arch.instances(level) for level in arch.levels if level.area_um2 is not None}
    if arch.area_um2 is None:
        return []
    parts = ", ".join(f"{name} {float(area / 10**6):.4g}" for name, area in sorted(known.items(), key=lambda a: -a[1]))
    missing = [level.name for level in arch.levels if level.name not in known]
    unknown = f"; not known: {', '.join(missing)}" if missing else ""
    return [f"area: {float(arch.area_um2 / 10**6):.4g} mm2 ({parts}){unknown}"]
