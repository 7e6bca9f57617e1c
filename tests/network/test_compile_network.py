"""Whole networks: each distinct layer once, other nodes counted, totals and summary."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import pytest

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, Widths
from mapper.errors import InfeasibleError, InputError, Interrupted
from mapper.ir import Network, Node, Role, conv, gemm
from mapper.network import compile as compiling
from mapper.network import compile_network, transfer
from mapper.options import Options, read_constraints
from mapper.search import Limits, Objective

HOME = Memory(
    "DRAM",
    word_bits=12,
    read_energy=Fraction(10),
    write_energy=Fraction(25, 2),
    read_bandwidth=Fraction(4),
    write_bandwidth=Fraction(1, 2),
)
ARCH = Architecture("tiny", (HOME, Memory("RF", size_words=8), Compute("MAC", energy=Fraction(1))), clock_hz=1000)
SMALL, LARGE = gemm(M=2, N=2, K=2), gemm(M=4, N=2, K=2)
NETWORK = Network(
    "net",
    (("x", (2, 2)), ("y", (4, 2))),
    (
        Node("first", "Gemm", ("x",), ("y",), LARGE),
        Node("relu", "Relu", ("y",), ("y",), None, ((7, None),), ((5, None),)),
        Node("view", "Reshape", ("y",), ("y",)),
        Node("second", "Gemm", ("y",), ("x",), SMALL),
        Node("third", "Gemm", ("x",), ("y",), LARGE, times=3),
        Node("bias", "Bias", ("y",), (), None, ((2, None),), (), "third", times=3),
    ),
)


def test_other_nodes_read_and_write_the_outermost_memory():
    found = transfer(NETWORK.nodes[1], ARCH)
    assert found.bytes == Fraction((7 + 5) * 12, 8)
    assert found.energy == 7 * 10 + 5 * Fraction(25, 2)
    assert found.cycles == 10  # 7 / 4 cycles to read, 5 / 0.5 to write
    shared = replace(HOME, read_bandwidth=None, write_bandwidth=None, shared_bandwidth=Fraction(5))
    assert transfer(NETWORK.nodes[1], replace(ARCH, levels=(shared, *ARCH.levels[1:]))).cycles == 3


def test_other_nodes_move_wide_elements_packed_ones_and_lines_and_leak():
    widths = Widths(input=4, output=24)
    home = replace(HOME, packed=True, line_words=2, leak_energy=Fraction(3))
    levels = (home, ARCH.levels[1], replace(ARCH.compute, widths=widths, leak_energy=Fraction(1)))
    found = transfer(NETWORK.nodes[1], replace(ARCH, levels=levels))
    # 7 elements of 4 bits, three to a word of 12: 3 words in 2 lines; 5 of 24 bits, two words each: 10 words in 5 lines
    assert found.bytes == Fraction((3 + 10) * 12, 8)
    assert found.cycles == 20  # 10 / 0.5
    assert found.energy == 2 * 10 + 5 * Fraction(25, 2) + 20 * (3 + 1)


def test_a_view_costs_nothing():
    found = transfer(NETWORK.nodes[2], ARCH)
    assert (found.bytes, found.energy, found.cycles) == (0, 0, 0)


def test_equal_layers_are_solved_once(monkeypatch):
    solved = []
    honest = compiling._solve
    monkeypatch.setattr(compiling, "_solve", lambda nest, *rest: solved.append(nest) or honest(nest, *rest))
    compile_network(NETWORK, ARCH)
    assert solved == [LARGE, SMALL]


def test_totals_are_those_of_all_nodes():
    compiled = compile_network(NETWORK, ARCH)
    large, small = (compiled.results[nest].cost for nest in (LARGE, SMALL))
    relu = transfer(NETWORK.nodes[1], ARCH)
    bias = transfer(NETWORK.nodes[5], ARCH)
    assert bias.bytes == 3
    assert compiled.operations == 4 * 16 + 8
    assert compiled.energy == 4 * large.energy + small.energy + relu.energy + 3 * bias.energy
    assert compiled.cycles == 4 * large.cycles + small.cycles + relu.cycles + 3 * bias.cycles
    assert compiled.home_bytes == 4 * large.home_bytes + small.home_bytes + relu.bytes + 3 * bias.bytes
    assert compiled.latency_s == Fraction(compiled.cycles, 1000)
    assert compile_network(NETWORK, replace(ARCH, clock_hz=None)).latency_s is None


def test_an_executor_changes_nothing_but_the_order():
    reported = []
    with ThreadPoolExecutor(2) as executor:
        parallel = compile_network(
            NETWORK, ARCH, executor=executor, on_solved=lambda nest, result: reported.append((nest, result))
        )
    plain = compile_network(NETWORK, ARCH)
    assert list(parallel.results) == list(plain.results)
    for nest in (LARGE, SMALL):
        assert parallel.results[nest].mapping == plain.results[nest].mapping
    assert dict(reported) == parallel.results


def test_every_layer_that_cannot_be_mapped_is_named():
    arch = replace(ARCH, levels=(replace(HOME, size_words=19), *ARCH.levels[1:]))
    with pytest.raises(InfeasibleError) as error:
        compile_network(NETWORK, arch)
    # 8 + 4 + 8 words; the small layer, of 12, fits
    assert str(error.value).startswith("layer first: DRAM holds 19 words and must keep at least 20 (A 8 + B 4 + O 8)")

    none = replace(arch, levels=(replace(HOME, size_words=11), *arch.levels[1:]))
    with pytest.raises(InfeasibleError) as error:
        compile_network(NETWORK, none)
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ["layer first", "layer second"]


def test_required_nodes_that_do_not_fit_are_named_too():
    arch = replace(ARCH, levels=(HOME, Memory("RF", size_words=2, must_keep=frozenset(Role)), ARCH.compute))
    with pytest.raises(InfeasibleError, match=r"layer second: RF holds 2 words .* too small by 1"):
        compile_network(replace(NETWORK, nodes=NETWORK.nodes[3:4]), arch)


# -- options -----------------------------------------------------------------------------------------------------------

CONV = conv(K=2, C=2, P=2)
MIXED = replace(NETWORK, nodes=(Node("conv", "Conv", ("x",), ("y",), CONV), *NETWORK.nodes))


def constrained(*texts):
    return Options(constraints=read_constraints(texts))


def test_constraints_hold_for_the_layers_that_have_their_dims():
    compiled = compile_network(MIXED, ARCH, constrained("C tile RF:input = 2", "keep RF:input"))
    mapping = compiled.results[CONV].mapping
    assert "keep RF I" in str(mapping)
    # the role holds for every layer, the name A for those that have an A: a contradiction, but not of the convolution
    with pytest.raises(InputError) as error:
        compile_network(MIXED, ARCH, constrained("keep RF:input", "bypass RF:A"))
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == ["layer first", "layer second"]


@pytest.mark.parametrize("text", ["Z tile RF = 1", "keep RF:X", "PE only Z", "keep L2:O"])
def test_constraints_that_no_layer_can_take_are_refused(text):
    with pytest.raises(InputError, match=f"^{text}: "):
        compile_network(MIXED, ARCH, constrained(text))


def test_dims_of_an_only_may_be_of_different_layers():
    mesh = FanOut("PE", (Axis("x", 2),))
    arch = replace(ARCH, levels=(HOME, mesh, *ARCH.levels[1:]))
    compile_network(MIXED, arch, constrained("PE only C,M"))
    with pytest.raises(InputError, match=r"^PE only Z: no layer of net has what it names \(dims are N, G, K, C"):
        compile_network(MIXED, arch, constrained("PE only C,Z"))


def test_every_layer_for_which_the_search_finds_nothing_is_named_and_others_are_kept():
    finished = []
    options = Options(objective=Objective.LATENCY, limits=Limits(max_cycles=15))
    with pytest.raises(InfeasibleError) as error:
        compile_network(MIXED, ARCH, options, on_solved=lambda nest, _: finished.append(nest))
    # 16 operations on one unit
    assert str(error.value).startswith("layer first: ") and "\n" not in str(error.value)
    assert finished == [CONV, SMALL]
    with pytest.raises(InfeasibleError) as error, ThreadPoolExecutor(2) as executor:
        compile_network(MIXED, ARCH, Options(limits=Limits(max_cycles=7)), executor=executor)
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == [
        "layer conv",
        "layer first",
        "layer second",
    ]


def test_an_interrupted_search_interrupts_the_network(monkeypatch):
    honest, finished = compiling._solve, []

    def solve(nest, *rest):
        result = honest(nest, *rest)
        if nest == SMALL:
            raise Interrupted("interrupted", result)
        return result

    monkeypatch.setattr(compiling, "_solve", solve)
    with pytest.raises(Interrupted) as interrupt:
        compile_network(NETWORK, ARCH, on_solved=lambda nest, _: finished.append(nest))
    assert finished == [LARGE]
    found = interrupt.value
    assert list(found.solved) == [layer.name for layer in NETWORK.layers if layer.nest == LARGE]
    assert str(found) == "1 of 2 distinct layers are solved" and found.result.mapping
