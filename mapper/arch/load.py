"""Reading an architecture from its YAML form (`docs/architecture.md` describes every key)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from mapper.arch.architecture import ALL_ROLES, Architecture, Axis, Compute, FanOut, Level, Memory
from mapper.arch.yaml_node import Reader, compose
from mapper.errors import InputError, MapperError, all_of
from mapper.ir import Role
from mapper.spelling import nearest

_TOP = ("name", "description", "energy_unit", "clock", "sources", "levels")
_MEMORY = (
    "memory", "size", "word", "keeps", "must_keep", "read", "write", "bandwidth", "rolling", "double_buffered",
)  # fmt: skip
_FANOUT = ("fanout", "axes", "multicast", "reduce", "deliver", "reduce_energy")
_COMPUTE = ("compute", "energy", "rate")
_CLOCK = {"Hz": Fraction(1), "kHz": Fraction(10**3), "MHz": Fraction(10**6), "GHz": Fraction(10**9)}
_BITS = {"": Fraction(1), "bit": Fraction(1), "bits": Fraction(1)}
_ENERGY_PJ = {"": Fraction(1), "fJ": Fraction(1, 1000), "pJ": Fraction(1), "nJ": Fraction(1000)}
_ENERGY_MAC = {"": Fraction(1), "MAC": Fraction(1)}


@dataclass(frozen=True, slots=True)
class Spec:
    """The text of an architecture and where it comes from."""

    place: str
    text: str


def spec_names() -> list[str]:
    """The architectures that come with the package."""
    folder = resources.files("arch_specs")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def find_spec(name: str) -> Spec:
    """The spec of that name, or in that file; InputError with the nearest names if there is neither."""
    if name in spec_names():
        return Spec(f"{name}.yaml", (resources.files("arch_specs") / f"{name}.yaml").read_text("utf-8"))
    path = Path(name)
    try:
        if path.is_dir():
            raise InputError("this is a directory, not an architecture file", place=name)
        return Spec(name, path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"no architecture file or name '{name}'", hint=nearest(name, spec_names())) from None
    except UnicodeDecodeError as error:
        raise InputError("not a text file", place=name) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot be read: {reason}", place=name[:100]) from error


def load_architecture(name: str) -> Architecture:
    """The architecture of that name or in that file; InputError with every problem, each at file:line:column."""
    return parse_architecture(find_spec(name))


def parse_architecture(spec: Spec) -> Architecture:
    """The architecture that a spec describes; raises like `load_architecture`."""
    root = compose(spec.text, spec.place)
    if root is None:
        raise InputError("the file is empty", place=spec.place)
    reader = Reader(spec.place)
    top = reader.mapping(root, _TOP, "the spec")
    for key in ("name", "levels"):
        if key not in top:
            reader.problem(root, f"the spec has no '{key}'")
    unit = reader.text(top["energy_unit"], "energy_unit") if "energy_unit" in top else "pJ"
    if unit not in ("pJ", "MAC"):
        reader.problem(top["energy_unit"], f"energy_unit must be pJ or MAC, not '{unit}'")
    clock = None
    if "clock" in top:
        hertz = reader.quantity(
            top["clock"], dict(_CLOCK), "clock", lambda v: v > 0 and v.denominator == 1, "a whole number of Hz"
        )
        clock = int(hertz) if hertz else None
    for source in reader.sequence(top["sources"], "sources") if "sources" in top else ():
        reader.text(source, "a source")
    levels = _Levels(reader, unit, clock).read(top["levels"]) if "levels" in top else ()
    name = reader.name(top["name"]) if "name" in top else ""
    description = reader.text(top["description"], "description").strip() if "description" in top else ""
    _raise(reader.problems)
    try:
        return Architecture(name, levels, unit, clock, description)
    except InputError as error:
        raise InputError(error.message, place=reader.place(top["levels"])) from None


def _raise(problems: list[MapperError]) -> None:
    if error := all_of(problems):
        raise error


@dataclass(slots=True)
class _Levels:
    """Reads the list of levels; `unit` and `clock` are those of the spec."""

    reader: Reader
    unit: str
    clock: int | None
    groups: int = 0

    def read(self, node: Any) -> tuple[Level, ...]:
        return tuple(level for item in self.reader.sequence(node, "levels") for level in self._entry(item))

    def _entry(self, node: Any) -> list[Level]:
        keys = [key.value for key, _ in node.value] if node.id == "mapping" else []
        if "beside" in keys:
            return self._beside(node)
        if "memory" in keys:
            return [level for level in [self._memory(node, None)] if level]
        if "fanout" in keys:
            return [level for level in [self._fanout(node)] if level]
        if "compute" in keys:
            return [level for level in [self._compute(node)] if level]
        self.reader.problem(node, "a level starts with one of the keys memory, fanout, compute or beside")
        return []

    def _beside(self, node: Any) -> list[Level]:
        self.groups += 1
        keys = self.reader.mapping(node, ("beside",), "a level")
        memories = self.reader.sequence(keys["beside"], "beside") if "beside" in keys else []
        return [level for item in memories for level in [self._memory(item, self.groups)] if level]

    def _memory(self, node: Any, beside: int | None) -> Memory | None:
        reader = self.reader
        keys = reader.mapping(node, _MEMORY, "a memory")
        if "memory" not in keys:
            reader.problem(node, "a memory has the key 'memory' with its name")
            return None
        name = self.reader.name(keys["memory"])
        word_bits = 8
        if "word" in keys:
            word_bits = self._integer(keys["word"], _BITS, f"the word of {name}") or 8
        may_keep = self._roles(keys, "keeps", name, ALL_ROLES)
        must_keep = self._roles(keys, "must_keep", name, frozenset())
        if not must_keep <= may_keep:
            extra = ", ".join(sorted(must_keep - may_keep))
            reader.problem(keys["must_keep"], f"{name} must keep what it may not keep: {extra}")
        return Memory(
            name=name,
            size_words=self._size(keys["size"], name, word_bits) if "size" in keys else None,
            word_bits=word_bits,
            may_keep=may_keep,
            must_keep=must_keep,
            read_energy=self._energy(keys, "read", name),
            write_energy=self._energy(keys, "write", name),
            rolling=self._flag(keys, "rolling", name),
            double_buffered=self._flag(keys, "double_buffered", name),
            beside=beside,
            **self._bandwidth(keys, name, word_bits),
        )

    def _fanout(self, node: Any) -> FanOut | None:
        reader = self.reader
        keys = reader.mapping(node, _FANOUT, "a fan-out")
        name = self.reader.name(keys["fanout"])
        if "axes" not in keys:
            reader.problem(node, f"fan-out {name} has no axes", "write axes: {x: 16, y: 16}")
            return None
        axes = []
        if keys["axes"].id != "mapping" or not keys["axes"].value:
            reader.problem(keys["axes"], f"axes of {name} must name at least one axis with its size")
        else:
            axes = [self._axis(key, value, name) for key, value in keys["axes"].value]
        operands = frozenset({Role.INPUT, Role.WEIGHT})
        multicast = operands
        if "multicast" in keys and keys["multicast"].id == "scalar":
            multicast = operands if reader.boolean(keys["multicast"], f"multicast of {name}") else frozenset()
        elif "multicast" in keys:
            words = reader.words(keys["multicast"], operands, f"multicast of {name}")
            multicast = frozenset(map(Role, words))
        return FanOut(
            name=name,
            axes=tuple(axes),
            multicast=multicast,
            reduce=self._flag(keys, "reduce", name, default=True),
            deliver_energy=self._energy(keys, "deliver", name),
            reduce_energy=self._energy(keys, "reduce_energy", name),
        )

    def _axis(self, key: Any, node: Any, fanout: str) -> Axis:
        what = f"axis {key.value} of {fanout}"
        if node.id == "scalar":
            return Axis(self.reader.name(key), self._integer(node, {"": Fraction(1)}, what) or 1)
        keys = self.reader.mapping(node, ("size", "dims"), what)
        if "size" not in keys:
            self.reader.problem(node, f"{what} has no size")
            return Axis(self.reader.name(key), 1)
        dims = self.reader.words(keys["dims"], (), f"dims of {what}") if "dims" in keys else None
        return Axis(self.reader.name(key), self._integer(keys["size"], {"": Fraction(1)}, what) or 1, dims)

    def _compute(self, node: Any) -> Compute:
        keys = self.reader.mapping(node, _COMPUTE, "the compute unit")
        name = self.reader.name(keys["compute"])
        units = {"": Fraction(1), "operations/cycle": Fraction(1)}
        rate = self._integer(keys["rate"], units, f"the rate of {name}") if "rate" in keys else 1
        return Compute(name, rate or 1, self._energy(keys, "energy", name))

    def _flag(self, keys: dict[str, Any], key: str, name: str, *, default: bool = False) -> bool:
        return self.reader.boolean(keys[key], f"{key} of {name}") if key in keys else default

    def _roles(self, keys: dict[str, Any], key: str, name: str, default: frozenset[Role]) -> frozenset[Role]:
        if key not in keys:
            return default
        return frozenset(map(Role, self.reader.words(keys[key], list(Role), f"{key} of {name}")))

    def _integer(self, node: Any, units: dict[str, Fraction], what: str) -> int | None:
        value = self.reader.quantity(
            node, dict(units), what, lambda v: v >= 1 and v.denominator == 1, "a whole number of at least 1"
        )
        return None if value is None else int(value)

    def _energy(self, keys: dict[str, Any], key: str, name: str) -> Fraction:
        if key not in keys:
            return Fraction(0)
        units = _ENERGY_PJ if self.unit == "pJ" else _ENERGY_MAC
        value = self.reader.quantity(
            keys[key], dict(units), f"energy '{key}' of {name}", lambda v: v >= 0, "zero or more"
        )
        return value or Fraction(0)

    def _size(self, node: Any, name: str, word_bits: int) -> int | None:
        if node.id == "scalar" and node.value == "unlimited":
            return None
        units = {"words": Fraction(1), "bits": Fraction(1, word_bits)}
        for unit, size in {
            "B": 1,
            "kB": 10**3,
            "MB": 10**6,
            "GB": 10**9,
            "KiB": 2**10,
            "MiB": 2**20,
            "GiB": 2**30,
        }.items():
            units[unit] = Fraction(8 * size, word_bits)
        value = self.reader.quantity(node, dict(units), f"the size of {name}", lambda v: v >= 1, "at least one word")
        return None if value is None else int(value)

    def _bandwidth(self, keys: dict[str, Any], name: str, word_bits: int) -> dict[str, Fraction | None]:
        if "bandwidth" not in keys:
            return {}
        node = keys["bandwidth"]
        ports = {"shared": node}
        if node.id == "mapping":
            ports = self.reader.mapping(node, ("read", "write", "shared"), f"bandwidth of {name}")
        return {
            f"{port}_bandwidth": self._port(value, f"{port} bandwidth of {name}", word_bits)
            for port, value in ports.items()
        }

    def _port(self, node: Any, what: str, word_bits: int) -> Fraction | None:
        if node.id == "scalar" and node.value == "unlimited":
            return None
        units: dict[str, Fraction | None] = {
            "words/cycle": Fraction(1),
            "bits/cycle": Fraction(1, word_bits),
            "B/cycle": Fraction(8, word_bits),
        }
        for unit, bits in {"MB/s": 8 * 10**6, "GB/s": 8 * 10**9, "Mbit/s": 10**6, "Gbit/s": 10**9}.items():
            units[unit] = Fraction(bits, word_bits * self.clock) if self.clock else None
        return self.reader.quantity(node, units, what, lambda v: v > 0, "positive")
