"""YAML with positions: reading keys and quantities of a spec, collecting every problem with its file:line:column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mapper.arch.units import Units, hint
from mapper.errors import InputError, MapperError
from mapper.spelling import nearest

# numbers of a machine have few digits, and no more would fit the solver's integers
_QUANTITY = re.compile(
    r"\s*([+-]?[0-9][0-9_]{0,17}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?)\s*((?![eE][+-]?[0-9])[^0-9_.\s].*?)?\s*"
)
_LARGEST = 10**15


def compose(text: str, file: str) -> Any:
    """The node tree of a YAML document; InputError with file:line:column where it is no YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except RecursionError:
        raise InputError("not a spec: nested too deeply", place=file) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise InputError(f"not valid YAML: {error.problem or error.context}", place=place) from error
    except YAMLError as error:
        raise InputError(f"not valid YAML: {str(error).splitlines()[0]}", place=file) from error


def open_document(text: str, file: str, known: Iterable[str], required: Iterable[str], what: str) -> Document:
    """A reader for a YAML document that is a mapping, and its value nodes by key.

    InputError where it is no YAML or empty; all else is noted by the reader: unknown keys, and required ones missing.
    """
    return open_tree(compose(text, file), file, known, required, what)


def open_tree(root: Any, file: str, known: Iterable[str], required: Iterable[str], what: str) -> Document:
    """The same for the tree of a document."""
    if root is None:
        raise InputError("the file is empty", place=file)
    reader = Reader(file)
    keys = reader.mapping(root, known, what)
    for key in required:
        if key not in keys:
            reader.problem(root, f"{what} has no '{key}'")
    return reader, keys


@dataclass(slots=True)
class Reader:
    """Reads nodes of one file; `problems` collects what is wrong and where, so that all of it is reported at once."""

    file: str
    problems: list[tuple[int, int, MapperError]] = field(default_factory=list)

    def place(self, node: Any) -> str:
        """file:line:column of a node."""
        return f"{self.file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def problem(self, node: Any, message: str, hint: str | None = None) -> None:
        """Note a problem at a node."""
        error = InputError(message, place=self.place(node), hint=hint)
        self.problems.append((node.start_mark.line, node.start_mark.column, error))

    def in_order(self) -> list[MapperError]:
        """The problems in the order of their places, each once."""
        found = (error for _, _, error in sorted(self.problems, key=lambda found: found[:2]))
        return list({str(error): error for error in found}.values())

    def mapping(self, node: Any, known: Iterable[str], what: str) -> dict[str, Any]:
        """Value nodes by key; unknown and repeated keys are problems."""
        found: dict[str, Any] = {}
        if node.id != "mapping":
            self.problem(node, f"{what} must be a mapping of keys to values")
            return found
        known = list(known)
        for key, value in node.value:
            if key.id != "scalar":
                self.problem(key, f"a key of {what} must be a single word")
            elif key.value not in known:
                self.problem(key, f"unknown key '{key.value}' in {what}", nearest(str(key.value), known))
            elif key.value in found:
                self.problem(key, f"key '{key.value}' is given twice in {what}")
            else:
                found[key.value] = value
        return found

    def named(self, node: Any, what: str) -> dict[str, Any]:
        """Value nodes by a name of the user's choice; what is no name or is given twice is a problem."""
        found: dict[str, Any] = {}
        if node.id != "mapping":
            self.problem(node, f"{what} must be a mapping of names to values")
            return found
        for key, value in node.value:
            name = self.name(key)
            if name in found:
                self.problem(key, f"'{name}' is given twice in {what}")
            found.setdefault(name, value)
        return found

    def sequence(self, node: Any, what: str) -> list[Any]:
        """The item nodes of a list."""
        if node.id != "sequence":
            self.problem(node, f"{what} must be a list")
            return []
        return list(node.value)

    def items(self, keys: dict[str, Any], key: str) -> list[Any]:
        """The item nodes of the list under a key that may be missing."""
        return self.sequence(keys[key], key) if key in keys else []

    def text(self, node: Any, what: str) -> str:
        """A scalar as it is written."""
        if node.id != "scalar":
            self.problem(node, f"{what} must be a single value")
            return ""
        return str(node.value)

    def name(self, node: Any) -> str:
        """A name: what can stand in a mapping's text and in a file name."""
        text = self.text(node, "name")
        if node.id == "scalar" and (not text or any(not (c.isalnum() or c in "_-") for c in text)):
            self.problem(node, f"'{text}' is no name: letters, digits, '_' and '-' only")
        return text

    def boolean(self, node: Any, what: str) -> bool:
        """true or false."""
        text = self.text(node, what)
        if text not in ("true", "false"):
            self.problem(node, f"{what} must be true or false, not '{text}'")
        return text == "true"

    def choice(self, node: Any, known: Iterable[str], what: str) -> str:
        """One of the `known` words; the first of them, with a problem noted, where it is another."""
        known = list(known)
        text = self.text(node, what)
        if node.id == "scalar" and text not in known:
            self.problem(node, f"{what} must be {' or '.join(known)}, not '{text}'")
        return text if text in known else known[0]

    def words(self, node: Any, known: Iterable[str], what: str) -> frozenset[str]:
        """A list of words out of `known`."""
        found = set()
        known = list(known)
        for item in self.sequence(node, what):
            word = self.text(item, f"an entry of {what}")
            if known and word not in known:
                self.problem(item, f"unknown entry '{word}' of {what}", nearest(word, known))
            else:
                found.add(word)
        return frozenset(found)

    def integer(self, node: Any, units: Units, what: str) -> int | None:
        """A quantity that must be a whole number of at least 1 of the base unit."""
        value = self.quantity(
            node, units, what, lambda v: v >= 1 and v.denominator == 1, "a whole number of at least 1"
        )
        return None if value is None else int(value)

    def quantity(
        self, node: Any, units: Units, what: str, accept: Callable[[Fraction], bool], rule: str
    ) -> Fraction | None:
        """A number with one of `units` as an exact number of the base unit ('' is the unit of a bare number).

        A unit without a factor is known but cannot be used in this spec. None, with a problem noted, where the value
        is no number, has another unit, or is not accepted by the `rule`.
        """
        text = self.text(node, what)
        match = _QUANTITY.fullmatch(text)
        if not match:
            self.problem(node, f"{what} must be a number, not '{text}'", hint("", units) if any(units) else None)
            return None
        unit = match[2] or ""
        factor = units.get(unit)
        if factor is None:
            problem = f"unit '{unit}' of {what}" if unit else f"{what} without a unit"
            reason = "needs a clock in this spec" if unit in units else "is not known"
            self.problem(node, f"{problem} {reason}", hint("" if unit in units else unit, units))
            return None
        value = Fraction(match[1].replace("_", "")) * factor
        if abs(value) > _LARGEST:
            self.problem(node, f"{what} is {text}, too large to be meant: at most 1e15 of the base unit")
            return None
        if not accept(value):
            self.problem(node, f"{what} must be {rule}, not {text}")
            return None
        return value


Document = tuple[Reader, dict[str, Any]]
