"""Numbers as people write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from mapper.cost import Cost
from mapper.search.result import Objective

_PREFIXES = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}


def engineering(value: Fraction | float, unit: str = "") -> str:
    """Four digits and an SI prefix: 1.033 mJ."""
    number, power = float(value), 0
    while abs(number) >= 999.95 and power < 18:
        number, power = number / 1000, power + 3
    while 0 < abs(number) < 1 and power > -12:
        number, power = number * 1000, power - 3
    text = f"{number:.4g}" if number != int(number) or power else f"{int(number)}"
    return f"{text} {_PREFIXES[power]}{unit}".rstrip()


def plain(value: Fraction | float) -> str:
    """Four digits, with neither a prefix nor an exponent: 0.005227, 251,900."""
    return f"{Decimal(f'{float(value):.4g}'):,f}"


def energy_text(energy: Fraction | float, unit: str) -> str:
    """An energy in the architecture's unit, as people write it: joules, or multiples of one operation."""
    return engineering(energy / 10**12, "J") if unit == "pJ" else engineering(energy, "MAC")


def value_text(value: Fraction, objective: Objective, unit: str) -> str:
    """A value of an objective."""
    match objective:
        case Objective.LATENCY:
            return f"{int(value):,} cycles"
        case Objective.EDP:
            return f"{energy_text(value, unit)} x cycles"
        case _:
            return energy_text(value, unit)


def percent(share: float) -> str:
    """A share in percent, with a digit behind the point where it is small: 12%, 3.4%, <0.1%."""
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}" if share >= 0.0005 or not share else "<0.1%"


def cost_text(cost: Cost) -> str:
    """What a mapping costs, in a line."""
    return (
        f"energy {energy_text(cost.energy, cost.energy_unit)}, {cost.cycles:,} cycles ({cost.bottleneck} bound), "
        f"utilisation {cost.utilization:.1%}, {cost.counts.operations:,} operations"
    )
