"""Batch evaluation: the cost of many mappings of one structure, which differ in their steps, at once.

The formulas are those of a single mapping, with an array of steps for each loop in place of one step.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.arch import Architecture
from mapper.cost.bounds import largest_values
from mapper.cost.cost import Measures, energy_by_level, home_words, measure
from mapper.cost.cuts import Cuts
from mapper.errors import InputError
from mapper.ir import LoopNest
from mapper.mapping import Access, Counts, Keep, Loop, Mapping, Moves, ParFor, footprints, violations

Integers = npt.NDArray[Any]
"""One integer for each mapping: int64, or Python integers (dtype object) where int64 could overflow."""

LIMIT = 2**63
CHUNK = 8192
"""Mappings evaluated together: enough to amortise the calls, few enough for their arrays to stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchCost:
    """What each mapping of a batch costs; all arrays have shape (mappings,) and are read-only.

    `legal` says which mappings are legal; the figures of the others mean nothing. `energy` and `energy_by_level` are
    exact, in 1/`denominator` of the architecture's energy unit. `reads`, `writes`, `partial_reads` and `partial_writes`
    are elements by (memory, tensor), as in `Access`, `word_reads` and `word_writes` the words that they take;
    `delivered`, `reduced` and `hops` are by (fan-out, tensor), as in `Moves`; `steps` are lockstep steps, `operations`
    is the same for all. The rest is as in `Cost`.
    """

    legal: npt.NDArray[np.bool_]
    energy: Integers
    denominator: int
    energy_by_level: Dict[str, Integers]
    cycles: Integers
    cycles_by_port: Dict[str, Integers]
    utilization: npt.NDArray[np.float64]
    home_words: Integers
    operations: int
    steps: Integers
    reads: Dict[tuple[str, str], Integers]
    writes: Dict[tuple[str, str], Integers]
    partial_reads: Dict[tuple[str, str], Integers]
    partial_writes: Dict[tuple[str, str], Integers]
    word_reads: Dict[tuple[str, str], Integers]
    word_writes: Dict[tuple[str, str], Integers]
    delivered: Dict[tuple[str, str], Integers]
    reduced: Dict[tuple[str, str], Integers]
    hops: Dict[tuple[str, str], Integers]

    def __repr__(self) -> str:
        return f"<BatchCost of {len(self.legal):,} mappings, {int(self.legal.sum()):,} of them legal>"


def evaluate_batch(nest: LoopNest, arch: Architecture, mapping: Mapping, steps: npt.ArrayLike) -> BatchCost:
    """The costs of mappings that differ in their steps only, each equal to what `evaluate` gives.

    `mapping` is their structure, its own steps are not read; `steps` are integers of shape (mappings, loops), those of
    its temporal and spatial loops in order. Where a count or an energy could pass 2^63, be it of an illegal mapping,
    Python integers stand in for int64: as exact, and ten times slower. Raises InputError if the structure is
    illegal whatever the steps (one error that lists why), or if `steps` has another shape, another type or a step below
    1 (naming the first).
    """
    loops = {i: item for i, item in enumerate(mapping.items) if not isinstance(item, Keep)}
    _check_structure(nest, arch, mapping)
    table = _table(nest, steps, list(loops.values()))
    counts_type, energy_type = _types(nest, arch, mapping, table)
    found: dict[tuple[str, ...], list[Any]] = {}
    for start in range(0, max(1, len(table)), CHUNK):
        cuts = _cuts(nest, mapping, table[start : start + CHUNK].astype(counts_type))
        for key, values in _figures(arch, cuts, energy_type).items():
            found.setdefault(key, []).append(values)
    return _batch_cost(nest, arch, {key: _joined(parts, len(table)) for key, parts in found.items()})


def _check_structure(nest: LoopNest, arch: Architecture, mapping: Mapping) -> None:
    """What is illegal about a mapping of a single operation is illegal whatever the steps."""
    point = replace(nest, dims=tuple((d, 1) for d, _ in nest.dims))
    items = tuple(item if isinstance(item, Keep) else replace(item, step=1) for item in mapping.items)
    problems = violations(point, arch, Mapping(items))
    if problems:
        raise InputError("; ".join(problems), place=f"a mapping for {arch.name}, whatever its steps")


def _table(nest: LoopNest, steps: npt.ArrayLike, loops: list[Loop | ParFor]) -> Integers:
    """The steps, none above its dim: a longer one does nothing else. InputError if they are none."""
    # what is no array yet may hold integers of any size
    table: Integers = steps if isinstance(steps, np.ndarray) else np.asarray(steps, object)
    if table.ndim != 2 or table.shape[1] != len(loops):
        raise InputError(f"the shape is {table.shape}, not (mappings, {len(loops)}): a column a loop", place="steps")
    if table.size and table.dtype.kind not in "iuO":
        raise InputError(f"the type is {table.dtype}, not one of integers", place="steps")
    if table.dtype == object:
        try:
            table = np.asarray(np.frompyfunc(operator.index, 1, 1)(table))
        except TypeError as error:
            raise InputError(str(error), place="steps") from error
    for row, column in np.argwhere(table < 1)[:1].tolist():
        place = f"steps[{row}, {column}], the loop over {loops[column].dim}"
        raise InputError(f"a step is at least 1, not {table[row, column]}", place=place)
    extents = np.array([nest.extents[item.dim] for item in loops], object)
    if max(extents, default=1) < LIMIT and table.dtype != object:
        unsigned = table.dtype.kind == "u"  # compared as such: some are beyond int64
        extents = extents.astype(np.uint64 if unsigned else np.int64)
    clipped: Integers = np.minimum(table, extents)
    return clipped


def _types(nest: LoopNest, arch: Architecture, mapping: Mapping, table: Integers) -> tuple[type, type]:
    """The types of all but energies and of energies: int64 or, where that could overflow, object."""
    if max(nest.extents.values(), default=1) >= LIMIT:
        return object, object
    instances = _cuts(nest, mapping, table.astype(np.int64)).instances
    most_instances = {i: int(np.max(count, initial=1)) for i, count in instances.items()}
    bounds = largest_values(nest, arch, mapping, most_instances)
    counts, energy = (np.int64 if bound < LIMIT else object for bound in bounds)
    return counts, energy


def _cuts(nest: LoopNest, mapping: Mapping, table: Integers) -> Cuts:
    loops = [i for i, item in enumerate(mapping.items) if not isinstance(item, Keep)]
    columns: dict[int, Any] = {i: np.ascontiguousarray(table[:, k]) for k, i in enumerate(loops)}
    return Cuts(nest, mapping, columns)


def _figures(arch: Architecture, cuts: Cuts, energy_type: type) -> dict[tuple[str, ...], Any]:
    """All that is found of some mappings, by what it is: an array, or an integer that is the same for all."""
    measured = measure(arch, cuts)
    energy = energy_by_level(arch, _widened(measured) if energy_type is object else measured)
    found: dict[tuple[str, ...], Any] = {
        ("legal",): _legal(arch, cuts),
        ("energy",): sum(energy.values()),
        ("cycles",): measured.cycles,
        ("home_words",): home_words(arch, measured),
        ("steps",): measured.counts.steps,
    }
    found.update({("energy_by_level", name): part for name, part in energy.items()})
    found.update({("cycles_by_port", name): part for name, part in measured.cycles_by_port.items()})
    for key, access in measured.counts.accesses.items():
        for kind in ("reads", "writes", "partial_reads", "partial_writes"):
            found[kind, *key] = getattr(access, kind)
    for key, words in measured.words.items():
        found["word_reads", *key], found["word_writes", *key] = words.reads, words.writes
    for key, moves in measured.counts.moves.items():
        for kind in ("delivered", "reduced", "hops"):
            found[kind, *key] = getattr(moves, kind)
    return found


def _widened(found: Measures) -> Measures:
    """The same in Python integers, which no price makes overflow."""

    def wide(value: int) -> Any:
        return value.astype(object) if isinstance(value, np.ndarray) else value

    words = {
        key: Access(*map(wide, (w.reads, w.writes, w.partial_reads, w.partial_writes)))
        for key, w in found.words.items()
    }
    moves = {key: Moves(*map(wide, (m.delivered, m.reduced, m.hops))) for key, m in found.counts.moves.items()}
    counts = Counts({}, moves, found.counts.operations, found.counts.steps)
    return Measures(counts, words, found.cycles_by_port, wide(found.cycles))


def _joined(parts: list[Any], size: int) -> Integers:
    """The figures of all chunks; what does not depend on the steps is the same in each."""
    value = parts[0]
    if isinstance(value, np.ndarray):
        joined: Integers = np.concatenate(parts)
        joined.flags.writeable = False
        return joined
    kind = bool if isinstance(value, bool) else np.int64 if abs(value) < LIMIT else object
    return np.broadcast_to(np.asarray(value, kind), (size,))


def _batch_cost(nest: LoopNest, arch: Architecture, found: dict[tuple[str, ...], Integers]) -> BatchCost:
    def group(kind: str) -> dict[Any, Integers]:
        """The figures of a kind, by the name or the pair of names behind it."""
        own = {key[1:]: values for key, values in found.items() if key[0] == kind}
        return {key[0] if len(key) == 1 else key: values for key, values in own.items()}

    cycles = found["cycles",]
    # as integers: a float of the product may not be the nearest
    utilization = nest.operations / (cycles.astype(object) * arch.peak_operations)
    kinds = ("reads", "writes", "partial_reads", "partial_writes", "word_reads", "word_writes")
    return BatchCost(
        legal=found["legal",],
        energy=found["energy",],
        denominator=arch.prices.denominator,
        energy_by_level=group("energy_by_level"),
        cycles=cycles,
        cycles_by_port=group("cycles_by_port"),
        utilization=utilization.astype(np.float64),
        home_words=found["home_words",],
        operations=nest.operations,
        steps=found["steps",],
        **{kind: group(kind) for kind in (*kinds, "delivered", "reduced", "hops")},
    )


# -- legality: the rules of mapper.mapping.violations that depend on steps ---------------------------------------------


def _legal(arch: Architecture, cuts: Cuts) -> Any:
    """Whether axes are large enough, dims split completely and memories large enough."""
    nest, items = cuts.nest, cuts.mapping.items
    legal: Any = True
    used = {(f.name, axis.name): 1 for f in arch.fanouts for axis in f.axes}
    for i, instances in cuts.instances.items():
        item = items[i]
        assert isinstance(item, ParFor)
        used[item.fanout, item.axis] = used[item.fanout, item.axis] * instances
    for fanout in arch.fanouts:
        for axis in fanout.axes:
            legal = legal & (used[fanout.name, axis.name] <= axis.size)
    for d in nest.extents:
        legal = legal & (cuts.largest(d, len(items)) == 1)
    for memory in arch.memories:
        if memory.tile_words is not None:
            tiles = footprints(nest, arch, cuts.mapping, memory, cuts.step)
            legal = legal & (sum(tiles.values()) <= memory.tile_words)
    return legal
