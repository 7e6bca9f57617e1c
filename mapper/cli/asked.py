"""Reading what is asked of a search: numbers with units, caps, constraints; every problem at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TypeVar

from mapper.arch import Architecture
from mapper.arch.units import BYTE_UNITS, COUNT_UNITS, ENERGY_UNITS, Units, hint, size_units
from mapper.cli.options import Asked, Mapspace
from mapper.errors import InputError, MapperError, all_of
from mapper.options import Options, read_constraints
from mapper.search import Engine, Factors, Limits, Objective

T = TypeVar("T")

_NUMBER = re.compile(
    r"\s*([0-9]{1,3}(?:[,_][0-9]{3}){1,5}|[0-9]{1,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?\s*([A-Za-z]*)\s*"
)
_LARGEST = 10**18


def read(asked: Asked, arch: Architecture) -> Options:
    """The options of a search on an architecture; InputError with everything that cannot be read."""
    problems: list[MapperError] = []

    def attempt(what: Callable[[], T]) -> T | None:
        try:
            return what()
        except MapperError as error:
            problems.append(error)
            return None

    def amount(option: str, text: str | None, units: Units, *, whole: bool = False) -> Fraction | None:
        return None if text is None else attempt(lambda: quantity(f"--{option} {text}", text, units, whole=whole))

    cycles = amount("max-cycles", asked.max_cycles, COUNT_UNITS, whole=True)
    limits = {
        "max_cycles": None if cycles is None else int(cycles),
        "max_energy": amount("max-energy", asked.max_energy, COUNT_UNITS | ENERGY_UNITS[arch.energy_unit]),
        "max_dram_bytes": amount("max-dram-bytes", asked.max_dram_bytes, BYTE_UNITS),
        "min_utilization": None if asked.min_utilization is None else attempt(lambda: share(asked.min_utilization)),
        "max_words": attempt(lambda: words(asked.max_words, arch)) or (),
    }
    constraints = attempt(lambda: read_constraints(asked.constraints))
    if asked.dataflow is not None:
        attempt(lambda: arch.dataflow(asked.dataflow or ""))
    options = attempt(
        lambda: Options(
            objective=Objective(asked.objective),
            constraints=constraints or (),
            dataflow=asked.dataflow,
            factors=Factors(asked.factors),
            even=asked.mapspace == Mapspace.EVEN,
            limits=Limits(**limits),  # type: ignore[arg-type]
            time_limit=asked.time_limit,
            deterministic_limit=asked.deterministic_limit,
            engine=Engine(asked.engine),
        )
    )
    if problem := all_of(problems):
        raise problem
    assert options is not None
    return options


def quantity(place: str, text: str, units: Units, *, whole: bool = False) -> Fraction:
    """A number with one of the units, as an exact number of the base unit: 1.5e6, 602,112, 2M, 64KiB, 35.2 mJ."""
    match = _NUMBER.fullmatch(text)
    if not match:
        raise InputError("this is no number of at least 0", place=place, hint=hint("", units))
    digits, decimals, power, unit = match.groups()
    factor = units.get(unit)
    if factor is None:
        raise InputError(f"the unit {unit} is not known", place=place, hint=hint(unit, units))
    value = Fraction(re.sub("[,_]", "", digits) + (decimals or "") + (power or "")) * factor
    if value > _LARGEST:
        raise InputError("this is too large to be meant", place=place)
    if whole and value.denominator > 1:
        raise InputError("this is no whole number", place=place)
    return value


def share(text: str | None) -> Fraction:
    """A share from 0 to 1, also as a percentage."""
    match = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,18})?|\.[0-9]{1,18})\s*(%?)\s*", text or "")
    value = Fraction(match[1]) / (100 if match[2] else 1) if match else None
    if value is None or value > 1:
        raise InputError("this is no share from 0 to 1", place=f"--min-utilization {text}", hint="write 0.8 or 80%")
    return value


def words(texts: Iterable[str], arch: Architecture) -> tuple[tuple[str, int], ...]:
    """Words by memory out of `MEMORY=N`."""
    found: dict[str, int] = {}
    problems: list[MapperError] = []
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            if not name or not equals:
                raise InputError(
                    "this is no cap on a memory", place=f"--max-words {text}", hint="write --max-words GLB=50k"
                )
            if name in found:
                raise InputError(f"{name} is given twice", place=f"--max-words {text}")
            Limits(max_words=((name, 0),)).check(arch)
            units = COUNT_UNITS | size_units(arch.memory(name).word_bits)
            found[name] = int(quantity(f"--max-words {text}", number, units, whole=True))
        except MapperError as error:
            problems.append(error)
    if problem := all_of(problems):
        raise problem
    return tuple(found.items())
