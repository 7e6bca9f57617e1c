"""DeformConv: what its windows find between the elements of the input, and the product of that and the weight.

    y[n,k,p] = sum over c, r of w[k,c,r] * mask[n,r,p] * x[n,c, p * stride + r * dilation - pad + offset[n,r,p]]

Between elements the input is interpolated, linear in both axes, and outside it is 0.
"""

from __future__ import annotations

import math

from frontends.onnx.conv import Sizes, pads_of
from frontends.onnx.expand.body import Body


def conv(body: Body) -> None:
    """DeformConv in two dimensions, of groups of channels, which may share their offsets with others or not."""
    site = body.site
    x, w, offset = body.required(3)
    sizes = Sizes.of(site, "deformable convolution", (2,))
    n, c, k, g = sizes.images, sizes.channels, sizes.first, sizes.groups
    sharing, taps, out = int(site.attributes.get("offset_group", 1)), math.prod(sizes.kernel), site.shape(offset)[2:]
    places = math.prod(out)
    if c != sizes.second * g or k % g or sharing < 1 or c % sharing:
        raise site.refuse(f"{c} channels and {k} filters of {sizes.second} do not fit {g} and {sharing} group(s)")
    for value, count in ((offset, 2 * sharing * taps), (site.optional(4), sharing * taps)):
        if value and site.shape(value) != (n, count, *out):
            raise site.refuse(f"{value} has shape {site.shape(value)}, not {(n, count, *out)}")
    pads = pads_of(site, sizes.size, sizes.reach, sizes.strides)
    dtype = body.region.shapes.dtype(x)

    body("Split", body.reshape(offset, n * sharing, taps, 2, *out), body.integers(1, 1), outputs=2, axis=2)
    found = []
    for axis, moved in enumerate(body.last):
        tap, place = body.places(taps), body.reshape(body.places(out[axis]), *((1, -1, 1), (1, 1, -1))[axis])
        tap = body(("Div", "Mod")[axis], tap, body.integers(sizes.kernel[1]))
        start = body("Sub", body("Mul", place, body.integers(sizes.strides[axis])), body.integers(pads[axis][0]))
        tap = body("Mul", body.reshape(tap, -1, 1, 1), body.integers(sizes.dilations[axis]))
        at = body("CastLike", body("Add", start, tap), x)
        at = body("Add", body.reshape(moved, n * sharing, taps, *out), at)
        # a sampled grid runs from -1 to 1 over all elements
        size, one = (body.constant(value, dtype) for value in (sizes.size[axis], 1))
        at = body("Sub", body("Div", body("Add", body("Add", at, at), one), size), one)
        found.append(body.reshape(at, n * sharing, taps * out[0], out[1], 1))
    grid = body("Concat", found[1], found[0], axis=-1)
    images = body.reshape(x, n * sharing, c // sharing, *sizes.size)
    samples = body("GridSample", images, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    if (mask := site.optional(4)) is not None:
        samples = body("Mul", samples, body.reshape(mask, n * sharing, 1, taps * out[0], out[1]))
    columns = body.reshape(samples, n, g, c // g * taps, places)
    weight = body.reshape(w, g, k // g, c // g * taps)
    product = body("Einsum", columns, weight, name="product", equation="ngcp,gkc->ngkp")
    result = body.reshape(product, n, k, *out)
    if (bias := site.optional(3)) is not None:
        result = body("Add", result, body.reshape(bias, -1, 1, 1))
    body.result(0, result)
