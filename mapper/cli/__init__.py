"""The command line. `mapper --help` imports none of the libraries that the work needs."""

from __future__ import annotations


def main() -> None:
    """Entry point of the command `mapper`."""
    from mapper.cli.app import app

    app(prog_name="mapper")
