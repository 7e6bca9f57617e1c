"""Energy tables: what they hold, how rows are chosen and scaled, and how specs use them."""

from fractions import Fraction

import pytest

from mapper.arch import Spec, load_architecture, load_table, parse_architecture, parse_table, table_names
from mapper.arch.energy import CONFIDENCE
from mapper.errors import InputError

TABLE = """\
name: parts
energy_unit: pJ
technology: 28 nm
rows:
  - {kind: sram, for: [read], size: 1 KiB, width: 16 bits, energy: 2, source: a, confidence: verified}
  - {kind: sram, for: [read], size: 4 KiB, width: 16 bits, energy: 3, source: b, confidence: verified}
  - {kind: sram, for: [read], size: 4 KiB, width: 64 bits, energy: 10, source: c, confidence: derived}
  - {kind: dram, for: [read, write], energy: 100 fJ, source: d, confidence: verified}
  - {kind: int, for: [multiply], width: 8 bits, energy: 4, source: e, confidence: verified}
  - {kind: int, for: [add], width: 16 bits, energy: 1, source: f, confidence: verified}
  - {kind: network, for: [deliver], width: 8 bits, energy: 5, source: g, confidence: verified}
"""


@pytest.fixture
def table():
    return parse_table(Spec("parts.yaml", TABLE))


@pytest.fixture
def read(tmp_path):
    """A function that reads an architecture whose levels are given and which uses the table."""
    (tmp_path / "parts.yaml").write_text(TABLE)

    def parse(levels, top=""):
        text = f"name: tiny\nenergies: parts.yaml\n{top}levels:\n{levels}"
        return parse_architecture(Spec(str(tmp_path / "tiny.yaml"), text))

    return parse


@pytest.mark.parametrize("name", table_names())
def test_each_table_loads_under_its_name_with_sources(name):
    found = load_table(name)
    assert found.name == name and found.description and found.rows
    assert all(row.source and row.confidence in CONFIDENCE for row in found.rows)


def test_the_hierarchy_of_the_survey():
    survey = load_table("survey_65nm")
    half_kib, buffer = 8 * 512, 8 * 128 * 1024
    assert survey.energy_unit == "MAC"
    assert survey.price("rf", "read", 16, half_kib).energy == 1
    assert survey.price("network", "deliver", 16).energy == 2
    assert survey.price("sram", "write", 16, buffer).energy == 6
    assert survey.price("dram", "read", 16).energy == 200
    assert survey.operation("mac", 16, 16).energy == 1


def test_an_integer_multiply_accumulate_of_8_and_32_bits():
    """Horowitz: multiplication 0.2 pJ at 8 bits, addition 0.1 pJ at 32 bits."""
    assert load_table("horowitz_45nm").operation("int", 8, 32).energy == Fraction(3, 10)


@pytest.mark.parametrize(
    ("width", "size_bits", "energy", "source"),
    [
        (16, 8 * 100, 2, "a"),  # the smallest that is large enough
        (16, 8 * 1024, 2, "a"),
        (16, 8 * 1025, 3, "b"),
        (8, 8 * 1025, Fraction(3, 2), "b"),  # linear in the width
        (32, 8 * 1025, 5, "c"),  # as near to 16 as to 64: the wider access
        (128, 8 * 1025, 20, "c"),
    ],
)
def test_the_row_of_a_memory(table, width, size_bits, energy, source):
    found = table.price("sram", "read", width, size_bits)
    assert (found.energy, [row.source for row in found.rows]) == (energy, [source])


def test_multiplications_scale_with_the_square_and_additions_with_the_width(table):
    assert table.operation("int", 16, 32).energy == 4 * 4 + 1 * 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("sram", "read", 16, 8 * 4097), r"'sram' up to 32768 bits only, not 32776 bits \(state the energy"),
        (("sram", "read", 16, None), r"table parts has 'sram' up to 32768 bits only, not an unlimited one"),
        (("sram", "write", 16, 8), r"table parts has no 'write' of kind 'sram' \(did you mean dram\?\)"),
        (("srma", "read", 16, 8), r"table parts has no 'read' of kind 'srma' \(did you mean sram\?\)"),
        (("int", "mac", 16), r"table parts has no 'mac' of kind 'int'"),
    ],
)
def test_what_a_table_does_not_have(table, asked, message):
    with pytest.raises(InputError, match=message):
        table.price(*asked)


LEVELS = """\
  - {memory: D, kind: dram}
  - {memory: S, kind: sram, size: 2 KiB, word: 16 bits, line: 4 words, write: 7}
  - {fanout: F, axes: {x: 2}}
  - {compute: M, kind: int, widths: {input: 8, weight: 8, partial: 16}}
"""


def test_a_spec_that_names_a_table(read):
    arch = read(LEVELS)
    dram, sram, mesh, mac = arch.levels
    assert (dram.read_energy, dram.write_energy) == (Fraction(1, 10), Fraction(1, 10))
    assert (sram.read_energy, sram.write_energy) == (10, 7)  # a line of 64 bits; the spec's own number
    assert (mesh.deliver_energy, mesh.reduce_energy, mesh.hop_energy) == (10, 0, 0)  # a word of S
    assert mac.energy == 4 + 1
    assert "S read: 10 pJ, table parts: c (derived)" in arch.sources
    assert "M operation: 5 pJ, table parts: e (verified) + f (verified)" in arch.sources
    assert "D read, write: 0.1 pJ, table parts: d (verified)" in arch.sources
    assert not any("write: 7" in line for line in arch.sources)


def test_the_table_gives_the_energy_unit(tmp_path):
    (tmp_path / "parts.yaml").write_text(TABLE.replace("energy_unit: pJ", "energy_unit: MAC").replace(" fJ", ""))
    spec = Spec(str(tmp_path / "x.yaml"), f"name: x\nenergies: parts.yaml\nlevels:\n{LEVELS}")
    assert parse_architecture(spec).energy_unit == "MAC"


@pytest.mark.parametrize(
    ("top", "levels", "message"),
    [
        ("", LEVELS.replace("kind: dram", "keeps: []"), "4:5: D has neither 'read' nor a kind to find in table parts "),
        (
            "",
            LEVELS.replace("kind: sram", "kind: rams"),
            "table parts has no 'read' of kind 'rams' (did you mean sram or dram?)",
        ),
        ("", LEVELS.replace("kind: int", "rate: 1"), "has no operation of kind 'mac', its kinds: int (name"),
        (
            "",
            LEVELS.replace("axes: {x: 2}", "axes: {x: 2}, kind: noc"),
            "no network of kind 'noc', its networks: network (st",
        ),
        ("technology: 65 nm\n", LEVELS, "2:11: table parts is of 28 nm, the spec of 65 nm"),
        ("energy_unit: MAC\n", LEVELS, "3:14: energies of table parts are in pJ, not MAC"),
    ],
)
def test_what_a_spec_may_not_ask_of_a_table(read, top, levels, message):
    with pytest.raises(InputError) as error:
        read(levels, top)
    assert message in str(error.value)
    lines = str(error.value).splitlines()
    assert len(lines) == len(set(lines))


def test_an_unknown_table_comes_with_the_nearest():
    with pytest.raises(InputError) as error:
        parse_architecture(Spec("x.yaml", f"name: x\nenergies: horowitz_45\nlevels:\n{LEVELS}"))
    assert str(error.value) == "x.yaml:2:11: no energy table or file 'horowitz_45' (did you mean horowitz_45nm?)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{kind: sram, energy: 1}", "5:5: the row has no for, source, confidence"),
        ("{kind: a, for: [raed], energy: 1, source: a, confidence: verified}", "unknown entry 'raed' of for (did you"),
        ("{kind: a, for: [read], energy: -1, source: a, confidence: verified}", "the energy must be zero or more"),
        (
            "{kind: a, for: [read], energy: 1, source: a, confidence: sure}",
            "the confidence must be verified or derived",
        ),
        (
            "{kind: a, for: [read], energy: 1, size: 3 words, source: a, confidence: verified}",
            "unit 'words' of the size",
        ),
        (
            "{kind: a, for: [read], energy: 1, width: 0 bits, source: a, confidence: verified}",
            "the width must be a whole",
        ),
    ],
)
def test_errors_of_a_row(row, message):
    with pytest.raises(InputError) as error:
        parse_table(Spec("t.yaml", f"name: t\nenergy_unit: pJ\n\nrows:\n  - {row}\n"))
    assert message in str(error.value) and str(error.value).startswith("t.yaml:5:")


def test_eyeriss_takes_its_energies_from_its_table():
    arch = load_architecture("eyeriss_v1")
    assert (
        sum("table eyeriss_65nm: nn_dataflow" in line for line in arch.sources) == 5 + 1 + 1
    )  # memories, the network, the compute unit
