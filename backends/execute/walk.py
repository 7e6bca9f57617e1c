"""Walking a model: its nodes in order, bodies and the parts of operators included; who walks says what each one gives.

The counting executor, ONNX Runtime in its place, and double precision walk the same way, so that a difference between
two of them is one of layers and operators, not of what is between these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backends.execute.runtime import Array, Arrays, Runtime
from backends.execute.values import changing, constants, settled
from frontends.onnx import OnnxModel, control
from frontends.onnx.binding import Binding
from frontends.onnx.region import Region
from mapper.errors import VerificationError
from mapper.ir import LoopNest

if TYPE_CHECKING:
    import onnx


@dataclass
class Site:
    """What all walks of a model share; constants of bodies and parts once a walk needed them."""

    model: OnnxModel
    runtime: Runtime
    nests: Mapping[str, LoopNest]
    constants: dict[Region, Arrays] = field(default_factory=dict)


class Walk(ABC):
    """One run of a model, or of a region of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runs: Counter[str] = Counter()
        """How often each node has run."""

    @abstractmethod
    def layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        """The value that a layer defines; `part` if it is one of those that an operator is made of."""

    @abstractmethod
    def operator(
        self, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str], part: bool
    ) -> Arrays:
        """The `wanted` outputs of any other node."""

    def whole(
        self, region: Region, node: onnx.NodeProto, values: Arrays, found: Arrays, fixed: frozenset[str]
    ) -> Arrays:
        """What goes on of an operator whose parts gave `found`."""
        return found

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

        The nodes of a `part` of an operator may be no operators of ONNX Runtime's.
        """
        values = dict(values)
        last = {value: index for index, node in enumerate(nodes) for value in region.reads(node)}
        last |= dict.fromkeys(outputs, len(nodes))
        for index, node in enumerate(nodes):
            wanted = [value for value in node.output if value in last]
            if node.name in region.bindings:
                binding = region.bindings[node.name]
                check_shapes(region, binding, values, node.name)
                values[binding.result.value] = self.layer(region, node, values, part)
            elif node.name in region.inner:
                self._inner(region, node, values, fixed, part)
            elif wanted:
                values |= self.operator(region, node, values, wanted, fixed, part)
            self.runs[node.name] += 1
            for value in region.reads(node):
                if last[value] == index:
                    values.pop(value, None)
        return {value: values[value] for value in outputs}

    def parts(self, region: Region, node: onnx.NodeProto, values: Arrays, fixed: frozenset[str]) -> Arrays:
        """What the parts of an operator give."""
        return self._enter(region.inner[node.name][""], values, [], fixed, True)

    def _inner(self, region: Region, node: onnx.NodeProto, values: Arrays, fixed: frozenset[str], part: bool) -> None:
        inner, wanted = region.inner[node.name], [value for value in node.output if value]
        if "" in inner:
            found = self.parts(region, node, values, fixed)
            own = {value: found[value] for value in wanted if value in found}
            values |= own if part else self.whole(region, node, values, own, fixed)
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
                    values |= self.operator(region, node, values, wanted, fixed, part)
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
        known = self.site.constants
        if region not in known:
            wanted = [*(value for node in nodes for value in region.reads(node)), *outputs]
            outer = {name: values[name] for name in region.captured & region.constant if name in values}
            known[region] = constants(region, wanted, self.site.runtime, self.site.model.path.parent, outer)
        own = known[region]
        seen = own | {name: values[name] for name in region.captured if name in values}
        seen |= dict(zip(region.inputs, given, strict=False))
        return self.region(region, nodes, seen, settled(own) | (fixed & region.captured), outputs, part)


def check_shapes(region: Region, binding: Binding, values: Arrays, name: str) -> None:
    """Raise VerificationError if what a layer is given has another shape than it was made for."""
    used = [view.value for view in binding.operands.values()]
    for value in (*used, *filter(None, [binding.result.bias])):
        expected, found = region.shapes(value), values[value].shape
        if expected != found:
            raise VerificationError(
                f"{value} has shape {found} when the model runs; the layer was made for {expected}",
                place=f"layer {name}",
            )
