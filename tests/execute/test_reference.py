"""The reference against plain loops."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import nests

from backends.execute.reference import reference
from mapper.errors import InputError
from mapper.ir import LoopNest, Reduction, conv, gemm, parse_nest


def by_loops(nest: LoopNest, operands: dict[str, np.ndarray]) -> np.ndarray:
    better = {Reduction.SUM: np.add, Reduction.MAX: np.maximum, Reduction.MIN: np.minimum}[nest.reduction]
    output = np.full(nest.shape(nest.output), {Reduction.SUM: 0, Reduction.MAX: -np.inf}.get(nest.reduction, np.inf))
    for point in itertools.product(*(range(n) for _, n in nest.dims)):
        at = dict(zip(nest.extents, point, strict=True))
        where = {
            t.name: tuple(sum(term.coef * at[term.dim] for term in rank) for rank in t.ranks) for t in nest.tensors
        }
        product = math.prod(values[where[name]] for name, values in operands.items())
        output[where[nest.output.name]] = better(output[where[nest.output.name]], product)
    return output


def check(nest: LoopNest) -> None:
    rng = np.random.default_rng(0)
    operands = {t.name: rng.integers(-8, 9, nest.shape(t)) for t in nest.tensors if t is not nest.output}
    assert np.array_equal(reference(nest, operands), by_loops(nest, operands))


@given(nests(operations=200))
@settings(max_examples=80, deadline=None)
def test_any_layer(nest: LoopNest):
    check(nest)


def test_three_dimensions():
    check(parse_nest("O[K,X,Y,Z] += I[C,2*X+R,Y+3*S,Z+T] * W[K,C,R,S,T] {K=2 C=2 X=2 Y=3 Z=2 R=2 S=2 T=3}"))


def test_depthwise_strided_dilated():
    check(conv(G=3, P=3, Q=2, R=2, S=3, stride=(2, 3), dilation=(3, 1)))


def test_operands_are_checked():
    with pytest.raises(InputError, match="no values for operand A"):
        reference(gemm(M=2), {"B": np.zeros((1, 1))})
    with pytest.raises(InputError, match="A has shape"):
        reference(gemm(M=2), {"A": np.zeros((1, 1)), "B": np.zeros((1, 1))})
