"""Counts of mappings small enough to count by hand."""

import pytest
from tallies import accessed, moved

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, load_architecture
from mapper.cost import count
from mapper.ir import Role, conv, gemm, parse_nest
from mapper.mapping import Access, parse_mapping, violations

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
    assert accessed(counts) == {
        ("HOME", "A"): (24, 0),
        ("HOME", "B"): (24, 0),
        ("HOME", "O"): (24 - 6, 24),  # the first of the 4 sums of each of 6 outputs begins from zero
    }
    assert (counts.operations, counts.steps) == (24, 24)


def test_a_node_is_loaded_for_each_iteration_of_the_loops_above_it():
    text = "keep L1 A\nfor N 1\nkeep L1 B\nfor M 1\nkeep L1 O\nfor K 1\n"
    counts = counted(gemm(M=2, N=3, K=4), machine(Memory("L1")), HOME + text)
    assert accessed(counts) == {
        ("HOME", "A"): (8, 0),  # once
        ("HOME", "B"): (3 * 4, 0),  # a column for each N: each word once
        ("HOME", "O"): (0, 6),  # complete when it leaves
        ("L1", "A"): (24, 8),
        ("L1", "B"): (24, 12),
        # operations - fresh = 24 - 6 reads to accumulate and 6 to drain, a write for each operation
        ("L1", "O"): (18 + 6, 24),
    }


def test_outputs_that_leave_early_are_filled_again():
    text = "for K 2\nkeep L1 O\nfor M 1\nfor N 1\nfor K 1\n"
    counts = counted(gemm(M=2, N=3, K=4), machine(Memory("L1")), HOME + text)
    # 2 visits of 6 outputs: 12 drains, of which the second 6 were re-filled
    assert accessed(counts)["HOME", "O"] == (6, 12)
    # 6 visits begin from zero: 24 - 6 accumulator reads and 12 drains; 24 operations and 6 re-fills write
    assert accessed(counts)["L1", "O"] == (18 + 12, 24 + 6)


def test_a_refill_goes_to_one_instance_of_a_reducing_group():
    text = "for K 2\nparfor K 1 F.x\nkeep L1 O\nfor M 1\nfor N 1\n"
    counts = counted(gemm(M=4, N=1, K=4), machine(network("F"), Memory("L1")), HOME + text)
    # two runs, each of two instances with a tile of 4 outputs: 16 words drained, added in pairs to 8
    assert accessed(counts)["HOME", "O"] == (8 - 4, 8)  # the first run begins from zero
    # of 16 element visits 4 are re-filled, in one of the two instances; 12 begin from zero
    assert accessed(counts)["L1", "O"] == (16 - 12 + 16, 16 + 4)
    assert moved(counts)["F", "O"] == (4, 8)
    assert (counts.operations, counts.steps) == (16, 8)


def test_a_refill_crosses_two_reducing_networks():
    levels = (network("F"), Memory("L2"), network("G"), Memory("L1"))
    text = "for K 4\nparfor K 2 F.x\nkeep L2 O\nparfor K 1 G.x\nkeep L1 O\nfor M 1\nfor N 1\n"
    counts = counted(gemm(M=3, N=1, K=8), machine(*levels), HOME + text)
    # home: 2 runs of 3 words, the second re-filled
    assert accessed(counts)["HOME", "O"] == (3, 6)
    # L2: 2 instances drain 12, 3 are re-filled, 9 begin from zero. L1, 4 instances, drain 24, added to 12: 12 writes
    # arrive at L2, of which 3 find the re-filled word and read it for the re-fill of L1
    assert accessed(counts)["L2", "O"] == (12 + 3, 12 + 3)
    # L1: 24 visits, 3 re-filled, 21 from zero; 24 operations
    assert accessed(counts)["L1", "O"] == ((24 - 21) + 24, 24 + 3)
    assert moved(counts)["F", "O"] == (3, 12 - 6)
    assert moved(counts)["G", "O"] == (3, 24 - 12)


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
    assert accessed(counts)["HOME", "O"] == (steps - 1, steps)
    assert moved(counts)["F", "O"] == (0, extent - steps)
    assert accessed(counts)["HOME", "A"] == (extent, 0)


def test_multicast_of_clipped_loops():
    # N = 9 over 3 instances with 4, 4 and 1: A is delivered to each for each N, and read in lockstep 4 times
    nest = parse_nest(GEMM.format(1, 9, 2))
    counts = counted(nest, machine(network("F")), HOME + "parfor N 4 F.x\nfor N 1\nfor K 1\n")
    assert accessed(counts)["HOME", "A"] == (2 * 4, 0)
    assert moved(counts)["F", "A"] == (2 * 9, 0)


def test_clipped_windows():
    # P = 5 in pieces of 3 and 2, R = 3 whole, stride 2: boxes of 2*2 + 3 = 7 and 2*1 + 3 = 5 words
    nest = parse_nest("O[P] += I[2*P+R] * W[R] {P=5 R=3}")
    text = "keep HOME I W O\nfor P 3\nkeep L1 I\nfor P 1\nfor R 1\n"
    assert accessed(counted(nest, machine(Memory("L1")), text))["L1", "I"] == (15, 12)


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
    assert accessed(counts)["HOME", "I"] == (fills, 0)
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
    assert accessed(counts)["L2", "A"] == (12, 12)  # and filled once with 4 x 3
    assert accessed(counts)["L2", "B"] == (12, 6)
    # 24 sums arrive, 8 begin from zero, 8 words leave for home
    assert accessed(counts)["L2", "O"] == (16 + 8, 24)
    # nothing is delivered of the output: L2 adds what arrives
    assert moved(counts) == {("F", "A"): (24, 0), ("F", "B"): (24, 0), ("F", "O"): (0, 0)}
    assert counts.steps == 6


def test_a_network_without_multicast_is_read_for_each_instance():
    counts = bypassing(multicast=frozenset({Role.WEIGHT}))
    assert counts.accesses["L2", "A"].reads == 24
    assert counts.accesses["L2", "B"].reads == 12
    assert moved(counts)["F", "A"] == moved(counts)["F", "B"] == (24, 0)


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
    assert accessed(counts)["HOME", "B"] == (reads, 0)
    assert [moved(counts)[name, "B"][0] for name in "FG"] == list(delivered)
    assert accessed(counts)["HOME", "A"] == (24, 0)  # depends on M: a word for each


def test_halos_are_read_for_each_instance_or_shared():
    # 2 instances with 2 outputs each want windows of 4 words that overlap in 2: no sharing between neighbours
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=4 R=3}")
    text = "keep HOME I W O\nparfor P 2 F.x\nkeep L1 I\nfor P 1\nfor R 1\n"
    assert accessed(counted(nest, machine(network("F"), Memory("L1")), text))["HOME", "I"] == (8, 0)
    # a network that shares halos reads the union, 6 words, and delivers 4 to each
    counts = counted(nest, machine(network("F", halo=True), Memory("L1")), text)
    assert (accessed(counts)["HOME", "I"], moved(counts)["F", "I"]) == ((6, 0), (8, 0))


def test_the_gemm_of_the_design():
    """GEMM 16^3 on simple3 with all three tensors read and written once costs the reference value."""
    text = "keep DRAM A B O\nparfor K 1 PE.x\nparfor M 1 PE.y\nkeep RF A\nfor N 1\n"
    arch = load_architecture("simple3")
    counts = counted(gemm(M=16, N=16, K=16), arch, text)
    assert accessed(counts) == {
        ("DRAM", "A"): (256, 0),
        ("DRAM", "B"): (256, 0),
        ("DRAM", "O"): (0, 256),
        ("RF", "A"): (4096, 256),
    }
    # 200 x (256 + 256 + 256) + 1 x (4096 + 256) + 4096 operations
    assert 200 * 768 + 4352 + 4096 == 162_048
    assert moved(counts)["PE", "O"] == (0, 4096 - 256)  # groups of 16 along K


def test_windows_that_roll_share_only_what_is_new():
    # 2 instances, 4 outputs apart; tiles of 2 outputs, 4 words: first 4 + 4, apart; then 2 new words each, of which
    # none are shared, for the next instance begins at 4, behind 6
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=8 R=3}")
    text = "keep HOME I W O\nparfor P 4 F.x\nfor P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\n"
    arch = machine(network("F", halo=True), Memory("L1", rolling=True))
    assert accessed(counted(nest, arch, text))["HOME", "I"] == (8 + 4, 0)
    # one output apart, they share 3 of 4 words at first, and what is new is new to one of them only if they go by two
    text = "keep HOME I W O\nfor P 2\nparfor P 1 F.x\nkeep L1 I\nfor R 1\n"
    assert accessed(counted(nest, arch, text))["HOME", "I"] == (4 * 4, 0)


def test_operations_share_what_they_ask_for_in_the_same_step():
    # P and R unrolled together: 3 x 2 instances ask for P+R, 4 words in all; a second step is another round
    nest = parse_nest("O[K,P] += I[P+R] * W[K,R] {K=2 P=3 R=2}")
    text = "keep HOME I W O\nparfor P 1 F.x\nparfor R 1 F.y\nfor K 1\n"
    mesh = FanOut("F", (Axis("x", 3), Axis("y", 2)), halo=True)
    assert accessed(counted(nest, machine(mesh), text))["HOME", "I"] == (8, 0)


# -- partial sums and results ------------------------------------------------------------------------------------------


def test_the_last_visit_brings_a_result():
    # K in 3 steps: L1's two words are drained 3 times, re-filled twice; the last drain is of results
    counts = counted(gemm(M=2, N=1, K=3), machine(Memory("L1")), HOME + "for K 1\nkeep L1 O\nfor M 1\n")
    assert counts.accesses["HOME", "O"] == Access(4, 6, partial_reads=4, partial_writes=4)
    # read by 3 drains and 4 additions, written by 6 operations and 4 re-fills; 2 operations and 2 drains are the last
    assert counts.accesses["L1", "O"] == Access(6 + 4, 6 + 4, partial_reads=4 + 4, partial_writes=4 + 4)


def test_parts_of_a_sum_are_no_results():
    # two instances with half of K each: neither ever holds a result, the network makes it of them
    text = HOME + "parfor K 2 F.x\nkeep L1 O\nfor K 1\n"
    counts = counted(gemm(K=4), machine(network("F"), Memory("L1")), text)
    assert counts.accesses["HOME", "O"] == Access(0, 1)
    assert counts.accesses["L1", "O"] == Access(2 + 2, 4, partial_reads=4, partial_writes=4)


def test_a_last_step_of_one_instance_has_the_result():
    # K = 3 in steps of 2: in the last a single instance works, on all that was summed before
    text = HOME + "for K 2\nparfor K 1 F.x\nkeep L1 O\n"
    counts = counted(gemm(K=3), machine(network("F"), Memory("L1")), text)
    assert counts.accesses["HOME", "O"] == Access(1, 2, partial_reads=1, partial_writes=1)
    # 3 operations, one on the re-filled sum; 3 drains, the last of the result
    assert counts.accesses["L1", "O"] == Access(3 + 1, 3 + 1, partial_reads=2 + 1, partial_writes=2 + 1)


def test_each_instance_drains_its_own():
    # two instances along K, twice: HOME is written by each of them each time, and reads before all but the first
    text = HOME + "for K 2\nparfor K 1 F.x\nkeep L1 O\n"
    arch = machine(network("F", reduce=False, drain=True), Memory("L1"))
    counts = counted(gemm(K=4), arch, text)
    assert counts.accesses["HOME", "O"] == Access(3, 4, partial_reads=3, partial_writes=3)
    # in the second round one begins with the sum so far; the network delivers it and adds nothing
    assert accessed(counts)["L1", "O"] == (4 + 1, 4 + 1)
    assert moved(counts)["F", "O"] == (1, 0)


# -- hops --------------------------------------------------------------------------------------------------------------


def test_elements_travel_to_the_furthest_instance_in_use():
    # 3 x 2 instances: 3 + 2 steps for each word read for them, of A 3 x 2 (M, K), of B 2 x 2; 6 sums leave, each once
    mesh = FanOut("F", (Axis("x", 5), Axis("y", 4)))
    text = HOME + "parfor M 1 F.x\nparfor N 1 F.y\nkeep L1 A B O\nfor K 1\n"
    counts = counted(gemm(M=3, N=2, K=2), machine(mesh, Memory("L1")), text)
    assert {v: counts.moves["F", v].hops for v in "ABO"} == {"A": 6 * 5, "B": 4 * 5, "O": 6 * 5}


def test_a_clipped_instance_is_no_further_than_it_works():
    # M = 9 in 3 groups of 4, the last with a single instance: positions 0 to 8, not to 11
    text = HOME + "parfor M 4 F.x\nparfor M 1 F.x\nkeep L1 A\n"
    counts = counted(gemm(M=9), machine(network("F", 12), Memory("L1")), text)
    assert counts.moves["F", "A"].hops == 9 * 9
