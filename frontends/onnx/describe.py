"""What each layer is in its model, as plain data: enough to rebuild it without the model's file.

Values and nodes have the names that they have in the network. Where a model stores a small value that a layer needs,
such as a zero point, a scale or a bound, the value itself is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frontends.onnx import graph
from frontends.onnx.binding import Array, Binding, binding_data, number_data
from frontends.onnx.load import OnnxModel
from frontends.onnx.region import Region
from mapper.ir import Node

if TYPE_CHECKING:
    import onnx

SMALL = 64
"""Elements of a value that is told."""


def describe(model: OnnxModel) -> dict[str, dict[str, Any]]:
    """By layer: `op`, `times` that it runs, its place in `order` among all nodes, the layers that it comes `after`,
    ONNX's `attributes`, `operands` and `result` (`binding_data`), the nodes that are `attached`, and of zero points and
    what attached nodes read the small `constants`."""
    homes = {layer: home for home in _homes(model.region) for layer in home.region.bindings}
    nodes = {node.name: (home, node) for home in _homes(model.region) for node in home.region.graph.node}
    network, attached = model.network, dict[str, list[Node]]()
    for node in network.others:
        attached.setdefault(node.to, []).append(node)
    flow = _Flow({node.name: node.to for node in network.others if node.to})
    flow.through(model.region, {}, frozenset())
    found = {}
    for layer in network.layers:
        home, with_it = homes[layer.name], attached.get(layer.name, [])
        binding = home.region.bindings[layer.name]
        names = _names(binding, layer, with_it)
        told = [_attached(other, *nodes[other.name]) for other in with_it if other.name in nodes]
        zeros = {view.zero for view in binding.operands.values()}
        locals_ = [(local, home, name) for local, name in names.items() if local in zeros]
        for other in with_it:
            if other.name in nodes:
                where, proto = nodes[other.name]
                locals_ += [(local, where, name) for local, name in _inputs(where, proto, other).items()]
        found[layer.name] = {
            "op": layer.op,
            "times": layer.times,
            "order": network.places[layer.name],
            "after": sorted(flow.after[layer.name], key=network.places.__getitem__),
            "attributes": _attributes(nodes[layer.name][1]),
            **_typed(binding_data(binding, names), names, home.region),
            "attached": told,
            "constants": list(_constants(locals_)),
        }
    return found


@dataclass(frozen=True, slots=True)
class _Home:
    """A region and those around it, innermost first."""

    region: Region
    around: tuple[Region, ...]


def _homes(region: Region, around: tuple[Region, ...] = ()) -> Iterator[_Home]:
    yield _Home(region, around)
    for inner in region.inner.values():
        for each in inner.values():
            yield from _homes(each, (region, *around))


@dataclass(frozen=True, slots=True)
class _Flow:
    """Which layers come before which: `after` grows by layer. `owners` says to which layer a node is attached."""

    owners: Mapping[str, str]
    after: dict[str, frozenset[str]] = field(default_factory=dict)

    def through(
        self, region: Region, given: Mapping[str, frozenset[str]], others: frozenset[str]
    ) -> dict[str, frozenset[str]]:
        """By value of a region, the layers that it is made of.

        `given` has the values of the region around it, `others` are the layers before any other input.
        """
        found: dict[str, frozenset[str]] = {value: given.get(value, others) for value in region.inputs}
        for node in region.graph.node:
            before = frozenset[str]().union(*(found.get(v, given.get(v, frozenset())) for v in region.reads(node)))
            made, owner = before, self.owners.get(node.name)
            if node.name in region.bindings:
                self.after[node.name], made = before, frozenset((node.name,))
            elif owner in before:  # what is attached to a layer's output is done with it
                self.after[owner] |= before - {owner}
                made = frozenset((owner,))
            for what, inner in region.inner.get(node.name, {}).items():
                inside = self.through(inner, {**given, **found}, before if what else frozenset())
                if what:
                    made |= frozenset[str]().union(*(inside.get(value, frozenset()) for value in inner.outputs))
                else:
                    found |= {value: inside[value] for value in node.output if value in inside}
            found |= {value: made for value in node.output if value and value not in found}
        return found


def _names(binding: Binding, layer: Node, attached: Iterable[Node]) -> dict[str, str]:
    """By value of a binding, its name in the network; what the network does not know keeps its own."""
    views = list(binding.operands.values())
    names = {view.value: name for view, name in zip(views, layer.inputs, strict=True)}
    names |= {binding.result.value: layer.outputs[0]}
    for node in attached:
        if node.op == "Bias" and binding.result.bias is not None and node.inputs:
            names[binding.result.bias] = node.inputs[0]
        zeros = [view.zero for view in views if view.zero is not None]
        if node.op == "ZeroPoint" and len(zeros) == len(node.inputs):
            names |= dict(zip(zeros, node.inputs, strict=True))
    return names


def _inputs(home: _Home, proto: onnx.NodeProto, node: Node) -> dict[str, str]:
    """By input of a node in its region, its name in the network."""
    read = [value for value in graph.reads(proto) if value not in home.region.invented]
    own = {value: value for value in graph.reads(proto)}
    return own | (dict(zip(read, node.inputs, strict=True)) if len(read) == len(node.inputs) else {})


def _attached(node: Node, home: _Home, proto: onnx.NodeProto) -> dict[str, Any]:
    """A node that works on a layer's operands or outputs: its inputs in their places, "" where one is left out."""
    names = _inputs(home, proto, node)
    return {
        "name": node.name,
        "op": node.op,
        **({"domain": proto.domain} if proto.domain else {}),
        "inputs": [names.get(value, value) for value in proto.input],
        "outputs": list(node.outputs),
        **({"attributes": told} if (told := _attributes(proto)) else {}),
    }


def _typed(data: dict[str, Any], names: Mapping[str, str], region: Region) -> dict[str, Any]:
    """The data of a binding with the type and the shape of each value beside its name, as far as they are known."""
    locals_ = {name: local for local, name in names.items()}

    def typed(row: dict[str, Any]) -> dict[str, Any]:
        local = locals_.get(row["value"], row["value"])
        told: dict[str, Any] = {}
        if region.shapes.types.get(local):
            told["type"] = _type(region.shapes.types[local])
        if region.shapes.known(local):
            told["shape"] = list(region.shapes(local))
        return {"value": row["value"], **told, **{key: value for key, value in row.items() if key != "value"}}

    return {
        "operands": {tensor: typed(row) for tensor, row in data["operands"].items()},
        "result": typed(data["result"]),
    }


def _type(number: int) -> str:
    """ONNX's name of a type, as `float` or `uint8`."""
    from onnx import TensorProto

    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else str(number)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes that are numbers, texts, or lists of these: bodies are regions of their own."""
    found = {name: _plain(value) for name, value in graph.attributes(node).items()}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    """An attribute as plain data; None where it is none."""
    match value:
        case bool() | int() | str():
            return value
        case float():
            return number_data(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case list() | tuple():
            items = [_plain(item) for item in value]
            return None if any(item is None for item in items) else items
    return None


def _constants(values: Iterable[tuple[str, _Home, str]]) -> Iterator[dict[str, Any]]:
    """The small values among these that the model stores."""
    told = set[str]()
    for local, home, name in values:
        array = _stored(local, home)
        if array is not None and array.size <= SMALL and array.dtype.kind != "c" and name not in told:
            told.add(name)
            yield {"value": name, **_array(array)}


def _stored(value: str, home: _Home) -> Array | None:
    """A small value of a region, or of one around it from which that takes it."""
    for region in (home.region, *home.around):
        if value in region.small:
            return region.small[value]
        if value not in region.captured:
            break
    return None


def _array(array: Array) -> dict[str, Any]:
    from onnx import helper

    data = array if array.dtype.kind in "biuOSU" else array.astype("float64")  # which has every smaller float
    items = [number_data(item) if isinstance(item, float) else _text(item) for item in data.reshape(-1).tolist()]
    return {"type": _type(helper.np_dtype_to_tensor_dtype(array.dtype)), "shape": list(array.shape), "data": items}


def _text(item: Any) -> Any:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item
