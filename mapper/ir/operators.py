"""The usual operators as loop nests, for frontends and for layers written by hand."""

from __future__ import annotations

from mapper.ir.nest import LoopNest, Rank, Role, Tensor, Term


def _ranks(dims: str) -> tuple[Rank, ...]:
    return tuple((Term(d),) for d in dims)


def conv(
    *,
    N: int = 1,
    G: int = 1,
    K: int = 1,
    C: int = 1,
    P: int = 1,
    Q: int = 1,
    R: int = 1,
    S: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> LoopNest:
    """2-D convolution: N images, G groups of K filters over C channels, P x Q outputs, R x S filters.

    K and C are per group. `stride` and `dilation` are (vertical, horizontal).
    """
    rows: Rank = (Term("P", stride[0]), Term("R", dilation[0]))
    columns: Rank = (Term("Q", stride[1]), Term("S", dilation[1]))
    return LoopNest(
        tuple({"N": N, "G": G, "K": K, "C": C, "P": P, "Q": Q, "R": R, "S": S}.items()),
        (
            Tensor("I", Role.INPUT, (*_ranks("NGC"), rows, columns)),
            Tensor("W", Role.WEIGHT, _ranks("GKCRS")),
            Tensor("O", Role.OUTPUT, _ranks("NGKPQ")),
        ),
    )


def gemm(*, M: int = 1, N: int = 1, K: int = 1, B: int = 1) -> LoopNest:
    """Matrix product O[M,N] += A[M,K] * B[K,N], batched over B in all three tensors if B > 1."""
    batch = "B" if B > 1 else ""
    dims = {**({"B": B} if B > 1 else {}), "M": M, "N": N, "K": K}
    return LoopNest(
        tuple(dims.items()),
        (
            Tensor("A", Role.INPUT, _ranks(batch + "MK")),
            Tensor("B", Role.WEIGHT, _ranks(batch + "KN")),
            Tensor("O", Role.OUTPUT, _ranks(batch + "MN")),
        ),
    )
