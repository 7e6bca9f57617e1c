"""A model in double precision: what both executions of it are an approximation of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backends.execute.compare import is_real
from backends.execute.referee import Record, summed
from backends.execute.reference import reference
from backends.execute.runtime import Array, Arrays
from backends.execute.walk import Site, Walk
from frontends.onnx import graph, pack, unpack
from frontends.onnx.region import Region
from mapper.errors import InputError

if TYPE_CHECKING:
    import onnx


class Double(Walk):
    """Layers by NumPy, other operators by ONNX Runtime's kernels of double precision, or where it has none by the
    reference implementations of the `onnx` package. What is stored, given or drawn keeps its values.

    Raises InputError for an operator that has neither.
    """

    def __init__(self, site: Site, record: Record) -> None:
        super().__init__(site)
        self.record = record

    def layer(self, region: Region, node: onnx.NodeProto, values: Arrays, part: bool) -> Array:
        """The value, in float64 if it is a float."""
        nest, binding = self.site.nests[node.name], region.bindings[node.name]
        dtype = region.shapes.dtype(binding.result.value)
        if not is_real(dtype):
            return summed(region, node, nest, values)
        wide = {name: doubled(values[name]) for name in region.reads(node)}
        operands = {name: pack(view, wide) for name, view in binding.operands.items()}
        return unpack(binding, reference(nest, operands), wide)

    def operator(
        self, region: Region, node: onnx.NodeProto, values: Arrays, wanted: list[str], fixed: frozenset[str], part: bool
    ) -> Arrays:
        """The outputs, in float64 where they are floats."""
        draws = self.record.draws.get((node.name, self.runs[node.name]))
        if draws is not None:
            return {name: doubled(array) for name, array in draws.items()}
        wide, given = _widened(node), {name: doubled(values[name]) for name in region.reads(node)}
        place, types = graph.place(node), region.shapes.types
        try:
            return self.site.runtime.run(region.proto, [wide], given, wanted, place, fixed=fixed, types=types)
        except InputError:
            return _evaluated(region, wide, given, wanted, place)


def doubled(array: Array) -> Array:
    """Floats in double precision; a sequence piece by piece; anything else as it is."""
    if isinstance(array, list):
        return [doubled(each) for each in array]
    return array.astype(np.float64) if isinstance(array, np.ndarray) and is_real(array.dtype) else array


def _widened(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node under another name, making doubles where it makes floats of a type that it says itself."""
    from onnx import TensorProto, numpy_helper

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    wide: onnx.NodeProto = type(node).FromString(node.SerializeToString())
    wide.name = f"{node.name} in double precision"
    for attribute in wide.attribute:
        if attribute.name in ("to", "dtype", "output_dtype") and attribute.i in floats:
            attribute.i = TensorProto.DOUBLE
        elif attribute.HasField("t") and attribute.t.data_type in floats:
            attribute.t.CopyFrom(numpy_helper.from_array(doubled(numpy_helper.to_array(attribute.t))))
    return wide


def _evaluated(region: Region, node: onnx.NodeProto, given: Arrays, wanted: list[str], place: str) -> Arrays:
    from onnx import ValueInfoProto, helper
    from onnx.reference import ReferenceEvaluator

    inputs, outputs = ([ValueInfoProto(name=name) for name in names] for names in (given, wanted))
    body = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(body, ir_version=region.proto.ir_version, opset_imports=region.proto.opset_import)
    try:
        return dict(zip(wanted, ReferenceEvaluator(model).run(None, given), strict=True))
    except Exception as error:  # its errors have no common base
        raise InputError("there is no double precision of it", place=place) from error
