"""Wrong paths to CP-SAT's answer: the constraint model, its tables, its program, and the strategy of each objective."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mapper.search import mapspace, program, quantity
from mapper.search.cpsat import Search
from mapper.search.mapspace import Mapspace
from mapper.search.model import Model
from mapper.search.program import Program, Solved
from mapper.search.tables import Tables
from mapper.search.traffic import Traffic
from mutants.patching import Mutant, around


def demanding(demand: Callable[[Model], None]) -> Mutant:
    """A model that demands something of its mappings that none need keep."""

    def wrong(build: Any, self: Model, space: Any) -> None:
        build(self, space)
        demand(self)

    return around(Model, "__init__", wrong)


def never_above(self: Model) -> None:
    """Of two nodes of different tensors, that of the first is never above the other."""
    for literal in self.above.values():
        if not isinstance(literal, bool):
            self.model.add(literal == 0)


def never_rolling(self: Model) -> None:
    for roll in self.rolls.values():
        self.model.add(roll == 0)


def rolling_over_all(self: Model) -> None:
    """What rolls does so over a whole dim, not within a piece of it."""
    for (slot, d), roll in self.rolls.items():
        self.model.add(self.node(slot).reach[d] == self.space.dims[d]).only_enforce_if(roll)


def never_together(self: Model) -> None:
    """No loop is the nearest of two windows."""
    for tie in self.ties.values():
        self.model.add(tie == 0)


def always_kept(self: Model) -> None:
    """What may be kept is."""
    for nodes in self.nodes.values():
        for node in nodes:
            if not isinstance(node.keep, bool):
                self.model.add(node.keep == 1)


def never_all_kept(self: Model) -> None:
    """No tensor is in each of two memories."""
    for nodes in self.nodes.values():
        if len(nodes) > 1:
            self.model.add(sum(node.keep for node in nodes) < len(nodes))


def one_axis_a_dim(self: Model) -> None:
    """No dim is unrolled along two axes."""
    for fanout in self.arch.fanouts:
        for d in self.space.dims:
            along = [self.spatial[fanout.name, axis.name, d] for axis in fanout.axes]
            for i, first in enumerate(along):
                for other in along[:i]:
                    both = self.tables.product([first, other], "both")
                    self.model.add(both <= max(max(self.tables.domain(first)), max(self.tables.domain(other))))
                    self.tables.function((first, other), lambda a, b: None if a > 1 and b > 1 else 1, "one")


def one_dim_an_axis(self: Model) -> None:
    for fanout in self.arch.fanouts:
        for axis in fanout.axes:
            factors = [self.spatial[fanout.name, axis.name, d] for d in self.space.dims]
            for i, first in enumerate(factors):
                for other in factors[:i]:
                    self.tables.function((first, other), lambda a, b: None if a > 1 and b > 1 else 1, "one")


def smaller(amount: int) -> Mutant:
    """Memories that hold fewer words than they do."""

    def wrong(fit: Any, self: Traffic, most: Any) -> None:
        sizes = {m.name: m.tile_words - amount for m in self.arch.memories[1:] if m.tile_words is not None}
        doubled = {m.name for m in self.arch.memories if m.double_buffered}
        fit(self, {**{n: max(0, w) * (2 if n in doubled else 1) for n, w in sizes.items()}, **most})

    return around(Traffic, "fit", wrong)


def gapped(extents: Any, n: int, *rest: Any) -> Any:
    """One of the tile extents of a dim, neither the least nor the largest, is forgotten."""
    found = extents(n, *rest)
    return found[:1] + found[2:] if len(found) > 2 else found


def tied_forgotten(above: Any, self: Model, d: str, inner: Any, outer: Any, literal: Any = None) -> None:
    """Where a constraint nests boundaries under a condition, it always does."""
    above(self, d, inner, outer)


def row_forgotten(function: Any, self: Tables, arguments: Any, rule: Any, name: str) -> Any:
    """Tables of pieces lack the row of the largest extents."""
    if not name.startswith("cuts_"):
        return function(self, arguments, rule, name)
    largest = tuple(max(self.domain(a)) for a in arguments)
    few = any(len(self.domain(a)) < 3 for a in arguments)
    return function(self, arguments, lambda *row: None if row == largest and not few else rule(*row), name)


def entry_off_by_one(prefix: str) -> Mutant:
    """The largest value of tables of that name is one too many."""

    def wrong(function: Any, self: Tables, arguments: Any, rule: Any, name: str) -> Any:
        if not name.startswith(prefix) or not arguments:
            return function(self, arguments, rule, name)
        largest = tuple(max(self.domain(a)) for a in arguments)

        def off(*row: int) -> int | None:
            value = rule(*row)
            return value + 1 if value is not None and row == largest else value

        return function(self, arguments, off, name)

    return around(Tables, "function", wrong)


def minimised(change: Callable[[Solved], Solved]) -> Mutant:
    return around(Program, "minimise", lambda minimise, *given, **more: change(minimise(*given, **more)))


def first_solution(patch: Any) -> None:
    """The first mapping that the solver finds is taken for the best."""
    around(program, "new_solver", stopping)(patch)

    minimised(lambda solved: replace(solved, proven=True))(patch)


def stopping(new_solver: Any, clock: Any) -> Any:
    solver = new_solver(clock)
    solver.parameters.stop_after_first_solution = True
    return solver


def nothing_better(minimise: Any, self: Program, expression: Any, clock: Any, **more: Any) -> Solved:
    """Once something is known, nothing better is found: the solver says that there is nothing."""
    if more.get("below"):
        return Solved(None, {}, 0, True)
    return minimise(self, expression, clock, **more)


def sparing(less: Any, self: Search, incumbent: Any) -> int:
    """What is looked for must take an eighth less than what is known."""
    return int(less(self, incumbent)) * 7 // 8


def faster(most: Any, self: Search) -> int:
    return min(most(self), 2 * self.space.fewest_cycles)


def halved(front: Any, self: Search, cycles: int | None = None, *rest: Any) -> Any:
    """Points of a front that are not much faster than the one before are passed over."""
    return front(self, None if cycles is None else cycles - cycles // 4 - 1, *rest)


def untied(tie: Any, self: Search, found: Any, second: Any, first: Any) -> Any:
    """Ties are not broken, and said to be."""
    return found, True


def without_term(drop: Callable[[Any], bool]) -> Mutant:
    """An energy without some of its terms."""

    def wrong(energy: Any, *given: Any) -> Any:
        found = energy(*given)
        return replace(found, terms=tuple(t for i, t in enumerate(found.terms) if not drop(i)))

    return around(program, "energy", wrong)


SOLVER: dict[str, Mutant] = {
    # mappings that are forgotten
    "a node never stands above those of later tensors": demanding(never_above),
    "no window rolls": demanding(never_rolling),
    "windows roll over whole dims only": demanding(rolling_over_all),
    "two windows do not roll along one loop": demanding(never_together),
    "a loop above all nodes stands above the fan-out, though that cuts a shorter last piece": around(
        Model, "_clipped", lambda *_: []
    ),
    "a loop above all nodes stands above the fan-out, so that neighbours are adjacent": around(
        Model, "_shared", lambda *_: []
    ),
    "nothing is bypassed": demanding(always_kept),
    "no tensor is in each of its memories": demanding(never_all_kept),
    "no dim is unrolled along two axes": demanding(one_axis_a_dim),
    "no axis takes two dims": demanding(one_dim_an_axis),
    "a tile extent is forgotten": around(mapspace, "tile_extents", gapped),
    "memories hold a word less": smaller(1),
    "an axis has an instance less": around(
        Tables,
        "product",
        lambda product, self, factors, name, most=None: product(
            self, factors, name, most if most is None or not name.startswith("used_") else most - 1
        ),
    ),
    "boundaries nest whatever the condition": around(Model, "nest_within", tied_forgotten),
    "reductions are never unrolled": around(
        Mapspace, "unrolls", lambda unrolls, self, fanout, axis, d: unrolls(self, fanout, axis, d)
        and d in self.nest.output.dims
    ),
    "a row of a table is forgotten": around(Tables, "function", row_forgotten),
    # entries of tables
    "pieces are one too many": entry_off_by_one("cuts_"),
    "elements of overlapping tiles are one too many": entry_off_by_one("volume_"),
    "a tile is one element larger": entry_off_by_one("rank_"),
    "joined instances are one too many": entry_off_by_one("joined_"),
    "products are one too many": around(
        Tables, "scaled", lambda scaled, self, a, b, name, most=None: scaled(
            self, self.function((a,), lambda n: n + (n > 1), name) if name.startswith("traffic") else a, b, name, most
        ),
    ),
    # sums
    "results that come to a node are partial sums": around(Traffic, "_results", lambda results, self, slot: 0),
    "a shorter last line is free": around(
        Tables, "rounded_up", lambda rounded, self, expression, divisor, name: rounded(
            self, expression, divisor, name
        ) if divisor < 3 else rounded(self, expression, divisor + 1, name)
    ),
    "the first term of the energy is forgotten": without_term(lambda i: i == 0),
    "the last terms of the energy are forgotten": without_term(lambda i: i > 2),
    "instances in use are all that there are": around(
        Traffic, "instances", lambda instances, self, fanouts: self.tables.constant(
            math.prod(f.size for f in self.arch.fanouts[:fanouts])
        )
    ),
    "steps are those of one instance": around(
        quantity, "_steps", lambda steps, traffic, most: traffic.tables.constant(traffic.nest.operations)
    ),
    "a memory's port is forgotten": around(quantity, "_ports", lambda ports, traffic, memory: ()),
    # what is made of them
    "the first mapping found is taken for the best": first_solution,
    "what is known is taken for the best": around(Program, "minimise", nothing_better),
    "what is a little better is passed over": around(Search, "_less", sparing),
    "what is slow is passed over": around(Search, "_most_cycles", faster),
    "ties are not broken": around(Search, "_tie", untied),
    "points of a front are passed over": around(Search, "least_energy", halved),
    "products end a cycle too early": around(
        Search, "_cycles_below", lambda below, self, *given: below(self, *given) // 2
    ),
}  # fmt: skip
