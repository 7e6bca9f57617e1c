"""The output folder: what `compile -o` writes and `verify` reads.

`model.json` and `arch.yaml` come first, `schedule/LAYER.yaml` as layers are solved, and `layers.csv`, `breakdown.csv`
and `summary.json` last: a folder without `summary.json` was interrupted, and what it holds is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapper.documents.schema import check_schema, schema
from mapper.errors import InputError
from mapper.files import DATA, MissingFileError, problems, read_text, write_text


@dataclass(frozen=True, slots=True)
class Folder:
    """An output folder."""

    path: Path

    def start(self, model: dict[str, Any], arch_text: str) -> None:
        """Begin a compilation: nothing of an earlier one may look like a result of this."""
        with problems(self.path, "cleared"):
            if self.path.exists() and not self.path.is_dir():
                raise InputError("is a file, not a folder", place=str(self.path))
            if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / "model.json").is_file():
                raise InputError(
                    "holds files that are no compilation's", place=str(self.path), hint="choose an empty or new folder"
                )
            for name in ("summary.json", "layers.csv", "breakdown.csv"):
                (self.path / name).unlink(missing_ok=True)
            for old in (self.path / "schedule").glob("*.yaml"):
                old.unlink()
        about = {"schema": schema("model"), **model}
        write_text(self.path / "model.json", json.dumps(about, indent=2) + "\n")
        write_text(self.path / "arch.yaml", arch_text)

    def write(self, name: str, text: str) -> None:
        """Write one file of the folder, whole or not at all."""
        write_text(self.path / name, text)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the folder's JSON files; InputError where it is missing, broken, or of another version."""
        file = self.path / name
        try:
            data = json.loads(read_text(file, DATA))
        except MissingFileError:
            raise InputError(
                "not there: the folder holds no finished compilation",
                place=str(file),
                hint="mapper compile MODEL -o DIR",
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"cannot be read: {error}", place=str(file)) from error
        return check_schema(data, file.stem, str(file))


def schedule_paths(layers: Iterable[str]) -> dict[str, str]:
    """By layer, the path of its schedule in the folder: the name with what files cannot be called replaced."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for layer in layers:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", layer).lstrip(".")[:100] or "layer"
        name, n = stem, 2
        while name.lower() in taken:  # also where the file system ignores case
            name, n = f"{stem}.{n}", n + 1
        taken.add(name.lower())
        found[layer] = f"schedule/{name}.yaml"
    return found
