"""ConvTranspose: the convolutions that its output consists of.

Output p meets input i through tap r of the kernel where p + pad = i*stride + r*dilation. Outputs that are a multiple of
the stride apart meet the same taps, every (stride / g)-th with g = gcd(stride, dilation): they are a phase, which is a
convolution of stride 1 and dilation (dilation / g) with these taps in reverse. So no zeros are put between the inputs,
and none are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from frontends.onnx.conv import Sizes
from frontends.onnx.expand.body import Body
from frontends.onnx.site import Site

MOST = 2**16
"""Phases of an output: each of its own convolution."""

_BEGINNING = -(2**63)
"""Where a slice ends that runs backward and includes the first element."""


@dataclass(frozen=True)
class _Phase:
    """Every stride-th output of an axis. Those that meet an input are a convolution, with the taps from `last` back by
    `step`, of the inputs that are `used`, with `pads`; before and after them are so many zeros as `around` says."""

    last: int
    step: int
    dilation: int
    used: tuple[int, int]
    pads: tuple[int, int]
    around: tuple[int, int]


def conv(body: Body) -> None:
    """ConvTranspose in one to three dimensions: x[N,C,..], w[C,K/group,..] and maybe a bias[K].

    A Conv for each combination of phases of the axes, named by its place among them, the last axis fastest, and what
    brings their outputs together. InputError for shapes and attributes that do not fit.
    """
    site = body.site
    x, w, bias = site.inputs[0], site.inputs[1], site.optional(2)
    sizes = Sizes.of(site, "transposed convolution")
    size, kernel, strides, dilations, group = sizes.size, sizes.kernel, sizes.strides, sizes.dilations, sizes.groups
    rank, filters = len(size), sizes.second * group
    if sizes.first != sizes.channels or sizes.channels % group:
        raise site.refuse(f"{sizes.channels} channels, a weight of {sizes.first} and {group} group(s) do not fit")
    if bias is not None and site.shape(bias) != (filters,):
        raise site.refuse(f"the bias {bias} has shape {site.shape(bias)}, not one value for each of {filters} filters")

    before, out = _placed(site, size, kernel, strides, dilations)
    y = site.outputs[0]
    if body.region.shapes.known(y) and (said := site.shape(y)[2:]) != tuple(out):
        raise site.refuse(f"its output has the size {_sizes(out)}, shape inference says {_sizes(said)}")
    # at least one of each axis: another may have no outputs at all
    if (turns := math.prod(max(1, min(pair)) for pair in zip(strides, out, strict=True))) > MOST:
        raise site.refuse(f"its strides make {turns} phases, more than {MOST} are not supported")
    axes = [_phases(*axis) for axis in zip(size, kernel, strides, dilations, before, out, strict=True)]
    combined = list(product(*axes))
    met = {n: [phase for phase in phases if phase] for n, phases in enumerate(combined) if None not in phases}
    if not met:
        return  # all that is left of the output lies between the inputs
    whole = len(combined) == len(met) == 1 and not any(any(phase.around) for phase in met[0])
    weight = _by_filter(body, w, group)
    parts: list[str] = []
    for (n, phases), following in zip(met.items(), [*met, len(combined)][1:], strict=True):
        part = body(
            "Conv",
            _cropped(body, x, phases),
            _reversed(body, weight, phases),
            bias if whole else None,
            name=f"phase_{n}",
            group=group,
            dilations=[phase.dilation for phase in phases],
            pads=[phase.pads[end] for end in (0, 1) for phase in phases],
        )
        # combinations that meet no input become channels of zeros beside one that does
        none = (0 if parts else n * filters, (following - n - 1) * filters)
        parts.append(_padded(body, part, [(0, 0), none, *(phase.around for phase in phases)]))
    each = [-(-n // s) for n, s in zip(out, strides, strict=True)]
    result = parts[0] if whole else _together(body, parts, [len(axis) for axis in axes], each, out)
    if bias is not None and not whole:
        result = body("Add", result, body.reshape(bias, -1, *(1,) * rank))
    body.result(0, result)


def _placed(
    site: Site, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    """By axis how many outputs are left out before the first that is kept, and how many are kept."""
    rank, mode = len(size), site.attributes.get("auto_pad") or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise site.refuse(f"unknown auto_pad {mode}", "one of NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    more, pads = site.ints("output_padding", (0,) * rank), site.ints("pads", (0,) * (2 * rank))
    if min(more) < 0:
        raise site.refuse("output_padding must be at least 0")
    axes = zip(size, kernel, strides, dilations, more, strict=True)
    full = [(n - 1) * s + (k - 1) * d + 1 + e for n, k, s, d, e in axes]
    out = list(site.ints("output_shape", (0,) * rank))
    if not any(out) and mode.startswith("SAME"):
        out = [min(m, n * s) for m, n, s in zip(full, size, strides, strict=True)]
    if any(out):  # of an odd number that is left out, the last is after the others (UPPER) or before them
        surplus = [max(0, m - n) for m, n in zip(full, out, strict=True)]
        before = [n // 2 if mode == "SAME_UPPER" else n - n // 2 for n in surplus]
    else:
        before = list(pads[:rank])
        out = [m - a - b for m, a, b in zip(full, pads[:rank], pads[rank:], strict=True)]
    return before, out


def _sizes(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _phases(n: int, k: int, stride: int, dilation: int, before: int, out: int) -> list[_Phase | None]:
    """The phases of an axis, that of its first output first; None for one that meets no input.

    They are padded to one length, that of the first.
    """
    g = math.gcd(stride, dilation)
    step, apart = stride // g, dilation // g
    found: list[_Phase | None] = []
    turn = pow(apart, -1, step)
    for p in range(before, before + min(stride, out)):
        taps = range(p // g * turn % step, k, step) if p % g == 0 else range(0)  # those where p - r * dilation fits
        # output m of the phase meets the inputs first + m, first + m - apart, ..., first + m - reach, if there are any
        first, reach = (p - taps.start * dilation) // stride, (len(taps) - 1) * apart
        begin, end = max(0, -first), min(-(-(before + out - p) // stride), n + reach - first)
        if taps and begin < end:
            low, high = first + begin - reach, first + end  # of the inputs that the taps lie on
            used = max(0, low), min(n, high)
            pads, around = (used[0] - low, high - used[1]), (begin, -(-out // stride) - end)
            found.append(_Phase(taps[-1], step, apart if reach else 1, used, pads, around))
        else:
            found.append(None)
    return found


def _by_filter(body: Body, w: str, group: int) -> str:
    """The weight [C, K/group, ..] as a Conv wants it, [K, C/group, ..]."""
    channels, per_group, *kernel = body.site.shape(w)
    split = body.reshape(w, group, channels // group, per_group, *kernel)
    turned = body("Transpose", split, perm=[0, 2, 1, *range(3, len(kernel) + 3)])
    return body.reshape(turned, group * per_group, channels // group, *kernel)


def _reversed(body: Body, weight: str, phases: Sequence[_Phase]) -> str:
    """The taps of a weight that these phases of its axes have."""
    rank = len(phases)
    starts, steps = [phase.last for phase in phases], [-phase.step for phase in phases]
    return body("Slice", weight, *(body.integers(*v) for v in (starts, [_BEGINNING] * rank, range(2, rank + 2), steps)))


def _cropped(body: Body, x: str, phases: Sequence[_Phase]) -> str:
    """The inputs that these phases of its axes use."""
    starts, ends = zip(*(phase.used for phase in phases), strict=True)
    if not any(starts) and ends == body.site.shape(x)[2:]:
        return x
    return body("Slice", x, *(body.integers(*v) for v in (starts, ends, range(2, len(phases) + 2))))


def _padded(body: Body, value: str, around: Sequence[tuple[int, int]]) -> str:
    """A value with so many zeros around it."""
    if not any(map(any, around)):
        return value
    return body("Pad", value, body.integers(*(pair[end] for end in (0, 1) for pair in around)))


def _together(body: Body, parts: list[str], counts: list[int], each: list[int], out: list[int]) -> str:
    """The output, `out` elements long by axis, of `counts` phases of `each` elements that take turns."""
    rank = len(out)
    value = body("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    if math.prod(counts) > 1:
        turns = [axis for i in range(rank) for axis in (rank + 2 + i, 1 + i)]
        value = body("Transpose", body.reshape(value, 0, *counts, -1, *each), perm=[0, rank + 1, *turns])
        value = body.reshape(value, 0, 0, *map(math.prod, zip(counts, each, strict=True)))
    if any(n < count * m for n, count, m in zip(out, counts, each, strict=True)):
        value = body("Slice", value, *(body.integers(*v) for v in ([0] * rank, out, range(2, rank + 2))))
    return value
