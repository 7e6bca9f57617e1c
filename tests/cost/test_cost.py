"""Energy, cycles and utilisation, from counts."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from pricing import working
from strategies import cases

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, Widths
from mapper.cost import evaluate
from mapper.cost.breakdown import break_down
from mapper.ir import gemm, parse_nest
from mapper.mapping import parse_mapping

NEST = gemm(M=2, N=3, K=4)
MAPPING = parse_mapping("keep HOME A B O\nparfor M 1 F.x\nkeep L1 O\nfor N 1\nfor K 1\n")
# two instances; HOME: A 24 reads, B 12 (joined), O 6 writes; L1: O 18 + 6 reads and 24 writes, in 12 steps;
# F delivers A 24 and B 24 words and no re-fills


def machine(home=None, inner=None, mesh=None, compute=None):
    return Architecture(
        "tiny",
        (
            Memory("HOME", **(home or {})),
            FanOut("F", (Axis("x", 4),), **(mesh or {})),
            Memory("L1", **(inner or {})),
            Compute("MAC", **(compute or {})),
        ),
    )


def cost(**options):
    return evaluate(NEST, machine(**options), MAPPING)


def test_energy_is_the_exact_sum_over_levels():
    found = cost(
        home={"read_energy": Fraction(1, 3), "write_energy": Fraction(5)},
        mesh={"deliver_energy": Fraction(1, 7), "reduce_energy": Fraction(100)},
        inner={"read_energy": Fraction(1, 10), "write_energy": Fraction(2)},
        compute={"energy": Fraction(1, 2)},
    )
    assert found.energy_by_level == {
        "HOME": 36 * Fraction(1, 3) + 6 * 5,
        "F": 48 * Fraction(1, 7),
        "L1": 24 * Fraction(1, 10) + 24 * 2,
        "MAC": Fraction(12),
    }
    assert found.energy == 42 + Fraction(48, 7) + Fraction(252, 5) + 12
    assert found.edp == found.energy * found.cycles


def test_added_partial_sums_cost_energy():
    arch = machine(mesh={"reduce_energy": Fraction(3)})
    mapping = parse_mapping("keep HOME A B O\nparfor K 1 F.x\nfor M 1\nfor N 1\n")
    # 24 products in 6 outputs: 18 are added to another
    assert evaluate(NEST, arch, mapping).energy == 18 * 3


def test_without_bounded_ports_compute_decides():
    found = cost()
    assert found.cycles_by_port == {"MAC": 12}
    assert (found.cycles, found.bottleneck) == (12, "MAC")
    assert found.utilization == 24 / (12 * 4)  # two of four instances


def test_several_operations_per_cycle():
    found = cost(compute={"rate": 5})
    assert found.cycles == 3  # 12 / 5, rounded up
    assert found.utilization == 24 / (3 * 4 * 5)


@pytest.mark.parametrize(
    ("home", "ports"),
    [
        ({"shared_bandwidth": Fraction(1)}, {"HOME shared": 42}),
        ({"shared_bandwidth": Fraction(5, 2)}, {"HOME shared": 17}),  # 42 / 2.5 = 16.8
        ({"read_bandwidth": Fraction(4), "write_bandwidth": Fraction(1, 4)}, {"HOME read": 9, "HOME write": 24}),
    ],
)
def test_ports_of_the_home(home, ports):
    found = cost(home=home)
    assert found.cycles_by_port == {"MAC": 12, **ports}
    assert found.cycles == max(12, *ports.values())
    assert found.bottleneck == max(found.cycles_by_port, key=found.cycles_by_port.get)


def test_the_bandwidth_of_all_instances_that_are_used_counts():
    found = cost(inner={"shared_bandwidth": Fraction(1)})
    assert found.cycles_by_port["L1 shared"] == 48 // 2


def test_clipped_spatial_loops_use_the_most_instances():
    # M = 5 in pieces of 4 and 1, those over 2 and 1 instances along the other loop: at most 2
    nest = parse_nest("O[M,N] += A[M,K] * B[K,N] {M=5 N=1 K=1}")
    mapping = parse_mapping("keep HOME A B O\nfor M 4\nparfor M 2 F.x\nkeep L1 A\nfor M 1\n")
    arch = machine(inner={"read_bandwidth": Fraction(1)})
    assert evaluate(nest, arch, mapping).cycles_by_port["L1 read"] == 3  # 5 words over 2 instances


# O at home: 6 results; in L1: 6 results and 18 partial sums read, 24 partial sums less 6 results written


@pytest.mark.parametrize(
    ("widths", "memory", "words"),
    [
        (Widths(), {"word_bits": 8}, (24, 24)),
        (Widths(output=8, partial=32), {"word_bits": 8}, (6 + 18 * 4, 6 + 18 * 4)),
        (Widths(output=8, partial=20), {"word_bits": 16}, (6 + 18 * 2, 6 + 18 * 2)),
        (Widths(output=8, partial=16), {"word_bits": 64, "packed": True}, (1 + 5, 1 + 5)),
        (Widths(output=16), {"word_bits": 64, "packed": True}, (2 + 5, 2 + 5)),
        (Widths(output=8, partial=16), {"word_bits": 64}, (24, 24)),
    ],
)
def test_words_of_results_and_of_wider_partial_sums(widths, memory, words):
    free = {"read_energy": Fraction(1)}, {"write_energy": Fraction(1)}
    found = [cost(inner={**memory, **price}, compute={"widths": widths}).energy for price in free]
    assert tuple(found) == words


def test_a_layer_states_widths_of_its_own():
    nest = parse_nest("O:16/24[M,N] += A:8[M,K] * B:4[K,N] {M=2 N=3 K=4}")
    arch = machine(home={"word_bits": 8, "read_energy": Fraction(1), "packed": True}, compute={"widths": Widths(8, 8)})
    assert evaluate(nest, arch, MAPPING).energy == 24 + 12 // 2
    assert (arch.bits(nest.output), arch.partial_bits(nest)) == (16, 24)
    assert (arch.bits(NEST.tensor("A")), arch.bits(NEST.output), arch.partial_bits(NEST)) == (8, None, None)


def test_an_access_moves_a_line_and_partial_lines_cost_whole_ones():
    # A 24 and B 12 words read in lines of 5: 5 + 3; O 6 words written: 2 lines
    prices = {"read_energy": Fraction(1), "write_energy": Fraction(100)}
    assert cost(home={**prices, "line_words": 5}).energy == 5 + 3 + 2 * 100


def test_all_instances_leak_in_every_cycle():
    found = cost(inner={"leak_energy": Fraction(1, 2)}, compute={"leak_energy": Fraction(1, 3)})
    assert found.energy_by_level == {"HOME": 0, "F": 0, "L1": 12 * 4 * Fraction(1, 2), "MAC": 12 * 4 * Fraction(1, 3)}
    arch = machine(inner={"area_um2": Fraction(5, 2)}, mesh={"area_um2": Fraction(7)})
    assert (arch.area_um2, machine().area_um2) == (4 * Fraction(5, 2) + 7, None)


def test_hops_cost_energy():
    # two of four instances in use: A 24 and B 12 words go in, 6 sums come out, each 2 steps
    assert cost(mesh={"hop_energy": Fraction(1)}).energy == (24 + 12 + 6) * 2


def test_bytes_of_the_outermost_memory():
    found = cost(home={"word_bits": 12})
    assert (found.home_words, found.home_bytes) == (42, Fraction(42 * 12, 8))


@given(cases())
def test_levels_sum_to_the_total_and_utilisation_is_at_most_1(case):
    found = evaluate(*case)
    assert sum(found.energy_by_level.values()) == found.energy
    assert set(found.energy_by_level) == {level.name for level in case.arch.levels}
    assert found.cycles == found.cycles_by_port[found.bottleneck] == max(found.cycles_by_port.values())
    assert 0 < found.utilization <= 1


@given(cases())
def test_energy_is_linear_in_the_energies(case):
    nest, arch, mapping = case
    keys = ("read_energy", "write_energy", "deliver_energy", "reduce_energy", "hop_energy", "leak_energy", "energy")
    levels = [
        replace(level, **{key: getattr(level, key) * Fraction(3, 7) for key in keys if hasattr(level, key)})
        for level in arch.levels
    ]
    scaled = evaluate(nest, replace(arch, levels=tuple(levels)), mapping)
    assert scaled.energy == evaluate(*case).energy * Fraction(3, 7)


def test_instances_in_use_are_those_that_ever_work():
    """M = 6 over 2 instances of 4 and 2, each over 2: the second of the second pair has nothing to do."""
    port = Memory("L", read_bandwidth=Fraction(1))
    arch = Architecture("mesh", (Memory("H"), FanOut("F", (Axis("x", 2), Axis("y", 2))), port, Compute("MAC", 4)))
    mapping = parse_mapping("keep H A B O\nparfor M 4 F.x\nparfor M 2 F.y\nkeep L A\nfor M 1\n")
    assert evaluate(gemm(M=6), arch, mapping).cycles_by_port["L read"] == 2  # 6 words from 3 instances


@given(cases())
def test_instances_in_use_are_those_of_an_enumeration(case):
    arch = case.arch
    found = {level.name: level.used for level in break_down(*case).levels}
    for level in arch.levels:
        above = {f.name for f in arch.fanouts[: arch.segment[level.name]]}
        assert found[level.name] == len(working(case, above))
