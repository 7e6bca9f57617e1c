"""LSTM, GRU and RNN: the product of all inputs by W, then step by step that of the state by R.

The steps are a Scan, which hands each of them the inputs' part of its gates. Where a sequence has ended, as
sequence_lens says, a step leaves the state as it is, and its output is 0; of a sequence without steps all is 0, as in
ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from frontends.onnx.expand.body import Body
from frontends.onnx.expand.quantized import scaled

Step = Callable[[Body, str, Sequence[str]], list[str]]
"""Writes a step into a body: of the inputs' part of the gates and the states before it, the states after it."""

_LABELS = {"forward": ("",), "reverse": ("",), "bidirectional": ("forward/", "backward/")}
"""By the attribute direction: for each direction, what the names of its layers begin with."""

_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"), ()),
    **dict.fromkeys(("Elu", "LeakyRelu", "ThresholdedRelu"), ("alpha",)),
    **dict.fromkeys(("Affine", "HardSigmoid", "ScaledTanh"), ("alpha", "beta")),
}
"""Which of alpha and beta an activation has; those that have one use up the values of the attribute in order."""


def rnn(body: Body) -> None:
    """RNN: H' = f(X W + H R + b). InputError for shapes and attributes that do not fit, as from the other two."""
    _Writer(body, 1, ("Tanh",)).write(_rnn)


def gru(body: Body) -> None:
    """GRU: H' = (1 - z) n + z H with z, r = f(X Wzr + H Rzr + bzr) and n = g(X Wn + (r H) Rn + bn), or with
    linear_before_reset n = g(X Wn + Wbn + r (H Rn + Rbn))."""
    _Writer(body, 3, ("Sigmoid", "Tanh"), apart=_linear(body)).write(_gru)


def lstm(body: Body) -> None:
    """LSTM: H' = o h(C') and C' = f C + i g(X Wc + H Rc + bc) with i, o, f = f(X W + H R + b + P C), C' for C in o, or
    with input_forget f = 1 - i."""
    _Writer(body, 4, ("Sigmoid", "Tanh", "Tanh"), states=("h", "c")).write(_lstm)


def dynamic_lstm(body: Body) -> None:
    """DynamicQuantizeLSTM of com.microsoft: the same with W and R as integers, which each have a scale and a zero point
    for each direction, or for each column of it; the inputs and the states are quantised as their values ask for.

    Sequences of several lengths are not taken apart if a direction is backward: their last steps come first together,
    which decides what is quantised together.
    """
    if body.site.optional(4) and body.site.attributes.get("direction", "forward") != "forward":
        return
    _Writer(body, 4, ("Sigmoid", "Tanh", "Tanh"), states=("h", "c"), integers=True).write(_lstm)


@dataclass(frozen=True)
class _Function:
    """An activation, what it is told of alpha and beta, and the bound of what it is given (None: there is none)."""

    op: str
    told: Mapping[str, float]
    dtype: np.dtype[Any]
    clip: float | None

    def __call__(self, body: Body, value: str) -> str:
        """Write it into a body."""
        if self.clip is not None:
            value = body("Clip", value, *(body.constant(bound, self.dtype) for bound in (-self.clip, self.clip)))
        if self.op not in ("Affine", "ScaledTanh"):  # which are no operators
            return body(self.op, value, **dict[str, Any](self.told))
        alpha, beta = (body.constant(self.told[key], self.dtype) for key in ("alpha", "beta"))
        if self.op == "Affine":
            return body("Add", body("Mul", value, alpha), beta)
        return body("Mul", body("Tanh", body("Mul", value, beta)), alpha)


@dataclass(frozen=True)
class _Weight:
    """A weight of a direction: [rows, columns], or where it has a scale integers [columns, rows]."""

    value: str
    scale: str = ""
    zero: str = ""

    def times(self, body: Body, x: str, name: str, bias: str = "") -> str:
        """The product with [.., columns], in a layer of that name, plus a bias [rows]."""
        if not self.scale:
            return body("Gemm", x, self.value, bias, name=name, transB=1)
        body("DynamicQuantizeLinear", x, outputs=3)
        x, x_scale, x_zero = body.last
        product = body("MatMulInteger", x, self.value, x_zero, self.zero, name=name)
        product = scaled(body, product, body("Mul", x_scale, self.scale))
        return body("Add", product, bias) if bias else product


@dataclass(frozen=True)
class _Direction:
    """What the steps of a direction need besides the inputs' part: the weight R, its bias ("" if that is in the inputs'
    part), the peepholes ("" without), the functions, the number of hidden values and their type."""

    weight: _Weight
    bias: str
    peepholes: str
    functions: Sequence[_Function]
    hidden: int
    dtype: np.dtype[Any]

    def recurrent(self, body: Body, state: str) -> str:
        """The product of the state by R."""
        return self.weight.times(body, state, "recurrent", self.bias)

    def rest(self, body: Body, value: str) -> str:
        """1 less a value."""
        return body("Sub", body.constant(1, self.dtype), value)


class _Writer:
    """Writes a node with so many gates, with these states, and these functions unless the node names others.

    If they are `apart`, the biases of W and R are added to the products of each. If W and R are `integers`, they come
    with scales and zero points.
    """

    def __init__(
        self,
        body: Body,
        gates: int,
        functions: tuple[str, ...],
        *,
        states: tuple[str, ...] = ("h",),
        apart: bool = False,
        integers: bool = False,
    ) -> None:
        self.body, self.site, self.states, self.apart, self.integers = body, body.site, states, apart, integers
        told, (x, _, r) = self.site.attributes, body.required(3)
        direction, self.layout = str(told.get("direction", "forward")), int(told.get("layout", 0))
        if direction not in _LABELS:
            raise self.site.refuse(f"unknown direction {direction}", f"one of {', '.join(_LABELS)}")
        self.labels, self.turned = _LABELS[direction], (direction == "reverse", True)
        self.shape, self.dtype = self.site.shape(x), body.region.shapes.dtype(x)
        if len(self.shape) != 3 or self.layout not in (0, 1):
            raise self.site.refuse(f"an input of shape {self.shape} in layout {self.layout} is not supported")
        columns = self.site.shape(r)[1:2] if integers else self.site.shape(r)[-1:]
        self.hidden = int(told.get("hidden_size") or math.prod(columns))
        self.rows, self.batch = gates * self.hidden, self.shape[1 - self.layout]
        self._check_shapes()
        self.functions = self._functions(functions)
        self.x = body.reshape(x, -1, self.shape[2])
        self.mask, self.some = self._masks()

    def write(self, cell: Callable[[Body, _Direction], Step]) -> None:
        """Write it, with the steps that `cell` makes of a direction."""
        weights = (self._weights(index, 8 + 2 * number) for number, index in enumerate((1, 2)))
        operands = zip(*weights, *(self._each(index) for index in (3, 7)), strict=True)
        first = zip(*(self._first(5 + index) for index in range(len(self.states))), strict=True)
        ends = [self._direction(n, cell, *each) for n, each in enumerate(zip(operands, first, strict=True))]
        for index, axis in enumerate((1 + self.layout, *[self.layout] * len(self.states))):
            parts = [self.body("Unsqueeze", values[index], self.body.integers(axis)) for values in ends]
            self.body.result(index, self.body("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0])

    def _direction(
        self,
        n: int,
        cell: Callable[[Body, _Direction], Step],
        operands: tuple[_Weight, _Weight, str, str],
        first: Sequence[str],
    ) -> list[str]:
        """The outputs of all steps of a direction, and the states after the last."""
        body = self.body
        weight, recurrent, bias, peepholes = operands
        later = ""
        if bias:
            bias, later = _parts(body, bias, 2)
            if not self.apart:
                bias, later = body("Add", bias, later), ""
        product = weight.times(body, self.x, f"{self.labels[n]}input", bias)
        inner = body.inside()
        states, x, mask = [inner.named(name) for name in self.states], inner.named("x"), inner.named("mask")
        given = {x: body.reshape(product, *self.shape[:2], self.rows)}
        step = cell(body, _Direction(recurrent, later, peepholes, self.functions[n], self.hidden, self.dtype))

        after = step(inner, x, states)
        y = after[0]
        if self.mask:
            given[mask] = self.mask
            after = [inner("Where", mask, *pair) for pair in zip(after, states, strict=True)]
            y = inner("Where", mask, y, inner.constant(0, self.dtype)) if self.site.outputs[0] else after[0]
        ends = {inner.named(f"next_{name}"): value for name, value in zip(self.states, after, strict=True)}
        inner.results = ends | {inner.named("y"): y}
        axis, turned = self.layout, int(self.turned[n])
        body(
            "Scan",
            *first,
            *given.values(),
            name=f"{self.labels[n]}steps",
            outputs=len(self.states) + 1,
            body=inner.graph(*states, *given),
            num_scan_inputs=len(given),
            scan_input_axes=[axis] * len(given),
            scan_input_directions=[turned] * len(given),
            scan_output_axes=[axis],
            scan_output_directions=[turned],
        )
        *last, y = body.last
        return [y, *last]

    def _each(self, index: int, axis: int = 0) -> list[str]:
        """What each direction has of an input that lists them along `axis`; "" if it is left out."""
        value, count = self.site.optional(index), len(self.labels)
        if value is None:
            return [""] * count
        parts = _parts(self.body, value, count, axis) if count > 1 else [value]
        return [self.body("Squeeze", part, self.body.integers(axis)) for part in parts]

    def _weights(self, index: int, scale: int) -> list[_Weight]:
        """What each direction has of a weight; its scales are at the index `scale`, its zero points behind."""
        if not self.integers:
            return [_Weight(value) for value in self._each(index)]
        return [_Weight(*parts) for parts in zip(*(self._each(i) for i in (index, scale, scale + 1)), strict=True)]

    def _first(self, index: int) -> list[str]:
        """What each direction has of a state before the first step."""
        if self.site.optional(index) is None:
            return [self.body.full(0, self.dtype, self.batch, self.hidden)] * len(self.labels)
        values = self._each(index, self.layout)
        if not self.some:
            return values
        zero = self.body.constant(0, self.dtype)
        return [self.body("Where", self.some, value, zero) for value in values]

    def _masks(self) -> tuple[str | None, str | None]:
        """Which steps a sequence has, in the layout of the inputs, and whether it has any; None if all have all."""
        lengths = self.site.optional(4)
        if lengths is None:
            return None, None
        columns = ((-1, 1, 1), (-1, 1)) if self.layout == 0 else ((-1, 1), (-1, 1, 1))
        steps = self.body.reshape(self.body.places(self.shape[self.layout], np.int32), *columns[0])
        has = self.body("Less", steps, self.body.reshape(lengths, *columns[1]))
        return has, self.body("Greater", self.body.reshape(lengths, -1, 1), self.body.constant(0, np.int32))

    def _check_shapes(self) -> None:
        """Raise InputError if an input has another shape than X and the attributes ask for."""
        count = len(self.labels)
        state = (self.batch, count, self.hidden) if self.layout else (count, self.batch, self.hidden)
        weights = [(count, self.rows, self.shape[2]), (count, self.rows, self.hidden)]
        if self.integers:
            weights = [(n, columns, rows) for n, rows, columns in weights]
        others = [(count, 2 * self.rows), (self.batch,), state, state, (count, 3 * self.hidden)]
        for index, shape in enumerate([*weights, *others], 1):
            value = self.site.optional(index)
            if value and self.site.shape(value) != shape:
                raise self.site.refuse(f"{value} has shape {self.site.shape(value)}, not {shape}")

    def _functions(self, names: tuple[str, ...]) -> list[list[_Function]]:
        """By direction: those of the node, or these."""
        told, count = self.site.attributes, len(names) * len(self.labels)
        named = [name.decode("utf-8", "replace") for name in told.get("activations", ())] or names * len(self.labels)
        if len(named) < count:
            raise self.site.refuse(f"it has {len(named)} activations where {count} are needed")
        bound = told.get("clip")
        if bound is not None and bound <= 0:
            raise self.site.refuse(f"clip is {bound:g}, and must be more than 0")
        known = {name.lower(): name for name in _ACTIVATIONS}
        values = {key: iter(told.get(f"activation_{key}", ())) for key in ("alpha", "beta")}
        functions = []
        for index, name in enumerate(named):
            op = known.get(name.lower())
            if op is None:
                raise self.site.refuse(f"unknown activation {name}", f"one of {', '.join(_ACTIVATIONS)}")
            found = {key: next(values[key], None) for key in _ACTIVATIONS[op]}
            own = {key: value for key, value in found.items() if value is not None}
            if op in ("Affine", "ScaledTanh") and len(own) < 2:  # the others have defaults as operators
                raise self.site.refuse(f"the activation {name} needs an activation_alpha and an activation_beta")
            clip = bound if index % len(names) < 2 else None  # the h of an LSTM works on no gate
            functions.append(_Function(op, own, self.dtype, clip))
        return [functions[first : first + len(names)] for first in range(0, count, len(names))]


# -- cells -------------------------------------------------------------------------------------------------------------


def _rnn(body: Body, own: _Direction) -> Step:
    def step(body: Body, x: str, states: Sequence[str]) -> list[str]:
        return [own.functions[0](body, body("Add", x, own.recurrent(body, states[0])))]

    return step


def _linear(body: Body) -> bool:
    return bool(body.site.attributes.get("linear_before_reset", 0))


def _gru(body: Body, own: _Direction) -> Step:
    f, g = own.functions
    linear, candidate = _linear(body), ""
    if not linear:  # the product for n waits for r
        body("Split", own.weight.value, body.integers(2 * own.hidden, own.hidden), outputs=2)
        own, candidate = replace(own, weight=_Weight(body.last[0])), body.last[1]

    def step(body: Body, x: str, states: Sequence[str]) -> list[str]:
        (h,) = states
        x_z, x_r, x_n = _parts(body, x, 3)
        h_z, h_r, *h_n = _parts(body, own.recurrent(body, h), 2 + linear)
        z, r = f(body, body("Add", x_z, h_z)), f(body, body("Add", x_r, h_r))
        if linear:
            new = body("Mul", r, *h_n)
        else:
            new = body("Gemm", body("Mul", r, h), candidate, name="hidden/recurrent", transB=1)
        new = g(body, body("Add", x_n, new))
        return [body("Add", body("Mul", own.rest(body, z), new), body("Mul", z, h))]

    return step


def _lstm(body: Body, own: _Direction) -> Step:
    f, g, h = own.functions
    coupled = bool(body.site.attributes.get("input_forget", 0))
    peepholes = _parts(body, own.peepholes, 3) if own.peepholes else []

    def step(body: Body, x: str, states: Sequence[str]) -> list[str]:
        def gate(value: str, index: int, cell: str) -> str:
            return f(body, body("Add", value, body("Mul", peepholes[index], cell)) if peepholes else value)

        hidden, cell = states
        gates = body("Add", x, own.recurrent(body, hidden))
        # C joins them, or what the peepholes make of it would be made, and written, before the product
        i, o, forget, new, cell = _parts(body, body("Concat", gates, cell, axis=-1), 5)
        i = gate(i, 0, cell)
        forget = own.rest(body, i) if coupled else gate(forget, 2, cell)
        cell = body("Add", body("Mul", forget, cell), body("Mul", i, g(body, new)))
        return [body("Mul", gate(o, 1, cell), h(body, cell)), cell]

    return step


def _parts(body: Body, value: str, count: int, axis: int = -1) -> list[str]:
    """So many equal parts of a value along an axis."""
    body("Split", value, axis=axis, outputs=count)
    return body.last
