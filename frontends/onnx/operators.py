"""How each operator of the ONNX standard is treated, for `mapper ops`."""

from __future__ import annotations

from frontends.onnx.registry import FAMILIES, SHAPE_READERS, UNMAPPED, VIEWS

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def treatments() -> dict[str, str]:
    """The treatment, in words, of every operator of the newest opset that the installed onnx knows, by name."""
    from onnx import defs

    known = {s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    return {name: _treatment(name) for name in sorted(known)}


def _treatment(name: str) -> str:
    if name in FAMILIES:
        return "mapped: a loop nest"
    if name in UNMAPPED:
        return "data movement, with a note: its multiply-accumulates are not mapped yet and not counted"
    if name in VIEWS:
        return "view: moves nothing" + (" (as inference runs it)" if name == "Dropout" else "")
    if name in SHAPE_READERS:
        return "data movement: writes its output, reads no elements"
    if name in _CONTROL_FLOW:
        return "data movement: reads its inputs, writes its outputs; with a note if a body multiplies and accumulates"
    return "data movement: reads its inputs, writes its outputs; folded if all inputs are constant"
