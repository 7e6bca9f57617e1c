"""Batch evaluation: equal to the scalar model on every element, exact beyond 64 bits, clear about bad input."""

import subprocess
import sys
import time
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases

import mapper
from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, Widths
from mapper.cost import batch, count, evaluate
from mapper.cost.batch import evaluate_batch
from mapper.cost.bounds import _elements, largest_values
from mapper.cost.cost import energy_by_level, home_words, measure
from mapper.cost.cuts import Cuts
from mapper.errors import InputError
from mapper.ir import Role, conv, gemm, parse_nest
from mapper.mapping import Keep, Mapping, footprints, parse_mapping, violations


def loops(mapping):
    """(position, loop), in order."""
    return [(i, item) for i, item in enumerate(mapping.items) if not isinstance(item, Keep)]


def with_steps(mapping, row):
    """The mapping with the steps of a row of the table."""
    items = list(mapping.items)
    for (i, item), step in zip(loops(mapping), row, strict=True):
        items[i] = replace(item, step=int(step))
    return Mapping(tuple(items))


def by_itself(nest, arch, mapping):
    """What `BatchCost` has of one mapping, from the scalar functions."""
    cost, words = evaluate(nest, arch, mapping), measure(arch, Cuts(nest, mapping)).words
    counts, denominator = cost.counts, arch.prices.denominator
    accesses = ("reads", "writes", "partial_reads", "partial_writes")
    return {
        "legal": violations(nest, arch, mapping) == [],
        "energy": cost.energy * denominator,
        "denominator": denominator,
        "energy_by_level": {name: energy * denominator for name, energy in cost.energy_by_level.items()},
        "cycles": cost.cycles,
        "cycles_by_port": cost.cycles_by_port,
        "utilization": cost.utilization,
        "home_words": cost.home_words,
        "operations": counts.operations,
        "steps": counts.steps,
        **{kind: {key: getattr(a, kind) for key, a in counts.accesses.items()} for kind in accesses},
        "word_reads": {key: w.reads for key, w in words.items()},
        "word_writes": {key: w.writes for key, w in words.items()},
        **{
            kind: {key: getattr(m, kind) for key, m in counts.moves.items()}
            for kind in ("delivered", "reduced", "hops")
        },
    }


def of_row(found, row):
    """The same from a row of a batch."""

    def at(values):
        if isinstance(values, dict):
            return {key: at(own) for key, own in values.items()}
        return values[row : row + 1].tolist()[0] if isinstance(values, np.ndarray) else values

    return {field.name: at(getattr(found, field.name)) for field in fields(found)}


def differences(nest, arch, mapping, table):
    """(row, name) of all figures in which a batch differs from the scalar model."""
    found = evaluate_batch(nest, arch, mapping, table)
    for values in (found.legal, found.energy, *found.reads.values(), *found.hops.values()):
        assert values.shape == (len(table),) and not values.flags.writeable
    wrong = []
    for row, line in enumerate(table):
        own, expected = of_row(found, row), by_itself(nest, arch, with_steps(mapping, line))
        assert own.keys() == expected.keys()
        wrong += [(row, name) for name in own if own[name] != expected[name]]
    return wrong


@st.composite
def batches(draw, rows=6, **limits):
    """A case, and a table of steps for its structure: its own and changes of it, some of which are illegal."""
    case = draw(cases(**limits))
    items = [item for _, item in loops(case.mapping)]
    table = [[item.step for item in items]]
    for _ in range(rows - 1):
        line = list(draw(st.sampled_from(table)))
        for k in draw(st.sets(st.integers(0, max(0, len(items) - 1)), max_size=3)) if items else ():
            line[k] = draw(st.integers(1, case.nest.extents[items[k].dim] + 2))
        table.append(line)
    return case, np.array(table, np.int64).reshape(rows, len(items))


NEST = gemm(M=6, N=5, K=4)
MAPPING = parse_mapping(
    "keep HOME A B O\nfor K 1\nparfor M 1 F.x\nkeep L1 O\nfor N 1\nkeep L1 A\nfor N 1\nfor M 1\nfor K 1\n"
)
# the last two leave K in twos and M over 6 of 3 instances
TABLE = np.array(
    [
        [2, 2, 2, 1, 1, 1],
        [4, 2, 5, 1, 1, 1],
        [1, 4, 9, 1, 1, 1],
        [3, 3, 1, 1, 1, 1],
        [2, 2, 4, 1, 1, 2],
        [2, 1, 1, 1, 1, 1],
    ]
)


def machine(compute=None, mesh=None, **inner):
    return Architecture(
        "tiny",
        (
            Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100)),
            FanOut("F", (Axis("x", 3),), **(mesh or {})),
            Memory("L1", **{"size_words": 30, "read_energy": Fraction(1, 3), **inner}),
            Compute("MAC", **(compute or {})),
        ),
    )


# -- equal on every element --------------------------------------------------------------------------------------------


@given(batches())
def test_every_element_is_that_of_the_scalar_model(drawn):
    case, table = drawn
    assert differences(*case, table) == []


@given(batches(largest=40, operations=3000))
def test_larger_layers_too(drawn):
    case, table = drawn
    assert differences(*case, table) == []


def test_every_element_is_that_of_its_own_chunk(monkeypatch):
    whole = evaluate_batch(NEST, machine(), MAPPING, TABLE)
    assert whole.legal.tolist() == [True] * 4 + [False] * 2
    monkeypatch.setattr(batch, "CHUNK", 2)
    assert differences(NEST, machine(), MAPPING, TABLE) == []
    parts = evaluate_batch(NEST, machine(), MAPPING, TABLE)
    assert [of_row(parts, row) for row in range(len(TABLE))] == [of_row(whole, row) for row in range(len(TABLE))]


def test_counts_by_hand():
    # 2 x 2 x 2: A is read for each of 8 operations, each of 4 outputs is written once (L1 adds its two sums) or twice
    mapping = parse_mapping("keep HOME A B O\nfor K 1\nfor M 1\nkeep L1 O\nfor N 1\nfor K 1\n")
    found = evaluate_batch(gemm(M=2, N=2, K=2), machine(), mapping, [[1, 1, 1, 1], [2, 1, 1, 1]])
    assert found.legal.tolist() == [True, True]
    assert found.reads["HOME", "A"].tolist() == [8, 8]
    assert found.writes["HOME", "O"].tolist() == [8, 4]
    assert found.partial_writes["HOME", "O"].tolist() == [4, 0]


def test_legality_is_of_axes_dims_and_memories():
    # M over 3 and 6 instances of 3; K left in twos; tiles of 1 x 5 outputs and 1 x 4 of A in 9 words, then of 8
    mapping = parse_mapping("keep HOME A B O\nparfor M 1 F.x\nkeep L1 O A\nfor M 1\nfor N 1\nfor K 1\n")
    table = [[2, 1, 1, 1], [1, 1, 1, 1], [2, 1, 1, 2], [2, 2, 1, 1]]
    nest = gemm(M=6, N=5, K=4)
    assert evaluate_batch(nest, machine(size_words=18), mapping, table).legal.tolist() == [True, False, False, False]
    assert not evaluate_batch(nest, machine(size_words=17), mapping, table[:1]).legal.any()
    assert evaluate_batch(nest, machine(size_words=8 * 2), mapping, [[1, 1, 1, 1]]).legal.tolist() == [False]


@given(batches(rows=3))
def test_tiles_take_the_words_that_legality_counts(drawn):
    """Most of all those of partial sums, which take four words each and are not in every node."""
    (nest, arch, mapping), table = drawn
    narrow = tuple(replace(t, bits=8) for t in nest.tensors)
    levels = tuple(replace(v, word_bits=8) if isinstance(v, Memory) else v for v in arch.levels)
    nest, arch = replace(nest, tensors=narrow, partial_bits=32), replace(arch, levels=levels)
    loops = [i for i, item in enumerate(mapping.items) if not isinstance(item, Keep)]
    columns = {i: np.array([line[k] for line in table]) for k, i in enumerate(loops)}
    for memory in arch.memories:
        found = footprints(nest, arch, mapping, memory, columns)
        for row, line in enumerate(table):
            alone = footprints(nest, arch, with_steps(mapping, line), memory)
            assert {name: int(np.broadcast_to(words, len(table))[row]) for name, words in found.items()} == alone


def test_a_structure_without_loops_and_a_batch_without_mappings():
    mapping = parse_mapping("keep HOME A B O\n")
    point = gemm(M=1, N=1, K=1)
    found = evaluate_batch(point, machine(), mapping, np.empty((3, 0), int))
    assert (found.legal.tolist(), found.cycles.tolist()) == ([True] * 3, [1] * 3)
    assert found.reads["HOME", "A"].tolist() == [1, 1, 1]
    none = evaluate_batch(NEST, machine(), MAPPING, np.empty((0, 6), int))
    assert (none.legal.shape, none.energy.shape, none.utilization.shape, none.hops["F", "O"].shape) == ((0,),) * 4


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, object, list])
def test_steps_of_any_integer_type_however_large(kind):
    nest = gemm(M=300, N=5, K=4)
    largest = {np.uint64: 2**64 - 1, object: 10**30, list: 10**30}.get(kind) or np.iinfo(kind).max
    table = [[2, 100, 5, 1, 1, 1], [largest, 100, largest, 1, 1, 1]]
    steps = table if kind is list else np.array(table, kind)
    found, same = (evaluate_batch(nest, machine(), MAPPING, t) for t in (steps, [table[0], [4, 100, 5, 1, 1, 1]]))
    if largest >= 300:
        assert [of_row(found, row) for row in (0, 1)] == [of_row(same, row) for row in (0, 1)]
    assert differences(nest, machine(), MAPPING, np.array(table, object)) == []


# -- exact beyond 64 bits ----------------------------------------------------------------------------------------------


def test_sizes_on_both_sides_of_64_bits():
    found = set()
    for bits in (*range(10, 24), 31, 62, 63, 64, 90):
        nest, part = gemm(M=2**bits, N=2**bits + 1, K=3 * 2**bits), 2 ** (bits - 1)
        table = [[4, part, 9, 1, 1, 1], [part, part + 1, part // 2 + 1, 1, 1, 1], [3 * part, 2, 1, 1, 2, 1]]
        assert differences(nest, machine(), MAPPING, np.array(table, object)) == []
        batch = evaluate_batch(nest, machine(), MAPPING, table)
        for values in (batch.energy, batch.steps):
            found.update((value >= 2**63, values.dtype == object) for value in values.tolist())
    assert found == {(False, False), (False, True), (True, True)}


def test_wide_prices_leave_counts_alone():
    arch = machine(read_energy=Fraction(1, 2**61 - 1), leak_energy=Fraction(1, 3))
    assert differences(NEST, arch, MAPPING, TABLE) == []
    found = evaluate_batch(NEST, arch, MAPPING, TABLE)
    assert (found.energy.dtype, found.reads["L1", "A"].dtype, found.cycles.dtype) == (object, np.int64, np.int64)
    assert max(found.energy) > 2**63
    assert evaluate_batch(NEST, machine(), MAPPING, TABLE).energy.dtype == np.int64


@pytest.mark.parametrize(
    "options",
    [
        {"leak_energy": Fraction(2**61)},
        {"write_energy": Fraction(2**61)},
        {"shared_bandwidth": Fraction(2**62)},
        {"read_bandwidth": Fraction(1, 2**60)},
        {"line_words": 2**70},
        {"word_bits": 2**70, "packed": True},
        {"mesh": {"hop_energy": Fraction(2**61)}},
        {"mesh": {"deliver_energy": Fraction(2**61)}},
        {"compute": {"rate": 2**70}},
        {"compute": {"energy": Fraction(2**61)}},
        {"compute": {"widths": Widths(2**64, 2**65, 2**66)}, "size_words": None},
    ],
    ids=str,
)
def test_numbers_of_any_size(options):
    widths = {"widths": Widths(8, 8, 8)}
    arch = machine(**{**options, "compute": {**widths, **options.get("compute", {})}})
    assert differences(NEST, arch, MAPPING, TABLE) == []


@given(batches(rows=3), st.sampled_from([16, 40, 64]))
def test_every_element_of_dear_machines(drawn, bits):
    (nest, arch, mapping), table = drawn
    dear = {"energy": "energy", **{f"{kind}_energy": f"{kind}_energy" for kind in ("read", "write", "deliver", "hop")}}
    levels = [
        replace(v, **{key: getattr(v, key) * 2**bits + Fraction(1, 2**bits - 1) for key in dear if hasattr(v, key)})
        for v in arch.levels
    ]
    assert differences(nest, replace(arch, levels=tuple(levels)), mapping, table) == []


@given(batches(rows=3))
def test_every_element_of_layers_beyond_64_bits(drawn):
    """Each dim 2^32 times as long and cut in as many pieces more, above everything else."""
    (nest, arch, mapping), table = drawn
    shared = [t for t in nest.tensors if t.role is not Role.OUTPUT]
    large = replace(nest, dims=tuple((d, n << 32) for d, n in nest.dims))
    if any(len(rank) > 1 for t in shared for rank in t.ranks) and any(f.halo for f in arch.fanouts):
        arch = replace(arch, levels=tuple(replace(v, halo=False) if isinstance(v, FanOut) else v for v in arch.levels))
    home = len(nest.tensors)
    outer = tuple(mapper.Loop(d, 1) for d, _ in nest.dims)
    longer = Mapping((*mapping.items[:home], *outer, *mapping.items[home:]))
    steps = np.hstack([np.tile([n for _, n in nest.dims], (len(table), 1)), table])
    assert differences(large, arch, longer, steps) == []


class Traced(int):
    """An integer that remembers the largest absolute value of all that is computed with any of its kind."""

    largest = 0


def _traced(name):
    def operate(self, *others):
        result = getattr(int, name)(self, *others)
        if result is NotImplemented:
            return result
        Traced.largest = max(Traced.largest, *map(abs, map(int, (self, *others, result))))
        return Traced(result)

    return operate


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "floordiv", "rfloordiv", "mod", "rmod", "neg"):
    setattr(Traced, f"__{_name}__", _traced(f"__{_name}__"))


@given(batches(rows=3))
def test_no_value_passes_the_bounds(drawn):
    (nest, arch, mapping), table = drawn
    for line in table.tolist():
        steps = {i: Traced(step) for (i, _), step in zip(loops(mapping), line, strict=True)}
        plain = Cuts(nest, mapping, dict(zip(steps, line, strict=True)))
        counted, energy = largest_values(nest, arch, mapping, plain.instances)
        for (_, name), access in count(nest, arch, with_steps(mapping, line)).accesses.items():
            assert max(access.reads, access.writes) <= _elements(nest, mapping, nest.tensor(name))
        Traced.largest = 0
        cuts = Cuts(nest, mapping, steps)
        found = measure(arch, cuts)
        batch._legal(arch, cuts)
        home_words(arch, found)
        assert Traced.largest <= counted
        Traced.largest = 0
        sum(energy_by_level(arch, found).values())
        assert Traced.largest <= max(counted, energy)


# -- the comparison finds errors ---------------------------------------------------------------------------------------


def test_int64_would_overflow_where_it_is_not_taken(monkeypatch):
    nest = gemm(M=2**20, N=2**20, K=2**20)
    table = [[2**10, 2**19, 2**9, 1, 1, 1]]
    assert differences(nest, machine(), MAPPING, table) == []
    monkeypatch.setattr(batch, "LIMIT", 2**200)
    assert (0, "energy") in differences(nest, machine(), MAPPING, table)


def test_other_arithmetic_is_noticed(monkeypatch):
    expected = [by_itself(NEST, machine(), with_steps(MAPPING, line)) for line in TABLE]
    monkeypatch.setattr("mapper.cost.cuts.least", lambda a, b: a)
    found = evaluate_batch(NEST, machine(), MAPPING, TABLE)
    assert [of_row(found, row) for row in range(len(TABLE))] != expected


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([2, 2, 2, 1, 1, 1], r"steps: the shape is \(6,\), not \(mappings, 6\)"),
        ([[2, 2, 2, 1]], r"steps: the shape is \(1, 4\), not \(mappings, 6\)"),
        (np.ones((2, 6, 1), int), r"steps: the shape is \(2, 6, 1\), not"),
        (3, r"steps: the shape is \(\), not"),
        ([[2, 2, 2, 1, 1, 1], [2]], r"steps: the shape is \(2,\), not"),
        (np.ones((1, 6)), "steps: the type is float64, not one of integers"),
        (np.ones((1, 6), bool), "steps: the type is bool, not one of integers"),
        ([["2", "2", "2", "1", "1", "1"]], "steps: 'str' object cannot be interpreted as an integer"),
        ([[2, 2, 2.0, 1, 1, 1]], "steps: 'float' object cannot"),
        ([[1] * 6, [2, 2, 0, 1, -1, 1]], r"steps\[1, 2\], the loop over N: a step is at least 1, not 0"),
        (
            np.array([[2, -(2**70), 2, 1, 1, 1]], object),
            r"steps\[0, 1\], the loop over M: a step is at least 1, not -118",
        ),
    ],
)
def test_bad_steps(steps, message):
    with pytest.raises(InputError, match=f"^{message}"):
        evaluate_batch(NEST, machine(), MAPPING, steps)


def test_all_that_is_wrong_with_a_structure_is_said_at_once():
    mapping = parse_mapping("keep HOME A B\nkeep L1 A\nparfor K 0 F.x\nkeep L1 A\n")
    with pytest.raises(InputError) as caught:
        evaluate_batch(NEST, machine(mesh={"reduce": False}), mapping, [[1]])
    for part in (
        "O must be kept",
        "keeps A twice",
        "cannot add partial sums",
        "must stand outside",
        "whatever its steps",
    ):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="has no memory L2; for J 1: the layer has no dim J"):
        evaluate_batch(NEST, machine(), parse_mapping("keep L2 A\nfor J 3\n"), [[1]])


def test_a_memory_too_small_for_one_element_of_each_is_never_large_enough():
    with pytest.raises(InputError, match="L1 holds 1 words, its tiles need 2"):
        evaluate_batch(NEST, machine(size_words=1), MAPPING, TABLE)


# -- the public name ---------------------------------------------------------------------------------------------------


def test_it_is_public_and_the_scalar_model_needs_no_numpy():
    assert mapper.evaluate_batch.__wrapped__ is evaluate_batch
    program = "import sys, mapper.cost, mapper.mapping; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_layer_of_three_summands():
    nest = parse_nest("Y[a,b] += X[2*a+b+3*c,d] * W[c,d] {a=7 b=6 c=5 d=2}")
    mapping = parse_mapping("keep HOME X W Y\nfor a 2\nparfor c 2 F.x\nkeep L1 X\nfor b 1\nfor a 1\nfor c 1\nfor d 1\n")
    table = [[a, c, b, 1, 1, 1] for a in range(1, 8) for c in range(1, 6) for b in (1, 2, 6)]
    for halo in (False, True):
        assert differences(nest, machine(mesh={"halo": halo}), mapping, table) == []


# -- speed -------------------------------------------------------------------------------------------------------------


def cpu_s(call):
    """The least CPU seconds of a few calls."""
    seconds = []
    for _ in range(5):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def test_a_layer_of_a_real_network_is_evaluated_fast_and_in_int64():
    nest, arch = conv(K=64, C=64, P=56, Q=56, R=3, S=3), mapper.load_architecture("eyeriss_v1")
    mapping = parse_mapping(
        "keep DRAM I W O\nfor Q 8\nkeep GLB I\nfor C 32\nkeep GLB O\nparfor K 8 PE.y\nparfor C 4 PE.x\nkeep WSPAD W\n"
        "for P 1\nkeep PSPAD O\nfor Q 1\nkeep ISPAD I\nfor C 1\nfor K 1\nfor R 1\nfor S 1\n"
    )
    choices = [range(1, 57), range(1, 65), range(1, 65), range(1, 65)]
    table = np.ones((20_000, 10), int)
    table[:, :4] = np.stack([np.random.default_rng(0).choice(c, len(table)) for c in choices], axis=1)
    found = evaluate_batch(nest, arch, mapping, table)
    assert {a.dtype for a in (found.energy, *found.reads.values(), *found.hops.values())} == {np.dtype(np.int64)}
    assert cpu_s(lambda: evaluate_batch(nest, arch, mapping, table)) < len(table) / 50_000
    assert cpu_s(lambda: evaluate(nest, arch, mapping)) < 1e-3
