"""The breakdown of a cost: parts that add up, and relations that hold between neighbours."""

import math
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from pricing import working
from strategies import cases

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory
from mapper.cost import count, evaluate
from mapper.cost.breakdown import break_down
from mapper.ir import Role, gemm
from mapper.mapping import Keep, Mapping, parse_mapping


@given(cases())
def test_energies_add_up_to_the_cost(case):
    found, (nest, arch, _) = break_down(*case), case
    assert found.cost == evaluate(*case)
    parts = {level.name: level.leak_energy for level in found.levels}
    parts[arch.compute.name] += nest.operations * arch.compute.energy
    for node in found.nodes:
        parts[node.memory] += node.energy
    for network in found.networks:
        parts[network.fanout] += network.energy
    assert parts == found.cost.energy_by_level
    assert sum(parts.values()) == sum(level.energy for level in found.levels) == found.cost.energy


@given(cases())
def test_reads_and_writes_are_those_of_the_counts(case):
    found, counts = break_down(*case), count(*case)
    assert {(n.memory, n.tensor): (n.reads, n.writes) for n in found.nodes} == {
        key: (access.reads, access.writes) for key, access in counts.accesses.items()
    }
    assert {(n.fanout, n.tensor): (n.delivered, n.reduced, n.hops) for n in found.networks} == {
        key: (moves.delivered, moves.reduced, moves.hops) for key, moves in counts.moves.items()
    }


@given(cases())
def test_what_leaves_one_node_arrives_at_the_next(case):
    """Between two nodes of a tensor only networks multiply and add."""
    nest, arch, _ = case
    found = break_down(*case)
    networks = {(n.fanout, n.tensor): n for n in found.networks}
    for tensor in nest.tensors:
        nodes = [node for node in found.nodes if node.tensor == tensor.name]
        for parent, child in pairwise(nodes):
            between = arch.fanouts[arch.segment[parent.memory] : arch.segment[child.memory]]
            crossed = [networks[fanout.name, tensor.name] for fanout in between]
            sharing = math.prod((n.sharing for n in crossed), start=Fraction(1))
            if tensor.role is Role.OUTPUT:
                updates = parent.writes - parent.refills
                assert child.drains == updates * sharing
                assert child.refills <= parent.reads - parent.drains
                assert all(n.passed == updates + child.refills for n in crossed[:1])
            else:
                assert child.fills == child.writes == parent.reads * sharing
                assert all(n.passed == parent.reads for n in crossed[:1])
                assert all(n.delivered == child.fills for n in crossed[-1:])


@given(cases())
def test_tiles_fill_the_memories(case):
    found = break_down(*case)
    for level in found.levels:
        tiles = [node.tile_words for node in found.nodes if node.memory == level.name]
        if level.used_words is not None:
            assert level.used_words in (sum(tiles), 2 * sum(tiles))
            assert level.size_words is None or level.used_words <= level.size_words
        assert 1 <= level.used <= level.instances
    for i, item in enumerate(case.mapping.items):
        if isinstance(item, Keep):
            node = next(n for n in found.nodes if (n.memory, n.tensor) == (item.memory, item.tensor))
            outside = case._replace(mapping=Mapping(case.mapping.items[:i]))
            assert node.instances == len(working(outside, {f.name for f in case.arch.fanouts}))
    for node in found.nodes:
        assert node.tile_bits == node.tile_words * case.arch.memory(node.memory).word_bits
        most = node.runs * node.instances * math.prod(node.shape)
        assert node.fills + node.drains <= most


def test_a_node_by_hand():
    """O[m,n] += A[m,k] * B[k,n], M = 4 over 2 instances, K = 6 in two parts, lines of 2 words of 16 bits."""
    memory = Memory(
        "GLB", 64, 16, line_words=2, read_energy=Fraction(3), write_energy=Fraction(5), double_buffered=True
    )
    levels = (Memory("DRAM"), memory, FanOut("PE", (Axis("x", 4),)), Memory("RF"), Compute("MAC"))
    arch = Architecture("test", levels)
    text = "keep DRAM A B O\nfor K 3\nkeep GLB A O\nparfor M 2 PE.x\nkeep RF O\nfor K 1\nfor M 1\n"
    found = break_down(gemm(M=4, K=6), arch, parse_mapping(text))
    a, o = (next(n for n in found.nodes if (n.memory, n.tensor) == ("GLB", tensor)) for tensor in "AO")
    assert (a.extents, a.tile_words, a.tile_bits, a.runs, a.instances) == ({"M": 4, "K": 3}, 12, 192, 2, 1)
    assert (a.fills, a.writes, a.reads, a.drains, a.refills) == (24, 24, 24, 0, 0)  # each instance its own rows
    assert (a.write_accesses, a.read_accesses, a.energy) == (12, 12, 12 * 3 + 12 * 5)
    # 4 sums in each of 2 runs, of which the second finds those of the first
    assert (o.drains, o.refills, o.fills) == (8, 4, 0)
    assert (o.reads, o.writes) == (8 + 4, 4 + 8)  # re-fills of RF, where half of the sums begin from zero
    network = next(n for n in found.networks if n.tensor == "O")
    assert (network.passed, network.delivered, network.reduced, network.sharing) == (8 + 4, 4, 0, 1)
    glb = next(level for level in found.levels if level.name == "GLB")
    assert (glb.used_words, glb.size_words) == (2 * (12 + 4), 64)
    assert next(level for level in found.levels if level.name == "RF").used == 2
