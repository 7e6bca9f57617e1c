"""Pooling in one to three dimensions: a maximum, or a sum that is then divided, over each window or over everything."""

from __future__ import annotations

import math
from dataclasses import dataclass

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.conv import pads_of
from frontends.onnx.site import Lowered, Site
from mapper.ir import Reduction, pool

MOST = 2**24
"""Windows along an axis that may have different numbers of elements."""


def lower_max(site: Site) -> Lowered | None:
    """O[N,C,P,Q] max= I[N,C,..], padding below every value; None if the places of the maxima are wanted too."""
    if len(site.outputs) > 1 and site.outputs[1]:
        return None
    return _windows(site, Reduction.MAX)


def lower_average(site: Site) -> Lowered | None:
    """O[N,C,P,Q] += I[N,C,..], divided by the number of elements in the window, those of the padding if they count."""
    return _windows(site, Reduction.SUM)


def lower_global_max(site: Site) -> Lowered | None:
    """One window over everything."""
    return _whole(site, Reduction.MAX)


def lower_global_average(site: Site) -> Lowered | None:
    """The sum of one window over everything, divided by the number of its elements."""
    return _whole(site, Reduction.SUM)


def _whole(site: Site, reduction: Reduction) -> Lowered | None:
    size = site.shape(site.inputs[0])[2:]
    ones, none = (1,) * len(size), ((0, 0),) * len(size)
    return _lower(site, size, ones, ones, none, ones, reduction, inside=True)


@dataclass(frozen=True, slots=True)
class _Windows:
    """Of each axis the size of the input, that of the kernel, stride, dilation and padding."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, site: Site) -> _Windows:
        """Those of a pooling; InputError if they do not fit its input."""
        size = site.shape(site.inputs[0])[2:]
        ones = (1,) * len(size)
        kernel = tuple(site.attributes.get("kernel_shape", ()))
        strides, dilations = site.ints("strides", ones), site.ints("dilations", ones)
        if len(kernel) != len(size) or min((1, *kernel, *strides, *dilations)) < 1:
            raise site.refuse(f"a kernel of shape {kernel} does not fit an input of shape {site.shape(site.inputs[0])}")
        pads = pads_of(site, size, tuple(_reach(*axis) for axis in zip(kernel, dilations, strict=True)), strides)
        return cls(size, kernel, strides, dilations, pads)


def _reach(kernel: int, dilation: int) -> int:
    return dilation * (kernel - 1) + 1


def places(site: Site) -> tuple[int, ...]:
    """How many windows there are along each axis, as ONNX counts them since opset 22, and ONNX Runtime in all: with
    `ceil_mode` the last may reach beyond the padding, but it begins in the input or in the padding before it.

    InputError if there is none.
    """
    found, windows = [], _Windows.of(site)
    axes = zip(windows.size, windows.kernel, windows.strides, windows.dilations, windows.pads, strict=True)
    for n, k, s, d, (before, after) in axes:
        room = n + before + after - _reach(k, d)
        count = (-(-room // s) if site.attributes.get("ceil_mode", 0) else room // s) + 1
        found.append(count - 1 if (count - 1) * s >= n + before and count > 1 else count)
    if min(found, default=1) < 1:
        raise site.refuse(f"the kernel of shape {windows.kernel} reaches over more than the padded input has")
    return tuple(found)


def _windows(site: Site, reduction: Reduction) -> Lowered | None:
    at, out = _Windows.of(site), places(site)
    inside = not site.attributes.get("count_include_pad", 0)
    return _lower(site, at.kernel, at.strides, at.dilations, at.pads, out, reduction, inside=inside)


def _lower(
    site: Site,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    out: tuple[int, ...],
    reduction: Reduction,
    *,
    inside: bool,
) -> Lowered | None:
    """`inside`: an average is of the elements of the input, not of the padding."""
    x = site.inputs[0]
    if len(site.shape(x)) not in (3, 4, 5):
        return None
    images, channels, *size = site.shape(x)
    rank = len(size)
    nest = pool(
        N=images,
        C=channels,
        **dict(zip("DPQ"[-rank:], out, strict=True)),
        **dict(zip("TRS"[-rank:], kernel, strict=True)),
        stride=(1,) * (2 - rank) + strides,
        dilation=(1,) * (2 - rank) + dilations,
        reduction=reduction,
    )
    shape = nest.shape(nest.tensor("I"))
    view = View(
        value=x,
        perm=tuple(range(rank + 2)),
        # with ceil_mode the last window may reach further than the padding
        pads=(
            (0, 0),
            (0, 0),
            *((b, max(a, m - n - b)) for (b, a), m, n in zip(pads, shape[-rank:], size, strict=True)),
        ),
        crop=(images, channels, *shape[-rank:]),
        shape=shape,
        lowest=reduction is Reduction.MAX,
    )
    whole = (images, channels, *out)
    counts = [
        _counts(site, (0, n) if inside else (-b, n + a), b, *axis)
        for n, (b, a), *axis in zip(size, pads, kernel, strides, dilations, out, strict=True)
    ]
    if any(not min(axis) for axis in counts):
        raise site.refuse("a window lies in the padding altogether")
    even = all(len(set(axis)) == 1 for axis in counts)
    result = Result(
        value=site.outputs[0],
        split=whole,
        perm=tuple(range(rank + 2)),
        shape=whole,
        alpha=1 / math.prod(axis[0] for axis in counts) if even and reduction is Reduction.SUM else 1.0,
        divisors=() if even or reduction is not Reduction.SUM else tuple(counts),
    )
    return Lowered(nest, Binding({"I": view}, result))


def _counts(
    site: Site, counted: tuple[int, int], before: int, size: int, stride: int, dilation: int, places: int
) -> tuple[int, ...]:
    """How many elements of the window at each place of an axis are `counted`, from the first of these to the last; one
    number if they are all. `before` are padding."""

    def count(place: int) -> int:
        begin, end = (edge + before - place * stride for edge in counted)
        return max(0, min(size, -(-end // dilation)) - max(0, -(-begin // dilation)))

    if count(0) == count(places - 1) == size:  # less of a window is missing anywhere else
        return (size,)
    if places > MOST:
        raise site.refuse(f"{places} windows of which some reach into the padding, more than {MOST} are not supported")
    first = next((place for place in range(places) if count(place) == size), places)
    last = next((place for place in range(places, first, -1) if count(place - 1) == size), first)
    return (*map(count, range(first)), *(size,) * (last - first), *map(count, range(last, places)))
