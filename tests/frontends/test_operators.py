"""The table of operators says what loading does."""

from onnx import defs

from frontends.onnx.operators import treatments
from frontends.onnx.registry import FAMILIES, SHAPE_READERS, VIEWS


def test_every_operator_of_the_standard_has_a_treatment():
    found = treatments()
    assert set(found) == {s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    assert {name for name, text in found.items() if text.startswith("mapped")} == set(FAMILIES)
    assert {name for name, text in found.items() if text.startswith("view")} == VIEWS
    assert set(found) >= SHAPE_READERS
    assert found["LSTM"].startswith("data movement, with a note")
    assert found["Softmax"].startswith("data movement")
