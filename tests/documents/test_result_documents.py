"""What results say of themselves: documents, rows and lines, all from one source."""

import json
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import pytest
from hypothesis import given
from strategies import cases

import mapper
from mapper.cost import evaluate
from mapper.cost.breakdown import break_down
from mapper.documents.quantities import percent, plain
from mapper.ir import Network, Node
from mapper.network import compile_network

GEMM = "gemm M=16 N=16 K=16"


@pytest.fixture(scope="module")
def result():
    return mapper.search(GEMM, "simple3")


@pytest.fixture(scope="module")
def front():
    return mapper.search(GEMM, "simple3", objective="pareto")


@pytest.fixture(scope="module")
def compiled(result):
    nodes = (
        Node("a<b", "Gemm", (), (), result.nest, times=2),
        Node("relu", "Relu", (), (), None, ((7, None),), ((5, None),), "a<b"),
    )
    return compile_network(Network("net & co", (), nodes), mapper.load_architecture("simple3"))


@given(cases())
def test_the_energies_of_a_cost_by_level_tensor_operation_and_leakage_are_those_of_its_breakdown(case):
    """Two formulas: nodes and networks are priced one by one in a breakdown."""
    cost, found = evaluate(*case), break_down(*case)
    priced = {(node.memory, node.tensor): node.energy for node in found.nodes}
    priced |= {(network.fanout, network.tensor): network.energy for network in found.networks}
    assert {key: energy for key, energy in cost.energy_by_tensor.items() if energy} == {
        key: energy for key, energy in priced.items() if energy
    }
    assert cost.leak_by_level == {level.name: level.leak_energy for level in found.levels}
    assert cost.operation_energy == case.nest.operations * case.arch.compute.energy
    parts = sum(cost.energy_by_tensor.values()) + sum(cost.leak_by_level.values()) + cost.operation_energy
    assert parts == cost.energy
    assert sum(cost.home_bytes_by_tensor.values()) == cost.home_bytes


@given(cases())
def test_the_rows_of_a_cost_have_all_of_its_energy(case):
    cost = evaluate(*case)
    rows = cost.rows()
    for level, energy in cost.energy_by_level.items():
        found = sum(row["energy"] for row in rows if row["level"] == level)
        assert found == pytest.approx(float(energy), rel=1e-12)
    assert {row["energy_unit"] for row in rows} == {case.arch.energy_unit}
    assert json.dumps([cost.to_dict(), rows], allow_nan=False)


def test_to_dict_is_what_the_command_prints(result, capsys):
    from typer.testing import CliRunner

    from mapper.cli.app import app

    printed = json.loads(CliRunner().invoke(app, ["map", GEMM, "--arch", "simple3", "--format", "json"]).stdout)
    mine = json.loads(json.dumps(result.to_dict()))
    for data in (printed, mine):
        assert data.pop("solve_s") >= 0 and data.pop("statistics")
        for part in (data, *data["front"]):
            del part["mapping"]  # one of several that cost the same
    assert mine == printed


def test_a_result_has_a_row_for_each_point(result, front):
    (row,) = result.rows()
    assert (row["layer"], row["arch"], row["energy"], row["energy_unit"]) == (
        "O[M,N] += A[M,K] * B[K,N] {M=16 N=16 K=16}", "simple3", 162_048, "MAC",
    )  # fmt: skip
    assert [(r["energy"], r["cycles"]) for r in front.rows()] == [(p.cost.energy, p.cost.cycles) for p in front.front]
    assert {type(value) for r in (row, *front.rows()) for value in r.values()} <= {str, int, float, bool, type(None)}


def test_lines_are_short(result, front, compiled):
    assert repr(result.cost) == (
        "<Cost energy 162 kMAC, 48 cycles (DRAM shared bound), utilisation 33.3%, 4,096 operations>"
    )
    layer = "O[M,N] += A[M,K] * B[K,N] {M=16 N=16 K=16} on simple3"
    assert repr(result).startswith(f"<Result {layer}: optimal, energy 162 kMAC, 48 cycles")
    unproven = replace(result, status=mapper.Status.FEASIBLE, bound=Fraction(162_048, 2))
    assert f"{layer}: feasible, at most 100.00% above the optimum, energy" in repr(unproven)
    assert "feasible, with no bound" in repr(replace(unproven, bound=Fraction(0)))
    assert f"optimal, front of {len(front.front)}, energy" in repr(front)
    assert repr(compiled) == (
        f"<Compiled net & co on simple3: 1 of 1 layers proven optimal, energy 326.5 kMAC, {compiled.cycles} cycles>"
    )


class Cells(HTMLParser):
    """The texts of a page, of which each tag is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_notebooks_show_tables(result, front, compiled):
    assert "4,096" in Cells(result.cost._repr_html_()).texts
    assert {"DRAM", "operations", "51.2 kMAC"} <= set(Cells(result._repr_html_()).texts)
    assert len(Cells(front._repr_html_()).texts) > len(Cells(result._repr_html_()).texts)
    page = Cells(compiled._repr_html_()).texts
    assert {"a<b", "relu", "where it goes", "energy by level"} <= set(page)
    assert any(text.startswith("net & co on simple3") for text in page)


def test_a_network_is_its_summary_and_its_rows(compiled):
    assert compiled.to_dict()["totals"]["energy"] == compiled.energy
    assert [row["name"] for row in compiled.rows()] == ["a<b", "relu"]
    assert sum(row["total_energy"] for row in compiled.rows()) == compiled.energy


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100%"), (0.123, "12%"), (0.0996, "10%"), (0.0994, "9.9%"), (0.0004, "<0.1%"), (0, "0.0%")]
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000012344, "0.00001234"), (3.6050, "3.605"), (251_897.3, "251,900"), (0, "0"), (2e9, "2,000,000,000")],
)
def test_a_plain_number_has_four_digits_and_no_exponent(value, text):
    assert plain(value) == text
