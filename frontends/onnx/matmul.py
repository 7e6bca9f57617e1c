"""MatMul, as numpy.matmul: 1-D operands, and batch axes that broadcast.

A batch axis that both operands have becomes part of the nest's batch B. One that only the left operand has is more
rows (part of M), one that only the right has is more columns (part of N): both by transposing and reshaping, so that
every MatMul is one plain or batched matrix product and nothing is computed or counted twice.
"""

from __future__ import annotations

import math
from dataclasses import replace

from frontends.onnx.binding import Binding, Result, View
from frontends.onnx.site import Lowered, Site
from mapper.ir import gemm


def lower_integer(site: Site) -> Lowered:
    """The same of integers less their zero points: inputs 2 and 3, one value, or one for each row of the left operand
    and each column of the right one."""
    lowered = lower(site)
    views = dict(lowered.binding.operands)
    for tensor, index, rows in (("A", 2, True), ("B", 3, False)):
        zero = site.optional(index)
        if zero is not None:
            shape = site.shape(zero)
            column = rows and len(shape) == 1 and len(site.shape(views[tensor].value)) > 1
            views[tensor] = replace(views[tensor], zero=zero, zero_shape=(*shape, 1) if column else shape)
    return Lowered(lowered.nest, Binding(views, lowered.binding.result))


def lower(site: Site) -> Lowered:
    """O[B,M,N] += A[B,M,K] * B[B,K,N], without B where it is 1; InputError if the shapes do not broadcast."""
    left, right = site.shape(site.inputs[0]), site.shape(site.inputs[1])
    if not left or not right:
        raise site.refuse("a scalar cannot be multiplied as a matrix")
    # a 1-D left operand is a row, a 1-D right one a column; the output then lacks that axis
    (m, k), (k2, n) = (left[-2:] if len(left) > 1 else (1, *left)), (right[-2:] if len(right) > 1 else (*right, 1))
    rank = max(len(left), len(right), 2) - 2
    batch_left = (1,) * (rank - len(left[:-2])) + left[:-2]
    batch_right = (1,) * (rank - len(right[:-2])) + right[:-2]
    if k != k2 or any(a != b and 1 not in (a, b) for a, b in zip(batch_left, batch_right, strict=True)):
        raise site.refuse(f"the shapes {left} and {right} do not multiply")

    both = [i for i in range(rank) if batch_left[i] != 1 != batch_right[i]]
    only_left = [i for i in range(rank) if batch_right[i] == 1]  # axes that neither has, of size 1, too
    only_right = [i for i in range(rank) if batch_left[i] == 1 != batch_right[i]]
    batch = [b if a == 1 else a for a, b in zip(batch_left, batch_right, strict=True)]
    b = math.prod(batch[i] for i in both)
    rows = m * math.prod(batch[i] for i in only_left)
    columns = n * math.prod(batch[i] for i in only_right)

    nest = gemm(M=rows, N=columns, K=k, B=b)
    operands = {
        "A": View.plain(
            site.inputs[0], left, nest.shape(nest.tensor("A")), _order(left, rank, both + only_left + only_right, [])
        ),
        "B": View.plain(
            site.inputs[1], right, nest.shape(nest.tensor("B")), _order(right, rank, both + only_left, only_right)
        ),
    }
    # the output's axes stand as both, only left, M, only right, N; `perm` puts them back in batch order
    place = [*both, *only_left, rank, *only_right, rank + 1]
    axes = [*batch, m, n]
    result = Result(
        value=site.outputs[0],
        split=tuple(axes[i] for i in place),
        perm=tuple(place.index(i) for i in range(rank + 2)),
        shape=(*batch, *((m,) if len(left) > 1 else ()), *((n,) if len(right) > 1 else ())),
    )
    return Lowered(nest, Binding(operands, result))


def _order(shape: tuple[int, ...], rank: int, first: list[int], between: list[int]) -> tuple[int, ...]:
    """The operand's own axes with the batch axes `first` before its rows and `between` before its columns."""
    if len(shape) == 1:
        return (0,)
    missing = rank - (len(shape) - 2)
    rows, columns = len(shape) - 2, len(shape) - 1
    leading, middle = ([i - missing for i in axes if i >= missing] for axes in (first, between))
    return (*leading, rows, *middle, columns)
