"""Where it goes: what a network costs, taken apart by level, by tensor and by operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from mapper.cost import Cost
from mapper.ir import LoopNest, Role
from mapper.network.totals import Mapped, Of

OPERATIONS, LEAKAGE, OTHERS = "operations", "leakage", "other_ops"
Number = TypeVar("Number", int, Fraction)


@dataclass(frozen=True)
class Spent:
    """What a network spends on what; each mapping adds up to the total of the network.

    `energy_by_level` is by memory, network and compute unit; `energy_by_tensor` by role (input, weight, output), and
    what operations, leakage and operators that are not mapped take; `energy_by_operator` by kind of operator, as
    `Conv`. `cycles_by_bottleneck` is by the port that a layer or another operator waits for; `home_bytes_by_tensor` has
    what the outermost memory moves by role, and for operators that are not mapped. Where a node runs many times, all of
    its runs count.
    """

    energy_by_level: Mapping[str, Fraction]
    energy_by_tensor: Mapping[str, Fraction]
    energy_by_operator: Mapping[str, Fraction]
    cycles_by_bottleneck: Mapping[str, int]
    home_bytes_by_tensor: Mapping[str, Fraction]


def spent(mapped: Mapped[Of]) -> Spent:
    """What a network spends, each mapping in order of what it names."""
    arch = mapped.arch
    by_level = {level.name: Fraction(0) for level in arch.levels}
    by_tensor = {str(role): Fraction(0) for role in (Role.INPUT, Role.WEIGHT, Role.OUTPUT)}
    by_tensor |= dict.fromkeys((OPERATIONS, LEAKAGE, OTHERS), Fraction(0))
    by_operator: dict[str, Fraction] = {}
    by_bottleneck: dict[str, int] = {}
    home_bytes = {name: Fraction(0) for name in by_tensor if name not in (OPERATIONS, LEAKAGE)}
    for layer in mapped.network.layers:
        assert layer.nest is not None
        cost, times = mapped.result(layer).cost, layer.times
        for level, part in cost.energy_by_level.items():
            _add(by_level, level, times * part)
        for name, part in role_energies(layer.nest, cost).items():
            _add(by_tensor, name, times * part)
        _add(by_operator, layer.op, times * cost.energy)
        _add(by_bottleneck, cost.bottleneck, times * cost.cycles)
        for name, moved in role_bytes(layer.nest, cost).items():
            _add(home_bytes, name, times * moved)
    for other in mapped.transfers:
        node, times = other.node, other.node.times
        for level, part in other.energy_by_level.items():
            _add(by_level, level, times * part)
        _add(by_tensor, OTHERS, times * other.access_energy)
        _add(by_tensor, LEAKAGE, times * other.leak_energy)
        _add(by_operator, node.op, times * other.energy)
        if other.cycles:
            _add(by_bottleneck, other.bottleneck, times * other.cycles)
        _add(home_bytes, OTHERS, times * other.bytes)
    return Spent(by_level, by_tensor, by_operator, by_bottleneck, home_bytes)


def role_energies(nest: LoopNest, cost: Cost) -> dict[str, Fraction]:
    """The energy of one run of a layer by role of its tensors, and what operations and leakage take."""
    found = {str(tensor.role): Fraction(0) for tensor in nest.tensors}
    for (_, tensor), part in cost.energy_by_tensor.items():
        _add(found, str(nest.tensor(tensor).role), part)
    return {**found, OPERATIONS: cost.operation_energy, LEAKAGE: sum(cost.leak_by_level.values(), Fraction(0))}


def role_bytes(nest: LoopNest, cost: Cost) -> dict[str, Fraction]:
    """What one run of a layer moves of the outermost memory, in bytes, by role of its tensors."""
    found = {str(tensor.role): Fraction(0) for tensor in nest.tensors}
    for tensor, moved in cost.home_bytes_by_tensor.items():
        _add(found, str(nest.tensor(tensor).role), moved)
    return found


def _add(sums: dict[str, Number], key: str, value: Number) -> None:
    sums[key] = sums[key] + value if key in sums else value
