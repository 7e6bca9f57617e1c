"""`mapper archs` and `mapper ops`: what there is."""

from __future__ import annotations

import json

from mapper.cli.output import console, table


def list_architectures(*, as_json: bool) -> None:
    """Print the name and description of each architecture of the package."""
    from mapper.arch import load_architecture, spec_names

    found = {name: load_architecture(name).description for name in spec_names()}
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = table("name", "what it is")
    for name, description in found.items():
        rows.add_row(name, description)
    console().print(rows)


def check_architecture(file: str) -> None:
    """Print what a valid architecture file describes."""
    from mapper.arch import load_architecture

    arch = load_architecture(file)
    memories = ", ".join(m.name for m in arch.memories)
    print(f"{file}: ok: {arch.name}: memories {memories}; {arch.peak_operations} operations per cycle at most")


def print_operators(*, as_json: bool) -> None:
    """Print how each ONNX operator is treated."""
    from frontends.onnx.operators import treatments

    found = treatments()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = table("operator", "treatment")
    for name, treatment in found.items():
        rows.add_row(name, treatment)
    console().print(rows)
