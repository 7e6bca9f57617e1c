"""Reading specs: every key and unit, and every error at its place.

In a spec that is wrong, `§` stands where the error must point.
"""

from fractions import Fraction

import pytest

from mapper.arch import (
    Axis,
    Compute,
    FanOut,
    Memory,
    Spec,
    Widths,
    find_spec,
    load_architecture,
    parse_architecture,
)
from mapper.errors import InputError
from mapper.ir import Role

GOOD = """\
name: tiny
description: a small machine
energy_unit: pJ
clock: 10 MHz
technology: 28 nm
sources: [none]
levels:
  - memory: DRAM
  - memory: GLB
    size: 1 KiB
    word: 16 bits
    keeps: [input, output]
    must_keep: [output]
    read: 1.5 pJ
    write: 2.5e-1 nJ
    bandwidth: {read: 3 words/cycle, write: 8 bits/cycle}
    packed: true
    line: 64 bits
    leak: 2 mW
    area: 0.5 mm2
    rolling: true
    double_buffered: true
  - fanout: PE
    axes: {x: 4, y: {size: 2, dims: [K, M]}}
    multicast: [weight]
    drain: true
    halo: true
    deliver: 100 fJ
    reduce_energy: 3
    hop: 20 fJ
    leak: 0.25 pJ/cycle
    area: 40 um2
  - beside:
      - memory: A
        keeps: [input]
      - memory: B
        keeps: [weight, output]
  - compute: MAC
    energy: 1 pJ
    rate: 2 operations/cycle
    widths: {input: 4, weight: 8 bits, output: 8, partial: 20}
    leak: 1
    area: 3 um2
"""


def read(text):
    return parse_architecture(Spec("tiny.yaml", text))


def with_memory(line, top=""):
    """A spec whose memory M has that key."""
    return f"name: tiny\n{top}levels:\n  - memory: DRAM\n  - memory: M\n    {line}\n  - compute: MAC\n"


def with_fanout(line):
    """A spec whose fan-out F has that key."""
    return f"name: tiny\nlevels:\n  - memory: DRAM\n  - fanout: F\n    {line}\n  - compute: MAC\n"


def errors(text):
    """The message for a wrong spec; `§` in it is the place of the mark in the text."""
    before = text[: text.index("§")]
    place = f"tiny.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    with pytest.raises(InputError) as error:
        read(text.replace("§", ""))
    return str(error.value).replace(place, "§")


def test_every_key():
    arch = read(GOOD)
    assert (arch.name, arch.description, arch.energy_unit, arch.clock_hz) == ("tiny", "a small machine", "pJ", 10**7)
    assert arch.levels == (
        Memory("DRAM"),
        Memory(
            "GLB",
            size_words=512,  # 1024 bytes at 2 bytes a word
            word_bits=16,
            may_keep=frozenset({Role.INPUT, Role.OUTPUT}),
            must_keep=frozenset({Role.OUTPUT}),
            read_energy=Fraction(3, 2),
            write_energy=Fraction(250),
            read_bandwidth=Fraction(3),
            write_bandwidth=Fraction(1, 2),
            packed=True,
            line_words=4,
            leak_energy=Fraction(200),  # 2e9 pJ/s over 1e7 cycles/s
            area_um2=Fraction(500_000),
            rolling=True,
            double_buffered=True,
        ),
        FanOut(
            "PE",
            (Axis("x", 4), Axis("y", 2, frozenset({"K", "M"}))),
            multicast=frozenset({Role.WEIGHT}),
            reduce=False,  # as each instance drains its own
            drain=True,
            halo=True,
            deliver_energy=Fraction(1, 10),
            reduce_energy=Fraction(3),
            hop_energy=Fraction(1, 50),
            leak_energy=Fraction(1, 4),
            area_um2=Fraction(40),
        ),
        Memory("A", may_keep=frozenset({Role.INPUT}), beside=1),
        Memory("B", may_keep=frozenset({Role.WEIGHT, Role.OUTPUT}), beside=1),
        Compute("MAC", 2, Fraction(1), Widths(4, 8, 8, 20), leak_energy=Fraction(1), area_um2=Fraction(3)),
    )
    assert arch.technology_nm == 28
    assert arch.area_um2 == 500_000 + 40 + 8 * 3  # of all 8 instances
    assert arch.leak_energy == 200 + Fraction(1, 4) + 8


def test_what_is_left_out():
    arch = read("name: tiny\nlevels: [{memory: DRAM}, {fanout: F, axes: {x: 2}}, {compute: MAC}]")
    operands = frozenset({Role.INPUT, Role.WEIGHT})
    assert arch.levels == (
        Memory("DRAM"),
        FanOut("F", (Axis("x", 2),), multicast=operands, reduce=True),
        Compute("MAC"),
    )
    assert (arch.energy_unit, arch.clock_hz, arch.description) == ("pJ", None, "")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("unlimited", None),
        ("12 words", 12),
        ("1_000 words", 1000),
        ("1.5e3 words", 1500),
        ("128 bits", 8),
        ("64 B", 32),
        ("2 kB", 1000),
        ("3 MB", 1_500_000),
        ("1 GB", 500_000_000),
        ("2 KiB", 1024),
        ("1 MiB", 2**19),
        ("1 GiB", 2**29),
    ],
)
def test_sizes_in_words_of_16_bits(size, words):
    assert read(with_memory(f"word: 16\n    size: {size}")).memory("M").size_words == words


@pytest.mark.parametrize(
    ("bandwidth", "words_per_cycle"),
    [
        ("unlimited", None),
        ("2 words/cycle", Fraction(2)),
        ("0.25 words/cycle", Fraction(1, 4)),
        ("24 bits/cycle", Fraction(3, 2)),
        ("4 B/cycle", Fraction(2)),
        ("1 MB/s", Fraction(1, 20)),  # 8e6 bits/s at 10 MHz and 16 bits a word
        ("1 GB/s", Fraction(50)),
        ("80 Mbit/s", Fraction(1, 2)),
        ("1 Gbit/s", Fraction(25, 4)),
        ("1 Gb/s", Fraction(25, 4)),
        ("1 GiB/s", Fraction(2**30, 2 * 10**7)),
        ("2 KiB/cycle", 1024),
    ],
)
def test_bandwidths_in_words_of_16_bits_at_10_mhz(bandwidth, words_per_cycle):
    arch = read(with_memory(f"word: 16\n    bandwidth: {bandwidth}", top="clock: 10 MHz\n"))
    assert arch.memory("M").shared_bandwidth == words_per_cycle


@pytest.mark.parametrize(("clock", "hertz"), [("5 Hz", 5), ("1.5 kHz", 1500), ("200 MHz", 2 * 10**8), ("1 GHz", 10**9)])
def test_clocks(clock, hertz):
    assert read(with_memory("rolling: false", top=f"clock: {clock}\n")).clock_hz == hertz


@pytest.mark.parametrize(
    ("unit", "energy", "exact"),
    [
        ("pJ", "0.1", Fraction(1, 10)),
        ("pJ", "7 fJ", Fraction(7, 1000)),
        ("pJ", "2 nJ", 2000),
        ("pJ", "1.5 uJ", 1_500_000),
        ("MAC", "6 MAC", 6),
        ("MAC", "2 kMAC", 2000),
    ],
)
def test_energies_are_exact(unit, energy, exact):
    assert read(with_memory(f"read: {energy}", top=f"energy_unit: {unit}\n")).memory("M").read_energy == exact


@pytest.mark.parametrize(
    ("multicast", "roles"), [("true", {"input", "weight"}), ("false", set()), ("[]", set()), ("[input]", {"input"})]
)
def test_multicast(multicast, roles):
    arch = read(with_fanout(f"axes: {{x: 2}}\n    multicast: {multicast}"))
    assert arch.fanouts[0].multicast == roles


KNOWN_SIZES = "units: words, bits, B, kB, MB, GB, TB, KiB, MiB, GiB..."
KNOWN_RATES = "units: words/cycle, bits/cycle, B/cycle, MB/s, GB/s, MiB/s, GiB/s, Mbit/s, Gbit/s, Gb/s..."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("§szie: 3 words", "§: unknown key 'szie' in a memory (did you mean size?)"),
        (
            "§quux: 3",
            "§: unknown key 'quux' in a memory "
            "(known: area, bandwidth, double_buffered, energy, keeps, kind, leak, line, memory, must_keep, packed, "
            "read, rolling, size, technology, word, write)",
        ),
        ("read: 1\n    §read: 1", "§: key 'read' is given twice in a memory"),
        ("size: §3 wrds", "§: unit 'wrds' of the size of M is not known (did you mean words or word?)"),
        ("size: §3 KB", "§: unit 'KB' of the size of M is not known (did you mean kB or KiB or kb?)"),
        ("size: §3 q", f"§: unit 'q' of the size of M is not known ({KNOWN_SIZES})"),
        ("size: §3", f"§: the size of M without a unit is not known ({KNOWN_SIZES})"),
        ("size: §big", f"§: the size of M must be a number, not 'big' ({KNOWN_SIZES})"),
        ("size: §0 words", "§: the size of M must be at least one word, not 0 words"),
        ("size: §7 bits", "§: the size of M must be at least one word, not 7 bits"),
        ("size: §-3 words", "§: the size of M must be at least one word, not -3 words"),
        (
            "size: §[3]",
            f"§: the size of M must be a single value\n§: the size of M must be a number, not '' ({KNOWN_SIZES})",
        ),
        ("word: §2.5", "§: the word of M must be a whole number of at least 1, not 2.5"),
        ("word: §0", "§: the word of M must be a whole number of at least 1, not 0"),
        ("word: §2 kB", "§: unit 'kB' of the word of M is not known (units: bit, bits, B)"),
        ("read: §-1", "§: energy 'read' of M must be zero or more, not -1"),
        ("write: §5 MAC", "§: unit 'MAC' of energy 'write' of M is not known (units: fJ, pJ, nJ, uJ, mJ, J)"),
        ("rolling: §yes", "§: rolling of M must be true or false, not 'yes'"),
        ("keeps: [input, §psums]", "§: unknown entry 'psums' of keeps of M (known: input, output, weight)"),
        ("keeps: §input", "§: keeps of M must be a list"),
        ("bandwidth: §3", f"§: shared bandwidth of M without a unit is not known ({KNOWN_RATES})"),
        ("bandwidth: §0 words/cycle", "§: shared bandwidth of M must be positive, not 0 words/cycle"),
        ("bandwidth: §3 GB/s", f"§: unit 'GB/s' of shared bandwidth of M needs a clock in this spec ({KNOWN_RATES})"),
        ("bandwidth: {§wirte: 3}", "§: unknown key 'wirte' in bandwidth of M (did you mean write?)"),
        ("line: §0 words", "§: the line of M must be a whole number of at least 1, not 0 words"),
        ("line: §12 bits", "§: the line of M must be a whole number of at least 1, not 12 bits"),
        ("size: 2 words\n    line: §3 words", "§: the line of M has 3 words, the memory only 2"),
        ("packed: §1", "§: packed of M must be true or false, not '1'"),
        ("leak: §-1", "§: the leakage of M must be zero or more, not -1"),
        (
            "leak: §2 mW",
            "§: unit 'mW' of the leakage of M needs a clock in this spec "
            "(units: fJ/cycle, pJ/cycle, nJ/cycle, uJ/cycle, mJ/cycle, J/cycle, nW, uW, mW, W)",
        ),
        ("area: §3", "§: the area of M without a unit is not known (units: um2, mm2)"),
        (
            "kind: §sram",
            "§: a kind is looked up in a table, and the spec names none "
            "(add energies: TABLE, or to a memory energy: estimated)",
        ),
        ("bandwidth: {read: §3 B}", f"§: unit 'B' of read bandwidth of M is not known ({KNOWN_RATES})"),
    ],
)
def test_errors_of_a_memory(line, message):
    assert errors(with_memory(line)) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("axes: §{}", "§: axes of F must name at least one axis with its size"),
        ("axes: §4", "§: axes of F must name at least one axis with its size"),
        ("axes: {x: §0}", "§: axis x of F must be a whole number of at least 1, not 0"),
        ("axes: {x: §1.5}", "§: axis x of F must be a whole number of at least 1, not 1.5"),
        ("axes: {x: §2 PEs}", "§: unit 'PEs' of axis x of F is not known (write the number alone)"),
        ("axes: {x: §{dims: [K]}}", "§: axis x of F has no size"),
        ("axes: {x: {size: 2, §dim: [K]}}", "§: unknown key 'dim' in axis x of F (did you mean dims?)"),
        ("axes: {x: {size: 2, dims: §K}}", "§: dims of axis x of F must be a list"),
        ("axes: {§x y: 2}", "§: 'x y' is no name: letters, digits, '_' and '-' only"),
        (
            "axes: {x: 2}\n    multicast: [§output]",
            "§: unknown entry 'output' of multicast of F (known: input, weight)",
        ),
        ("axes: {x: 2}\n    multicast: §maybe", "§: multicast of F must be true or false, not 'maybe'"),
        ("axes: {x: 2}\n    reduce: §1", "§: reduce of F must be true or false, not '1'"),
        ("axes: {x: 2}\n    drain: §both", "§: drain of F must be true or false, not 'both'"),
        ("axes: {x: 2}\n    hop: §-1", "§: energy 'hop' of F must be zero or more, not -1"),
        (
            "axes: {x: 2}\n    deliver: §x",
            "§: energy 'deliver' of F must be a number, not 'x' (units: fJ, pJ, nJ, uJ, mJ, J)",
        ),
    ],
)
def test_errors_of_a_fanout(line, message):
    assert errors(with_fanout(line)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("§levels: []", "§: the spec has no 'name'"),
        ("§name: x", "§: the spec has no 'levels'"),
        ("§- name", "§: the spec must be a mapping of keys to values"),
        ("name: x\nlevels: §{}", "§: levels must be a list"),
        ("name: x\nlevels:\n  - §memry: M", "§: a level starts with one of the keys memory, fanout, compute or beside"),
        ("name: x\nlevels:\n  - §M", "§: a level starts with one of the keys memory, fanout, compute or beside"),
        ("name: x\nenergy_unit: §J\nlevels: []", "§: energy_unit must be pJ or MAC, not 'J'"),
        ("name: x\nclock: §200\nlevels: []", "§: clock without a unit is not known (units: Hz, kHz, MHz, GHz)"),
        ("name: x\nclock: §0 Hz\nlevels: []", "§: clock must be a whole number of at least 1, not 0 Hz"),
        ("name: x\nsources: §none\nlevels: []", "§: sources must be a list"),
        ("name: x\nlevels:\n  - beside:\n      - §size: 3 words", "§: a memory has the key 'memory' with its name"),
        ("name: x\nlevels:\n  - memory: §a b", "§: 'a b' is no name: letters, digits, '_' and '-' only"),
        (
            "name: x\nlevels:\n  - §fanout: F\n  - compute: MAC",
            "§: fan-out F has no axes (write axes: {x: 16, y: 16})",
        ),
        (
            "name: x\nlevels: [{memory: D}, {compute: M, rate: §0.5}]",
            "§: the rate of M must be a whole number of at least 1, not 0.5",
        ),
        (
            "name: x\nlevels: [{memory: D}, {compute: M, widths: {partial: §0}}]",
            "§: width 'partial' of M must be a whole number of at least 1, not 0",
        ),
        (
            "name: x\nlevels: [{memory: D}, {compute: M, widths: {§psum: 8}}]",
            "§: unknown key 'psum' in widths of M (known: input, output, partial, weight)",
        ),
        (
            "name: x\nlevels: [{memory: D}, {compute: M, §enrgy: 1}]",
            "§: unknown key 'enrgy' in the compute unit (did you mean energy?)",
        ),
    ],
)
def test_errors_of_the_spec(text, message):
    assert message in errors(text).splitlines()


MUST = "B must keep what it may not keep: output"


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        ("§[]", "the first level must be a memory that may keep every tensor"),
        ("[§{compute: MAC}]", "the first level must be a memory that may keep every tensor"),
        ("[§{memory: A, keeps: [input]}, {compute: M}]", "the first level must be a memory that may keep every tensor"),
        ("§[{memory: A}]", "the last level must be the compute unit"),
        (
            "[{memory: A}, §{compute: M}, {memory: B}]",
            "M: the compute unit must be the last level, and there is one only",
        ),
        (
            "[{memory: A}, §{compute: M}, {compute: N}]",
            "M: the compute unit must be the last level, and there is one only",
        ),
        ("[{memory: A}, §{memory: B, keeps: [input], must_keep: [output]}, {compute: M}]", MUST),
        ("[{memory: A}, §{memory: A}, {compute: M}]", "two levels are named A"),
        (
            "[{memory: A}, {beside: [{memory: B, keeps: [input]}, §{memory: C, keeps: [input]}]}, {compute: M}]",
            "B and C stand side by side and may both keep the input",
        ),
        (
            "[{memory: A}, §{fanout: F, axes: {x: 2}, reduce: true, drain: true}, {compute: M}]",
            "fan-out F adds partial sums or lets each instance drain its own, not both",
        ),
        ("[{memory: A}, §{fanout: F, axes: {x: 2, x: 3}}, {compute: M}]", "fan-out F has two axes named x"),
    ],
)
def test_lists_that_are_no_accelerator(levels, problem):
    assert f"§: {problem}" in errors(f"name: x\nlevels: {levels}").splitlines()


def test_all_problems_are_reported_at_once_and_in_order():
    spec = (
        "name: x\nlevels:\n  - memory: D\n    raed: 1\n  - fanout: F\n    axes: {x: 0}\n"
        "  - memory: D\n  - compute: M\n    energy: z\n"
    )
    with pytest.raises(InputError) as error:
        read(spec)
    assert [line.split(" ")[0] for line in str(error.value).splitlines()] == [
        "tiny.yaml:4:5:",
        "tiny.yaml:6:15:",
        "tiny.yaml:7:5:",  # a second D: what concerns several levels is found together with the rest
        "tiny.yaml:9:13:",
    ]


@pytest.mark.parametrize(("key", "other"), [("name", "description"), ("description", "name")])
def test_name_and_description_are_single_values(key, other):
    levels = "levels: [{memory: D}, {compute: M}]"
    assert errors(f"{levels}\n{other}: x\n{key}: §[x]\n") == f"§: {key} must be a single value"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_an_empty_file(text):
    with pytest.raises(InputError, match=r"^tiny\.yaml: the file is empty$"):
        read(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [x", "tiny.yaml:1:9"),  # the end, where the bracket is missed
        ("name: x\n  levels: []", "tiny.yaml:2:9"),
        ("name: x\nlevels: *nowhere", "tiny.yaml:2:9"),
        ("name: x\n\tlevels: []", "tiny.yaml:2:1"),
        ("name: x\n---\nname: y", "tiny.yaml:2:1"),
    ],
)
def test_not_yaml(text, place):
    with pytest.raises(InputError) as error:
        read(text)
    assert error.value.place == place
    assert error.value.message.startswith("not valid YAML: ")


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(InputError) as error:
        load_architecture("simpel3")
    assert str(error.value) == ("no architecture file or name 'simpel3' (did you mean simple3?)")


def test_a_file_is_found_by_its_path(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert load_architecture(str(tmp_path / "mine.yaml")) == read(GOOD)


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(InputError, match="cannot be read: it is a directory"):
        find_spec(str(tmp_path))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        find_spec(str(tmp_path / "mine.yaml"))
