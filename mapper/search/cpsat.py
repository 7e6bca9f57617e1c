"""The exact search: CP-SAT on the table model, energy first and then cycles."""

from __future__ import annotations

import time
from fractions import Fraction

from ortools.sat.python import cp_model

from mapper.arch import Architecture
from mapper.cost import Cost, evaluate
from mapper.ir import LoopNest
from mapper.mapping import Mapping, violations
from mapper.search.decode import Tile, assemble
from mapper.search.mapspace import Mapspace
from mapper.search.model import Model
from mapper.search.result import Result, Status


def solve(nest: LoopNest, arch: Architecture, *, time_limit_s: float | None = None) -> Result:
    """The mapping of least energy, and of fewest cycles among those, in the perfect-factor mapspace.

    With a time limit the best mapping found by then is returned, with its bound. Raises InfeasibleError if no
    mapping is legal.
    """
    started, cpu = time.perf_counter(), time.process_time()
    space = Mapspace(nest, arch)
    space.check()
    model = Model(space)
    expression, unit, constant = model.energy

    best: Mapping | None = None
    solver = _solver(time_limit_s)
    model.model.minimize(expression)
    status = solver.solve(model.model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        best = _mapping(model, solver)
        cost = _checked(space, best, round(solver.objective_value) * unit + constant)
    elif status == cp_model.UNKNOWN:
        raise NotImplementedError
    else:
        raise AssertionError(f"CP-SAT says {solver.status_name(status)} of {nest} on {arch.name}")
    bound = max(0, round(solver.best_objective_bound)) * unit + constant
    return Result(
        mapping=best,
        cost=cost,
        status=Status.OPTIMAL if status == cp_model.OPTIMAL else Status.FEASIBLE,
        bound=bound,
        mapspace="perfect",
        solve_s=time.perf_counter() - started,
        solve_cpu_s=time.process_time() - cpu,
    )


def _solver(time_limit_s: float | None) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.linearization_level = 1
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.max_presolve_iterations = 1
    if time_limit_s is not None:
        parameters.max_time_in_seconds = time_limit_s
    return solver


def _mapping(model: Model, solver: cp_model.CpSolver) -> Mapping:
    space = model.space
    tiles = []
    for nodes in model.nodes.values():
        for node in nodes:
            if node.keep is True or solver.boolean_value(node.keep):
                extent = {d: solver.value(x) for d, x in node.extent.items()}
                reach = {d: solver.value(x) for d, x in node.reach.items()}
                tiles.append(Tile(node.slot, extent, {d: n for d, n in reach.items() if n != extent[d]}))
    spatial = {key: solver.value(s) for key, s in model.spatial.items()}
    below = [{d: solver.value(x) for d, x in extents.items()} for extents in model.below]
    return assemble(space, tiles, spatial, below)


def _checked(space: Mapspace, mapping: Mapping, energy: Fraction) -> Cost:
    """The cost of the solver's mapping; an internal error if it is illegal or not what the solver promised."""
    broken = violations(space.nest, space.arch, mapping)
    cost = evaluate(space.nest, space.arch, mapping)
    if broken or cost.energy != energy:
        raise AssertionError(
            f"solver and cost model disagree on {space.nest} on {space.arch.name}: "
            f"{energy} against {cost.energy}; {broken}\n{mapping}"
        )
    return cost
