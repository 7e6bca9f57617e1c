"""Quantities of a model's mappings as expressions for the solver: energy and cycles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from ortools.sat.python import cp_model

from mapper.arch import Memory
from mapper.errors import InputError
from mapper.search.tables import LARGEST, Linear, Tables, added
from mapper.search.traffic import Sum, Traffic


@dataclass(frozen=True, slots=True)
class Quantity:
    """A sum of `terms` (price, units) and a `constant`, exact."""

    terms: tuple[tuple[Fraction, Linear], ...]
    constant: Fraction

    def value(self, solver: cp_model.CpSolver) -> Fraction:
        """The exact value in a solution."""
        return self.constant + sum((price * solver.value(units) for price, units in self.terms), Fraction(0))

    def integer(self, tables: Tables, most: int = 2**53) -> tuple[Linear, Fraction, bool]:
        """(expression, unit, exact): the value is `unit * expression + constant`.

        Where the expression could exceed `most`, beyond which solvers lose integers, the unit is coarser, prices are
        rounded down and `exact` is false: then the value is at least that.
        """
        denominator = math.lcm(*(price.denominator for price, _ in self.terms))
        prices = [int(price * denominator) for price, _ in self.terms]
        unit = math.gcd(*prices) or 1
        largest = sum(
            price // unit * tables.bound(units)[1] for price, (_, units) in zip(prices, self.terms, strict=True)
        )
        exact = largest <= most
        if not exact:
            unit *= -(-largest // most)
        expression = added(*((price // unit, units) for price, (_, units) in zip(prices, self.terms, strict=True)))
        return expression, Fraction(unit, denominator), exact


def energy(traffic: Traffic, cycles: cp_model.IntVar | None = None) -> Quantity:
    """The energy of a mapping; `cycles` is needed where levels leak."""
    arch, terms = traffic.arch, []
    for memory in arch.memories:
        for tensor in traffic.nest.tensors:
            reads, writes = traffic.lines.get((memory.name, tensor.name), ((), ()))
            terms += [(coef * memory.read_energy, units) for coef, units in reads]
            terms += [(coef * memory.write_energy, units) for coef, units in writes]
    for fanout in arch.fanouts:
        for tensor in traffic.nest.tensors:
            passage, elements = traffic.passages[fanout.name, tensor.name], traffic.scale(tensor)
            terms.append((elements * fanout.deliver_energy, passage.delivered))
            terms.append((elements * fanout.reduce_energy, passage.reduced))
            if fanout.hop_energy:
                terms.append((elements * fanout.hop_energy, traffic.hops(fanout, tensor)))
    if arch.leak_energy:
        assert cycles is not None
        terms.append((arch.leak_energy, cycles))
    charged = tuple((price, units) for price, units in terms if price and not (isinstance(units, int) and units == 0))
    return Quantity(charged, traffic.nest.operations * arch.compute.energy)


def cycles(traffic: Traffic, most: int) -> cp_model.IntVar:
    """A variable, at most `most`, that is at least the cycles of the compute unit and of every memory port.

    Raises InputError where a port's words times the digits of its bandwidth exceed the solver's integers.
    """
    arch, tables, model = traffic.arch, traffic.tables, traffic.model
    ports = [port for memory in arch.memories for port in _ports(traffic, memory)]
    passing = [(memory, -(-tables.bound(words)[1] // bandwidth), bandwidth) for memory, words, bandwidth in ports]
    # no mapping takes more cycles than operations one by one, or than all words that can pass a port of one instance
    most = min(most, max(traffic.nest.operations, *(cycles for _, cycles, _ in passing), 1))
    for memory, longest, bandwidth in passing:
        if bandwidth.numerator * max(longest, most * arch.instances(memory)) > LARGEST:
            raise InputError(
                f"the bandwidth {bandwidth} of {memory.name} has too many digits for the search of this layer",
                place=arch.name,
                hint="round it",
            )
    found = tables.free(1, most, "cycles")
    model.add(found >= traffic.space.fewest_cycles)
    model.add(arch.compute.rate * found >= _steps(traffic, most * arch.compute.rate))
    for memory, words, bandwidth in ports:
        available = _instance_cycles(traffic, found, most, arch.segment[memory.name])
        model.add(bandwidth.denominator * words <= bandwidth.numerator * available)
    return found


def _steps(traffic: Traffic, most: int) -> cp_model.IntVar:
    """Lockstep steps of the compute unit, the product of what each dim needs; no more than `most` are allowed."""
    tables, fanouts = traffic.tables, tuple(range(len(traffic.arch.fanouts)))
    return tables.multiplied((traffic.built.joined(d, fanouts) for d in traffic.space.dims), "steps", most)


def _ports(traffic: Traffic, memory: Memory) -> Iterator[tuple[Memory, Linear, Fraction]]:
    """The bounded ports of a memory: words that pass, all instances together, and words per cycle and instance."""
    ports: list[tuple[Fraction | None, Callable[[Sum, Sum], Sum]]] = [
        (memory.read_bandwidth, lambda reads, _: reads),
        (memory.write_bandwidth, lambda _, writes: writes),
        (memory.shared_bandwidth, lambda reads, writes: reads + writes),
    ]
    for bandwidth, counted in ports:
        if bandwidth is not None:
            moved = [counted(*words) for (name, _), words in traffic.words.items() if name == memory.name]
            yield memory, total(moved), bandwidth


def total(sums: Iterable[Sum]) -> Linear:
    """All of some sums together, as one expression."""
    return added(*(term for found in sums for term in found))


def _instance_cycles(traffic: Traffic, cycles: cp_model.IntVar, most: int, segment: int) -> cp_model.IntVar:
    """Cycles x the instances used of a memory in that segment."""
    if segment == 0:
        return cycles
    used = traffic.instances(segment)
    largest = most * traffic.tables.domain(used)[-1]
    result = traffic.model.new_int_var(1, largest, f"cycles_x_instances{segment}")
    traffic.model.add_multiplication_equality(result, [cycles, used])
    return result
