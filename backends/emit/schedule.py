"""Schedules: a layer with its mapping as YAML or JSON, and reading them back.

The file holds the layer itself, so it can be evaluated without the model it came from. `schema` names the version of
the form; a reader refuses one it does not know.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapper.arch.spec import find_schedule, schedule_names
from mapper.documents.layer import figures, items_data, proof_data
from mapper.documents.schema import check_schema, schema
from mapper.errors import InputError, MapperError, all_of
from mapper.files import MissingFileError, read_text
from mapper.ir import LoopNest, parse_nest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor
from mapper.search.result import Result
from mapper.spelling import did_you_mean


@dataclass(frozen=True, slots=True)
class Schedule:
    """A layer by name, its nest, and how it runs on the architecture of that name."""

    layer: str
    nest: LoopNest
    arch: str
    mapping: Mapping
    about: Dict[str, Any]
    """What was known of it when it was written: status, energy, cycles...; not needed to read it back."""


def about(result: Result) -> dict[str, Any]:
    """What a schedule says of the result that its mapping is of; a reader does not need it."""
    facts = {"objective": str(result.objective), "mapspace": result.mapspace}
    return {**proof_data(result), **facts, **figures(result.cost)}


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """A schedule as plain data, in the order in which it reads well."""
    return {
        "schema": schema("schedule"),
        "layer": {"name": schedule.layer, "nest": str(schedule.nest)},
        "arch": schedule.arch,
        **schedule.about,
        "mapping": items_data(schedule.mapping),
    }


def to_json(schedule: Schedule) -> str:
    """The schedule as a JSON document."""
    return json.dumps(schedule_data(schedule), indent=2, ensure_ascii=False) + "\n"


def to_yaml(schedule: Schedule) -> str:
    """The schedule as a YAML document, an item of the mapping a line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    data = schedule_data(schedule)
    rows = []
    for item in data["mapping"]:
        row = CommentedMap(item)
        row.fa.set_flow_style()
        rows.append(row)
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    # plain scalars lose line ends such as NEL, which node names can hold
    quoted = {k: DoubleQuotedScalarString(v) if not v.isprintable() else v for k, v in data["layer"].items()}
    arch = data["arch"] if data["arch"].isprintable() else DoubleQuotedScalarString(data["arch"])
    yaml.dump({**data, "layer": quoted, "arch": arch, "mapping": rows}, stream)
    return stream.getvalue()


def read_schedule(path: Path) -> Schedule:
    """The schedule in a YAML or JSON file, or of a name of `schedule_names`, such as 'eyeriss_v1/CONV1'.

    InputError naming the file and the item where it is not one.
    """
    if shipped := find_schedule(str(path)):
        return parse_schedule(shipped.text, shipped.place)
    try:
        return parse_schedule(read_text(path), str(path))
    except MissingFileError as error:
        if hint := did_you_mean(str(path), schedule_names()):
            raise MissingFileError(error.message, place=error.place, hint=hint) from None
        raise


def parse_schedule(text: str, place: str) -> Schedule:
    """The schedule that a YAML or JSON document holds; `place` names it in errors, of which all are reported."""
    data = check_schema(_document(text, place), "schedule", place)
    problems: list[MapperError] = []
    layer, rows, arch = (data.get(key) for key in ("layer", "mapping", "arch"))
    nest = None
    if not isinstance(layer, dict) or not {"name", "nest"} <= layer.keys():
        problems.append(InputError("layer must be a mapping with name and nest", place=place))
    else:
        try:
            nest = parse_nest(str(layer["nest"]))
        except InputError as error:
            problems.append(InputError(f"layer.nest: {error}", place=place))
    if not isinstance(arch, str):
        problems.append(InputError("arch must name an architecture", place=place))
    if not isinstance(rows, list):
        problems.append(InputError("mapping must be a list", place=place))
    items = []
    for i, row in enumerate(rows if isinstance(rows, list) else (), 1):
        try:
            items.append(_item(row, f"{place}: item {i} of mapping"))
        except InputError as error:
            problems.append(error)
    if problem := all_of(problems):
        raise problem
    assert nest is not None and isinstance(layer, dict)
    about = {k: v for k, v in data.items() if k not in ("schema", "layer", "arch", "mapping")}
    return Schedule(str(layer["name"]), nest, str(arch), Mapping(tuple(items)), about)


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
    except (YAMLError, ValueError) as error:
        raise InputError(f"not a schedule: {' '.join(str(error).split())}", place=place) from error


def _item(row: Any, place: str) -> Item:
    step = row.get("step") if isinstance(row, dict) else None
    match None if isinstance(step, bool) else row:  # which Python takes for a number
        case {"keep": str(memory), "tensor": str(tensor)} if len(row) == 2:
            return Keep(memory, tensor)
        case {"keep": str(memory), "tensor": str(tensor), "rolling": bool(rolling)} if len(row) == 3:
            return Keep(memory, tensor, rolling)
        case {"for": str(dim), "step": int(step), **rest} if not rest:
            return Loop(dim, step)
        case {"parfor": str(dim), "step": int(step), "fanout": str(fanout), "axis": str(axis), **rest} if not rest:
            return ParFor(dim, step, fanout, axis)
    raise InputError(
        f"cannot read {row!r}",
        place=place,
        hint="write {keep: MEMORY, tensor: T}, {for: DIM, step: N} or {parfor: DIM, step: N, fanout: F, axis: A}",
    )
