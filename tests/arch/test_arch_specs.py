"""The architectures that come with the package."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, load_architecture, spec_names
from mapper.ir import Role

SPECS = Path(__file__).parents[1] / "specs"
INPUT, WEIGHT, OUTPUT = (frozenset({role}) for role in (Role.INPUT, Role.WEIGHT, Role.OUTPUT))


def memory(name, size, energy, bandwidth=None):
    shared = None if bandwidth is None else Fraction(bandwidth)
    return Memory(name, size, 8, read_energy=Fraction(energy), write_energy=Fraction(energy), shared_bandwidth=shared)


@pytest.mark.parametrize("name", spec_names())
def test_each_spec_loads_under_its_name(name):
    arch = load_architecture(name)
    assert arch.name == name
    assert arch.description


def test_simple3_is_the_spec_of_the_reference_values():
    # DRAM (unlimited, 200, 16 words/cycle shared) - GLB (131072 words, 6, 64 words/cycle shared) - 16 x 16 mesh, any
    # dim on any axis, multicast and reduction free - RF (512 words, 1, unlimited bandwidth) - MAC (1, 1 per cycle)
    mesh = FanOut("PE", (Axis("x", 16), Axis("y", 16)), multicast=INPUT | WEIGHT, reduce=True)
    levels = (memory("DRAM", None, 200, 16), memory("GLB", 131072, 6, 64), mesh, memory("RF", 512, 1))
    arch = load_architecture("simple3")
    assert arch == Architecture("simple3", (*levels, Compute("MAC", 1, Fraction(1))), "MAC", None, arch.description)


def test_simple3_rolling_differs_in_the_rolling_buffer_only():
    simple, rolling = load_architecture("simple3"), load_architecture("simple3_rolling")
    levels = tuple(replace(level, rolling=True) if level.name == "GLB" else level for level in simple.levels)
    assert rolling == replace(simple, name="simple3_rolling", levels=levels, description=rolling.description)


def test_eyeriss_v1_has_the_numbers_of_the_chip():
    arch = load_architecture("eyeriss_v1")
    dram, glb, mesh, weights, inputs, sums, mac = arch.levels
    assert (arch.clock_hz, arch.energy_unit, arch.peak_operations) == (200_000_000, "pJ", 12 * 14)
    assert mesh.axes == (Axis("y", 12), Axis("x", 14))
    assert [m.word_bits for m in arch.memories] == [16] * 5
    # scratchpads of 224 / 12 / 24 words for weights, inputs, partial sums
    assert [(m.size_words, m.may_keep) for m in (weights, inputs, sums)] == [(224, WEIGHT), (12, INPUT), (24, OUTPUT)]
    assert weights.beside == inputs.beside == sums.beside is not None
    # what windows share stays in the ifmap scratchpads, and a word goes once to a diagonal
    assert [m.name for m in arch.memories if m.rolling] == ["ISPAD"] and mesh.halo and mesh.multicast == INPUT | WEIGHT
    # 100 kB for inputs and partial sums; weights bypass it
    assert (glb.size_words, glb.may_keep) == (100 * 1024 // 2, INPUT | OUTPUT)
    # 64 bits at 60 MHz are 480 MB/s, at 200 MHz 2.4 bytes or 1.2 words a cycle
    assert (dram.size_words, dram.shared_bandwidth) == (None, Fraction(64 * 60, 200 * 16))
    # MAC 2, register file 1, array network 4, buffer 15, DRAM 460 pJ
    assert [m.read_energy for m in arch.memories] == [m.write_energy for m in arch.memories] == [460, 15, 1, 1, 1]
    assert (mesh.deliver_energy, mesh.reduce_energy, mac.energy) == (4, 4, 2)


def test_the_machine_of_the_lattice_tests_shares_no_inputs():
    chip, plain = load_architecture("eyeriss_v1"), load_architecture(str(SPECS / "unshared_scratchpads.yaml"))
    levels = [replace(v, halo=False) if isinstance(v, FanOut) else v for v in chip.levels]
    assert plain.levels == tuple(replace(v, rolling=False) if isinstance(v, Memory) else v for v in levels)
