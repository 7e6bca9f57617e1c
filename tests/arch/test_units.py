"""The one table of units: what its factors are, and that the page of specs lists all of it."""

import re
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from mapper.arch import units

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
CELL = re.compile(r"`([^`]*)`")


@pytest.mark.parametrize(
    ("quantity", "unit", "factor"),
    [
        ("size", "KiB", 8192),
        ("size", "kB", 8000),
        ("size", "Mb", 10**6),
        ("size", "Mibit", 2**20),
        ("bandwidth", "GiB/s", 2**33),
        ("bandwidth", "Gb/s", 10**9),
        ("bandwidth", "Gbit/s", 10**9),
        ("bandwidth", "GB/s", 8 * 10**9),
        ("bandwidth", "B/cycle", 8),
        ("energy", "fJ", Fraction(1, 1000)),
        ("energy", "nJ", 1000),
        ("energy", "J", 10**12),
        ("leakage", "mW", 10**9),
        ("clock", "kHz", 1000),
        ("clock", "GHz", 10**9),
        ("rate", "MAC/cycle", 1),
        ("area", "mm2", 10**6),
        ("technology", "um", 1000),
    ],
)
def test_factors(quantity, unit, factor):
    """In bits, pJ, Hz, um2, nm; per second at 1 Hz."""
    assert units.TABLE[quantity][unit] == factor


def test_what_is_per_second_needs_a_clock():
    for found in (units.bandwidth_units(16, None), units.leak_units("pJ", None)):
        assert {unit for unit, factor in found.items() if factor is None} == {
            unit for unit in found if unit.endswith(("/s", "W"))
        }


def expanded(text):
    """`{k,M}B` is kB and MB."""
    parts = [part.strip("{}").split(",") if part.startswith("{") else [part] for part in re.split(r"(\{.*?\})", text)]
    return {"".join(chosen) for chosen in product(*parts)}


def test_the_page_lists_every_unit():
    (section,) = re.findall(r"\n## Units\n(.*?)\n## ", PAGE.read_text("utf-8"), re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    listed = {row[0]: set().union(*map(expanded, CELL.findall(row[1]))) for row in rows}
    sizes = listed["size"] = listed.pop("size, line")
    assert listed["bandwidth"] == {"/cycle", "/s"}
    listed["bandwidth"] = {f"{unit}/cycle" for unit in sizes} | {f"{u}/s" for u in sizes if not u.startswith("word")}
    assert listed == {quantity: {unit for unit in found if unit} for quantity, found in units.TABLE.items()}
