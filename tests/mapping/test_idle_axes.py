"""Idle axes: which ones, and why."""

from dataclasses import replace

import pytest
from hypothesis import given
from strategies import cases

from mapper.arch import Architecture, Axis, Compute, FanOut, Memory, parse_constraint
from mapper.ir import conv, gemm
from mapper.mapping import ParFor, parse_mapping
from mapper.mapping.constraints import resolve
from mapper.mapping.idle import IdleAxis, idle_axes

NEST = gemm(M=8, N=4, K=6)
HEAD, ONES = "keep H A B O\n", "for M 1\nfor N 1\nfor K 1\n"


def machine(x=None, y=None, **network):
    axes = (Axis("x", 4, x and frozenset(x)), Axis("y", 4, y and frozenset(y)), Axis("one", 1, frozenset("Z")))
    return Architecture("small", (Memory("H"), FanOut("F", axes, **network), Compute("M")))


def idle(loops, arch=None, texts=(), nest=NEST):
    arch = arch or machine()
    constraints = resolve([c for text in texts for c in parse_constraint(text)], nest, arch, strict=True)
    mapping = parse_mapping(HEAD + loops + ONES)
    return [str(axis) for axis in idle_axes(nest, arch, constraints, [mapping])]


NO_K = {"reduce": False}


@pytest.mark.parametrize(
    ("loops", "arch", "texts", "found"),
    [
        # nothing is left out: the mapping is free to leave axes idle
        ("", machine(), [], []),
        ("parfor M 4 F.x\n", machine(), ["K tile H = all"], []),
        # the list of an axis
        ("parfor M 2 F.x\n", machine(y=["input_channels"]), [],
         ["axis F.y is idle: its list of input_channels leaves out M and N"]),
        ("parfor M 2 F.x\n", machine(y=["filter", "C"]), [],
         ["axis F.y is idle: its list of C and filter leaves out M, N and K"]),
        ("parfor K 3 F.x\nparfor N 1 F.y\n", machine(y=["filter"]), [], []),
        ("", machine(x=["M"], y=["N"]), [],
         ["axis F.x is idle: its list of M leaves out N and K", "axis F.y is idle: its list of N leaves out M and K"]),
        # constraints
        ("parfor M 2 F.x\n", machine(), ["F.y only reduction"],
         ["axis F.y is idle: 'F.y only reduction' leaves out M and N"]),
        ("", machine(), ["F only filter,groups,K"],
         ["axis F.x is idle: 'F only filter,groups,K' leaves out M and N",
          "axis F.y is idle: 'F only filter,groups,K' leaves out M and N"]),
        ("parfor M 2 F.x\n", machine(), ["output_channels spatial F.y = 1"],
         ["axis F.y is idle: 'output_channels spatial F.y = 1' leaves out N"]),
        ("parfor M 2 F.x\n", machine(), ["M spatial F <= 4"], ["axis F.y is idle: 'M spatial F <= 4' leaves out M"]),
        ("parfor M 2 F.x\n", machine(), ["M spatial F <= 5", "K spatial F >= 1"], []),
        ("parfor M 2 F.x\n", machine(), ["M spatial F.x = 4"], []),  # says nothing of y
        ("parfor M 2 F.x\n", machine(y=["K"]), ["K,M spatial F.y = 1"],
         ["axis F.y is idle: its list of K, 'M spatial F.y = 1' and 'K spatial F.y = 1' leave out M, N and K"]),
        # a dim with nothing left to unroll is not missed
        ("parfor N 1 F.x\n", machine(), ["F.y only M,K"], []),
        # reductions that cannot be added
        ("parfor M 2 F.x\n", machine(**NO_K), [], []),
        ("parfor M 2 F.x\n", machine(y=["M"], **NO_K), [], ["axis F.y is idle: its list of M leaves out N"]),
    ],
)  # fmt: skip
def test_an_axis_is_idle_because_dims_are_left_out(loops, arch, texts, found):
    assert idle(loops, arch, texts) == found


def test_nothing_but_reductions_that_the_fan_out_cannot_add():
    arch, nest = machine(**NO_K), gemm(M=1, N=1, K=6)
    text = "is idle: that F adds no partial sums leaves out K"
    assert idle("", arch, nest=nest) == [f"axis F.x {text}", f"axis F.y {text}"]
    assert idle("", arch, nest=gemm()) == []  # there is nothing to do


def test_an_axis_that_one_of_several_mappings_uses_is_not_idle():
    arch = machine(y=["K"])
    used, unused = (parse_mapping(HEAD + loop + ONES) for loop in ("parfor K 3 F.y\n", "parfor K 3 F.x\n"))
    assert [axis.axis for axis in idle_axes(NEST, arch, (), [unused])] == ["y"]
    assert idle_axes(NEST, arch, (), [unused, used]) == ()
    (found,) = idle_axes(NEST, arch, (), [unused, unused])
    assert found == IdleAxis("F", "y", 4, ("its list of K",), ("M", "N"))


def test_an_axis_may_be_left_idle_by_choice_where_more_instances_save_no_time():
    for dims, found in ((["K"], False), (["filter"], True)):
        arch, mapping = machine(y=dims), parse_mapping(HEAD + "parfor M 2 F.x\n" + ONES)
        assert idle_axes(NEST, arch, (), [mapping])
        assert bool(idle_axes(NEST, arch, (), [mapping], compute_bound=False)) == found


@given(cases())
def test_only_unused_axes_with_something_left_out_are_warned_of(case):
    used = {(item.fanout, item.axis) for item in case.mapping.items if isinstance(item, ParFor)}
    found = idle_axes(case.nest, case.arch, (), [case.mapping])
    for warned in found:
        assert (warned.fanout, warned.axis) not in used
        assert warned.size > 1 and warned.causes
        assert all(case.nest.extents[dim] > 1 for dim in warned.left_out) and warned.left_out
    free = replace(case.arch, levels=tuple(map(_free, case.arch.levels)))
    assert idle_axes(case.nest, free, (), [case.mapping]) == ()


def _free(level):
    if not isinstance(level, FanOut):
        return level
    return replace(level, axes=tuple(replace(axis, dims=None) for axis in level.axes), reduce=True, drain=False)


def test_layers_without_an_axis_of_their_own():
    # what the issue was: K and G are filters and groups of a convolution, but K is what a product sums over
    arch = machine(x=["K", "G"], y=["C"])
    assert idle("parfor K 2 F.x\n", arch) == ["axis F.y is idle: its list of C leaves out M, N and K"]
    by_role = machine(x=["output_channels", "groups"], y=["input_channels"])
    assert idle("parfor N 1 F.x\nparfor K 2 F.y\n", by_role) == []
    assert by_role.fanouts[0].axes[0].takes(conv(K=8, G=2)) == {"K", "G"}
