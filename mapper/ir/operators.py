"""The usual operators as loop nests, for frontends and for layers written by hand."""

from __future__ import annotations

from collections.abc import Iterable

from mapper.arguments import is_integer, shown
from mapper.errors import InputError
from mapper.ir.nest import LoopNest, Rank, Reduction, Role, Tensor, Term


def _ranks(dims: str) -> tuple[Rank, ...]:
    return tuple((Term(d),) for d in dims)


def conv(
    *,
    N: int = 1,
    G: int = 1,
    K: int = 1,
    C: int = 1,
    D: int = 1,
    P: int = 1,
    Q: int = 1,
    T: int = 1,
    R: int = 1,
    S: int = 1,
    stride: int | Iterable[int] = 1,
    dilation: int | Iterable[int] = 1,
) -> LoopNest:
    """Convolution: N images, G groups of K filters over C channels, P x Q outputs, R x S filters.

    With D outputs and T filter elements in depth, if one is more than 1 or steps are given for three axes, it is 3-D.
    K and C are per group. `stride` and `dilation` are one number for all axes, or (depth,) vertical, horizontal. Raises
    InputError if they are for another number of axes.
    """
    outputs, filters, extents, windows = _windows((D, P, Q), (T, R, S), stride, dilation)
    return LoopNest(
        (*zip("NGKC", (N, G, K, C), strict=True), *zip(outputs + filters, extents, strict=True)),
        (
            Tensor("I", Role.INPUT, (*_ranks("NGC"), *windows)),
            Tensor("W", Role.WEIGHT, _ranks("GKC" + filters)),
            Tensor("O", Role.OUTPUT, _ranks("NGK" + outputs)),
        ),
    )


def pool(
    *,
    N: int = 1,
    C: int = 1,
    D: int = 1,
    P: int = 1,
    Q: int = 1,
    T: int = 1,
    R: int = 1,
    S: int = 1,
    stride: int | Iterable[int] = 1,
    dilation: int | Iterable[int] = 1,
    reduction: Reduction = Reduction.MAX,
) -> LoopNest:
    """Pooling: N images, C channels, P x Q outputs of windows of R x S; 3-D and steps as in `conv`."""
    outputs, windowed, extents, windows = _windows((D, P, Q), (T, R, S), stride, dilation)
    return LoopNest(
        (*zip("NC", (N, C), strict=True), *zip(outputs + windowed, extents, strict=True)),
        (Tensor("I", Role.INPUT, (*_ranks("NC"), *windows)), Tensor("O", Role.OUTPUT, _ranks("NC" + outputs))),
        reduction=reduction,
    )


def _windows(
    places: tuple[int, int, int],
    sizes: tuple[int, int, int],
    stride: int | Iterable[int],
    dilation: int | Iterable[int],
) -> tuple[str, str, tuple[int, ...], tuple[Rank, ...]]:
    """Windows of these sizes at so many places, in 2-D or 3-D: the dims of places and in windows, the extents of both,
    and the ranks of the input."""
    by_axis = {"stride": _by_axis(stride), "dilation": _by_axis(dilation)}
    volume = places[0] > 1 or sizes[0] > 1 or 3 in map(len, by_axis.values())
    outputs, inner = ("DPQ", "TRS") if volume else ("PQ", "RS")
    steps = {}
    for what, given in by_axis.items():
        steps[what] = given * len(outputs) if len(given) == 1 else given
        if len(steps[what]) != len(outputs):
            raise InputError(f"{what} is given for {len(given)} axes, the layer has {len(outputs)}")
        for step in given:
            if not is_integer(step) or step < 1:
                raise InputError(f"{what} is a whole number of at least 1, not {shown(step)}")
    windows: tuple[Rank, ...] = tuple(
        (Term(d, step), Term(f, apart))
        for d, f, step, apart in zip(outputs, inner, steps["stride"], steps["dilation"], strict=True)
    )
    return outputs, inner, (*places[-len(outputs) :], *sizes[-len(inner) :]), windows


def _by_axis(given: int | Iterable[int]) -> tuple[int, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)


def gemm(*, M: int = 1, N: int = 1, K: int = 1, B: int = 1) -> LoopNest:
    """Matrix product O[M,N] += A[M,K] * B[K,N], batched over B in all three tensors unless B is 1."""
    batch = "B" if B != 1 else ""
    dims = {**({"B": B} if batch else {}), "M": M, "N": N, "K": K}
    return LoopNest(
        tuple(dims.items()),
        (
            Tensor("A", Role.INPUT, _ranks(batch + "MK")),
            Tensor("B", Role.WEIGHT, _ranks(batch + "KN")),
            Tensor("O", Role.OUTPUT, _ranks(batch + "MN")),
        ),
    )
