"""The readable form of a mapping: an indented nest with level, tensor and tile in the margin."""

from __future__ import annotations

from mapper.arch import Architecture
from mapper.ir import LoopNest
from mapper.mapping import Keep, Loop, Mapping, ParFor


def nest_text(nest: LoopNest, arch: Architecture, mapping: Mapping) -> str:
    """The loops, indented, in the margin each storage node: memory, tensor and elements of its largest tile."""
    rows: list[tuple[str, str, str, str]] = []
    tile, depth = dict(nest.dims), 0
    for item in mapping.items:
        indent = "  " * depth
        match item:
            case Keep(memory, name, rolling):
                tensor = nest.tensor(name)
                shape = " x ".join(str(n) for n in nest.shape(tensor, tile) if n > 1) or "1"
                note = ", rolling" if rolling else ""
                rows.append((memory, name, f"{nest.words(tensor, tile):,}", f"{indent}# {name}: {shape}{note}"))
            case Loop() | ParFor():
                extent = tile[item.dim]
                word, place = ("parfor", f" on {item.fanout}.{item.axis}") if isinstance(item, ParFor) else ("for", "")
                step = f" step {item.step}" if item.step > 1 else ""
                rows.append((f"{place[4:]}", "", "", f"{indent}{word} {item.dim} in 0..{extent}{step}{place}"))
                tile[item.dim], depth = min(extent, item.step), depth + 1
    operation = str(nest).rpartition(" {")[0]
    rows.append((arch.compute.name, "", "", f"{'  ' * depth}{operation}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"{level:<{widths[0]}}  {name:<{widths[1]}}  {words:>{widths[2]}} | {code}".rstrip()
        for level, name, words, code in rows
    ]
    return "\n".join(lines) + "\n"
