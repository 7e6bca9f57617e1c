"""Explanations: their parts add up to the counts, and say which loops multiply."""

import math

import pytest
from hypothesis import given
from strategies import cases

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.cost import count
from mapper.cost.explain import explain
from mapper.errors import InputError
from mapper.ir import gemm, parse_nest
from mapper.mapping import parse_mapping

LEVELS = (
    Memory("DRAM"),
    Memory("GLB", rolling=True),
    FanOut("PE", (Axis("x", 4),), halo=True),
    Memory("RF"),
    Compute("MAC"),
)
ARCH = Architecture("test", LEVELS)


@given(cases())
def test_parts_add_up_to_the_counts(case):
    for (memory, tensor), access in count(*case).accesses.items():
        parts = explain(*case, memory, tensor).parts
        for part in parts:
            assert part.total == math.prod(factor.value for factor in part.factors) - part.fresh
        totals = {d: sum(part.total for part in parts if part.direction == d) for d in ("reads", "writes")}
        assert totals == {"reads": access.reads, "writes": access.writes}


@given(cases())
def test_formulas_of_ranks_give_their_factors(case):
    """What is printed as a formula is one."""
    for memory, tensor in count(*case).accesses:
        for factor in (factor for part in explain(*case, memory, tensor).parts for factor in part.factors):
            if "pieces: " in factor.why:
                formula = factor.why.split("pieces: ")[1].replace(", less", " -").split(" that")[0]
                assert eval(formula) == factor.value


def factors(part):
    return {factor.dims: (factor.value, factor.loops) for factor in part.factors}


def test_a_shared_operand():
    """B[k] is loaded for each part of M in time, once for the instances of M in space."""
    nest, text = gemm(M=8, K=3), "keep DRAM A B O\nfor M 4\nparfor M 2 PE.x\nkeep RF B\nfor K 1\nfor M 1\n"
    found = explain(nest, ARCH, parse_mapping(text), "DRAM", "B")
    assert factors(found.parts[0]) == {
        ("M",): (2, ("for M 4", "parfor M 2 PE.x")),
        ("K",): (3, ()),
    }
    why = {factor.dims: factor.why for factor in found.parts[0].factors}
    assert why["M",] == "irrelevant: instances of parfor M 2 PE.x count once, the other loops multiply"
    assert why["K",] == "relevant: its pieces add up to the dim, however it is cut"
    own = explain(nest, ARCH, parse_mapping(text), "RF", "B")
    assert [part.direction for part in own.parts] == ["writes", "reads"]
    assert factors(own.parts[0])["M",] == (4, ("for M 4", "parfor M 2 PE.x"))
    assert own.inside == ("for K 1", "for M 1")


def test_partial_sums_begin_from_zero():
    """K = 6 in 3 parts over 2 instances: 3 groups of 2 start; the first from zero, the parent re-fills the others."""
    text = "keep DRAM A B O\nfor K 2\nparfor K 1 PE.x\nkeep RF O\n"
    drains, refills, _, _ = explain(gemm(K=6), ARCH, parse_mapping(text), "RF", "O").parts
    assert (drains.direction, drains.total, drains.fresh) == ("reads", 6, 0)
    assert (refills.direction, refills.total, refills.fresh) == ("writes", 2, 1)


@pytest.mark.parametrize(
    ("text", "memory", "saved"),
    [
        (
            "keep DRAM I W O\nfor P 2\nkeep GLB I rolling\nfor P 1\nfor R 1\n",
            "GLB",
            "consecutive tiles share by rolling",
        ),
        ("keep DRAM I W O\nparfor P 2 PE.x\nkeep RF I\nfor P 1\nfor R 1\n", "DRAM", "neighbours share"),
    ],
)
def test_overlaps_that_are_saved(text, memory, saved):
    """P = 6 in 3 pieces of 2, R = 3: boxes of 4, 12 words in all, of which 8 are different."""
    nest = parse_nest("O[P] += I[P+R] * W[R] {P=6 R=3}")
    part = explain(nest, ARCH, parse_mapping(text), memory, "I").parts[0]
    assert part.total == 8
    assert part.factors[0].why == f"relevant, 3 x 1 pieces: 1*3*1 + 1*2*3 + 3, less 4 that {saved}"


def test_a_node_that_is_not_there():
    mapping = parse_mapping("keep DRAM A B O\nkeep GLB A\nfor K 1\n")
    with pytest.raises(InputError, match=r"no storage node GLB:B \(did you mean GLB:A\?\)"):
        explain(gemm(K=2), ARCH, mapping, "GLB", "B")
