"""Einsum of any equation, as products of two operands."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_cases import assert_model_equals_onnxruntime, loaded, model

from mapper.errors import InputError


def case(equation, *shapes):
    inputs = dict(zip("abcd", shapes, strict=False))
    return model([helper.make_node("Einsum", list(inputs), ["y"], name="it", equation=equation)], inputs, ["y"])


@pytest.mark.parametrize(
    ("equation", "shapes", "nests"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)], ["O[i,k] += A[i,j] * B[j,k] {i=3 j=4 k=5}"]),
        ("ij , kj", [(3, 4), (5, 4)], ["O[i,k] += A[i,j] * B[k,j] {i=3 j=4 k=5}"]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)],
         ["O[b,h,q,k] += A[b,h,q,d] * B[b,h,k,d] {b=2 h=3 q=4 d=5 k=6}"]),
        ("i,i->", [(3,), (3,)], ["O[] += A[i] * B[i] {i=3}"]),
        ("i,j->ij", [(3,), (4,)], ["O[i,j] += A[i] * B[j] {i=3 j=4}"]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)],
         ["O[i,k] += A[i,j] * B[j,k] {i=2 j=3 k=4}", "O[i,l] += A[i,k] * B[k,l] {i=2 k=4 l=5}"]),
        ("iij,jk->k", [(3, 3, 4), (4, 5)], ["O[k] += A[j] * B[j,k] {j=4 k=5}"]),  # a diagonal and a sum before it
        ("ij,kl->il", [(2, 3), (4, 5)], ["O[i,l] += A[i] * B[l] {i=2 l=5}"]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)], ["O[a,i,k] += A[a,i,j] * B[a,j,k] {a=2 i=3 j=4 k=5}"]),
        ("...ij,...jk", [(2, 1, 3, 4), (1, 5, 4, 6)], ["O[a,b,i,k] += A[a,i,j] * B[b,j,k] {a=2 i=3 j=4 b=5 k=6}"]),
        ("ij,jk->ik", [(2, 1), (5, 4)], ["O[i,k] += A[i] * B[k] {i=2 k=4}"]),  # of the longer one the sum is needed
        ("ij,jk->ik", [(2, 5), (1, 4)], ["O[i,k] += A[i] * B[k] {i=2 k=4}"]),
        ("ij,ij->ij", [(1, 5), (3, 5)], ["O[i,j] += A[j] * B[i,j] {j=5 i=3}"]),
        ("bij,bjk->bik", [(1, 3, 4), (2, 4, 5)], ["O[b,i,k] += A[i,j] * B[b,j,k] {i=3 j=4 b=2 k=5}"]),
        ("bij,bjk->bik", [(1, 3, 4), (1, 4, 5)], ["O[b,i,k] += A[b,i,j] * B[b,j,k] {b=1 i=3 j=4 k=5}"]),
        ("ij->ji", [(3, 4)], []),
        ("ij->i", [(3, 4)], []),
        ("ii", [(3, 3)], []),
    ],
)  # fmt: skip
def test_einsum(equation, shapes, nests, tmp_path):
    proto = case(equation, *shapes)
    read = assert_model_equals_onnxruntime(proto, tmp_path) if nests else loaded(proto, tmp_path)
    assert [str(layer.nest) for layer in read.network.layers] == nests
    assert nests or all(node.reads and node.writes for node in read.network.nodes)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_einsum(data, tmp_path):
    sizes = dict(zip("ijklm", [2, 3, 4, 3, 2], strict=True))
    words = data.draw(st.lists(st.text("ijklm", min_size=1, max_size=3), min_size=2, max_size=3))
    output = data.draw(
        st.sets(st.sampled_from(sorted(set("".join(words))))).flatmap(lambda s: st.permutations(sorted(s)))
    )
    equation = f"{','.join(words)}->{''.join(output)}"
    ones = data.draw(st.lists(st.booleans(), min_size=9, max_size=9))  # some axes have size 1, where letters differ
    shapes = [
        [1 if ones[3 * i + k] and len(set(word)) == len(word) else sizes[d] for k, d in enumerate(word)]
        for i, word in enumerate(words)
    ]
    read = assert_model_equals_onnxruntime(case(equation, *shapes), tmp_path)
    assert all(math.prod(n for _, n in layer.nest.dims) == layer.nest.macs for layer in read.network.layers)


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ij,jk->ik", [(3, 4), (5, 6)], "j is 4 and 5|[Ii]ncompatible|shape"),
        ("ij,jk->ik", [(3, 4, 5), (4, 5)], "axes|rank|[Nn]umber"),
        ("ij,jk->ikk", [(3, 4), (4, 5)], "Einsum node it: the output of the equation 'ij,jk->ikk' has a letter twice"),
        ("ij->ii", [(3, 4)], "has a letter twice"),
        ("ij,jk->ikz", [(3, 4), (4, 5)], "or one that no operand has"),
        ("ij,jk->ik1", [(3, 4), (4, 5)], "subscripts that are no letters"),
        ("...i...,i->i", [(3, 4), (4,)], "subscripts|[Ee]llips"),
    ],
)
def test_refused(equation, shapes, words, tmp_path):
    with pytest.raises(InputError, match=words):
        loaded(case(equation, *shapes), tmp_path)
