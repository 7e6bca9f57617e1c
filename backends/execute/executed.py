"""A model with its layers executed through their mappings, and everything compared as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backends.execute.bounds import EXACT, disagrees, magnitude, misplaced, overflows, value_size
from backends.execute.compare import difference, disagreement, distances, is_real, relative_error
from backends.execute.double import Double
from backends.execute.findings import Check, IllConditioned
from backends.execute.precision import narrowest
from backends.execute.referee import STEPS, Perturbed, Record, Refereed, real, summed, told
from backends.execute.reference import reference, typed
from backends.execute.runtime import Array, Arrays
from backends.execute.walk import Site, Walk
from frontends.onnx import graph, pack, unpack
from frontends.onnx.binding import Binding
from frontends.onnx.region import Region
from mapper.arch import Architecture
from mapper.errors import InputError, MapperError
from mapper.ir import LoopNest, Reduction
from mapper.mapping import Counts
from mapper.mapping import Mapping as LayerMapping

if TYPE_CHECKING:
    import onnx

TRIALS, FACTOR = 8, 4.0
"""How often layers are perturbed to learn what their errors do to each element of a value, and how much further than
in the furthest of these trials it may be off: few of them underestimate it. The same holds for twice the root mean
square over all elements, as some hardly move in any trial."""

STEP = 2.0**-21
"""How close to the middle of two steps, relative to itself, a float in single precision may go either way."""


class Execution(Protocol):
    """What running a layer gives: the output, of the shape of the nest's output tensor, and what was counted."""

    @property
    def output(self) -> Array: ...
    @property
    def counts(self) -> Counts: ...


Executor = Callable[[LoopNest, Architecture, LayerMapping, Mapping[str, Array]], Execution]


@dataclass(frozen=True)
class Plan:
    """What is executed, and what is expected of it."""

    arch: Architecture
    mappings: Mapping[LoopNest, LayerMapping]
    expected: Mapping[LoopNest, Counts]
    execute: Executor
    on_layer: Callable[[Check], None] | None = None


@dataclass
class Found:
    """What was found so far; `errors` of layers are relative to sum|a||b|, `steps` as in Verification."""

    layers: dict[str, Check] = field(default_factory=dict)
    wiring: dict[str, Check] = field(default_factory=dict)
    others: dict[str, Check] = field(default_factory=dict)
    uncompared: dict[str, str] = field(default_factory=dict)
    ill_conditioned: dict[str, IllConditioned] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    steps: int = 0

    def add(self, checks: dict[str, Check], check: Check) -> None:
        """Add a check, or what another run of the same adds to it."""
        before = checks.get(check.name)
        if before is not None:
            check = replace(
                before if before.mismatch else check,
                relative_error=max(before.relative_error, check.relative_error),
                counts_match=before.counts_match and check.counts_match,
                refereed=before.refereed or check.refereed,
            )
        checks[check.name] = check


class Executed(Walk):
    """Layers through their mappings; `record` has what ONNX Runtime drew and where it jumped, `again` is what another
    walk makes of a value of the model's own graph."""

    def __init__(
        self, site: Site, plan: Plan, record: Record, found: Found, again: Callable[[str, Walk], Array]
    ) -> None:
        super().__init__(site)
        self.plan, self.record, self.found, self.again = plan, record, found, again
        self.halfway: dict[str, Array] = {}
        """Of quantised parts, which elements may as well be one step off."""

    # -- layers --------------------------------------------------------------------------------------------------------

    def layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        """The value, computed by the mapping. Where what is given is not finite, the layer is executed on something
        else, and what it makes of it is NumPy's."""
        nest, binding = self.site.nests[node.name], region.bindings[node.name]
        fit, why = self._executable(nest, binding, values)
        ours = self._executed(region, node, values | fit, part)
        if not fit:
            return ours
        stored = {tensor.name for tensor in region.graph.initializer}
        if stored >= fit.keys():
            reason = f"it has {why} as its constants {', '.join(sorted(fit))}: it was executed on others"
        else:
            inputs = ", ".join(sources(self.site.model.region, node)) or "the constants of the model"
            reason = (
                f"it is given {why}, which come of {inputs}: it was executed on others (--value or --data gives inputs)"
            )
        self.found.uncompared[f"layer {node.name}"] = reason
        return summed(region, node, nest, values)

    def _executable(self, nest: LoopNest, binding: Binding, values: Arrays) -> tuple[Arrays, str]:
        """Other values for those that no executor takes, and what these are: infinities where something is added, what
        is no number, and integers whose sums double precision does not hold."""
        fit: Arrays = {}
        names = sorted({view.value for view in binding.operands.values()})
        if all(values[name].dtype.kind in "iu" for name in names):
            if nest.reduction is Reduction.SUM and any(values[name].dtype.itemsize > 2 for name in names):
                size = magnitude(nest, {name: pack(view, values) for name, view in binding.operands.items()})
                if float(size.max(initial=0.0)) >= EXACT:
                    fit = {name: values[name] % 127 for name in names}
            return fit, "integers whose sums are beyond 2^53"
        for name in names:
            array = values[name]
            if is_real(array.dtype):
                good = np.isfinite(array) if nest.reduction is Reduction.SUM else ~np.isnan(array)
                if not good.all():
                    drawn = np.asarray(np.random.default_rng(0).standard_normal(array.shape))
                    fit[name] = np.where(good, array, drawn.astype(array.dtype))
        return fit, "values that are not finite"

    def _executed(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        nest, binding = self.site.nests[node.name], region.bindings[node.name]
        value = binding.result.value
        operands = {name: pack(view, values) for name, view in binding.operands.items()}
        try:
            execution = self.plan.execute(nest, self.plan.arch, self.plan.mappings[nest], operands)
        except MapperError as error:
            raise type(error)(error.message, place=f"layer {node.name}", hint=error.hint) from error
        if execution.output.shape != nest.shape(nest.output):
            raise ValueError(f"{node.name}: output of shape {execution.output.shape} for {nest}")
        exact, size = reference(nest, operands), magnitude(nest, operands)
        ours = typed(unpack(binding, execution.output, values), region.shapes.dtype(value))
        integers = all(operand.dtype.kind in "iub" for operand in operands.values())
        counts = difference(self.plan.expected[nest], execution.counts)
        mismatch = counts or misplaced(nest, execution.output, exact, size, integers=integers)
        check = Check(node.name, relative_error(execution.output, exact), counts is None, mismatch, refereed=False)
        theirs = {} if part else self.referee(region, node, values, [value], frozenset())
        if value in theirs:
            beyond = overflows(value_size(binding, size, values), ours, theirs[value])
            if np.any(beyond):
                self.found.uncompared[f"layer {node.name}"] = (
                    f"its sums are beyond {ours.dtype.name} on these inputs: where they are, ONNX Runtime's are taken "
                    "(--data gives inputs)"
                )
                ours = np.where(beyond, theirs[value], ours)
            other, seen = disagrees(nest, binding, ours, theirs[value], size, values)
            distance = relative_error(ours, theirs[value])
            check = replace(check, relative_error=distance, mismatch=mismatch or other, refereed=True)
            self.found.errors[node.name] = max(seen, self.found.errors.get(node.name, 0.0))
        known = node.name in self.found.layers
        self.found.add(self.found.layers, check)
        if not known and self.plan.on_layer is not None:
            self.plan.on_layer(check)
        return ours

    def referee(
        self, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str]
    ) -> Arrays:
        """What ONNX Runtime makes of a node; nothing, which is reported, where it cannot run it."""
        try:
            return told(self, region, node, values, wanted, fixed)
        except InputError as error:
            self.found.uncompared[graph.place(node)] = error.message
            return {}

    # -- other operators -----------------------------------------------------------------------------------------------

    def operator(
        self, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str], part: bool
    ) -> Arrays:
        """ONNX Runtime's outputs; where inputs that agree with those that it had lead it to another side of a step, it
        stays on that where it was."""
        key = node.name, self.runs[node.name]
        if key in self.record.draws:
            return self.record.draws[key]
        found = told(self, region, node, values, wanted, fixed)
        if part and node.op_type == "QuantizeLinear":
            self._note_halfway(node, values)
        if key not in self.record.jumps:
            return found
        inputs, theirs = self.record.jumps[key]
        stepped = [name for name in wanted if name in theirs and (node.op_type in STEPS or not real(theirs[name]))]
        apart = sum(_apart(found[name], theirs[name]) for name in stepped)
        if not apart:
            return found
        narrow = narrowest(region, inputs)
        others = [name for name in inputs if disagreement(values[name], inputs[name], narrow) is not None]
        if others and not self._all_ill_conditioned(region, node, values, inputs, others):
            return found
        one_step = others or all(_one_step(found[name], theirs[name]) for name in wanted)
        if "Quantize" in node.op_type and not one_step:
            return found
        self.found.steps += apart
        return theirs

    def _all_ill_conditioned(
        self, region: Region, node: onnx.NodeProto, values: Arrays, inputs: Arrays, names: list[str]
    ) -> bool:
        """Whether these inputs of a node are not those that ONNX Runtime had because they are ill-conditioned."""
        if region is not self.site.model.region:
            return False
        place = graph.place(node)
        return all(
            self._ill_conditioned(f"input {name} of {place}", values[name], inputs[name], partial(self.again, name))
            for name in names
        )

    def _note_halfway(self, node: onnx.NodeProto, values: Arrays) -> None:
        scale = values[node.input[1]]
        if scale.ndim == 0 and is_real(scale.dtype):
            before = values[node.input[0]].astype(np.float64) / float(scale)
            from_middle = np.abs(before - np.floor(before) - 0.5)
            self.halfway[node.output[0]] = from_middle <= STEP * np.maximum(np.abs(before), 1.0)

    def whole(
        self, region: Region, node: onnx.NodeProto, values: Arrays, found: Arrays, fixed: frozenset[str]
    ) -> Arrays:
        """Hold an operator that is made of layers against ONNX Runtime's; go on with what it is here."""
        theirs = self.referee(region, node, values, list(found), fixed)
        narrow = narrowest(region, theirs)
        place = graph.place(node)

        def again(value: str, walk: Walk) -> Array:
            return walk.parts(region, node, values, fixed)[value]

        for value, other in theirs.items():
            near = self.halfway.pop(value, None)
            if near is not None and near.shape == other.shape and _one_step(found[value], other, near):
                self.found.steps += _apart(found[value], other)
                other = found[value]
            self.compare(place, found[value], other, narrow, partial(again, value))
        return found

    # -- values --------------------------------------------------------------------------------------------------------

    def compare(
        self,
        name: str,
        ours: Array,
        theirs: Array,
        narrow: str | None,
        again: Callable[[Walk], Array],
        checks: dict[str, Check] | None = None,
        refereed: bool = True,
    ) -> None:
        """Hold a value against ONNX Runtime's; a sequence piece by piece. `again` is what another walk makes of it,
        `narrow` the narrowest type of floats on the way; unless it is `refereed`, theirs is only partly so."""
        checks = self.found.others if checks is None else checks
        if isinstance(theirs, list):
            lengths = (np.array(len(each)) for each in (ours, theirs))
            self.compare(
                f"length of {name}", *lengths, narrow, lambda walk: np.array(len(again(walk))), checks, refereed
            )
            for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
                self.compare(f"{name}[{index}]", one, other, narrow, partial(_piece, again, index), checks, refereed)
            return
        mismatch = disagreement(ours, theirs, narrow)
        if mismatch is not None and self._unfit(ours, theirs):
            self.found.uncompared[name] = "it is not finite on these inputs"
            return
        if mismatch is not None and self._ill_conditioned(name, ours, theirs, again):
            mismatch = None
        self.found.add(checks, Check(name, relative_error(ours, theirs), mismatch=mismatch, refereed=refereed))

    def _unfit(self, ours: Array, theirs: Array) -> bool:
        """Whether a value is what became of operands that were not finite."""
        layers = any(what.startswith("layer ") for what in self.found.uncompared)
        return layers and any(is_real(each.dtype) and not np.isfinite(each).all() for each in (ours, theirs))

    def _ill_conditioned(self, name: str, ours: Array, theirs: Array, again: Callable[[Walk], Array]) -> bool:
        """Whether errors of layers of the size that was seen move a value as far as it is from ONNX Runtime's."""
        apart, relative = distances(ours, theirs), relative_error(ours, theirs)
        if apart is None or not np.isfinite(relative):
            return False
        base, same = (again(Refereed(self.site, Record(self.record.draws))) for _ in range(2))
        if not np.array_equal(base, same):
            return False  # ONNX Runtime contradicts itself
        trials = (again(Perturbed(self.site, self.record, self.found.errors, seed)) for seed in range(TRIALS))
        moved = [distances(trial, base) for trial in trials]
        if any(each is None for each in moved):
            return False
        allowed = FACTOR * np.maximum.reduce([np.maximum(each, 2 * _rms(each)) for each in moved if each is not None])
        if not (apart <= allowed).all():
            return False
        seen = IllConditioned(name, relative, relative * float(allowed.max()) / float(apart.max()))
        try:
            exact = again(Double(self.site, self.record))
            seen = replace(seen, ours=relative_error(ours, exact), referee=relative_error(theirs, exact))
        except InputError as error:
            seen = replace(seen, unknown=str(error))
        self.found.ill_conditioned[name] = seen
        return True


def _rms(array: Array) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def _piece(again: Callable[[Walk], Array], index: int, walk: Walk) -> Array:
    """A piece of a sequence."""
    found: Array = again(walk)[index]
    return found


def _apart(ours: Array, theirs: Array) -> int:
    """How many elements differ."""
    if isinstance(ours, list) or ours.shape != theirs.shape:
        return 0 if ours is theirs else 1
    return int(np.count_nonzero(ours != theirs))


def _one_step(ours: Array, theirs: Array, where: Array | None = None) -> bool:
    """Whether integers are at most one apart, and only at some places; other types have no such step."""
    if ours.dtype.kind not in "iu" or ours.shape != theirs.shape:
        return ours.dtype.kind not in "iu"
    apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    return bool((apart <= (1 if where is None else where)).all())


def sources(region: Region, node: onnx.NodeProto) -> list[str]:
    """The inputs of a model that lead to a node of its region; all of them for one inside another."""
    makers = {value: each for each in region.graph.node for value in each.output}
    if makers.get(node.output[0]) is not node:
        return list(region.inputs)
    pending, seen = list(region.reads(node)), set[str]()
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            pending += region.reads(makers[value]) if value in makers else ()
    return [name for name in region.inputs if name in seen]
