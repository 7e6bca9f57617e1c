"""Reading the levels of an architecture's YAML form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any

from mapper.arch.architecture import ALL_ROLES, Axis, Basis, Compute, FanOut, Level, Memory, Origin, Widths
from mapper.arch.energy import CONFIDENCE, EnergyTable, Priced
from mapper.arch.estimate import ESTIMATED, PARTS, Estimate, estimate, leak_per_cycle
from mapper.arch.units import (
    AREA_UNITS,
    BIT_UNITS,
    ENERGY_UNITS,
    RATE_UNITS,
    TECHNOLOGY_UNITS,
    bandwidth_units,
    leak_units,
    size_units,
)
from mapper.arch.yaml_node import Reader
from mapper.errors import InputError
from mapper.ir import Role

_COMMON = ("kind", "leak", "area")
_MEMORY = (
    "memory", "size", "word", "packed", "line", "keeps", "must_keep", "read", "write", "bandwidth", "rolling",
    "double_buffered", "energy", "technology", *_COMMON,
)  # fmt: skip
_FANOUT = ("fanout", "axes", "multicast", "reduce", "drain", "halo", "deliver", "reduce_energy", "hop", *_COMMON)
_COMPUTE = ("compute", "energy", "rate", "widths", *_COMMON)
_ACTIONS = {"reduce_energy": "reduce", "energy": "operation"}  # by key, where it has another name
_KINDS = " or ".join(PARTS)
_OPERANDS = frozenset({Role.INPUT, Role.WEIGHT})

Keys = dict[str, Any]


@dataclass(slots=True)
class Levels:
    """Reads levels one by one, outermost first, in the energy unit, clock and energy table of their spec.

    `tabled` says that the spec names a table, though it may not be a good one, or has memories estimated; `estimated`,
    that it has all of them estimated, in a `technology`. `found` has the levels, `nodes` where
    each stands, `origins` where each energy and area comes from, `told` the same of those not stated, in words.
    `complete` is false once a level could not be made out at all.
    """

    reader: Reader
    unit: str
    clock: int | None
    table: EnergyTable | None
    tabled: bool
    technology: int | None = None
    estimated: bool = False
    found: list[Level] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    told: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    complete: bool = True
    groups: int = 0

    def read(self, node: Any) -> None:
        """Read one entry of the list: a level, or several side by side."""
        keys = [key.value for key, _ in node.value] if node.id == "mapping" else []
        if "beside" in keys:
            self.groups += 1
            found = self.reader.mapping(node, ("beside",), "a level")
            for item in self.reader.sequence(found["beside"], "beside") if "beside" in found else []:
                self._add(item, self._memory(item, self.groups))
        elif "memory" in keys:
            self._add(node, self._memory(node, None))
        elif "fanout" in keys:
            self._add(node, self._fanout(node))
        elif "compute" in keys:
            self._add(node, self._compute(node))
        else:
            self.reader.problem(node, "a level starts with one of the keys memory, fanout, compute or beside")
            self.complete = False

    def _add(self, node: Any, level: Level | None) -> None:
        if level is None:
            self.complete = False
        else:
            self.found.append(level)
            self.nodes.append(node)

    def _memory(self, node: Any, beside: int | None) -> Memory | None:
        keys = self._keys(node, _MEMORY, "a memory")
        if "memory" not in keys:
            self.reader.problem(node, "a memory has the key 'memory' with its name")
            return None
        name = self.reader.name(keys["memory"])
        word_bits = (self.reader.integer(keys["word"], BIT_UNITS, f"the word of {name}") if "word" in keys else 0) or 8
        units = size_units(word_bits)
        size = self._size(keys["size"], name, word_bits) if "size" in keys else None
        line = (self.reader.integer(keys["line"], units, f"the line of {name}") if "line" in keys else 0) or 1
        if size is not None and line > size:
            self.reader.problem(keys["line"], f"the line of {name} has {line} words, the memory only {size}")
        ports = self._bandwidths(keys, name, word_bits)
        bits = None if size is None else size * word_bits
        guess = self._estimate(node, keys, name, line * word_bits, bits)
        if guess is None:
            read, write = self._access_energies(node, keys, name, line * word_bits, bits)
            leak, area = self._leak(keys, name), self._area(keys, name)
        else:
            read, write, leak, area = self._estimated(keys, name, guess)
        return Memory(
            name=name,
            size_words=size,
            word_bits=word_bits,
            packed=self._flag(keys, "packed", name),
            line_words=line,
            may_keep=self._roles(keys, "keeps", name, ALL_ROLES),
            must_keep=self._roles(keys, "must_keep", name, frozenset()),
            read_energy=read,
            write_energy=write,
            read_bandwidth=ports.get("read"),
            write_bandwidth=ports.get("write"),
            shared_bandwidth=ports.get("shared"),
            rolling=self._flag(keys, "rolling", name),
            double_buffered=self._flag(keys, "double_buffered", name),
            beside=beside,
            leak_energy=leak,
            area_um2=area,
        )

    def _fanout(self, node: Any) -> FanOut | None:
        reader = self.reader
        keys = self._keys(node, _FANOUT, "a fan-out")
        name = reader.name(keys["fanout"])
        if "axes" not in keys:
            reader.problem(node, f"fan-out {name} has no axes", "write axes: {x: 16, y: 16}")
            return None
        axes = []
        if keys["axes"].id != "mapping" or not keys["axes"].value:
            reader.problem(keys["axes"], f"axes of {name} must name at least one axis with its size")
        else:
            axes = [self._axis(key, value, name) for key, value in keys["axes"].value]
        multicast = _OPERANDS
        if "multicast" in keys and keys["multicast"].id == "scalar":
            multicast = _OPERANDS if reader.boolean(keys["multicast"], f"multicast of {name}") else frozenset()
        elif "multicast" in keys:
            multicast = frozenset(map(Role, reader.words(keys["multicast"], _OPERANDS, f"multicast of {name}")))
        drain = self._flag(keys, "drain", name)
        deliver, reduce, hop = self._network_energies(node, keys, name)
        return FanOut(
            name=name,
            axes=tuple(axes),
            multicast=multicast,
            reduce=self._flag(keys, "reduce", name, default=not drain),
            drain=drain,
            halo=self._flag(keys, "halo", name),
            deliver_energy=deliver,
            reduce_energy=reduce,
            hop_energy=hop,
            leak_energy=self._leak(keys, name),
            area_um2=self._area(keys, name),
        )

    def _axis(self, key: Any, node: Any, fanout: str) -> Axis:
        what = f"axis {key.value} of {fanout}"
        if node.id == "scalar":
            return Axis(self.reader.name(key), self.reader.integer(node, {"": Fraction(1)}, what) or 1)
        keys = self.reader.mapping(node, ("size", "dims"), what)
        if "size" not in keys:
            self.reader.problem(node, f"{what} has no size")
            return Axis(self.reader.name(key), 1)
        dims = self.reader.words(keys["dims"], (), f"dims of {what}") if "dims" in keys else None
        return Axis(self.reader.name(key), self.reader.integer(keys["size"], {"": Fraction(1)}, what) or 1, dims)

    def _compute(self, node: Any) -> Compute:
        keys = self._keys(node, _COMPUTE, "the compute unit")
        name = self.reader.name(keys["compute"])
        rate = self.reader.integer(keys["rate"], RATE_UNITS, f"the rate of {name}") if "rate" in keys else 1
        widths = self._widths(keys["widths"], name) if "widths" in keys else Widths()
        return Compute(
            name=name,
            rate=rate or 1,
            energy=self._operation_energy(node, keys, name, widths),
            widths=widths,
            leak_energy=self._leak(keys, name),
            area_um2=self._area(keys, name),
        )

    def _widths(self, node: Any, name: str) -> Widths:
        parts = self.reader.mapping(node, ("input", "weight", "output", "partial"), f"widths of {name}")
        found = {
            part: self.reader.integer(value, BIT_UNITS, f"width '{part}' of {name}") for part, value in parts.items()
        }
        return Widths(**found)

    def _keys(self, node: Any, known: Sequence[str], what: str) -> Keys:
        keys = self.reader.mapping(node, known, what)
        if "kind" not in keys or (known is _MEMORY and "energy" in keys):
            return keys
        if self.estimated and known is not _MEMORY:
            self.reader.problem(keys["kind"], "estimates are of memories only", "state the energies, without a kind")
        elif not self.tabled:
            hint = "add energies: TABLE, or to a memory energy: estimated"
            self.reader.problem(keys["kind"], "a kind is looked up in a table, and the spec names none", hint)
        return keys

    @property
    def sources(self) -> list[str]:
        """Where each energy comes from that the table or an estimate gave, a line each."""
        return [f"{name} {', '.join(actions)}: {source}" for (name, source), actions in self.told.items()]

    # -- single keys ---------------------------------------------------------------------------------------------------

    def _flag(self, keys: Keys, key: str, name: str, *, default: bool = False) -> bool:
        return self.reader.boolean(keys[key], f"{key} of {name}") if key in keys else default

    def _roles(self, keys: Keys, key: str, name: str, default: frozenset[Role]) -> frozenset[Role]:
        if key not in keys:
            return default
        return frozenset(map(Role, self.reader.words(keys[key], list(Role), f"{key} of {name}")))

    def _size(self, node: Any, name: str, word_bits: int) -> int | None:
        if node.id == "scalar" and node.value == "unlimited":
            return None
        units, what = size_units(word_bits), f"the size of {name}"
        value = self.reader.quantity(node, units, what, lambda v: v >= 1, "at least one word")
        return None if value is None else int(value)

    def _bandwidths(self, keys: Keys, name: str, word_bits: int) -> dict[str, Fraction | None]:
        """Words per cycle by port; reads and writes share one unless they have their own."""
        if "bandwidth" not in keys:
            return {}
        ports = {"shared": keys["bandwidth"]}
        if keys["bandwidth"].id == "mapping":
            ports = self.reader.mapping(keys["bandwidth"], ("read", "write", "shared"), f"bandwidth of {name}")
        units = bandwidth_units(word_bits, self.clock)
        return {
            port: None
            if node.id == "scalar" and node.value == "unlimited"
            else self.reader.quantity(node, units, f"{port} bandwidth of {name}", lambda v: v > 0, "positive")
            for port, node in ports.items()
        }

    def _leak(self, keys: Keys, name: str) -> Fraction:
        if "leak" not in keys:
            return Fraction(0)
        self.origins.append(Origin(name, "leak", Basis.STATED))
        units, what = leak_units(self.unit, self.clock), f"the leakage of {name}"
        return self.reader.quantity(keys["leak"], units, what, lambda v: v >= 0, "zero or more") or Fraction(0)

    def _area(self, keys: Keys, name: str) -> Fraction | None:
        if "area" not in keys:
            return None
        self.origins.append(Origin(name, "area", Basis.STATED))
        return self.reader.quantity(keys["area"], AREA_UNITS, f"the area of {name}", lambda v: v >= 0, "zero or more")

    # -- energies ------------------------------------------------------------------------------------------------------

    def _stated(self, keys: Keys, key: str, name: str) -> Fraction:
        self.origins.append(Origin(name, _ACTIONS.get(key, key), Basis.STATED))
        units, what = ENERGY_UNITS[self.unit], f"energy '{key}' of {name}"
        return self.reader.quantity(keys[key], units, what, lambda v: v >= 0, "zero or more") or Fraction(0)

    def _access_energies(self, node: Any, keys: Keys, name: str, width: int, size: int | None) -> list[Fraction]:
        """Of reading and writing a line of `width` bits of a memory of `size` bits: stated, or of the memory's kind."""
        found = []
        for action in ("read", "write"):
            if action in keys:
                found.append(self._stated(keys, action, name))
            elif self.table is None:
                found.append(Fraction(0))
            elif "kind" not in keys:
                kinds = self.table.kinds(action)
                hint = f"add kind: {' or '.join(kinds)}" if kinds else None
                problem = f"{name} has neither '{action}' nor a kind to find in table {self.table.name}"
                self.reader.problem(node, problem, hint)
                found.append(Fraction(0))
            else:
                kind, table = self.reader.text(keys["kind"], f"kind of {name}"), self.table
                find = partial(table.price, kind, action, width, size)
                found.append(self._priced(keys["kind"], name, action, find))
        return found

    def _estimate(self, node: Any, keys: Keys, name: str, width: int, size: int | None) -> Estimate | None:
        """The estimate of a memory of which the spec asks for one; None where it does not, or there is none."""
        asked = keys.get("energy")
        if asked is not None and self.reader.text(asked, f"energy of {name}") != ESTIMATED:
            self.reader.problem(asked, f"energy of {name} can be '{ESTIMATED}' only", "state read and write as numbers")
            return None
        technology = self.technology
        if "technology" in keys:
            technology = self.reader.integer(keys["technology"], TECHNOLOGY_UNITS, f"technology of {name}")
        stated = {"read", "write", "leak", "area"} if "kind" in keys else {"read", "write"}
        if asked is None and (not self.estimated or stated <= keys.keys()):
            if "technology" in keys:
                self.reader.problem(keys["technology"], f"{name} is not estimated", "add energy: estimated")
            return None
        at = keys.get("kind", asked or node)
        if self.unit != "pJ":
            self.reader.problem(at, f"estimates are in pJ, and energies of this spec in {self.unit}")
        elif "kind" not in keys:
            self.reader.problem(at, f"{name} is estimated by its kind, which is missing", f"add kind: {_KINDS}")
        elif technology is None:
            self.reader.problem(
                at, f"{name} is estimated for a technology", "add technology: 28 nm, here or to the spec"
            )
        else:
            try:
                return estimate(self.reader.text(keys["kind"], f"kind of {name}"), size, width, technology)
            except InputError as error:
                self.reader.problem(at, f"{name}: {error.message}", error.hint)
        return None

    def _estimated(
        self, keys: Keys, name: str, guess: Estimate
    ) -> tuple[Fraction, Fraction, Fraction, Fraction | None]:
        """Read, write, leakage and area, each stated or estimated, noting where they come from."""
        instances = prod(level.size for level in self.found if isinstance(level, FanOut))
        leak = leak_per_cycle(guess.leak_pw, self.clock, instances) if self.clock else Fraction(0)
        found = {"read": guess.read, "write": guess.write, "leak": leak, "area": guess.area_um2}
        units = {"read": "pJ", "write": "pJ", "leak": "pJ/cycle", "area": "um2"}
        for action, value in found.items():
            if action not in keys and (action != "leak" or self.clock):
                self._from(
                    name, action, f"{float(value):.3g} {units[action]}", Basis.ESTIMATED, ", ".join(guess.remarks)
                )
        stated = {action: self._stated(keys, action, name) for action in ("read", "write") if action in keys}
        area = self._area(keys, name) if "area" in keys else guess.area_um2
        leak = self._leak(keys, name) if "leak" in keys else leak
        return stated.get("read", guess.read), stated.get("write", guess.write), leak, area

    def _network_energies(self, node: Any, keys: Keys, name: str) -> list[Fraction]:
        """Of delivering an element, adding a partial sum and a hop, for elements as wide as a word of the memory above.

        A table prices networks by what they deliver or by the hop; what it leaves out costs nothing then.
        """
        names = {"deliver": "deliver", "reduce_energy": "reduce", "hop": "hop"}
        kind = self.reader.text(keys["kind"], f"kind of {name}") if "kind" in keys else "network"
        known = [action for action in names.values() if self.table and self.table.has(kind, action)]
        if self.table and not known and ("kind" in keys or not names.keys() & keys):
            others = ", ".join(self.table.kinds(*names.values())) or "none"
            problem = f"table {self.table.name} has no network of kind '{kind}', its networks: {others}"
            self.reader.problem(keys.get("kind", node), problem, f"state {', '.join(names)} of {name}, 0 if it is free")
        found = []
        for key, action in names.items():
            if key in keys:
                found.append(self._stated(keys, key, name))
            elif self.table and action in known:
                find = partial(self.table.price, kind, action, self._word())
                found.append(self._priced(keys.get("kind", node), name, action, find))
            else:
                found.append(Fraction(0))
        return found

    def _operation_energy(self, node: Any, keys: Keys, name: str, widths: Widths) -> Fraction:
        """Of an operation: stated, or of the widths of operands and partial sums in the table."""
        if "energy" in keys:
            return self._stated(keys, "energy", name)
        if self.table is None:
            if self.estimated:
                self.reader.problem(
                    node, f"{name} has no energy, and estimates are of memories only", "add energy: 0.2 pJ"
                )
            return Fraction(0)
        kind = self.reader.text(keys["kind"], f"kind of {name}") if "kind" in keys else "mac"
        operands = max(widths.input or 0, widths.weight or 0) or self._word()
        sums = widths.partial or widths.output or operands
        return self._priced(
            keys.get("kind", node), name, "operation", partial(self.table.operation, kind, operands, sums)
        )

    def _priced(self, node: Any, name: str, action: str, find: Callable[[], Priced]) -> Fraction:
        """The energy found in the table, noting where it comes from."""
        assert self.table is not None
        try:
            found = find()
        except InputError as error:
            self.reader.problem(node, error.message, error.hint)
            return Fraction(0)
        rows = " + ".join(f"{row.source} ({row.confidence})" for row in found.rows)
        value, source = f"{float(found.energy):g} {self.unit}", f"table {self.table.name}: {rows}"
        least = max((row.confidence for row in found.rows), key=CONFIDENCE.index)
        self._from(name, action, value, Basis.TABLE, source, least)
        return found.energy

    def _from(
        self, name: str, action: str, value: str, basis: Basis, source: str, confidence: str = "estimated"
    ) -> None:
        """Note where a number comes from that is not stated."""
        self.origins.append(Origin(name, action, basis, source, confidence))
        text = source if basis is Basis.TABLE else ", ".join(filter(None, (basis, source)))
        self.told.setdefault((name, f"{value}, {text}"), []).append(action)

    def _word(self) -> int:
        """Bits of a word of the nearest memory above."""
        return next((level.word_bits for level in reversed(self.found) if isinstance(level, Memory)), 8)
