"""Constraints as text, and in specs. In a spec that is wrong, `§` stands where the error must point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapper.arch import (
    Above,
    Kept,
    Only,
    Relation,
    Spatial,
    Spec,
    Tile,
    load_architecture,
    parse_architecture,
    parse_constraint,
)
from mapper.errors import InputError

EQUAL, AT_MOST, AT_LEAST = Relation

# -- text --------------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["K", "PE", "x", "only", "tile", "spatial", "keep", "bypass", "above", "all", "1"])
NAMES = WORDS | st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True)
VALUES = st.none() | st.integers(1, 10**15 - 1)
NODES = st.tuples(NAMES, NAMES)
CONSTRAINTS = st.one_of(
    st.builds(Spatial, NAMES, NAMES, st.none() | NAMES, st.sampled_from(Relation), VALUES),
    st.builds(Only, NAMES, st.none() | NAMES, st.lists(NAMES, min_size=1, unique=True).map(tuple)),
    st.builds(Tile, NAMES, NAMES, st.none() | NAMES, st.sampled_from(Relation), VALUES),
    st.builds(Kept, NAMES, NAMES, st.booleans()),
    st.builds(Above, NODES, NODES),
)


@given(CONSTRAINTS)
def test_what_a_constraint_prints_can_be_read(constraint):
    assert parse_constraint(str(constraint)) == (constraint,)


@pytest.mark.parametrize(
    ("text", "constraints"),
    [
        ("K spatial PE.x = 16", [Spatial("K", "PE", "x", EQUAL, 16)]),
        ("K spatial PE >= 2", [Spatial("K", "PE", None, AT_LEAST, 2)]),
        ("K spatial x <= all", [Spatial("K", "x", None, AT_MOST, None)]),
        ("R,S spatial PE = 1", [Spatial("R", "PE", None, EQUAL, 1), Spatial("S", "PE", None, EQUAL, 1)]),
        ("  R , S  spatial PE=1 ", [Spatial("R", "PE", None, EQUAL, 1), Spatial("S", "PE", None, EQUAL, 1)]),
        ("R,R spatial PE = 1", [Spatial("R", "PE", None, EQUAL, 1)]),
        ("PE.x only K,C", [Only("PE", "x", ("K", "C"))]),
        ("PE only K, K", [Only("PE", None, ("K",))]),
        ("K tile GLB:W >= 64", [Tile("K", "GLB", "W", AT_LEAST, 64)]),
        ("K tile GLB = all", [Tile("K", "GLB", None, EQUAL, None)]),
        (
            "K,C tile GLB:W,I<=4",
            [Tile(dim, "GLB", tensor, AT_MOST, 4) for dim in ("K", "C") for tensor in ("W", "I")],
        ),
        ("keep GLB:W", [Kept("GLB", "W")]),
        ("bypass GLB:I,output", [Kept("GLB", "I", kept=False), Kept("GLB", "output", kept=False)]),
        ("RF:W above RF:I", [Above(("RF", "W"), ("RF", "I"))]),
    ],
)
def test_text_form(text, constraints):
    assert parse_constraint(text) == tuple(constraints)


SPATIAL, ONLY, TILE = "K spatial PE.x = 16", "PE.x only K,C", "K tile GLB:W >= 64"
KEEP, BYPASS, ABOVE = "keep GLB:W", "bypass GLB:I,O", "RF:W above RF:I"
EVERY = " or ".join([SPATIAL, ONLY, TILE, KEEP, BYPASS, ABOVE])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"'' is no constraint (write it as {EVERY})"),
        ("K spatal PE = 1", f"'K spatal PE = 1' is no constraint (write it as {EVERY})"),
        ("K spatial PE", f"'K spatial PE' is no constraint (write it as {SPATIAL})"),
        ("K spatial PE.x.y = 1", f"'K spatial PE.x.y = 1' is no constraint (write it as {SPATIAL})"),
        ("K spatial PE == 1", f"'K spatial PE == 1' is no constraint (write it as {SPATIAL})"),
        ("K spatial PE = -1", f"'K spatial PE = -1' is no constraint (write it as {SPATIAL})"),
        ("K spatial PE = 1.5", f"'K spatial PE = 1.5' is no constraint (write it as {SPATIAL})"),
        ("K spatial PE ≥ 2", f"'K spatial PE ≥ 2' is no constraint (write it as {SPATIAL})"),
        ("PE.x only", f"'PE.x only' is no constraint (write it as {ONLY})"),
        ("K tile = 4", f"'K tile = 4' is no constraint (write it as {TILE})"),
        ("keep GLB", f"'keep GLB' is no constraint (write it as {KEEP})"),
        ("bypass GLB W", f"'bypass GLB W' is no constraint (write it as {BYPASS})"),
        ("RF above RF:I", f"'RF above RF:I' is no constraint (write it as {ABOVE})"),
        ("keep GLB:W above GLB:I", f"'keep GLB:W above GLB:I' is no constraint (write it as {KEEP} or {ABOVE})"),
        ("K spatial PE = 0", "'K spatial PE = 0': a value is at least 1, not 0"),
        ("K tile GLB <= 0", "'K tile GLB <= 0': a value is at least 1, not 0"),
    ],
)
def test_text_that_is_no_constraint(text, message):
    with pytest.raises(InputError) as error:
        parse_constraint(text)
    assert str(error.value) == message
    with pytest.raises(InputError) as error:
        parse_constraint(text, "--constrain")
    assert str(error.value) == f"--constrain: {message}"


@pytest.mark.parametrize(("relation", "fits"), [(EQUAL, [3]), (AT_MOST, [1, 2, 3]), (AT_LEAST, [3, 4])])
def test_relations(relation, fits):
    assert [n for n in range(1, 5) if relation.holds(n, 3)] == fits


# -- specs -------------------------------------------------------------------------------------------------------------

LEVELS = """\
name: tiny
levels:
  - memory: DRAM
  - memory: GLB
  - fanout: CORE
    axes: {x: 2, z: 2}
  - fanout: PE
    axes: {x: 4, y: 4}
  - memory: RF
  - compute: MAC
"""


def read(text):
    return parse_architecture(Spec("tiny.yaml", text))


def errors(text):
    """The message for a wrong spec; `§` in it is the place of the mark in the text."""
    before = text[: text.index("§")]
    place = f"tiny.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    with pytest.raises(InputError) as error:
        read(text.replace("§", ""))
    return str(error.value).replace(place, "§")


def test_a_spec_without_constraints():
    arch = read(LEVELS)
    assert (arch.constraints, arch.dataflows) == ((), ())


def test_constraints_of_a_spec():
    arch = read(f"{LEVELS}constraints:\n  - K,C spatial y = 2\n  - keep RF:weight\n  - 'keep RF:weight'\n")
    assert arch.constraints == (
        Spatial("K", "PE", "y", EQUAL, 2),  # as no other fan-out has an axis y
        Spatial("C", "PE", "y", EQUAL, 2),
        Kept("RF", "weight"),
    )


def test_dataflows_of_a_spec():
    arch = read(f"{LEVELS}dataflows:\n  ws:\n    - RF:weight above RF:input\n    - z only K\n  free: []\n")
    assert arch.constraints == ()
    assert arch.dataflows == (
        ("ws", (Above(("RF", "weight"), ("RF", "input")), Only("CORE", "z", ("K",)))),
        ("free", ()),
    )
    assert arch.dataflow("ws") == arch.dataflows[0][1]
    assert arch.dataflow("free") == ()
    assert isinstance(hash(arch), int)
    assert arch != read(LEVELS)


def test_a_dataflow_that_there_is_not():
    with pytest.raises(InputError) as error:
        read(f"{LEVELS}dataflows: {{ws: [], os: []}}\n").dataflow("xyz")
    assert str(error.value) == "tiny has no dataflow 'xyz' (known: os, ws)"
    with pytest.raises(InputError) as error:
        load_architecture("simple3").dataflow("ws")
    assert str(error.value) == "simple3 has no dataflow 'ws' (its spec names none)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("§keep GLBB:W", "§: keep GLBB:W: no memory GLBB (did you mean GLB?)"),
        ("§keep PE:W", "§: keep PE:W: no memory PE (known: DRAM, GLB, RF)"),
        ("§K tile L2 = 4", "§: K tile L2 = 4: no memory L2 (known: DRAM, GLB, RF)"),
        ("§GLB:I above L2:W", "§: GLB:I above L2:W: no memory L2 (known: DRAM, GLB, RF)"),
        ("§L2:I above GLB:W", "§: L2:I above GLB:W: no memory L2 (known: DRAM, GLB, RF)"),
        ("§K spatial PEE.x = 2", "§: K spatial PEE.x = 2: no fan-out PEE (did you mean PE?)"),
        ("§K spatial PE.z = 2", "§: K spatial PE.z = 2: fan-out PE has no axis z (known: x, y)"),
        ("§PE.z only K", "§: PE.z only K: fan-out PE has no axis z (known: x, y)"),
        ("§w only K", "§: w only K: no fan-out or axis w (known: CORE, PE)"),
        (
            "§K spatial x = 2",
            "§: K spatial x = 2: several fan-outs have an axis x (write CORE.x or PE.x)",
        ),
        ("§K spatial PE", f"§: 'K spatial PE' is no constraint (write it as {SPATIAL})"),
        ("§{keep: GLB}", "§: a constraint must be a single value"),
        ("§[keep GLB]", "§: a constraint must be a single value"),
    ],
)
def test_errors_of_a_constraint(text, message):
    assert errors(f"{LEVELS}constraints:\n  - keep GLB:W\n  - {text}\n") == message
    assert errors(f"{LEVELS}dataflows:\n  ws:\n    - keep GLB:W\n    - {text}\n") == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("constraints: §keep GLB:W", "§: constraints must be a list"),
        ("dataflows: §[]", "§: dataflows must be a mapping of names to values"),
        ("dataflows: {ws: §keep}", "§: dataflow ws must be a list"),
        ("dataflows: {ws: [], §ws: []}", "§: 'ws' is given twice in dataflows"),
        ("dataflows: {§w s: []}", "§: 'w s' is no name: letters, digits, '_' and '-' only"),
    ],
)
def test_errors_of_the_keys(text, message):
    assert errors(LEVELS + text) == message


def test_all_problems_are_reported_at_once_and_in_order():
    dataflows = "dataflows:\n  ws: [keep L9:W, 'PE.q only K']\n"
    text = f"{LEVELS}{dataflows}constraints:\n  - K tile L2,L3 = 4\n  - keep L2:W,I\n"
    with pytest.raises(InputError) as error:
        read(text.replace("memory: GLB", "memory: GLB\n    sise: 3 words"))
    assert [line.split(" ")[0] for line in str(error.value).splitlines()] == [
        "tiny.yaml:5:5:",
        "tiny.yaml:13:8:",
        "tiny.yaml:13:19:",
        "tiny.yaml:15:5:",
        "tiny.yaml:16:5:",
    ]


def test_names_are_not_checked_where_a_level_could_not_be_made_out():
    text = "name: x\nlevels: [{memory: D}, §{fanout: F}, {compute: M}]\nconstraints: [K spatial F.x = 2]\n"
    assert errors(text) == "§: fan-out F has no axes (write axes: {x: 16, y: 16})"


def test_a_machine_without_fanouts():
    text = "name: x\nlevels: [{memory: D}, {compute: M}]\nconstraints: [§K spatial F.x = 2]\n"
    assert errors(text) == "§: K spatial F.x = 2: no fan-out F (the architecture has no fan-outs)"
