"""What a model holds, before any machine is in sight: its layers, its other nodes, and totals."""

from __future__ import annotations

import math
from collections import Counter
from enum import StrEnum
from typing import Any

from mapper.documents.schema import schema
from mapper.ir import Network, Node, Role
from mapper.ir.network import Elements


class Treatment(StrEnum):
    """What is made of a node."""

    LAYER = "layer"  # multiplies and accumulates: mapped
    ATTACHED = "attached"  # works on a layer's outputs before they are written
    VIEW = "view"  # moves nothing
    MOVEMENT = "data movement"


def treatment(node: Node) -> Treatment:
    """The treatment of a node."""
    if node.nest is not None:
        return Treatment.LAYER
    if node.to:
        return Treatment.ATTACHED
    return Treatment.MOVEMENT if node.reads or node.writes else Treatment.VIEW


def inventory(network: Network) -> dict[str, Any]:
    """The layers with dims, multiply-accumulates, elements of weights and activations and their bits; the other nodes
    with what they move; operators by treatment; and totals, in which each weight is counted once."""
    weights = {value: n for layer in network.layers for value, n in _weights(network, layer).items()}
    kinds = Counter((node.op, treatment(node)) for node in network.nodes)
    return {
        "schema": schema("inventory"),
        "model": network.name,
        "totals": {
            "layers": len(network.layers),
            "unique_layers": len(network.unique),
            "macs": sum(layer.times * layer.nest.macs for layer in network.layers if layer.nest),
            "weights": sum(weights.values()),
            "activations": sum(layer.times * _activations(network, layer) for layer in network.layers),
            "other_elements": sum(n.times * (_count(n.reads) + _count(n.writes)) for n in network.others),
        },
        "layers": [_layer(network, layer) for layer in network.layers],
        "other_ops": [_other(node) for node in network.others],
        "operators": [{"op": op, "treatment": str(kind), "nodes": n} for (op, kind), n in sorted(kinds.items())],
    }


def _layer(network: Network, layer: Node) -> dict[str, Any]:
    nest = layer.nest
    assert nest is not None
    return {
        "name": layer.name,
        "op": layer.op,
        "unique_id": network.unique[nest],
        "times": layer.times,
        "dims": dict(nest.dims),
        "macs": nest.macs,
        "weights": sum(_weights(network, layer).values()),
        "activations": _activations(network, layer),
        "bits": bits(layer),
        "attached": [node.op for node in network.others if node.to == layer.name],
        **({"note": layer.note} if layer.note else {}),
    }


def bits(layer: Node) -> dict[str, int]:
    """The widths that a layer has of itself, by tensor; those of partial sums as `partial`."""
    assert layer.nest is not None
    found = {tensor.name: tensor.bits for tensor in layer.nest.tensors} | {"partial": layer.nest.partial_bits}
    return {name: n for name, n in found.items() if n is not None}


def _other(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op,
        "treatment": str(treatment(node)),
        **({"attached_to": node.to} if node.to else {}),
        "times": node.times,
        "reads": _count(node.reads),
        "writes": _count(node.writes),
        **({"note": node.note} if node.note else {}),
    }


def _weights(network: Network, layer: Node) -> dict[str, int]:
    """Elements of the operands of a layer that are weights, by their names in the network.

    They are stored in the model; if nothing is, as where a network is described without values, they are what is given
    to it for the place of a weight.
    """
    assert layer.nest is not None
    operands = [tensor for tensor in layer.nest.tensors if tensor.role is not Role.OUTPUT]
    return {
        value: math.prod(network.shapes[value])
        for tensor, value in zip(operands, layer.inputs, strict=True)
        if value in network.stored or (not network.stored and tensor.role is Role.WEIGHT and value not in network.made)
    }


def _activations(network: Network, layer: Node) -> int:
    """Elements that a layer reads and writes and that are no weights, as the model has them: without padding."""
    assert layer.nest is not None
    weights = _weights(network, layer)
    read = sum(math.prod(network.shapes[value]) for value in dict.fromkeys(layer.inputs) if value not in weights)
    return read + layer.nest.words(layer.nest.output)


def _count(elements: Elements) -> int:
    return sum(n for n, _ in elements)
