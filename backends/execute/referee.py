"""ONNX Runtime in the place of the executor: what it makes of layers, and how far its own rounding reaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backends.execute.bounds import SINGLE, magnitude, value_size
from backends.execute.compare import is_real
from backends.execute.reference import reference, typed
from backends.execute.runtime import Array, Arrays
from backends.execute.walk import Site, Walk
from frontends.onnx import graph, pack, unpack
from frontends.onnx.region import Region
from frontends.onnx.registry import SHAPE_READERS
from frontends.onnx.shapes import text
from mapper.errors import InputError
from mapper.ir import LoopNest

if TYPE_CHECKING:
    import onnx

Key = tuple[str, int]
"""The name of a node, and how often it ran before."""

STEPS = frozenset({"Ceil", "Floor", "Mod", "Round", "Sign"})
"""Operators that make floats of floats and jump."""


@dataclass(frozen=True)
class Record:
    """What ONNX Runtime made of random operators, and of those that jump: their inputs and outputs.

    Outputs whose sizes depend on what is computed are drawn as well: `sized` says of them, by the node's place, that
    they had another size than they are compiled with.
    """

    draws: dict[Key, Arrays] = field(default_factory=dict)
    sized: dict[str, str] = field(default_factory=dict)
    jumps: dict[Key, tuple[Arrays, Arrays]] = field(default_factory=dict)


class Refereed(Walk):
    """Layers by ONNX Runtime. Fills a `record`, or repeats its draws where there are some."""

    def __init__(self, site: Site, record: Record) -> None:
        super().__init__(site)
        self.record = record

    def layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        """ONNX Runtime's value, or where it cannot run the part of an operator that of double precision, rounded."""
        binding = region.bindings[node.name]
        value = binding.result.value
        try:
            return told(self, region, node, values, [value], frozenset())[value]
        except InputError:
            return summed(region, node, self.site.nests[node.name], values)

    def operator(
        self, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str], part: bool
    ) -> Arrays:
        """ONNX Runtime's outputs; what is drawn is drawn once."""
        key = node.name, self.runs[node.name]
        if key in self.record.draws:
            return self.record.draws[key]
        found = told(self, region, node, values, wanted, fixed)
        if others := {name: array for name, array in found.items() if _is_of_another_size(region, name, array)}:
            found |= {name: _brought(array, region.shapes(name)) for name, array in others.items()}
            self.record.sized[graph.place(node)] = "; ".join(
                f"{name} is {text(array.shape)} on these inputs, and was brought to {text(region.shapes(name))} "
                f"{region.shapes.sources[name]}"
                for name, array in others.items()
            )
        if graph.is_random(node) or others:
            self.record.draws[key] = found
        elif jumps(region, node, values, found):
            self.record.jumps[key] = {name: values[name] for name in region.reads(node)}, found
        return found

    def whole(
        self, region: Region, node: onnx.NodeProto, values: Arrays, found: Arrays, fixed: frozenset[str]
    ) -> Arrays:
        """ONNX Runtime's own operator, where it can run it; what its parts do is compared elsewhere."""
        try:
            return told(self, region, node, values, list(found), fixed)
        except InputError:
            return found


class Perturbed(Refereed):
    """ONNX Runtime's layers, each element off by a random share of the `errors` that were seen of the layer, which are
    relative to sum|a||b| (of parts, which are not seen, of the rounding of single precision).

    With an odd seed all elements of a layer are off the same way, as rounding errors are where elements are alike.
    """

    def __init__(self, site: Site, record: Record, errors: dict[str, float], seed: int) -> None:
        super().__init__(site, Record(record.draws))
        self.errors, self.rng, self.alike = errors, np.random.default_rng(seed), bool(seed % 2)

    def layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        """ONNX Runtime's value, perturbed."""
        found = super().layer(region, node, values, part)
        error = self.errors.get(node.name, SINGLE)
        if not is_real(found.dtype) or not error:
            return found
        binding, nest = region.bindings[node.name], self.site.nests[node.name]
        operands = {name: pack(view, values) for name, view in binding.operands.items()}
        size = value_size(binding, magnitude(nest, operands), values)
        share = self.rng.choice((-1.0, 1.0)) if self.alike else self.rng.uniform(-1.0, 1.0, found.shape)
        return (found.astype(np.float64) + share * error * size).astype(found.dtype)

    def whole(
        self, region: Region, node: onnx.NodeProto, values: Arrays, found: Arrays, fixed: frozenset[str]
    ) -> Arrays:
        """What the perturbed parts gave."""
        return found


def summed(region: Region, node: onnx.NodeProto, nest: LoopNest, values: Arrays) -> Array:
    """What NumPy makes of a layer: in double precision, integers in 64 bits, in the type of its value."""
    binding = region.bindings[node.name]
    dtype = region.shapes.dtype(binding.result.value)
    operands = {name: pack(view, values) for name, view in binding.operands.items()}
    integers = dtype.kind in "iu" and all(operand.dtype.kind in "iu" for operand in operands.values())
    exact = reference(nest, operands, np.int64 if integers else np.float64)
    return typed(unpack(binding, exact, values), dtype)


def told(
    walk: Walk, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str]
) -> Arrays:
    """What ONNX Runtime makes of one node of a region; InputError if it cannot run it."""
    return walk.site.runtime.run(
        region.proto, [node], values, wanted, graph.place(node), fixed=fixed, types=region.shapes.types
    )


def _is_of_another_size(region: Region, name: str, array: Array) -> bool:
    """Whether a value has another size than is given or stated of it, where it does not follow from the inputs."""
    if name not in region.shapes.sources or not isinstance(array, np.ndarray):
        return False
    return array.shape != region.shapes(name) and array.ndim == len(region.shapes(name))


def _brought(array: Array, shape: tuple[int, ...]) -> Array:
    """An array in another size: cut off, or its last elements repeated, which are good indices if these are some."""
    cut = array[tuple(slice(n) for n in shape)]
    more = [(0, n - m) for n, m in zip(shape, cut.shape, strict=True)]
    return np.pad(cut, more, mode="edge" if cut.size else "constant")


def jumps(region: Region, node: onnx.NodeProto, values: Arrays, found: Arrays) -> bool:
    """Whether a small change of an input may change what a node makes of it by a step."""
    arrays = (*(values[name] for name in region.reads(node)), *found.values())
    if node.op_type in SHAPE_READERS or any(isinstance(array, list) for array in arrays):
        return False
    continuous = any(real(values[name]) for name in region.reads(node))
    stepped = node.op_type in STEPS or not all(map(real, found.values()))
    return continuous and stepped


def real(array: Array) -> bool:
    """Whether a value is an array of floats, of at least 16 bits."""
    return isinstance(array, np.ndarray) and is_real(array.dtype)
