"""Specs as text: the files that come with the package, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

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


def find_spec(name: str) -> Spec:
    """The spec of that name, or in that file; InputError with the nearest names if there is neither."""
    if name in spec_names():
        return Spec(f"{name}.yaml", (resources.files("arch_specs") / f"{name}.yaml").read_text("utf-8"))
    try:
        return read_spec(name)
    except MissingFileError:
        raise InputError(f"no architecture file or name '{name}'", hint=nearest(name, spec_names())) from None


def read_spec(name: str) -> Spec:
    """The spec in a file; raises as `mapper.files.read_text` does."""
    return Spec(name, read_text(name))
