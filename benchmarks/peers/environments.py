"""A virtual environment for each peer, and programs that run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.answers import Answer, Failure

INSIDE = Path(__file__).resolve().parent / "inside"
LONGEST = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """A mapper to compare with: its packages, the program of `inside` that asks it, and what that is told."""

    title: str
    environment: str
    packages: tuple[str, ...]
    program: str
    settings: tuple[tuple[str, bool], ...] = ()


def install(peer: Peer, cache: Path, interpreter: str) -> Path | Failure:
    """The interpreter of the peer's environment, which is made once and kept in `cache`."""
    home = cache.resolve() / peer.environment
    python, installed = home / "bin" / "python", home / "installed"
    wanted = "\n".join(peer.packages)
    if installed.exists() and installed.read_text() == wanted:
        return python
    for command in (
        [interpreter, "-m", "venv", "--clear", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            return Failure(_line(str(error)))
        if done.returncode:
            return Failure(_line(next((x for x in done.stderr.split("\n") if x.startswith("ERROR")), done.stderr)))
    installed.write_text(wanted)
    return python


def ask(peer: Peer, python: Path, question: dict[str, Any], seconds: float) -> Answer | Failure:
    """The peer's answer, within so many seconds of wall time; sets in a peer have the same order in every run."""
    same = os.environ | {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered, log = (Path(folder) / name for name in ("question.json", "answer.json", "log"))
        asked.write_text(json.dumps(question | dict(peer.settings)))
        command = [str(python), str(INSIDE / peer.program), str(asked), str(answered)]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=folder, stdout=output, stderr=output, env=same, start_new_session=True
            )
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                return Failure(f"no answer in {seconds:g} s")
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if not answered.exists():
            lines = log.read_text(errors="replace").split("\n")
            return Failure(_line(next((x for x in reversed(lines) if x.strip()), f"exit code {process.returncode}")))
        answer = json.loads(answered.read_text())
    if "error" in answer:
        return Failure(_line(answer["error"]))
    return Answer(**answer | {"mappings": tuple(answer["mappings"])})


def _line(text: str) -> str:
    line = text.strip().split("\n")[0]
    return (line if len(line) <= LONGEST else f"{line[:LONGEST]}…").replace("|", "\\|")
