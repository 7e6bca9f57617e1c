"""Specs as text: the files that come with the package, and the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from os import PathLike

from mapper.errors import InputError
from mapper.files import MissingFileError, read_text
from mapper.spelling import nearest


@dataclass(frozen=True, slots=True)
class Spec:
    """The text of an architecture or an energy table, and where it comes from."""

    place: str
    text: str


def spec_names() -> list[str]:
    """The architectures that come with the package."""
    folder = resources.files("arch_specs")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def find_spec(name: str | PathLike[str]) -> Spec:
    """The spec of that name, in that file, or that is this text, of more than one line; a path is always a file.

    Raises InputError with the nearest names if there is none, and what `mapper.files.read_text` does.
    """
    if not isinstance(name, str):
        return read_spec(os.fspath(name))
    if "\n" in name:
        return Spec("the spec", name)
    if name in spec_names():
        return Spec(f"{name}.yaml", (resources.files("arch_specs") / f"{name}.yaml").read_text("utf-8"))
    try:
        return read_spec(name)
    except MissingFileError:
        raise InputError(f"no architecture file or name '{name}'", hint=nearest(name, spec_names())) from None


def schedule_names() -> list[str]:
    """The schedules that come with the package, as ARCHITECTURE/LAYER."""
    folder = resources.files("arch_specs") / "schedules"
    machines = sorted((f for f in folder.iterdir() if f.is_dir()), key=lambda f: f.name)
    names = ([f.name for f in machine.iterdir() if f.name.endswith(".yaml")] for machine in machines)
    return [
        f"{machine.name}/{name.removesuffix('.yaml')}"
        for machine, found in zip(machines, names, strict=True)
        for name in sorted(found)
    ]


def find_schedule(name: str) -> Spec | None:
    """The schedule of that name among those that come with the package, as text; None where there is none."""
    if name not in schedule_names():
        return None
    file = f"schedules/{name}.yaml"
    return Spec(file, resources.files("arch_specs").joinpath(*file.split("/")).read_text("utf-8"))


def read_spec(name: str) -> Spec:
    """The spec in a file; raises as `mapper.files.read_text` does."""
    return Spec(name, read_text(name))
