"""Mutated models: their nodes, attributes, values, types, bodies, functions and versions, or their bytes."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper
from random_models import KINDS as TYPES
from random_models import ODD, SPOILS, Draw, spoil

from frontends.onnx import OnnxModel, describe, load
from frontends.onnx.region import Region
from fuzzing.bases import Base, schemas, small, standard
from fuzzing.kinds import Kind
from mapper.inventory import inventory
from mapper.ir import parse_network


class Model(NamedTuple):
    """A file, and what is told of its sizes and values."""

    data: bytes
    told: dict[str, Any]


def attempt(given: Model) -> None:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(given.data)
        file.flush()
        read(file.name, **given.told)


def read(path: str, **told: Any) -> OnnxModel:
    """The model in a file, of which the text form, the inventory and what schedules say of layers work."""
    found = load(path, **told)
    assert parse_network(str(found.network)) == found.network
    assert len(inventory(found.network)["layers"]) == len(found.network.layers)
    assert json.dumps(describe(found), allow_nan=False)
    assert_connected(found)
    return found


def assert_connected(found: OnnxModel) -> None:
    """Each node follows those that make what it reads; what none makes is an input, of a body perhaps, or stored."""
    network, made = found.network, set()
    bodies = {name for region in regions(found.region) for name in region.inputs if name not in region.captured}
    for node in network.nodes:
        for value in node.inputs:
            given = value in network.stored or any(value == name or value.endswith(f"/{name}") for name in bodies)
            unknown = value not in network.shapes  # an odd constant, whose shape nobody needs
            assert value in made or (value not in network.made and (given or unknown)), (node.name, value)
        made.update(node.outputs)


def regions(region: Region) -> Iterator[Region]:
    yield region
    for inner in region.inner.values():
        for each in inner.values():
            yield from regions(each)


# -- parts of a model, at every depth ----------------------------------------------------------------------------------


def graphs(proto: onnx.ModelProto) -> list[onnx.GraphProto]:
    found = [proto.graph]
    for graph in found:
        found += (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
    return found


def bodies(proto: onnx.ModelProto) -> list[Any]:
    """All that holds nodes."""
    return [*graphs(proto), *proto.functions]


def nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """All nodes; those of an operator that seldom occurs, or in a body, stand there more often."""
    found = [node for body in bodies(proto) for node in body.node]
    return found + [node for body in bodies(proto)[1:] for node in body.node] * 2


def names(proto: onnx.ModelProto) -> list[str]:
    return [name for node in nodes(proto) for name in (*node.input, *node.output)] or ["x"]


def attribute(random: Random, name: str, kind: int) -> AttributeProto:
    """An attribute of a type with an odd value."""
    made = AttributeProto(name=name, type=kind)
    number = random.choice((0, 1, -1, 2, 3, 4, 7, 100, *ODD))
    real = random.choice((0.0, -0.0, 1.0, -1.0, 0.5, 1e-38, 3e38, float("nan"), float("inf"), -float("inf")))
    text = random.choice((b"", b"Relu", b"SAME_UPPER", b"bidirectional", b"NOTSET", b"linear", b"\xff", b"no,such->x",
                          b"bij,bjk->bik", b"...", b"BSNH", b"FLOAT", b"mean", b"reflect"))  # fmt: skip
    array = np.array(random.choice(([], 1, [1, 2], [[0.5]], [True], [2**62])))
    match kind:
        case AttributeProto.INT:
            made.i = number
        case AttributeProto.FLOAT:
            made.f = real
        case AttributeProto.STRING:
            made.s = text
        case AttributeProto.INTS:
            made.ints.extend(random.choice((number, 1, 2)) for _ in range(random.choice((0, 1, 2, 3, 4, 9))))
        case AttributeProto.FLOATS:
            made.floats.extend([real] * random.choice((0, 1, 2, 3)))
        case AttributeProto.STRINGS:
            made.strings.extend([text] * random.choice((0, 1, 2, 3)))
        case AttributeProto.TENSOR:
            made.t.CopyFrom(numpy_helper.from_array(array))
        case AttributeProto.GRAPH:
            made.g.name = "g"
    return made


# -- changes -----------------------------------------------------------------------------------------------------------

Change = Callable[[onnx.ModelProto, Random], object]


def _value_of_attribute(proto: onnx.ModelProto, random: Random) -> None:
    """An attribute of a node with an odd value of its type."""
    held = [(node, i) for node in nodes(proto) for i in range(len(node.attribute))]
    if not held:
        return _any_attribute(proto, random)
    node, i = random.choice(held)
    old = node.attribute[i]
    numbers, kind = list(old.ints), old.type
    if kind == AttributeProto.INTS and numbers and random.randint(0, 3):
        numbers[random.randrange(len(numbers))] = random.choice((0, 1, 2, -1, 5, 1000, *ODD))
        old.ints[:] = numbers
    elif kind == AttributeProto.INT and random.randint(0, 1):
        old.i = min(max(old.i + random.choice((1, -1)), -(2**63)), 2**63 - 1)
    elif kind != AttributeProto.GRAPH:
        old.CopyFrom(attribute(random, old.name, kind))
    return None


def _any_attribute(proto: onnx.ModelProto, random: Random) -> None:
    """An attribute that the operator may have, or not, or of another type, that was or was not given."""
    node = random.choice(nodes(proto))
    known = [told for domain, name, _, told in schemas() if name == node.op_type for told in told]
    name, kind = random.choice(known or [("axis", 2), ("no_such", 1), ("body", 5)])
    if random.randint(0, 5) == 5:
        kind = random.randint(1, 14)
    for i in reversed(range(len(node.attribute))):
        if node.attribute[i].name == name:
            del node.attribute[i]
    node.attribute.append(attribute(random, name, kind))


def _reference(proto: onnx.ModelProto, random: Random) -> None:
    """An attribute that refers to one of a function, within or outside of one."""
    node = random.choice(nodes(proto))
    names = [a.name for a in node.attribute] or ["axis"]
    name = random.choice(names)
    for i in reversed(range(len(node.attribute))):
        if node.attribute[i].name == name:
            kind = node.attribute[i].type
            del node.attribute[i]
            break
    else:
        kind = random.randint(1, 10)
    node.attribute.add(name=name, ref_attr_name=random.choice((*names, "slope", "")), type=kind)


def _operands(proto: onnx.ModelProto, random: Random) -> None:
    """Inputs or outputs: one left out, removed, twice, another value, two swapped, or far too many."""
    node = random.choice(nodes(proto))
    held = random.choice((node.input, node.input, node.output))
    values = list(held)
    at = random.randrange(len(values) + 1)
    match random.randint(0, 5):
        case 0 if values:
            values[at % len(values)] = ""
        case 1 if values:
            del values[at % len(values)]
        case 2:
            values.insert(at, random.choice(("", *names(proto))))
        case 3 if values:
            values[at % len(values)] = random.choice(names(proto))
        case 4:
            random.shuffle(values)
        case _:
            values += [random.choice(("", *names(proto)))] * random.choice((1, 2, 5, 30))
    held[:] = values


def _operator(proto: onnx.ModelProto, random: Random) -> None:
    """A node becomes one of another operator, that exists or not."""
    node = random.choice(nodes(proto))
    domain, name, *_ = random.choice(schemas())
    node.op_type = random.choice((name, name, node.op_type, node.op_type.lower(), "NoSuch"))
    node.domain = random.choice((domain, domain, "", "com.microsoft", "own", "ai.onnx", "ai.onnx.ml", "com.nowhere"))
    if random.randint(0, 2):
        _import(proto, node.domain)


def _import(proto: onnx.ModelProto, domain: str) -> None:
    if domain not in {o.domain for o in proto.opset_import}:
        proto.opset_import.add(domain=domain, version=1)


def _insert(proto: onnx.ModelProto, random: Random) -> None:
    """A node of any operator between a value and those that read it, with its attributes or without."""
    body = random.choice(bodies(proto))
    known = [name for node in body.node for name in (*node.input, *node.output) if name] or ["x"]
    domain, name, most, told = random.choice(schemas())
    inputs = [
        random.choice((*known, "")) if i else random.choice(known) for i in range(random.randint(0, min(most, 6)))
    ]
    made = f"inserted_{random.randint(0, 999)}"
    node = helper.make_node(name, inputs, [made], domain=domain)
    node.attribute.extend(attribute(random, *a) for a in told if random.randint(0, 2) == 0)
    at = random.randint(0, len(body.node))
    for reader in list(body.node)[at:]:
        if random.randint(0, 1) and len(reader.input):
            reader.input[random.randrange(len(reader.input))] = made
    _import(proto, domain)
    held = [*list(body.node)[:at], node, *list(body.node)[at:]]
    held = [onnx.NodeProto.FromString(each.SerializeToString()) for each in held]
    del body.node[:]
    body.node.extend(held)


def _body(proto: onnx.ModelProto, random: Random) -> None:
    """Inputs, outputs or nodes of a body: one removed, twice, or all gone."""
    held = random.choice(graphs(proto)[1:] or [proto.graph])
    part = random.choice((held.input, held.output, held.output, held.node, held.initializer))
    match random.randint(0, 3):
        case 0 if len(part):
            del part[random.randrange(len(part))]
        case 1 if len(part):
            part.append(random.choice(part))
        case 2:
            del part[:]
        case _ if len(held.output):
            held.output[0].name = random.choice(names(proto))


def _enclose(proto: onnx.ModelProto, random: Random) -> None:
    """A node moves into a branch, a loop's or scan's body or a function, which may not fit."""
    body = random.choice(bodies(proto))
    if not len(body.node):
        return
    at = random.randrange(len(body.node))
    node = onnx.NodeProto.FromString(body.node[at].SerializeToString())
    results = [helper.make_empty_tensor_value_info(f"{name}_inside") for name in node.output]
    inner = onnx.NodeProto.FromString(node.SerializeToString())
    inner.output[:] = [value.name for value in results]
    outer = body.node[at]
    del outer.attribute[:]
    outer.domain, kind = "", random.randint(0, 3)
    if kind == 3:
        function = helper.make_function("own", "F", list(node.input), list(node.output), [node], proto.opset_import)
        if random.randint(0, 3) == 3:
            function.node[0].op_type, function.node[0].domain = "F", "own"  # which calls itself
        proto.functions.append(function)
        outer.op_type, outer.domain = "F", "own"
        _import(proto, "own")
        return
    given = []
    if kind == 1:
        given = [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])]
        results.insert(0, given[1])
    graph = helper.make_graph([inner], "inside", given, results)
    outer.op_type = ("If", "Loop", "Scan")[kind]
    if kind == 0:
        outer.input[:] = [random.choice(("c", *node.input))]
        outer.attribute.append(helper.make_attribute("then_branch", graph))
        outer.attribute.append(helper.make_attribute("else_branch", graph))
    else:
        outer.input[:] = ["", "", *node.input[:0]] if kind == 1 else list(node.input)
        outer.attribute.append(helper.make_attribute("body", graph))
        if kind == 2:
            outer.attribute.append(helper.make_attribute("num_scan_inputs", random.choice((0, 1, len(node.input), 9))))


def _type(proto: onnx.ModelProto, random: Random) -> None:
    """The stated type of a value, at whatever depth: of other elements, rank, sizes or symbols, or no tensor."""
    held = [v for graph in graphs(proto) for v in (*graph.input, *graph.output, *graph.value_info)]
    if not held:
        return
    value = random.choice(held)
    tensor = value.type.tensor_type
    match random.randint(0, 7):
        case 0:
            tensor.elem_type = random.choice((*TYPES, 0, 8, *range(16, 24), 99))
        case 1:
            value.type.Clear()
        case 2:
            inner = random.choice((value.type.sequence_type.elem_type, value.type.optional_type.elem_type))
            inner.tensor_type.elem_type = 1
        case 3:
            value.type.sparse_tensor_type.elem_type = 1
        case 4:
            value.type.map_type.key_type = 7
        case 5:
            tensor.shape.dim.add().dim_value = random.choice((1, 2, *ODD))
        case 6 if len(tensor.shape.dim):
            del tensor.shape.dim[random.randrange(len(tensor.shape.dim))]
        case _ if len(tensor.shape.dim):
            dim = random.choice(tensor.shape.dim)
            if random.randint(0, 1):
                dim.dim_value = random.choice((0, 1, 2, 5, *ODD))
            else:
                dim.dim_param = random.choice(("n", "batch", "", "n + 1"))


def _stated(proto: onnx.ModelProto, random: Random) -> None:
    """The type of a value inside, stated rightly or not."""
    made = random.choice([name for node in proto.graph.node for name in node.output if name] or ["x"])
    shape = [random.choice((1, 2, 3, 4, "n", *ODD[:4])) for _ in range(random.randint(0, 4))]
    proto.graph.value_info.append(helper.make_tensor_value_info(made, random.choice(TYPES), shape))


def _stored(proto: onnx.ModelProto, random: Random) -> None:
    """A constant: other values, no elements, another type or shape; or it becomes an input, or an input a constant."""
    graph = random.choice([graph for graph in graphs(proto) if len(graph.initializer)] or [proto.graph])
    if not len(graph.initializer) or random.randint(0, 7) == 7:
        if len(graph.input):
            value = random.choice(graph.input)
            shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
            if all(0 <= n < 9 for n in shape):
                graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), value.name))
        return
    tensor = random.choice(graph.initializer)
    array = numpy_helper.to_array(tensor)
    match random.randint(0, 6):
        case 0 | 1 | 2 if array.dtype.kind in "iu" and array.size:
            info = np.iinfo(array.dtype)
            array = array.copy()
            odd = random.choice((0, 1, 2, -1, 3, 1000, *ODD))
            array.flat[random.randrange(array.size)] = min(max(odd, info.min), info.max)
        case 0 | 1 | 2 if array.size:
            array = np.full_like(array, random.choice((0, 1, np.nan, np.inf)) if array.dtype.kind == "f" else 1)
        case 3:
            array = np.zeros(random.choice(((0,), (), (1,), (0, 3), (2, 2))), array.dtype)
        case 4:
            array = array.astype(random.choice((np.int64, np.float32, np.uint8, np.bool_, np.float16, np.int8)))
        case 5:
            array = array.reshape(random.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
        case _:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            if random.randint(0, 1):
                graph.initializer.remove(tensor)
            return
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _sparse(proto: onnx.ModelProto, random: Random) -> None:
    """A constant becomes a sparse one, that is whole or not."""
    if len(proto.graph.initializer):
        tensor = random.choice(proto.graph.initializer)
        sparse = proto.graph.sparse_initializer.add(dims=tensor.dims)
        kept = np.zeros(random.choice((0, 1, 2)), np.float32)
        sparse.values.CopyFrom(numpy_helper.from_array(kept, tensor.name))
        sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(len(kept)), "i"))
        proto.graph.initializer.remove(tensor)


def _function(proto: onnx.ModelProto, random: Random) -> None:
    """A function: without or with other inputs, outputs, attributes or opsets, under another name, or gone."""
    if not len(proto.functions):
        return _enclose(proto, random)
    held = random.choice(proto.functions)
    match random.randint(0, 6):
        case 0:
            part = random.choice((held.input, held.output, held.attribute, held.node, held.opset_import))
            if len(part):
                del part[random.randrange(len(part))]
        case 1:
            random.choice((held.input, held.output, held.attribute)).append(random.choice((*held.input, "more")))
        case 2:
            held.name = random.choice(("Two", "Dense", "Relu", "F", ""))
        case 3:
            held.domain = random.choice(("", "own", "com.microsoft"))
        case 4:
            proto.functions.append(held)
        case 5:
            held.attribute_proto.append(attribute(random, "slope", random.randint(1, 4)))
        case _:
            proto.functions.remove(held)
    return None


def _version(proto: onnx.ModelProto, random: Random) -> None:
    """An opset before or after the operator changed, or of no domain that is there."""
    if len(proto.opset_import):
        chosen = random.choice(proto.opset_import)
        chosen.version = random.choice((0, 1, *range(6, 27), 99, -1, 2**62))
        if random.randint(0, 4) == 4:
            chosen.domain = random.choice(("", "ai.onnx", "com.microsoft", "x"))


def _foreign(proto: onnx.ModelProto, random: Random) -> None:
    """The nodes of another model come in front, of which some values are read."""
    other = small(random).proto().graph
    made = [name for node in other.node for name in node.output if name]
    for node in proto.graph.node:
        if len(node.input) and random.randint(0, 3) == 0 and made:
            node.input[random.randrange(len(node.input))] = random.choice(made)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend([*other.node, *kept])
    proto.graph.initializer.extend(other.initializer)
    proto.graph.input.extend(other.input)


CHANGES: tuple[Change, ...] = (
    *(_value_of_attribute, _value_of_attribute, _value_of_attribute, _any_attribute, _any_attribute, _reference),
    *(_operands, _operands, _operands, _operator, _insert, _insert, _body, _body, _enclose, _type, _type, _stated),
    *(_stored, _stored, _stored, _sparse, _function, _function, _version, _foreign, *SPOILS),
)


def deformed(base: Base, random: Random) -> bytes:
    """The model with one to five changes; one that protobuf does not take is left out."""
    proto = base.proto()
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            random.choice(CHANGES)(proto, random)
    return proto.SerializeToString()


def told(base: Base, random: Random) -> dict[str, Any]:
    """What the user says of sizes and values: mostly what is right."""
    dims = dict(base.dims)
    for name in dims:
        if random.randint(0, 9) == 9:
            dims[name] = random.choice((0, 1, 2, 3, 100, 10**6, 2**31, 2**62))
    found: dict[str, Any] = {"dims": dims}
    inputs = [value.name for value in base.proto().graph.input]
    if inputs and random.randint(0, 9) == 9:
        sizes = tuple(random.choice((0, 1, 2, 3, 5, 2**40)) for _ in range(random.randint(0, 5)))
        found["shapes"] = {random.choice((*inputs, "nobody")): sizes}
    if inputs and random.randint(0, 9) == 9:
        found["values"] = {random.choice((*inputs, "nobody")): random.choice((0, 1, -1, 0.5, 2**40, 10**30))}
    return found


def draw_structural(random: Random) -> Model:
    base = small(random)
    return Model(deformed(base, random), told(base, random))


def draw_standard(random: Random) -> Model:
    base = random.choice(standard())
    return Model(deformed(base, random), told(base, random))


def draw_spoilt(random: Random) -> Model:
    """Random operators, with wrong sizes, and one thing that is wrong beside these."""
    proto = Draw(random, right=random.choice((0, 20, 60))).model(random.randint(1, 6))
    return Model(spoil(proto, random), {})


def draw_bytes(random: Random) -> Model:
    """Bytes replaced, put in or left out; most often in what is no constant."""
    base = small(random)
    data = bytearray(base.data)
    for _ in range(random.choice((1, 1, 2, 3, 9))):
        at = random.randrange(len(data) + 1)
        match random.randint(0, 5):
            case 0:
                del data[at : at + random.choice((1, 1, 2, 40))]
            case 1:
                data[at:at] = random.randbytes(random.choice((1, 2, 9)))
            case 2 if at < len(data):
                data[at] ^= 1 << random.randint(0, 7)
            case 3:
                begin = random.randrange(len(data) + 1)
                data[at:at] = data[begin : begin + random.choice((1, 8, 60))]
            case 4 if random.randint(0, 4) == 4:
                del data[at:]
            case _:
                data[at : at + 1] = random.randbytes(1)
    return Model(bytes(data), {"dims": base.dims})


KINDS = (
    Kind("models", draw_structural, attempt, structural=True),
    Kind("random models", draw_spoilt, attempt, structural=True),
    Kind("node tests", draw_standard, attempt, structural=True, slow=True),
    Kind("models as bytes", draw_bytes, attempt),
)
