"""The table of operators says what loading does."""

from pathlib import Path

from onnx import defs

from frontends.onnx.families import PRODUCTS, REDUCTIONS
from frontends.onnx.operators import markdown, treatments
from frontends.onnx.registry import SHAPE_READERS, UNMAPPED, VIEWS

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"


def test_every_operator_of_the_standard_has_a_treatment():
    found = treatments()
    standard = {s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    assert standard == {name for name in found if "." not in name}
    assert {name for name, text in found.items() if text.startswith("layer:")} == {*PRODUCTS, *REDUCTIONS}
    assert {name for name, text in found.items() if text.startswith("view")} == VIEWS
    assert set(found) >= SHAPE_READERS
    uncounted = {name for name, text in found.items() if "not counted" in text}
    assert uncounted and not uncounted & standard  # nothing of the standard is free
    assert {name.rpartition(".")[2] for name in uncounted} < UNMAPPED
    assert found["Softmax"].startswith("data movement: reads")
    assert found["Relu"].startswith("attached")


def test_no_operator_is_in_two_groups():
    assert not UNMAPPED & set(PRODUCTS)
    assert not VIEWS & SHAPE_READERS


def test_the_document_is_current():
    assert DOCUMENT.read_text("utf-8") == markdown() + "\n"
