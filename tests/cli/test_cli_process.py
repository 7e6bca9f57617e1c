"""The installed command, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from backends.emit import read_schedule
from mapper.arch import load_architecture
from mapper.files import write_text
from mapper.mapping import violations

COMMAND = str(Path(sys.executable).with_name("mapper"))


def run(*arguments, **options):
    return subprocess.run([*arguments], capture_output=True, text=True, timeout=60, check=False, **options)


def test_the_command_is_installed():
    found = run(COMMAND, "--version")
    assert (found.returncode, found.stdout, found.stderr) == (0, f"mapper (tilewright) {version('tilewright')}\n", "")
    assert run(sys.executable, "-m", "mapper", "--version").stdout == found.stdout


def test_json_is_all_that_is_printed():
    found = run(COMMAND, "map", "gemm M=16 N=16 K=16", "--arch", "simple3", "--format", "json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["energy"] == 162_048


def test_errors_go_to_stderr_without_a_traceback():
    found = run(COMMAND, "map", "gemm M=16 N=1 K=1", "--arch", "simple")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("mapper: error: no architecture file or name 'simple'")
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["compile", "--help"], ["map", "--help"], ["--version"]])
def test_help_imports_none_of_the_heavy_libraries(arguments):
    program = (
        "import sys; from mapper.cli.app import app; app(sys.argv[1:], standalone_mode=False);"
        "print('loaded:', *sorted({'ortools', 'onnx', 'networkx', 'numpy', 'numba', 'onnxruntime'} & set(sys.modules)))"
    )
    found = run(sys.executable, "-c", program, *arguments)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1] == "loaded:"


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen(
        [COMMAND, "archs", "show", "simple3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        child.stdout.close()
        assert child.wait(timeout=60) == 0
        assert child.stderr.read() == b""


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    folder = tmp_path / "build"
    child = subprocess.Popen(
        [COMMAND, "compile", "resnet50", "--arch", "simple3", "--factors", "perfect", "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 90
        while not list(folder.glob("schedule/*.yaml")) and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        interrupted = time.monotonic()
        out, err = child.communicate(timeout=60)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    assert (child.returncode, out) == (130, "")
    assert time.monotonic() - interrupted < 10
    assert err.startswith("mapper: error: interrupted: ")
    assert f"distinct layers are solved; their schedules are kept in {folder}" in err
    assert err.count("\n") == 1
    schedules = sorted((folder / "schedule").iterdir())
    for file in schedules:
        schedule = read_schedule(file)
        assert violations(schedule.nest, load_architecture("simple3"), schedule.mapping) == []
    assert schedules
    assert sorted(path.name for path in folder.iterdir()) == ["arch.yaml", "model.json", "schedule"]


def test_an_interrupt_while_writing_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "summary.json", "{}")
    assert list(tmp_path.iterdir()) == []
