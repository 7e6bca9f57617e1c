"""Arguments: what the calls of the package take, looked at before they begin.

The rule of a parameter or a field is its annotation as it is written, such as `Mapping[str, int] | None`.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from mapper.errors import InputError, MapperError, all_of
from mapper.spelling import nearest

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be: a test, the same in words, and what to do where it is something else."""

    holds: Callable[[Any], bool]
    words: str
    hint: str | None = None


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with InputError for every argument that is not what its annotation says, all at once."""
    import inspect

    signature, name = inspect.signature(function), function.__name__
    rules = {key: rule(str(found.annotation)) for key, found in signature.parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        unknown = [word for word in kwargs if word not in rules]
        if problem := all_of(InputError(f"{name} takes no '{word}'", hint=nearest(word, rules)) for word in unknown):
            raise problem
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InputError(f"{name}: {error}") from None
        if problem := all_of(_problems(f"{name}: ", {key: (rules[key], value) for key, value in given.items()})):
            raise problem
        return function(*args, **kwargs)

    return call


def check_fields(value: Any) -> None:
    """InputError for every field of a dataclass that is not what its annotation says."""
    kind = type(value).__name__
    given = {field.name: (rule(str(field.type)), getattr(value, field.name)) for field in fields(value)}
    if problem := all_of(_problems(f"{kind}: ", given)):
        raise problem


def shown(value: object) -> str:
    """A value for a message: short, on one line."""
    if not isinstance(value, str | bytes | Real | tuple | list | dict | set | frozenset | None):
        return f"the class {value.__name__}" if isinstance(value, type) else f"something of type {type(value).__name__}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of what is inside, or of an integer of too many digits
        return f"something of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _problems(place: str, given: Mapping[str, tuple[Rule, Any]]) -> Iterator[MapperError]:
    for name, (found, value) in given.items():
        if not found.holds(value):
            yield InputError(f"{place}{name} is {found.words}, not {shown(value)}", hint=found.hint)


# -- rules -------------------------------------------------------------------------------------------------------------


def is_integer(value: object) -> bool:
    """Whether a value is an integer, also one of NumPy's; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number, exact or not; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _kind(path: str) -> Callable[[Any], bool]:
    """Whether a value is of a class, which need not be imported for what is of another one."""
    module, _, name = path.rpartition(".")

    def holds(value: Any) -> bool:
        found = getattr(sys.modules.get(module), name, None)
        return found is not None and isinstance(value, found)

    return holds


_ATOMS = {
    "None": Rule(lambda value: value is None, "None"),
    "Any": Rule(lambda value: True, "anything"),
    "str": Rule(lambda value: isinstance(value, str), "a text"),
    "bool": Rule(lambda value: isinstance(value, bool), "True or False"),
    "int": Rule(is_integer, "an integer"),
    "float": Rule(is_number, "a number"),
    "Fraction": Rule(is_number, "a number"),
    "PathLike": Rule(lambda value: hasattr(type(value), "__fspath__"), "a path"),
    "Executor": Rule(lambda value: hasattr(value, "submit"), "an executor"),
    "OnProgress": Rule(callable, "a function"),
    "OnSolved": Rule(callable, "a function"),
    "ArrayLike": Rule(lambda value: True, "an array"),  # looked at where it becomes one
    "ModelProto": Rule(_kind("onnx.ModelProto"), "an onnx.ModelProto"),
    "LoopNest": Rule(_kind("mapper.ir.nest.LoopNest"), "a LoopNest", "mapper.conv, gemm and parse_nest make one"),
    "Tensor": Rule(_kind("mapper.ir.nest.Tensor"), "a Tensor"),
    "Reduction": Rule(_kind("mapper.ir.nest.Reduction"), "a Reduction"),
    "Node": Rule(_kind("mapper.ir.network.Node"), "a Node"),
    "Architecture": Rule(
        _kind("mapper.arch.architecture.Architecture"), "an Architecture", "mapper.load_architecture reads one"
    ),
    "Level": Rule(_kind("mapper.arch.architecture.Level"), "a memory, a fan-out or the compute unit"),
    "Origin": Rule(_kind("mapper.arch.architecture.Origin"), "an Origin"),
    "Spec": Rule(_kind("mapper.arch.spec.Spec"), "a Spec"),
    "Constraint": Rule(_kind("mapper.arch.constraints.Constraint"), "a Constraint"),
    "Mapping": Rule(_kind("mapper.mapping.mapping.Mapping"), "a Mapping", "mapper.parse_mapping reads one"),
    "Item": Rule(_kind("mapper.mapping.mapping.Item"), "a Keep, Loop or ParFor"),
    "Limits": Rule(_kind("mapper.search.limits.Limits"), "Limits"),
    "Objective": Rule(_kind("mapper.search.result.Objective"), "an Objective"),
    "Factors": Rule(_kind("mapper.search.extents.Factors"), "Factors"),
    "Engine": Rule(_kind("mapper.search.result.Engine"), "an Engine"),
}


@functools.cache
def rule(annotation: str) -> Rule:
    """The rule that an annotation states; names without one stand for anything."""
    return _rule(ast.parse(annotation, mode="eval").body)


def _rule(node: ast.expr) -> Rule:
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return _ATOMS.get(name, _ATOMS["Any"])
        case ast.Constant(None):
            return _ATOMS["None"]
        case ast.BinOp(left, ast.BitOr(), right):
            return _either(_rule(left), _rule(right))
        case ast.Subscript(ast.Name("PathLike")):
            return _ATOMS["PathLike"]
        case ast.Subscript(ast.Name("Mapping" | "Dict"), ast.Tuple([key, value])):
            return _mapping(_rule(key), _rule(value))
        case ast.Subscript(ast.Name("tuple"), ast.Tuple([one, ast.Constant(value)])) if value is ...:
            return _several(_rule(one), lambda value: isinstance(value, tuple), "a tuple")
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(parts)):
            return _each([_rule(part) for part in parts])
        case ast.Subscript(ast.Name("frozenset"), one):
            return _several(_rule(one), lambda value: isinstance(value, frozenset), "a frozenset")
        case ast.Subscript(ast.Name("Iterable"), one):
            return _several(_rule(one), lambda value: isinstance(value, Iterable), "a list")
    raise NotImplementedError(ast.unparse(node))


def _either(left: Rule, right: Rule) -> Rule:
    words = left.words if right.words == "None" else f"{left.words.replace(' or ', ', ')} or {right.words}"
    return Rule(lambda value: left.holds(value) or right.holds(value), words, left.hint or right.hint)


def _several(one: Rule, outer: Callable[[Any], bool], what: str) -> Rule:
    def holds(value: Any) -> bool:
        known = isinstance(value, tuple | list | frozenset | str)  # an iterator would be used up
        return outer(value) and (not known or all(map(one.holds, value)))

    return Rule(holds, f"{what}, each entry {one.words}")


def _each(parts: list[Rule]) -> Rule:
    def holds(value: Any) -> bool:
        sized = isinstance(value, tuple) and len(value) == len(parts)
        return sized and all(part.holds(entry) for part, entry in zip(parts, value, strict=True))

    return Rule(holds, f"a tuple of {' and '.join(part.words for part in parts)}")


def _mapping(key: Rule, value: Rule) -> Rule:
    def holds(given: Any) -> bool:
        return isinstance(given, Mapping) and all(key.holds(k) and value.holds(v) for k, v in given.items())

    return Rule(holds, f"a dict of {key.words} to {value.words}")
