"""Layers written by hand."""

import pytest

from frontends.einsum import parse_layer
from mapper.errors import InputError
from mapper.ir import conv, gemm, parse_nest


def test_conv():
    layer = parse_layer("conv K=256 C=48 P=27 Q=27 R=5 S=5 stride=1 dilation=1")
    assert layer == conv(K=256, C=48, P=27, Q=27, R=5, S=5)
    layer = parse_layer("  conv N=2 G=3, P=4 stride=2x1 dilation=3 ")
    assert layer == conv(N=2, G=3, P=4, stride=(2, 1), dilation=(3, 3))


def test_gemm():
    assert parse_layer("gemm M=16 N=8 K=4") == gemm(M=16, N=8, K=4)
    assert parse_layer("gemm M=16 N=8 K=4 B=2") == gemm(M=16, N=8, K=4, B=2)


@pytest.mark.parametrize(
    "text",
    [
        "einsum O[m,n] += A[m,k] * B[k,n] m=16 n=8 k=4",
        'einsum "O[m,n] += A[m,k] * B[k,n]" m=16 n=8 k=4',
        "einsum 'O[m,n]+=A[m,k]*B[k,n]' m=16, n=8, k=4",
        "einsum O[m,n] += A[m,k] * B[k,n] {m=16 n=8 k=4}",
        "O[m,n] += A[m,k] * B[k,n] {m=16 n=8 k=4}",
    ],
)
def test_einsum(text):
    assert parse_layer(text) == parse_nest("O[m,n] += A[m,k] * B[k,n] {m=16 n=8 k=4}")


def test_what_a_layer_prints_can_be_read():
    layer = conv(K=4, C=2, P=5, Q=5, R=3, S=3, stride=(2, 2))
    assert parse_layer(str(layer)) == parse_layer(f"einsum {layer}") == layer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the layer is empty"),
        ("cnov K=3", "unknown kind of layer 'cnov'.*did you mean conv"),
        ("pool K=3", "a layer begins with conv, gemm or einsum"),
        ("conv k=3", "unknown key 'k' in 'k=3'.*did you mean K"),
        ("conv strid=3", "did you mean stride"),
        ("conv X=3", "known: N G K C D P Q T R S stride dilation"),
        ("gemm P=3", "unknown key 'P'"),
        ("gemm M=4 N=4", "'gemm M=4 N=4': a gemm needs K .*write N=1 for a vector"),
        ("gemm", "a gemm needs M and N and K"),
        ("conv H=56 W=56 K=4", "unknown key 'H' in 'H=56' .*P is the height of the output"),
        ("conv W=56", "Q is the width of the output"),
        ("conv K=4 pad=1", "padding belongs to the input: P and Q are the outputs with it"),
        ("conv OC=4", "that is K here"),
        ("conv kh=4", "that is R here"),
        ("conv K", "'K' has no value"),
        ("conv K=", "'K=' has no value"),
        ("conv K=3 K=4", "'K' is given twice"),
        ("conv K=0", "'K=0': an extent"),
        ("conv K=-2", "'K=-2': an extent"),
        ("conv K=2.5", "'K=2.5': an extent"),
        ("conv stride=0", "'stride=0': a stride is"),
        ("conv dilation=1x2x3x4", "'dilation=1x2x3x4': a dilation is"),
        ("conv D=2 stride=1x2", "stride is given for 2 axes, the layer has 3"),
        ("einsum O[m,n] += A[m,k] * B[k,n] m=16 n=8", "uses dim k, which has no extent"),
        ("einsum O[m,n] += A[m,k] * B[k,n] m=16 n=8 k=two", "'k=two'"),
        ("einsum m=3", "expected 'O"),
    ],
)
def test_errors(text, words):
    with pytest.raises(InputError, match=words):
        parse_layer(text)


def test_the_text_form_of_a_layer_without_a_weight():
    for text in ("O[C,P] max= I[C,2*P+R] {C=6 P=7 R=3}", "O[C] min= I[C,X] {C=3 X=2}", "O[C] += I[C,X] {C=3 X=2}"):
        assert str(parse_layer(text)) == text
