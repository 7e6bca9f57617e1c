"""Legality: each rule with its reason."""

from fractions import Fraction

import pytest

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.ir import Role, conv, gemm
from mapper.mapping import Keep, Loop, Mapping, ParFor, footprints, parse_mapping, tidy, violations

INPUT, WEIGHT, OUTPUT = Role
NEST = gemm(M=4, N=2, K=6)
HOME = "keep HOME A B O\n"


def arch(*levels):
    return Architecture("tiny", (Memory("HOME"), *levels, Compute("MAC")))


def mesh(**options):
    return FanOut("F", (Axis("x", 3), Axis("y", 2, frozenset({"M", "K"}))), **options)


MACHINE = arch(Memory("L2"), mesh(), Memory("L1", may_keep=frozenset({INPUT, OUTPUT})))


def broken(text, machine=MACHINE, nest=NEST):
    return violations(nest, machine, parse_mapping(text))


def test_a_legal_mapping():
    text = "for K 3\nkeep L2 B O\nparfor K 1 F.x\nparfor M 2 F.y\nkeep L1 A O\nfor N 1\nfor M 1\n"
    assert broken(HOME + text) == []


def test_nodes_of_different_tensors_interleave():
    machine = arch(Memory("L3"), Memory("L2"))
    assert broken(HOME + "keep L2 A\nfor M 1\nkeep L3 B\nfor N 1\nkeep L3 O\nfor K 1\nkeep L2 B O\n", machine) == []


def test_steps_need_not_divide():
    assert broken(HOME + "for M 3\nfor K 4\nfor K 3\nfor K 1\nfor M 1\nfor N 1\n") == []


UNSPLIT = "dim K is not split completely: pieces of {} remain at the innermost point"
ONES = "for M 1\nfor N 1\nfor K 1\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HOME + "keep L9 A\n" + ONES, "keep L9 A: tiny has no memory L9"),
        (HOME + "keep F A\n" + ONES, "keep F A: tiny has no memory F"),
        (HOME + "keep L2 X\n" + ONES, "keep L2 X: the layer has no tensor X"),
        (HOME + ONES + "for X 1\n", "for X 1: the layer has no dim X"),
        (HOME + "for M 0\n" + ONES, "for M 0: a step is at least 1"),
        (HOME + "parfor M -1 F.x\n" + ONES, "parfor M -1 F.x: a step is at least 1"),
        (HOME + "parfor M 2 G.x\n" + ONES, "parfor M 2 G.x: tiny has no fan-out G"),
        (HOME + "parfor M 2 L2.x\n" + ONES, "parfor M 2 L2.x: tiny has no fan-out L2"),
        (HOME + "parfor M 2 F.z\n" + ONES, "parfor M 2 F.z: fan-out F has no axis z"),
        ("keep HOME A B\n" + ONES, "O must be kept in its home HOME above all loops and other nodes"),
        (
            "keep HOME A B\nkeep L2 A\nkeep HOME O\n" + ONES,
            "O must be kept in its home HOME above all loops and other nodes",
        ),
        (
            "keep HOME A B\nfor M 1\nkeep HOME O\nfor N 1\nfor K 1\n",
            "O must be kept in its home HOME above all loops and other nodes",
        ),
        (HOME + "keep L2 A\nfor M 1\nkeep L2 A\nfor N 1\nfor K 1\n", "L2 keeps A twice"),
        (HOME + "for M 1\nkeep HOME A\nfor N 1\nfor K 1\n", "HOME keeps A twice"),
        (HOME + "keep L1 B\n" + ONES, "L1 cannot keep B: it is no memory for the weight"),
        (
            HOME + "keep L1 O\nfor M 1\nkeep L2 O\nfor N 1\nfor K 1\n",
            "O: L2 lies outside L1, so its node must stand above that of L1",
        ),
        (HOME + "parfor N 1 F.y\nfor M 1\nfor K 1\n", "parfor N 1 F.y: axis y takes only K, M"),
        (HOME + "parfor M 1 F.x\nfor N 1\nfor K 1\n", "axis F.x has 3 instances, the mapping unrolls 4"),
        (
            HOME + "parfor M 2 F.x\nparfor N 1 F.x\nfor M 1\nfor K 1\n",
            "axis F.x has 3 instances, the mapping unrolls 4",
        ),
        (HOME + "parfor K 4 F.y\nparfor K 3 F.y\n" + ONES, "axis F.y has 2 instances, the mapping unrolls 4"),
        (
            HOME + "keep L1 O\nparfor M 2 F.x\n" + ONES,
            "parfor M 2 F.x must stand outside 'keep L1 O': L1 lies below F",
        ),
        (
            HOME + "parfor M 2 F.x\nkeep L2 O\n" + ONES,
            "parfor M 2 F.x must stand inside 'keep L2 O': L2 lies above F",
        ),
        (HOME + "for M 1\nfor N 1\nfor K 4\n", UNSPLIT.format(4)),
        (HOME + "for M 1\nfor N 1\n", UNSPLIT.format(6)),
    ],
)
def test_each_rule_has_its_reason(text, reason):
    assert broken(text) == [reason]


def test_spatial_loops_of_two_fanouts_stand_in_order():
    machine = arch(FanOut("F", (Axis("x", 3),)), FanOut("G", (Axis("x", 3),)))
    assert broken(HOME + "parfor M 2 F.x\nparfor N 1 G.x\nfor M 1\nfor K 1\n", machine) == []
    assert broken(HOME + "parfor N 1 G.x\nparfor M 2 F.x\nfor M 1\nfor K 1\n", machine) == [
        "parfor M 2 F.x must stand outside 'parfor N 1 G.x': G lies below F"
    ]


def test_a_network_that_cannot_add_takes_no_reduction_dim():
    machine = arch(mesh(reduce=False))
    assert broken(HOME + "parfor M 2 F.x\n" + ONES, machine) == []
    assert broken(HOME + "parfor K 2 F.x\n" + ONES, machine) == [
        "parfor K 2 F.x: K is a reduction dim and F cannot add partial sums"
    ]


def test_a_memory_gets_what_it_must_keep():
    machine = arch(Memory("L2", must_keep=frozenset({WEIGHT, OUTPUT})))
    assert broken(HOME + "keep L2 B\n" + ONES, machine) == ["L2 must keep the output O"]


# -- capacity ----------------------------------------------------------------------------------------------------------

# largest tiles: A is 3 x 4, O is 3 x 2, after M is cut into pieces of 3 and 1, and K into pieces of 4 and 2
CLIPPED = HOME + "for M 3\nkeep L2 O\nfor K 4\nkeep L2 A\nfor M 1\nfor N 1\nfor K 1\n"


def test_capacity_is_that_of_the_largest_tiles():
    assert broken(CLIPPED, arch(Memory("L2", size_words=18))) == []
    assert broken(CLIPPED, arch(Memory("L2", size_words=17))) == [
        "L2 holds 17 words, its tiles need 18 (O 6 + A 12): 1 too many"
    ]


def test_tiles_of_a_double_buffered_memory_count_twice():
    assert broken(CLIPPED, arch(Memory("L2", size_words=36, double_buffered=True))) == []
    assert broken(CLIPPED, arch(Memory("L2", size_words=35, double_buffered=True))) == [
        "L2 holds 17 words, half of its 35, its tiles need 18 (O 6 + A 12): 1 too many"
    ]


def test_the_home_must_hold_everything():
    machine = Architecture("tiny", (Memory("HOME", size_words=40), Compute("MAC")))
    assert broken(HOME + ONES, machine) == ["HOME holds 40 words, its tiles need 44 (A 24 + B 12 + O 8): 4 too many"]


def test_footprints_are_those_of_one_instance_holes_included():
    nest = conv(K=4, P=4, R=3, stride=(2, 1))
    mapping = parse_mapping("keep HOME I W O\nparfor K 2 F.x\nfor P 2\nkeep L1 I O\nfor P 1\nfor K 1\nfor R 1\n")
    # rows of two outputs at stride 2 and three taps: 2*(2-1) + (3-1) + 1 = 5
    l1 = Memory("L1")
    machine = Architecture("tiny", (Memory("HOME"), FanOut("F", (Axis("x", 2),)), l1, Compute("MAC")))
    assert footprints(nest, machine, mapping, l1) == {"I": 5, "O": 4}


# -- rolling windows ---------------------------------------------------------------------------------------------------

SLIDING = conv(K=2, P=4, R=3)
ROLLING = arch(FanOut("F", (Axis("x", 4),)), Memory("L1", rolling=True))
CONV_HOME = "keep HOME I W O\n"


def test_a_node_rolls_along_the_loop_above_it():
    text = CONV_HOME + "for K 1\nfor P 1\nkeep L1 W\nkeep L1 I rolling\nfor R 1\n"
    assert broken(text, ROLLING, SLIDING) == []


NOT_ABOVE = "keep L1 I rolling: the nearest loop above must be temporal, over a sliding dim of I"


@pytest.mark.parametrize(
    ("above", "inside"),
    [
        ("", "for P 1\nfor K 1\nfor R 1\n"),
        ("for P 1\nfor K 1\n", "for R 1\n"),
        ("for K 1\nparfor P 1 F.x\n", "for R 1\n"),
    ],
)
def test_a_node_rolls_along_no_other_loop(above, inside):
    assert broken(CONV_HOME + above + "keep L1 I rolling\n" + inside, ROLLING, SLIDING) == [NOT_ABOVE]


def test_no_node_beyond_a_fanout_stands_between_a_node_and_its_loop():
    machine = arch(Memory("L2"), FanOut("F", (Axis("x", 4),)), Memory("L1", rolling=True))
    text = CONV_HOME + "for K 1\nfor P 1\nkeep L2 O\nkeep L1 I rolling\nfor R 1\n"
    reason = "keep L1 I rolling: 'keep L2 O', beyond a fan-out, stands between it and its loop"
    assert broken(text, machine, SLIDING) == [reason]


def test_only_a_rolling_memory_rolls():
    machine = arch(Memory("L1"))
    text = CONV_HOME + "for P 1\nkeep L1 I rolling\nfor K 1\nfor R 1\n"
    assert broken(text, machine, SLIDING) == ["keep L1 I rolling: L1 cannot hold a rolling window"]


def test_outputs_and_tensors_that_do_not_slide_cannot_roll():
    text = CONV_HOME + "for P 1\nkeep L1 {} rolling\nfor K 1\nfor R 1\n"
    slide = "the nearest loop above must be temporal, over a sliding dim of"
    assert broken(text.format("W"), ROLLING, SLIDING) == [f"keep L1 W rolling: {slide} W"]
    assert broken(text.format("O"), ROLLING, SLIDING) == [
        "keep L1 O rolling: only inputs and weights can roll",
        f"keep L1 O rolling: {slide} O",
    ]


def test_every_violation_is_reported():
    machine = arch(Memory("L2", size_words=1, read_energy=Fraction(1)), mesh(reduce=False))
    text = "keep HOME A B O\nkeep L2 A\nparfor K 1 F.x\nfor M 1\n"
    assert len(broken(text, machine)) == 4  # reduction dim, axis too short, N not split, L2 too small


def test_tidy_drops_loops_of_one_piece():
    items = (Keep("HOME", "A"), Loop("M", 4), ParFor("K", 3, "F", "x"), Loop("K", 3), Loop("K", 1), Loop("K", 1))
    extents = {"M": 4, "K": 6}
    assert tidy(items, extents) == Mapping((Keep("HOME", "A"), ParFor("K", 3, "F", "x"), Loop("K", 1)))
