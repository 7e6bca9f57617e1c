"""Reading loop nests and networks from their text form; `str` prints it.

    O[M,N] += A[M,K] * B[K,N] {M=16 N=16 K=16}
    O[C,P] max= I[C,2*P+R] {C=64 P=56 R=3}

The accumulated tensor is the output, the first operand the input, the second, if there is one, the weight.
"""

from __future__ import annotations

import json
import re

from mapper.errors import InputError
from mapper.ir.nest import LoopNest, Rank, Reduction, Role, Tensor, Term
from mapper.ir.network import Elements, Network, Node

_NAME = r"[A-Za-z_][A-Za-z_0-9]*"
_EINSUM = re.compile(r"([^=]*?)(\+|\bmax|\bmin)=(.*)", re.DOTALL)
_TENSOR = re.compile(rf"\s*({_NAME})\s*(?::(\d{{0,4}})(?:/(\d{{1,4}}))?)?\s*\[([^\]]*)\]\s*")
_TERM = re.compile(rf"(?:(\d{{1,19}})\s*\*\s*)?({_NAME})|({_NAME})\s*\*\s*(\d{{1,19}})")
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')
_EXTENT = re.compile(rf"({_NAME})\s*=\s*(-?\d{{1,19}})")


def parse_nest(text: str) -> LoopNest:
    """The nest that `text` describes; InputError if it does not parse or is not a valid layer."""
    match = re.fullmatch(r"\s*(.*?)\s*\{([^{}]*)\}\s*", text, re.DOTALL)
    if not match:
        raise InputError("expected 'O[..] += A[..] * B[..] {dim=extent ...}'", place=text.strip())
    return parse_einsum(match[1], parse_extents(match[2]))


def parse_extents(text: str) -> tuple[tuple[str, int], ...]:
    """`M=16 N=16` (spaces or commas between) as pairs."""
    words = text.replace(",", " ").split()
    pairs = []
    for word in words:
        match = _EXTENT.fullmatch(word)
        if not match:
            raise InputError(f"'{word}' is not of the form dim=extent")
        pairs.append((match[1], int(match[2])))
    return tuple(pairs)


def parse_einsum(text: str, dims: tuple[tuple[str, int], ...]) -> LoopNest:
    """`O[m,n] += A[m,k] * B[k,n]` or `O[p] max= I[2*p+r]` with the given extents."""
    match = _EINSUM.fullmatch(text)
    # a '*' between operands follows a closing bracket; inside brackets it is a coefficient
    operands = re.split(r"(?<=\])\s*\*", match[3]) if match else []
    if not match or len(operands) > 2:
        raise InputError("expected 'O[..] += A[..] * B[..]', or 'O[..] max= A[..]'", place=text.strip())
    parts = zip((match[1], *operands), (Role.OUTPUT, Role.INPUT, Role.WEIGHT), strict=False)
    (output, partial_bits), *rest = (_tensor(part, role) for part, role in parts)
    return LoopNest(dims, (*(tensor for tensor, _ in rest), output), partial_bits, Reduction(match[2]))


def _tensor(text: str, role: Role) -> tuple[Tensor, int | None]:
    """A tensor and, of an output, the bits of a partial sum."""
    match = _TENSOR.fullmatch(text)
    if not match or (match[3] and role is not Role.OUTPUT):
        raise InputError(
            f"'{text.strip()}' is not a tensor", hint="write it as A[m,k], A:8[m,k], or for an output O:8/32[m,n]"
        )
    ranks = tuple(_rank(part) for part in match[4].split(",") if match[4].strip())
    return Tensor(match[1], role, ranks, int(match[2]) if match[2] else None), int(match[3]) if match[3] else None


def _rank(text: str) -> Rank:
    terms = []
    for part in text.split("+"):
        match = _TERM.fullmatch(part.strip())
        if not match:
            raise InputError(f"'{text.strip()}' is not a sum of dims", hint="write it as 2*p+r")
        terms.append(Term(match[2] or match[3], int(match[1] or match[4] or 1)))
    return tuple(terms)


def parse_network(text: str) -> Network:
    """The network that `str(network)` printed; InputError with the line number if it does not parse."""
    name, tensors, nodes, stored = "", [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = _WORD.findall(line)
        try:
            match words:
                case []:
                    pass
                case ["network", quoted]:
                    name = _unquote(quoted)
                case ["tensor", quoted, shape, *rest] if rest in ([], ["stored"]):
                    stored += [_unquote(quoted)] if rest else []
                    dims = () if shape == "scalar" else tuple(int(n) for n in shape.split("x"))
                    tensors.append((_unquote(quoted), dims))
                case ["layer" | "other", _, _, *_]:
                    nodes.append(_node(line, words))
                case _:
                    raise InputError("expected 'network', 'tensor', 'layer' or 'other'")
        except (ValueError, KeyError, InputError) as error:
            raise InputError(f"cannot be read: {error}", place=f"line {number}") from error
    return Network(name, tuple(tensors), tuple(nodes), frozenset(stored))


def _node(line: str, words: list[str]) -> Node:
    inputs_end = words.index("->")
    outputs_end = words.index(")", inputs_end)
    inputs = tuple(_unquote(w) for w in words[3:inputs_end] if w not in "()")
    outputs = tuple(_unquote(w) for w in words[inputs_end + 1 : outputs_end] if w not in "()")
    name, op, rest = _unquote(words[1]), _unquote(words[2]), words[outputs_end + 1 :]
    colon = rest.index(":")
    told, nest = (rest[:colon], line[line.rindex(" : ") + 3 :]) if words[0] == "layer" else (rest[colon + 1 :], None)
    facts = dict(zip(told[::2], told[1::2], strict=True))
    moved = [_elements(facts.pop(key)) if nest is None else () for key in ("reads", "writes")]
    texts = [_unquote(facts.pop(key, "")) for key in ("to", "note")]
    times = int(facts.pop("times", "1"))
    if facts:
        raise InputError(f"a node has no {next(iter(facts))}")
    layer = parse_nest(nest) if nest else None
    return Node(name, op, inputs, outputs, layer, moved[0], moved[1], texts[0], times, texts[1])


def _elements(text: str) -> Elements:
    pairs = (word.partition(":") for word in text.split(","))
    return tuple((int(n), int(bits) if colon else None) for n, colon, bits in pairs if int(n))


def _unquote(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word
