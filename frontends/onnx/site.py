"""Site: what a family sees of the ONNX node that it lowers; and Lowered, what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frontends.onnx.binding import Array, Binding
from frontends.onnx.graph import attributes
from mapper.errors import InputError
from mapper.ir import LoopNest

if TYPE_CHECKING:
    import onnx

    from frontends.onnx.region import Region
    from frontends.onnx.shapes import Shapes


@dataclass(frozen=True)
class Site:
    """One node: its inputs and outputs ("" for one left out), its attributes as Python values, the shapes and the small
    constants around it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    shapes: Shapes
    constants: Mapping[str, Array]

    @classmethod
    def of(cls, node: onnx.NodeProto, region: Region) -> Site:
        """The site of a node of a region."""
        inputs, outputs = tuple(node.input), tuple(node.output)
        return cls(node.name, node.op_type, inputs, outputs, attributes(node), region.shapes, region.small)

    def shape(self, value: str) -> tuple[int, ...]:
        """The shape of a value; InputError if it is unknown."""
        return self.shapes(value)

    def optional(self, index: int) -> str | None:
        """The input at `index`, None if it is left out."""
        return self.inputs[index] if index < len(self.inputs) and self.inputs[index] else None

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute that is a list of as many integers as `default`; InputError if it has another length."""
        found = tuple(self.attributes.get(name) or default)
        if len(found) != len(default):
            raise self.refuse(f"attribute {name} has {len(found)} values where {len(default)} are needed")
        return found

    def refuse(self, message: str, hint: str | None = None) -> InputError:
        """The error that says why this node cannot be lowered."""
        return InputError(message, place=f"{self.op} node {self.name}", hint=hint)


@dataclass(frozen=True, slots=True)
class Lowered:
    """A node as a loop nest, and how the nest's tensors relate to the node's values."""

    nest: LoopNest
    binding: Binding
