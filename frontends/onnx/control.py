"""Control flow: what the bodies of If, Loop and Scan are given, and how often they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frontends.onnx import graph
from frontends.onnx.binding import Array
from frontends.onnx.fold import small_values
from frontends.onnx.shapes import is_known
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region, Type

OPERATORS = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True)
class Body:
    """A body of a node: the attribute that holds it, the graph, and the types of its inputs.

    `states` are the inputs, by position, that are given the output of the trip before at the position beside it.
    """

    attribute: str
    graph: onnx.GraphProto
    types: tuple[Type, ...] = ()
    states: tuple[tuple[int, int], ...] = ()

    @property
    def branch(self) -> bool:
        """Whether it is one of two of which one runs."""
        return self.attribute != "body"


def bodies(node: onnx.NodeProto, region: Region) -> Iterator[Body]:
    """The bodies of a control-flow node of a region.

    InputError if they do not fit the node, or the types of what they are given are unknown.
    """
    from onnx import TensorProto

    values = graph.attributes(node)
    _check_fit(node, values)
    if node.op_type == "If":
        yield from (Body(name, values[name]) for name in ("then_branch", "else_branch"))
    elif node.op_type == "Loop":
        states = [region.type_of(name) for name in node.input[2:]]
        own: list[Type] = [(TensorProto.INT64, ()), (TensorProto.BOOL, ())]
        moved = tuple((2 + i, 1 + i) for i in range(len(states)))
        yield Body("body", values["body"], (*own, *states), moved)
    else:
        first = scanned(node)
        states = [region.type_of(name) for name in node.input[:first]]
        slices = [_slice(region, name, axis) for name, axis in zip(node.input[first:], _axes(node), strict=True)]
        yield Body("body", values["body"], (*states, *slices), tuple((i, i) for i in range(first)))


def _check_fit(node: onnx.NodeProto, told: Mapping[str, Any]) -> None:
    """Raise InputError if a body has other inputs or outputs than its node needs, or a Scan other axes."""
    given, made = len(node.input) * (node.op_type != "If"), len(node.output) + (node.op_type == "Loop")
    for name in ("then_branch", "else_branch") if node.op_type == "If" else ("body",):
        if not hasattr(told.get(name), "node"):
            raise InputError(f"it has no {name}")
        found = len(told[name].input), len(told[name].output)
        if found != (given, made):
            older = node.op_type == "Scan" and found == (given - 1, made)
            what = f"its {name} has {found[0]} inputs and {found[1]} outputs, not {given} and {made}"
            raise InputError("Scan has batches before opset 9" if older else what)
    if node.op_type == "Scan":
        count = told.get("num_scan_inputs")
        if not isinstance(count, int) or not 1 <= count <= given:
            raise InputError(f"num_scan_inputs is {count}, it has {given} inputs")
        for kind, needed in (("input", count), ("output", made - given + count)):
            for name in (f"scan_{kind}_axes", f"scan_{kind}_directions"):
                if len(told.get(name) or ()) not in (0, needed):
                    raise InputError(f"{name} has {len(told[name])} values where {needed} are needed")


def check_states(body: Body, inner: Region) -> None:
    """Raise InputError if what a trip hands to the next has another shape than it was given."""
    for given, result in body.states:
        before, after = body.types[given][1], inner.shapes.dims.get(inner.outputs[result])
        if before != after:
            raise InputError(f"the shape of {inner.inputs[given]} changes from one trip to the next, or is unknown")


def trips(node: onnx.NodeProto, outer: Region, inner: Region) -> int | None:
    """How often the body of a Loop or Scan runs; None if that depends on what is computed."""
    if node.op_type == "Scan":
        first = scanned(node)
        return outer.shapes(node.input[first])[_axes(node)[0]]
    known = small_values(outer.graph)
    if not node.input[0] and (not node.input[1] or np.all(known.get(node.input[1], False))) and _goes_on(inner.graph):
        raise InputError("it never ends: it has no number of trips, and its condition stays true")
    if node.input[1] and (node.input[1] not in known or not np.all(known[node.input[1]])):
        return 0 if node.input[1] in known else None
    if not node.input[0] or node.input[0] not in known or not _goes_on(inner.graph):
        return None
    if (count := known[node.input[0]]).size != 1 or count.dtype.kind not in "iu":
        raise InputError(f"how often it runs, {node.input[0]}, is not one integer", place=graph.place(node))
    return max(0, int(count.item()))


def results(node: onnx.NodeProto, outer: Region, inner: Mapping[str, Region]) -> dict[str, Type]:
    """The types of a node's outputs, as those of its bodies say; InputError if the type of an element is unknown."""
    if not inner:  # neither branch of an If fits
        return {}
    if node.op_type == "If":  # of branches that do not fit the inputs the shapes stay unknown
        told = zip(*(map(region.type_of, region.outputs) for region in inner.values()), strict=True)
        fitting = [{kind for kind in kinds if is_known(kind[1])} for kinds in told]
        return {value: kinds.pop() for value, kinds in zip(node.output, fitting, strict=True) if len(kinds) == 1}
    (body,) = inner.values()
    loop = node.op_type == "Loop"
    found: dict[str, Type] = {}
    first, count = len(node.input) - 2 if loop else scanned(node), trips(node, outer, body)
    axes = graph.attributes(node).get("scan_output_axes") or [0] * len(node.output)
    for index, (value, result) in enumerate(zip(node.output, body.outputs[loop:], strict=True)):
        kind, dims = body.type_of(result)
        if index >= first and dims is not None:
            axis = axes[index - first] % (len(dims) + 1)
            dims = (*dims[:axis], "?" if count is None else count, *dims[axis:])
        found[value] = kind, dims
    return found


def _goes_on(body: onnx.GraphProto) -> bool:
    """Whether the condition of a loop stays true: it is constant, or handed on as it was given."""
    value, makers = body.output[0].name, {value: node for node in body.node for value in node.output}
    while value in makers and makers[value].op_type in ("Identity", "Cast"):
        value = makers[value].input[0]
    known = small_values(body)
    return value == body.input[1].name or (value in known and bool(np.all(known[value])))


MOST_TRIPS = 10**6
"""How often a loop may be executed."""

Trip = Callable[[list[Array]], list[Array]]
"""Runs a body once on its inputs."""


def check_ends(node: onnx.NodeProto, values: Mapping[str, Array]) -> None:
    """InputError for a Loop of which these values tell that nobody can wait for its end."""
    if node.op_type != "Loop" or not graph.is_standard(node):
        return
    body: Any = graph.attributes(node).get("body")
    count, go_on = (values.get(name) if name else None for name in [*node.input, "", ""][:2])
    if not hasattr(body, "node") or len(body.input) < 2 or not body.output or (go_on is not None and not go_on.all()):
        return
    endless = not any(node.input[:1]) and _goes_on(body)
    if endless or (count is not None and count.size == 1 and count.item() > MOST_TRIPS):
        times = "for ever" if count is None else f"{count.item()} times"
        raise InputError(f"on these inputs it would run {times}, which nobody can wait for", place=graph.place(node))


def loop(node: onnx.NodeProto, values: Mapping[str, Array], trip: Trip, body: Region) -> list[Array]:
    """The outputs of a Loop with this body."""
    most = int(values[node.input[0]].reshape(-1)[0]) if node.input[0] else None
    go_on = bool(np.all(values[node.input[1]])) if node.input[1] else True
    check_ends(node, values)
    states = [values[name] for name in node.input[2:]]
    stacks: list[list[Array]] = [[] for _ in body.outputs[1 + len(states) :]]
    number = 0
    while go_on and (most is None or number < most):
        cond, *results = trip([np.array(number, np.int64), np.array(True), *states])
        states, slices = results[: len(states)], results[len(states) :]
        for stack, new in zip(stacks, slices, strict=True):
            stack.append(new)
        go_on, number = bool(np.all(cond)), number + 1
    stacked = zip(stacks, body.outputs[1 + len(states) :], strict=True)
    return [*states, *(_stacked(stack, 0, body, value) for stack, value in stacked)]


def scan(node: onnx.NodeProto, values: Mapping[str, Array], trip: Trip, body: Region) -> list[Array]:
    """The outputs of a Scan with this body."""
    told, first = graph.attributes(node), scanned(node)
    states = [values[name] for name in node.input[:first]]
    backward = told.get("scan_input_directions") or [0] * (len(node.input) - first)
    inputs = [np.moveaxis(values[name], axis, 0) for name, axis in zip(node.input[first:], _axes(node), strict=True)]
    inputs = [array[::-1] if back else array for array, back in zip(inputs, backward, strict=True)]
    stacks: list[list[Array]] = [[] for _ in node.output[first:]]
    for slices in zip(*inputs, strict=True):
        results = trip([*states, *map(np.asarray, slices)])  # numbers, where an input has one axis
        states = results[:first]
        for stack, new in zip(stacks, results[first:], strict=True):
            stack.append(new)
    axes = told.get("scan_output_axes") or [0] * len(stacks)
    turned = told.get("scan_output_directions") or [0] * len(stacks)
    ordered = [stack[::-1] if back else stack for stack, back in zip(stacks, turned, strict=True)]
    stacked = zip(ordered, axes, body.outputs[first:], strict=True)
    return [*states, *(_stacked(stack, axis, body, value) for stack, axis, value in stacked)]


def _stacked(slices: list[Array], axis: int, body: Region, value: str) -> Array:
    """What all trips made of a value of the body; InputError if there was none and its shape is unknown."""
    if slices:
        return np.stack(slices, axis)
    one = np.zeros(body.shapes(value), body.shapes.dtype(value))
    return np.delete(np.stack([one], axis), 0, axis)


def scanned(node: onnx.NodeProto) -> int:
    """The position of a Scan's first input that is scanned."""
    return len(node.input) - int(graph.attributes(node)["num_scan_inputs"])


def _axes(node: onnx.NodeProto) -> list[int]:
    values = graph.attributes(node)
    return list(values.get("scan_input_axes") or [0] * int(values["num_scan_inputs"]))


def _slice(region: Region, name: str, axis: int) -> Type:
    kind, dims = region.type_of(name)
    if dims is None:
        return kind, None
    if not -len(dims) <= axis < len(dims):
        raise InputError(f"{name} of shape {dims} has no axis {axis}")
    return kind, tuple(n for i, n in enumerate(dims) if i != axis % len(dims))
