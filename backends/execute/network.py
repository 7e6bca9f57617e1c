"""Verifying a whole network: every layer through its own mapping, everything else through ONNX Runtime.

docs/verification.md says what is compared with what, and how much difference passes:

- each layer with double precision on the same operands, strictly, and with ONNX Runtime's answer for its node;
- the model walked with ONNX Runtime in the place of the executor, with ONNX Runtime running all of it by itself;
- the model's outputs, and those of operators that are made of layers, with ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from backends.execute.compare import disagreement, relative_error
from backends.execute.executed import Executed, Executor, Found, Plan
from backends.execute.findings import Check, Verification
from backends.execute.precision import narrowest
from backends.execute.referee import Record, Refereed
from backends.execute.runtime import Array, Arrays, Runtime
from backends.execute.values import changing, initial
from backends.execute.walk import Site, Walk
from frontends.onnx import OnnxModel, graph
from mapper.arch import Architecture
from mapper.errors import InputError
from mapper.ir import LoopNest
from mapper.mapping import Counts
from mapper.mapping import Mapping as LayerMapping

if TYPE_CHECKING:
    import onnx

__all__ = ["Check", "Verification", "verify_network"]


@np.errstate(all="ignore")  # values that are not finite are looked at as such, wherever they come up
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
    layer has no mapping, an input does not fit, or ONNX Runtime cannot run an operator that is not mapped, and
    VerificationError if a mapping cannot be executed or a value has another shape than the model says.
    """
    nests = {layer.name: layer.nest for layer in model.network.layers if layer.nest is not None}
    for name, nest in nests.items():
        if nest not in mappings or nest not in expected:
            raise InputError("the layer has no mapping", place=name)
    region, site, found = model.region, Site(model, Runtime(), nests), Found()
    nodes = changing(region)
    fixed, values, drawn = initial(model, nodes, site.runtime, np.random.default_rng(seed), inputs or {})
    if not nests:
        return Verification(())
    outputs = [value for value in region.outputs if value not in values]

    def run(walk: Walk) -> Arrays:
        return walk.region(region, nodes, values, fixed, outputs)

    def again(value: str, walk: Walk) -> Array:
        return walk.region(region, nodes, values, fixed, [value])[value]

    record = Record()
    refereed = run(Refereed(site, record))
    found.uncompared |= record.sized
    whole = _by_itself(site, nodes, values, outputs, fixed, record, found)
    plan = Plan(arch, mappings, expected, execute or _counting_executor(), on_layer)
    walk = Executed(site, plan, record, found, again)
    ours = run(walk)
    apart = False
    for value in outputs:
        narrow = narrowest(region, [value])
        once_more = partial(again, value)
        if value in whole:
            wiring = f"wiring of output {value}"
            walk.compare(wiring, refereed[value], whole[value], narrow, once_more, found.wiring)
            if wiring in found.ill_conditioned:
                apart = True
        theirs, compared = whole.get(value, refereed[value]), value in whole
        walk.compare(f"output {value}", ours[value], theirs, narrow, once_more, refereed=compared)
    if apart:
        _add_each(site, nodes, values, fixed, record, found)
    return Verification(
        tuple(found.layers.values()),
        tuple(found.others.values()),
        ours,
        tuple(found.uncompared.items()),
        tuple(found.wiring.values()),
        tuple(found.ill_conditioned.values()),
        found.steps,
        tuple(drawn.items()),
    )


def _add_each(
    site: Site, nodes: list[onnx.NodeProto], values: Arrays, fixed: frozenset[str], record: Record, found: Found
) -> None:
    """Check each node, walked on its own on what ONNX Runtime gives it when it runs the whole model, against what it
    makes of it there: no error grows on the way from one to the next."""
    region = site.model.region
    drawn = {name: array for draws in record.draws.values() for name, array in draws.items()}
    rest = [node for node in nodes if not drawn.keys() & set(node.output)]
    wanted = [value for node in rest for value in node.output if value]
    place, types = site.model.network.name, region.shapes.types
    whole = values | drawn
    try:
        whole |= site.runtime.run(region.proto, rest, whole, wanted, place, fixed=fixed, types=types)
    except InputError as error:
        found.uncompared["wiring of each operator"] = error.message
        return
    for node in rest:
        made = [value for value in node.output if value]
        given = {value: whole[value] for value in region.reads(node) if value in whole}
        walked = Refereed(site, Record(record.draws)).region(region, [node], given, fixed, made)
        for value in made:
            if isinstance(whole[value], np.ndarray):
                ours, theirs = walked[value], whole[value]
                mismatch = disagreement(ours, theirs, narrowest(region, [value]))
                check = Check(f"wiring of {graph.place(node)}", relative_error(ours, theirs), mismatch=mismatch)
                found.add(found.wiring, check)


def _by_itself(
    site: Site,
    nodes: list[onnx.NodeProto],
    values: Arrays,
    outputs: list[str],
    fixed: frozenset[str],
    record: Record,
    found: Found,
) -> Arrays:
    """The model's outputs, by ONNX Runtime alone, with what was drawn before; nothing, which is reported, where it
    cannot run it, or would draw anew."""
    region, place = site.model.region, site.model.network.name
    drawn = {name for name, _ in record.draws}
    again = sorted(drawn - {node.name for node in nodes})
    if again:
        found.uncompared[place] = f"{again[0]} draws anew each time that it runs"
        return {}
    given = values | {name: array for draws in record.draws.values() for name, array in draws.items()}
    rest = [node for node in nodes if node.name not in drawn]
    wanted = [value for value in outputs if value not in given]
    try:
        if not wanted:
            return {}
        return site.runtime.run(region.proto, rest, given, wanted, place, fixed=fixed, types=region.shapes.types)
    except InputError as error:
        found.uncompared[place] = error.message
        return {}


def _counting_executor() -> Executor:
    from backends.execute.counting import execute  # compiled, and therefore slow to import

    return execute
