"""The exact search: CP-SAT on the table model, energy first and then cycles."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from ortools.sat.python import cp_model

from mapper.arch import Architecture
from mapper.cost import Cost, evaluate
from mapper.errors import InfeasibleError, InputError
from mapper.ir import LoopNest
from mapper.mapping import Mapping, violations
from mapper.search.decode import Tile, assemble, smallest
from mapper.search.mapspace import MOST, Mapspace
from mapper.search.model import Model
from mapper.search.objective import Objective, cycles, energy
from mapper.search.result import Result, Status
from mapper.search.traffic import Traffic


def solve(nest: LoopNest, arch: Architecture, *, time_limit_s: float | None = None) -> Result:
    """The mapping of least energy, and of fewest cycles among those, in the perfect-factor mapspace.

    With a time limit the best mapping found by then is returned, with its bound. Raises InfeasibleError if no
    mapping is legal.
    """
    started, cpu = time.perf_counter(), time.process_time()
    space = Mapspace(nest, arch)
    space.check()
    fallback = smallest(space)
    misfits = violations(nest, arch, fallback)  # where partial sums are wide, a better mapping may fit
    model = Model(space)
    traffic = Traffic(model)
    traffic.fit()
    lasting = None
    if arch.leak_energy:  # no good mapping leaks more than a simple one costs in all, or than the solver can count
        lasting = cycles(traffic, MOST if misfits else int(evaluate(nest, arch, fallback).energy / arch.leak_energy))
        if lasting is None:
            raise InputError("leakage and bandwidths have too many digits for the search", place=arch.name)
    objective = energy(traffic, lasting)
    expression, unit, exact = objective.integer(model.tables)
    if lasting is not None and not exact:
        raise InputError("leakage and energies have too many digits for the search", place=arch.name)

    solver = _solver(time_limit_s)
    model.model.minimize(expression)
    status = _run(solver, model)
    bound = max(0, round(solver.best_objective_bound)) * unit + objective.constant
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        best = _mapping(model, solver)
        cost = _checked(space, best, objective.value(solver))
    elif misfits and status == cp_model.INFEASIBLE:
        raise InfeasibleError("no mapping is legal; even tiles of one element do not fit: " + "; ".join(misfits))
    elif misfits and status == cp_model.UNKNOWN:
        raise InfeasibleError("no legal mapping was found within the time limit", hint="allow more time")
    elif status == cp_model.UNKNOWN:  # the limit came before the solver's first solution
        best = fallback
        cost = evaluate(nest, arch, best)
    else:
        raise AssertionError(f"{solver.status_name(status)}, though one-word tiles fit: {nest} on {arch.name}")
    fewest = False
    if status == cp_model.OPTIMAL and exact:
        left = None if time_limit_s is None else time_limit_s - (time.perf_counter() - started)
        model.model.add(expression == round(solver.objective_value))
        best, cost, fewest = _fewest_cycles(traffic, objective, best, cost, left)
    proven = status == cp_model.OPTIMAL and (exact or bound == cost.energy)
    if bound > cost.energy or (proven and bound != cost.energy):
        raise AssertionError(f"bound {bound} against energy {cost.energy}: {nest} on {arch.name}\n{best}")
    return Result(
        mapping=best,
        cost=cost,
        status=Status.OPTIMAL if proven else Status.FEASIBLE,
        bound=bound,
        fewest_cycles=fewest,
        mapspace="perfect",
        solve_s=time.perf_counter() - started,
        solve_cpu_s=time.process_time() - cpu,
    )


def _fewest_cycles(
    traffic: Traffic, objective: Objective, best: Mapping, cost: Cost, limit_s: float | None
) -> tuple[Mapping, Cost, bool]:
    """Among the mappings of the least energy, which the model now demands, one of the fewest cycles.

    The flag says whether that is proven; it is not where time ran out, or where a bandwidth has so many digits that
    the solver's integers cannot hold the words it moves.
    """
    if cost.cycles == 1:
        return best, cost, True
    model, fewer = traffic.built, cycles(traffic, cost.cycles - 1)
    if fewer is None or (limit_s is not None and limit_s <= 0):
        return best, cost, False
    model.model.minimize(fewer)
    solver = _solver(limit_s)
    status = _run(solver, model)
    if status == cp_model.MODEL_INVALID:
        raise AssertionError(f"{model.model.validate()}: {model.nest} on {model.arch.name}")
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return best, cost, status == cp_model.INFEASIBLE
    faster = _mapping(model, solver)
    cost = _checked(model.space, faster, objective.value(solver), round(solver.objective_value))
    return faster, cost, status == cp_model.OPTIMAL


def _solver(time_limit_s: float | None) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.linearization_level = 1
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.max_presolve_iterations = 1
    parameters.catch_sigint_signal = False  # an interrupt is no time limit
    if time_limit_s is not None:
        parameters.max_time_in_seconds = time_limit_s
    return solver


def _run(solver: cp_model.CpSolver, model: Model) -> cp_model.CpSolverStatus:
    """Solve in a thread, so that an interrupt reaches this one and ends the solve at once."""
    with ThreadPoolExecutor(1) as thread:
        solved = thread.submit(solver.solve, model.model)
        try:
            return solved.result()
        except KeyboardInterrupt:
            solver.stop_search()
            raise


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


def _checked(space: Mapspace, mapping: Mapping, energy: Fraction, cycles: int | None = None) -> Cost:
    """The cost of the solver's mapping; an internal error if it is illegal or not what the solver promised."""
    broken = violations(space.nest, space.arch, mapping)
    cost = evaluate(space.nest, space.arch, mapping)
    if broken or cost.energy != energy or cycles not in (None, cost.cycles):
        raise AssertionError(
            f"solver and cost model disagree on {space.nest} on {space.arch.name}: "
            f"energy {energy} against {cost.energy}, cycles {cycles} against {cost.cycles}; {broken}\n{mapping}"
        )
    return cost
