"""Roles of dims: what each dim is to its layer, so that a machine's spec serves layers whatever their dims are called.

Roles follow from the tensors that a dim indexes, and from whether it *slides*: whether it shares a rank of an operand
with another dim, as P and R do in `I[2*P+R]`. In short, with I for the input, W for the weight and O for the output:

    role               in                         convolution   matrix product   pooling
    output_channels    O, not I                   K             N
    input_channels     I, not O, sliding not      C             K
    reduction          not O                      C R S         K                R S
    filter             not O, sliding             R S                            R S
    groups             I, W and O                 G             B (of a batch)   N C
    batch              I and O, not W             N             M                N C
    rows, columns      I and O, not W, sliding    P, Q          M, -             P, Q

>>> from mapper.ir import gemm
>>> {dim: sorted(map(str, roles)) for dim, roles in dim_roles(gemm(M=4, N=4, K=4)).items()}
{'M': ['batch', 'rows'], 'N': ['output_channels'], 'K': ['input_channels', 'reduction']}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from mapper.errors import InputError
from mapper.ir.nest import LoopNest, Role
from mapper.spelling import Choice


class DimRole(Choice):
    """What a dim is to its layer; a dim has at least one role, and may have several."""

    OUTPUT_CHANNELS = "output_channels"
    """Of the output and not of the input: the same inputs make all of them."""
    INPUT_CHANNELS = "input_channels"
    """Of the input and not of the output, without sliding: summed over."""
    REDUCTION = "reduction"
    """Not of the output: the operations along it make one sum, one maximum or one minimum."""
    GROUPS = "groups"
    """Of every tensor, without sliding in a layer that has no weight: nothing is shared along it."""
    BATCH = "batch"
    """Of the input and the output, not of the weight, without sliding: the same weights serve all of it."""
    ROWS = "rows"
    """Places in the second last sliding rank of the input; of a layer in which nothing slides, the dims of `batch`."""
    COLUMNS = "columns"
    """Places in the last sliding rank of the input. Places are of the input and the output, not of the weight."""
    DEPTH = "depth"
    """Places in sliding ranks further out."""
    FILTER = "filter"
    """Not of the output, and sliding: the elements of a filter or of a window."""
    FILTER_ROWS = "filter_rows"
    """Those of the second last sliding rank."""
    FILTER_COLUMNS = "filter_columns"
    """Those of the last sliding rank."""
    FILTER_DEPTH = "filter_depth"
    """Those of sliding ranks further out."""


_PLACES = (DimRole.COLUMNS, DimRole.ROWS, DimRole.DEPTH)
_FILTERS = (DimRole.FILTER_COLUMNS, DimRole.FILTER_ROWS, DimRole.FILTER_DEPTH)


def dim_roles(nest: LoopNest) -> Mapping[str, frozenset[DimRole]]:
    """The roles of each dim of a layer, in the order of its dims: `output_channels`, `reduction`... by which lists of
    dims and constraints may name it. They follow from the tensors that it indexes, not from its name or extent."""
    return _dim_roles(nest)


@lru_cache(maxsize=1024)
def _dim_roles(nest: LoopNest) -> Mapping[str, frozenset[DimRole]]:
    sliding = _sliding(nest)
    return MappingProxyType({dim: frozenset(_roles(nest, dim, sliding)) for dim in nest.extents})


def _roles(nest: LoopNest, dim: str, sliding: Mapping[str, int]) -> Iterator[DimRole]:
    of = {tensor.role for tensor in nest.tensors if dim in tensor.dims}
    slides, weighs = dim in sliding, any(tensor.role is Role.WEIGHT for tensor in nest.tensors)
    if Role.OUTPUT not in of:
        yield DimRole.REDUCTION
        if slides:
            yield from (DimRole.FILTER, _FILTERS[sliding[dim]])
        elif Role.INPUT in of:
            yield DimRole.INPUT_CHANNELS
    elif Role.INPUT not in of:
        yield DimRole.OUTPUT_CHANNELS
    elif Role.WEIGHT in of:
        yield DimRole.GROUPS
    elif slides:
        yield _PLACES[sliding[dim]]
    else:
        yield DimRole.BATCH
        if not weighs:  # nothing tells images from channels
            yield DimRole.GROUPS
        if not sliding:  # nothing tells images from rows
            yield DimRole.ROWS


def _sliding(nest: LoopNest) -> dict[str, int]:
    """The dims that slide, each with the position of its rank among such ranks: the last one 0, all beyond two 2."""
    found: dict[str, int] = {}
    for tensor in sorted(nest.tensors, key=lambda tensor: tensor.role):  # the input first
        ranks = [rank for rank in tensor.ranks if len(rank) > 1]
        for position, rank in enumerate(reversed(ranks)):
            for term in rank:
                found.setdefault(term.dim, min(position, 2))
    return found


def named(nest: LoopNest, word: str) -> tuple[str, ...]:
    """The dims of a layer that a word stands for: the one of that name, or those of that role; none if there are none.

    InputError if it stands for different ones by name and by role.
    """
    by_name = tuple(dim for dim in nest.extents if dim == word)
    by_role = tuple(dim for dim, roles in dim_roles(nest).items() if word in roles)
    if by_name and word in set(DimRole) and by_name != by_role:
        meant = f"that of {', '.join(by_role)}" if by_role else "which no dim of it has"
        raise InputError(
            f"'{word}' is a dim of the layer, and a role, {meant}", place=str(nest), hint="give the dim another name"
        )
    return by_name or by_role


def roles_text(nest: LoopNest) -> str:
    """The dims of a layer with their roles: `M batch, rows; N output_channels; K input_channels, reduction`."""
    return "; ".join(f"{dim} {', '.join(r for r in DimRole if r in roles)}" for dim, roles in dim_roles(nest).items())
