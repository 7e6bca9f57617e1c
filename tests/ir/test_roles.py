"""Roles of dims: what each kind of layer has, and that nothing but its structure counts."""

import doctest
import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import nests

from mapper.errors import InputError
from mapper.ir import DimRole, LoopNest, Role, Tensor, Term, conv, dim_roles, gemm, named, parse_nest, pool, roles

CONV = "N: batch, G: groups, K: output_channels, C: input_channels reduction, P: rows, Q: columns, "
WINDOW = "R: filter filter_rows reduction, S: filter filter_columns reduction"
IN_DEPTH = CONV.replace("P:", "D: depth, P:") + "T: filter filter_depth reduction, " + WINDOW
CHANNELS = "N: batch groups, C: batch groups, "
PRODUCT = "M: batch rows, N: output_channels, K: input_channels reduction"


@pytest.mark.parametrize(
    ("nest", "table"),
    [
        (conv(K=8, C=4, P=5, Q=5, R=3, S=3), CONV + WINDOW),
        (conv(), CONV + WINDOW),
        (conv(K=8, P=5, stride=(2,), dilation=(3,)), CONV + WINDOW),
        (conv(G=32, P=5, Q=5, R=3, S=3), CONV + WINDOW),  # depthwise
        (conv(D=2, P=5, Q=5, T=2), IN_DEPTH),
        (pool(C=8, P=2, R=2), CHANNELS + "P: rows, Q: columns, " + WINDOW),
        (pool(D=2), CHANNELS + "D: depth, P: rows, Q: columns, T: filter filter_depth reduction, " + WINDOW),
        (gemm(M=4, N=8, K=2), PRODUCT),
        (gemm(B=3, M=4, N=8, K=2), "B: groups, " + PRODUCT),
        # a 1-D convolution of its own: its places are columns, as those of a 2-D one with a single row
        ("O[k,p] += I[c,p+r] * W[k,c,r]", "k: output_channels, p: columns, c: input_channels reduction, "
         "r: filter filter_columns reduction"),
        # attention: scores, then values
        ("S[b,h,q,k] += Q[b,h,q,d] * K[b,h,k,d]", "b: groups, h: groups, q: batch rows, k: output_channels, "
         "d: input_channels reduction"),
        ("O[b,h,q,d] += S[b,h,q,k] * V[b,h,k,d]", "b: groups, h: groups, q: batch rows, d: output_channels, "
         "k: input_channels reduction"),
        # a dense layer on channels last: no place slides, so that nothing tells images, rows and columns apart
        ("O[n,y,x,k] += I[n,y,x,c] * W[c,k]", "n: batch rows, y: batch rows, x: batch rows, k: output_channels, "
         "c: input_channels reduction"),
        ("O[n,c] += I[n,c,y,x]", "n: batch groups rows, c: batch groups rows, y: input_channels reduction, "
         "x: input_channels reduction"),
        ("O[] max= I[c]", "c: input_channels reduction"),
        ("O[k] += I[c] * W[k,c]", "k: output_channels, c: input_channels reduction"),
        ("O[a,b] += A[a] * B[b]", "a: batch rows, b: output_channels"),  # an outer product
        ("O[a] += A[a] * B[b]", "a: batch rows, b: reduction"),
        ("O[a,b] max= A[a]", "a: batch groups rows, b: output_channels"),
        # the filter is the input, the image the weight
        ("O[k,p] += W[k,r] * I[p+r]", "k: batch, p: output_channels, r: filter filter_columns reduction"),
        # two places in one rank, and four windows
        ("O[p,q] += I[p+q+r] * W[r]", "p: columns, q: columns, r: filter filter_columns reduction"),
        ("O[a,b,c,d] max= I[a+e,b+f,c+g,d+h]", "a: depth, b: depth, c: rows, d: columns, "
         "e: filter filter_depth reduction, f: filter filter_depth reduction, g: filter filter_rows reduction, "
         "h: filter filter_columns reduction"),
    ],
    ids=str,
)  # fmt: skip
def test_roles_of_each_kind_of_layer(nest, table):
    if isinstance(nest, str):
        letters = dict.fromkeys(letter for part in nest.split("[")[1:] for letter in part.split("]")[0] if letter > "Z")
        nest = parse_nest(f"{nest} {{{' '.join(f'{letter}=2' for letter in letters)}}}")
    found = {dim: " ".join(sorted(mine)) for dim, mine in dim_roles(nest).items()}
    assert found == dict(entry.split(": ") for entry in table.split(", "))


def test_the_table_of_the_document():
    text = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
    lines = takewhile(lambda line: line.startswith("|"), text[text.index("| role | dims that are |") :].splitlines())
    rows = [line[1:-1].split("|") for line in lines]
    heads = [head.strip(" `") for head in rows[0][2:]]
    layers = {
        "conv": conv(D=2, T=2),
        "gemm": gemm(B=2),
        "S[b,h,q,k] += Q[b,h,q,d] * K[b,h,k,d]": parse_nest(f"{heads[2]} {{b=1 h=1 q=1 k=1 d=1}}"),
        "pooling": pool(D=2, T=2),
        "O[a,b] += I[a,b,c]": parse_nest(f"{heads[4]} {{a=1 b=1 c=1}}"),
    }
    assert heads == list(layers)
    said = {head: {} for head in heads}
    for names, _, *cells in rows[2:]:
        for head, cell in zip(heads, cells, strict=True):
            # a row of several roles has a cell of as many dims; several dims of one role have spaces between
            parts = cell.split(",") if "," in names else [cell]
            for role, part in zip(re.findall(r"`(\w+)`", names), parts, strict=bool(cell.strip())):
                for dim in re.findall(r"`(\w)`", part):
                    said[head].setdefault(dim, set()).add(role)
    assert said == {head: dict(dim_roles(nest)) for head, nest in layers.items()}


def test_the_example_of_the_module():
    assert doctest.testmod(roles) == (0, 2)


@given(nests())
def test_every_dim_has_a_role_and_summed_dims_are_reductions(nest):
    found = dim_roles(nest)
    assert list(found) == list(nest.extents)
    for dim, mine in found.items():
        assert mine
        assert (DimRole.REDUCTION in mine) == (dim not in nest.output.dims)
        assert (DimRole.FILTER in mine) == bool(
            mine & {DimRole.FILTER_ROWS, DimRole.FILTER_COLUMNS, DimRole.FILTER_DEPTH}
        )
        exclusive = {DimRole.OUTPUT_CHANNELS, DimRole.REDUCTION, DimRole.BATCH, DimRole.COLUMNS, DimRole.DEPTH}
        assert len(mine & exclusive) <= 1


@given(nests(), st.integers(1, 9), st.randoms())
def test_names_extents_and_the_order_of_dims_do_not_count(nest, extent, random):
    new = {dim: f"d{i}" for i, dim in enumerate(random.sample(sorted(nest.extents), len(nest.extents)))}
    tensors = tuple(
        replace(t, ranks=tuple(tuple(Term(new[term.dim], term.coef + 1) for term in rank) for rank in t.ranks))
        if t.role is not Role.OUTPUT
        else replace(t, ranks=tuple((Term(new[rank[0].dim]),) for rank in t.ranks))
        for t in nest.tensors
    )
    other = LoopNest(tuple((name, extent) for name in random.sample(list(new.values()), len(new))), tensors)
    assert dim_roles(other) == {new[dim]: mine for dim, mine in dim_roles(nest).items()}


def test_words_stand_for_dims_by_name_or_by_role():
    nest = conv(K=8, C=4, P=5, R=3)
    assert named(nest, "K") == named(nest, "output_channels") == ("K",)
    assert named(nest, "reduction") == ("C", "R", "S")
    assert named(nest, "filter") == ("R", "S")
    assert named(nest, "M") == named(nest, "k") == named(nest, "depth") == named(nest, "Filter") == ()


def test_a_dim_that_is_called_like_a_role():
    same = parse_nest("O[batch,n] += A[batch,k] * B[k,n] {batch=2 n=2 k=2}")
    assert named(same, "batch") == ("batch",)
    other = parse_nest("O[rows,columns] += A[rows,k] * B[k,columns] {rows=2 columns=2 k=2}")
    assert named(other, "rows") == ("rows",)
    for nest, word, meant in (
        (other, "columns", "which no dim of it has"),
        (parse_nest("O[m,n] += A[m,batch] * B[batch,n] {m=2 n=2 batch=2}"), "batch", "that of m"),
        (parse_nest("O[batch,n] += A[batch,m,k] * B[m,k,n] {batch=2 n=2 m=2 k=2}"), "batch", None),
    ):
        if meant is None:
            assert named(nest, word) == (word,)
            continue
        with pytest.raises(InputError) as error:
            named(nest, word)
        assert str(error.value) == (
            f"{nest}: '{word}' is a dim of the layer, and a role, {meant} (give the dim another name)"
        )


def test_tensors_of_a_nest_may_stand_in_any_order():
    ranks = {t.name: t for t in conv(K=8).tensors}
    turned = LoopNest(conv(K=8).dims, (ranks["O"], ranks["W"], ranks["I"]))
    assert isinstance(turned.tensors[0], Tensor)
    assert dim_roles(turned) == dim_roles(conv(K=8))
