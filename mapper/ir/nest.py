"""LoopNest: one layer as dims, tensors and their affine projections.

    conv2d   O[N,G,K,P,Q] += I[N,G,C,2*P+R,2*Q+S] * W[G,K,C,R,S]
    matmul   O[M,N]       += A[M,K] * B[K,N]
    maxpool  O[N,C,P,Q] max= I[N,C,2*P+R,2*Q+S]

The innermost point of the nest does one operation: a multiply-accumulate, or without a weight an addition, a maximum or
a minimum. Tiles are axis-aligned boxes, so the
extent of a rank is `sum(coef * (extent - 1)) + 1`: holes of strides and dilations are included, and so is the
padding of a convolution (coordinates outside the stored tensor read zero but are counted).

An element is as wide as the machine says, or as the layer does: `O:8/32[M,N] += A:8[M,K] * B:4[K,N]` has outputs of 8
bits, whose partial sums have 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mapper.arguments import check_fields, shown
from mapper.arrays import exact_integer
from mapper.errors import InputError
from mapper.spelling import nearest


class Role(StrEnum):
    """What a tensor is to its layer; an architecture says by role which memories may keep it."""

    INPUT = "input"
    WEIGHT = "weight"
    OUTPUT = "output"


class Reduction(StrEnum):
    """What the operations that make an element of the output have in common."""

    SUM = "+"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Term:
    """`coef * dim`, one summand of a rank's affine expression; `coef` is at least 1."""

    dim: str
    coef: int = 1

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "coef", exact_integer(self.coef))
        except TypeError:
            raise InputError(f"the coefficient of {self.dim} is {self.coef!r}, which is no integer") from None

    def __str__(self) -> str:
        return self.dim if self.coef == 1 else f"{self.coef}*{self.dim}"


Rank = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a layer: its name, its role and one affine expression of dims for each rank.

    `bits` is the width of an element; None leaves it to the machine.
    """

    name: str
    role: Role
    ranks: tuple[Rank, ...]
    bits: int | None = None

    @property
    def dims(self) -> tuple[str, ...]:
        """The relevant dims: those that occur in the projection, in its order."""
        return tuple(term.dim for rank in self.ranks for term in rank)

    @property
    def sliding_dims(self) -> frozenset[str]:
        """The dims that share a rank with another dim: consecutive tiles along them overlap."""
        return frozenset(term.dim for rank in self.ranks if len(rank) > 1 for term in rank)

    def text(self, width: str = "") -> str:
        """Its text form, with `width` behind the name."""
        return f"{self.name}{width}[{','.join('+'.join(map(str, rank)) for rank in self.ranks)}]"

    def __str__(self) -> str:
        return self.text(f":{self.bits}" if self.bits else "")


@dataclass(frozen=True)
class LoopNest:
    """A layer: `dims` (name, extent) in reading order, an output, an input, and a weight if it multiplies.

    `partial_bits` is the width of a partial sum; None leaves it to the machine, which takes that of the output.
    Raises InputError if an extent or a width is not positive, a dim occurs in no tensor or twice in one tensor, an
    output rank is not a single dim, the tensors are not one input, at most one weight and one output, or products are
    not summed.
    """

    dims: tuple[tuple[str, int], ...]
    tensors: tuple[Tensor, ...]
    partial_bits: int | None = None
    reduction: Reduction = Reduction.SUM

    def __post_init__(self) -> None:
        check_fields(self)
        dims = []
        for d, n in self.dims:
            try:
                dims.append((d, exact_integer(n)))
            except TypeError:
                raise InputError(f"dim {d} has extent {n!r}, which is no integer") from None
        object.__setattr__(self, "dims", tuple(dims))
        problems = list(self._problems())
        if problems:
            raise InputError("; ".join(problems), place=str(self))

    def _problems(self) -> Iterator[str]:
        names = [d for d, _ in self.dims]
        if len(set(names)) != len(names):
            yield "a dim is given twice"
        roles = sorted(t.role for t in self.tensors)
        if roles not in (sorted(Role), [Role.INPUT, Role.OUTPUT]):
            yield "a layer has one input, at most one weight and one output"
        if Role.WEIGHT in roles and self.reduction is not Reduction.SUM:
            yield "products are summed"
        if len({t.name for t in self.tensors}) != len(self.tensors):
            yield "two tensors have the same name"
        for d, n in self.dims:
            if n < 1:
                yield f"dim {d} has extent {n}, which must be at least 1"
            if not any(d in t.dims for t in self.tensors):
                yield f"dim {d} occurs in no tensor"
        if self.partial_bits is not None and self.partial_bits < 1:
            yield f"partial sums have {self.partial_bits} bits, which must be at least 1"
        for t in self.tensors:
            for d in sorted(set(t.dims)):
                if d not in names:
                    yield f"{t} uses dim {d}, which has no extent"
                if t.dims.count(d) > 1:
                    yield f"dim {d} occurs twice in {t}; a dim may stand in one rank of a tensor only"
            if any(term.coef < 1 for rank in t.ranks for term in rank) or not all(t.ranks):
                yield f"{t}: every rank is a sum of dims with coefficients of at least 1"
            if t.bits is not None and t.bits < 1:
                yield f"{t.name} has elements of {t.bits} bits, which must be at least 1"
            if t.role is Role.OUTPUT and any(len(r) != 1 or r[0].coef != 1 for r in t.ranks):
                yield f"output {t}: every rank must be a single dim"

    @cached_property
    def extents(self) -> Mapping[str, int]:
        """Extent by dim."""
        return dict(self.dims)

    @cached_property
    def operations(self) -> int:
        """Operations of the layer, padding included."""
        return math.prod(self.extents.values())

    @property
    def macs(self) -> int:
        """Those that multiply and accumulate: all or none."""
        return self.operations if any(t.role is Role.WEIGHT for t in self.tensors) else 0

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name; InputError with the names there are if there is none."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        known = nearest(str(name), [tensor.name for tensor in self.tensors])
        raise InputError(f"the layer has no tensor {shown(name)}", hint=known)

    @cached_property
    def output(self) -> Tensor:
        """The tensor that is accumulated into."""
        return next(t for t in self.tensors if t.role is Role.OUTPUT)

    def shape(self, tensor: Tensor, tile: Mapping[str, int] | None = None) -> tuple[int, ...]:
        """Words per rank of the box of `tensor` for the extents `tile` (default: the whole layer)."""
        sizes = self.extents if tile is None else tile
        return tuple(sum(term.coef * (sizes[term.dim] - 1) for term in rank) + 1 for rank in tensor.ranks)

    def words(self, tensor: Tensor, tile: Mapping[str, int] | None = None) -> int:
        """Words of that box."""
        return math.prod(self.shape(tensor, tile))

    def __repr__(self) -> str:
        return f"<LoopNest {self}>"

    def __str__(self) -> str:
        output, operands = ([t for t in self.tensors if (t.role is Role.OUTPUT) is out] for out in (True, False))
        sums = f"/{self.partial_bits}" if self.partial_bits else ""
        results = " ".join(t.text(f":{t.bits or ''}{sums}" if t.bits or sums else "") for t in output)
        einsum = f"{results} {self.reduction}= {' * '.join(map(str, operands))}"
        return f"{einsum} {{{' '.join(f'{d}={n}' for d, n in self.dims)}}}"
