"""ReduceSum, ReduceMean, ReduceMax and ReduceMin: a dim for each axis of the input, the output has those that stay."""

from __future__ import annotations

import math
from string import ascii_lowercase

import numpy as np

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.site import Lowered, Site
from mapper.ir import LoopNest, Reduction, Role, Tensor, Term

KINDS = {
    "ReduceSum": Reduction.SUM,
    "ReduceMean": Reduction.SUM,
    "ReduceMax": Reduction.MAX,
    "ReduceMin": Reduction.MIN,
}


def lower(site: Site) -> Lowered | None:
    """O[..] += I[..], max= or min=; None if the axes are computed, nothing is reduced, or integers are divided or too
    wide to be summed exactly."""
    x, told = site.inputs[0], site.attributes
    shape, dtype = site.shape(x), site.shapes.dtype(x)
    axes = (
        np.array(told.get("axes") or (), np.int64) if site.optional(1) is None else site.constants.get(site.inputs[1])
    )
    if axes is None or (dtype.kind not in "f" and (site.op == "ReduceMean" or dtype.itemsize > 4)):
        return None
    if not axes.size and told.get("noop_with_empty_axes", 0):
        return None
    if any(not -len(shape) <= axis < len(shape) for axis in axes.flat):
        raise site.refuse(f"the axes {axes.ravel().tolist()} do not fit an input of shape {shape}")
    lost = {int(axis) % len(shape) for axis in axes.flat} if axes.size else set(range(len(shape)))
    if math.prod(shape[axis] for axis in lost) < 2 or len(shape) > len(ascii_lowercase):
        return None
    dims = ascii_lowercase[: len(shape)]
    kept = [axis for axis in range(len(shape)) if axis not in lost]
    nest = LoopNest(
        tuple(zip(dims, shape, strict=True)),
        (
            Tensor("I", Role.INPUT, tuple((Term(d),) for d in dims)),
            Tensor("O", Role.OUTPUT, tuple((Term(dims[axis]),) for axis in kept)),
        ),
        reduction=KINDS[site.op],
    )
    split = tuple(shape[axis] for axis in kept)
    result = Result(
        value=site.outputs[0],
        split=split,
        perm=tuple(range(len(split))),
        shape=tuple(1 if axis in lost else n for axis, n in enumerate(shape)) if told.get("keepdims", 1) else split,
        alpha=1 / math.prod(shape[axis] for axis in lost) if site.op == "ReduceMean" else 1.0,
    )
    return Lowered(nest, Binding({"I": View.plain(x, shape, shape)}, result))
