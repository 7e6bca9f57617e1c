"""Engines: who proves is said, what the lattice cannot answer is refused, and two answers that differ are a defect."""

from dataclasses import replace
from fractions import Fraction

import pytest
from provers import HOME, MAC, memory
from test_reference_values import TABLE

import mapper
from frontends.onnx import load
from mapper.arch import Architecture, load_architecture
from mapper.cli.options import Engine as Offered
from mapper.errors import InputError
from mapper.ir import gemm
from mapper.mapping import parse_mapping, violations
from mapper.search import Engine, Factors, Limits, Mapspace, Objective, Status, engines
from mapper.search.engines import solve
from mapper.search.lattice import Shortest

SIMPLE3 = load_architecture("simple3")
SPACE = Mapspace(gemm(M=16, N=16, K=16), SIMPLE3, Factors.PERFECT)
LEAST = 162_048  # a reference value


@pytest.mark.parametrize(
    ("engine", "by"),
    [
        (Engine.AUTO, Engine.SOLVER),
        (Engine.SOLVER, Engine.SOLVER),
        (Engine.LATTICE, Engine.LATTICE),
        (Engine.BOTH, Engine.BOTH),
    ],
)
def test_who_proves_is_said(engine, by):
    result = solve(SPACE, engine=engine)
    assert (result.status, result.cost.energy, result.bound) == (Status.OPTIMAL, LEAST, LEAST)
    assert result.proven_by is by
    assert result.tie_proven is (engine is not Engine.LATTICE)


def test_the_command_line_offers_all_engines():
    assert list(Offered) == list(map(str, Engine))


def test_the_solver_is_not_asked_by_the_lattice_nor_the_lattice_by_the_solver(monkeypatch):
    def asked(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(engines.cpsat, "solve", asked)
        assert solve(SPACE, engine=Engine.LATTICE).cost.energy == LEAST
    with monkeypatch.context() as patch:
        patch.setattr(engines, "solve_lattice", asked)
        assert solve(SPACE, engine=Engine.SOLVER).cost.energy == LEAST
        with pytest.raises(ZeroDivisionError):
            solve(SPACE, engine=Engine.AUTO)


@pytest.mark.parametrize("energy", [LEAST - 1, LEAST // 2])
def test_a_bound_of_the_lattice_proves_nothing_of_the_solver(monkeypatch, energy):
    honest = engines.solve_lattice

    def wrong(space, over):
        return replace(honest(space, over), bound=Fraction(energy))

    monkeypatch.setattr(engines, "solve_lattice", wrong)
    result = solve(SPACE)
    assert (result.bound, result.proven_by) == (LEAST, Engine.SOLVER)


def test_a_start_that_is_no_mapping_of_the_mapspace_is_a_defect(monkeypatch):
    fifths = parse_mapping("keep DRAM A B O\nfor M 5\nfor M 1")
    monkeypatch.setattr(engines, "solve_lattice", lambda *_: Shortest(fifths, Fraction(0)))
    with pytest.raises(AssertionError, match=r"no start .*M is not cut from 12 to 5"):
        solve(Mapspace(gemm(M=12, N=1, K=1), SIMPLE3, Factors.PERFECT))


# -- both --------------------------------------------------------------------------------------------------------------


def lattice_says(monkeypatch, change):
    honest = engines.solve_lattice
    monkeypatch.setattr(engines, "solve_lattice", lambda space, over: change(honest(space, over)))


def test_a_bound_above_the_other_engines_mapping_is_an_internal_error(monkeypatch):
    lattice_says(monkeypatch, lambda found: replace(found, bound=found.bound + 1))
    with pytest.raises(AssertionError, match=r"the engines disagree on .* bounds .* against a mapping of 162048"):
        solve(SPACE, engine=Engine.BOTH)
    with pytest.raises(AssertionError, match="the engines disagree"):
        solve(SPACE, engine=Engine.LATTICE)


def test_a_plan_that_the_lattice_forgot_is_an_internal_error(monkeypatch):
    worse = parse_mapping("keep DRAM A B O\nfor M 1\nfor N 1\nfor K 1")
    cost = mapper.evaluate(SPACE.nest, SIMPLE3, worse)
    lattice_says(monkeypatch, lambda _: Shortest(worse, cost.energy))
    with pytest.raises(AssertionError, match="the engines disagree"):
        solve(SPACE, engine=Engine.BOTH)


def test_a_mapping_that_the_solver_forgot_is_an_internal_error(monkeypatch):
    honest = engines.cpsat.solve

    def forgetful(space, *rest):
        found = honest(replace(space, constraints=(), even=True), *rest)
        return replace(found, mapspace=str(space))

    small = Architecture("tiny", (HOME, memory("L1", 6, 1, must_keep=frozenset(mapper.ir.Role)), MAC))
    space = Mapspace(gemm(M=4, N=4, K=4), small, Factors.PERFECT)
    assert honest(replace(space, even=True)).cost.energy > honest(space).cost.energy
    monkeypatch.setattr(engines.cpsat, "solve", forgetful)
    with pytest.raises(AssertionError, match="the engines disagree"):
        solve(space, engine=Engine.BOTH)


def test_one_engine_may_be_late(monkeypatch):
    lattice_says(monkeypatch, lambda found: Shortest(None, found.bound // 2))
    result = solve(SPACE, engine=Engine.BOTH)
    assert (result.status, result.proven_by, result.tie_proven) == (Status.OPTIMAL, Engine.SOLVER, True)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [Engine.LATTICE, Engine.BOTH])
def test_what_the_lattice_does_not_cover_is_refused_with_every_reason(engine):
    space = Mapspace(gemm(M=13, N=16, K=16), SIMPLE3)
    with pytest.raises(InputError) as error:
        solve(space, Objective.EDP, Limits(max_cycles=1000), engine=engine, deterministic_limit=1)
    for reason in ("objective is not energy", "limits on cost", "deterministic limit", "M=13 may be cut"):
        assert reason in error.value.message
    with pytest.raises(InputError, match=r"M=13 may be cut .*with perfect factors the lattice too"):
        solve(space, engine=engine)
    with pytest.raises(InputError) as error:  # whose factors have no part in it
        solve(Mapspace(gemm(M=16, N=16, K=16), SIMPLE3), Objective.EDP, engine=engine)
    assert error.value.hint == "the engines auto and solver do"
    assert solve(replace(space, factors=Factors.PERFECT), engine=engine).proven_by is engine


def test_layers_that_the_lattice_does_not_cover_are_named_before_any_is_solved():
    with pytest.raises(InputError, match=r"layer .*the lattice engine does not cover this"):
        mapper.compile_model("survey/lenet5", "simple3", engine="both")


def test_commands_and_schedules_say_who_proves(tmp_path, capsys):
    from mapper.cli.app import app

    out = tmp_path / "layer.yaml"
    app(
        ["map", "gemm M=4 N=4 K=4", "-a", "simple3", "--engine", "both", "--factors", "perfect", "-o", str(out)],
        standalone_mode=False,
    )
    assert "proven optimal by CP-SAT and by the lattice search" in capsys.readouterr().out
    assert "proven_by: both" in out.read_text()


def test_an_engine_that_there_is_not():
    with pytest.raises(InputError, match="solver"):
        mapper.search("gemm M=4 N=4 K=4", "simple3", engine="solvr")


# -- the mapspace ------------------------------------------------------------------------------------------------------


def test_a_legal_mapping_outside_of_the_mapspace_may_cost_less():
    """What docs/search.md says of `gemm M=10 N=250 K=100`."""
    nest = gemm(M=10, N=250, K=100)
    thirds = parse_mapping("""
        keep DRAM A B O
        keep GLB O
        for K 20
        parfor M 3 PE.x
        parfor K 5 PE.x
        parfor M 1 PE.y
        parfor K 1 PE.y
        keep RF A
        for N 1
    """)
    space = Mapspace(nest, SIMPLE3)
    assert violations(nest, SIMPLE3, thirds) == []
    assert mapper.evaluate(nest, SIMPLE3, thirds).energy == 6_351_000
    assert space.broken(thirds) == ["M is not cut from 10 to 3 with imperfect factors"]
    best = solve(space)
    assert (best.status, best.cost.energy, space.broken(best.mapping)) == (Status.OPTIMAL, 6_411_000, [])


def test_temporal_loops_among_spatial_ones_are_outside():
    mapping = parse_mapping("keep DRAM A B O\nparfor M 4 PE.x\nfor N 2\nparfor M 1 PE.y\nfor N 1\nfor K 1")
    assert violations(gemm(M=16, N=4, K=4), SIMPLE3, mapping) == []
    assert Mapspace(gemm(M=16, N=4, K=4), SIMPLE3).broken(mapping) == ["not all spatial loops of PE follow each other"]


# -- real layers -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("nest", "spec", "energy"), TABLE)
def test_both_on_reference_layers(nest, spec, energy):
    result = solve(Mapspace(nest, load_architecture(spec), Factors.PERFECT), engine=Engine.BOTH)
    assert (result.cost.energy, result.proven_by) == (energy, Engine.BOTH)


@pytest.mark.slow
def test_both_on_resnet_50():
    for nest in load("resnet50").network.unique:
        result = mapper.search_layer(nest, SIMPLE3, factors="perfect", engine="both")
        assert result.proven_by is Engine.BOTH, str(nest)
