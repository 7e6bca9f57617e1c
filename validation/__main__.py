"""Print a validation report in Markdown, or write it to docs/validation."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

REPORTS = ("energy", "eyeriss", "fuzz", "models", "onnx_nodes", "timeloop")
DOCUMENTS = Path(__file__).parents[1] / "docs" / "validation"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a missing or wrong name exits with 2 and the names there are."""
    parser = ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("name", choices=REPORTS)
    parser.add_argument(
        "--write",
        action="store_true",
        help="write docs/validation/NAME.md, and the files that belong to it, instead of printing",
    )
    options = parser.parse_args(arguments)
    module = import_module(f"validation.{options.name}")
    text: str = module.report()
    if options.write:
        DOCUMENTS.mkdir(parents=True, exist_ok=True)
        (DOCUMENTS / f"{options.name}.md").write_text(text, "utf-8")
        for path, content in module.files().items() if hasattr(module, "files") else ():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
