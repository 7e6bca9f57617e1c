"""Counts of mappings small enough to count by hand."""

import pytest

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, load_architecture
from mapper.cost import count
from mapper.ir import Role, conv, gemm, parse_nest
from mapper.mapping import Access, Moves, parse_mapping, violations

HOME = "keep HOME A B O\n"
GEMM = "O[M,N] += A[M,K] * B[K,N] {{M={} N={} K={}}}"


def network(name, size=4, **options):
    return FanOut(name, (Axis("x", size),), **options)


def machine(*levels):
    return Architecture("tiny", (Memory("HOME"), *levels, Compute("MAC")))


def counted(nest, arch, text):
    mapping = parse_mapping(text)
    assert violations(nest, arch, mapping) == []
    return count(nest, arch, mapping)


def test_without_memories_every_operand_is_read_from_home():
    counts = counted(gemm(M=2, N=3, K=4), machine(), HOME + "for M 1\nfor N 1\nfor K 1\n")
    assert counts.accesses == {
        ("HOME", "A"): Access(24, 0),
        ("HOME", "B"): Access(24, 0),
        ("HOME", "O"): Access(24 - 6, 24),  # the first of the 4 sums of each of 6 outputs begins from zero
    }
    assert (counts.operations, counts.steps) == (24, 24)


def test_a_node_is_loaded_for_each_iteration_of_the_loops_above_it():
    text = "keep L1 A\nfor N 1\nkeep L1 B\nfor M 1\nkeep L1 O\nfor K 1\n"
    counts = counted(gemm(M=2, N=3, K=4), machine(Memory("L1")), HOME + text)
    assert counts.accesses == {
        ("HOME", "A"): Access(8, 0),  # once
        ("HOME", "B"): Access(3 * 4, 0),  # a column for each N: each word once
        ("HOME", "O"): Access(0, 6),  # complete when it leaves
        ("L1", "A"): Access(24, 8),
        ("L1", "B"): Access(24, 12),
        # operations - fresh = 24 - 6 reads to accumulate and 6 to drain, a write for each operation
        ("L1", "O"): Access(18 + 6, 24),
    }


def test_outputs_that_leave_early_are_filled_again():
    text = "for K 2\nkeep L1 O\nfor M 1\nfor N 1\nfor K 1\n"
    counts = counted(gemm(M=2, N=3, K=4), machine(Memory("L1")), HOME + text)
    # 2 visits of 6 outputs: 12 drains, of which the second 6 were re-filled
    assert counts.accesses["HOME", "O"] == Access(6, 12)
    # 6 visits begin from zero: 24 - 6 accumulator reads and 12 drains; 24 operations and 6 re-fills write
    assert counts.accesses["L1", "O"] == Access(18 + 12, 24 + 6)


def test_a_refill_goes_to_one_instance_of_a_reducing_group():
    text = "for K 2\nparfor K 1 F.x\nkeep L1 O\nfor M 1\nfor N 1\n"
    counts = counted(gemm(M=4, N=1, K=4), machine(network("F"), Memory("L1")), HOME + text)
    # two runs, each of two instances with a tile of 4 outputs: 16 words drained, added in pairs to 8
    assert counts.accesses["HOME", "O"] == Access(8 - 4, 8)  # the first run begins from zero
    # of 16 element visits 4 are re-filled, in one of the two instances; 12 begin from zero
    assert counts.accesses["L1", "O"] == Access(16 - 12 + 16, 16 + 4)
    assert counts.moves["F", "O"] == Moves(delivered=4, reduced=8)
    assert (counts.operations, counts.steps) == (16, 8)


def test_a_refill_crosses_two_reducing_networks():
    levels = (network("F"), Memory("L2"), network("G"), Memory("L1"))
    text = "for K 4\nparfor K 2 F.x\nkeep L2 O\nparfor K 1 G.x\nkeep L1 O\nfor M 1\nfor N 1\n"
    counts = counted(gemm(M=3, N=1, K=8), machine(*levels), HOME + text)
    # home: 2 runs of 3 words, the second re-filled
    assert counts.accesses["HOME", "O"] == Access(3, 6)
    # L2: 2 instances drain 12, 3 are re-filled, 9 begin from zero. L1, 4 instances, drain 24, added to 12: 12 writes
    # arrive at L2, of which 3 find the re-filled word and read it for the re-fill of L1
    assert counts.accesses["L2", "O"] == Access(12 + 3, 12 + 3)
    # L1: 24 visits, 3 re-filled, 21 from zero; 24 operations
    assert counts.accesses["L1", "O"] == Access((24 - 21) + 24, 24 + 3)
    assert counts.moves["F", "O"] == Moves(delivered=3, reduced=12 - 6)
    assert counts.moves["G", "O"] == Moves(delivered=3, reduced=24 - 12)


# -- clipped loops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extent", "loops", "steps"),
    [
        # 3 instances with 4, 4 and 1 of K: all are done when the first is
        (9, "parfor K 4 F.x\nfor K 1\n", 4),
        # 3 runs of 3 instances with one each
        (9, "for K 3\nparfor K 1 F.x\n", 3),
        # 3 runs of 3, 3 and 2 instances
        (8, "for K 3\nparfor K 1 F.x\n", 3),
        # 4 instances with 3, 3, 3 and 1; the first cuts its 3 into 2 and 1
        (10, "parfor K 3 F.x\nfor K 2\nfor K 1\n", 3),
        # pieces of 4, 4 and 2, each cut by 3 into 3 + 1, 3 + 1 and 2: 5 runs of as many instances as words
        (10, "for K 4\nfor K 3\nparfor K 1 F.x\n", 5),
        # pieces of 4, 4 and 1: 2 instances with 3 and 1, twice, then 1 with 1; the first instances take 3, 3, 1
        (9, "for K 4\nparfor K 3 F.x\nfor K 1\n", 7),
    ],
)
def test_reduced_steps_of_clipped_loops(extent, loops, steps):
    nest = parse_nest(GEMM.format(1, 1, extent))
    counts = counted(nest, machine(network("F")), HOME + loops)
    assert counts.steps == steps
    assert counts.accesses["HOME", "O"] == Access(steps - 1, steps)
    assert counts.moves["F", "O"] == Moves(delivered=0, reduced=extent - steps)
    assert counts.accesses["HOME", "A"] == Access(extent, 0)


def test_multicast_of_clipped_loops():
    # N = 9 over 3 instances with 4, 4 and 1: A is delivered to each for each N, and read in lockstep 4 times
    nest = parse_nest(GEMM.format(1, 9, 2))
    counts = counted(nest, machine(network("F")), HOME + "parfor N 4 F.x\nfor N 1\nfor K 1\n")
    assert counts.accesses["HOME", "A"] == Access(2 * 4, 0)
    assert counts.moves["F", "A"] == Moves(delivered=2 * 9, reduced=0)


def test_clipped_windows():
    # P = 5 in pieces of 3 and 2, R = 3 whole, stride 2: boxes of 2*2 + 3 = 7 and 2*1 + 3 = 5 words
    nest = parse_nest("O[P] += I[2*P+R] * W[R] {P=5 R=3}")
    text = "keep HOME I W O\nfor P 3\nkeep L1 I\nfor P 1\nfor R 1\n"
    assert counted(nest, machine(Memory("L1")), text).accesses["L1", "I"] == Access(15, 12)


# -- rolling windows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nest", "loops", "fills"),
    [
        # tiles of 2 + 2 words, each next one with 2 new: 4 + 2 + 2, the whole input
        ("O[P] += I[P+R] * W[R] {P=6 R=3}", "for P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\n", 8),
        # 2*1 + 3 = 5 words, the next tile starts 4 further on: 1 word is shared, 5 + 4
        ("O[P] += I[2*P+R] * W[R] {P=4 R=3}", "for P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\n", 9),
        # the filter is no wider than the stride: nothing is shared
        ("O[P] += I[3*P+R] * W[R] {P=4 R=3}", "for P 1\nkeep L1 I rolling\nfor R 1\n", 12),
        # R in 2 and 1: windows of 2 words save 1 for each of 5 pairs, those of 1 word nothing: 7 + 6
        ("O[P] += I[P+R] * W[R] {P=6 R=3}", "for R 2\nfor P 1\nkeep L1 I rolling\nfor R 1\n", 13),
        # the window starts anew in each piece of 4 and 2: 3 + 1 + 1 + 1 and 3 + 1
        ("O[P] += I[P+R] * W[R] {P=6 R=3}", "for P 4\nfor P 1\nkeep L1 I rolling\nfor R 1\n", 10),
        # and for each K: twice as much
        ("O[K,P] += I[P+R] * W[K,R] {K=2 P=6 R=3}", "for K 1\nfor P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\n", 16),
        # a clipped last tile: P in 4 and 3, 6 words and 3 new
        ("O[P] += I[P+R] * W[R] {P=7 R=3}", "for P 4\nkeep L1 I rolling\nfor P 1\nfor R 1\n", 9),
        # along R: tiles of 6 words, 2 new, 2 times
        ("O[P] += I[P+2*R] * W[R] {P=6 R=3}", "for R 1\nkeep L1 I rolling\nfor P 1\n", 6 + 2 + 2),
        # all channels: 2 x (4 + 2 + 2)
        ("O[P] += I[C,P+R] * W[C,R] {C=2 P=6 R=3}", "for P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\nfor C 1\n", 16),
    ],
)
def test_a_rolling_window_loads_only_new_words(nest, loops, fills):
    counts = counted(parse_nest(nest), machine(Memory("L1", rolling=True)), "keep HOME I W O\n" + loops)
    assert counts.accesses["HOME", "I"] == Access(fills, 0)
    assert counts.accesses["L1", "I"].writes == fills


def test_two_dims_of_a_2d_convolution_slide_one_at_a_time():
    # rows roll: (3 + 3*1) rows of 2 + 2 = 4 columns, anew for each of two pieces of Q
    nest = conv(P=4, Q=4, R=3, S=3)
    text = "keep HOME I W O\nfor Q 2\nfor P 1\nkeep L1 I rolling\nfor Q 1\nfor R 1\nfor S 1\n"
    counts = counted(nest, machine(Memory("L1", rolling=True)), text)
    assert counts.accesses["L1", "I"].writes == 2 * (6 * 4)


# -- networks ----------------------------------------------------------------------------------------------------------

BYPASSING = HOME + "keep L2 A B O\nparfor M 2 F.x\nparfor N 1 F.y\nfor M 1\nfor K 1\n"


def bypassing(**options):
    mesh = FanOut("F", (Axis("x", 2), Axis("y", 2)), **options)
    return counted(gemm(M=4, N=2, K=3), machine(Memory("L2"), mesh), BYPASSING)


def test_operations_read_through_the_network_what_is_not_kept_below_it():
    # 24 operations in 6 steps of 4 instances, 2 x 2: each word of A goes to 2, each of B to 2, each of O to 1
    counts = bypassing()
    assert counts.accesses["L2", "A"] == Access(12, 12)  # and filled once with 4 x 3
    assert counts.accesses["L2", "B"] == Access(12, 6)
    # 24 sums arrive, 8 begin from zero, 8 words leave for home
    assert counts.accesses["L2", "O"] == Access(16 + 8, 24)
    # nothing is delivered of the output: L2 adds what arrives
    assert counts.moves == {("F", "A"): Moves(24, 0), ("F", "B"): Moves(24, 0), ("F", "O"): Moves(0, 0)}
    assert counts.steps == 6


def test_a_network_without_multicast_is_read_for_each_instance():
    counts = bypassing(multicast=frozenset({Role.WEIGHT}))
    assert counts.accesses["L2", "A"].reads == 24
    assert counts.accesses["L2", "B"].reads == 12
    assert counts.moves["F", "A"] == counts.moves["F", "B"] == Moves(24, 0)


@pytest.mark.parametrize(
    ("outer", "inner", "reads", "delivered"),
    [
        # M = 4 over 2 and 2 instances, B does not depend on it: 24 words at the operations
        (True, True, 6, (12, 24)),
        (True, False, 12, (24, 24)),
        (False, True, 12, (12, 24)),
        (False, False, 24, (24, 24)),
    ],
)
def test_two_networks_multicast_each_for_itself(outer, inner, reads, delivered):
    operands = [frozenset({Role.INPUT, Role.WEIGHT}) if yes else frozenset() for yes in (outer, inner)]
    arch = machine(network("F", multicast=operands[0]), network("G", multicast=operands[1]))
    text = HOME + "parfor M 2 F.x\nparfor M 1 G.x\nfor N 1\nfor K 1\n"
    counts = counted(gemm(M=4, N=2, K=3), arch, text)
    assert counts.accesses["HOME", "B"] == Access(reads, 0)
    assert [counts.moves[name, "B"].delivered for name in "FG"] == list(delivered)
    assert counts.accesses["HOME", "A"] == Access(24, 0)  # depends on M: a word for each


def test_halos_are_read_for_each_instance():
    # 2 instances with 2 outputs each want windows of 4 words that overlap in 2: no sharing between neighbours
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=4 R=3}")
    text = "keep HOME I W O\nparfor P 2 F.x\nkeep L1 I\nfor P 1\nfor R 1\n"
    assert counted(nest, machine(network("F"), Memory("L1")), text).accesses["HOME", "I"] == Access(8, 0)


def test_the_gemm_of_the_design():
    """GEMM 16^3 on simple3 with all three tensors read and written once costs the reference value."""
    text = "keep DRAM A B O\nparfor K 1 PE.x\nparfor M 1 PE.y\nkeep RF A\nfor N 1\n"
    arch = load_architecture("simple3")
    counts = counted(gemm(M=16, N=16, K=16), arch, text)
    assert counts.accesses == {
        ("DRAM", "A"): Access(256, 0),
        ("DRAM", "B"): Access(256, 0),
        ("DRAM", "O"): Access(0, 256),
        ("RF", "A"): Access(4096, 256),
    }
    # 200 x (256 + 256 + 256) + 1 x (4096 + 256) + 4096 operations
    assert 200 * 768 + 4352 + 4096 == 162_048
    assert counts.moves["PE", "O"] == Moves(0, 4096 - 256)  # groups of 16 along K
