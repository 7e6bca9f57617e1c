"""Hypothesis strategies: random layers, architectures and legal mappings.

`cases()` draws all three together; a case is legal by construction. The sizes of memories are chosen last, so that
the tiles of the mapping just fit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from hypothesis import strategies as st

from mapper.arch import Architecture, Axis, Compute, FanOut, Level, Memory, Widths
from mapper.ir import DimRole, LoopNest, Rank, Reduction, Role, Tensor, Term, conv, gemm, parse_nest
from mapper.mapping import Item, Keep, Loop, Mapping, ParFor, footprints, tidy
from mapper.search.exhaustive import candidates
from mapper.search.mapspace import Mapspace

OPERANDS = (Role.INPUT, Role.WEIGHT)


class Case(NamedTuple):
    """A layer, an architecture and a legal mapping of the one on the other."""

    nest: LoopNest
    arch: Architecture
    mapping: Mapping


# -- layers ------------------------------------------------------------------------------------------------------------


@st.composite
def extents(draw: Any, count: int, *, largest: int = 9, operations: int = 400) -> list[int]:
    """Extents of `count` dims, in any order, whose product is at most `operations`."""
    found = []
    for _ in range(count):
        most = min(largest, operations)
        found.append(draw(st.integers(min(2, most), min(7, most)) | st.integers(1, most)))
        operations //= found[-1]
    return draw(st.permutations(found))


@st.composite
def gemms(draw: Any, **limits: int) -> LoopNest:
    """Matrix products, with and without a batch."""
    m, n, k, b = draw(extents(4, **limits))
    return gemm(M=m, N=n, K=k, B=draw(st.sampled_from([1, b])))


@st.composite
def convs(draw: Any, **limits: int) -> LoopNest:
    """2-D convolutions: strided, dilated, grouped and depthwise."""
    steps = st.tuples(st.integers(1, 3), st.integers(1, 3))
    dims = dict(zip("GKCPQRSN", draw(extents(8, **limits)), strict=True))
    if draw(st.booleans()):  # depthwise
        dims.update(K=1, C=1)
    return conv(**dims, stride=draw(steps), dilation=draw(steps))


@st.composite
def convs_1d(draw: Any, **limits: int) -> LoopNest:
    """1-D convolutions over channels."""
    k, c, p, r = draw(extents(4, **limits))
    stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return parse_nest(
        f"O[K,P] += I[C,{stride}*P+{dilation}*R] * W[K,C,R] {{K={k} C={c} P={p} R={r}}}",
    )


@st.composite
def convs_3d(draw: Any, **limits: int) -> LoopNest:
    """3-D convolutions, strided and dilated."""
    k, *sizes = draw(extents(7, **limits))
    steps = [(draw(st.integers(1, 2)), draw(st.integers(1, 2))) for _ in range(3)]
    window = ",".join(f"{s}*{p}+{d}*{r}" for (s, d), p, r in zip(steps, "XYZ", "UVW", strict=True))
    dims = " ".join(f"{d}={n}" for d, n in zip("XYZUVW", sizes, strict=True))
    return parse_nest(f"O[K,X,Y,Z] += I[{window}] * F[K,U,V,W] {{K={k} {dims}}}")


@st.composite
def einsums(draw: Any, **limits: int) -> LoopNest:
    """Anything the form allows: dims that occur in a single tensor, sums of three dims, scalars."""
    names = draw(st.permutations("abcdefg"))[: draw(st.integers(1, 5))]
    sizes = draw(extents(len(names), **limits))
    homes = [draw(st.sets(st.sampled_from(list(Role)), min_size=1)) for _ in names]
    tensors = []
    for name, role in (("A", Role.INPUT), ("B", Role.WEIGHT), ("Y", Role.OUTPUT)):
        mine = draw(st.permutations([d for d, roles in zip(names, homes, strict=True) if role in roles]))
        if role is Role.OUTPUT:
            ranks: list[Rank] = [(Term(d),) for d in mine]
        else:
            ranks = draw(_operand_ranks(mine))
        tensors.append(Tensor(name, role, tuple(ranks)))
    return LoopNest(tuple(zip(names, sizes, strict=True)), tuple(tensors))


@st.composite
def poolings(draw: Any, **limits: int) -> LoopNest:
    """Layers of one operand: pooling and reductions by sum, maximum or minimum, of any form."""
    names = draw(st.permutations("abcdef"))[: draw(st.integers(1, 5))]
    sizes = draw(extents(len(names), **limits))
    kept = draw(st.sets(st.sampled_from(names)))
    read = [d for d in names if d not in kept or draw(st.integers(0, 3))]
    ranks = draw(_operand_ranks(draw(st.permutations(read))))
    output: list[Rank] = [(Term(d),) for d in draw(st.permutations(sorted(kept)))]
    tensors = Tensor("X", Role.INPUT, tuple(ranks)), Tensor("Y", Role.OUTPUT, tuple(output))
    return LoopNest(tuple(zip(names, sizes, strict=True)), tensors, reduction=draw(st.sampled_from(Reduction)))


@st.composite
def _operand_ranks(draw: Any, dims: Sequence[str]) -> list[Rank]:
    ranks: list[Rank] = []
    for d in dims:
        term = Term(d, draw(st.integers(1, 3)))
        if ranks and draw(st.booleans()):
            ranks[-1] = (*ranks[-1], term)
        else:
            ranks.append((term,))
    return ranks


def nests(**limits: int) -> st.SearchStrategy[LoopNest]:
    """Layers of every kind; `largest` bounds an extent, `operations` their product."""
    kinds = (gemms, convs, convs_1d, convs_3d, einsums, poolings)
    return st.one_of(*(kind(**limits) for kind in kinds))


# -- architectures -----------------------------------------------------------------------------------------------------

ENERGIES = st.one_of(st.integers(0, 200).map(Fraction), st.fractions(0, 20, max_denominator=12))
BANDWIDTHS = st.none() | st.fractions(Fraction(1, 4), 20, max_denominator=4)
BITS = st.none() | st.sampled_from([1, 3, 4, 8, 16, 20, 32])
SIZES = st.none() | st.integers(1, 60)


def roles(among: frozenset[Role] = frozenset(Role), *, least: int = 0) -> st.SearchStrategy[frozenset[Role]]:
    """Subsets of some roles, of at least that many if there are so many."""
    if not among:
        return st.just(among)
    return st.sets(st.sampled_from(sorted(among)), min_size=least).map(frozenset)


@st.composite
def memories(draw: Any, name: str, *, keeps: frozenset[Role] = frozenset(Role), **fixed: Any) -> Memory:
    """A memory that may keep some of `keeps`, with sizes, energies and ports of any kind."""
    may_keep = draw(st.just(keeps) | roles(keeps, least=1))
    ports = {"shared_bandwidth": draw(BANDWIDTHS)}
    if draw(st.booleans()):
        ports = {"read_bandwidth": draw(BANDWIDTHS), "write_bandwidth": draw(BANDWIDTHS)}
    drawn = {
        "may_keep": may_keep,
        "must_keep": draw(roles(may_keep)) if draw(st.integers(0, 3)) == 3 else frozenset(),
        "word_bits": draw(st.sampled_from([8, 16])),
        "packed": draw(st.booleans()),
        "line_words": draw(st.sampled_from([1, 1, 1, 3, 4])),
        "leak_energy": draw(st.sampled_from([Fraction(0), Fraction(0), Fraction(1, 3)])),
        "read_energy": draw(ENERGIES),
        "write_energy": draw(ENERGIES),
        "rolling": draw(st.integers(0, 2)) > 0,
        "double_buffered": draw(st.integers(0, 3)) == 3,
        **ports,
    }
    return Memory(name, **{**drawn, **fixed})


@st.composite
def fanouts(draw: Any, name: str, dims: Sequence[str] = ()) -> FanOut:
    """A fan-out of one or two axes; some axes take only some of `dims` and of the roles of dims."""
    axes = []
    for axis in "xy"[: draw(st.integers(1, 2))]:
        restricted = dims and draw(st.integers(0, 3)) == 3
        words = st.sampled_from(dims) | st.sampled_from(DimRole)
        only = frozenset(map(str, draw(st.sets(words)))) if restricted else None
        axes.append(Axis(axis, draw(st.integers(2, 5) | st.integers(1, 2)), only))
    reduce, drain = draw(st.sampled_from([(True, False), (True, False), (False, True), (False, False)]))
    return FanOut(
        name,
        tuple(axes),
        multicast=draw(st.sampled_from([frozenset(OPERANDS)]) | roles(frozenset(OPERANDS))),
        reduce=reduce,
        drain=drain,
        halo=draw(st.integers(0, 3)) > 0,
        deliver_energy=draw(ENERGIES),
        reduce_energy=draw(ENERGIES),
        hop_energy=draw(st.just(Fraction(0)) | ENERGIES),
    )


@st.composite
def architectures(
    draw: Any,
    dims: Sequence[str] = (),
    *,
    inner: int = 3,
    fans: int = 3,
    sizes: st.SearchStrategy[int | None] = SIZES,
) -> Architecture:
    """A home, one to `inner` memories below it and up to `fans` fan-outs among them, in any order."""
    names = [f"M{i + 1}" for i in range(draw(st.integers(1, inner)))]
    nets = [f"F{i + 1}" for i in range(draw(st.sampled_from([*range(fans + 1), *range(1, fans + 1)])))]
    kinds = draw(st.permutations(["memory"] * len(names) + ["fanout"] * len(nets)))
    levels: list[Level] = [draw(memories("HOME", may_keep=frozenset(Role), must_keep=frozenset()))]
    for kind in kinds:
        if kind == "fanout":
            levels.append(draw(fanouts(nets.pop(0), dims)))
        else:
            levels += draw(_places(names.pop(0), len(levels), sizes))
    widths = Widths(*(draw(BITS) for _ in range(4))) if draw(st.booleans()) else Widths()
    levels.append(Compute("MAC", draw(st.integers(1, 3)), draw(ENERGIES), widths))
    return Architecture("random", tuple(levels), clock_hz=draw(st.none() | st.just(10**6)))


@st.composite
def _places(draw: Any, name: str, group: int, sizes: st.SearchStrategy[int | None]) -> list[Memory]:
    """A memory, or two side by side."""
    if draw(st.integers(0, 4)) < 4:
        return [draw(memories(name, size_words=draw(sizes)))]
    first = draw(roles(least=1))
    return [
        draw(memories(name + part, keeps=keeps, size_words=draw(sizes), beside=group))
        for part, keeps in (("a", first), ("b", frozenset(Role) - first))
    ]


# -- mappings ----------------------------------------------------------------------------------------------------------


@st.composite
def mappings(draw: Any, nest: LoopNest, arch: Architecture) -> Mapping:
    """A mapping that is legal but for the sizes of memories: any nodes, loops, steps and spatial loops."""
    items: list[Item] = [Keep(arch.home.name, t.name) for t in draw(st.permutations(nest.tensors))]
    tile = dict(nest.dims)
    nodes: list[Keep] = []  # between two fan-outs that are used, nodes of different tensors stand in any order
    for level in arch.levels[1:]:
        if isinstance(level, Memory):
            nodes += draw(_kept(nest, level))
        elif isinstance(level, FanOut) and draw(st.integers(0, 7)):
            items += draw(_interleaved(nest, arch, nodes, tile))
            items += draw(_spatial(nest, level, tile))
            nodes = []
    items += draw(_interleaved(nest, arch, nodes, tile))
    items += [Loop(d, 1) for d in draw(st.permutations(list(tile))) if tile[d] > 1]
    return Mapping(draw(_rolled(nest, arch, items)))


@st.composite
def _kept(draw: Any, nest: LoopNest, memory: Memory) -> list[Keep]:
    """The memory's nodes: all that it must have and some that it may have."""
    allowed = [t for t in nest.tensors if t.role in memory.may_keep]
    return [Keep(memory.name, t.name) for t in allowed if t.role in memory.must_keep or draw(st.integers(0, 2))]


@st.composite
def _loops(draw: Any, tile: dict[str, int], counts: Sequence[int], among: Collection[str] | None = None) -> list[Loop]:
    """So many temporal loops over dims `among` the layer's, dividing or not; they cut `tile`."""
    found = []
    for _ in range(draw(st.sampled_from(counts))):
        dims = [d for d in tile if tile[d] > 1 and (among is None or d in among)]
        if dims:
            dim = draw(st.sampled_from(dims))
            found.append(Loop(dim, draw(st.integers(1, tile[dim]))))
            tile[dim] = found[-1].step
    return found


@st.composite
def _interleaved(
    draw: Any, nest: LoopNest, arch: Architecture, nodes: Sequence[Keep], tile: dict[str, int]
) -> list[Item]:
    """The nodes, those of a tensor in the order given, with loops among them, often such that a node can roll."""
    queues: dict[str, list[Keep]] = {}
    for node in nodes:
        queues.setdefault(node.tensor, []).append(node)
    items: list[Item] = []
    for tensor in draw(st.permutations([node.tensor for node in nodes])):
        node = queues[tensor].pop(0)
        items += draw(_loops(tile, (0, 0, 1, 2)))
        if arch.memory(node.memory).rolling:
            items += draw(_loops(tile, (0, 1, 1), nest.tensor(tensor).sliding_dims))
        items.append(node)
    return items + draw(_loops(tile, (0, 0, 1, 2)))


@st.composite
def _spatial(draw: Any, nest: LoopNest, fanout: FanOut, tile: dict[str, int]) -> list[Item]:
    """Spatial loops that the axes have room for, now and then with a temporal loop among them."""
    items: list[Item] = []
    halo = any(fanout.shares_halo(t.role) for t in nest.tensors) and draw(st.integers(0, 3)) > 0
    slides = {d for t in nest.tensors if halo and fanout.shares_halo(t.role) for d in t.sliding_dims}
    room = {axis.name: axis.size for axis in fanout.axes}
    for _ in range(draw(st.integers(1, 3))):
        choices = [
            (axis, d)
            for axis in fanout.axes
            for d in tile
            if tile[d] > 1 and room[axis.name] > 1
            if d in axis.takes(nest) and (fanout.unrolls_reductions() or d in nest.output.dims)
        ]
        if not choices:
            break
        if slides:  # neighbours overlap most where all dims of a rank are unrolled
            done = {item.dim for item in items}
            partners = [(axis, d) for axis, d in choices if d in slides and d not in done]
            choices = partners or choices
        axis, dim = draw(st.sampled_from(choices))
        least = math.ceil(tile[dim] / room[axis.name])
        step = draw(st.just(least) | st.integers(least, tile[dim]))
        items.append(ParFor(dim, step, fanout.name, axis.name))
        room[axis.name] //= math.ceil(tile[dim] / step)
        tile[dim] = step
        if draw(st.integers(0, 4)) == 4:
            items += draw(_loops(tile, (1,)))
    return items


@st.composite
def _rolled(draw: Any, nest: LoopNest, arch: Architecture, items: Sequence[Item]) -> tuple[Item, ...]:
    """The items with some of the nodes rolling that can."""
    mapping, found = Mapping(tuple(items)), list(items)
    for i, item in enumerate(items):
        if isinstance(item, Keep) and arch.memory(item.memory).rolling:
            tensor, above = nest.tensor(item.tensor), mapping.loop_above(i)
            slides = above is not None and above[1].dim in tensor.sliding_dims
            between = items[above[0] + 1 : i] if above else ()
            slides &= all(arch.segment[o.memory] == arch.segment[item.memory] for o in between if isinstance(o, Keep))
            if slides and tensor.role is not Role.OUTPUT and draw(st.integers(0, 3)):
                found[i] = replace(item, rolling=True)
    return tuple(found)


# -- all together ------------------------------------------------------------------------------------------------------


@st.composite
def diagonals(draw: Any) -> Case:
    """Convolutions with all dims of a rank unrolled, whose instances ask for the same inputs one by one."""
    nest = draw(_sliding())
    loops = draw(st.permutations([ParFor(d, draw(st.integers(1, 2)), "F", d) for d in "PR"]))
    rest = draw(st.permutations([Loop(d, 1) for d, _ in nest.dims]))
    below = [Keep("M1", t.name) for t in nest.tensors if t.role is not Role.INPUT and draw(st.booleans())]
    home = [Keep("HOME", t.name) for t in nest.tensors]
    mesh = FanOut("F", (Axis("P", 8), Axis("R", 4)), halo=True, hop_energy=Fraction(1))
    arch = Architecture("diagonals", (Memory("HOME"), mesh, Memory("M1"), Compute("MAC")))
    return Case(nest, arch, tidy([*home, *loops, *below, *rest], nest.extents))


@st.composite
def rarities(draw: Any) -> Case:
    """What is rare in random mappings: instances that never work, neighbours whose tiles roll, and groups
    whose instances do not follow each other, because the inner of two networks shares nothing."""
    p, r, k = draw(st.integers(3, 9)), draw(st.integers(2, 4)), draw(st.integers(2, 3))
    nest = parse_nest(f"O[K,P] += I[P+R] * W[K,R] {{K={k} P={p} R={r}}}")
    outer, inner, step = sorted((draw(st.integers(1, p)) for _ in range(3)), reverse=True)
    items = [Keep("HOME", t.name) for t in nest.tensors]
    items += [ParFor("P", outer, "X", "x"), ParFor("P", inner, "X", "x"), ParFor("K", 1, "Y", "y"), Loop("P", step)]
    items += [Keep("M", "I", rolling=step < inner), Loop("P", 1), Loop("R", 1)]
    networks = (
        FanOut("X", (Axis("x", 100),), halo=draw(st.booleans())),
        FanOut("Y", (Axis("y", 3),), multicast=frozenset()),
    )
    arch = Architecture("rarities", (Memory("HOME"), *networks, Memory("M", rolling=True), Compute("MAC")))
    return Case(nest, arch, tidy(items, nest.extents))


@st.composite
def cases(draw: Any, **limits: int) -> Case:
    """A layer with a legal mapping on an architecture; `limits` are those of `nests`."""
    kind = draw(st.integers(0, 11))
    if kind >= 10:
        return draw(diagonals() if kind == 11 else rarities())
    nest = draw(nests(**limits))
    if draw(st.integers(0, 3)) == 3:
        tensors = tuple(replace(t, bits=draw(BITS)) for t in nest.tensors)
        nest = replace(nest, tensors=tensors, partial_bits=draw(BITS))
    arch = draw(architectures([d for d, _ in nest.dims], sizes=st.none()))
    mapping = draw(mappings(nest, arch))
    return Case(nest, draw(fitted(nest, arch, mapping)), mapping)


@st.composite
def fitted(draw: Any, nest: LoopNest, arch: Architecture, mapping: Mapping) -> Architecture:
    """The architecture with memories just large enough for the mapping, or unlimited."""
    slack = st.none() | st.integers(0, 2)
    levels = []
    for level in arch.levels:
        spare = draw(slack) if isinstance(level, Memory) else None
        if isinstance(level, Memory) and spare is not None:
            used = sum(footprints(nest, arch, mapping, level).values())
            level = replace(level, size_words=max(1, (2 if level.double_buffered else 1) * used + spare))
        levels.append(level)
    return replace(arch, levels=tuple(levels))


@st.composite
def problems(draw: Any, *, limit: int = 2000) -> tuple[LoopNest, Architecture]:
    """A layer and an architecture with at most some `limit` candidates for a mapping; not all have a legal one.

    Made such that all features can pay: the home is dear, the other memories are small, some axes take only
    reduction dims.
    """
    nest = draw(st.one_of(gemms(largest=4, operations=48), _sliding(), _sliding(), einsums(largest=6, operations=48)))
    reductions = frozenset(d for d, _ in nest.dims) - set(nest.output.dims)
    arch = draw(architectures(inner=draw(st.sampled_from([1, 1, 2])), fans=2, sizes=st.none() | st.integers(3, 12)))
    levels: list[Level] = []
    for level in arch.levels:
        if isinstance(level, FanOut) and draw(st.booleans()):
            reduce = draw(st.booleans())
            level = replace(
                level,
                reduce=reduce,
                drain=not reduce,
                axes=tuple(replace(axis, dims=reductions) for axis in level.axes),
            )
        elif isinstance(level, Memory):
            dearer = 10 if level == arch.home else Fraction(1, 20)
            level = replace(level, read_energy=level.read_energy * dearer, write_energy=level.write_energy * dearer)
        levels.append(level)
    arch = replace(arch, levels=tuple(levels))
    for dim in draw(st.permutations([d for d, n in nest.dims if n > 1])):
        if candidates(Mapspace(nest, arch)) <= limit:
            break
        nest = replace(nest, dims=tuple((d, 1 if d == dim else n) for d, n in nest.dims))
    return nest, arch


@st.composite
def _sliding(draw: Any) -> LoopNest:
    """1-D convolutions whose windows often overlap."""
    p, r, d = draw(st.integers(2, 8)), draw(st.integers(2, 4)), draw(st.integers(1, 2))
    stride, dilation = draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 1, 2]))
    window = f"{stride}*P+{dilation}*R"
    if draw(st.booleans()):
        return parse_nest(f"O[P] += I[C,{window}] * W[C,R] {{C={d} P={p} R={r}}}")
    return parse_nest(f"O[K,P] += I[{window}] * W[K,R] {{K={d} P={p} R={r}}}")


@st.composite
def halos(draw: Any, *, limit: int = 2000) -> tuple[LoopNest, Architecture]:
    """Problems with some `limit` candidates in which it often pays that neighbours share what they read.

    What is further out is dearer, networks are cheap, and memories are few and small.
    """
    nest = draw(st.one_of(_sliding(), _windows()))
    levels: list[Level] = [
        Memory("HOME", read_energy=Fraction(draw(st.sampled_from([200, 90]))), write_energy=Fraction(50))
    ]
    kinds = draw(st.sampled_from(["f", "fm", "fm", "mf", "mf", "ff", "fmf"]))
    for i, kind in enumerate(kinds):
        if kind == "m":
            ports = dict.fromkeys(("read_bandwidth", "write_bandwidth"))
            ports["shared_bandwidth"] = draw(st.sampled_from([None, Fraction(1, 2), Fraction(1)]))
            memory = draw(memories(f"M{i}", size_words=draw(st.none() | st.integers(2, 10)), **ports))
            reads, writes = memory.read_energy / 10 + 1, memory.write_energy / 10
            levels.append(replace(memory, read_energy=reads, write_energy=writes))
        else:
            axes = tuple(Axis(axis, draw(st.integers(2, 4))) for axis in "xy"[: draw(st.integers(1, 2))])
            halo = kinds.count("f") == 1 or draw(st.integers(0, 3)) > 0
            hop = draw(st.sampled_from([0, 0, 1]))
            levels.append(FanOut(f"F{i}", axes, halo=halo, hop_energy=Fraction(hop)))
    arch = Architecture("halos", (*levels, Compute("MAC", draw(st.integers(1, 2)))))
    while candidates(Mapspace(nest, arch)) > limit:  # windows survive as long as they can
        dims = dict(nest.dims)
        largest = max(dims, key=lambda d: (dims[d] > 1 and d not in nest.tensors[0].sliding_dims, dims[d]))
        nest = replace(nest, dims=tuple((d, n - (d == largest)) for d, n in nest.dims))
    return nest, arch


@st.composite
def _windows(draw: Any) -> LoopNest:
    """Small 2-D convolutions, and 1-D ones whose windows have two dims or whose weights slide as well."""
    p, q, r, s = (draw(st.integers(2, most)) for most in (6, 3, 3, 2))
    a, b = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    form = draw(
        st.sampled_from(["O[P,Q] += I[{a}*P+R,Q+{b}*S] * W[R,S]", "O[P] += I[{a}*P+R+{b}*S] * W[R,S]"])
        | st.just("O[P] += I[P+{a}*R] * W[{b}*P+S]")
    )
    dims = {d: n for d, n in zip("PQRS", (p, q, r, s), strict=True) if d in form}
    return parse_nest(form.format(a=a, b=b) + " {" + " ".join(f"{d}={n}" for d, n in dims.items()) + "}")


@st.composite
def reductions(draw: Any) -> tuple[LoopNest, Architecture]:
    """Problems whose best mapping often keeps outputs below a fan-out that adds partial sums."""
    nest = gemm(M=draw(st.integers(1, 2)), N=draw(st.integers(1, 2)), K=draw(st.sampled_from([4, 6])))
    energies = st.integers(0, 8).map(Fraction)
    home = Memory("HOME", read_energy=Fraction(100), write_energy=Fraction(100))
    accumulators = Memory(
        "ACC",
        size_words=draw(st.integers(1, 4)),
        may_keep=frozenset({Role.OUTPUT, draw(st.sampled_from(Role))}),
        read_energy=draw(energies),
        write_energy=draw(energies),
    )
    adders = FanOut(
        "ADD",
        (Axis("x", draw(st.integers(2, 3)), frozenset("K")),),
        deliver_energy=draw(energies),
        reduce_energy=draw(energies),
    )
    return nest, Architecture("adders", (home, adders, accumulators, Compute("MAC", energy=Fraction(1))))
