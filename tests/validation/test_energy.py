"""The estimates of memories follow from their points, lie near them, and the page says what is computed."""

from dataclasses import astuple
from pathlib import Path

import pytest

from mapper.arch.estimate import CELL_LEAK_PW, PARTS, estimate
from validation.energy import report
from validation.energy_fit import SOURCES, cell_leaks, estimated, fits, points

POINTS = [point for point in points() if point.covered]


def test_coefficients_are_those_of_the_fit():
    for (kind, quantity), laws in fits().items():
        used = getattr(PARTS[kind], quantity)
        assert len(used) == len(laws)
        for law, fitted in zip(used, laws, strict=True):
            assert astuple(law) == tuple(float(f"{x:.3g}") for x in astuple(fitted)), (kind, quantity)
    assert {nm: float(f"{leak:.3g}") for nm, leak in cell_leaks().items()} == CELL_LEAK_PW


@pytest.mark.parametrize("kind", PARTS)
def test_estimates_are_within_the_stated_factors_of_all_points(kind):
    checked = set()
    for point in POINTS:
        for quantity in ("read", "write", "leak", "area"):
            value = point.value(quantity)
            if point.kind == kind and value is not None:
                checked.add(quantity)
                factor = PARTS[kind].factors[quantity]
                assert value / factor <= estimated(point, quantity) <= value * factor, (point, quantity)
    assert checked == PARTS[kind].factors.keys()


def test_the_function_is_the_laws_with_three_digits():
    for point in POINTS:
        found = estimate(point.kind, point.bits, point.width, point.nm)
        for quantity, value, coarsest in (
            ("read", found.read, 1e-2),
            ("write", found.write, 1e-2),
            ("area", found.area_um2, 1),
            ("leak", found.leak_pw, 0),
        ):
            assert float(value) == pytest.approx(estimated(point, quantity), rel=0.0051, abs=coarsest * 0.51)
        assert point.source != "cacti" or not any("extrapolated" in remark for remark in found.remarks)


def test_published_energies_of_45_nm():
    """Horowitz, ISSCC 2014: 64 bits of 8 KiB 10 pJ, of 32 KiB 20 pJ, of 1 MiB 100 pJ; 32 bits of DRAM 640 pJ."""
    for kibibytes, published in ((8, 10), (32, 20), (1024, 100)):
        assert published / 2 < estimate("sram", kibibytes * 8192, 64, 45).read < published * 2
    assert 640 / 1.3 < estimate("dram", None, 32, 45).read < 640 * 1.3


def test_every_point_has_a_source():
    assert {point.source for point in points()} == SOURCES.keys()


def test_the_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "validation" / "energy.md"
    assert page.read_text("utf-8") == report(), "python -m validation energy --write"
