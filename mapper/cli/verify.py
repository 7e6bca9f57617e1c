"""`mapper verify`: executing what was compiled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapper.arch import Architecture, parse_architecture, read_spec
from mapper.cli import interrupts
from mapper.cli.folder import Folder
from mapper.cli.progress import bar
from mapper.cost import evaluate
from mapper.documents.layer import figures
from mapper.documents.network import mapped_data
from mapper.errors import InputError, MapperError, VerificationError, all_of, printable
from mapper.files import MissingFileError
from mapper.ir import LoopNest, Node
from mapper.network import Mapped
from mapper.search import Point, Result

if TYPE_CHECKING:
    from backends.emit import Schedule
    from backends.execute.findings import Verification
    from frontends.onnx import OnnxModel


def verify_folder(folder: Path, data: Path | None = None, *, as_json: bool) -> None:
    """Execute a folder's schedules, on the inputs in `data` or on random ones.

    Raises VerificationError where the summary, counts or values differ.
    """
    from backends.execute import require_extra
    from frontends.onnx import load

    require_extra()
    written = _read(folder)
    model = load(written.origin, written.shapes, written.dims, written.values)
    if model.sha256 != written.sha256:
        raise InputError("the model has changed since it was compiled", place=written.origin, hint="compile it again")
    inputs = read_inputs(model, data)
    mapped = _evaluated(folder, written, model)
    if problem := all_of(
        VerificationError(f"{at} is {stated!r}, the schedules give {expected!r}", place=str(folder / "summary.json"))
        for at, stated, expected in _differences(written.data, mapped_data(mapped))
    ):
        raise problem
    found = execute(model, written.arch, mapped.results, inputs)
    if as_json:
        print(json.dumps(found.data, indent=2))
    else:
        print_verification(found.data)
    if found.problem:
        raise found.problem


@dataclass(frozen=True, slots=True)
class _Written:
    """What a folder says of a compilation."""

    name: str
    arch: Architecture
    origin: str
    sha256: str
    shapes: dict[str, tuple[int, ...]]
    dims: dict[str, int]
    values: dict[str, float]
    data: dict[str, Any]
    rows: dict[str, dict[str, Any]]


def _read(folder: Path) -> _Written:
    files = Folder(folder)
    about, data = files.read_json("model.json"), files.read_json("summary.json")
    arch_file = folder / "arch.yaml"
    try:
        arch = parse_architecture(read_spec(str(arch_file)))
        shapes = {str(name): tuple(map(int, shape)) for name, shape in about.get("shapes", {}).items()}
        dims = {str(name): int(n) for name, n in about.get("dims", {}).items()}
        values = {str(name): _number(n) for name, n in about.get("values", {}).items()}
        rows = {str(row["name"]): row for row in data["layers"]}
        for row in rows.values():
            folder / row["schedule"]
        return _Written(
            str(about["name"]), arch, str(about["path"]), str(about["sha256"]), shapes, dims, values, data, rows
        )
    except MissingFileError as error:
        raise InputError(f"no folder of a compilation: {error}", place=str(folder)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"its summary has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"no folder of a compilation: {what}", place=str(folder)) from error


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"the value {value!r} is no number")
    return value


def _evaluated(folder: Path, written: _Written, model: OnnxModel) -> Mapped[Point]:
    """The folder's schedules, evaluated anew for the model's layers.

    Raises InputError with all that is wrong with the schedules of all layers; VerificationError with all that they say
    of the layers and their cost, and that is not so.
    """
    from frontends.onnx import describe

    points: dict[LoopNest, Point] = {}
    told, broken, untrue = describe(model), list[MapperError](), list[MapperError]()
    for layer in model.network.layers:
        try:
            path, schedule = _schedule_of(folder, written, layer)
            if layer.nest in points and points[layer.nest].mapping != schedule.mapping:
                raise InputError(f"layer {layer.name} differs from an equal layer's schedule", place=str(path))
        except InputError as error:
            broken.append(error)
            continue
        point = points[schedule.nest] = Point(schedule.mapping, evaluate(schedule.nest, written.arch, schedule.mapping))
        known = figures(point.cost)
        stated = {key: value for key, value in schedule.about.items() if key in known}
        untrue += (
            VerificationError(f"{at} is {one!r}, {source} {other!r}", place=str(path))
            for source, differences in (
                ("the model has", _differences(schedule.onnx, told[layer.name] if schedule.onnx else {}, "onnx")),
                ("its mapping gives", _differences(stated, {key: known[key] for key in stated})),
            )
            for at, one, other in differences
        )
    if problem := all_of(broken) or all_of(untrue):
        raise problem
    # a model compiled under its short name is read by its path here
    return Mapped(replace(model.network, name=written.name), written.arch, points)


def _schedule_of(folder: Path, written: _Written, layer: Node) -> tuple[Path, Schedule]:
    """The file of a layer's schedule, and what it says; InputError where it cannot be, or is of another layer."""
    from backends.emit import read_schedule

    if layer.name not in written.rows:
        raise InputError(f"has no schedule for layer {layer.name}", place=str(folder))
    path = folder / written.rows[layer.name]["schedule"]
    schedule = read_schedule(path, written.arch)
    if schedule.nest != layer.nest:
        raise InputError(f"is of another layer than {layer.name}", place=str(path))
    if schedule.arch != written.arch.name:
        raise InputError(f"is for {schedule.arch}, the folder for {written.arch.name}", place=str(path))
    return path, schedule


def _differences(found: Any, expected: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where a summary differs from what is expected; what that leaves open is not compared."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            yield from _differences(found.get(key), expected[key], f"{place}.{key}".lstrip("."))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            yield from _differences(a, b, f"{place}[{i}]")
    elif found != expected:
        yield place, found, expected


@dataclass(frozen=True, slots=True)
class Executed:
    """What execution showed: the `verification` of a summary, and the error to end with, None if all is well."""

    data: dict[str, Any]
    problem: MapperError | None


def read_inputs(model: OnnxModel, data: Path | None) -> Dict[str, Any]:
    """The model's inputs out of `--data`; none without it."""
    from mapper.data import read_data

    return {} if data is None else read_data(data, model.input_types)


def execute(
    model: OnnxModel,
    arch: Architecture,
    points: Dict[LoopNest, Result] | Dict[LoopNest, Point],
    inputs: Dict[str, Any],
) -> Executed:
    """Run a model through its mappings, on `inputs` or on random ones; whatever goes wrong is in what is returned."""
    from backends.execute.findings import Check
    from backends.execute.network import verify_network

    interrupts.keep()
    mappings = {nest: point.mapping for nest, point in points.items()}
    expected = {nest: point.cost.counts for nest, point in points.items()}
    ran: list[Check] = []
    place = model.network.name
    with bar("executing", len(model.network.layers)) as advance:

        def on_layer(check: Check) -> None:
            ran.append(check)
            advance(check.name)

        try:
            found = verify_network(model, arch, mappings, expected, inputs=inputs, on_layer=on_layer)
        except MapperError as error:
            counts = all(check.counts_match for check in ran)
            data = {"layers_checked": len(ran), "counts_match": counts, "max_relative_error": None, "passed": False}
            return Executed(data | {"failure": str(error)}, error)
    problem = VerificationError(found.failure, place=place) if found.failure else None
    return Executed(_data(found, [layer.name for layer in model.network.layers]), problem)


def _data(found: Verification, layers: list[str]) -> dict[str, Any]:
    """The `verification` of a summary; docs/verification.md says what its keys mean."""
    error = found.max_relative_error
    names = {check.name for check in found.layers}
    data: dict[str, Any] = {
        "layers_checked": found.layers_checked,
        "counts_match": found.counts_match,
        "max_relative_error": error if found.refereed and math.isfinite(error) else None,
        "compared": found.refereed,
        "passed": found.passed,
    }
    optional = {
        "failure": found.failure,
        "ill_conditioned": {
            each.name: {key: getattr(each, key) for key in ("relative_error", "allowed", "ours", "referee", "unknown")}
            for each in found.ill_conditioned
        },
        "steps": found.steps,
        "drawn": dict(found.drawn),
        "uncompared": dict(found.uncompared),
        "not_run": [name for name in layers if name not in names],
    }
    return data | {key: value for key, value in optional.items() if value}


def print_verification(verification: dict[str, Any]) -> None:
    """Print what execution showed, in a few lines."""
    for line in _lines(verification):
        print(printable(line))


def _lines(verification: dict[str, Any]) -> Iterator[str]:
    idle, compared = verification.get("not_run", []), verification.get("compared")
    if not verification["layers_checked"]:
        if verification["passed"]:
            why = "the model runs none of its layers on these inputs" if idle else "the model has no layers"
            yield f"nothing was executed: {why}"
            yield from _uncompared(verification)
        return
    matched = "equal to the model's" if verification["counts_match"] else "NOT equal to the model's"
    error = verification["max_relative_error"]
    if compared is None:
        values = "values not compared with ONNX Runtime's"
    else:
        values = f"{compared} " + (f"within {error:.2g} of" if error is not None else "NOT comparable with")
        values += " ONNX Runtime's" + (", outputs not compared" if compared == "layers" else "")
    layers = "1 layer" if (checked := verification["layers_checked"]) == 1 else f"{checked} layers"
    yield f"executed {layers}: every count {matched}, {values}"
    for name, seen in verification.get("ill_conditioned", {}).items():
        far = f"{seen['relative_error']:.2g} from ONNX Runtime's"
        yield f"{name}: ill-conditioned on these inputs: {far}; {_apart(seen)}"
    if steps := verification.get("steps"):
        yield f"{steps} element{'s' * (steps > 1)} went the other way at a step, as rounding, on inputs that agree"
    if idle:
        yield f"not executed, as these inputs do not lead there: {', '.join(idle)}"
    yield from _uncompared(verification)


def _uncompared(verification: dict[str, Any]) -> Iterator[str]:
    for name, reason in verification.get("uncompared", {}).items():
        yield f"not compared: {name}: {reason}"


def _apart(seen: dict[str, Any]) -> str:
    """How far an ill-conditioned value is from double precision."""
    if seen["unknown"]:
        return f"the distance to double precision is not known: {seen['unknown']}"
    return f"from double precision ours is {seen['ours']:.2g}, ONNX Runtime's {seen['referee']:.2g}"
