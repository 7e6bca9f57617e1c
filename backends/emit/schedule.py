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

from mapper.errors import InputError
from mapper.ir import LoopNest, parse_nest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor

SCHEMA = "tilewright.schedule/1"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A layer by name, its nest, and how it runs on the architecture of that name."""

    layer: str
    nest: LoopNest
    arch: str
    mapping: Mapping
    about: Dict[str, Any]
    """What was known of it when it was written: status, energy, cycles...; not needed to read it back."""


def items_data(mapping: Mapping) -> list[dict[str, Any]]:
    """The items of a mapping as plain data, outermost first."""
    return [_item_data(item) for item in mapping.items]


def _item_data(item: Item) -> dict[str, Any]:
    match item:
        case Keep(memory, tensor, rolling):
            return {"keep": memory, "tensor": tensor, **({"rolling": True} if rolling else {})}
        case Loop(dim, step):
            return {"for": dim, "step": step}
        case ParFor(dim, step, fanout, axis):
            return {"parfor": dim, "step": step, "fanout": fanout, "axis": axis}


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """A schedule as plain data, in the order in which it reads well."""
    return {
        "schema": SCHEMA,
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
    """The schedule in a YAML or JSON file; InputError naming the file and the item where it is not one."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"cannot be read: {reason}", place=str(path)) from error
    return parse_schedule(text, str(path))


def parse_schedule(text: str, place: str) -> Schedule:
    """The schedule that a YAML or JSON document holds; `place` names it in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = json.loads(text) if text.lstrip().startswith("{") else YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise InputError("not a schedule: nested too deeply", place=place) from None
    except (YAMLError, ValueError) as error:
        raise InputError(f"not a schedule: {' '.join(str(error).split())}", place=place) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise InputError(f"schema is {found!r}, expected '{SCHEMA}'", place=place)
    try:
        layer, rows = data["layer"], data["mapping"]
        name, nest = str(layer["name"]), parse_nest(str(layer["nest"]))
    except (KeyError, TypeError) as error:
        raise InputError(
            f"a schedule has layer.name, layer.nest, arch and mapping; missing: {error}", place=place
        ) from error
    except InputError as error:
        raise InputError(f"layer.nest: {error}", place=place) from error
    if not isinstance(rows, list):
        raise InputError("mapping must be a list", place=place)
    items = tuple(_item(row, f"{place}: item {i} of mapping") for i, row in enumerate(rows, 1))
    about = {k: v for k, v in data.items() if k not in ("schema", "layer", "arch", "mapping")}
    return Schedule(name, nest, str(data.get("arch", "")), Mapping(items), about)


def _item(row: Any, place: str) -> Item:
    if isinstance(row, dict) and isinstance(row.get("step"), bool):  # which Python takes for a number
        row = {**row, "step": str(row["step"])}
    match row:
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
