"""The record of mutated inputs, and the page that it makes."""

import csv
from pathlib import Path

import pytest
from fuzz import main
from fuzzing import record
from fuzzing.every import KINDS
from fuzzing.run import Outcome

from validation import fuzz

DOCUMENT = Path(__file__).parents[2] / "docs" / "validation" / "fuzz.md"


def test_the_page_is_that_of_the_record():
    assert DOCUMENT.read_text("utf-8") == fuzz.report()


def test_the_kinds_of_the_page_are_those_that_are_run():
    assert {kind.name for kind in KINDS.values() if kind.structural} == fuzz.STRUCTURAL
    with fuzz.RECORD.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} <= KINDS.keys()
    assert all(int(row["inputs"]) == sum(int(row[k]) for k in ("read", "refused", "defects")) for row in rows)


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "FILE", tmp_path / "fuzz.csv")
    monkeypatch.setattr(record, "_commit", lambda: "abc")
    return tmp_path / "fuzz.csv"


def test_a_run_is_recorded_once_however_often_it_is_written(file):
    record.record(7, {"layers": Outcome(3, 1)})
    record.record(9, {"layers": Outcome(1, 0)})
    record.record(7, {"layers": Outcome(5, 2, {11: "a defect"}), "nests": Outcome()})
    rows = [row[1:] for row in csv.reader(file.read_text().splitlines())]
    assert rows == [
        list(record.HEAD[1:]),
        ["abc", "layers", "9", "1", "1", "0", "0"],
        ["abc", "layers", "7", "8", "5", "2", "1"],
    ]


def test_a_run_says_what_it_tried(file, capsys, tmp_path):
    assert main(["layers", "nests", "--count", "20", "--seed", "5", "--record"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "first seed 5" and [line.split(",")[0] for line in lines[1:]] == [
        "layers: 20 inputs",
        "nests: 20 inputs",
    ]
    assert [row["inputs"] for row in csv.DictReader(file.read_text().splitlines())] == ["20", "20"]
    assert main(["layers", "--seed", "5"]) == 0
    assert capsys.readouterr().out.strip() in ("read", "refused")
    assert main(["layers", "--seed", "5", "--save", str(tmp_path / "layer")]) == 0
    assert (tmp_path / "layer").read_text("utf-8") == KINDS["layers"].input(5)
