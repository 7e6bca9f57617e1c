"""Architectures with other values in their spec."""

import dataclasses
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest

from mapper.arch import (
    Architecture,
    Compute,
    Memory,
    Spec,
    find_spec,
    load_architecture,
    parse_architecture,
    spec_names,
)
from mapper.errors import InputError

SPEC = """\
name: two  # a comment
clock: 100 MHz
levels:
  - memory: DRAM
    word: 16 bits
    read: &dear 100 pJ
    write: *dear
    bandwidth: {read: 2 words/cycle, write: 1 words/cycle}
  - fanout: PE
    axes: {x: 4, y: {size: 2, dims: [K]}}
  - beside:
      - memory: IBUF
        size: 64 words
        keeps: [input, weight]
      - memory: OBUF
        size: 1 KiB
        keeps: [output]
  - compute: MAC
    energy: 1 pJ
constraints: [K spatial PE.y = 2]
"""
ARCH = parse_architecture(Spec("two.yaml", SPEC))


def with_text(*pairs):
    text = SPEC
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return parse_architecture(Spec("two.yaml", text))


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        ("IBUF.size", "2 KiB", "64 words", "2 KiB"),
        ("OBUF.size", None, "        size: 1 KiB\n", ""),
        ("DRAM.bandwidth.read", "8 words/cycle", "{read: 2 words/cycle", "{read: 8 words/cycle"),
        ("DRAM.bandwidth", "unlimited", "{read: 2 words/cycle, write: 1 words/cycle}", "unlimited"),
        ("DRAM.read", "7 pJ", "write: *dear", "write: 100 pJ"),  # and below: only what the path names is changed
        ("PE.axes.x", np.int64(32), "{x: 4", "{x: 32"),
        ("PE.axes.y.size", 8, "size: 2", "size: 8"),
        ("PE.axes", {"x": 4, "y": {"size": 2, "dims": ["K"]}, "z": 3}, "[K]}}", "[K]}, z: 3}"),
        ("PE.hop", Fraction(1, 4), "  - fanout: PE\n", "  - fanout: PE\n    hop: 0.25\n"),
        ("MAC.energy", 1e-3, "energy: 1 pJ", "energy: 0.001 pJ"),
        ("MAC.widths.partial", 32, "  - compute: MAC\n", "  - compute: MAC\n    widths: {partial: 32}\n"),
        ("OBUF.double_buffered", True, "size: 1 KiB\n", "size: 1 KiB\n        double_buffered: true\n"),
        ("IBUF.keeps", ["weight", "input"], "[input, weight]", "[weight, input]"),
        ("clock", "1 GHz", "100 MHz", "1 GHz"),
        ("technology", "45 nm", "name: two", "technology: 45 nm\nname: two"),
        ("constraints", ["C spatial PE.x = 2"], "[K spatial PE.y = 2]", "[C spatial PE.x = 2]"),
        ("dataflows.a", "[keep IBUF:W]", "constraints:", "dataflows: {a: [keep IBUF:W]}\nconstraints:"),
        ("MAC.compute", "ALU", "compute: MAC", "compute: ALU"),
    ],
)  # fmt: skip
def test_a_replaced_value_is_as_if_the_edited_file_were_loaded(path, value, old, new):
    pairs = [(old, new)] if path != "DRAM.read" else [(old, new), ("&dear 100 pJ", "7 pJ")]
    found = ARCH.replace(path, value)
    assert found == with_text(*pairs) != ARCH or path == "IBUF.keeps"
    assert parse_architecture(found.spec) == found  # the new spec says the same


def test_several_at_once_and_one_after_the_other():
    dotted = {"PE.axes.x": 8}
    once = ARCH.replace({"IBUF.size": "2 KiB", **dotted}, clock="1 GHz")
    assert once == ARCH.replace("IBUF.size", "2 KiB").replace(**dotted).replace("clock", "1 GHz")
    assert once == with_text(("64 words", "2 KiB"), ("{x: 4", "{x: 8"), ("100 MHz", "1 GHz"))
    assert ARCH.replace({}) == ARCH == parse_architecture(Spec("two.yaml", SPEC))
    assert pickle.loads(pickle.dumps(once)).replace("clock", "2 GHz").clock_hz == 2 * 10**9


@pytest.mark.parametrize("name", spec_names())
def test_shipped_specs_keep_their_meaning(name):
    arch = load_architecture(name)
    memory = random.choice(arch.memories[1:])
    found = arch.replace(f"{memory.name}.size", "3 MiB")
    assert found != arch and found.memory(memory.name).size_words == 3 * 2**23 // memory.word_bits
    assert parse_architecture(found.spec) == found
    changed = dataclasses.replace(found.memory(memory.name), size_words=memory.size_words)
    if arch.spec.text.count("estimated") == 0:  # energies that do not follow the size
        assert changed == memory


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"IBUX.size": 1}, "IBUX.size: the spec has no level 'IBUX' (did you mean IBUF?)"),
        ({"clok": "1 GHz"}, "two.yaml:1:1: unknown key 'clok' in the spec (did you mean clock?)"),
        ({"IBUF.sizes": 1}, "two.yaml:12:9: unknown key 'sizes' in a memory (did you mean size?)"),
        ({"IBUF.size": "1 parsec"}, "two.yaml:13:15: unit 'parsec' of the size of IBUF is not known"),
        ({"IBUF.size": "many"}, "two.yaml:13:15: the size of IBUF must be a number, not 'many'"),
        ({"IBUF.size": float("nan")}, "two.yaml:13:15: the size of IBUF must be a number, not 'NaN'"),
        ({"IBUF.size": ""}, "IBUF.size: the value is empty (None leaves the key out)"),
        ({"IBUF.size": "[1"}, "IBUF.size:1:3: not valid YAML"),
        ({"IBUF.size": object()}, "IBUF.size: something of type object is no value of a spec"),
        ({"IBUF.size": Fraction(1, 3)}, "IBUF.size: Fraction(1, 3) is no value of a spec"),
        ({"IBUF.size.words": 1}, "IBUF.size.words: there is a single value, which has no key 'words'"),
        ({"IBUF.line": None}, "IBUF.line: there is no key 'line' to leave out"),
        ({"MAC": None}, "the last level must be the compute unit"),
        ({"name": None}, "the spec has no 'name'"),
        ({"": 1}, "'' is no path"),
        ({3: 1}, "3 is no path"),
        ({"IBUF..size": 1}, "'IBUF..size' is no path"),
    ],
)
def test_what_cannot_be_replaced(changes, message):
    with pytest.raises(InputError) as error:
        ARCH.replace(changes)
    assert message in str(error.value)


def test_all_problems_are_named_at_once():
    with pytest.raises(InputError) as error:
        ARCH.replace({"IBUX.size": 1, "OBUX.size": 2})
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("arguments", [(), ("IBUF.size",), ({"clock": 1}, 2), (3,), (None, 1), (["clock"], 1)])
def test_other_calls(arguments):
    if arguments:
        with pytest.raises(InputError, match="a path and a value, or a dict"):
            ARCH.replace(*arguments)
    else:
        assert ARCH.replace() == ARCH


def test_only_what_was_read_can_be_edited():
    made = Architecture("made", (Memory("DRAM"), Compute("MAC")))
    for arch in (made, dataclasses.replace(load_architecture("simple3"), description="another")):
        with pytest.raises(InputError, match="was not read from a spec"):
            arch.replace("clock", "1 GHz")
    assert load_architecture("simple3").spec == find_spec("simple3")
