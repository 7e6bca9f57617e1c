"""Estimates of memories: they grow with what they should, have the right units, and say where they end."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapper.arch import Basis, Spec, parse_architecture
from mapper.arch.estimate import CELL_LEAK_PW, PARTS, cell_leak_pw, estimate, leak_per_cycle
from mapper.errors import InputError
from mapper.ir import gemm
from mapper.options import Options, solve_layer

QUANTITIES = ("read", "write", "leak_pw", "area_um2")


@st.composite
def grown(draw):
    """A memory that can be estimated, and one that is larger, wider or of an older technology."""
    kind = draw(st.sampled_from(list(PARTS)))
    part = PARTS[kind]

    def between(limits):
        low = draw(st.integers(limits.least, limits.most))
        return low, draw(st.integers(low, limits.most))

    (size, larger), (width, wider), (nm, older) = map(between, (part.sizes, part.widths, part.nodes))
    if kind == "sram":
        size, larger = max(size, 64 * width), max(larger, 64 * wider)
    return kind, (size, width, nm), (larger, wider, older)


@given(grown())
def test_more_costs_no_less(case):
    kind, (size, width, nm), (larger, wider, older) = case
    least = estimate(kind, size, width, nm)
    for more in ((larger, width, nm), (larger, wider, nm), (size, width, older)):
        found = estimate(kind, *more)
        for quantity in QUANTITIES if more[2] == nm else ("read", "write", "area_um2"):
            assert getattr(found, quantity) >= getattr(least, quantity), (quantity, more)
    assert all(getattr(least, quantity) > 0 for quantity in QUANTITIES)


def test_a_2_mib_sram_of_28_nm():
    """Between CACTI's of 32 and 22 nm: 70.7 and 31.6 pJ, 84 and 276 uW, 1.56 and 0.74 um2 a byte."""
    found = estimate("sram", 2 * 2**20 * 8, 64, 28)
    assert 31 < found.read < 71 and 25 < found.write < 60
    assert 80e6 < found.leak_pw < 280e6
    assert 0.74 * 2**21 < found.area_um2 < 1.56 * 2**21
    assert found.remarks == ()


def test_leakage_of_a_cell_between_nodes():
    assert [cell_leak_pw(nm) for nm in CELL_LEAK_PW] == list(CELL_LEAK_PW.values())
    assert CELL_LEAK_PW[32] < cell_leak_pw(28) < CELL_LEAK_PW[22]
    assert cell_leak_pw(16) == CELL_LEAK_PW[22]


def test_leakage_per_cycle():
    """1.47 mW at 1 GHz are 1.47 pJ a cycle."""
    assert leak_per_cycle(1.47e9, 10**9) == Fraction("1.47")
    # what 256 instances leak together has three digits, so that a search can count it
    assert leak_per_cycle(114e3, 10**9, 256) == Fraction("0.03") / 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("flash", 2**20, 64, 45), "no estimate for a memory of kind 'flash' (kinds: sram, rf, dram)"),
        (("sram", None, 64, 45), "no estimate for an unlimited 'sram' (give it a size)"),
        (("sram", 2**20, 64, 7), "no estimate for a technology of 7 nm: the formula holds from 22 to 90 nm"),
        (("sram", 2**33, 64, 28), "a size of 8,589,934,592 bits: the formula holds from 2,048 to 1,073,741,824 bits"),
        (("sram", 2**20, 4, 28), "no estimate for a width of 4 bits: the formula holds from 32 to 1,024 bits"),
        (("sram", 2**11, 64, 28), "no estimate for an SRAM of 2,048 bits accessed 64 at a time (an SRAM has at least"),
        (("rf", 2**20, 16, 28), "no estimate for a size of 1,048,576 bits"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        estimate(*arguments)


def test_what_is_extrapolated_says_so():
    assert estimate("sram", 2**20, 16, 16).remarks == (
        "extrapolated: the width is outside of 32 to 1,024 bits",
        "extrapolated: the technology is outside of 22 to 90 nm",
    )


# -- in specs ----------------------------------------------------------------------------------------------------------

SPEC = """\
name: x
technology: 28 nm
clock: 1 GHz
levels:
  - {memory: D, kind: dram, energy: estimated}
  - {memory: S, kind: sram, size: SIZE, word: 64 bits, energy: estimated}
  - {memory: R, kind: rf, size: 256 B, energy: estimated, read: 0.5, leak: 3 uW, area: 99 um2}
  - {compute: M, energy: 1}
"""


def read(text, size="2 MiB"):
    return parse_architecture(Spec("x.yaml", text.replace("SIZE", size)))


def test_a_memory_that_is_estimated():
    arch = read(SPEC)
    found, memory = estimate("sram", 2**24, 64, 28), arch.memory("S")
    assert (memory.read_energy, memory.write_energy, memory.area_um2) == (found.read, found.write, found.area_um2)
    assert memory.leak_energy == leak_per_cycle(found.leak_pw, 10**9) > 0
    spad = arch.memory("R")  # what is stated counts
    assert (spad.read_energy, spad.leak_energy, spad.area_um2) == (Fraction(1, 2), Fraction(3, 1000), 99)
    assert spad.write_energy == estimate("rf", 2048, 8, 28).write
    origins = {(o.level, o.action): (o.basis, o.confidence) for o in arch.origins}
    assert origins["S", "read"] == origins["R", "write"] == (Basis.ESTIMATED, "estimated")
    assert origins["R", "read"] == origins["R", "leak"] == origins["R", "area"] == (Basis.STATED, "")
    assert "D read, write: 61.7 pJ, estimated, taken for 1 GiB" in arch.sources


def test_what_is_extrapolated_is_remarked_once_for_a_level():
    arch = read(SPEC.replace("word: 64 bits", "word: 16 bits"))
    assert arch.remarks == ("S is estimated, extrapolated: the width is outside of 32 to 1,024 bits",)
    assert read(SPEC).remarks == ()


def test_a_sweep_over_sizes_means_something():
    swept = [read(SPEC, f"{size} KiB").memory("S") for size in (64, 256, 1024, 4096)]
    for quantity in ("read_energy", "write_energy", "leak_energy", "area_um2"):
        values = [getattr(memory, quantity) for memory in swept]
        assert values == sorted(set(values)), quantity


def test_a_search_can_count_what_is_estimated():
    """Leakage included, of a layer of 2 G operations."""
    text = SPEC.replace("  - {memory: R", "  - {fanout: F, axes: {x: 16, y: 16}}\n  - {memory: R").replace(
        ", leak: 3 uW", ""
    )
    arch = read(text)
    assert arch.memory("R").leak_energy > 0 and 1000 % arch.prices.denominator == 0
    result = solve_layer(gemm(M=1024, N=2048, K=1024), arch, Options(deterministic_limit=0.5))
    assert result.cost.energy > 0


def test_all_memories_at_once():
    each = read(SPEC)
    text = SPEC.replace(", energy: estimated", "").replace("levels:", "energies: estimated\nlevels:")
    assert read(text).levels == each.levels


def test_a_technology_of_its_own():
    text = SPEC.replace("kind: dram,", "kind: dram, technology: 0.045 um,")
    assert read(text).memory("D").read_energy == estimate("dram", None, 8, 45).read


def test_beside_a_table():
    text = SPEC.replace("technology: 28 nm", "technology: 45 nm\nenergies: horowitz_45nm").replace(
        "{compute: M, energy: 1}", "{compute: M, kind: int}"
    )
    bases = {(o.level, o.action): o.basis for o in read(text).origins}
    assert (bases["S", "read"], bases["M", "operation"]) == (Basis.ESTIMATED, Basis.TABLE)


def test_without_a_clock_leakage_has_no_price():
    arch = read(SPEC.replace("clock: 1 GHz\n", "").replace(", leak: 3 uW", ""))
    assert arch.leak_energy == 0 and not [o for o in arch.origins if o.action == "leak"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("technology: 28 nm\n", "", "x.yaml:4:23: D is estimated for a technology (add technology: 28 nm, here or to"),
        (
            "kind: dram, ",
            "",
            "x.yaml:5:25: D is estimated by its kind, which is missing (add kind: sram or rf or dram)",
        ),
        ("kind: dram", "kind: hbm", "x.yaml:5:23: D: no estimate for a memory of kind 'hbm' (kinds: sram, rf, dram)"),
        ("28 nm", "5 nm", "S: no estimate for a technology of 5 nm"),
        (
            "energy: estimated",
            "energy: guessed",
            "x.yaml:5:37: energy of D can be 'estimated' only (state read and write as",
        ),
        ("clock: 1 GHz", "energy_unit: MAC", "estimates are in pJ, and energies of this spec in MAC"),
        (
            "dram, energy: estimated",
            "dram, technology: 45 nm",
            "x.yaml:5:41: D is not estimated (add energy: estimated)",
        ),
        ("{compute: M,", "{compute: M, kind: int,", "a kind is looked up in a table, and the spec names none"),
    ],
)
def test_errors(old, new, message):
    with pytest.raises(InputError) as error:
        read(SPEC.replace(", leak: 3 uW", "").replace(old, new))
    assert message in str(error.value)


def test_an_operation_is_not_estimated():
    text = SPEC.replace("levels:", "energies: estimated\nlevels:").replace("{compute: M, energy: 1}", "{compute: M}")
    with pytest.raises(InputError, match=r"9:5: M has no energy, and estimates are of memories only"):
        read(text)


def test_what_is_stated_in_full_is_not_estimated():
    """Of no kind, or of a technology that there are no estimates for."""
    text = SPEC.replace("levels:", "energies: estimated\nlevels:").replace(", energy: estimated", "")
    memory = read(text.replace("kind: dram", "read: 7, write: 8")).memory("D")
    assert (memory.read_energy, memory.write_energy, memory.area_um2) == (7, 8, None)
    full = "kind: flash, read: 7, write: 8, leak: 0, area: 5 mm2"
    assert read(text.replace("kind: dram", full)).memory("D").area_um2 == 5 * 10**6
    part = read(text.replace("kind: dram", "kind: dram, read: 7, write: 8")).memory("D")
    assert (part.read_energy, part.area_um2) == (7, estimate("dram", None, 8, 28).area_um2)


def test_a_kind_of_other_levels_is_not_estimated():
    text = SPEC.replace("levels:", "energies: estimated\nlevels:").replace("{compute: M,", "{compute: M, kind: int,")
    with pytest.raises(InputError, match=r"9:\d+: estimates are of memories only"):
        read(text)
