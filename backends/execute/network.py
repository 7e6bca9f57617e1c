"""Executing a whole network: every layer through its own mapping, everything else through ONNX Runtime.

Each layer is given what the layers before it produced here, and compared with ONNX Runtime's answer for its node on the
same inputs; an operator that is made of several layers is compared as a whole; and so are the outputs of the model,
with those of ONNX Runtime running all of it by itself, so that what is wrong between the layers shows as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backends.execute.compare import difference, disagreement, relative_error
from backends.execute.runtime import Array, Arrays, Runtime
from backends.execute.values import changing, constants, initial, settled
from frontends.onnx import OnnxModel, control, graph, pack, unpack
from frontends.onnx.region import Region
from mapper.arch import Architecture
from mapper.errors import InputError, MapperError
from mapper.ir import LoopNest
from mapper.mapping import Counts
from mapper.mapping import Mapping as LayerMapping

if TYPE_CHECKING:
    import onnx


class Execution(Protocol):
    """What running a layer gives: the output, of the shape of the nest's output tensor, and what was counted."""

    @property
    def output(self) -> Array: ...
    @property
    def counts(self) -> Counts: ...


Executor = Callable[[LoopNest, Architecture, LayerMapping, Mapping[str, Array]], Execution]


@dataclass(frozen=True, slots=True)
class Check:
    """A layer, an operator made of layers, or an output of the model: max|ours - reference| / max|reference|, in the
    worst of all times it ran; whether the counts are as expected; and what disagrees first, None if nothing does."""

    name: str
    relative_error: float
    counts_match: bool = True
    mismatch: str | None = None


@dataclass(frozen=True)
class Verification:
    """What was checked of a network; it passed if all counts match and all values agree.

    `layers` has those that ran: a branch may not be taken. `others` are operators made of layers and the outputs,
    whose values are in `outputs`. `uncompared` names what ONNX Runtime cannot run, and says why.
    """

    layers: tuple[Check, ...]
    others: tuple[Check, ...] = ()
    outputs: Mapping[str, Array] = field(default_factory=dict, repr=False, compare=False)
    uncompared: tuple[tuple[str, str], ...] = ()

    @property
    def layers_checked(self) -> int:
        """Layers that were executed and compared."""
        return len(self.layers)

    @property
    def counts_match(self) -> bool:
        """Whether every count of every layer is the expected one."""
        return all(layer.counts_match for layer in self.layers)

    @property
    def max_relative_error(self) -> float:
        """The largest relative error; infinite where a value has another shape or is not finite."""
        return max((check.relative_error for check in (*self.layers, *self.others)), default=0.0)

    @property
    def failure(self) -> str | None:
        """What disagrees first, in words; None if nothing does."""
        failed = [f"layer {check.name}: {check.mismatch}" for check in self.layers if check.mismatch]
        failed += [f"{check.name}: {check.mismatch}" for check in self.others if check.mismatch]
        return failed[0] if failed else None

    @property
    def passed(self) -> bool:
        """Whether execution agrees with the cost model and with ONNX Runtime."""
        return self.failure is None


def verify_network(
    model: OnnxModel,
    arch: Architecture,
    mappings: Mapping[LoopNest, LayerMapping],
    expected: Mapping[LoopNest, Counts],
    *,
    inputs: Mapping[str, Array] | None = None,
    seed: int = 0,
    on_layer: Callable[[Check], None] | None = None,
    execute: Executor | None = None,
) -> Verification:
    """Run the network through `mappings` and compare with ONNX Runtime and with the `expected` counts.

    `inputs` are the model's, by name; those that are missing are random, as are weights without values. With inputs
    for all of it, constants keep their values whatever they are. `on_layer` is called when a layer has run for the
    first time; `execute` replaces the counting executor. Raises MissingExtraError without onnxruntime, InputError if a
    layer has no mapping, an input does not fit, or ONNX Runtime cannot run an operator that is not mapped.
    """
    runtime = Runtime()
    nests = {layer.name: layer.nest for layer in model.network.layers if layer.nest is not None}
    for name, nest in nests.items():
        if nest not in mappings or nest not in expected:
            raise InputError("the layer has no mapping", place=name)
    region = model.region
    nodes = changing(region)
    fixed, values = initial(model, nodes, runtime, np.random.default_rng(seed), inputs or {})
    outputs = [value for value in region.outputs if value not in values] if nests else []
    place = model.network.name
    run = _Run(model, arch, mappings, expected, nests, runtime, execute or _counting_executor(), on_layer)
    found: Arrays = {}
    if nests:
        reference = run.referee(place, region.proto, nodes, values, outputs, fixed) if outputs else {}
        found = run.region(region, nodes, values, fixed, outputs)
        for value, theirs in reference.items():
            run.compare(f"output {value}", found[value], theirs)
    return Verification(tuple(run.layers.values()), tuple(run.others.values()), found, tuple(run.uncompared.items()))


@dataclass
class _Run:
    """A run of a network; `layers` and `others` grow as it goes."""

    model: OnnxModel
    arch: Architecture
    mappings: Mapping[LoopNest, LayerMapping]
    expected: Mapping[LoopNest, Counts]
    nests: Mapping[str, LoopNest]
    runtime: Runtime
    execute: Executor
    on_layer: Callable[[Check], None] | None

    def __post_init__(self) -> None:
        self.layers: dict[str, Check] = {}
        self.others: dict[str, Check] = {}
        self.uncompared: dict[str, str] = {}
        self.constants: dict[Region, Arrays] = {}  # of bodies and parts, once they have run

    def region(
        self,
        region: Region,
        nodes: list[onnx.NodeProto],
        values: Arrays,
        fixed: frozenset[str],
        outputs: list[str],
        part: bool = False,
    ) -> Arrays:
        """Run these nodes of a region on `values`; its `outputs`.

        The nodes of a `part` of an operator are not compared one by one: ONNX Runtime may know the operator only.
        """
        values = dict(values)
        last = {value: index for index, node in enumerate(nodes) for value in region.reads(node)}
        last |= dict.fromkeys(outputs, len(nodes))
        for index, node in enumerate(nodes):
            if node.name in region.bindings:
                self._layer(region, node, values, part)
            elif node.name in region.inner:
                self._inner(region, node, values, fixed, part)
            elif wanted := [value for value in node.output if value in last]:
                values |= self.runtime.run(region.proto, [node], values, wanted, graph.place(node), fixed=fixed)
            for value in region.reads(node):
                if last[value] == index:
                    values.pop(value, None)
        return {value: values[value] for value in outputs}

    def _layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> None:
        nest, binding = self.nests[node.name], region.bindings[node.name]
        operands = {name: pack(view, values) for name, view in binding.operands.items()}
        try:
            execution = self.execute(nest, self.arch, self.mappings[nest], operands)
        except MapperError as error:
            raise type(error)(error.message, place=f"layer {node.name}", hint=error.hint) from error
        if execution.output.shape != nest.shape(nest.output):
            raise ValueError(f"{node.name}: output of shape {execution.output.shape} for {nest}")
        value = binding.result.value
        dtype = region.shapes.dtype(value)
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is reported as such
            ours = unpack(binding, execution.output, values).astype(dtype)
        told: Arrays = {}
        if not part:
            told = self.referee(graph.place(node), region.proto, [node], values, [value], frozenset())
        counts = difference(self.expected[nest], execution.counts)
        self._add(self.layers, node.name, ours, told.get(value, ours), counts)
        values[value] = ours

    def _inner(self, region: Region, node: onnx.NodeProto, values: Arrays, fixed: frozenset[str], part: bool) -> None:
        inner, wanted = region.inner[node.name], [value for value in node.output if value]
        if "" in inner:
            found = self._enter(inner[""], values, [], fixed, True)
            own = [value for value in wanted if value in found]
            if not part:
                place = graph.place(node)
                for value, theirs in self.referee(place, region.proto, [node], values, own, fixed).items():
                    self.compare(place, found[value], theirs)
            values |= {value: found[value] for value in own}
            return

        def run(body: Region, given: list[Array]) -> list[Array]:
            results = self._enter(body, values, given, fixed, part)
            return [results[value] for value in body.outputs]  # one may be there twice

        def trip(given: list[Array]) -> list[Array]:
            return run(inner["body"], given)

        match node.op_type:
            case "If":
                taken = "then_branch" if np.all(values[node.input[0]]) else "else_branch"
                if taken not in inner:  # it could not be compiled
                    values |= self.runtime.run(region.proto, [node], values, wanted, graph.place(node), fixed=fixed)
                    return
                results = run(inner[taken], [])
            case "Loop":
                results = control.loop(node, values, trip, inner["body"])
            case _:
                results = control.scan(node, values, trip, inner["body"])
        values |= {name: result for name, result in zip(node.output, results, strict=True) if name}

    def _enter(self, region: Region, values: Arrays, given: list[Array], fixed: frozenset[str], part: bool) -> Arrays:
        """Run an inner region once; what it returns."""
        nodes, outputs = changing(region), list(dict.fromkeys(region.outputs))
        if region not in self.constants:
            wanted = [*(value for node in nodes for value in region.reads(node)), *outputs]
            outer = {name: values[name] for name in region.captured & region.constant if name in values}
            self.constants[region] = constants(region, wanted, self.runtime, self.model.path.parent, outer)
        own = self.constants[region]
        seen = own | {name: values[name] for name in region.captured if name in values}
        seen |= dict(zip(region.inputs, given, strict=False))
        return self.region(region, nodes, seen, settled(own) | (fixed & region.captured), outputs, part)

    def referee(
        self,
        place: str,
        proto: onnx.ModelProto,
        nodes: list[onnx.NodeProto],
        values: Arrays,
        outputs: list[str],
        fixed: frozenset[str],
    ) -> Arrays:
        """What ONNX Runtime makes of nodes; nothing, which is reported, where it cannot run them."""
        try:
            return self.runtime.run(proto, nodes, values, outputs, place, fixed=fixed)
        except InputError as error:
            self.uncompared[place] = error.message
            return {}

    def compare(self, name: str, ours: Array, theirs: Array) -> None:
        """Hold a value against ONNX Runtime's; a sequence piece by piece."""
        if not isinstance(theirs, list):
            self._add(self.others, name, ours, theirs, None)
            return
        lengths = (np.array(len(each)) for each in (ours, theirs))
        self._add(self.others, f"length of {name}", *lengths, None)
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            self.compare(f"{name}[{index}]", one, other)

    def _add(self, checks: dict[str, Check], name: str, ours: Array, theirs: Array, counts: str | None) -> None:
        error, mismatch = relative_error(ours, theirs), counts or disagreement(ours, theirs)
        check, before = Check(name, error, counts is None, mismatch), checks.get(name)
        if before is not None:
            check = replace(
                before if before.mismatch else check,
                relative_error=max(before.relative_error, error),
                counts_match=before.counts_match and check.counts_match,
            )
        checks[name] = check
        if before is None and checks is self.layers and self.on_layer is not None:
            self.on_layer(check)


def _counting_executor() -> Executor:
    from backends.execute.counting import execute  # compiled, and therefore slow to import

    return execute
