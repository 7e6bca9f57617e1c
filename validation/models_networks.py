"""The survey's networks and the files that onnx ships: their layers, figures, and what makes one of them the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from frontends import survey
from frontends.onnx import load
from mapper.inventory import inventory
from mapper.ir import LoopNest, Network

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Layer:
    """A convolution or fully connected layer."""

    name: str
    op: str
    nest: LoopNest
    macs: int
    weights: int

    @property
    def size(self) -> int:
        """Rows and columns of the output."""
        return self.nest.extents.get("P", 1)


@cache
def network(name: str) -> Network:
    """The network of a short name or file."""
    return load(name).network


@cache
def layers(found: Network) -> tuple[Layer, ...]:
    """What multiplies in a network, in order; without pooling, biases and normalisation."""
    rows = {row["name"]: row for row in inventory(found)["layers"]}
    return tuple(
        Layer(node.name, node.op, node.nest, rows[node.name]["macs"], rows[node.name]["weights"])
        for node in found.layers
        if node.nest is not None and node.nest.macs
    )


def total(found: Network, quantity: str, op: str = "") -> int:
    """The sum of `macs` or `weights` of a network's layers, or of those of an operator."""
    return sum(getattr(layer, quantity) for layer in layers(found) if op in ("", layer.op))


def figures(found: Network) -> dict[str, int | str]:
    """What the rows of the survey's table say of a network of ours."""
    conv = [layer for layer in layers(found) if layer.op == "Conv"]
    extents = [layer.nest.extents for layer in conv]
    return {
        "input size": found.shapes["image"][-1],
        "CONV layers": len(conv),
        "in a row": _in_a_row(found),
        "filter sizes": _several({e["R"] for e in extents}),
        "channels": _range({e["C"] for e in extents}),
        "filters": _range({e["G"] * e["K"] for e in extents}),
        "strides": _several({layer.nest.tensor("I").ranks[-1][0].coef for layer in conv}),
        "CONV weights": total(found, "weights", "Conv"),
        "CONV MACs": total(found, "macs", "Conv"),
        "FC layers": len(layers(found)) - len(conv),
        "FC weights": total(found, "weights", "Gemm"),
        "FC MACs": total(found, "macs", "Gemm"),
        "weights": total(found, "weights"),
        "MACs": total(found, "macs"),
    }


def _several(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def _range(values: set[int]) -> str:
    return f"{min(values)}-{max(values)}" if len(values) > 2 else _several(values)


def _in_a_row(found: Network) -> int:
    """The most convolutions on a way from the input to the output."""
    deep: dict[str, int] = {}
    for node in found.nodes:
        n = max((deep.get(value, 0) for value in node.inputs), default=0) + (node.op == "Conv")
        deep |= dict.fromkeys(node.outputs, n)
    return max(deep.values())


def groups(ours: Iterable[Layer], theirs: Iterable[Layer]) -> dict[tuple[int, int], list[tuple[Layer, Layer]]]:
    """The layers whose outputs differ in size, by the two sizes."""
    found: dict[tuple[int, int], list[tuple[Layer, Layer]]] = {}
    for one, other in zip(ours, theirs, strict=True):
        if one.size != other.size:
            found.setdefault((one.size, other.size), []).append((one, other))
    return found


@cache
def changed(name: str, change: Callable[[onnx.GraphProto], None]) -> Network:
    """A network of ours with a change to its graph."""
    proto = survey.build(name)
    change(proto.graph)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "changed.onnx"
        path.write_bytes(proto.SerializeToString())
        return load(str(path)).network


def smaller_images(graph: onnx.GraphProto) -> None:
    """224 x 224 of them; sizes round down in all poolings but the last."""
    for axis in graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_value = 224
    *pools, _ = _attributes(graph, "MaxPool", "ceil_mode")
    for ceil_mode in pools:
        ceil_mode.i = 0


def round_down(graph: onnx.GraphProto) -> None:
    """Sizes round down in poolings."""
    for ceil_mode in _attributes(graph, "MaxPool", "ceil_mode"):
        ceil_mode.i = 0


def stride_in_the_middle(graph: onnx.GraphProto) -> None:
    """The 3 x 3 convolution of a block has the stride, not the 1 x 1 before it."""
    strides = {node.name: attribute for node, attribute in _named(graph, "Conv", "strides")}
    for name, before in strides.items():
        if name.endswith("_a"):
            after = strides[f"{name[:-1]}b"]
            before.ints[:], after.ints[:] = after.ints[:], before.ints[:]


def _named(graph: onnx.GraphProto, op: str, name: str) -> Iterator[tuple[onnx.NodeProto, onnx.AttributeProto]]:
    return ((n, a) for n in graph.node if n.op_type == op for a in n.attribute if a.name == name)


def _attributes(graph: onnx.GraphProto, op: str, name: str) -> list[onnx.AttributeProto]:
    return [attribute for _, attribute in _named(graph, op, name)]
