"""Finding and reading models: files, the topologies that the onnx package ships, and the survey's networks."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontends import survey
from frontends.onnx import einsum, graph
from frontends.onnx.fold import SMALL
from frontends.onnx.registry import STANDARD_DOMAINS, UNOFFICIAL
from frontends.onnx.shapes import condense
from mapper.errors import InputError, all_of
from mapper.files import MissingFileError, read_bytes
from mapper.spelling import did_you_mean

if TYPE_CHECKING:
    import onnx

_SHIPPED = {
    "alexnet": "light_bvlc_alexnet",
    "densenet121": "light_densenet121",
    "inception_v1": "light_inception_v1",
    "inception_v2": "light_inception_v2",
    "resnet50": "light_resnet50",
    "shufflenet": "light_shufflenet",
    "squeezenet": "light_squeezenet",
    "vgg19": "light_vgg19",
    "zfnet512": "light_zfnet512",
}

LARGEST = 2**31 - 1
"""The most bytes that a protobuf message may have; larger models keep their weights in files of their own."""


def short_names() -> list[str]:
    """The names that stand for a model without a file of the user's: the onnx package's, then the survey's."""
    return [*_SHIPPED, *survey.names()]


def read(model: str | PathLike[str] | onnx.ModelProto) -> tuple[onnx.ModelProto, Path, str]:
    """The model, where it is from, and its sha256; InputError if there is none of that name or it is no ONNX model.

    A path is always a file. A survey network has none: its path is its name and its hash that of the built model. A
    model that is given as such is copied; its path is the name of its graph.
    """
    if not isinstance(model, str | PathLike):
        return _copied(model)
    if model in survey.names():
        proto = survey.build(str(model))
        return proto, Path(model), hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
    path = _shipped(model) if isinstance(model, str) and model in _SHIPPED else Path(model)
    model = os.fspath(model)
    try:
        data = read_bytes(path if model else "", LARGEST)
    except MissingFileError:
        hint = did_you_mean(path.name if model.endswith(".onnx") else model, short_names())
        raise InputError(
            f"'{model}' is neither a file nor a known model", hint=hint or f"known: {', '.join(short_names())}"
        ) from None
    return _parse(data, model), path, hashlib.sha256(data).hexdigest()


def _copied(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Path, str]:
    from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

    name = Path(model.graph.name or "model")
    try:
        data = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise InputError(f"the model cannot be read: {error}", place=str(name)) from error
    return _parse(data, str(name)), name, hashlib.sha256(data).hexdigest()


def _shipped(name: str) -> Path:
    spec = find_spec("onnx")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "backend" / "test" / "data" / "light" / f"{_SHIPPED[name]}.onnx"


def _parse(data: bytes, place: str) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise InputError("this is not an ONNX model, or only a part of one", place=place) from error
    # bytes that happen to parse give a message without what every model has
    if not proto.HasField("graph") or not proto.ir_version:
        raise InputError("this is not an ONNX model, or only a part of one", place=place)
    if not proto.graph.node:
        raise InputError("the graph is empty", place=place)
    return proto


def check_text(proto: onnx.ModelProto) -> None:
    """InputError for names that are no text: a damaged file may hold any bytes."""
    names: list[Any] = []
    for source in graph.all_graphs(proto.graph):
        values = (*source.input, *source.output, *source.value_info)
        names += (v.name for v in values)
        names += (dim.dim_param for v in values for dim in v.type.tensor_type.shape.dim)
        names += (name for node in source.node for name in (node.name, node.op_type, node.domain))
        names += (name for node in source.node for name in (*node.input, *node.output))
        names += (tensor.name for tensor in source.initializer)
        names += (entry.value for tensor in source.initializer for entry in tensor.external_data)
    if not all(isinstance(name, str) for name in names):  # what is no text comes as bytes
        raise InputError("a name in the model is not UTF-8 text")


def without_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions put in where they are called; InputError for functions that call themselves or are
    there twice, and for what refers to an attribute of a function but stands in none."""
    if proto.functions:
        from onnx import inliner

        try:
            proto = inliner.inline_local_functions(proto)
        except UnicodeDecodeError:  # the complaint quotes a name
            raise
        except Exception as error:  # ValidationError, RuntimeError, ...: they have no common base
            raise InputError(f"its functions cannot be put in: {condense(str(error))}") from error
    for node in graph.all_nodes(proto.graph):
        for a in node.attribute:
            if a.ref_attr_name:
                raise InputError(
                    f"{a.name} is the attribute {a.ref_attr_name} of a function, but the node is in none",
                    place=graph.place(node),
                )
    return proto


def check_external(proto: onnx.ModelProto, folder: Path) -> None:
    """InputError for weights stored beside the file whose place is not inside the model's folder."""
    for tensor in proto.graph.initializer:
        if tensor.data_location == tensor.EXTERNAL:
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            inside = location and "\0" not in location and _real(folder / location).is_relative_to(_real(folder))
            if not inside:
                raise InputError(
                    f"the weight {tensor.name} is stored in '{location}', which is not inside the model's folder",
                    hint="move it there",
                )


def _real(path: Path) -> Path:
    """A path without links, as far as they do not lead in circles."""
    return Path(os.path.realpath(path))


def read_small(proto: onnx.ModelProto, folder: Path) -> str | None:
    """Read the few elements of shapes and axes that are stored beside the file; which of them are not there, in words,
    for the case that they are needed."""
    from onnx import external_data_helper, numpy_helper

    missing = []
    for tensor in proto.graph.initializer:
        if tensor.data_location == tensor.EXTERNAL and math.prod(tensor.dims) <= SMALL:
            location = next(entry.value for entry in tensor.external_data if entry.key == "location")
            try:
                read = type(tensor)()
                read.CopyFrom(tensor)
                external_data_helper.load_external_data_for_tensor(read, str(folder))
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(read, str(folder)), tensor.name))
            except Exception:  # no file, or one that is too short: they have no common base
                missing.append(f"{tensor.name} in {location}")
    return f"what is stored beside the model could not be read: {', '.join(missing[:3])}" if missing else None


def check(proto: onnx.ModelProto, place: str) -> None:
    """Run ONNX's checker; InputError with its first complaint, or where two versions of the standard are imported."""
    from onnx import checker

    versions = {opset.version for opset in proto.opset_import if opset.domain in STANDARD_DOMAINS}
    if len(versions) > 1:
        which = " and ".join(map(str, sorted(versions)))
        raise InputError(f"the model imports opsets {which} of the standard", place=place, hint="leave one of them")
    # Three complaints of the checker do not concern a mapping: inputs and outputs of the model without a shape, which
    # the user or shape inference may supply, weights that lie beside the file and are not there, and operators that
    # ONNX Runtime has in the domain of the standard.
    checked = _without_external(proto)
    values = [
        v.type.tensor_type for v in (*checked.graph.input, *checked.graph.output) if v.type.HasField("tensor_type")
    ]
    shapeless = [tensor for tensor in values if not tensor.HasField("shape")]
    for tensor in shapeless:
        tensor.shape.SetInParent()
    version = max(versions, default=0)
    nodes = (node for node in graph.all_nodes(checked.graph) if graph.is_standard(node))
    others = [node for node in nodes if version < UNOFFICIAL.get(node.op_type, 0)]
    for node in others:
        node.domain = "of ONNX Runtime"
    checked.opset_import.add(domain="of ONNX Runtime", version=1)
    try:
        checker.check_model(checked)
    except UnicodeDecodeError:  # the complaint quotes a name
        raise
    except Exception as error:  # ValidationError, but for some models others too
        raise InputError(condense(str(error)), place=place) from error
    finally:
        for tensor in shapeless:
            tensor.ClearField("shape")
        for node in others:
            node.domain = ""
        checked.opset_import.pop()


WINDOWED = frozenset(
    {
        *("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "LpPool", "MaxPool", "QLinearConv"),
        *("FusedConv", "NhwcConv", "NhwcFusedConv", "NhwcMaxPool", "QLinearAveragePool"),
    }
)
"""Operators whose windows slide over a padded input: their `pads` are at least 0, unlike those of a Pad."""


def check_attributes(proto: onnx.ModelProto) -> None:
    """InputError with every node whose attributes ONNX's checker lets pass, but not its inference of shapes: an
    equation that is none, on which that may hang, another number of outputs of a Split than it has, which may end the
    process, and negative padding of windows."""
    if problem := all_of(each for node in graph.all_nodes(proto.graph) for each in _attribute_problems(node)):
        raise problem


def _attribute_problems(node: onnx.NodeProto) -> Iterator[InputError]:
    place, standard = graph.place(node), graph.is_standard(node)
    if standard and node.op_type == "Einsum":
        equation = graph.attributes(node).get("equation", "")
        try:
            einsum.check(equation if isinstance(equation, str) else "", place)
        except InputError as error:
            yield error
    if standard and node.op_type == "Split":
        count = graph.attributes(node).get("num_outputs", len(node.output))
        if count != len(node.output):
            yield InputError(f"num_outputs is {count}, but it has {len(node.output)} outputs", place=place)
    if (standard or node.domain == "com.microsoft") and node.op_type in WINDOWED:
        pads = [n for a in node.attribute if a.name == "pads" for n in a.ints]
        if min(pads, default=0) < 0:
            text = f"pads must be at least 0, not {', '.join(map(str, pads[:8]))}"
            yield InputError(text, place=place, hint="a Slice before it drops elements")


def _without_external(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model, or a copy in which the weights stored beside the file are inputs."""
    beside = [t for t in proto.graph.initializer if t.data_location == t.EXTERNAL]
    if not beside:
        return proto
    copy = type(proto)()
    copy.CopyFrom(proto)
    declared = {v.name for v in copy.graph.input}
    for tensor in beside:
        copy.graph.initializer.remove(tensor)
        if tensor.name not in declared:
            copy.graph.input.add(name=tensor.name).type.tensor_type.elem_type = tensor.data_type
    return copy
