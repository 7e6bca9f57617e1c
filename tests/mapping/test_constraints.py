"""Constraints against a layer: names, what a mapping breaks, and what cannot hold together."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases, convs

from mapper.arch import (
    Above,
    Architecture,
    Axis,
    Compute,
    FanOut,
    Kept,
    Memory,
    Only,
    Relation,
    Spatial,
    Tile,
    parse_constraint,
)
from mapper.errors import InputError
from mapper.ir import Role, conv, dim_roles, gemm, named, parse_nest
from mapper.mapping import Keep, ParFor, parse_mapping, violations
from mapper.mapping.constraints import broken, resolve
from mapper.mapping.contradictions import contradictions

INPUT, WEIGHT, OUTPUT = Role
EQUAL, AT_MOST, AT_LEAST = Relation

NEST = conv(K=384, C=64, P=12, R=3)
CORE = FanOut("CORE", (Axis("z", 2), Axis("x", 2)), reduce=False)
PE = FanOut("PE", (Axis("x", 16), Axis("y", 11, frozenset({"K", "C", "R"}))))
ARCH = Architecture(
    "tiny",
    (
        Memory("DRAM"),
        Memory("GLB", may_keep=frozenset({INPUT, OUTPUT}), must_keep=frozenset({OUTPUT})),
        CORE,
        Memory("L2"),
        Memory("L1"),
        PE,
        Memory("RF", size_words=64),
        Compute("MAC"),
    ),
)


def parsed(*texts):
    return [constraint for text in texts for constraint in parse_constraint(text)]


def resolved(*texts, nest=NEST, arch=ARCH, strict=True):
    return resolve(parsed(*texts), nest, arch, strict=strict)


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("K spatial PE.x = 16", ["K spatial PE.x = 16"]),
        ("K spatial PE = all", ["K spatial PE = 384"]),
        ("K spatial y <= 2", ["K spatial PE.y <= 2"]),
        ("y only K", ["PE.y only K"]),
        ("K,P tile RF:weight = all", ["K tile RF:W = 384", "P tile RF:W = 12"]),
        ("K tile RF >= 2", ["K tile RF:I >= 2", "K tile RF:W >= 2", "K tile RF:O >= 2"]),
        ("K tile GLB >= 2", ["K tile GLB:I >= 2", "K tile GLB:O >= 2"]),  # which keeps no weights
        ("keep RF:weight,W", ["keep RF:W"]),
        ("bypass RF:input,output", ["bypass RF:I", "bypass RF:O"]),
        ("RF:output above RF:input", ["RF:O above RF:I"]),
        ("N,G spatial PE.x = 1", ["N spatial PE.x = 1", "G spatial PE.x = 1"]),
    ],
)
def test_names_become_those_of_the_layer_and_the_machine(text, full):
    for strict in (True, False):
        assert [str(c) for c in resolved(text, strict=strict)] == full


def test_a_name_counts_before_a_role():
    nest = parse_nest("O[m] += weight[m] * F[m] {m=4}")
    assert [str(c) for c in resolved("keep RF:weight,input", nest=nest)] == ["keep RF:weight"]


GEMM = gemm(M=4, N=2, K=6)


def test_what_a_spec_says_of_other_layers_is_left_out():
    texts = [
        "C spatial PE.x = 2",
        "M,C spatial PE.x = 2",
        "PE.x only K,C",  # says that M and N are not unrolled
        "PE.y only C",
        "K,P tile RF:W,weight = 2",
        "keep L2:I,A",
        "RF:W above RF:A",
        "RF:weight above RF:output",
    ]
    assert [str(c) for c in resolved(*texts, nest=GEMM, strict=False)] == [
        "M spatial PE.x = 2",
        "PE.x only K,C",
        "PE.y only C",
        "K tile RF:B = 2",
        "keep L2:A",
        "RF:B above RF:O",
    ]


DIMS, TENSORS = "known: K, M, N", "known: A, B, O, input, output, weight"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C spatial PE.x = 2", f"C spatial PE.x = 2: the layer has no dim C ({DIMS})"),
        ("k spatial PE.x = 2", "k spatial PE.x = 2: the layer has no dim k (did you mean K?)"),
        ("PE.x only K,C", f"PE.x only K,C: the layer has no dim C ({DIMS})"),
        ("C tile L2 = 2", f"C tile L2 = 2: the layer has no dim C ({DIMS})"),
        ("K tile L2:I = 2", f"K tile L2:I = 2: the layer has no tensor I ({TENSORS})"),
        ("keep L2:I", f"keep L2:I: the layer has no tensor I ({TENSORS})"),
        ("keep L2:inptu", "keep L2:inptu: the layer has no tensor inptu (did you mean input?)"),
        ("RF:W above RF:A", f"RF:W above RF:A: the layer has no tensor W ({TENSORS})"),
        ("RF:A above RF:W", f"RF:A above RF:W: the layer has no tensor W ({TENSORS})"),
    ],
)
def test_dims_and_tensors_that_the_layer_does_not_have(text, message):
    with pytest.raises(InputError) as error:
        resolved(text, nest=GEMM)
    assert str(error.value) == message
    assert len(resolved(text, nest=GEMM, strict=False)) == text.startswith("PE.x only")


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep L3:O", "keep L3:O: no memory L3 (known: DRAM, GLB, L1, L2, RF)"),
        ("M spatial PE.z = 2", "M spatial PE.z = 2: fan-out PE has no axis z (known: x, y)"),
        ("M spatial x = 2", "M spatial x = 2: several fan-outs have an axis x (write CORE.x or PE.x)"),
        ("PEE only M", "PEE only M: no fan-out or axis PEE (did you mean PE?)"),
    ],
)
def test_places_that_the_machine_does_not_have(text, message, strict):
    with pytest.raises(InputError) as error:
        resolved(text, nest=GEMM, strict=strict)
    assert str(error.value) == message


def test_all_problems_are_in_one_error():
    with pytest.raises(InputError) as error:
        resolved("C spatial Q.x = 2", "keep RF:A", "keep L9:A", "K,C tile L2:W = 2", nest=GEMM)
    assert str(error.value).splitlines() == [
        "C spatial Q.x = 2: no fan-out Q (known: CORE, PE)",
        f"C spatial Q.x = 2: the layer has no dim C ({DIMS})",
        "keep L9:A: no memory L9 (known: DRAM, GLB, L1, L2, RF)",
        f"K tile L2:W = 2: the layer has no tensor W ({TENSORS})",
        f"C tile L2:W = 2: the layer has no dim C ({DIMS})",
        f"C tile L2:W = 2: the layer has no tensor W ({TENSORS})",
    ]


# -- what a mapping breaks ---------------------------------------------------------------------------------------------

# K: 384 -> 100 (clipped) -> 13 (8 instances along x) -> 7 (2 along y) -> 1; R: 3 -> 1 (3 along y)
MAPPING = parse_mapping(
    "keep DRAM I W O\nkeep GLB O\nfor K 100\nkeep L2 W\nparfor K 13 PE.x\nparfor K 7 PE.y\nparfor R 1 PE.y\n"
    "for C 1\nfor P 2\nkeep RF I\nfor P 1\nkeep RF O\nfor K 1\n"
)


def broke(*texts):
    return broken(resolved(*texts), NEST, ARCH, MAPPING)


def test_the_mapping_is_legal():
    assert violations(NEST, ARCH, MAPPING) == []


@pytest.mark.parametrize(
    ("text", "actual"),
    [
        ("K spatial PE.x = 16", "it is unrolled over 8"),
        ("K spatial PE.x <= 7", "it is unrolled over 8"),
        ("K spatial PE.x >= 9", "it is unrolled over 8"),
        ("K spatial PE = 8", "it is unrolled over 16"),
        ("C spatial PE.x = 2", "it is unrolled over 1"),
        ("R spatial PE = 1", "it is unrolled over 3"),
        ("PE.x only R", "K is unrolled over 8"),
        ("PE.y only C", "K is unrolled over 2 and R is unrolled over 3"),
        ("PE only K", "R is unrolled over 3"),
        ("K tile L2:W = 384", "it is 100"),
        ("K tile L2:W >= 101", "it is 100"),
        ("K tile L2:W <= 99", "it is 100"),
        ("K tile GLB:O <= 100", "it is 384"),
        ("P tile RF:I = 1", "it is 2"),
        ("R tile RF:O = 3", "it is 1"),
        ("keep RF:W", "it is not kept"),
        ("bypass RF:I", "it is kept"),
        ("RF:O above RF:I", "RF:O stands inside"),
        ("DRAM:W above DRAM:O", "nothing stands above the nodes of the home DRAM"),
        ("L2:W above DRAM:O", "nothing stands above the nodes of the home DRAM"),
    ],
)
def test_what_is_broken_comes_with_the_actual_value(text, actual):
    assert broke(text) == [f"{text}: {actual}"]


@pytest.mark.parametrize(
    "text",
    [
        "K spatial PE.x = 8",
        "K spatial PE.x <= 8",
        "K spatial PE.x >= 8",
        "K spatial PE = 16",
        "N,C,P spatial PE = 1",
        "K spatial CORE = 1",
        "PE.x only K",
        "PE only K,R",
        "CORE only C",
        "K tile L2:W = 100",
        "K tile GLB:O = all",
        "K tile L1 = 5",  # which keeps nothing
        "P tile RF <= 2",
        "keep RF:I,O",
        "bypass RF:W",
        "RF:I above RF:O",
        "RF:W above RF:O",  # of which one is not kept
        "RF:O above RF:W",
        "DRAM:W above GLB:O",
    ],
)
def test_what_is_not_broken(text):
    assert broke(text) == []


def test_the_tile_of_a_rolling_node_is_its_extent_all_the_same():
    nest = conv(K=2, P=4, R=3)
    arch = Architecture("tiny", (Memory("HOME"), Memory("L1", rolling=True), Compute("MAC")))
    mapping = parse_mapping("keep HOME I W O\nfor K 1\nfor P 2\nkeep L1 I rolling\nfor P 1\nfor R 1\n")
    assert violations(nest, arch, mapping) == []
    constraints = resolved("P,R tile L1:I = 1", nest=nest, arch=arch)
    assert broken(constraints, nest, arch, mapping) == ["P tile L1:I = 1: it is 2", "R tile L1:I = 1: it is 3"]


def test_everything_that_is_broken_is_reported_in_order():
    assert broke("keep RF:W", "K spatial PE.x = 8", "bypass RF:O") == [
        "keep RF:W: it is not kept",
        "bypass RF:O: it is kept",
    ]


@st.composite
def constrained(draw):
    """A case with constraints of every kind, on what it does and does not do."""
    case = draw(cases())
    places = [(f.name, axis) for f in case.arch.fanouts for axis in (None, *(a.name for a in f.axes))]
    dims = st.sampled_from([d for d, _ in case.nest.dims])
    memory, tensor = (st.sampled_from([x.name for x in xs]) for xs in (case.arch.memories, case.nest.tensors))
    relation, value = st.sampled_from(Relation), st.integers(1, 4) | st.integers(1, 9)
    kinds = [
        st.builds(Tile, dims, memory, tensor, relation, value),
        st.builds(Kept, memory, tensor, st.booleans()),
        st.builds(Above, st.tuples(memory, tensor), st.tuples(memory, tensor)),
    ]
    if places:
        place = st.sampled_from(places)
        kinds.append(st.builds(lambda d, p, r, v: Spatial(d, *p, r, v), dims, place, relation, value))
        kinds.append(st.builds(lambda p, ds: Only(*p, tuple(ds)), place, st.lists(dims, min_size=1, unique=True)))
    return case, draw(st.lists(st.one_of(kinds), max_size=8, unique=True))


def pieces(n, step):
    return [min(step, n - start) for start in range(0, n, step)]


def facts(case):
    """Instances by (fan-out, axis, dim) and extents by node, walking down the largest pieces of the mapping's text."""
    tile, instances, extents = dict(case.nest.dims), {}, {}
    for line in str(case.mapping).splitlines():
        word, name, *rest = line.split()
        if word == "keep":
            for tensor in [word for word in rest if word != "rolling"]:
                extents[name, tensor] = dict(tile)
            continue
        parts = pieces(tile[name], int(rest[0]))
        tile[name] = max(parts)
        if word == "parfor":
            key = (*rest[1].split("."), name)
            instances[key] = instances.get(key, 1) * len(parts)
    return instances, extents


def keeps_to(constraint, case):
    """Whether a mapping keeps to a constraint, from its facts."""
    instances, extents = facts(case)
    order = list(extents)
    match constraint:
        case Spatial(dim, fanout, axis, relation, value):
            along = [n for (f, a, d), n in instances.items() if f == fanout and d == dim and (not axis or a == axis)]
            product = 1
            for n in along:
                product *= n
            return {"=": product == value, "<=": product <= value, ">=": product >= value}[relation]
        case Only(fanout, axis, dims):
            used = {d for (f, a, d), n in instances.items() if f == fanout and n > 1 and (not axis or a == axis)}
            return used <= set(dims)
        case Tile(dim, memory, tensor, relation, value):
            if (memory, tensor) not in extents:
                return True
            n = extents[memory, tensor][dim]
            return {"=": n == value, "<=": n <= value, ">=": n >= value}[relation]
        case Kept(memory, tensor, kept):
            return kept == ((memory, tensor) in extents)
        case Above(outer, inner):
            if outer not in extents or inner not in extents:
                return True
            return inner[0] != case.arch.home.name and order.index(outer) < order.index(inner)


@given(constrained())
def test_what_is_broken_agrees_with_the_facts(drawn):
    case, constraints = drawn
    found = broken(resolve(constraints, case.nest, case.arch, strict=True), *case)
    for constraint in constraints:
        assert any(line.startswith(f"{constraint}: ") for line in found) != keeps_to(constraint, case), constraint
    assert len(found) <= len(constraints)


# -- contradictions ----------------------------------------------------------------------------------------------------


def against(*texts, perfect=True, arch=ARCH, nest=NEST):
    return contradictions(resolved(*texts, arch=arch, nest=nest), nest, arch, perfect=perfect)


@pytest.mark.parametrize(
    ("texts", "problems"),
    [
        # one quantity
        (["K spatial PE.x = 8", "K spatial PE.x = 4"], ["K spatial PE.x = 8 contradicts K spatial PE.x = 4"]),
        (["K spatial PE.x <= 4", "K spatial PE.x >= 6"], ["K spatial PE.x >= 6 contradicts K spatial PE.x <= 4"]),
        (["K tile L2:W = 8", "K tile L2 = 4"], ["K tile L2:W = 8 contradicts K tile L2:W = 4"]),
        # nodes
        (["keep L2:W", "bypass L2:weight"], ["keep L2:W contradicts bypass L2:W"]),
        (["keep GLB:W"], ["keep GLB:W: GLB is no memory for the weight"]),
        (["bypass GLB:O"], ["bypass GLB:O: GLB must keep the output"]),
        (["bypass DRAM:I"], ["bypass DRAM:I: DRAM is the home of every tensor"]),
        (["K tile GLB:W >= 4"], ["K tile GLB:W >= 4: GLB is no memory for the weight"]),
        (["GLB:W above GLB:I"], ["GLB:W above GLB:I: GLB is no memory for the weight"]),
        # order
        (["L2:W above L2:I", "L2:I above L2:W"], ["L2:W above L2:I contradicts L2:I above L2:W"]),
        (
            ["L2:W above L2:I", "L2:I above L2:O", "L2:O above L2:W"],
            ["L2:W above L2:I, L2:I above L2:O and L2:O above L2:W contradict each other"],
        ),
        (
            ["L1:W above L2:I", "L1:I above L2:W"],  # L2 stands outside L1 for both
            ["L1:W above L2:I contradicts L1:I above L2:W"],
        ),
        (["L2:W above L2:W"], ["L2:W above L2:W: no node stands above itself"]),
        (["L1:W above L2:W"], ["L1:W above L2:W: L1 lies inside, L2 outside"]),
        (["RF:W above L2:I"], ["RF:W above L2:I: RF lies beyond the fan-out PE, L2 outside"]),
        (["L2:W above DRAM:I"], ["L2:W above DRAM:I: nothing stands above the nodes of the home DRAM"]),
        (["DRAM:W above DRAM:I"], ["DRAM:W above DRAM:I: nothing stands above the nodes of the home DRAM"]),
        # axes
        (["K spatial PE.x = 32"], ["K spatial PE.x = 32: axis PE.x has 16 instances"]),
        (["K spatial PE = 192"], ["K spatial PE = 192: there is room for 176 "
         "(axis PE.x has 16 instances; axis PE.y has 11 instances)"]),
        (["P spatial PE.y = 2"], ["P spatial PE.y = 2: axis PE.y takes only C, K, R"]),
        (["C spatial CORE.z = 2"], ["C spatial CORE.z = 2: C is a reduction dim and CORE cannot add partial sums"]),
        (["C spatial CORE = 2"], ["C spatial CORE = 2: C is a reduction dim and CORE cannot add partial sums"]),
        (["K spatial PE.x >= 2", "PE.x only C,R"], ["K spatial PE.x >= 2 contradicts PE.x only C,R"]),
        (["K spatial PE = 2", "PE only C,R"], ["K spatial PE = 2 contradicts PE only C,R"]),
        (
            ["K spatial PE = 32", "PE.x only C"],
            ["K spatial PE = 32: there is room for 11 (PE.x only C; axis PE.y has 11 instances)"],
        ),
        (
            ["K spatial PE = 32", "K spatial PE.x <= 2"],
            ["K spatial PE = 32: there is room for 22 (K spatial PE.x <= 2; axis PE.y has 11 instances)"],
        ),
        (
            ["K spatial PE.x = 8", "C spatial PE.x >= 4", "P spatial PE.x = 1"],
            ["K spatial PE.x = 8 and C spatial PE.x >= 4: axis PE.x has 16 instances, 32 are needed"],
        ),
        (
            ["K spatial PE = 16", "C spatial PE.x = 2", "C spatial PE.y = 8"],
            ["K spatial PE = 16, C spatial PE.x = 2 and C spatial PE.y = 8: fan-out PE has 176 instances, "
             "256 are needed"],
        ),
        (["K spatial PE.x = 4", "K spatial PE = 1"], ["K spatial PE.x = 4 contradicts K spatial PE = 1"]),
        (
            ["K spatial PE.x = 4", "K spatial PE.y = 3", "K spatial PE <= 8"],
            ["K spatial PE.x = 4, K spatial PE.y = 3 and K spatial PE <= 8 contradict each other"],
        ),
        (
            ["K spatial PE.x = 4", "K spatial PE = 6"],
            ["K spatial PE.x = 4 contradicts K spatial PE = 6: 6 is no multiple of 4"],
        ),
        # extents
        (["P spatial PE.x = 16"], ["P spatial PE.x = 16: P would have to be at least 16, it is 12"]),
        (["N spatial PE.x >= 2"], ["N spatial PE.x >= 2: N would have to be at least 2, it is 1"]),
        (["P tile L2:W >= 13"], ["P tile L2:W >= 13: P would have to be at least 13, it is 12"]),
        (["K tile DRAM:W = 4"], ["K tile DRAM:W = 4: DRAM is the home, which holds all 384"]),
        (
            ["C spatial PE.x = 16", "C spatial PE.y = 8"],
            ["C spatial PE.x = 16 and C spatial PE.y = 8: C would have to be at least 128, it is 64"],
        ),
        (
            ["P spatial PE.x = 6", "P tile RF:I >= 4"],
            ["P spatial PE.x = 6 and P tile RF:I >= 4: P would have to be at least 24, it is 12"],
        ),
        (
            ["K tile L2:W = 16", "K spatial PE.x = 8", "K tile RF:O = 4"],
            ["K spatial PE.x = 8, K tile RF:O = 4 and K tile L2:W = 16 contradict each other: "
             "K in L2:W would have to be at least 32"],
        ),
        (
            ["K tile L2:W <= 4", "K spatial PE.x = 8"],
            ["K spatial PE.x = 8 contradicts K tile L2:W <= 4: K in L2:W would have to be at least 8"],
        ),
        (
            ["K tile L2:W <= 4", "K tile L1:W = 8"],
            ["K tile L1:W = 8 contradicts K tile L2:W <= 4: K in L2:W would have to be at least 8"],
        ),
        (
            ["K tile L2:W <= 4", "K tile L2:I = 8", "L2:W above L2:I"],
            ["K tile L2:I = 8 contradicts K tile L2:W <= 4: K in L2:W would have to be at least 8"],
        ),
        # capacity
        (
            ["K tile RF:W = 16", "C tile RF:W >= 8", "P tile RF:W = 2"],
            ["K tile RF:W = 16 and C tile RF:W >= 8: RF holds 64 words, the tile of W needs 128"],
        ),
        # factors
        (["K spatial PE.x = 10"], ["K spatial PE.x = 10: K = 384 has no factor 10: the nearest are 8 and 12"]),
        (["K tile L2:W = 100"], ["K tile L2:W = 100: K = 384 has no factor 100: the nearest are 96 and 128"]),
        (
            ["K spatial PE.x >= 9", "K spatial PE.x <= 11"],
            ["K spatial PE.x >= 9 and K spatial PE.x <= 11: K = 384 has no factor from 9 to 11: "
             "the nearest are 8 and 12"],
        ),
        (
            ["K spatial PE.y >= 9"],
            ["K spatial PE.y >= 9: K = 384 has no factor from 9 to 11: the nearest are 8 and 12, "
             "and axis PE.y has 11 instances"],
        ),
        (
            ["K spatial PE >= 129"],
            ["K spatial PE >= 129: K = 384 has no factor from 129 to 176: the nearest are 128 and 192, "
             "and fan-out PE has 176 instances"],
        ),
        (
            ["K tile L2:W >= 97", "K tile L2:W <= 120"],
            ["K tile L2:W >= 97 and K tile L2:W <= 120: K = 384 has no factor from 97 to 120: "
             "the nearest are 96 and 128"],
        ),
        (
            ["P spatial PE.x = 4", "P spatial CORE.z = 2"],
            ["P spatial CORE.z = 2 and P spatial PE.x = 4: P = 12 has no factor 8: the nearest are 6 and 12"],
        ),
        (
            ["K tile L2:W = 48", "K spatial PE.x = 4", "K tile RF:W = 8"],
            ["K spatial PE.x = 4, K tile RF:W = 8 and K tile L2:W = 48 contradict each other: "
             "K in L2:W = 48 has no factor 32: the nearest are 24 and 48"],
        ),
    ],
)  # fmt: skip
def test_each_contradiction_names_what_contradicts(texts, problems):
    assert against(*texts) == problems


@pytest.mark.parametrize(
    "texts",
    [
        ["K spatial PE.x = 16", "K spatial PE.y <= 2", "K spatial PE >= 16"],
        ["K spatial PE.x >= 8", "C spatial PE.x >= 2", "PE.x only K,C"],
        ["K spatial PE = 128", "C spatial PE = 1"],
        ["N spatial PE.x = 1", "N tile RF:W = 1", "N spatial PE <= 4"],
        ["PE only C", "K spatial PE <= 4"],
        ["K tile L2:W = 64", "K spatial PE.x = 16", "K tile RF:W = 4", "K tile RF:I <= 2"],
        ["K tile L2:W = 8", "K tile L2:I = 16"],  # either may stand outside
        ["K tile L1:W = 8", "K tile L2:I = 4"],
        ["K tile L2:W = 8", "K tile L2:I = 16", "L2:I above L2:W"],
        ["K tile GLB:W = 4", "bypass GLB:W"],  # a node that is not there
        ["L2:W above L2:I", "L2:I above L2:W", "bypass L2:I"],
        ["L2:W above L2:I", "L1:I above L1:W", "L2:I above L1:W"],
        ["DRAM:W above L2:I", "L2:W above RF:W", "L1:W above L2:I"],
        ["keep GLB:O", "bypass GLB:W", "keep DRAM:I"],
        ["K tile DRAM:W = all", "K tile DRAM:W >= 4"],
        ["K tile RF:W = 8", "C tile RF:W = 8", "P tile RF:W = 12"],
    ],
)
def test_what_can_hold_together(texts):
    assert against(*texts) == []
    assert against(*texts, perfect=False) == []


def test_steps_that_need_not_divide_fit_more():
    assert against("K spatial PE.x = 10", "K tile L2:W = 100", perfect=False) == []
    # 12 -> 4 (3 pieces) -> 1 (4 pieces): along both axes 12; 7 -> 3 (3 pieces) -> 1: along both 9
    nest = conv(K=7)
    assert against("K spatial PE.x = 3", "K spatial PE.y = 3", "K spatial PE = 9", nest=nest, perfect=False) == []
    small = conv(K=6)
    assert against("K spatial PE.x = 3", "K spatial PE.y = 3", nest=small, perfect=False) == [
        "K spatial PE.x = 3 and K spatial PE.y = 3: K would have to be at least 7, it is 6"
    ]
    assert against("K spatial PE.x = 4", "K tile RF:W = 2", nest=small, perfect=False) == [
        "K spatial PE.x = 4 and K tile RF:W = 2: K would have to be at least 7, it is 6"
    ]


def test_instances_of_a_fanout_of_one_axis():
    arch = Architecture("one", (Memory("D"), FanOut("F", (Axis("x", 16),)), Memory("R"), Compute("M")))
    texts = ["K spatial F = 4", "K tile R:O = 3"]
    assert against(*texts, nest=conv(K=9), arch=arch, perfect=False) == [
        "K spatial F = 4 and K tile R:O = 3: K would have to be at least 10, it is 9"
    ]
    assert against("K spatial F = 20", nest=conv(K=40), arch=arch) == ["K spatial F = 20: axis F.x has 16 instances"]


@st.composite
def kept_to(draw):
    """A case, whether its steps divide, and constraints that it keeps to, with what they concern kept."""
    case = draw(cases())
    instances, extents = facts(case)
    segments = [case.arch.segment[item.memory] for item in case.mapping.items if isinstance(item, Keep)]
    assume(all(a <= b for a, b in pairwise(segments)))
    loops = [(item.fanout, item.axis, item.dim) for item in case.mapping.items if isinstance(item, ParFor)]
    assume(len(set(loops)) == len(loops))
    tile, perfect = dict(case.nest.dims), True
    for line in str(case.mapping).splitlines():
        word, dim, *rest = line.split()
        if word != "keep":
            perfect &= len(set(pieces(tile[dim], int(rest[0])))) == 1
            tile[dim] = min(tile[dim], int(rest[0]))
    found = [Kept(m.name, t.name, (m.name, t.name) in extents) for m in case.arch.memories for t in case.nest.tensors]
    for dim, _ in case.nest.dims:
        for node, extent in extents.items():
            found += draw(_bounds(Tile, (dim, *node), extent[dim]))
        for fanout in case.arch.fanouts:
            along = {axis.name: instances.get((fanout.name, axis.name, dim), 1) for axis in fanout.axes}
            product = 1
            for axis, n in along.items():
                found += draw(_bounds(Spatial, (dim, fanout.name, axis), n))
                product *= n
            found += draw(_bounds(Spatial, (dim, fanout.name, None), product))
    for fanout in case.arch.fanouts:
        used = tuple({d for (f, _, d), n in instances.items() if f == fanout.name and n > 1})
        found += [Only(fanout.name, None, used)] if used and draw(st.booleans()) else []
    nodes = [node for node in extents if node[0] != case.arch.home.name]
    found += [Above(a, b) for a, b in pairwise(nodes) if draw(st.booleans())]
    return case, perfect, draw(st.permutations([c for c in found if draw(st.integers(0, 3))]))


@st.composite
def _bounds(draw, kind, what, actual):
    """Some constraints that a quantity of that value keeps to."""
    bounds = {EQUAL: st.just(actual), AT_MOST: st.integers(actual, actual + 3), AT_LEAST: st.integers(1, actual)}
    return [kind(*what, r, draw(values)) for r, values in bounds.items() if not draw(st.integers(0, 4))]


@given(kept_to())
def test_constraints_that_a_mapping_keeps_to_do_not_contradict_each_other(drawn):
    case, perfect, constraints = drawn
    resolved = resolve(constraints, case.nest, case.arch, strict=True)
    assert broken(resolved, *case) == []
    assert contradictions(resolved, case.nest, case.arch, perfect=perfect) == []


# -- roles -------------------------------------------------------------------------------------------------------------

ROLES = {
    "N": "batch", "G": "groups", "K": "output_channels", "C": "input_channels", "P": "rows", "Q": "columns",
    "D": "depth", "R": "filter_rows", "S": "filter_columns", "T": "filter_depth",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "layer", "meant", "value"),
    [
        ("output_channels spatial PE.x = all", NEST, "K", 384),
        ("filter spatial PE.x <= 3", NEST, "RS", 3),
        ("reduction spatial PE = all", NEST, "CRS", 64 * 3),
        ("reduction tile RF:input = all", NEST, "CRS", 64 * 3),
        ("K tile RF:input = all", NEST, "K", 384),
        ("PE only output_channels,C,filter,K", NEST, "KCRS", None),
        ("output_channels spatial PE.x = 2", gemm(M=4, N=2, K=6), "N", 2),
        ("PE.x only rows,columns,filter", gemm(M=4, N=2, K=6), "M", None),
    ],
)
def test_roles_become_the_dims_of_the_layer_and_print_as_they_were_written(text, layer, meant, value):
    for strict in (True, False):
        (constraint,) = resolved(text, nest=layer, strict=strict)
        assert constraint.meant == tuple(meant)
        assert getattr(constraint, "value", None) == value
        assert str(constraint).split()[:2] == text.replace(":input", ":I").split()[:2]


def test_roles_that_the_layer_does_not_have():
    for text in ("filter spatial PE.x = 2", "filter tile RF = 1", "PE.x only filter,groups"):
        with pytest.raises(InputError) as error:
            resolved(text, nest=GEMM)
        first, *others = str(error.value).splitlines()
        assert first == (
            f"{text}: the layer has no dim of role filter "
            "(its dims: M batch, rows; N output_channels; K input_channels, reduction)"
        )
        assert len(others) == text.endswith("groups")
    (only,) = resolved("PE.x only filter,groups", nest=GEMM, strict=False)
    assert only.meant == ()  # nothing is unrolled
    assert resolved("filter spatial PE.x = 2", nest=GEMM, strict=False) == ()
    (only,) = resolved("PE.x only filter,rows", nest=GEMM)  # a list may name what other layers have
    assert only.meant == ("M",)
    with pytest.raises(InputError, match=r"the layer has no dim output_chanels .did you mean output_channels"):
        resolved("output_chanels spatial PE.x = 2", nest=GEMM)


def test_a_word_that_is_a_dim_and_the_role_of_another_is_refused():
    nest = parse_nest("O[m,n] += A[m,batch] * B[batch,n] {m=2 n=2 batch=2}")
    for strict in (True, False):
        with pytest.raises(InputError, match="'batch' is a dim of the layer, and a role, that of m"):
            resolved("batch spatial PE.x = 2", nest=nest, strict=strict)


@given(cases(), st.sampled_from(Relation), st.integers(1, 12) | st.none(), st.data())
def test_a_role_of_several_dims_is_their_product(case, relation, value, data):
    instances, extents = facts(case)
    segments = [case.arch.segment[item.memory] for item in case.mapping.items if isinstance(item, Keep)]
    loops = [(item.fanout, item.axis, item.dim) for item in case.mapping.items if isinstance(item, ParFor)]
    ordered = segments == sorted(segments) and len(set(loops)) == len(loops)
    role = data.draw(st.sampled_from(sorted({str(role) for mine in dim_roles(case.nest).values() for role in mine})))
    dims = named(case.nest, role)
    whole = math.prod(case.nest.extents[dim] for dim in dims)
    asked, checks = [], []
    for fanout in case.arch.fanouts:
        for axis in (None, *(axis.name for axis in fanout.axes)):
            here = [n for (f, a, d), n in instances.items() if f == fanout.name and axis in (None, a) and d in dims]
            asked.append(Spatial(role, fanout.name, axis, relation, value))
            checks.append(math.prod(here))
    for (memory, tensor), extent in extents.items():
        asked.append(Tile(role, memory, tensor, relation, value))
        checks.append(math.prod(extent[dim] for dim in dims))
    for constraint, actual in zip(asked, checks, strict=True):
        (found,) = resolve([constraint], case.nest, case.arch, strict=True)
        assert found.value == (whole if value is None else value)
        assert (broken([found], *case) == []) == relation.holds(actual, found.value)
        if ordered and relation.holds(actual, found.value):
            assert contradictions([found], case.nest, case.arch, perfect=False) == []


@given(convs() | st.just(conv(N=2, G=2, K=4, C=4, D=3, P=5, Q=6, T=2, R=3, S=3)), st.data())
def test_a_spec_by_roles_is_the_spec_by_names_for_convolutions(nest, data):
    names = data.draw(st.lists(st.sampled_from(list(nest.extents)), min_size=1, unique=True))
    roles = [ROLES[name] for name in names]
    assert Axis("x", 4, frozenset(names)).takes(nest) == Axis("x", 4, frozenset(roles)).takes(nest) == set(names)
    for form in ("PE.x only {}", "{} spatial PE.x <= 3", "{} tile RF:weight = all", "{} tile GLB >= 2"):
        by_name, by_role = (resolved(form.format(",".join(words)), nest=nest) for words in (names, roles))
        assert [without_words(c) for c in by_name] == [without_words(c) for c in by_role]


def without_words(constraint):
    return replace(constraint, **({"dims": ()} if isinstance(constraint, Only) else {"dim": ""}))


@pytest.mark.parametrize(
    ("texts", "problems"),
    [
        (["reduction spatial PE.x = 36"], ["reduction spatial PE.x = 36: axis PE.x has 16 instances"]),
        (["reduction spatial PE.x >= 20"], ["reduction spatial PE.x >= 20: axis PE.x has 16 instances"]),
        (["reduction spatial PE.x = 999"], ["reduction spatial PE.x = 999: axis PE.x has 16 instances"]),
        (["reduction spatial PE >= 177"], ["reduction spatial PE >= 177: fan-out PE has 176 instances"]),
        (["reduction spatial PE = 40"], ["reduction spatial PE = 40: C * R * S would have to be at least 40, "
                                         "it is 36"]),
        (["filter tile RF:I >= 10"], ["filter tile RF:I >= 10: R * S would have to be at least 10, it is 9"]),
        (["filter spatial PE = 1", "R spatial PE.y = 3"], ["R spatial PE.y = 3 contradicts filter spatial PE = 1"]),
        (["reduction tile RF:W = all", "C tile RF:W = 2"], ["reduction tile RF:W = 36 contradicts C tile RF:W = 2"]),
        (["filter tile RF:W = all", "K tile RF:W = 16"], ["filter tile RF:W = 9 and K tile RF:W = 16: RF holds 64 "
                                                           "words, the tile of W needs 144"]),
        (["output_channels spatial PE.y = 5"], ["output_channels spatial PE.y = 5: K = 32 has no factor 5: the nearest "
                                                "are 4 and 8"]),
        (["filter spatial PE.x <= 3", "S spatial PE.x = 3", "R spatial PE.y = 3"], []),
        (["filter spatial PE <= 9", "S spatial PE.x = 3", "R spatial PE.y = 3"], []),
    ],
)  # fmt: skip
def test_contradictions_of_roles(texts, problems):
    nest = conv(K=32, C=4, P=12, R=3, S=3)
    assert against(*texts, nest=nest) == problems


def test_instances_of_several_dims_along_several_axes_may_be_more_than_the_dims():
    # 5 -> 3 (2 pieces) -> 1 (3 pieces), of both dims: 2 * 2 along x, 3 * 3 along y
    nest = parse_nest("O[P] += I[P,R,S] * W[R,S] {P=2 R=5 S=5}")
    arch = Architecture("two", (Memory("D"), FanOut("F", (Axis("x", 4), Axis("y", 9))), Compute("M")))
    loops = "parfor R 3 F.x\nparfor S 3 F.x\nparfor R 1 F.y\nparfor S 1 F.y\nfor P 1\n"
    mapping = parse_mapping("keep D I W O\n" + loops)
    reduction = resolved("reduction spatial F = 36", nest=nest, arch=arch)
    assert violations(nest, arch, mapping) == [] and broken(reduction, nest, arch, mapping) == []
    assert contradictions(reduction, nest, arch, perfect=False) == []
    assert against("reduction spatial F = 36", nest=nest, arch=arch) == [
        "reduction spatial F = 36: R * S would have to be at least 36, it is 25"
    ]
