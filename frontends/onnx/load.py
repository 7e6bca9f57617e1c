"""Loading: from a file or a short name to a network of loop nests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontends.onnx import files, given, graph, quantization
from frontends.onnx.binding import Binding
from frontends.onnx.lower import lower
from frontends.onnx.region import Region
from mapper.errors import InputError, MapperError, all_of, printable
from mapper.ir import Network

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A model that was read: its network, and the graph that this was made of.

    `path` and `sha256` are the file's; a survey network has its name as path and the hash of the built model.
    """

    network: Network
    region: Region
    path: Path
    sha256: str

    @property
    def bindings(self) -> Mapping[str, Binding]:
        """How the operands of each layer are made from the values around it, by the layer's name."""
        return dict(self.region.all_bindings())

    @property
    def input_types(self) -> Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape and the type of the elements of each input that is a tensor, by name."""
        shapes = self.region.shapes
        return {v: (shapes(v), shapes.dtype(v)) for v in self.region.inputs if v not in shapes.others}


def load(
    model: str | PathLike[str] | onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    dims: Mapping[str, int] | None = None,
    values: Mapping[str, float] | None = None,
) -> OnnxModel:
    """The model of that file or short name, or this one; `shapes` gives a shape to inputs, and to other values of which
    it is not known, by name, `dims` symbols a size, `values` inputs a number for good, which may choose a branch.

    Raises InputError for what is missing, no ONNX model, broken, of unknown shape or multiplies in a way that is not
    supported. Of what is stored beside the file only small tensors are read, which may be shapes.
    """
    proto, path, sha256 = files.read(model)
    place = os.fspath(model) if isinstance(model, str | PathLike) else str(path)
    missing: str | None = None
    try:
        files.check_text(proto)
        proto = files.without_functions(proto)
        graph.name_nodes(proto.graph, set())
        graph.sort(proto.graph)
        files.check(proto, place)
        files.check_attributes(proto)
        files.check_external(proto, path.parent)
        missing = files.read_small(proto, path.parent)
        quantization.fuse(proto)
        inner = given.override(proto, shapes or {}, dims or {}, values or {})
        network, region = lower(proto, inner, place if place in files.short_names() else path.stem)
    except UnicodeDecodeError as error:  # found where the name is first copied
        raise InputError("a name in the model is not UTF-8 text", place=place) from error
    except InputError as error:
        raise (all_of(_within(place, each, missing) for each in error.problems) or error) from error
    return OnnxModel(network, region, path, sha256)


def _within(place: str, problem: MapperError, missing: str | None) -> InputError:
    """A problem of a model with the model's place, on one line whatever is in the names of a damaged file."""
    at = place if not problem.place or problem.place == place else f"{place}, {problem.place}"
    hint = "; ".join(filter(None, (problem.hint, missing)))
    return InputError(printable(problem.message), place=printable(at), hint=printable(hint) or None)
