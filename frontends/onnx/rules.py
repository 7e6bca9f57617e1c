"""Shapes by definition: of operators where ONNX's inference is wrong, or was in some version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from frontends.onnx import graph, pool
from frontends.onnx.expand import contraction
from frontends.onnx.site import Site

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region


def transform(site: Site) -> tuple[int, ...] | None:
    """STFT: [batch, frames, bins, 2]; of real signals no more than half of the bins unless all are asked for.

    ONNX infers all of them (up to 1.23) where `onesided` is left out, although 1 is its default.
    """
    signal, step = site.shape(site.inputs[0]), site.constants.get(site.inputs[1])
    window, given = site.optional(2), site.constants.get(site.optional(3) or "")
    if window is not None and len(site.shape(window)) == 1:
        (length,) = site.shape(window)
    elif given is not None and given.size == 1:
        length = int(given.item())
    else:
        return None
    if len(signal) != 3 or step is None or step.size != 1 or step.item() < 1 or not 1 <= length <= signal[1]:
        return None
    bins = length // 2 + 1 if site.attributes.get("onesided", 1) else length
    return signal[0], (signal[1] - length) // int(step.item()) + 1, bins, 2


def pooled(site: Site) -> tuple[int, ...] | None:
    """Pooling whose last window may be cut off."""
    return (*site.shape(site.inputs[0])[:2], *pool.places(site)) if site.attributes.get("ceil_mode", 0) else None


def contracted(site: Site) -> tuple[int, ...]:
    """Einsum: an axis of size 1 fits a longer one, of which ONNX takes the size that it meets first."""
    _, output, extents = contraction.lettered(site)
    if missing := set(output) - extents.keys():
        raise site.refuse(f"no operand has {', '.join(sorted(missing))}")
    return tuple(extents[letter] for letter in output)


RULES: Mapping[str, Callable[[Site], tuple[int, ...] | None]] = {
    "AveragePool": pooled,
    "Einsum": contracted,
    "LpPool": pooled,
    "MaxPool": pooled,
    "STFT": transform,
}
"""By name of an operator of the standard, the shape of all its outputs; None where inference knows as much."""


def is_ruled(node: onnx.NodeProto) -> bool:
    """Whether there is a rule for the operator."""
    return graph.is_standard(node) and node.op_type in RULES


def ruled(node: onnx.NodeProto, region: Region) -> tuple[int, ...] | None:
    """The shape of the outputs of a node by definition; None if there is no rule, or none beyond what is inferred.

    InputError if the node does not fit its definition.
    """
    return RULES[node.op_type](Site.of(node, region)) if is_ruled(node) else None
