"""Networks: equal layers, and their text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import nests

from mapper.errors import InputError
from mapper.ir import Network, Node, gemm, parse_network

NAMES = st.text(max_size=6)
SHAPES = st.lists(st.integers(0, 300), max_size=4).map(tuple)


@st.composite
def nodes(draw):
    values = st.lists(NAMES, max_size=3).map(tuple)
    name, op, inputs, outputs = draw(NAMES), draw(NAMES), draw(values), draw(values)
    elements = st.lists(st.tuples(st.integers(1, 10**12), st.none() | st.integers(1, 64)), max_size=3).map(tuple)
    told = {"times": draw(st.integers(1, 9)), "note": draw(NAMES)}
    if draw(st.booleans()):
        return Node(name, op, inputs, outputs, draw(nests()), **told)
    return Node(name, op, inputs, outputs, None, draw(elements), draw(elements), draw(NAMES), **told)


@st.composite
def networks(draw):
    tensors = draw(st.dictionaries(NAMES, SHAPES, max_size=4))
    listed = draw(st.lists(nodes(), max_size=4, unique_by=lambda node: node.name))
    stored = frozenset(name for name in tensors if draw(st.booleans()))
    return Network(draw(NAMES), tuple(tensors.items()), tuple(listed), stored)


@given(networks())
def test_what_a_network_prints_can_be_read_whatever_its_names(network):
    assert parse_network(str(network)) == network


def test_equal_layers_share_a_number():
    small, large = gemm(M=2), gemm(M=3)
    listed = [Node("a", "Gemm", (), (), large), Node("relu", "Relu", (), (), None, ((3, None),), ((3, None),))]
    listed += [Node("b", "Gemm", (), (), small), Node("c", "Gemm", (), (), large)]
    network = Network("net", (), tuple(listed))
    assert dict(network.unique) == {large: 0, small: 1}
    assert [node.name for node in network.layers] == ["a", "b", "c"]
    assert [node.name for node in network.others] == ["relu"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "expected 'network', 'tensor', 'layer' or 'other'"),
        ("layer a Gemm (x) -> (y) : O[m] += A[m] * B[m] * C[m] {m=2}", "expected 'O[..] += A[..] * B[..]'"),
        ("other a Relu (x) -> (y) : reads many writes 2", "invalid literal"),
        ("other a Relu (x) -> (y) : reads 1 writes 2 lengths 3", "a node has no lengths"),
    ],
)
def test_errors_give_the_line(line, reason):
    with pytest.raises(InputError) as error:
        parse_network(f"network n\n\n{line}\n")
    assert error.value.place == "line 3"
    assert reason in error.value.message


@pytest.mark.parametrize(
    "line",
    [
        "tensor x 3xtwo",
        'tensor "x 3',
        "other a Relu (x) -> (y) : reads 1",
        'network "half',
    ],
)
def test_broken_lines_are_the_users_errors(line):
    with pytest.raises(InputError, match="line 1"):
        parse_network(line)
