"""Models as the command line takes them: a file or a short name, with the sizes that the user gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mapper.cli.output import warning
from mapper.errors import InputError, MapperError, all_of
from mapper.ir import Network

if TYPE_CHECKING:
    from frontends.onnx import OnnxModel

_SIZE = r"[0-9]{1,18}"


def read_model(
    model: str, shapes: list[str], dims: list[str], values: list[str]
) -> tuple[OnnxModel, dict[str, object]]:
    """The model for `input=1x3x224x224`, `batch=1` and `rate=16000` words, and what these say, for `model.json`.

    Raises InputError with every word that cannot be read.
    """
    from frontends.onnx import load

    problems: list[MapperError] = []

    def read(parse: Callable[[list[str]], dict[str, Any]], words: list[str]) -> dict[str, Any]:
        try:
            return parse(words)
        except InputError as error:
            problems.append(error)
            return {}

    by_input, by_symbol, fixed = read(parse_shapes, shapes), read(parse_dims, dims), read(parse_values, values)
    if problem := all_of(problems):
        raise problem
    return load(model, by_input, by_symbol, fixed), {"shapes": by_input, "dims": by_symbol, "values": fixed}


def parse_shapes(words: list[str]) -> dict[str, tuple[int, ...]]:
    """`input=1x3x224x224` words as shapes by input name."""
    found = {}
    for name, shape in _pairs("--shape", words, rf"{_SIZE}(x{_SIZE})*", "input=1x3x224x224"):
        found[name] = tuple(int(n) for n in shape.split("x"))
    return found


def parse_dims(words: list[str]) -> dict[str, int]:
    """`batch=1` words as sizes by symbol."""
    return {name: int(n) for name, n in _pairs("--dim", words, _SIZE, "batch=1")}


def parse_values(words: list[str]) -> dict[str, float]:
    """`rate=16000` words as numbers by input name."""
    pairs = _pairs("--value", words, r"-?[0-9]{1,18}(\.[0-9]{1,18})?", "rate=16000")
    return {name: float(n) if "." in n else int(n) for name, n in pairs}


def _pairs(option: str, words: list[str], pattern: str, example: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    problems: list[MapperError] = []
    for word in words:
        name, equals, value = word.rpartition("=")
        if not name or not equals or not re.fullmatch(pattern, value):
            problems.append(InputError(f"{option} {word}", hint=f"write {option} {example}"))
        elif name in found:
            problems.append(InputError(f"{option} {word}: {name} is given twice"))
        else:
            found[name] = value
    if problem := all_of(problems):
        raise problem
    return list(found.items())


def warn(network: Network) -> None:
    """Say on stderr what the nodes' notes say, once for each note."""
    by_note: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.note:
            by_note.setdefault(node.note, []).append(f"{node.op} node {node.name}")
    for note, nodes in by_note.items():
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        warning(f"{nodes[0]}{more}: {note}")
