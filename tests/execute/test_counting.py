"""The counting executor on cases small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import Case, cases
from tallies import accessed, moved

from backends.execute import Execution, counting, execute, machine
from backends.execute.program import lower
from backends.execute.reference import reference
from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.errors import InputError, MissingExtraError, VerificationError
from mapper.ir import LoopNest, Role, gemm, parse_nest
from mapper.mapping import parse_mapping

DRAM, GLB, RF, MAC = Memory("DRAM"), Memory("GLB", rolling=True), Memory("RF"), Compute("MAC")
PE = FanOut("PE", (Axis("x", 4),))
NONE = (0, 0)


def operands(nest: LoopNest) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {t.name: rng.integers(-8, 9, nest.shape(t)).astype(float) for t in nest.tensors if t is not nest.output}


def run(nest: LoopNest, levels: tuple, text: str) -> Execution:
    """Execute, compare with the reference."""
    found = execute(nest, Architecture("test", levels), parse_mapping(text), operands(nest))
    assert np.array_equal(found.output, reference(nest, operands(nest)))
    assert found.counts.operations == nest.operations
    return found


def test_temporal_loops_on_three_levels():
    """O[m,n] += A[m,k] * B[k,n], each extent 2.

    GLB.A, GLB.O: 2 runs of 2 words; GLB.B: 4 runs (m, k) of 2 words; RF: 8 runs (m, k, n) of one word each.
    RF.O drains 8 words into GLB.O; of these 4, those of k = 1, find a partial sum, which is re-filled first and read
    again when the operation is added to it. GLB.O drains 4 complete words, finds none in DRAM.
    """
    counts = run(
        gemm(M=2, N=2, K=2),
        (DRAM, GLB, RF, MAC),
        """
        keep DRAM A B O
        for M 1
        keep GLB A O
        for K 1
        keep GLB B
        for N 1
        keep RF A B O
        """,
    ).counts
    assert accessed(counts) == {
        ("DRAM", "A"): (4, 0),
        ("DRAM", "B"): (8, 0),
        ("DRAM", "O"): (0, 4),
        ("GLB", "A"): (8, 4),
        ("GLB", "B"): (8, 8),
        ("GLB", "O"): (4 + 4, 8),
        ("RF", "A"): (8, 8),
        ("RF", "B"): (8, 8),
        ("RF", "O"): (8 + 4, 4 + 8),
    }
    assert moved(counts) == {} and counts.steps == 8


def test_a_group_that_reduces_is_refilled_once():
    """K = 4 as two passes over two instances that add: each pass drains 2 words, adds one to the other, writes one.

    The second pass finds a partial sum: one read in DRAM, one word delivered to the first instance, which reads it to
    add its product; the other begins from zero.
    """
    counts = run(gemm(K=4), (DRAM, PE, RF, MAC), "keep DRAM A B O\nfor K 2\nparfor K 1 PE.x\nkeep RF A B O\n").counts
    assert accessed(counts) == {
        ("DRAM", "A"): (4, 0),
        ("DRAM", "B"): (4, 0),
        ("DRAM", "O"): (1, 2),
        ("RF", "A"): (4, 4),
        ("RF", "B"): (4, 4),
        ("RF", "O"): (4 + 1, 1 + 4),
    }
    assert moved(counts) == {("PE", "A"): (4, 0), ("PE", "B"): (4, 0), ("PE", "O"): (1, 2)}
    assert counts.steps == 2


@pytest.mark.parametrize(("multicast", "reads"), [({Role.WEIGHT}, 3), (set(), 6)])
def test_multicast(multicast, reads):
    """Two instances, one for each m, need all 3 words of B[k]; A[m,k] differs."""
    fanout = replace(PE, multicast=frozenset(multicast))
    counts = run(
        gemm(M=2, K=3), (DRAM, fanout, RF, MAC), "keep DRAM A B O\nparfor M 1 PE.x\nkeep RF A B O\nfor K 1\n"
    ).counts
    assert accessed(counts)["DRAM", "B"] == (reads, 0)
    assert accessed(counts)["RF", "B"] == (6, 6)
    assert accessed(counts)["DRAM", "A"] == (6, 0)
    assert moved(counts) == {("PE", "A"): (6, 0), ("PE", "B"): (6, 0), ("PE", "O"): NONE}


def test_bypass_below_a_spatial_loop():
    """Operands come from the GLB for each of 3 steps: one word of B for both instances, a word of A for each."""
    counts = run(
        gemm(M=2, K=3),
        (DRAM, GLB, PE, RF, MAC),
        "keep DRAM A B O\nkeep GLB A B O\nparfor M 1 PE.x\nkeep RF O\nfor K 1\n",
    ).counts
    assert accessed(counts) == {
        ("DRAM", "A"): (6, 0),
        ("DRAM", "B"): (3, 0),
        ("DRAM", "O"): (0, 2),
        ("GLB", "A"): (6, 6),
        ("GLB", "B"): (3, 3),
        ("GLB", "O"): (2, 2),
        ("RF", "O"): (2 * 2 + 2, 6),
    }
    assert moved(counts) == {("PE", "A"): (6, 0), ("PE", "B"): (6, 0), ("PE", "O"): NONE}
    assert counts.steps == 3


def test_products_added_on_the_way():
    """K = 5 on instances of 3 and 2: in the third step only the first works. Two products are added in the network.

    The parent adds what arrives: three writes, and a read for each but the first.
    """
    counts = run(gemm(K=5), (DRAM, GLB, PE, MAC), "keep DRAM A B O\nkeep GLB A B O\nparfor K 3 PE.x\nfor K 1\n").counts
    assert accessed(counts)["GLB", "A"] == (5, 5)
    assert accessed(counts)["GLB", "O"] == (2 + 1, 3)
    assert moved(counts) == {("PE", "A"): (5, 0), ("PE", "B"): (5, 0), ("PE", "O"): (0, 2)}
    assert counts.steps == 3


def test_two_networks_share_where_they_can():
    """M = 4 over two fan-outs, of which only the inner multicasts: the word of B is read and delivered twice over the
    outer one and arrives 4 times over the inner one."""
    outer = FanOut("N1", (Axis("x", 2),), multicast=frozenset())
    inner = FanOut("N2", (Axis("x", 2),))
    text = "keep DRAM A B O\nparfor M 2 N1.x\nparfor M 1 N2.x\nkeep RF B\n"
    counts = run(gemm(M=4), (DRAM, outer, inner, RF, MAC), text).counts
    assert accessed(counts)["DRAM", "B"] == (2, 0)
    assert accessed(counts)["RF", "B"] == (4, 4)
    assert (moved(counts)["N1", "B"], moved(counts)["N2", "B"]) == ((2, 0), (4, 0))
    assert (moved(counts)["N1", "A"], moved(counts)["N2", "A"]) == ((4, 0), (4, 0))
    assert counts.steps == 1


def test_clipped_loops():
    """M = 5 by 2 by 1: pieces of 2, 2, 1. A's words are loaded once, the word of B once per piece: 3 times in the GLB.
    In the RF, instances of 2 and 1: 5 times, one read in the GLB for each of 2 + 2 + 1 steps."""
    counts = run(
        gemm(M=5), (DRAM, GLB, RF, MAC), "keep DRAM A B O\nfor M 2\nkeep GLB A B\nfor M 1\nkeep RF B O\n"
    ).counts
    assert accessed(counts)["GLB", "A"] == (5, 5)
    assert accessed(counts)["GLB", "B"] == (5, 3)
    assert accessed(counts)["RF", "O"] == (5, 5)
    assert counts.steps == 5


def test_clipped_instances():
    """M = 5 on 2 instances of 3 and 2, in steps of 2: (2, 2), then (1, none). B is asked for in two steps."""
    counts = run(
        gemm(M=5), (DRAM, PE, RF, MAC), "keep DRAM A B O\nparfor M 3 PE.x\nfor M 2\nkeep RF A B O\nfor M 1\n"
    ).counts
    assert accessed(counts)["DRAM", "B"] == (2, 0)
    assert accessed(counts)["RF", "B"] == (5, 3)
    assert accessed(counts)["RF", "A"] == (5, 5)
    assert counts.steps == 2 + 1


@pytest.mark.parametrize(
    ("stride", "step", "rolling", "loaded"),
    [
        (1, 1, "rolling", 3 + 1 + 1 + 1 + 1),
        (1, 1, "", 5 * 3),
        (1, 2, "rolling", 4 + 2 + 1),  # the last piece is clipped
        (2, 1, "rolling", 3 + 4 * 2),
        (4, 1, "rolling", 5 * 3),  # nothing shared
    ],
)
def test_rolling_window(stride, step, rolling, loaded):
    """O[p] += I[stride * p + r] * W[r], P = 5, R = 3."""
    nest = parse_nest(f"O[P] += I[{stride}*P+R] * W[R] {{P=5 R=3}}")
    text = f"keep DRAM I W O\nfor P {step}\nkeep GLB O\nkeep GLB I {rolling}\nfor P 1\nfor R 1\n"
    counts = run(nest, (DRAM, GLB, MAC), text).counts
    assert accessed(counts)["DRAM", "I"] == (loaded, 0)
    assert accessed(counts)["GLB", "I"] == (15, loaded)


def test_tiles_larger_than_an_address_table():
    """Only the home: each operation reads both operands, and the sum unless it is the first of its 35."""
    nest = gemm(M=31, N=33, K=35)
    counts = run(nest, (DRAM, MAC), "keep DRAM A B O\nfor M 1\nfor N 1\nfor K 1\n").counts
    assert accessed(counts)["DRAM", "A"] == (nest.operations, 0)
    assert accessed(counts)["DRAM", "O"] == (31 * 33 * 34, nest.operations)
    assert counts.steps == nest.operations


@given(cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_address_tables_change_nothing(case: Case):
    with pytest.MonkeyPatch.context() as patch:
        whole = execute(*case, operands(case.nest))
        patch.setattr(machine, "CHUNK", 3)
        parts = execute(*case, operands(case.nest))
    assert parts.counts == whole.counts
    assert np.array_equal(parts.output, whole.output)
    assert np.array_equal(whole.output, reference(case.nest, operands(case.nest)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep DRAM A B\nfor K 1\n", "begin with the homes"),
        ("for K 1\nkeep DRAM A B O\n", "begin with the homes"),
        ("keep DRAM A B O\nfor X 1\n", "for X 1: unknown name"),
        ("keep DRAM A B O\nkeep L2 A\nfor K 1\n", "keep L2 A: unknown name"),
        ("keep DRAM A B O\nfor K 2\n", "dim K is not split completely: pieces of 2 remain"),
        ("keep DRAM A B O\nkeep RF A\nfor K 1\n", "RF has 3 words, the tiles kept in it take 4"),
        ("keep DRAM A B O\nfor K 2\nkeep L1 A\nfor K 1\n", "L1 has 3 words, the tiles kept in it take 2 x 2"),
        ("keep DRAM A B O\nfor K 1\nkeep RF A\nkeep RF A\n", "already kept"),
        ("keep DRAM A B O\nparfor K 1 ADD.x\n", "ADD.x has 3 instances, not 4"),
        ("keep DRAM A B O\nparfor K 2 PE.x\nfor K 1\n", "PE cannot add the partial sums"),
        ("keep DRAM A B O\nfor K 1\nkeep RF A\nparfor K 1 ADD.x\n", "a node that lies below ADD stands above"),
        ("keep DRAM A B O\nparfor K 2 ADD.x\nkeep GLB A\nfor K 1\n", "a spatial loop of a fan-out below GLB"),
        ("keep DRAM A B O\nfor K 1\nkeep GLB A rolling\n", "no temporal loop over a sliding dim of A"),
        ("keep DRAM A B O\nfor K 1\nkeep RF O rolling\n", "cannot hold a rolling window of O"),
    ],
)
def test_what_the_hardware_cannot_run(text, message):
    nest = gemm(K=4)
    levels = (DRAM, GLB, FanOut("ADD", (Axis("x", 3),)), replace(PE, reduce=False), Memory("RF", 3))
    levels += (Memory("L1", 3, double_buffered=True), MAC)
    with pytest.raises(VerificationError, match=message):
        execute(nest, Architecture("test", levels), parse_mapping(text), operands(nest))


NODES = (DRAM, GLB, MAC), "keep DRAM A B O\nfor M 2\nkeep GLB A B O\nfor K 1\nfor M 1\n"


def corrupted(monkeypatch, change):
    """Execute with a machine or program that is wrong."""
    nest = gemm(M=4, K=3)
    build = counting.machine

    def broken(lowered, *rest):
        state = build(lowered, *rest)
        change(lowered.program, state)
        return state

    monkeypatch.setattr(counting, "machine", broken)
    return run(nest, *NODES)


def test_poison_is_found(monkeypatch):
    def lose_a_word(program, state):
        state.store[program.nodes[0]["base"] + 5] = np.nan

    with pytest.raises(VerificationError, match="A in DRAM: a word is used that was never loaded"):
        corrupted(monkeypatch, lose_a_word)


def test_words_outside_the_tile_are_found(monkeypatch):
    def wrong_coefficient(program, state):
        program.terms["coef"][0, 0] = 2

    with pytest.raises(VerificationError, match="A in DRAM: a word is asked for that lies outside"):
        corrupted(monkeypatch, wrong_coefficient)


def test_a_wrong_stride_is_found(monkeypatch):
    """Operations that read other words of a tile give a result that is not the reference's."""

    def wrong_stride(program, state):
        state.table_stride[6, 0, 1] += 2  # A, along K

    with pytest.raises(AssertionError, match="array_equal"):
        corrupted(monkeypatch, wrong_stride)


def test_results_that_are_missing_are_found(monkeypatch):
    def skip_rows(program, state):
        state.length[0, 0, 0] = 3

    with pytest.raises(VerificationError, match="O in DRAM: a word of the result lacks some of its products"):
        corrupted(monkeypatch, skip_rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": None}, "no values for operand A"),
        ({"A": np.zeros((3, 2))}, r"A has shape \(3, 2\), not \(2, 3\)"),
        ({"B": np.full((3, 1), np.nan)}, "operand B holds values that are not finite"),
    ],
)
def test_operands_that_do_not_fit(change, message):
    nest = gemm(M=2, K=3)
    given_ = {k: v for k, v in {**operands(nest), **change}.items() if v is not None}
    with pytest.raises(InputError, match=message):
        execute(nest, Architecture("test", (DRAM, MAC)), parse_mapping("keep DRAM A B O\nfor M 1\nfor K 1\n"), given_)


def test_without_numba(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "backends.execute.kernel", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewright\[verify\]'"):
        run(gemm(M=4, K=3), *NODES)


def test_groups_are_named_by_their_first_instance():
    """parfor M 1 (2), parfor K 1 (2): A[m,k] is everyone's own, B[k] is shared along M, O[m] along K."""
    text = "keep DRAM A B O\nparfor M 1 PE.x\nparfor K 1 PE.x\nkeep RF A B O\n"
    program = lower(gemm(M=2, K=2), Architecture("test", (DRAM, PE, RF, MAC)), parse_mapping(text)).program
    groups = {int(node["tensor"]): program.group[node["group_row"]].tolist() for node in program.nodes[3:6]}
    assert groups == {0: [0, 1, 2, 3], 1: [0, 1, 0, 1], 2: [0, 0, 2, 2]}


@pytest.mark.parametrize(
    ("rows", "message"), [(10**20, "1e.20 operations or words"), (10**13, "2e.13 words, each of 12 bytes")]
)
def test_what_no_machine_can_hold_is_refused(rows, message, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(counting, "machine", full)
    monkeypatch.setattr(counting, "operand", lambda *_: np.zeros(1))
    with pytest.raises(InputError, match=f"too large to execute: .*{message}"):
        execute(gemm(M=rows), Architecture("test", (DRAM, MAC)), parse_mapping("keep DRAM A B O\nfor M 1\n"), {})
