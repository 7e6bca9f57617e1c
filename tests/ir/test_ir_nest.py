"""Loop nests: what they mean, what they refuse, and their text form."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import nests

from mapper.arch import Architecture, Compute, Memory
from mapper.cost import evaluate
from mapper.errors import InputError
from mapper.ir import LoopNest, Role, Tensor, Term, conv, gemm, parse_nest
from mapper.mapping import Keep, Loop, Mapping


@given(nests(largest=50, operations=10**9))
def test_what_a_nest_prints_can_be_read(nest):
    assert parse_nest(str(nest)) == nest


def test_conv_is_the_convolution_of_the_design():
    text = "O[N,G,K,P,Q] += I[N,G,C,2*P+R,Q+3*S] * W[G,K,C,R,S] {N=1 G=2 K=4 C=3 P=5 Q=6 R=3 S=2}"
    assert conv(G=2, K=4, C=3, P=5, Q=6, R=3, S=2, stride=(2, 1), dilation=(1, 3)) == parse_nest(text)


def test_gemm_is_the_matrix_product():
    assert gemm(M=2, N=3, K=4) == parse_nest("O[M,N] += A[M,K] * B[K,N] {M=2 N=3 K=4}")


def test_a_batch_occurs_in_all_tensors_of_a_gemm():
    assert gemm(M=2, N=3, K=4, B=5) == parse_nest("O[B,M,N] += A[B,M,K] * B[B,K,N] {B=5 M=2 N=3 K=4}")


def test_boxes_include_the_holes_of_strides_and_dilations():
    nest = conv(P=5, Q=6, R=3, S=2, stride=(2, 1), dilation=(1, 3))
    # rows 2*(5-1) + 1*(3-1) + 1 = 11, columns 1*(6-1) + 3*(2-1) + 1 = 9
    assert nest.shape(nest.tensor("I")) == (1, 1, 1, 11, 9)
    assert nest.words(nest.tensor("I"), {**nest.extents, "P": 1, "Q": 2}) == 3 * 5
    assert nest.operations == 5 * 6 * 3 * 2


def test_dims_of_a_sum_slide():
    nest = conv(P=5, Q=6, R=3, S=2)
    assert nest.tensor("I").sliding_dims == {"P", "Q", "R", "S"}
    assert nest.tensor("W").sliding_dims == frozenset()


def test_the_order_of_tensors_is_input_weight_output():
    nest = parse_nest("Y[m] += A[k] * B[k,m] {m=2 k=3}")
    assert [(t.name, t.role) for t in nest.tensors] == [("A", Role.INPUT), ("B", Role.WEIGHT), ("Y", Role.OUTPUT)]
    assert nest.output.name == "Y"


def test_a_coefficient_may_follow_its_dim_and_blanks_are_free():
    assert parse_nest(" O [ p ]+=I[ p*2 + r ]*W[r]{p=4,r=3} ") == parse_nest("O[p] += I[2*p+r] * W[r] {p=4 r=3}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("O[m,n] += A[m,k] * B[k,n] {m=0 n=2 k=2}", "dim m has extent 0, which must be at least 1"),
        ("O[m,n] += A[m,k] * B[k,n] {m=-3 n=2 k=2}", "dim m has extent -3, which must be at least 1"),
        ("O[m,n] += A[m,k] * B[k,n] {m=2 n=2 k=2 z=2}", "dim z occurs in no tensor"),
        ("O[m,n] += A[m,k] * B[k,n] {m=2 n=2 k=2 m=2}", "a dim is given twice"),
        ("O[m,n] += A[m,k] * B[k,n] {m=2 n=2}", "A[m,k] uses dim k, which has no extent"),
        (
            "O[m,n] += A[m,m] * B[k,n] {m=2 n=2 k=2}",
            "dim m occurs twice in A[m,m]; a dim may stand in one rank of a tensor only",
        ),
        ("O[p+r] += I[p] * W[r] {p=2 r=2}", "output O[p+r]: every rank must be a single dim"),
        ("O[2*p] += I[p] * W[p] {p=2}", "output O[2*p]: every rank must be a single dim"),
        ("O[p] += I[0*p+r] * W[r] {p=2 r=2}", "every rank is a sum of dims with coefficients of at least 1"),
        ("O[m] += O[m] * B[m] {m=2}", "two tensors have the same name"),
    ],
)
def test_nests_that_are_refused(text, reason):
    with pytest.raises(InputError) as error:
        parse_nest(text)
    assert reason in error.value.message


def test_every_reason_is_given_at_once():
    with pytest.raises(InputError) as error:
        parse_nest("O[m+n] += A[m,k] * B[k,n] {m=0 n=2 k=2 z=1}")
    reasons = "dim m has extent 0, which must be at least 1; dim z occurs in no tensor; "
    assert error.value.message == reasons + "output O[m+n]: every rank must be a single dim"


@pytest.mark.parametrize("roles", [[Role.INPUT, Role.WEIGHT], [Role.INPUT, Role.INPUT, Role.OUTPUT], list(Role) * 2])
def test_a_layer_has_one_tensor_of_each_role(roles):
    tensors = tuple(Tensor(f"T{i}", role, ((Term("m"),),)) for i, role in enumerate(roles))
    with pytest.raises(InputError, match="a layer has one input, at most one weight and one output"):
        LoopNest((("m", 2),), tensors)


def test_an_empty_rank_is_refused():
    tensors = (Tensor("A", Role.INPUT, ((Term("m"),), ())), *gemm(M=2).tensors[1:])
    with pytest.raises(InputError, match="every rank is a sum of dims"):
        LoopNest((("m", 2), ("M", 2), ("N", 1), ("K", 1)), tensors)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("O[m] += A[m] * B[m]", "expected 'O[..] += A[..] * B[..] {dim=extent ...}'"),
        ("", "expected 'O[..] += A[..] * B[..] {dim=extent ...}'"),
        ("O[m] = A[m] * B[m] {m=2}", "expected 'O[..] += A[..] * B[..]', or 'O[..] max= A[..]'"),
        ("O[m] max= A[m] * B[m] {m=2}", "products are summed"),
        ("O[m] mean= A[m,k] {m=2 k=3}", "expected 'O[..] += A[..] * B[..]', or 'O[..] max= A[..]'"),
        ("O[m] += A[m] * B[m] * C[m] {m=2}", "expected 'O[..] += A[..] * B[..]', or 'O[..] max= A[..]'"),
        ("O[m] += A[m] * B {m=2}", "'B' is not a tensor"),
        ("O[m] += A[m] * 2B[m] {m=2}", "'2B[m]' is not a tensor"),
        ("O[m] += A[m-1] * B[m] {m=2}", "'m-1' is not a sum of dims"),
        ("O[m] += A[m,] * B[m] {m=2}", "'' is not a sum of dims"),
        ("O[m] += A[2] * B[m] {m=2}", "'2' is not a sum of dims"),
        ("O[m] += A[m] * B[m] {m=two}", "'m=two' is not of the form dim=extent"),
        ("O[m] += A[m] * B[m] {m=2.5}", "'m=2.5' is not of the form dim=extent"),
        ("O[m] += A[m] * B[m] {m}", "'m' is not of the form dim=extent"),
    ],
)
def test_text_that_is_no_nest(text, reason):
    with pytest.raises(InputError) as error:
        parse_nest(text)
    assert error.value.message == reason


@pytest.mark.parametrize("extent", [10**7, np.int64(10**7)])
def test_integers_of_any_kind_become_exact_ones(extent):
    """NumPy's would wrap around in silence: 10^21 operations are more than 64 bits hold."""
    nest = gemm(M=extent, N=extent, K=extent)
    assert nest.operations == 10**21
    assert nest == gemm(M=10**7, N=10**7, K=10**7)
    mapping = Mapping((*(Keep("DRAM", t) for t in "ABO"), *(Loop(d, np.int64(1)) for d in "MNK")))
    arch = Architecture("tiny", (Memory("DRAM", read_energy=Fraction(1)), Compute("MAC")))
    assert evaluate(nest, arch, mapping).cycles == 10**21


@pytest.mark.parametrize("extent", [1.5, "4", None])
def test_what_is_no_integer_is_refused(extent):
    with pytest.raises(InputError, match="dims is a tuple, each entry a tuple of a text and an integer"):
        LoopNest((("M", extent),), gemm(M=1).tensors)
    with pytest.raises(InputError, match="a step is an integer"):
        Loop("M", extent)
    with pytest.raises(InputError, match="coefficient of M"):
        Term("M", extent)
