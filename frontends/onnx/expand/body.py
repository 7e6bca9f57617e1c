"""Body: the graph that an operator is made of, written node by node."""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from frontends.onnx.fold import SMALL
from frontends.onnx.graph import is_standard
from frontends.onnx.registry import STANDARD_DOMAINS
from frontends.onnx.site import Site

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region

OPSET = 17
"""In which bodies are written, whatever the model's, unless their writer says another."""


class Body:
    """The parts of the node at `site`, under names of their own; they read the node's inputs under the model's names.

    Calling it adds a node: `body("Add", a, b)` is the name of the sum, `name` becomes part of the node's name.
    """

    def __init__(self, node: onnx.NodeProto, region: Region) -> None:
        from onnx import helper

        self.node, self.opsets = node, [helper.make_opsetid("", OPSET)]
        self.site = Site.of(node, region)
        self.region = region
        self.prefix = f"{node.name}/"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.results: dict[str, str] = {}

    def __call__(self, op: str, *inputs: str | None, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its output, or of the first of several, which `last` lists."""
        from onnx import helper

        made = [self.named(f"{op}_{len(self.nodes)}" + (f".{i}" if i else "")) for i in range(outputs)]
        node = helper.make_node(op, [value or "" for value in inputs], made, name=name, **attributes)
        self.nodes.append(node)
        return made[0]

    def named(self, name: str) -> str:
        """A value of that name, after the node's, which the model does not have."""
        name = f"{self.prefix}{name}"
        while name in self.region.values:
            name += "'"
        return name

    def required(self, count: int) -> list[str]:
        """The node's first inputs; InputError if it has fewer."""
        given = [value for value in self.site.inputs[:count] if value]
        if len(given) < count:
            raise self.site.refuse(f"{count} inputs are needed, it has {len(given)} of them")
        return given

    @property
    def version(self) -> int:
        """The opset of the node's domain in the model."""
        domains = STANDARD_DOMAINS if is_standard(self.node) else {self.node.domain}
        return next(int(o.version) for o in self.region.proto.opset_import if o.domain in domains)

    @property
    def last(self) -> list[str]:
        """The outputs of the node that was added last."""
        return list(self.nodes[-1].output)

    def constant(self, array: Any, dtype: Any = None) -> str:
        """A constant, by its values; InputError if the type does not have them."""
        from onnx import numpy_helper

        name = self.named(f"constant_{len(self.constants)}")
        try:
            self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        except (OverflowError, NotImplementedError) as error:
            raise self.site.refuse("its sizes do not fit 64 bits, or its values are no numbers") from error
        return name

    def integers(self, *values: int) -> str:
        """A constant list of integers, as for a shape."""
        return self.constant(values, np.int64)

    def places(self, count: int, dtype: Any = np.int64) -> str:
        """0, 1, .. count - 1."""
        if count <= SMALL:
            return self.constant(np.arange(count), dtype)
        return self("Range", *(self.constant(n, dtype) for n in (0, count, 1)))

    def full(self, value: float, dtype: Any, *shape: int) -> str:
        """A constant whose elements are all the same."""
        if math.prod(shape) <= SMALL:
            return self.constant(np.full(shape, value, dtype))
        return self("Expand", self.constant(value, dtype), self.integers(*shape))

    def reshape(self, value: str, *shape: int) -> str:
        """A value in another shape."""
        return self("Reshape", value, self.integers(*shape))

    def inside(self) -> Body:
        """An empty body for the attribute of a node of this one, which may read the values of this one: its own have
        short names, which `named` makes others than the model's. What it returns, in order, goes into `results`."""
        inner = copy(self)
        inner.prefix, inner.nodes, inner.constants, inner.results = "", [], [], {}
        return inner

    def result(self, index: int, value: str) -> None:
        """Make a value the output of that index, if the model wants it."""
        outputs = self.site.outputs
        if index < len(outputs) and outputs[index]:
            self.results[outputs[index]] = value

    def graph(self, *inputs: str) -> onnx.GraphProto:
        """The graph, which takes everything that it is not given and does not make itself from outside."""
        from onnx import ValueInfoProto, helper

        made = {value for node in self.nodes for value in node.output}
        once = {value: name for name, value in self.results.items() if value in made}
        for name, value in self.results.items():  # what the node makes takes the name that it has outside
            if once.get(value) != name:
                self.nodes.append(helper.make_node("Identity", [value], [name]))
        for node in self.nodes:
            node.input[:] = [once.get(value, value) for value in node.input]
            node.output[:] = [once.get(value, value) for value in node.output]
        given, outputs = ([ValueInfoProto(name=value) for value in values] for values in (inputs, self.results))
        return helper.make_graph(self.nodes, "parts", given, outputs, initializer=self.constants)
