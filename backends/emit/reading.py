"""Reading schedules: what is written, or a layer with its mapping alone, as people write it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends.emit.schedule import Schedule
from mapper.arch import Architecture
from mapper.arch.spec import find_schedule, schedule_names
from mapper.documents.layer import items_data, nest_data
from mapper.documents.schema import check_schema
from mapper.errors import InputError, MapperError, all_of
from mapper.files import MissingFileError, read_text
from mapper.ir import LoopNest, parse_nest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor, violations
from mapper.spelling import did_you_mean

_FOLLOWS = frozenset(("extent", "pieces", "tile", "elements"))
"""What an item may state although it follows from the layer and the loops above."""


def read_schedule(path: Path, arch: Architecture | None = None) -> Schedule:
    """The schedule in a YAML or JSON file, or of a name of `schedule_names`, such as 'eyeriss_v1/CONV1'.

    InputError naming the file and the item where it is not one, contradicts itself, or is illegal on `arch`, if given.
    """
    if shipped := find_schedule(str(path)):
        return parse_schedule(shipped.text, shipped.place, arch)
    try:
        return parse_schedule(read_text(path), str(path), arch)
    except MissingFileError as error:
        if hint := did_you_mean(str(path), schedule_names()):
            raise MissingFileError(error.message, place=error.place, hint=hint) from None
        raise


def parse_schedule(text: str, place: str, arch: Architecture | None = None) -> Schedule:
    """The schedule that a YAML or JSON document holds; `place` names it in errors, of which all are reported."""
    data = check_schema(_document(text, place), "schedule", place)
    problems: list[MapperError] = []
    layer, rows, name, onnx = (data.get(key) for key in ("layer", "mapping", "arch", "onnx"))
    nest = None
    if not isinstance(layer, dict) or not {"name", "nest"} <= layer.keys():
        problems.append(InputError("layer must be a mapping with name and nest", place=place))
    else:
        try:
            nest = parse_nest(str(layer["nest"]))
            problems += _contradictions(layer, nest_data(nest), f"{place}: layer", "its nest")
        except InputError as error:
            problems.append(InputError(f"layer.nest: {error}", place=place))
    if not isinstance(onnx, dict | None):
        problems.append(InputError("onnx must be a mapping", place=place))
    if not isinstance(name, str):
        problems.append(InputError("arch must name an architecture", place=place))
    if not isinstance(rows, list):
        problems.append(InputError("mapping must be a list", place=place))
    items: list[Item] = []
    for i, row in enumerate(rows if isinstance(rows, list) else (), 1):
        try:
            items.append(_item(row, f"{place}: item {i} of mapping"))
        except InputError as error:
            problems.append(error)
    mapping = Mapping(tuple(items))
    if nest is not None and isinstance(rows, list) and len(items) == len(rows):
        problems += _misstated(nest, mapping, rows, place)
        if arch is not None:
            illegal = violations(nest, arch, mapping)
            problems += (InputError(f"illegal on {arch.name}: {problem}", place=place) for problem in illegal)
    if problem := all_of(problems):
        raise problem
    assert nest is not None and isinstance(layer, dict)
    about = {k: v for k, v in data.items() if k not in ("schema", "layer", "onnx", "arch", "mapping")}
    return Schedule(str(layer["name"]), nest, str(name), mapping, about, onnx or {})


def _misstated(nest: LoopNest, mapping: Mapping, rows: list[Any], place: str) -> Iterator[InputError]:
    """What items state that is not so."""
    for i, (row, found) in enumerate(zip(rows, items_data(mapping, nest), strict=True), 1):
        stated = {key: value for key, value in row.items() if key in _FOLLOWS and key in found}
        yield from _contradictions(stated, found, f"{place}: item {i} of mapping", "the layer and the loops above")


def _contradictions(stated: Any, found: Any, place: str, source: str, path: str = "") -> Iterator[InputError]:
    """Where what is stated is not what follows; parts that nothing follows for, or that are not stated, are left."""
    if isinstance(stated, dict) and isinstance(found, dict):
        unknown = [key for key in stated if key not in found] if path else []
        yield from (InputError(f"{path}.{key} is stated, which {source} does not have", place=place) for key in unknown)
        for key in (key for key in found if key in stated and key != "nest"):
            yield from _contradictions(stated[key], found[key], place, source, f"{path}.{key}" if path else key)
    elif isinstance(stated, bool) or stated != found:
        yield InputError(
            f"{path} is stated as {stated!r}, and is {found!r} by {source}",
            place=place,
            hint="leave it out or correct it",
        )


def _document(text: str, place: str) -> Any:
    """The data of a YAML or JSON document; InputError with line and column where it is neither."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise InputError("not a schedule: nested too deeply", place=place) from None
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON: {error.msg}", place=f"{place}:{error.lineno}:{error.colno}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark else place
        raise InputError(f"not valid YAML: {error.problem or error.context}", place=at) from error
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        # a key that is no scalar, or a tag that does not fit its value, raises whatever Python does
        raise InputError(f"not a schedule: {' '.join(str(error).split())}", place=place) from error


def _item(row: Any, place: str) -> Item:
    own = {key: value for key, value in row.items() if key not in _FOLLOWS} if isinstance(row, dict) else None
    stated = {key: value for key, value in row.items() if key in _FOLLOWS} if isinstance(row, dict) else {}
    loop = {"extent", "pieces"} >= stated.keys()
    node = {"tile", "elements"} >= stated.keys()
    step = own.get("step") if own else None
    match None if isinstance(step, bool) else own:  # which Python takes for a number
        case {"keep": str(memory), "tensor": str(tensor), **rest} if node and not rest:
            return Keep(memory, tensor)
        case {"keep": str(memory), "tensor": str(tensor), "rolling": bool(rolling), **rest} if node and not rest:
            return Keep(memory, tensor, rolling)
        case {"for": str(dim), "step": int(step), **rest} if loop and not rest:
            return Loop(dim, step)
        case {"parfor": str(dim), "step": int(step), "fanout": str(fanout), "axis": str(axis), **rest} if (
            loop and not rest
        ):
            return ParFor(dim, step, fanout, axis)
    raise InputError(
        f"cannot read {row!r}",
        place=place,
        hint="write {keep: MEMORY, tensor: T}, {for: DIM, step: N} or {parfor: DIM, step: N, fanout: F, axis: A}",
    )
