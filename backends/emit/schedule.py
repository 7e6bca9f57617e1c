"""Schedules: a layer with its mapping as YAML or JSON.

The file holds the layer itself, so it can be evaluated and rebuilt without the model it came from. `schema` names the
version of the form.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Any

from mapper.documents.layer import figures, items_data, nest_data, proof_data
from mapper.documents.schema import schema
from mapper.ir import LoopNest
from mapper.mapping import Mapping
from mapper.search.result import Result

FLOW = 180
"""Characters up to which a part of a schedule is written on one line."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A layer by name, its nest, and how it runs on the architecture of that name.

    `onnx` says what the layer is in its model (`frontends.onnx.describe`), and is empty where it has none. `about` is
    what was known when it was written: status, energy, cycles... Neither is needed to read it back.
    """

    layer: str
    nest: LoopNest
    arch: str
    mapping: Mapping
    about: Dict[str, Any] = field(default_factory=dict)
    onnx: Dict[str, Any] = field(default_factory=dict)


def about(result: Result) -> dict[str, Any]:
    """What a schedule says of the result that its mapping is of; a reader does not need it."""
    facts = {"objective": str(result.objective), "mapspace": result.mapspace}
    return {**proof_data(result), **facts, **figures(result.cost)}


def schedule_data(schedule: Schedule) -> dict[str, Any]:
    """A schedule as plain data, in the order in which it reads well."""
    return {
        "schema": schema("schedule"),
        "layer": {"name": schedule.layer, **nest_data(schedule.nest)},
        **({"onnx": schedule.onnx} if schedule.onnx else {}),
        "arch": schedule.arch,
        **schedule.about,
        "mapping": items_data(schedule.mapping, schedule.nest),
    }


def to_json(schedule: Schedule) -> str:
    """The schedule as a JSON document."""
    return json.dumps(schedule_data(schedule), indent=2, ensure_ascii=False) + "\n"


def to_yaml(schedule: Schedule) -> str:
    """The schedule as a YAML document, an item of the mapping a line."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 200
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump({key: _styled(value) for key, value in schedule_data(schedule).items()}, stream)
    return stream.getvalue()


def _styled(value: Any, depth: int = 1) -> Any:
    """Plain data as YAML shows it: what is short and inside of something on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    match value:
        case str() if not value.isprintable():  # plain scalars lose line ends such as NEL, which node names can hold
            return DoubleQuotedScalarString(value)
        case dict():
            styled: Any = CommentedMap({_styled(key): _styled(inner, depth + 1) for key, inner in value.items()})
        case list() | tuple():
            styled = CommentedSeq(_styled(inner, depth + 1) for inner in value)
        case _:
            return value
    if depth > 1 and len(json.dumps(value)) <= FLOW:
        styled.fa.set_flow_style()
    return styled
