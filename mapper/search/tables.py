"""Tables: integer variables with small explicit domains, and exact functions of them, for CP-SAT.

Every quantity of the mapspace is a product of few small integers and so takes few distinct values; functions of such
variables are tables of all their values, and the model stays linear in exact integers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from ortools.sat.python import cp_model, cp_model_helper

LARGEST = 2**62
"""Sums of terms, at the largest values of their variables, stay below this: the solver's integers have 64 bits."""

MOST_ROWS = 100
"""A product of more rows is stated line by line: tables so long cost the solver more than they tell it."""

Linear = cp_model.LinearExpr | int
Literal = cp_model_helper.Literal


def added(*terms: tuple[int, Linear]) -> Linear:
    """The sum of (coefficient, expression).

    With + OR-Tools may change an operand that is used elsewhere: (a + b - 1) + 1 is the very a + b inside the first,
    and what is added next is added to that.
    """
    constant = sum(coef * expression for coef, expression in terms if isinstance(expression, int))
    found = [(expression, coef) for coef, expression in terms if coef and not isinstance(expression, int)]
    if not found:
        return constant
    expressions, coefs = zip(*found, strict=True)
    return cp_model.LinearExpr.weighted_sum([*expressions, constant], [*coefs, 1])


class Tables:
    """A CP-SAT model under construction, with the domain of each variable at hand."""

    def __init__(self) -> None:
        self.model = cp_model.CpModel()
        self._domains: dict[int, tuple[int, ...]] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        self._functions: dict[tuple[object, ...], cp_model.IntVar] = {}

    def variable(self, values: Iterable[int], name: str) -> cp_model.IntVar:
        """A variable that takes one of `values`."""
        domain = tuple(sorted(set(values)))
        var = self.model.new_int_var_from_domain(cp_model.Domain.from_values(list(domain)), name)
        self._domains[var.index] = domain
        self._ends[var.index] = domain[0], domain[-1]
        return var

    def free(self, low: int, high: int, name: str) -> cp_model.IntVar:
        """A variable that takes any value from `low` to `high`."""
        var = self.model.new_int_var(low, high, name)
        self._ends[var.index] = low, high
        return var

    def literal(self, name: str) -> cp_model.IntVar:
        """A Boolean variable that can also be counted with, as 0 or 1."""
        var = self.model.new_bool_var(name)
        self._ends[var.index] = 0, 1
        return var

    def constant(self, value: int) -> cp_model.IntVar:
        """A variable that is always `value`."""
        return self.function((), lambda: value, f"{value}")

    def domain(self, var: cp_model.IntVar) -> tuple[int, ...]:
        """The values that the variable can take, ascending."""
        return self._domains[var.index]

    def function(
        self, arguments: Sequence[cp_model.IntVar], rule: Callable[..., int | None], name: str
    ) -> cp_model.IntVar:
        """A variable equal to `rule(*arguments)`; combinations for which that is None are forbidden."""
        free = [a for a in arguments if len(self.domain(a)) > 1]
        rows = []
        for row in itertools.product(*map(self.domain, arguments)):
            value = rule(*row)
            if value is not None:
                rows.append((*(n for n, a in zip(row, arguments, strict=True) if len(self.domain(a)) > 1), value))
        result = self.variable((row[-1] for row in rows), name)
        if free:
            self.model.add_allowed_assignments([*free, result], rows)
        return result

    def listed(
        self, arguments: Sequence[cp_model.IntVar], rows: Mapping[tuple[int, ...], int], name: str
    ) -> cp_model.IntVar:
        """A variable whose value is listed for each row of values that the arguments can have; others are forbidden."""
        free = [i for i, a in enumerate(arguments) if len(self.domain(a)) > 1]
        result = self.variable(rows.values(), name)
        if free:
            listed = [(*(row[i] for i in free), value) for row, value in rows.items()]
            self.model.add_allowed_assignments([*(arguments[i] for i in free), result], listed)
        return result

    def product(self, factors: Iterable[cp_model.IntVar], name: str, most: int | None = None) -> cp_model.IntVar:
        """The product, built pairwise; with `most`, all larger values are represented by `most + 1`."""
        factors = [f for f in factors if self.domain(f) != (1,)]
        if not factors:
            return self.constant(1)
        # equal products are one variable, whichever tensor or node asks first
        key = ("product", most, *sorted(f.index for f in factors))
        if key not in self._functions:

            def limited(*values: int) -> int:
                value = math.prod(values)
                return value if most is None else min(value, most + 1)

            result = self.function(factors[:1], limited, name) if most is not None else factors[0]
            for factor in factors[1:]:
                result = self.function((result, factor), limited, name)
            self._functions[key] = result
        return self._functions[key]

    def scaled(self, a: cp_model.IntVar, b: cp_model.IntVar, name: str, most: int | None = None) -> cp_model.IntVar:
        """The product of two variables, without a domain of its own where that would be large.

        One line for each value of the variable that has fewer takes the solver less time than many rows. Of the
        products of more than `most`, only the least need be possible.
        """
        few, many = sorted((a, b), key=self._values)
        steps, ends = self.domain(few), self._ends[many.index]
        if steps == (1,):
            return many
        if len(steps) * self._values(many) <= MOST_ROWS:
            return self.product((a, b), name)
        low, high = steps[0] * ends[0], steps[-1] * ends[1]
        result = self.free(low, high if most is None else max(low, min(high, most)), name)
        chosen = [self.model.new_bool_var(f"{name}_{n}") for n in steps]
        for n, literal in zip(steps, chosen, strict=True):
            self.model.add(few == n).only_enforce_if(literal)
            self.model.add(few != n).only_enforce_if(~literal)
            self.model.add(result == n * many).only_enforce_if(literal)
        self.model.add_exactly_one(chosen)
        return result

    def multiplied(self, factors: Iterable[cp_model.IntVar], name: str, most: int | None = None) -> cp_model.IntVar:
        """The product of many variables, that of the fewest values first, scaled by one after the other."""
        found = self.constant(1)
        for factor in sorted(factors, key=self._values):
            found = self.scaled(found, factor, name, most)
        return found

    def _values(self, var: cp_model.IntVar) -> float:
        """How many values a variable can take, if they are known."""
        return len(self._domains[var.index]) if var.index in self._domains else math.inf

    def bound(self, expression: Linear) -> tuple[int, int]:
        """The least and the largest value of a linear expression over the domains of its variables."""
        if isinstance(expression, int):
            return expression, expression
        flat = cp_model.FlatIntExpr(expression)
        low = high = int(flat.offset)
        for var, coef in zip(flat.vars, flat.coeffs, strict=True):
            ends = [coef * value for value in self._ends[var.index]]
            low, high = low + int(min(ends)), high + int(max(ends))
        return low, high

    def rounded_up(self, expression: Linear, divisor: int, name: str) -> Linear:
        """The expression over a positive divisor, rounded up."""
        low, high = (-(-end // divisor) for end in self.bound(expression))
        result = self.free(low, high, name)
        self.model.add(divisor * result >= expression)
        self.model.add(divisor * result <= added((1, expression), (1, divisor - 1)))
        return result

    def times(self, expression: Linear, factor: cp_model.IntVar, name: str) -> cp_model.IntVar:
        """The product of an expression that is never negative and a factor.

        Raises OverflowError where it could pass the solver's integers.
        """
        high = self.bound(expression)[1] * self.domain(factor)[-1]
        if high > LARGEST:
            raise OverflowError(name)
        result = self.free(0, high, name)
        self.model.add_multiplication_equality(result, [expression, factor])
        return result

    def when(self, literal: Literal | bool, expression: Linear, name: str) -> Linear:
        """`expression` where the literal holds, else 0."""
        if isinstance(literal, bool):
            return expression if literal else 0
        low, high = self.bound(expression)
        result = self.free(min(low, 0), max(high, 0), name)
        self.model.add(result == expression).only_enforce_if(literal)
        self.model.add(result == 0).only_enforce_if(~literal)
        return result
