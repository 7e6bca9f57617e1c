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
    """The schedule as a YAML document, an item of the mapping a line; readers of YAML 1.1 and of 1.2 take it alike."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        pass

    Representer.add_representer(float, _number)
    yaml = YAML()
    yaml.Representer = Representer
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
        # plain scalars lose line ends such as NEL, which node names can hold
        case str() if not value.isprintable() or _taken_for_another(value):
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


def _taken_for_another(value: str) -> bool:
    """Whether a reader of some version of YAML takes the plain text for a number, a truth value...: `on`, `12:30`.

    YAML 1.1 has `y` and `n` as truth values, which its readers leave as they are.
    """
    from ruamel.yaml.resolver import implicit_resolvers

    return value not in tuple("yYnN") and any(pattern.match(value) for _, _, pattern, _ in implicit_resolvers)


def _number(representer: Any, value: float) -> Any:
    """A float with a point: without one, YAML 1.1 takes 1e-05 for a text."""
    node = representer.represent_float(value)
    if "e" in node.value and "." not in node.value:
        node.value = node.value.replace("e", ".0e")
    return node
