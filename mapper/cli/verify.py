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
from mapper.documents.network import mapped_data
from mapper.errors import InputError, VerificationError
from mapper.files import MissingFileError
from mapper.ir import LoopNest
from mapper.network import Mapped
from mapper.search import Point, Result

if TYPE_CHECKING:
    from frontends.onnx import OnnxModel


def verify_folder(folder: Path, *, as_json: bool) -> None:
    """Execute a folder's schedules; VerificationError where the summary, counts or values differ."""
    from backends.execute import require_extra
    from frontends.onnx import load

    require_extra()
    written = _read(folder)
    model = load(written.origin, written.shapes, written.dims, written.values)
    if model.sha256 != written.sha256:
        raise InputError("the model has changed since it was compiled", place=written.origin, hint="compile it again")
    mapped = _evaluated(folder, written, model)
    for place, found, expected in _differences(written.data, mapped_data(mapped)):
        raise VerificationError(
            f"{place} is {found!r}, the schedules give {expected!r}", place=str(folder / "summary.json")
        )
    result = execute(model, written.arch, mapped.results)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_verification(result)
    if not result["passed"]:
        raise VerificationError(result["failure"], place=model.network.name)


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
        values = {str(name): n for name, n in about.get("values", {}).items()}
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


def _evaluated(folder: Path, written: _Written, model: OnnxModel) -> Mapped[Point]:
    """The folder's schedules, evaluated anew for the model's layers."""
    from backends.emit import read_schedule

    points: dict[LoopNest, Point] = {}
    for layer in model.network.layers:
        if layer.name not in written.rows or layer.nest is None:
            raise InputError(f"has no schedule for layer {layer.name}", place=str(folder))
        path = folder / written.rows[layer.name]["schedule"]
        schedule = read_schedule(path, written.arch)
        if schedule.nest != layer.nest:
            raise InputError(f"is of another layer than {layer.name}", place=str(path))
        if layer.nest in points and points[layer.nest].mapping != schedule.mapping:
            raise InputError(f"layer {layer.name} differs from an equal layer's schedule", place=str(path))
        points[layer.nest] = Point(schedule.mapping, evaluate(layer.nest, written.arch, schedule.mapping))
    # a model compiled under its short name is read by its path here
    return Mapped(replace(model.network, name=written.name), written.arch, points)


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


def execute(
    model: OnnxModel, arch: Architecture, points: Dict[LoopNest, Result] | Dict[LoopNest, Point]
) -> dict[str, Any]:
    """Run a model through its mappings; the `verification` of a summary, with the first failure in words."""
    from backends.execute.network import verify_network

    interrupts.keep()
    mappings = {nest: point.mapping for nest, point in points.items()}
    expected = {nest: point.cost.counts for nest, point in points.items()}
    with bar("executing", len(model.network.layers)) as advance:
        found = verify_network(model, arch, mappings, expected, on_layer=lambda check: advance(check.name))
    error = found.max_relative_error
    ran = {check.name for check in found.layers}
    idle = [layer.name for layer in model.network.layers if layer.name not in ran]
    return {
        "layers_checked": found.layers_checked,
        "counts_match": found.counts_match,
        "max_relative_error": error if math.isfinite(error) else None,
        "passed": found.passed,
        **({} if found.passed else {"failure": found.failure}),
        **({"uncompared": dict(found.uncompared)} if found.uncompared else {}),
        **({"not_run": idle} if idle else {}),
    }


def print_verification(verification: dict[str, Any]) -> None:
    """What execution showed, in one line."""
    idle = verification.get("not_run", [])
    if not verification["layers_checked"]:
        why = "the model runs none of its layers on these inputs" if idle else "the model has no layers"
        print(f"nothing was executed: {why}")
        return
    matched = "equal to the model's" if verification["counts_match"] else "NOT equal to the model's"
    error = verification["max_relative_error"]
    values = "NOT comparable with" if error is None else f"within {error:.2g} of"
    print(f"executed {verification['layers_checked']} layers: every count {matched}, outputs {values} ONNX Runtime's")
    if idle:
        print(f"not executed, as these inputs do not lead there: {', '.join(idle)}")
    for name, reason in verification.get("uncompared", {}).items():
        print(f"not compared: {name}: {reason}")
