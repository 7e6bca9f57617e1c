"""How each operator of the ONNX standard is treated, for `mapper ops`."""

from __future__ import annotations

from frontends.onnx.registry import FAMILIES, SHAPE_READERS, UNSUPPORTED, VIEWS

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def treatments() -> dict[str, str]:
    """The treatment, in words, of every operator of the newest opset that the installed onnx knows, by name."""
    from onnx import defs

    known = {s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    return {name: _treatment(name) for name in sorted(known)}


def _treatment(name: str) -> str:
    if name in FAMILIES:
        return "mapped: a loop nest"
    if name in UNSUPPORTED:
        return "refused: multiplies and accumulates, but cannot be mapped yet"
    if name in VIEWS:
        return "view: moves nothing" + (" (as inference runs it)" if name == "Dropout" else "")
    if name in SHAPE_READERS:
        return "data movement: writes its output, reads no elements"
    if name in _CONTROL_FLOW:
        return "data movement: reads its inputs, writes its outputs; refused if a body multiplies and accumulates"
    return "data movement: reads its inputs, writes its outputs; folded if all inputs are constant"
