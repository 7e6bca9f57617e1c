"""A share of the mutated inputs, with new seeds each time; and that the runner notices what it is for."""

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random, SystemRandom

import pytest
from fuzz import main

from fuzzing import run as runner
from fuzzing.every import KINDS
from fuzzing.kinds import Kind
from fuzzing.mutations import spoilt_data, spoilt_text
from mapper.errors import InputError

ROOT = Path(__file__).parents[2]


def share(count, *kinds):
    command = [sys.executable, ROOT / "tests" / "fuzz.py", "--count", str(count), *kinds]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False)
    print(done.stdout)  # the first seed among it
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_is_read_or_refused_in_one_line():
    share(100)


@pytest.mark.slow
def test_node_tests():
    share(1500, "node tests")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if not kind.slow], ids=lambda kind: kind.name)
def test_a_seed_makes_always_the_same_input(kind):
    seed = SystemRandom().randrange(10**9)
    assert kind.input(seed) == kind.input(seed), seed
    assert any(kind.input(seed + i) != kind.input(seed) for i in range(1, 9)), seed


@pytest.mark.parametrize("seed", range(30))
def test_mutations_change_a_copy(seed):
    data = {"a": [1, {"b": 2.5}], "c": "text"}
    before = repr(data)
    spoilt_data(data, Random(seed))
    assert repr(data) == before
    assert isinstance(spoilt_text("some text 12\nof two lines", Random(seed)), str)


def attempt(number):
    """Some of these inputs are refused, and some are defects of every sort."""
    match number % 10:
        case 1:
            raise InputError("one line")
        case 2:
            raise ValueError("a defect")
        case 3:
            raise InputError("fine\nas is this \x1b")
        case 4:
            while True:
                time.perf_counter()
        case 5:
            bytearray(2**34)
        case 6:
            os._exit(7)


def test_defects_are_noticed(monkeypatch):
    """An exception, a message that has no line, a hang, memory, and the end of the process; seeds go on behind it."""
    monkeypatch.setattr(runner, "SECONDS", 1)
    kind = Kind("odd", lambda random: random.random(), attempt)
    monkeypatch.setattr(Kind, "input", lambda self, seed: seed)
    found = runner.run(kind, 0, 10)
    assert found.count == 10
    assert sorted(found.defects) == [2, 4, 5, 6]
    ends = [found.defects[seed].strip().splitlines()[-1] for seed in sorted(found.defects)]
    assert ends[:3] == ["ValueError: a defect", "fuzzing.run.TooLong: more than 1 s", "MemoryError"]
    assert "the process ended: 7 " in ends[3]


def test_an_unknown_kind_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["modles", "--count", "1"])
    assert ended.value.code == 2
    assert "there is no kind modles; kinds: models, " in capsys.readouterr().err
