"""Random small models for tests: operators that mostly fit what they read, and what damaged or odd files hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from model_zoo import BOOL, FLOAT, INT64, Builder
from onnx import TensorProto, helper, shape_inference

UINT8, INT8, INT32 = TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
KINDS = (FLOAT, FLOAT, FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, INT64, INT32, UINT8, INT8, BOOL)
UNARY = ("Relu", "Sigmoid", "Neg", "Abs", "Tanh", "Erf", "Softplus", "Identity", "LeakyRelu", "Floor", "Sign", "Not")
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Greater", "Equal", "And", "PRelu")
ODD = (0, -1, -2, 7, 2**31, 2**40, 2**62, -(2**63))
"""Sizes that fit nothing, some so large that nobody can hold what has them."""


class Draw:
    """A graph in the making; `values` are the types and shapes of what it has so far, as inference knows them.

    A size is wrong once in so many times as `right` says; 0: never.
    """

    def __init__(self, random: Random, right: int = 0) -> None:
        self.random, self.right = random, right
        self.g = Builder(opset=17, seed=random.randint(0, 99))
        self.values: dict[str, tuple[int, tuple[int, ...]]] = {}
        for _ in range(random.randint(1, 3)):
            self.input(random.choice((FLOAT, FLOAT, random.choice(KINDS))), self.shape(random.randint(0, 4)))

    # -- numbers and values --------------------------------------------------------------------------------------------

    def wrong(self) -> bool:
        return self.right > 0 and self.random.randint(1, self.right) == self.right

    def size(self, n: int) -> int:
        """A size that is to be n."""
        return self.random.choice((n + 1, n - 1, *ODD)) if self.wrong() else n

    def shape(self, rank: int) -> tuple[int, ...]:
        return tuple(self.size(self.random.choice((1, 2, 3, 4, 5))) for _ in range(rank))

    def input(self, kind: int, shape: tuple[int, ...]) -> str:
        name = self.g.input(f"x{len(self.values)}", *shape, kind=kind)
        self.values[name] = kind, shape
        return name

    def pick(self, kind: int | None = FLOAT, rank: int | None = None) -> str:
        """A value of that type and rank: one that there is, the last of them more often, or a new input."""
        fitting = [
            name
            for name, (k, dims) in self.values.items()
            if self.wrong() or (kind in (None, k) and rank in (None, len(dims)))
        ]
        if not fitting or self.random.randint(0, 9) == 9:
            rank = self.random.randint(1, 4) if rank is None else rank
            return self.input(FLOAT if kind is None else kind, self.shape(rank))
        return self.random.choice((*fitting, *fitting[-2:]))

    def dims(self, value: str) -> tuple[int, ...]:
        return self.values[value][1]

    def other(self, kind: int, shape: tuple[int, ...]) -> str:
        """A value of this type and shape: one that there is, a new input, or mostly a constant."""
        shape = tuple(map(self.size, shape))
        fitting = [name for name, found in self.values.items() if found == (kind, shape)]
        if fitting and self.random.randint(0, 1):
            return self.random.choice(fitting)
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        if self.random.randint(0, 3) == 3 or max(shape, default=0) > 9 or min(shape, default=0) < 0:
            return self.input(kind, shape)
        drawn = self.g.rng.standard_normal(shape) if dtype.kind == "f" else self.g.rng.integers(0, 2, shape)
        return self.g.constant(drawn, dtype)

    def ints(self, *values: int) -> str:
        return self.g.constant(list(map(self.size, values)), np.int64)

    def axis(self, rank: int) -> int:
        return self.size(self.random.randint(-rank, rank - 1) if rank else 0)

    def broadcast(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this one."""
        kept = shape[self.random.randint(0, len(shape)) :]
        return tuple(n if self.random.randint(0, 2) else 1 for n in kept)

    # -- the graph -----------------------------------------------------------------------------------------------------

    def add(self) -> None:
        """A node, or a few; what they make is noted if inference knows what it is."""
        before = len(self.g.nodes)
        # an empty list has no type, a value may have none either, and sizes may be too large
        with contextlib.suppress(KeyError, ValueError, OverflowError, NotImplementedError):
            self.random.choice(OPERATORS)(self)
        self.note(before)

    def note(self, before: int) -> None:
        made = [value for node in self.g.nodes[before:] for value in node.output]
        if any(n < 0 for _, dims in self.values.values() for n in dims):
            return  # inference may end the process
        try:
            inferred = shape_inference.infer_shapes(self.g.model()).graph
        except Exception:
            return
        for value in inferred.value_info:
            kind = value.type.tensor_type
            if value.name in made and kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
                self.values[value.name] = kind.elem_type, tuple(d.dim_value for d in kind.shape.dim)

    def model(self, nodes: int) -> onnx.ModelProto:
        for _ in range(nodes):
            self.add()
        if not self.g.nodes:
            self.g("Identity", self.pick())
        made = [value for node in self.g.nodes for value in node.output if value]
        read = {value for node in self.g.nodes for value in node.input}
        ends = [value for value in made if value not in read] or made[-1:]
        ends += [value for value in made if value in read and self.random.randint(0, 9) == 9]
        unknown = (FLOAT, None)
        self.g.outputs = [helper.make_tensor_value_info(v, *self.values.get(v, unknown)) for v in dict.fromkeys(ends)]
        return self.g.model()


Operator = Callable[[Draw], Any]


def unary(d: Draw) -> Any:
    return d.g(d.random.choice(UNARY), d.pick(d.random.choice((FLOAT, FLOAT, None))))


def binary(d: Draw) -> Any:
    op, x = d.random.choice(BINARY), d.pick(d.random.choice((FLOAT, FLOAT, None)))
    kind, shape = d.values[x]
    operands = [x, d.other(kind, d.broadcast(shape))]
    if op != "PRelu" and d.random.randint(0, 1):
        operands.reverse()
    return d.g(op, *operands)


def cast(d: Draw) -> Any:
    return d.g("Cast", d.pick(None), to=d.size(d.random.choice(KINDS)))


def choose(d: Draw) -> Any:
    x = d.pick(None)
    kind, shape = d.values[x]
    return d.g("Where", d.other(BOOL, d.broadcast(shape)), x, d.other(kind, d.broadcast(shape)))


def normal(d: Draw) -> Any:
    x = d.pick(FLOAT)
    if d.random.randint(0, 1) or not d.dims(x):
        return d.g("Softmax", x, axis=d.axis(len(d.dims(x))))
    n = d.dims(x)[-1:]
    return d.g("LayerNormalization", x, d.other(FLOAT, n), d.other(FLOAT, n), axis=-1)


def matmul(d: Draw) -> Any:
    x = d.pick(d.random.choice((FLOAT, FLOAT, FLOAT, INT32, TensorProto.DOUBLE)))
    kind, shape = d.values[x]
    if not shape:
        return d.g("MatMul", x, x)
    batch = d.broadcast(shape[:-2]) if d.random.randint(0, 1) else ()
    if d.random.randint(0, 4) == 4:
        return d.g("MatMul", x, d.other(kind, shape[-1:]))
    if d.random.randint(0, 3) == 3 and len(shape) > 1:
        return d.g("MatMul", d.other(kind, (*batch, *d.shape(1), shape[-2])), x)
    return d.g("MatMul", x, d.other(kind, (*batch, shape[-1], *d.shape(1))))


def gemm(d: Draw) -> Any:
    x = d.pick(FLOAT, 2)
    a, b = d.random.randint(0, 1), d.random.randint(0, 1)
    m, k = d.dims(x)[::-1] if a else d.dims(x)[:2] if len(d.dims(x)) > 1 else (1, 1)
    (n,) = d.shape(1)
    operands = [x, d.other(FLOAT, (n, k) if b else (k, n))]
    if d.random.randint(0, 1):
        operands.append(d.other(FLOAT, d.broadcast((m, n))))
    told = {"alpha": 0.5, "beta": d.random.choice((0.0, 1.0, 2.0))} if d.random.randint(0, 1) else {}
    return d.g("Gemm", *operands, transA=a, transB=b, **told)


def windows(d: Draw, rank: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if d.random.randint(0, 1):
        told["strides"] = [d.size(d.random.randint(1, 3)) for _ in range(rank)]
    if d.random.randint(0, 2) == 2:
        told["dilations"] = [d.size(d.random.randint(1, 2)) for _ in range(rank)]
    if d.random.randint(0, 1):
        told["pads"] = [d.size(d.random.randint(0, 1)) for _ in range(2 * rank)]
    elif d.random.randint(0, 2) == 2:
        told["auto_pad"] = d.random.choice(("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"))
    return told


def conv(d: Draw) -> Any:
    x = d.pick(FLOAT, d.random.choice((3, 4, 4, 5)))
    _, channels, *size = (*d.dims(x), 1, 1, 1)[: max(3, len(d.dims(x)))]
    op = d.random.choice(("Conv", "Conv", "ConvTranspose"))
    group = d.random.choice((1, 1, max(1, channels)))
    filters = group * d.random.randint(1, 2)
    kernel = [d.random.randint(1, max(1, min(3, n))) for n in size]
    sizes = (filters, channels // group) if op == "Conv" else (channels, filters // group)
    operands = [x, d.other(FLOAT, (*sizes, *kernel))]
    if d.random.randint(0, 1):
        operands.append(d.other(FLOAT, (filters,)))
    return d.g(op, *operands, group=d.size(group), **windows(d, len(size)))


def pool(d: Draw) -> Any:
    x = d.pick(FLOAT, d.random.choice((3, 4, 4, 5)))
    op = d.random.choice(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"))
    if op.startswith("Global"):
        return d.g(op, x)
    size = d.dims(x)[2:]
    told = windows(d, len(size))
    if op == "AveragePool" or "auto_pad" in told:  # where ONNX Runtime pads as if nothing was dilated
        told.pop("dilations", None)
    kernel = [d.size(d.random.randint(1, max(1, min(3, n)))) for n in size]
    return d.g(op, x, kernel_shape=kernel, ceil_mode=d.random.randint(0, 1), **told)


def reshape(d: Draw) -> Any:
    x = d.pick(None)
    shape = list(d.dims(x))
    d.random.shuffle(shape)
    if len(shape) > 1 and d.random.randint(0, 1):
        shape[:2] = [shape[0] * shape[1]]
    if shape and d.random.randint(0, 2) == 2:
        shape[d.random.randrange(len(shape))] = -1
    if d.random.randint(0, 1):
        return d.g("Reshape", x, d.ints(*shape))
    computed = d.g(
        "Concat", *(d.g("Unsqueeze", d.g.constant(d.size(n)), d.g.constant([0])) for n in shape or [1]), axis=0
    )
    return d.g("Reshape", x, computed)


def transpose(d: Draw) -> Any:
    x = d.pick(None)
    order = list(range(len(d.dims(x))))
    d.random.shuffle(order)
    return d.g("Transpose", x, perm=list(map(d.size, order)))


def flatten(d: Draw) -> Any:
    x = d.pick(None)
    return d.g("Flatten", x, axis=d.size(d.random.randint(0, len(d.dims(x)))))


def squeeze(d: Draw) -> Any:
    x = d.pick(None)
    ones = [axis for axis, n in enumerate(d.dims(x)) if n == 1]
    if ones and d.random.randint(0, 1):
        return d.g("Squeeze", x, d.ints(d.random.choice(ones)))
    return d.g("Unsqueeze", x, d.ints(d.random.randint(0, len(d.dims(x)))))


def concat(d: Draw) -> Any:
    x = d.pick(None)
    kind, shape = d.values[x]
    axis = d.random.randrange(len(shape)) if shape else 0
    more = [d.other(kind, (*shape[:axis], *d.shape(1), *shape[axis + 1 :])) for _ in range(d.random.randint(0, 2))]
    return d.g("Concat", x, *more, axis=d.size(axis))


def cut(d: Draw) -> Any:
    x = d.pick(None)
    axis = d.axis(len(d.dims(x)))
    begin, end = d.random.randint(-3, 2), d.random.choice((1, 2, 3, -1, 2**63 - 1))
    step = d.random.choice((1, 1, 2, -1))
    return d.g("Slice", x, d.ints(begin), d.ints(end), d.ints(axis), d.ints(step))


def gather(d: Draw) -> Any:
    x = d.pick(None)
    indices = d.ints(*(d.random.randint(-1, 0) for _ in range(d.random.randint(0, 3))))
    if d.random.randint(0, 3) == 3:
        indices = d.pick(INT64)
    return d.g("Gather", x, indices, axis=d.axis(len(d.dims(x))))


def split(d: Draw) -> Any:
    x = d.pick(None)
    axis = d.axis(len(d.dims(x)))
    n = d.dims(x)[axis] if -len(d.dims(x)) <= axis < len(d.dims(x)) else 1
    first = d.random.randint(0, min(9, max(0, n)))
    return d.g("Split", x, d.ints(first, n - first), outputs=2, axis=axis)


def widen(d: Draw) -> Any:
    x = d.pick(None)
    shape = d.dims(x)
    match d.random.randint(0, 2):
        case 0:
            return d.g("Expand", x, d.ints(*d.shape(d.random.randint(0, 2)), *shape))
        case 1:
            return d.g("Tile", x, d.ints(*(d.random.randint(1, 2) for _ in shape)))
        case _:
            return d.g("Pad", x, d.ints(*(d.random.randint(-1, 2) for _ in (*shape, *shape))))


def reduce(d: Draw) -> Any:
    x = d.pick(d.random.choice((FLOAT, FLOAT, INT32)))
    op = d.random.choice(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ArgMax"))
    rank = len(d.dims(x))
    if op == "ArgMax":
        return d.g(op, x, axis=d.axis(rank), keepdims=d.random.randint(0, 1))
    axes = sorted({d.axis(rank) for _ in range(d.random.randint(0, 2))})
    keep = d.random.randint(0, 1)
    if op == "ReduceSum":
        return d.g(op, x, *([d.g.constant(axes, np.int64)] if axes or d.random.randint(0, 1) else []), keepdims=keep)
    return d.g(op, x, keepdims=keep, **({"axes": axes} if axes else {}))


def shape_of(d: Draw) -> Any:
    x = d.pick(None)
    shape = d.g("Shape", x)
    match d.random.randint(0, 3):
        case 0:
            return d.g("ConstantOfShape", shape)
        case 1:
            return d.g("Size", x)
        case 2:
            return d.g("Expand", d.g.constant(0.5), shape)
        case _:
            n = d.g.size(x, d.axis(len(d.dims(x))))
            return d.g("Range", d.g.constant(0), n, d.g.constant(1))


def places(d: Draw) -> Any:
    """The places of what is not zero: of unknown number, unless it is constant."""
    x = d.g.constant([0.0, 1.0, 1.0]) if d.random.randint(0, 1) else d.pick(FLOAT)
    return d.g("NonZero", x)


def einsum(d: Draw) -> Any:
    x = d.pick(FLOAT)
    letters = "abcdef"[: len(d.dims(x))]
    out = list(dict.fromkeys(letters[:-1] + "z" if letters else "z"))
    d.random.shuffle(out)
    n = d.shape(1)
    return d.g(
        "Einsum", x, d.other(FLOAT, (*d.dims(x)[-1:], *n)), equation=f"{letters},{letters[-1:]}z->{''.join(out)}"
    )


def recurrent(d: Draw) -> Any:
    x = d.pick(FLOAT, 3)
    if 0 in d.dims(x):
        return None  # ONNX Runtime ends the process when no step runs backward
    op, hidden = d.random.choice((("LSTM", 4), ("GRU", 3), ("RNN", 1))), d.random.randint(1, 3)
    both = d.random.choice(("forward", "reverse", "bidirectional"))
    directions = 2 if both == "bidirectional" else 1
    rows = op[1] * hidden
    operands = [d.other(FLOAT, (directions, rows, *d.dims(x)[-1:])), d.other(FLOAT, (directions, rows, hidden))]
    if d.random.randint(0, 1):
        operands.append(d.other(FLOAT, (directions, 2 * rows)))
    return d.g(op[0], x, *operands, outputs=2, hidden_size=d.size(hidden), direction=both)


def quantized(d: Draw) -> Any:
    x = d.pick(FLOAT)
    y, scale, zero = d.g("DynamicQuantizeLinear", x, outputs=3)
    if d.random.randint(0, 1) or not d.dims(x):
        return d.g("DequantizeLinear", y, scale, zero)
    return d.g("MatMulInteger", y, d.other(INT8, (d.dims(x)[-1], *d.shape(1))), zero)


def inside(d: Draw, x: str, made: str) -> list[onnx.NodeProto]:
    """A few nodes of a body: what they make has the shape of what they read."""
    kind, shape = d.values[x]
    middle = [f"{made}/{i}" for i in range(2)]
    nodes = [helper.make_node(d.random.choice(("Relu", "Neg", "Identity")), [x], middle[:1])]
    if shape and kind == FLOAT and d.random.randint(0, 1):
        nodes.append(helper.make_node("MatMul", [middle[0], d.other(FLOAT, (shape[-1], shape[-1]))], middle[1:]))
    else:
        nodes.append(helper.make_node("Add", [middle[0], d.other(kind, d.broadcast(shape))], middle[1:]))
    return [*nodes, helper.make_node("Identity", middle[1:], [made])]


def choice(d: Draw) -> Any:
    x = d.pick(FLOAT)
    kind, shape = d.values[x]
    number = len(d.g.nodes)
    bodies = []
    for name in ("then", "else"):
        made = helper.make_tensor_value_info(f"{name}_{number}", kind, shape)
        bodies.append(helper.make_graph(inside(d, x, made.name), name, [], [made]))
    return d.g("If", d.other(BOOL, ()), then_branch=bodies[0], else_branch=bodies[1])


def loop(d: Draw) -> Any:
    x = d.pick(FLOAT)
    kind, shape = d.values[x]
    number = len(d.g.nodes)
    names = [f"{name}_{number}" for name in ("trip", "go", "state", "on", "next", "slice")]
    d.values[names[2]] = kind, shape
    nodes = inside(d, names[2], names[4])
    del d.values[names[2]]
    nodes = [
        helper.make_node("Identity", [names[1]], [names[3]]),
        *nodes,
        helper.make_node("Neg", [names[4]], [names[5]]),
    ]
    given = [(names[0], INT64, ()), (names[1], BOOL, ()), (names[2], kind, shape)]
    results = [(names[3], BOOL, ()), (names[4], kind, shape), (names[5], kind, shape)]
    body = helper.make_graph(
        nodes, "body", *([helper.make_tensor_value_info(*v) for v in vs] for vs in (given, results))
    )
    trips = d.g.constant(d.size(d.random.randint(0, 3))) if d.random.randint(0, 3) else d.other(INT64, ())
    go = d.random.choice(("", d.g.constant(True)))
    return d.g("Loop", trips, go, x, outputs=2, body=body)


def scan(d: Draw) -> Any:
    """The running sum of an input, and what the body makes of each."""
    x = d.pick(FLOAT)
    shape = d.dims(x)
    if not shape or shape[0] < 0:
        return None
    number = len(d.g.nodes)
    total, item, after, result = (f"{name}_{number}" for name in ("total", "item", "after", "result"))
    d.values[after] = FLOAT, shape[1:]
    nodes = [helper.make_node("Add", [total, item], [after]), *inside(d, after, result)]
    del d.values[after]
    given, made = (
        [helper.make_tensor_value_info(name, FLOAT, shape[1:]) for name in names]
        for names in ((total, item), (after, result))
    )
    told = {
        "scan_input_directions": [d.random.randint(0, 1)],
        "scan_output_axes": [d.random.randint(0, len(shape) - 1)],
    }
    body = helper.make_graph(nodes, "body", given, made)
    return d.g("Scan", d.other(FLOAT, shape[1:]), x, outputs=2, body=body, num_scan_inputs=1, **told)


def sequence(d: Draw) -> Any:
    """A value that is no tensor."""
    x = d.pick(FLOAT)
    several = d.g("SequenceConstruct", x, x)
    return d.g("SequenceAt", several, d.g.constant(0)) if d.random.randint(0, 1) else several


OPERATORS: tuple[Operator, ...] = (
    *(unary, binary, cast, choose, normal, matmul, matmul, gemm, conv, conv, pool, einsum, recurrent, quantized),
    *(reshape, transpose, flatten, squeeze, concat, cut, gather, split, widen, reduce, shape_of, places),
    *(choice, loop, scan, sequence),
)


def spoil(proto: onnx.ModelProto, random: Random) -> bytes:
    """The model with something wrong in it, as bytes: protobuf itself refuses a few of these."""
    random.choice(SPOILS)(proto, random)
    data = proto.SerializeToString()
    if random.randint(0, 9) == 9:  # a name that is no text
        name = random.choice([v for n in proto.graph.node for v in (*n.output, n.name, n.op_type)] or ["main_graph"])
        data = data.replace(name.encode(), b"\xff" * len(name.encode()), random.randint(1, 2)) if name else data
    return data


def _node(proto: onnx.ModelProto, random: Random) -> onnx.NodeProto:
    return random.choice(proto.graph.node)


def _rename(proto: onnx.ModelProto, random: Random) -> None:
    """A value that a node reads or makes, or its operator, becomes another one's, nothing, or an odd name."""
    node = _node(proto, random)
    names = random.choice((node.input, node.output))
    known = [v for n in proto.graph.node for v in (*n.input, *n.output)]
    new = random.choice((*known, "", "nobody", "a b", 'quo"te', "new\nline", "->", "é", " ", "x0"))
    if names:
        names[random.randrange(len(names))] = new


def _name(proto: onnx.ModelProto, random: Random) -> None:
    for _ in range(2):
        _node(proto, random).name = random.choice(
            ("", "twice", "a b", "new\nline", ")", "->", 'q"', "Conv_0", "é\u2028")
        )


def _operator(proto: onnx.ModelProto, random: Random) -> None:
    node = _node(proto, random)
    node.op_type = random.choice(
        [n.op_type for n in proto.graph.node] + ["Conv", "Loop", "Scan", "LSTM", "Odd", "", "Gemm"]
    )
    node.domain = random.choice(("", "", "ai.onnx", "com.microsoft", "own"))


def _attribute(proto: onnx.ModelProto, random: Random) -> None:
    """An attribute of another type or value, without one, twice, or missing."""
    node = _node(proto, random)
    if not node.attribute:
        node.attribute.append(helper.make_attribute(random.choice(("axis", "to", "perm", "body", "group")), 1))
        return
    index = random.randrange(len(node.attribute))
    name = node.attribute[index].name
    new = random.choice((0, -1, 2**40, 0.5, "text", [1], [-1, 2**40], [0.5], np.inf, [0] * 9))
    match random.randint(0, 3):
        case 0:
            del node.attribute[index]
        case 1:
            node.attribute.add(name=name)
        case 2:
            node.attribute[index].type = random.randint(0, 14)
        case _:
            node.attribute[index].CopyFrom(helper.make_attribute(name, new))


def _operands(proto: onnx.ModelProto, random: Random) -> None:
    """Fewer, or more, inputs or outputs."""
    node = _node(proto, random)
    names = random.choice((node.input, node.output))
    if names and random.randint(0, 2):
        del names[random.randrange(len(names)) :]
    else:
        names.extend([random.choice(("", "more", *names))] * random.randint(1, 9))


def _type(proto: onnx.ModelProto, random: Random) -> None:
    """An input, output or weight of another type or shape than the graph needs, or of none."""
    value = random.choice((*proto.graph.input, *proto.graph.output))
    match random.randint(0, 4):
        case 0:
            value.type.tensor_type.elem_type = random.choice((*KINDS, 0, 8, 99))
        case 1:
            value.ClearField("type")
        case 2:
            value.type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
        case 3:
            value.type.tensor_type.ClearField("shape")
        case _:
            for dim in value.type.tensor_type.shape.dim:
                dim.dim_value = random.choice((dim.dim_value, dim.dim_value + 1, *ODD))


def _weight(proto: onnx.ModelProto, random: Random) -> None:
    """A weight that is missing, there twice, of another shape or type than its bytes, or elsewhere."""
    if not proto.graph.initializer:
        return
    index = random.randrange(len(proto.graph.initializer))
    tensor = proto.graph.initializer[index]
    match random.randint(0, 5):
        case 0:
            del proto.graph.initializer[index]
        case 1:
            proto.graph.initializer.add().CopyFrom(tensor)
        case 2:
            tensor.dims.append(random.choice((1, 2, *ODD)))
        case 3:
            tensor.data_type = random.choice((*KINDS, 0, 8, 99))
        case 4:
            tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
        case _:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=random.choice(("gone", "../gone", "")))


def _version(proto: onnx.ModelProto, random: Random) -> None:
    match random.randint(0, 2):
        case 0:
            proto.opset_import[0].version = random.choice((0, 1, 5, 6, 7, 9, 11, 13, 18, 20, 21, 23, 99, -1, 2**62))
        case 1:
            proto.ir_version = random.choice((0, 1, 3, 4, 99, -1))
        case _:
            del proto.opset_import[:]


def _order(proto: onnx.ModelProto, random: Random) -> None:
    """Nodes in another order, twice, or gone."""
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in proto.graph.node]
    match random.randint(0, 2):
        case 0:
            random.shuffle(nodes)
        case 1:
            nodes.append(nodes[0])
        case _:
            del nodes[random.randrange(len(nodes))]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _symbol(proto: onnx.ModelProto, random: Random) -> None:
    for value in proto.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if random.randint(0, 2) == 2:
                dim.dim_param = random.choice(("n", "m", "past + n", "", "?"))


SPOILS = (_rename, _name, _operator, _attribute, _attribute, _operands, _type, _weight, _version, _order, _symbol)


def inputs(proto: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    """Values for the inputs of a model."""
    rng, found = np.random.default_rng(seed), {}
    for value in proto.graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        drawn = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)
        found[value.name] = np.asarray(drawn).astype(dtype)
    return found
