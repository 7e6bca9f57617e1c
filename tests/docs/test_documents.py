"""Every command and snippet of the README, the documents and the examples runs, and prints what is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mapper.arch import Spec, parse_architecture

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(document.read_text("utf-8")) if found == language]


def run(command: list[str] | str, folder: Path) -> str:
    """Standard output of a command that must succeed, with the project's commands on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the examples are at hand and nothing of the checkout can be overwritten."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def untimed(text: str) -> list[str]:
    """The lines without what differs from run to run or machine to machine: solve times, rounding errors, padding."""
    lines = re.sub(r"within \d\S* of", "within E of", re.sub(r"\d+\.\d\d s", "T", text)).strip().splitlines()
    return [re.sub(r"\s+|─+", " ", line).strip() for line in lines]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if blocks(d, "console")], ids=lambda d: d.name)
def test_commands_run(document: Path, folder: Path) -> None:
    for block in blocks(document, "console"):
        lines = block.splitlines()
        assert lines and all(line.startswith("$ ") for line in lines)
        for line in lines:
            run(line.removeprefix("$ "), folder)


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if blocks(d, "python")], ids=lambda d: d.name)
def test_python_snippets_run(document: Path, folder: Path) -> None:
    for block in blocks(document, "python"):
        script = folder / "snippet.py"
        script.write_text(block, "utf-8")
        run([sys.executable, "-W", "error", "snippet.py"], folder)


def test_yaml_snippets_are_specs_or_levels() -> None:
    for document in DOCUMENTS:
        for block in blocks(document, "yaml"):
            levels = f"name: x\nlevels:\n  - memory: DRAM\n{block}  - compute: MAC\n"
            spec = block if block.startswith("name:") else levels
            assert parse_architecture(Spec(document.name, spec)).memories


def test_the_readme_shows_what_the_demo_prints(folder: Path) -> None:
    demo = re.search(r"^demo:.*\n\t\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert demo
    shown = blocks(ROOT / "README.md", "text")[0]
    assert untimed(shown) == untimed(run(demo[1], folder))


def test_the_readme_shows_what_its_layer_prints(folder: Path) -> None:
    command = blocks(ROOT / "README.md", "console")[0].removeprefix("$ ").strip()
    shown, printed = blocks(ROOT / "README.md", "text")[1], run(command, folder)
    # several mappings may have the least energy and the fewest cycles: the totals are what is proven
    totals = [line for line in shown.splitlines() if line.startswith("energy")]
    assert totals and totals == [line for line in printed.splitlines() if line.startswith("energy")]


def test_the_readmes_two_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    commands = re.findall(r"^make (\w+)", "".join(blocks(ROOT / "README.md", "sh")), re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)


def test_the_python_example_runs(folder: Path) -> None:
    assert "simple3_rolling: optimal" in run([sys.executable, "examples/map_a_layer.py"], folder)


def test_the_example_of_a_front_runs(folder: Path) -> None:
    printed = run([sys.executable, "-W", "error", "examples/trade_energy_for_time.py"], folder)
    assert "front of 4, optimal:" in printed
    assert "weight_stationary: " in printed and "output_stationary: " in printed


def test_the_shell_example_runs(folder: Path) -> None:
    assert "every count equal" in run("sh examples/compile_a_model.sh", folder)
