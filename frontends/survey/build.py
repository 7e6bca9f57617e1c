"""The survey's networks as ONNX models.

Weights and biases are inputs of the model with a shape but no values: there is nothing to download or to store, and
whoever executes the model supplies them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from frontends.survey.tables import TABLES, Average, Bottlenecks, Conv, Fc, Inception, Norm, Pool
from mapper.errors import InputError
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import onnx


def names() -> list[str]:
    """The short names, `survey/alexnet` and so on."""
    return list(TABLES)


def build(name: str) -> onnx.ModelProto:
    """The network of that name, batch 1, from its table to a softmax; the layers have the names in the table.

    Raises InputError for an unknown name.
    """
    from onnx import TensorProto, helper

    if name not in TABLES:
        raise InputError(f"no survey network '{name}'", hint=did_you_mean(name, TABLES))
    table, graph = TABLES[name], _Graph()
    maps, last = Maps(graph.input("image", 1, table.C, table.H, table.H), table.C, table.H), ""
    for part in table.parts:
        match part:
            case Conv():
                maps = graph.conv(maps, part)
            case Inception():
                maps = graph.inception(maps, part)
            case Bottlenecks():
                maps = graph.bottlenecks(maps, part)
            case Pool():
                maps = graph.pool(maps, f"{last}/pool", part.R, part.stride)
            case Norm():
                # size, scale and exponent of Krizhevsky 2012; ONNX divides alpha by the size, the paper does not
                same = {"size": 5, "alpha": 5e-4, "beta": 0.75, "bias": 2.0}
                maps = maps._replace(value=graph.add("LRN", f"{last}/norm", maps.value, **same))
            case Average():
                maps = Maps(graph.add("GlobalAveragePool", f"{last}/average", maps.value), maps.C, 1)
            case Fc():
                maps = graph.fc(maps, part, relu=part is not table.parts[-1])
        last = getattr(part, "name", last)
    output = graph.add("Softmax", "softmax", maps.value, axis=1)
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, (1, maps.C))]
    # opset 13 and IR 8 are old enough for every ONNX Runtime in use
    return helper.make_model(
        helper.make_graph(graph.nodes, name, graph.inputs, outputs),
        producer_name="tilewright",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 13)],
    )


class Maps(NamedTuple):
    """The name of a value, of C channels of H x H elements each; H is 0 where it has C elements and no channels."""

    value: str
    C: int
    H: int


class _Graph:
    """Nodes and inputs as they are added."""

    def __init__(self) -> None:
        self.inputs: list[onnx.ValueInfoProto] = []
        self.nodes: list[onnx.NodeProto] = []

    def input(self, name: str, *shape: int) -> str:
        from onnx import TensorProto, helper

        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def add(self, op: str, name: str, *operands: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, list(operands), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def conv(self, maps: Maps, layer: Conv) -> Maps:
        value = self.add(
            "Conv",
            layer.name,
            maps.value,
            self.input(f"{layer.name}_W", layer.M, maps.C // layer.groups, layer.R, layer.R),
            self.input(f"{layer.name}_b", layer.M),
            kernel_shape=[layer.R] * 2,
            strides=[layer.stride] * 2,
            pads=[layer.pad] * 4,
            group=layer.groups,
        )
        if layer.relu:
            value = self.add("Relu", f"{layer.name}/relu", value)
        return Maps(value, layer.M, (maps.H + 2 * layer.pad - layer.R) // layer.stride + 1)

    def pool(self, maps: Maps, name: str, R: int, stride: int, pad: int = 0) -> Maps:
        window = {"kernel_shape": [R] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        value = self.add("MaxPool", name, maps.value, **window, ceil_mode=1)
        return Maps(value, maps.C, -(-(maps.H + 2 * pad - R) // stride) + 1)

    def fc(self, maps: Maps, layer: Fc, *, relu: bool) -> Maps:
        if maps.H:
            maps = Maps(self.add("Flatten", "flatten", maps.value), maps.C * maps.H**2, 0)
        weight, bias = self.input(f"{layer.name}_W", layer.M, maps.C), self.input(f"{layer.name}_b", layer.M)
        value = self.add("Gemm", layer.name, maps.value, weight, bias, transB=1)
        if relu:
            value = self.add("Relu", f"{layer.name}/relu", value)
        return Maps(value, layer.M, 0)

    def inception(self, maps: Maps, module: Inception) -> Maps:
        def conv(maps: Maps, branch: str, M: int, R: int = 1) -> Maps:
            return self.conv(maps, Conv(f"{module.name}_{branch}", M, R, pad=R // 2))

        branches = (
            conv(maps, "1x1", module.M1),
            conv(conv(maps, "3x3r", module.M3_reduce), "3x3", module.M3, 3),
            conv(conv(maps, "5x5r", module.M5_reduce), "5x5", module.M5, 5),
            conv(self.pool(maps, f"{module.name}_maxpool", 3, 1, pad=1), "pool", module.M_pool),
        )
        value = self.add("Concat", f"{module.name}_concat", *(branch.value for branch in branches), axis=1)
        return Maps(value, sum(branch.C for branch in branches), maps.H)

    def bottlenecks(self, maps: Maps, stage: Bottlenecks) -> Maps:
        for number in range(1, stage.blocks + 1):
            name, stride = f"{stage.name}_{number}", stage.stride if number == 1 else 1
            wide = 4 * stage.M
            inner = self.conv(maps, Conv(f"{name}_a", stage.M, 1, stride))
            inner = self.conv(inner, Conv(f"{name}_b", stage.M, 3, pad=1))
            inner = self.conv(inner, Conv(f"{name}_c", wide, 1, relu=False))
            if number == 1:
                maps = self.conv(maps, Conv(f"{name}_shortcut", wide, 1, stride, relu=False))
            value = self.add("Relu", f"{name}_relu", self.add("Add", f"{name}_add", inner.value, maps.value))
            maps = inner._replace(value=value)
        return maps
