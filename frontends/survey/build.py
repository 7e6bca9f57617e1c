"""The survey's networks as ONNX models.

Weights and biases are inputs of the model with a shape but no values: there is nothing to download or to store, and
whoever executes the model supplies them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frontends.survey.tables import TABLES, Conv, Fc
from mapper.errors import InputError
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import onnx


def names() -> list[str]:
    """The short names, `survey/alexnet` and so on."""
    return list(TABLES)


def build(name: str) -> onnx.ModelProto:
    """The network of that name, batch 1: convolutions with ReLU (LRN, max pooling), then FC layers and a softmax.

    The layers are named as in the survey, CONV1 to FC8. Raises InputError for an unknown name.
    """
    from onnx import TensorProto, helper

    if name not in TABLES:
        raise InputError(f"no survey network '{name}'", hint=did_you_mean(name, TABLES))
    table = TABLES[name]
    inputs: list[onnx.ValueInfoProto] = []
    nodes: list[onnx.NodeProto] = []

    def parameter(value: str, *shape: int) -> str:
        inputs.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, shape))
        return value

    def add(op: str, node: str, *operands: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(operands), [f"{node}_out"], name=node, **attributes))
        return f"{node}_out"

    first = table.layers[0]
    assert isinstance(first, Conv)
    value, size = parameter("image", 1, first.C, first.H, first.H), first.H
    for index, layer in enumerate(table.layers):
        before = table.layers[index - 1] if index else None
        needed = layer.H if isinstance(layer, Conv) else layer.R
        if before is not None and isinstance(before, Conv) and needed < size:
            kernel, stride = [table.pool_kernel] * 2, [table.pool_stride] * 2
            value = add("MaxPool", f"{before.name}/pool", value, kernel_shape=kernel, strides=stride)
        match layer:
            case Conv():
                weight = parameter(f"{layer.name}_W", layer.M, layer.C // layer.groups, layer.R, layer.R)
                value = add(
                    "Conv",
                    layer.name,
                    value,
                    weight,
                    parameter(f"{layer.name}_b", layer.M),
                    kernel_shape=[layer.R] * 2,
                    strides=[layer.stride] * 2,
                    pads=[layer.pad] * 4,
                    group=layer.groups,
                )
                size = layer.E
            case Fc():
                if isinstance(before, Conv):
                    value = add("Flatten", "flatten", value)
                weight = parameter(f"{layer.name}_W", layer.M, layer.C * layer.R**2)
                value = add("Gemm", layer.name, value, weight, parameter(f"{layer.name}_b", layer.M), transB=1)
        if layer is not table.layers[-1]:
            value = add("Relu", f"{layer.name}/relu", value)
        if isinstance(layer, Conv) and layer.normalised:
            # size, scale and exponent of Krizhevsky 2012; ONNX divides alpha by the size, the paper does not
            value = add("LRN", f"{layer.name}/norm", value, size=5, alpha=5e-4, beta=0.75, bias=2.0)
    value = add("Softmax", "softmax", value, axis=1)

    output = helper.make_tensor_value_info(value, TensorProto.FLOAT, (1, table.layers[-1].M))
    graph = helper.make_graph(nodes, name, inputs, [output])
    # opset 13 and IR 8 are old enough for every ONNX Runtime in use
    return helper.make_model(
        graph, producer_name="tilewright", ir_version=8, opset_imports=[helper.make_opsetid("", 13)]
    )
