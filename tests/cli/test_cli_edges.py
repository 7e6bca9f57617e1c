"""What a system can do to a command: streams that are closed or full, files that are none, nothing left to give."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("mapper"))
GEMM = "gemm M=4 N=4 K=4"
SYSTEM = 74


def run(*arguments, shell=None, limit=None, **options):
    """The command with some arguments; `shell` has redirections, `limit` a resource and how much of it there is."""
    command = [COMMAND, *map(str, arguments)]
    if shell:
        command = ["sh", "-c", f'"$0" "$@" {shell}', *command]
    before = (lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))) if limit else None
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=before, **options
    )  # fmt: skip


def one_line(found, code, *words):
    assert (found.returncode, found.stdout) == (code, "")
    assert found.stderr.count("\n") == 1 and found.stderr.startswith("mapper: error: ")
    assert all(word in found.stderr for word in words), found.stderr


# -- standard streams --------------------------------------------------------------------------------------------------

FULL = "standard output cannot be written: No space left on device"
CLOSED = "standard output cannot be written: Bad file descriptor"


@pytest.mark.parametrize(
    ("arguments", "shell", "message"),
    [
        (["archs"], ">/dev/full", FULL),
        (["archs"], ">&-", CLOSED),
        pytest.param(["--help"], ">/dev/full", FULL, marks=pytest.mark.slow),
        pytest.param(["--version"], ">/dev/full", FULL, marks=pytest.mark.slow),
        pytest.param(["map", GEMM, "-a", "simple3", "-f", "json"], ">/dev/full", FULL, marks=pytest.mark.slow),
        pytest.param(["map", GEMM, "-a", "simple3"], ">&- <&-", CLOSED, marks=pytest.mark.slow),
        pytest.param(["ops"], ">/dev/full", FULL, marks=pytest.mark.slow),
    ],
)
def test_standard_output_that_is_full_or_closed(arguments, shell, message):
    one_line(run(*arguments, shell=shell), SYSTEM, message)


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_standard_error_that_is_full_or_closed_leaves_the_exit_code(shell, tmp_path):
    found = run("map", "gemm M=x", "-a", "simple3", shell=shell)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")


@pytest.mark.slow
def test_a_file_never_takes_the_number_of_a_closed_stream(tmp_path):
    file = tmp_path / "best.yaml"
    found = run("map", GEMM, "-a", "simple3", "-o", file, shell="2>&- <&-")
    assert found.returncode == 0 and "proven optimal" in found.stdout
    assert file.read_text().startswith("schema:")
    assert run("archs", shell=">&- 2>&- <&-").returncode == SYSTEM


# -- files that are none -----------------------------------------------------------------------------------------------


@pytest.fixture
def odd(tmp_path):
    """Paths of what is no file, by kind."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "endless").open("wb") as stream:
        stream.truncate(2**42)
    with (tmp_path / "hole").open("wb") as stream:  # as large as a model may be
        stream.truncate(2**31 - 1)
    return {
        "pipe": tmp_path / "pipe",
        "loop": tmp_path / "loop",
        "endless": tmp_path / "endless",
        "hole": tmp_path / "hole",
        "device": Path("/dev/zero"),
        "folder": tmp_path,
        "long": tmp_path / ("n" * 300),
        "deep": tmp_path / "/".join(["n" * 200] * 30),
        "memory": Path("/proc/self/mem"),
    }


READERS = {
    "compile": lambda path: ["compile", path, "-a", "simple3"],
    "map": lambda path: ["map", GEMM, "-a", path],
    "evaluate": lambda path: ["evaluate", path, "-a", "simple3"],
    "tables": lambda path: ["archs", "tables", path],
}
WRITERS = {
    "map": lambda path: ["map", GEMM, "-a", "simple3", "-o", path],
    "compile": lambda path: ["compile", "survey/lenet5", "-a", "simple3", "-t", 1, "-o", path],
}
QUICK = {("compile", "hole"), ("evaluate", "pipe"), ("map", "device")}


@pytest.mark.parametrize("kind", ["pipe", "loop", "endless", "hole", "device", "folder", "long", "deep", "memory"])
@pytest.mark.parametrize("command", READERS)
def test_what_is_no_file_is_not_read(odd, command, kind, request, mapper):
    arguments = READERS[command](odd[kind])
    if (command, kind) in QUICK:  # in a process of its own, of which little memory is asked
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        one_line(run(*arguments), 1, str(odd[kind]))
        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < max(before, 500_000)
        return
    started = time.monotonic()
    found = mapper(*arguments)
    assert (found.code, found.out) == (SYSTEM if kind == "memory" else 1, "")
    assert found.err.startswith("mapper: error: ") and found.err.count("\n") == 1 and "Traceback" not in found.err
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("kind", ["pipe", "loop", "device", "long", "deep"])
@pytest.mark.parametrize("command", WRITERS)
def test_what_is_no_file_is_not_written(odd, command, kind, mapper):
    found = mapper(*WRITERS[command](odd[kind]))
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("mapper: error: ") and found.err.count("\n") == 1 and "Traceback" not in found.err


def test_a_name_as_long_as_names_can_be(mapper, tmp_path):
    file = tmp_path / ("n" * 250 + ".yaml")
    assert mapper("map", GEMM, "-a", "simple3", "-o", file).code == 0
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    (tmp_path / "best.yaml").write_text("as it was")
    limit = resource.RLIMIT_FSIZE, 64  # bytes that a file may have
    one_line(run("map", GEMM, "-a", "simple3", "-o", tmp_path / "best.yaml", limit=limit), SYSTEM, "cannot be written")
    assert [path.name for path in tmp_path.iterdir()] == ["best.yaml"]
    assert (tmp_path / "best.yaml").read_text() == "as it was"


# -- nothing left ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("descriptors", [6, 9, 14, 20])  # fewer, and Python itself may not start
def test_few_file_descriptors(descriptors):
    found = run("compile", "survey/lenet5", "-a", "simple3", "-j", 2, limit=(resource.RLIMIT_NOFILE, descriptors))
    assert found.returncode in (0, SYSTEM) and "Traceback" not in found.stderr
    if found.returncode:
        one_line(found, SYSTEM, "Too many open files")


@pytest.mark.slow
def test_absurd_numbers(mapper):
    for jobs in ("1" + "0" * 30, "9" * 5000, "-1", "0", "1e3"):
        found = mapper("compile", "survey/lenet5", "-a", "simple3", "-j", jobs)
        assert found.code == 2 and "--jobs" in found.err, found
    for limit in ("1e300", "1e-300", "nan", "inf", "-1"):
        for option in ("--time-limit", "--deterministic-limit"):
            assert mapper("map", GEMM, "-a", "simple3", option, limit).code == (
                0 if limit in ("1e300", "1e-300") else 1
            )


# -- interrupts --------------------------------------------------------------------------------------------------------


MAIN = """\
import sys
from mapper.cli import interrupts, main
interrupts.install()  # as main does first; before, it is Python that answers
print(end=".", file=sys.stderr, flush=True)
main()
"""


def interrupted(arguments, after, *pauses):
    """The exit code and what is on stderr where SIGINT comes to all processes so many seconds after main has begun, and
    again after each pause."""
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert child.stderr.read(1) == b"."
        for pause in (after, *pauses):
            time.sleep(pause)
            os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=60)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    return child.returncode, err.decode()


@pytest.mark.parametrize("kind", ["map", pytest.param("archs", marks=pytest.mark.slow)])
def test_an_interrupt_while_the_command_starts_is_silent(kind):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for after in (0, *(0.3 * rng.random() for _ in range(3 if kind == "map" else 20))):
        code, err = interrupted(
            {"map": ["map", "gemm M=64 N=64 K=64", "-a", "simple3"], "archs": ["archs"]}[kind], after
        )
        assert code in (0, 130)  # 0 where all was done
        assert err == "" or (err.startswith("mapper: error: interrupted") and err.count("\n") == 1)


@pytest.mark.slow
def test_interrupts_at_any_time_print_one_line_whatever_workers_do():
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(12):
        pauses = [rng.choice([0, 0.01, 0.1]) for _ in range(rng.choice([0, 0, 1, 2]))]
        code, err = interrupted(["compile", "survey/lenet5", "-a", "simple3", "-j", "2"], 3 * rng.random(), *pauses)
        assert code in (0, 130)
        assert err == "" or (err.startswith("mapper: error: interrupted") and err.count("\n") == 1), err


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command(end):
    child = subprocess.Popen(
        [COMMAND, "compile", "resnet50", "-a", "simple3", "-j", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while len(members(child.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        assert len(members(child.pid)) >= 3
        child.send_signal(end)
        child.communicate(timeout=60)
        while members(child.pid) and time.monotonic() < deadline + 60:
            time.sleep(0.05)
        assert members(child.pid) == []
    finally:
        for pid in members(child.pid):
            os.kill(pid, signal.SIGKILL)


def members(group):
    """The processes of a process group that run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found
