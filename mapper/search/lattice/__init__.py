"""A second exact engine, which needs no solver: shortest paths over the lattice of tile extents.

With storage nodes, what a node moves depends on its own tile extents only, and on what the instances of the fan-out
share (`prices`). The tile extents are points of the product of the dims' divisor lattices (`points`). So once it is
fixed what is kept (`plans`) and shared (`spatial`), a mapping is a path through the lattice, from single elements to
the whole layer, with the capacities of memories as resources: `bounds` leaves the capacities to multipliers, `cases`
puts the parts inside and outside the fan-out together, `labels` lists the paths that a bound leaves, and `search` goes
through the cases in the order of their bounds. All decisions are made in integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from mapper.cost import evaluate
from mapper.mapping import Mapping, violations
from mapper.search.decode import assemble
from mapper.search.lattice.cases import Cases
from mapper.search.lattice.covers import uncovered
from mapper.search.lattice.search import Found, Search
from mapper.search.lattice.spatial import on_axes
from mapper.search.mapspace import Mapspace

__all__ = ["Shortest", "solve_lattice", "uncovered"]


@dataclass(frozen=True, slots=True)
class Shortest:
    """The best mapping found, None if there was no time to find one; the energy that every mapping takes at least."""

    mapping: Mapping | None
    bound: Fraction


def solve_lattice(space: Mapspace, over: Callable[[], bool] = lambda: False) -> Shortest | None:
    """A mapping of least energy, whose energy is the bound, or the best so far when time is `over`.

    None where the engine does not cover the mapspace (`uncovered`). Raises InfeasibleError if no mapping is legal.
    """
    if any(uncovered(space)):
        return None
    space.check()
    cases = Cases(space)
    found, bound = Search(cases).run(over)
    price = space.arch.prices
    operations = space.nest.operations * price.operation
    bound_energy = Fraction(bound + operations, price.denominator)
    if found is None:
        assert over(), f"no mapping found, though one-word tiles fit: {space.nest} on {space.arch.name}"
        return Shortest(None, bound_energy)
    mapping = _mapping(cases, found)
    energy = evaluate(space.nest, space.arch, mapping).energy * price.denominator
    broken = violations(space.nest, space.arch, mapping)
    if broken or energy != found.energy + operations:
        raise AssertionError(
            f"the lattice and the cost model disagree on {space.nest} on {space.arch.name}: "
            f"energy {found.energy} against {energy}; {broken}\n{mapping}"
        )
    return Shortest(mapping, bound_energy)


def _mapping(cases: Cases, found: Found) -> Mapping:
    space, lattice = cases.space, cases.lattice
    spatial, below = {}, [dict(space.dims)]
    for fanout in space.arch.fanouts:
        split = on_axes(space.nest, fanout, lattice, found.factors, found.length)
        spatial.update({(fanout.name, axis, d): n for axis, own in split.items() for d, n in own.items()})
        below.append(found.below)
    return assemble(space, found.tiles, spatial, below)
