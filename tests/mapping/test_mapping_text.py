"""The text form of mappings."""

import pytest
from hypothesis import given
from strategies import cases

from mapper.errors import InputError
from mapper.mapping import Keep, Loop, Mapping, ParFor, parse_mapping


@given(cases())
def test_what_a_mapping_prints_can_be_read(case):
    assert parse_mapping(str(case.mapping)) == case.mapping


def test_text_form():
    mapping = Mapping(
        (
            Keep("DRAM", "I"),
            Keep("DRAM", "W"),
            Keep("GLB", "W"),
            Loop("P", 2),
            Keep("GLB", "I", rolling=True),
            Keep("GLB", "O"),
            ParFor("K", 4, "PE", "x"),
        )
    )
    text = "keep DRAM I W\nkeep GLB W\nfor P 2\nkeep GLB I rolling\nkeep GLB O\nparfor K 4 PE.x\n"
    assert str(mapping) == text


def test_empty_lines_do_not_matter():
    assert parse_mapping("\n  keep DRAM I\n\n\tfor P 2  \n") == Mapping((Keep("DRAM", "I"), Loop("P", 2)))


@pytest.mark.parametrize(
    "line",
    ["keep DRAM", "keep", "for P", "for P 2 3", "parfor P 2", "parfor P 2 PE", "parfor P 2 PE.x.y", "loop P 2"],
)
def test_lines_that_are_no_item(line):
    with pytest.raises(InputError) as error:
        parse_mapping(f"keep DRAM I\n\n{line}\n")
    assert error.value.place == f"line 3: {line}"
    assert error.value.message == (
        "expected 'keep MEMORY TENSOR..', 'keep MEMORY TENSOR rolling', 'for DIM STEP' or 'parfor DIM STEP FANOUT.AXIS'"
    )


@pytest.mark.parametrize("line", ["keep GLB I W rolling", "keep GLB rolling I"])
def test_a_rolling_window_stands_alone(line):
    with pytest.raises(InputError, match="in a line of its own: 'keep MEMORY TENSOR rolling'"):
        parse_mapping(line)


@pytest.mark.parametrize("names", [("rolling",), ("A", "rolling"), ("rolling", "A")])
def test_a_tensor_may_be_called_rolling(names):
    mapping = Mapping((*(Keep("L", name) for name in names), Keep("L", "rolling", rolling=True)))
    assert parse_mapping(str(mapping)) == mapping


@pytest.mark.parametrize("line", ["for P two", "parfor P 1.5 PE.x"])
def test_steps_that_are_no_numbers(line):
    with pytest.raises(InputError, match=rf"^line 1: {line}: .*invalid literal for int"):
        parse_mapping(line)
