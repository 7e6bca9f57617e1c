"""The random cases that other tests rest on: legal, and rich enough."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from strategies import cases

from mapper.arch import FanOut
from mapper.cost import count
from mapper.cost.cuts import Cuts
from mapper.cost.traffic import links
from mapper.ir import Role
from mapper.mapping import Keep, Loop, ParFor, violations

EXAMPLES = 1000
LEAST = 3
"""Cases out of these examples that each feature must occur in."""


@given(cases())
def test_random_cases_are_legal(case):
    assert violations(*case) == []


def test_random_cases_reach_every_feature():
    found = Counter()

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(cases())
    def collect(case):
        found.update(name for name, holds in FEATURES.items() if holds(case))

    collect()
    assert {name: found[name] for name in FEATURES if found[name] < LEAST} == {}


def nodes(case):
    return [item for item in case.mapping.items if isinstance(item, Keep)]


def cuts(case, kind):
    """The loops of a kind that make several pieces, with their position and the extent that they cut."""
    tile = dict(case.nest.dims)
    for position, item in enumerate(case.mapping.items):
        if not isinstance(item, Keep):
            if isinstance(item, kind) and item.step < tile[item.dim]:
                yield position, item, tile[item.dim]
            tile[item.dim] = min(tile[item.dim], item.step)


def outputs(case):
    """What crosses each network of the output."""
    return [m for (_, tensor), m in count(*case).moves.items() if tensor == case.nest.output.name]


def unrolls_what_is_not_shared(case):
    networks = {f.name: f for f in case.arch.fanouts}
    return any(
        item.dim not in tensor.dims and tensor.role not in networks[item.fanout].multicast
        for _, item, _ in cuts(case, ParFor)
        for tensor in case.nest.tensors
        if tensor.role is not Role.OUTPUT
    )


def cut_twice(case):
    dims = Counter(item.dim for _, item, _ in cuts(case, Loop))
    return max(dims.values(), default=0) > 1


def kept_out_of_order(case):
    depths = [case.arch.depth[node.memory] for node in nodes(case)]
    return any(a > b for a, b in pairwise(depths))


def bypasses_below_a_fanout(case):
    innermost = [case.mapping.nodes(t.name)[-1] for t in case.nest.tensors]
    return any(position > min(innermost) for position, _, _ in cuts(case, ParFor))


def output_links(case):
    found = links(case.arch, Cuts(case.nest, case.mapping))
    return [link for link in found if link.tensor.role is Role.OUTPUT]


def halo_saves(case, tensor, child=None):
    """Whether sharing overlaps saves reads of a tensor (for a child)."""
    alone = replace(
        case.arch,
        levels=tuple(replace(v, halo=False) if isinstance(v, FanOut) else v for v in case.arch.levels),
    )
    cuts = Cuts(case.nest, case.mapping)
    pairs = zip(links(case.arch, cuts), links(alone, cuts), strict=True)
    return any(
        a.crossings[0] < b.crossings[0]
        for a, b in pairs
        if a.tensor == tensor and child in (None, a.child) and a.tensor.role is not Role.OUTPUT
    )


FEATURES = {
    "rolling window": lambda case: any(node.rolling for node in nodes(case)),
    "temporal loop with a clipped piece": lambda case: any(n % item.step for _, item, n in cuts(case, Loop)),
    "spatial loop with a clipped piece": lambda case: any(n % item.step for _, item, n in cuts(case, ParFor)),
    "several loops over one dim": cut_twice,
    "partial sums added by a network": lambda case: any(m.reduced for m in outputs(case)),
    "re-fill from the home": lambda case: count(*case).accesses[case.arch.home.name, case.nest.output.name].reads > 0,
    "re-fill into one of a reducing group": lambda case: any(m.reduced and m.delivered for m in outputs(case)),
    "two fan-outs": lambda case: len({item.fanout for _, item, _ in cuts(case, ParFor)}) == 2,
    "two axes": lambda case: len({(item.fanout, item.axis) for _, item, _ in cuts(case, ParFor)}) > 1,
    "network without multicast": unrolls_what_is_not_shared,
    "nothing kept below a fan-out": bypasses_below_a_fanout,
    "uneven placement": kept_out_of_order,
    "required node": lambda case: any(m.must_keep for m in case.arch.memories),
    "memories side by side": lambda case: any(m.beside is not None for m in case.arch.memories),
    "double-buffered memory that keeps something": lambda case: any(
        case.arch.memory(node.memory).double_buffered for node in nodes(case)
    ),
    "full memory": lambda case: any(m.size_words for m in case.arch.memories),
    "energies that are no integers": lambda case: any(m.read_energy.denominator > 1 for m in case.arch.memories),
    "dim of one tensor only": lambda case: any(
        n > 1 and sum(d in t.dims for t in case.nest.tensors) == 1 for d, n in case.nest.dims
    ),
    "stride or dilation": lambda case: any(
        len(rank) > 1 and term.coef > 1 for t in case.nest.tensors for rank in t.ranks for term in rank
    ),
    "halo shared": lambda case: any(halo_saves(case, t) for t in case.nest.tensors if t.role is not Role.OUTPUT),
    "halo of what rolls": lambda case: any(
        node.rolling and halo_saves(case, case.nest.tensor(node.tensor)) for node in nodes(case)
    ),
    "halo of single operations": lambda case: any(
        halo_saves(case, t, case.arch.compute.name) for t in case.nest.tensors if t.role is not Role.OUTPUT
    ),
    "each instance drains its own": lambda case: any(
        {f.name: f for f in case.arch.fanouts}[item.fanout].drain and item.dim not in case.nest.output.dims
        for _, item, _ in cuts(case, ParFor)
    ),
    "results that come out of an inner memory": lambda case: any(
        link.complete and link.child != case.arch.compute.name for link in output_links(case)
    ),
    "inner memory that never holds a result": lambda case: any(
        not link.complete and link.child != case.arch.compute.name for link in output_links(case)
    ),
    "wide partial sums": lambda case: (
        (case.arch.partial_bits(case.nest) or 0) > (case.arch.bits(case.nest.output) or 99)
    ),
    "packed elements": lambda case: any(
        m.packed and (case.arch.bits(t) or m.word_bits) * 2 <= m.word_bits
        for m in case.arch.memories
        for t in case.nest.tensors
    ),
    "elements of several words": lambda case: any(
        (case.arch.bits(t) or 0) > m.word_bits for m in case.arch.memories for t in case.nest.tensors
    ),
    "lines": lambda case: any(m.line_words > 1 for m in case.arch.memories),
    "three fan-outs": lambda case: len({item.fanout for _, item, _ in cuts(case, ParFor)}) == 3,
    "3-D convolution": lambda case: "U" in case.nest.extents,
    "groups": lambda case: case.nest.extents.get("G", 1) > 1,
}
