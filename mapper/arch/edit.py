"""Editing a spec: values put in place of others, by their path of level and key.

    GLB.size: 256 KiB      PE.axes.x: 32      DRAM.bandwidth.read: 4 B/cycle      clock: 1 GHz

What is changed is the tree of the document, whose nodes keep their places, so that errors name those of the spec.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from numbers import Integral, Rational
from typing import Any

from mapper.arch.spec import Spec
from mapper.arch.yaml_node import compose
from mapper.arguments import shown
from mapper.errors import InputError, MapperError, all_of
from mapper.spelling import nearest

Step = str | int
"""A key of a mapping or a position in a list."""


def edited(spec: Spec, changes: Mapping[str, Any]) -> Any:
    """The tree of a spec in which each path leads to its new value; what becomes None is left out.

    A value is a text, read as YAML, a number, a truth value, or a list or dict of such. Raises InputError with every
    path that leads nowhere and every value that is none of these.
    """
    root = compose(spec.text, spec.place)
    problems: list[MapperError] = []
    for path, value in changes.items():
        try:
            root = _put(root, _steps(root, path), None if value is None else _tree(path, value), path)
        except MapperError as error:
            problems.append(error)
    if problem := all_of(problems):
        raise problem
    return root


def text(root: Any) -> str:
    """The tree as YAML."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe", pure=True), io.StringIO()
    yaml.width = 1000
    yaml.serialize(root, stream)
    return stream.getvalue()


def _tree(path: str, value: Any) -> Any:
    """The tree of a value; other texts than those in lists and dicts are YAML."""
    try:
        written = value if isinstance(value, str) else json.dumps(value, default=_number)
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{shown(value)} is no value of a spec", place=path, hint="write it as in the YAML") from None
    found = compose(written, path)
    if found is None:
        raise InputError("the value is empty", place=path, hint="None leaves the key out")
    return found


def _number(value: object) -> object:
    """A number as JSON knows it: NumPy's integers, and fractions that are decimal numbers."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Rational) and 10**18 % Fraction(value).denominator == 0:
        scaled = Fraction(value) * 10**18
        whole, rest = divmod(abs(int(scaled)), 10**18)
        return f"{'-' * (scaled < 0)}{whole}.{rest:018}".rstrip("0").rstrip(".")
    raise TypeError


def _steps(root: Any, path: str) -> list[Step]:
    """The steps from the root of a spec along a path."""
    if not isinstance(path, str) or not all(path.split(".")):
        raise InputError(f"{shown(path)} is no path", hint="write LEVEL.key as in GLB.size, or a key of the spec")
    first, *rest = path.split(".")
    levels = dict(_levels(root))
    if first in levels:
        return [*levels[first], *rest]
    if rest and first not in (*_keys(root), "dataflows"):
        raise InputError(f"the spec has no level '{first}'", place=path, hint=nearest(first, levels))
    return [first, *rest]


def _levels(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """Each level by its name, with the steps that lead to it."""
    entries: list[Any] = next((value.value for key, value in root.value if key.value == "levels"), [])
    for i, entry in enumerate(entries):
        for key, value in entry.value:
            if key.value in ("memory", "fanout", "compute"):
                yield value.value, ["levels", i]
            elif key.value == "beside":
                for j, inner in enumerate(value.value):
                    names = (name.value for key, name in inner.value if key.value == "memory")
                    yield from ((name, ["levels", i, "beside", j]) for name in names)


def _keys(node: Any) -> list[str]:
    return [key.value for key, _ in node.value]


def _put(node: Any, steps: list[Step], new: Any, path: str) -> Any:
    """The tree with a new one, or nothing where that is None, at the end of the steps."""
    step, *rest = steps
    found = copy.copy(node)
    found.value = list(node.value)
    if isinstance(step, int):
        inner = _put(node.value[step], rest, new, path) if rest else new and _placed(new, node.value[step])
        found.value[step : step + 1] = [] if inner is None else [inner]
        return found
    if node.id != "mapping":
        raise InputError(f"there is a single value, which has no key '{step}'", place=path)
    position = next((i for i, (key, _) in enumerate(node.value) if key.value == step), len(node.value))
    old = node.value[position : position + 1]
    if rest:
        inner = _put(old[0][1] if old else _placed(compose("{}", path), node), rest, new, path)
    elif new is None and not old:
        raise InputError(f"there is no key '{step}' to leave out", place=path, hint=nearest(step, _keys(node)))
    else:
        inner = new and _placed(new, old[0][1] if old else node)
    key = old[0][0] if old else _placed(compose(json.dumps(step), path), node)
    found.value[position : position + 1] = [] if inner is None else [(key, inner)]
    return found


def _placed(node: Any, at: Any) -> Any:
    """A tree of which every node stands where another one does."""
    node.start_mark, node.end_mark = at.start_mark, at.end_mark
    for child in node.value if node.id != "scalar" else ():
        for each in child if isinstance(child, tuple) else (child,):
            _placed(each, at)
    return node
