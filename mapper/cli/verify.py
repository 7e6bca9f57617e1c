"""`mapper verify`: executing what was compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping as Dict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapper.arch import Architecture, Spec, parse_architecture
from mapper.cli.folder import Folder
from mapper.cli.progress import bar
from mapper.cost import evaluate
from mapper.errors import InputError, VerificationError
from mapper.ir import LoopNest
from mapper.mapping import Counts, Mapping, violations

if TYPE_CHECKING:
    from frontends.onnx import OnnxModel


def verify_folder(folder: Path, *, as_json: bool) -> None:
    """Execute a folder's schedules; VerificationError where counts or values differ."""
    from backends.emit import read_schedule
    from frontends.onnx import load
    from mapper.cli.compile import print_verification

    files = Folder(folder)
    about, data = files.read_json("model.json"), files.read_json("summary.json")
    arch_file = folder / "arch.yaml"
    try:
        arch = parse_architecture(Spec(str(arch_file), arch_file.read_text("utf-8")))
        origin, sha256 = str(about["path"]), about["sha256"]
        rows = {row["name"]: (folder / row["schedule"], row["energy_pj"]) for row in data["layers"]}
    except (OSError, KeyError, TypeError) as error:
        raise InputError(f"no folder of a compilation: {error}", place=str(folder)) from error
    model = load(origin, {name: tuple(shape) for name, shape in about.get("shapes", {}).items()})
    if model.sha256 != sha256:
        raise InputError("the model has changed since it was compiled", place=origin, hint="compile it again")
    mappings: dict[LoopNest, Mapping] = {}
    expected: dict[LoopNest, Counts] = {}
    for layer in model.network.layers:
        if layer.name not in rows or layer.nest is None:
            raise InputError(f"has no schedule for layer {layer.name}", place=str(folder))
        path, energy = rows[layer.name]
        schedule = read_schedule(path)
        if schedule.nest != layer.nest:
            raise InputError(f"is of another layer than {layer.name}", place=str(path))
        if broken := violations(layer.nest, arch, schedule.mapping):
            raise InputError("\n".join(f"illegal: {problem}" for problem in broken), place=str(path))
        cost = evaluate(layer.nest, arch, schedule.mapping)
        if float(cost.energy) != float(energy):
            raise VerificationError(f"energy is {float(cost.energy)}, the summary says {energy}", place=str(path))
        mappings[layer.nest], expected[layer.nest] = schedule.mapping, cost.counts
    result = execute(model, arch, mappings, expected)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_verification(result)
    if not result["passed"]:
        raise VerificationError(result["failure"], place=model.network.name)


def execute(
    model: OnnxModel, arch: Architecture, mappings: Dict[LoopNest, Mapping], expected: Dict[LoopNest, Counts]
) -> dict[str, Any]:
    """Run a model through its mappings; the `verification` of a summary, with the first failure in words."""
    from backends.execute.network import verify_network

    with bar("executing", len(model.network.layers)) as advance:
        found = verify_network(model, arch, mappings, expected, on_layer=lambda check: advance(check.name))
    failure = next((f"layer {c.name}: {c.mismatch}" for c in found.layers if c.mismatch), None)
    return {
        "layers_checked": found.layers_checked,
        "counts_match": found.counts_match,
        "max_relative_error": found.max_relative_error,
        "passed": found.passed,
        **({} if found.passed else {"failure": failure}),
    }
