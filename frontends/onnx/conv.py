"""Conv and ConvInteger in one to three dimensions: grouped, strided, dilated, padded.

A 1-D convolution is a 2-D one of a single row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.site import Lowered, Site
from mapper.ir import conv


def lower(site: Site) -> Lowered:
    """O[N,G,K,P,Q] += I[N,G,C,..] * W[G,K,C,R,S], K and C per group, I padded; InputError if it is not 1-D to 3-D."""
    return _lower(site, bias=site.optional(2))


def lower_integer(site: Site) -> Lowered:
    """The same of integers less their zero points: inputs 2 and 3, the weight's one value or one for each filter."""
    return _lower(site, zeros=(site.optional(2), site.optional(3)))


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the shapes of a convolution's input [images, channels, ..] and weight [first, second, ..] and its attributes
    say; the lists have an element for each spatial axis."""

    images: int
    channels: int
    size: tuple[int, ...]
    first: int
    second: int
    kernel: tuple[int, ...]
    groups: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    @classmethod
    def of(cls, site: Site, kind: str, ranks: tuple[int, ...] = (1, 2, 3)) -> Sizes:
        """Of a node of this kind; InputError if its shapes and attributes do not fit, or for other axes than these."""
        x, w = site.shape(site.inputs[0]), site.shape(site.inputs[1])
        if len(x) != len(w):
            raise site.refuse(f"an input of shape {x} and a weight of shape {w} do not fit")
        if (rank := len(x) - 2) not in ranks:
            known = f"{ranks[0]}-D to {ranks[-1]}-D are" if len(ranks) > 1 else f"{ranks[0]}-D is"
            raise site.refuse(f"{rank}-D {kind} is not supported", known)
        groups, ones = int(site.attributes.get("group", 1)), (1,) * rank
        strides, dilations = site.ints("strides", ones), site.ints("dilations", ones)
        if site.ints("kernel_shape", w[2:]) != w[2:]:
            raise site.refuse(f"the kernel of the weight {site.inputs[1]} is not the attribute kernel_shape")
        if min((groups, *strides, *dilations)) < 1:
            raise site.refuse("group, strides and dilations must be at least 1")
        return cls(x[0], x[1], x[2:], w[0], w[1], w[2:], groups, strides, dilations)

    @property
    def reach(self) -> tuple[int, ...]:
        """From the first element of a window to behind its last."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True))


def _lower(site: Site, *, bias: str | None = None, zeros: tuple[str | None, str | None] = (None, None)) -> Lowered:
    sizes = Sizes.of(site, "convolution")
    images, channels, groups = sizes.images, sizes.channels, sizes.groups
    filters, per_group, kernel, strides = sizes.first, sizes.second, sizes.kernel, sizes.strides
    rank, reach = len(kernel), sizes.reach
    if channels != per_group * groups or filters % groups:
        raise site.refuse(
            f"{channels} channels and {filters} filters of {per_group} channels do not fit {groups} group(s)"
        )
    pads = pads_of(site, sizes.size, reach, strides)
    out = tuple(
        (n + before + after - r) // s + 1
        for n, (before, after), r, s in zip(sizes.size, pads, reach, strides, strict=True)
    )
    if min(out) < 1:
        raise site.refuse(f"the kernel reaches over {reach}, more than the padded input has")

    nest = conv(
        N=images,
        G=groups,
        K=filters // groups,
        C=per_group,
        **dict(zip("DPQ"[-rank:], out, strict=True)),
        **dict(zip("TRS"[-rank:], kernel, strict=True)),
        stride=(1,) * (2 - rank) + strides,
        dilation=(1,) * (2 - rank) + sizes.dilations,
    )
    image = View(
        value=site.inputs[0],
        perm=tuple(range(rank + 2)),
        pads=((0, 0), (0, 0), *pads),
        crop=(images, channels, *nest.shape(nest.tensor("I"))[-rank:]),
        shape=nest.shape(nest.tensor("I")),
        zero=zeros[0],
    )
    if bias is not None and math.prod(site.shape(bias)) != filters:
        raise site.refuse(f"the bias {bias} has shape {site.shape(bias)}, not one value for each of {filters} filters")
    shape = (images, filters, *out)
    result = Result(
        value=site.outputs[0],
        split=shape,
        perm=tuple(range(rank + 2)),
        shape=shape,
        bias=bias,
        bias_shape=(filters, *(1,) * rank) if bias else (),
    )
    weight = View.plain(site.inputs[1], (filters, per_group, *kernel), nest.shape(nest.tensor("W")))
    if zeros[1] is not None:
        weight = replace(weight, zero=zeros[1], zero_shape=(-1, *(1,) * (rank + 1)))
    return Lowered(nest, Binding({"I": image, "W": weight}, result))


def pads_of(
    site: Site, size: tuple[int, ...], reach: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """(before, after) of each spatial axis."""
    rank = len(size)
    mode = site.attributes.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        flat = site.ints("pads", (0,) * (2 * rank))
        return tuple(zip(flat[:rank], flat[rank:], strict=True))
    if mode == "VALID":
        return ((0, 0),) * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise site.refuse(f"unknown auto_pad {mode}", "one of NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    pads = []
    for n, r, s in zip(size, reach, strides, strict=True):
        # SAME: ceil(n / s) outputs; an odd element of padding goes after (UPPER) or before (LOWER)
        total = max((-(-n // s) - 1) * s + r - n, 0)
        less, more = total // 2, total - total // 2
        pads.append((less, more) if mode == "SAME_UPPER" else (more, less))
    return tuple(pads)
