"""A layer written by hand, as the command line takes it.

conv K=256 C=48 P=27 Q=27 R=5 S=5 stride=1 dilation=1     dims N G K C P Q R S, in 3-D D and T too; K, C per group
gemm M=16 N=16 K=16 B=4                                   M, N and K are needed; B: batch, 1 unless given
einsum O[m,n] += A[m,k] * B[k,n] m=16 n=16 k=16           the expression quoted or not, the extents in braces or not
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mapper.errors import InputError
from mapper.ir import LoopNest, conv, gemm, parse_einsum, parse_extents
from mapper.spelling import did_you_mean

_CONV_DIMS = ("N", "G", "K", "C", "D", "P", "Q", "T", "R", "S")
_CONV_STEPS = ("stride", "dilation")
_GEMM_NEEDED = ("M", "N", "K")
_GEMM_DIMS = (*_GEMM_NEEDED, "B")
_FORMS = ("conv", "gemm", "einsum")
_MEANT = {
    "H": "P is the height of the output; that of the input follows, stride * (P - 1) + dilation * (R - 1) + 1",
    "W": "Q is the width of the output; that of the input follows, stride * (Q - 1) + dilation * (S - 1) + 1",
    "pad": "padding belongs to the input: P and Q are the outputs with it",
}
"""What who writes a convolution's input, as other tools take it, is told."""
_ALSO = {"OH": "P", "OW": "Q", "OC": "K", "IC": "C", "KH": "R", "KW": "S", "FH": "R", "FW": "S", "M": "K"}
"""Other tools' names of a convolution's dims."""


def parse_layer(text: str) -> LoopNest:
    """The nest that `text` describes; InputError that names the word it cannot read."""
    form, _, rest = text.strip().partition(" ")
    match form:
        case "conv":
            words = _words(rest, (*_CONV_DIMS, *_CONV_STEPS), _conv_hint)
            dims = {key: _extent(key, value) for key, value in words.items() if key in _CONV_DIMS}
            steps = {key: _steps(key, value) for key, value in words.items() if key in _CONV_STEPS}
            return conv(**dims, **steps)  # type: ignore[arg-type]
        case "gemm":
            dims = {key: _extent(key, value) for key, value in _words(rest, _GEMM_DIMS).items()}
            if missing := [dim for dim in _GEMM_NEEDED if dim not in dims]:
                raise InputError(
                    f"'{text.strip()}': a gemm needs {' and '.join(missing)}",
                    hint="a product is O[M,N] += A[M,K] * B[K,N]; write N=1 for a vector",
                )
            return gemm(**dims)
        case "einsum":
            return _einsum(rest)
    if re.search(r"(\+|max|min)=", text):  # the text form as `str` prints it
        return _einsum(text)
    hint = did_you_mean(form, _FORMS) or f"a layer begins with {', '.join(_FORMS[:-1])} or {_FORMS[-1]}"
    raise InputError(f"unknown kind of layer '{form}'" if form else "the layer is empty", hint=hint)


def _conv_hint(key: str) -> str | None:
    """What is meant by a key that a convolution does not have but other tools do."""
    if key.upper() in _ALSO:
        return f"that is {_ALSO[key.upper()]} here"
    return _MEANT.get("pad" if key.lower().startswith("pad") else key.upper())


def _words(text: str, keys: Sequence[str], hint_of: Callable[[str], str | None] = lambda _: None) -> dict[str, str]:
    """`key=value` words by key, each at most once; `hint_of` an unknown key says what to write in its place."""
    found: dict[str, str] = {}
    for word in text.replace(",", " ").split():
        key, equals, value = word.partition("=")
        if key not in keys:
            hint = hint_of(key) or did_you_mean(key, keys) or f"known: {' '.join(keys)}"
            raise InputError(f"unknown key '{key}' in '{word}'", hint=hint)
        if not equals or not value:
            raise InputError(f"'{word}' has no value", hint=f"write it as {key}=4")
        if key in found:
            raise InputError(f"'{key}' is given twice, in '{word}' again")
        found[key] = value
    return found


def _extent(key: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) < 1:
        raise InputError(f"'{key}={value}': an extent is a whole number of at least 1 and at most 15 digits")
    return int(value)


def _steps(key: str, value: str) -> tuple[int, ...]:
    """`2` for all axes, or `2x1`, vertical then horizontal, or `1x2x2` with the depth first."""
    parts = value.split("x")
    if len(parts) > 3 or not all(re.fullmatch(r"0*[1-9][0-9]{0,14}", part) for part in parts):
        raise InputError(f"'{key}={value}': a {key} is a whole number of at least 1, or one for each axis as in 2x1")
    return tuple(map(int, parts))


def _einsum(text: str) -> LoopNest:
    # the expression ends with its last bracket, whatever quotes and braces stand around it and the extents
    expression, bracket, extents = re.sub(r"[\"'{}]", " ", text).rpartition("]")
    return parse_einsum((expression + bracket).strip(), parse_extents(extents))
