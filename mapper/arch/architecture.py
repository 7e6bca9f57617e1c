"""Architecture: memories, fan-outs and the compute unit in one list, outermost first (`docs/architecture.md`).

Quantities are exact: energies are `Fraction`s in the architecture's energy unit, leakage in that unit per cycle, areas
in square micrometres, bandwidths in words per cycle. Leakage and area are those of one instance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any

from mapper.arch.constraints import Constraint
from mapper.arch.spec import Spec
from mapper.arguments import check_fields, shown
from mapper.errors import InputError
from mapper.ir import LoopNest, Role, Tensor, named
from mapper.spelling import nearest

ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory, one instance for each instance of the fan-outs above it.

    `size_words` is None when unlimited. A word of a `packed` memory holds as many elements as fit, otherwise one; an
    element wider than a word takes several. `may_keep` says by role which tensors it can hold, `must_keep` which it has
    to. An access moves a line of `line_words`, and energies are those of an access. Bandwidths are words per cycle and
    instance, None when unlimited; `shared_bandwidth` bounds reads and writes together. A memory with `rolling` can keep
    the words that consecutive tiles share; a `double_buffered` one loads the next tile while the present one is used.
    Memories with the same `beside` number stand side by side, each for tensors of its own.
    """

    name: str
    size_words: int | None = None
    word_bits: int = 8
    packed: bool = False
    line_words: int = 1
    may_keep: frozenset[Role] = ALL_ROLES
    must_keep: frozenset[Role] = frozenset()
    read_energy: Fraction = Fraction(0)
    write_energy: Fraction = Fraction(0)
    read_bandwidth: Fraction | None = None
    write_bandwidth: Fraction | None = None
    shared_bandwidth: Fraction | None = None
    rolling: bool = False
    double_buffered: bool = False
    beside: int | None = None
    leak_energy: Fraction = Fraction(0)
    area_um2: Fraction | None = None

    def words(self, elements: int, bits: int | None) -> int:
        """Words that so many elements of that width take; None: an element is as wide as a word."""
        if bits is None:
            return elements
        if bits > self.word_bits:
            return elements * -(-bits // self.word_bits)
        return -(-elements // (self.word_bits // bits)) if self.packed else elements

    @property
    def tile_words(self) -> int | None:
        """Words that tiles can take: half of a double-buffered memory, as each tile is there twice; None: unlimited."""
        return self.size_words if self.size_words is None or not self.double_buffered else self.size_words // 2

    @property
    def holds(self) -> str:
        """That in words, for messages."""
        half = f", half of its {self.size_words}" if self.double_buffered else ""
        return f"{self.name} holds {self.tile_words} words{half}"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a mesh: `size` instances, over which `dims` may be unrolled, by name or role (None: any)."""

    name: str
    size: int
    dims: frozenset[str] | None = None

    def takes(self, nest: LoopNest) -> frozenset[str]:
        """The dims of a layer that may be unrolled along it, as far as its list says; InputError as of `named`."""
        if self.dims is None:
            return frozenset(nest.extents)
        return frozenset(dim for word in self.dims for dim in named(nest, word))

    @property
    def listed(self) -> str:
        """What its list of dims says, for a message: `only C, K`, or `no dim`."""
        if self.dims is None:
            return "any dim"
        return f"only {', '.join(sorted(self.dims))}" if self.dims else "no dim"


@dataclass(frozen=True, slots=True)
class FanOut:
    """A mesh of everything below it, and its network.

    `multicast` holds the roles of tensors whose words one read can deliver to several instances. With `reduce` the
    network adds partial sums on the way up; with `drain` instead each instance drains its own, and the memory above
    adds them; with neither no reduction dim may be unrolled here. With `halo` neighbours share the words in which
    their tiles overlap, of the tensors that are multicast. `deliver_energy` is per element that arrives at an instance,
    `reduce_energy` per partial sum added to another, `hop_energy` per element and step along an axis: what passes the
    network travels every axis up to the furthest instance in use.
    """

    name: str
    axes: tuple[Axis, ...]
    multicast: frozenset[Role] = frozenset({Role.INPUT, Role.WEIGHT})
    reduce: bool = True
    drain: bool = False
    halo: bool = False
    deliver_energy: Fraction = Fraction(0)
    reduce_energy: Fraction = Fraction(0)
    hop_energy: Fraction = Fraction(0)
    leak_energy: Fraction = Fraction(0)
    area_um2: Fraction | None = None

    @property
    def size(self) -> int:
        """Instances."""
        return math.prod(axis.size for axis in self.axes)

    def coalesces(self, role: Role) -> bool:
        """Whether instances that differ only in dims irrelevant to the tensor share its traffic above the network."""
        return self.reduce if role is Role.OUTPUT else role in self.multicast

    def unrolls_reductions(self) -> bool:
        """Whether reduction dims may be unrolled here."""
        return self.reduce or self.drain

    def shares_halo(self, role: Role) -> bool:
        """Whether instances whose tiles of the tensor overlap share the traffic of the words in common."""
        return self.halo and role in self.multicast


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of an element by role, and of a partial sum; None: as wide as a word of the memory it rests in.

    Partial sums are as wide as outputs where `partial` is None.
    """

    input: int | None = None
    weight: int | None = None
    output: int | None = None
    partial: int | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """The unit that does the operations: `rate` operations per cycle and instance, `energy` for each.

    `widths` are those of its operands and results, for layers that do not state their own.
    """

    name: str
    rate: int = 1
    energy: Fraction = Fraction(0)
    widths: Widths = Widths()
    leak_energy: Fraction = Fraction(0)
    area_um2: Fraction | None = None


Level = Memory | FanOut | Compute


class Basis(StrEnum):
    """What a number of a spec rests on."""

    STATED = "stated"
    TABLE = "table"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an energy, leakage or area of a level comes from.

    `action` is read, write, deliver, reduce, hop, operation, leak or area; `source` says which row of which table, or
    what the estimate assumes; `confidence` is that of the table's rows, 'estimated', or empty for a stated number.
    """

    level: str
    action: str
    basis: Basis
    source: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """The energies of an architecture as integers over one `denominator`, by level: an access, a move or a cycle."""

    denominator: int
    read: Mapping[str, int]
    write: Mapping[str, int]
    deliver: Mapping[str, int]
    reduce: Mapping[str, int]
    hop: Mapping[str, int]
    leak: Mapping[str, int]  # of all instances
    operation: int


def level_problems(levels: Sequence[Level], *, complete: bool = True) -> Iterator[tuple[int | None, str]]:
    """Why these levels, outermost first, are no accelerator; each with the position of the level that it concerns.

    Where they are not `complete`, what the first and the last must be is left out.
    """
    names = [level.name for level in levels]
    for i, level in enumerate(levels):
        if level.name in names[:i]:
            yield i, f"two levels are named {level.name}"
    if complete and (not levels or not isinstance(levels[0], Memory) or levels[0].may_keep != ALL_ROLES):
        yield (0 if levels else None), "the first level must be a memory that may keep every tensor"
    if complete and (not levels or not isinstance(levels[-1], Compute)):
        yield None, "the last level must be the compute unit"
    for i, level in enumerate(levels):
        if isinstance(level, Compute) and i + 1 < len(levels):
            yield i, f"{level.name}: the compute unit must be the last level, and there is one only"
        elif isinstance(level, Memory):
            if level.must_keep - level.may_keep:
                extra = ", ".join(sorted(level.must_keep - level.may_keep))
                yield i, f"{level.name} must keep what it may not keep: {extra}"
            for other in levels[:i]:
                if isinstance(other, Memory) and level.beside is not None and other.beside == level.beside:
                    for role in sorted(level.may_keep & other.may_keep):
                        yield i, f"{other.name} and {level.name} stand side by side and may both keep the {role}"
        elif isinstance(level, FanOut):
            axes = [axis.name for axis in level.axes]
            for axis in sorted({a for a in axes if axes.count(a) > 1}):
                yield i, f"fan-out {level.name} has two axes named {axis}"
            if level.reduce and level.drain:
                yield i, f"fan-out {level.name} adds partial sums or lets each instance drain its own, not both"


def _described(level: Level) -> str:
    """A level in a few words."""
    match level:
        case Memory(name, size):
            return name if size is None else f"{name} {size:,} words of {level.word_bits} bits"
        case FanOut(name, axes):
            return f"{name} {' x '.join(str(axis.size) for axis in axes)}"
    return level.name


@dataclass(frozen=True)
class Architecture:
    """An accelerator: its levels from the outermost memory to the compute unit.

    `energy_unit` is 'pJ', or 'MAC' where energies are relative to one operation; `clock_hz` and `technology_nm` are
    None where the spec does not give them; `sources` says where the numbers come from, `origins` that of each energy
    and area that the spec states, looks up or has estimated. `constraints` hold for every
    mapping on it; `dataflows` are pairs of a name and constraints that hold where it is asked for. Raises InputError if
    the list does not start with a memory that may keep everything, does not end with its only compute unit, or a tensor
    could be kept twice side by side.
    """

    name: str
    levels: tuple[Level, ...]
    energy_unit: str = "pJ"
    clock_hz: int | None = None
    description: str = ""
    technology_nm: int | None = None
    sources: tuple[str, ...] = field(default=(), compare=False)
    constraints: tuple[Constraint, ...] = ()
    dataflows: tuple[tuple[str, tuple[Constraint, ...]], ...] = ()
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    spec: Spec | None = field(default=None, init=False, compare=False, repr=False)
    """What it was read from, if it was."""

    def __post_init__(self) -> None:
        check_fields(self)
        if problems := [text for _, text in level_problems(self.levels)]:
            raise InputError("; ".join(problems), place=f"architecture {self.name}")

    def __repr__(self) -> str:
        return f"<Architecture {self.name}: {', '.join(map(_described, self.levels))}>"

    def replace(self, changes: str | Mapping[str, Any] = {}, value: Any = ..., /, **more: Any) -> Architecture:
        """The architecture with other values in its spec, by their path of level and key.

            arch.replace("GLB.size", "256 KiB")
            arch.replace({"GLB.size": "256 KiB", "PE.axes.x": 32}, clock="1 GHz")

        Values are those of the YAML form: texts with units, numbers, True and False, lists and dicts; None leaves a key
        out. All else is as if the edited file were loaded. Raises InputError as loading it does, for a path that leads
        nowhere, and for an architecture that was not read from a spec.
        """
        from mapper.arch.load import replaced

        if isinstance(changes, str) is (value is ...) or not isinstance(changes, str | Mapping):
            raise InputError(
                "replace takes a path and a value, or a dict of values by path", hint='"GLB.size", "64 KiB"'
            )
        if self.spec is None:
            raise InputError(
                f"{self.name} was not read from a spec", hint="dataclasses.replace changes what it is made of"
            )
        given = {changes: value} if isinstance(changes, str) else changes
        return replaced(self.spec, {**given, **more})

    @cached_property
    def memories(self) -> tuple[Memory, ...]:
        """The memories, outermost first; the first is the home of every tensor."""
        return tuple(level for level in self.levels if isinstance(level, Memory))

    @cached_property
    def fanouts(self) -> tuple[FanOut, ...]:
        """The fan-outs, outermost first."""
        return tuple(level for level in self.levels if isinstance(level, FanOut))

    @property
    def home(self) -> Memory:
        """The outermost memory, in which every tensor exists before and after."""
        return self.memories[0]

    @property
    def compute(self) -> Compute:
        """The compute unit."""
        level = self.levels[-1]
        assert isinstance(level, Compute)
        return level

    def memory(self, name: str) -> Memory:
        """The memory of that name; InputError with the nearest names if there is none."""
        found = self._memory_by_name.get(name) if isinstance(name, str) else None
        if found is None:
            known = nearest(str(name), self._memory_by_name)
            raise InputError(f"{self.name} has no memory {shown(name)}", hint=known)
        return found

    @cached_property
    def _memory_by_name(self) -> dict[str, Memory]:
        return {m.name: m for m in self.memories}

    def dataflow(self, name: str) -> tuple[Constraint, ...]:
        """The constraints of the dataflow of that name; InputError with the nearest names if there is none."""
        named = dict(self.dataflows)
        if name not in named:
            hint = nearest(name, named) if named else "its spec names none"
            raise InputError(f"{self.name} has no dataflow '{name}'", hint=hint)
        return named[name]

    @cached_property
    def depth(self) -> dict[str, int]:
        """Position in the list by level name."""
        return {level.name: i for i, level in enumerate(self.levels)}

    @cached_property
    def segment(self) -> dict[str, int]:
        """By level name, the number of fan-outs above it; nodes of one segment may interleave freely."""
        above, found = 0, {}
        for level in self.levels:
            found[level.name] = above
            above += isinstance(level, FanOut)
        return found

    def instances(self, level: Level) -> int:
        """How often a level exists."""
        return math.prod(f.size for f in self.fanouts[: self.segment[level.name]])

    @property
    def peak_operations(self) -> int:
        """Operations per cycle with every instance busy."""
        return self.compute.rate * self.instances(self.compute)

    @cached_property
    def prices(self) -> Prices:
        """All energies over their common denominator."""
        energies = {
            "read": {m.name: m.read_energy for m in self.memories},
            "write": {m.name: m.write_energy for m in self.memories},
            "deliver": {f.name: f.deliver_energy for f in self.fanouts},
            "reduce": {f.name: f.reduce_energy for f in self.fanouts},
            "hop": {f.name: f.hop_energy for f in self.fanouts},
            "leak": {level.name: level.leak_energy * self.instances(level) for level in self.levels},
        }
        every = [self.compute.energy, *(e for found in energies.values() for e in found.values())]
        denominator = math.lcm(*(e.denominator for e in every))
        whole = {kind: {name: int(e * denominator) for name, e in found.items()} for kind, found in energies.items()}
        return Prices(denominator, **whole, operation=int(self.compute.energy * denominator))

    @property
    def leak_energy(self) -> Fraction:
        """Energy that all levels lose in a cycle, busy or not."""
        return sum((level.leak_energy * self.instances(level) for level in self.levels), Fraction(0))

    @property
    def area_um2(self) -> Fraction | None:
        """Area of all instances of the levels whose area is known; None where none is."""
        known = [level.area_um2 * self.instances(level) for level in self.levels if level.area_um2 is not None]
        return sum(known, Fraction(0)) if known else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of its numbers: by level, the estimates that are extrapolated."""
        found = (f"{o.level} is estimated, {o.source}" for o in self.origins if "extrapolated" in o.source)
        return tuple(dict.fromkeys(found))

    def bits(self, tensor: Tensor) -> int | None:
        """Bits of an element: the layer's, else the compute unit's, else None for a word of each memory."""
        widths = self.compute.widths
        own = {Role.INPUT: widths.input, Role.WEIGHT: widths.weight, Role.OUTPUT: widths.output}
        return own[tensor.role] if tensor.bits is None else tensor.bits

    def partial_bits(self, nest: LoopNest) -> int | None:
        """Bits of a partial sum, found like those of an element; by default as wide as an output."""
        known = (nest.partial_bits, self.compute.widths.partial)
        return next((bits for bits in known if bits is not None), self.bits(nest.output))
