"""Words by which a spec means dims and tensors, and those that mean nothing that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mapper.arch.architecture import Architecture
from mapper.arch.constraints import Above, Constraint, Kept, Only, Spatial, Tile
from mapper.ir import DimRole, Role, conv, gemm
from mapper.spelling import did_you_mean

OPERATOR_DIMS = tuple(dict.fromkeys((*conv(D=2, T=2).extents, *gemm(B=2).extents)))
"""The dims that ONNX operators have, but for the letters of an Einsum and the axes of a reduction."""

OPERATOR_TENSORS = tuple(dict.fromkeys(tensor.name for layer in (conv(), gemm()) for tensor in layer.tensors))
"""The tensors that they have."""


def unknown_words(arch: Architecture) -> Iterator[str]:
    """What lists of dims, constraints and dataflows name that is no role and no dim or tensor of operators, in words.

    A layer written by hand may have such a dim or tensor, so that this is a warning, not an error.
    """
    for fanout in arch.fanouts:
        for axis in fanout.axes:
            if axis.dims is not None:
                yield from _unknown(f"axis {fanout.name}.{axis.name}", sorted(axis.dims))
                if not axis.dims:
                    yield f"axis {fanout.name}.{axis.name}: no dim may be unrolled there"
    for place, constraints in (("constraints", arch.constraints), *arch.dataflows):
        for constraint in constraints:
            yield from _unknown(f"{place}: {constraint}", _words(constraint))
            yield from _unknown_tensors(f"{place}: {constraint}", _tensors(constraint))


def _tensors(constraint: Constraint) -> Sequence[str | None]:
    match constraint:
        case Tile(tensor=tensor) | Kept(tensor=tensor):
            return (tensor,)
        case Above(outer=(_, outer), inner=(_, inner)):
            return (outer, inner)
        case _:
            return ()


def _words(constraint: Constraint) -> Sequence[str]:
    match constraint:
        case Spatial(dim=dim) | Tile(dim=dim):
            return (dim,)
        case Only(dims=dims):
            return dims
        case _:
            return ()


def _unknown(place: str, words: Sequence[str]) -> Iterator[str]:
    known = [*DimRole, *OPERATOR_DIMS]
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known) or f"roles: {', '.join(DimRole)}"
            yield f"{place}: '{word}' is neither a role nor a dim of an operator ({hint})"


def _unknown_tensors(place: str, words: Sequence[str | None]) -> Iterator[str]:
    known = [*Role, *OPERATOR_TENSORS]
    for word in words:
        if word is not None and word not in known:
            hint = did_you_mean(word, known) or f"roles: {', '.join(Role)}"
            yield f"{place}: '{word}' is neither a role nor a tensor of an operator ({hint})"
