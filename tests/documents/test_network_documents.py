"""The summary of a network, its rows, and what they add up to."""

import csv
import io
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases, mappings, nests

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.cost import Cost, evaluate
from mapper.documents.network import breakdown_rows, csv_text, mapped_data, node_rows, summary
from mapper.documents.numbers import exact
from mapper.ir import Network, Node, gemm
from mapper.network import Mapped, compile_network, spent
from mapper.options import Options
from mapper.search import Objective

HOME = Memory(
    "DRAM",
    word_bits=12,
    read_energy=Fraction(10),
    write_energy=Fraction(25, 2),
    read_bandwidth=Fraction(4),
    write_bandwidth=Fraction(1, 2),
)
ARCH = Architecture("tiny", (HOME, Memory("RF", size_words=8), Compute("MAC", energy=Fraction(1))), clock_hz=1000)
SMALL, LARGE = gemm(M=2, N=2, K=2), gemm(M=4, N=2, K=2)
NETWORK = Network(
    "net",
    (("x", (2, 2)), ("y", (4, 2))),
    (
        Node("first", "Gemm", ("x",), ("y",), LARGE),
        Node("relu", "Relu", ("y",), ("y",), None, ((7, None),), ((5, None),)),
        Node("view", "Reshape", ("y",), ("y",)),
        Node("second", "Gemm", ("y",), ("x",), SMALL),
        Node("third", "Gemm", ("x",), ("y",), LARGE, times=3),
        Node("bias", "Bias", ("y",), (), None, ((2, None),), (), "third", times=3),
    ),
)


@dataclass(frozen=True)
class Costed:
    cost: Cost


@st.composite
def networks(draw):
    """Layers with legal mappings on one machine, other nodes between them; each runs a number of times."""
    nest, arch, mapping = draw(cases())
    found = {nest: evaluate(nest, arch, mapping)}
    if draw(st.booleans()):
        other = draw(nests())
        found[other] = evaluate(other, arch, draw(mappings(other, arch)))  # what fits does not matter to what it costs
    nodes = []
    for layer in draw(st.lists(st.sampled_from(list(found)), max_size=4)):
        op, times = draw(st.sampled_from(["Conv", "Gemm"])), draw(st.integers(0, 5))
        nodes.append(Node(f"layer{len(nodes)}", op, (), (), layer, times=times))
        moved = st.lists(st.tuples(st.integers(0, 99), st.sampled_from([None, 4, 64])), max_size=2).map(tuple)
        nodes.append(Node(f"other{len(nodes)}", "Relu", (), (), None, draw(moved), draw(moved), times=times))
    network = Network("net", (), tuple(nodes))
    return Mapped(network, arch, {nest: Costed(cost) for nest, cost in found.items()})


@settings(max_examples=60)
@given(networks())
def test_each_breakdown_adds_up_to_its_total(mapped):
    found = spent(mapped)
    for energies in (found.energy_by_level, found.energy_by_tensor, found.energy_by_operator):
        assert sum(energies.values()) == mapped.energy
    assert sum(found.cycles_by_bottleneck.values()) == mapped.cycles
    assert sum(found.home_bytes_by_tensor.values()) == mapped.home_bytes


@settings(max_examples=60)
@given(networks())
def test_rows_add_up_to_the_totals_and_to_each_breakdown(mapped):
    """What is no whole number is the nearest float in a document."""
    data = mapped_data(mapped)
    rows = [*data["layers"], *data["other_ops"]]
    assert [row["name"] for row in node_rows(data)] == [node.name for node in mapped.network.nodes]
    for key in ("energy", "cycles", "macs", "operations", "dram_bytes"):
        assert sum(row[f"total_{key}"] for row in rows) == pytest.approx(data["totals"][key], rel=1e-12)
    for key in ("energy_by_level", "energy_by_tensor", "dram_bytes_by_tensor"):
        sums = dict.fromkeys(data["breakdown"][key], 0)
        for row in rows:
            for name, part in row[key].items():
                sums[name] += row["times"] * part
        assert sums == pytest.approx(data["breakdown"][key], rel=1e-12)
    for of, by, column in (("energy", "operator", "op"), ("cycles", "bottleneck", "bottleneck")):
        sums = dict.fromkeys(data["breakdown"][f"{of}_by_{by}"], 0)
        for row in rows:
            if row[f"total_{of}"] or by == "operator":
                sums[row[column]] += row[f"total_{of}"]
        assert sums == pytest.approx(data["breakdown"][f"{of}_by_{by}"], rel=1e-12)


def test_what_runs_in_a_loop_weighs_by_how_often():
    compiled = compile_network(NETWORK, ARCH)
    once = compile_network(replace(NETWORK, nodes=tuple(replace(n, times=1) for n in NETWORK.nodes)), ARCH)
    more = {"Gemm": 2 * compiled.results[LARGE].cost.energy, "Bias": 2 * 20, "Relu": 0, "Reshape": 0}
    found, base = spent(compiled).energy_by_operator, spent(once).energy_by_operator
    assert {op: found[op] - base[op] for op in found} == more


def test_leakage_is_told_apart():
    leaky = replace(ARCH, levels=(HOME, *ARCH.levels[1:2], replace(ARCH.compute, leak_energy=Fraction(1, 3))))
    compiled = compile_network(NETWORK, leaky)
    found = spent(compiled)
    assert found.energy_by_tensor["leakage"] == Fraction(compiled.cycles, 3)
    assert found.energy_by_level["MAC"] == compiled.operations + Fraction(compiled.cycles, 3)


# -- the summary -------------------------------------------------------------------------------------------------------


def test_summary_has_a_row_for_each_node():
    compiled = compile_network(NETWORK, ARCH)
    checked = {"passed": True}
    data = summary(compiled, schedule_of=lambda name: f"{name}.yaml", verification=checked)
    assert (data["schema"], data["model"], data["arch"]) == ("tilewright.summary/2", "net", "tiny")
    assert (data["objective"], data["energy_unit"], data["verification"]) == ("energy", "pJ", checked)
    assert (data["factors"], data["mapspace"], data["dataflow"]) == ("imperfect", "uneven", None)
    assert (data["constraints"], data["limits"]) == ([], {})
    cost = compiled.results[LARGE].cost
    row = data["layers"][2]
    assert isinstance(row.pop("solve_s"), float)
    parts = {key: row.pop(key) for key in ("energy_by_level", "energy_by_tensor", "dram_bytes_by_tensor")}
    assert sum(parts["energy_by_level"].values()) == sum(parts["energy_by_tensor"].values()) == row["energy"]
    assert parts["dram_bytes_by_tensor"] == {"input": 12, "weight": 6, "output": 12}
    proven = {"status": "optimal", "proven_by": "solver", "bound": exact(cost.energy), "gap": 0, "tie_proven": True}
    assert {key: row[key] for key in proven} == proven
    figures = {key: value for key, value in row.items() if key not in proven and key != "proven_by"}
    assert figures == {
        "name": "third",
        "op": "Gemm",
        "treatment": "layer",
        "order": 5,
        "unique_id": 0,
        "times": 3,
        "dims": {"M": 4, "N": 2, "K": 2},
        "bits": {},
        "macs": 16,
        "operations": 16,
        "energy": exact(cost.energy),
        "energy_unit": "pJ",
        "cycles": cost.cycles,
        "edp": exact(cost.energy * cost.cycles),
        "utilization": 16 / cost.cycles,
        "bottleneck": cost.bottleneck,
        "dram_bytes": exact(cost.home_bytes),
        "total_energy": 3 * exact(cost.energy),
        "total_cycles": 3 * cost.cycles,
        "total_macs": 48,
        "total_operations": 48,
        "total_dram_bytes": 3 * exact(cost.home_bytes),
        "schedule": "third.yaml",
    }
    relu, view, bias = data["other_ops"]
    assert relu == {
        "name": "relu",
        "op": "Relu",
        "treatment": "data movement",
        "order": 2,
        "times": 1,
        "energy": 132.5,
        "energy_unit": "pJ",
        "cycles": 10,
        "bottleneck": "DRAM write",
        "dram_bytes": 18,
        "total_energy": 132.5,
        "total_cycles": 10,
        "total_macs": 0,
        "total_operations": 0,
        "total_dram_bytes": 18,
        "energy_by_level": {"DRAM": 132.5, "RF": 0, "MAC": 0},
        "energy_by_tensor": {"other_ops": 132.5, "leakage": 0},
        "dram_bytes_by_tensor": {"other_ops": 18},
    }
    assert (view["treatment"], view["energy"], view["cycles"], "bottleneck" in view) == ("view", 0, 0, False)
    assert (bias["attached_to"], bias["times"], bias["energy"], bias["total_energy"]) == ("third", 3, 20, 60)


def test_totals_say_how_fast_and_how_well():
    compiled = compile_network(NETWORK, ARCH)
    totals = summary(compiled)["totals"]
    macs, seconds = 4 * 16 + 8, compiled.cycles / 1000
    joules = float(compiled.energy) / 10**12
    assert totals == pytest.approx({
        "energy": exact(compiled.energy),
        "energy_unit": "pJ",
        "cycles": compiled.cycles,
        "macs": macs,
        "operations": macs,
        "dram_bytes": exact(compiled.home_bytes),
        "latency_s": seconds,
        "inferences_per_s": 1 / seconds,
        "power_w": joules / seconds,
        "tops": 2 * macs / seconds / 10**12,
        "tops_per_w": 2 * macs / joules / 10**12,
        "utilization": macs / compiled.cycles,
    })  # fmt: skip


def test_what_cannot_be_said_is_left_out():
    rates = {"latency_s", "inferences_per_s", "power_w", "tops", "tops_per_w", "utilization"}
    clocked = summary(compile_network(NETWORK, replace(ARCH, energy_unit="MAC")))["totals"]
    assert rates - clocked.keys() == {"power_w", "tops_per_w"}
    joules = summary(compile_network(NETWORK, replace(ARCH, clock_hz=None)))["totals"]
    assert rates - joules.keys() == {"latency_s", "inferences_per_s", "power_w", "tops"}
    nothing = summary(compile_network(replace(NETWORK, nodes=NETWORK.nodes[2:3]), ARCH))["totals"]
    assert rates - nothing.keys() == rates - {"latency_s"}
    assert (nothing["energy"], nothing["latency_s"]) == (0, 0)


def test_a_layer_without_multiplications_does_one_operation_at_a_point():
    pool = Node("pool", "MaxPool", ("x",), ("y",), POOL)
    compiled = compile_network(replace(NETWORK, nodes=(pool,)), ARCH)
    assert (compiled.operations, compiled.macs, compiled.arithmetic) == (12, 0, 12)


POOL = replace(
    SMALL, dims=(("M", 4), ("K", 3)), tensors=tuple(
        replace(t, ranks=tuple(r for r in t.ranks if r[0].dim != "N")) for t in SMALL.tensors if t.name != "B"
    )
)  # fmt: skip


# -- rows --------------------------------------------------------------------------------------------------------------


def test_csv_has_a_row_for_each_node_whose_sums_are_the_totals():
    wide = replace(ARCH, levels=(HOME, FanOut("PE", (Axis("x", 2),), deliver_energy=Fraction(2)), *ARCH.levels[1:]))
    data = summary(compile_network(NETWORK, wide))
    rows = list(csv.DictReader(io.StringIO(csv_text(node_rows(data)))))
    assert [row["name"] for row in rows] == [node.name for node in NETWORK.nodes]
    assert (rows[0]["dims"], rows[1]["dims"], rows[5]["attached_to"]) == ("M=4 N=2 K=2", "", "third")
    for key in ("energy", "cycles", "macs", "operations", "dram_bytes"):
        assert sum(Fraction(row[f"total_{key}"]) for row in rows) == Fraction(data["totals"][key])
        if key in rows[0]:
            once = [Fraction(row[key] or 0) * int(row["times"]) for row in rows]
            assert sum(once) == Fraction(data["totals"][key])
    for level, energy in data["breakdown"]["energy_by_level"].items():
        assert sum(Fraction(row[f"energy_by_level.{level}"]) * int(row["times"]) for row in rows) == Fraction(energy)
    assert {row["energy_unit"] for row in rows} == {"pJ"}


def test_rows_are_flat_and_have_the_same_columns():
    compiled = compile_network(NETWORK, ARCH)
    rows = node_rows(summary(compiled))
    assert len({tuple(row) for row in rows}) == 1
    assert {type(value) for row in rows for value in row.values()} <= {str, int, float, bool, type(None)}


def test_rows_tell_widths_and_fronts_in_words():
    narrow = replace(SMALL, tensors=tuple(replace(t, bits=8) for t in SMALL.tensors), partial_bits=32)
    network = replace(NETWORK, nodes=(Node("narrow", "Gemm", ("x",), ("y",), narrow),))
    compiled = compile_network(network, ARCH, Options(objective=Objective.PARETO))
    (row,) = node_rows(summary(compiled))
    assert row["bits"] == "A=8 B=8 O=8 partial=32"
    points = compiled.results[narrow].front
    assert row["front"] == " ".join(f"{exact(p.cost.energy)}:{p.cost.cycles}" for p in points)


def test_the_rows_of_the_breakdown_have_value_unit_and_share():
    data = summary(compile_network(NETWORK, ARCH))
    rows = breakdown_rows(data)
    assert rows[0] == {
        "of": "energy",
        "by": "level",
        "name": "DRAM",
        "value": data["breakdown"]["energy_by_level"]["DRAM"],
        "unit": "pJ",
        "share": data["breakdown"]["energy_by_level"]["DRAM"] / data["totals"]["energy"],
    }
    for of, by in {(row["of"], row["by"]) for row in rows}:
        assert sum(row["share"] for row in rows if (row["of"], row["by"]) == (of, by)) == pytest.approx(1)
    assert csv_text(rows).splitlines()[0] == "of,by,name,value,unit,share"


def test_a_network_without_nodes_has_an_empty_table():
    empty = summary(compile_network(replace(NETWORK, nodes=()), ARCH))
    assert csv_text(node_rows(empty)) == ""
    assert {row["share"] for row in breakdown_rows(empty)} == {0}


@pytest.mark.parametrize(
    ("value", "printed"), [(Fraction(3), 3), (Fraction(1, 2), 0.5), (10**30, 10**30), (Fraction(10**30), 10**30)]
)
def test_whole_numbers_stay_whole(value, printed):
    assert exact(value) == printed
    assert type(exact(value)) is type(printed)
