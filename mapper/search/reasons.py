"""Reasons: why a mapspace has no mapping within the limits, and the smallest change that would help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from ortools.sat.python import cp_model

from mapper.arch import Spatial, Tile
from mapper.errors import InfeasibleError
from mapper.search.constrained import demand, demand_even
from mapper.search.extents import Factors
from mapper.search.limits import NONE, Limits
from mapper.search.mapspace import Mapspace
from mapper.search.model import Model
from mapper.search.program import Clock, Program, new_solver
from mapper.search.traffic import Traffic

SECONDS = 10.0
"""Time for each question that is asked of an infeasible problem."""

LARGER = 16
"""Memories are tried up to so many times as large."""


def why(space: Mapspace, limits: Limits) -> InfeasibleError:
    """The error that says why no mapping of the mapspace is within the limits; it is known that none is."""
    if limits != NONE and _feasible(space, NONE):
        return InfeasibleError("; ".join(_limits(space, limits)), hint="loosen the limit")
    if space.constraints or space.even:
        return _constraints(space)
    misfits, hint = _memories(space)
    return InfeasibleError(f"no mapping is legal: {misfits}", hint=hint)


def _feasible(space: Mapspace, limits: Limits) -> bool:
    program = Program(space, limits)
    return program.minimise(0, Clock(SECONDS)).point is not None


# -- limits ------------------------------------------------------------------------------------------------------------


def _limits(space: Mapspace, limits: Limits) -> Iterator[str]:
    """For each limit that cannot be kept, what can be reached: alone, or else together with the others."""
    alone = {name: text for name, only, text in _reached(space, limits, others=False) if only}
    if alone:
        yield from alone.values()
        return
    yield "the limits cannot be kept together"
    for _, _, text in _reached(space, limits, others=True):
        yield text


def _reached(space: Mapspace, limits: Limits, *, others: bool) -> Iterator[tuple[str, bool, str]]:
    """(limit, whether it cannot be kept, in words what can be reached), with the `others` kept or not."""
    arch, nest = space.arch, space.nest

    def program(**without: object) -> Program:
        return Program(space, replace(limits, **without) if others else NONE)  # type: ignore[arg-type]

    beside = " with the others" if others else ""
    cycles = limits.cycles(nest, arch)
    if cycles is not None:
        built = program(max_cycles=None, min_utilization=None)
        least = built.minimise(built.cycles, Clock(SECONDS))
        if least.proven and least.point:
            fewest = least.point.cost.cycles
            if limits.max_cycles is not None and limits.max_cycles == cycles:
                asked, found = f"at most {cycles:,} cycles", f"the fewest are {fewest:,}"
            else:
                assert limits.min_utilization is not None
                most = Fraction(nest.operations, fewest * arch.peak_operations)
                asked = f"a utilization of at least {float(limits.min_utilization):.4%}"
                found = f"the highest is {float(most):.4%} ({fewest:,} cycles)"
            yield "cycles", fewest > cycles, f"no mapping has {asked}:{beside} {found}"
    if limits.max_energy is not None:
        built = program(max_energy=None)
        least = built.minimise(built.energy, Clock(SECONDS))
        if least.proven and least.point:
            energy = least.point.cost.energy
            text = f"no mapping takes at most {_number(limits.max_energy)} {arch.energy_unit}"
            yield "energy", energy > limits.max_energy, f"{text}:{beside} the least energy is {_number(energy)}"
    if limits.max_dram_bytes is not None:
        built = program(max_dram_bytes=None)
        least = built.minimise(built.home_words, Clock(SECONDS))
        if least.proven and least.point:
            moved = least.point.cost.home_bytes
            text = f"no mapping moves at most {_number(limits.max_dram_bytes)} bytes of {arch.home.name}"
            yield "bytes", moved > limits.max_dram_bytes, f"{text}:{beside} the least is {_number(moved)}"
    for name, words in limits.max_words:
        kept = tuple(pair for pair in limits.max_words if pair[0] != name)
        least_words = _least_words(space, name, replace(limits, max_words=kept) if others else NONE)
        if least_words is not None:
            text = f"no mapping takes at most {words:,} words of {name}:{beside} the least is {least_words:,}"
            yield f"words {name}", least_words > words, text


def _least_words(space: Mapspace, name: str, limits: Limits) -> int | None:
    memory = space.arch.memory(name)
    program = Program(space, limits)
    copies = 2 if memory.double_buffered else 1
    taken = program.traffic.tile_words(memory)
    found = program.minimise(taken, Clock(SECONDS))
    return copies * found.bound if found.proven else None


def _number(amount: Fraction) -> str:
    return f"{amount.numerator:,}" if amount.denominator == 1 else f"{float(amount):,.10g}"


# -- constraints and memories ------------------------------------------------------------------------------------------


def _constraints(space: Mapspace) -> InfeasibleError:
    """Which constraints to leave out, or how much larger memories would have to be."""
    ways = []
    fewest = _relaxed(space, drop=True, enlarge=False)
    if fewest is not None and fewest[0]:
        ways.append("leave out " + " and ".join(f"'{c}'" for c in fewest[0]))
    larger = _relaxed(space, drop=False, enlarge=True)
    if larger is not None and larger[1]:
        ways.append("give " + " and ".join(f"{name} {words:,} words more" for name, words in larger[1].items()))
    if space.even and _feasible(replace(space, even=False), NONE):
        ways.append("allow uneven mappings")
    if space.factors is Factors.PERFECT and _feasible(replace(space, factors=Factors.IMPERFECT), NONE):
        ways.append("allow imperfect factors")
    if not ways:
        both = _relaxed(space, drop=True, enlarge=True)
        if both is not None:
            ways = [f"'{c}' cannot be kept" for c in both[0]]
    asked = " and ".join(f"'{c}'" for c in space.constraints) or "evenness"
    cuts = "; ".join(dict.fromkeys(_cuts(space)))
    told = f"no mapping of the mapspace keeps to {asked}" + (f": {cuts}" if cuts else "")
    return InfeasibleError(told, hint=", or ".join(ways) or "leave some out")


def _cuts(space: Mapspace) -> Iterator[str]:
    """Constraints on a dim that ask for a cut which the mapspace does not have, with the nearest that it has."""
    for c in space.constraints:
        if not isinstance(c, Spatial | Tile) or c.value is None or len(c.meant) != 1:
            continue
        (dim,) = c.meant
        if dim not in space.dims or (isinstance(c, Spatial) and c.axis is None):
            continue
        extents = space.extents[dim]
        if isinstance(c, Tile):
            reached = list(extents)
        else:
            reached = [k for k in range(1, extents[-1] + 1) if any(space.unrolled(dim, e, k) for e in extents)]
        if not any(c.relation.holds(n, c.value) for n in reached):
            below, above = [n for n in reached if n < c.value], [n for n in reached if n > c.value]
            near = " or ".join(str(n) for n in (*below[-1:], *above[:1]))
            what = f"cut into tiles of {near}" if isinstance(c, Tile) else f"unrolled over {near} instances"
            yield f"{dim} = {space.dims[dim]} is {what} there, not {c.value}"


def _memories(space: Mapspace) -> tuple[str, str]:
    larger = _relaxed(space, drop=False, enlarge=True)
    if larger is None:
        return "the tiles that memories must keep do not fit them", "make them larger"
    short = [f"{name} is {words:,} words too small for what it must keep" for name, words in larger[1].items()]
    return "; ".join(short), "make it larger or let a tensor bypass it"


def _relaxed(space: Mapspace, *, drop: bool, enlarge: bool) -> tuple[list[str], dict[str, int]] | None:
    """The fewest constraints to drop, and then the fewest words that memories lack, so that there is a mapping."""
    built = Model(space)
    traffic = Traffic(built)
    kept = {}
    for constraint in space.constraints:
        kept[str(constraint)] = literal = built.model.new_bool_var(f"keeps_to_{constraint}")
        demand(built, constraint, literal)
        if not drop:
            built.model.add(literal == 1)
    if space.even:
        demand_even(built)
    lacking = {}
    for memory in space.arch.memories[1:]:
        if memory.tile_words is not None:
            most = memory.tile_words * LARGER if enlarge else memory.tile_words
            words = traffic.tile_words(memory)
            lacking[memory.name] = built.model.new_int_var(0, most - memory.tile_words, f"lacking_{memory.name}")
            built.model.add(words <= memory.tile_words + lacking[memory.name])
    dropped = sum((1 - literal for literal in kept.values()), 0)
    built.model.minimize(2**40 * dropped + sum(lacking.values()))
    solver = new_solver(Clock(SECONDS))
    if solver.solve(built.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    left_out = [text for text, literal in kept.items() if not solver.boolean_value(literal)]
    copies = {m.name: 2 if m.double_buffered else 1 for m in space.arch.memories}
    more = {name: copies[name] * solver.value(var) for name, var in lacking.items() if solver.value(var)}
    return left_out, more
