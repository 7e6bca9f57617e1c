"""The lattice search finds the same optimum as trying everything, and as the solver, neither of which knows it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from provers import HOME, MAC, ROLLING, SHAPES, covered, everything, lattice, least, memory, middling, rolling, solver
from strategies import gemms, reductions
from test_reference_values import TABLE

from frontends.onnx import load
from mapper.arch import Architecture, Axis, FanOut, Widths, load_architecture
from mapper.divisors import divisors
from mapper.errors import InfeasibleError
from mapper.ir import Role, conv, gemm, parse_nest
from mapper.search import Factors, Mapspace
from mapper.search.lattice import solve_lattice, uncovered
from mapper.search.lattice.points import Lattice, factorised


def missing(nest, arch):
    """What the lattice does not cover of a problem with perfect factors."""
    return list(uncovered(Mapspace(nest, arch, Factors.PERFECT)))


def agreed(problem, *others):
    """The least energy by the lattice, and by each of the others."""
    assert missing(*problem) == []
    space = Mapspace(*problem, Factors.PERFECT)
    energy = least(lattice, space)
    for other in others:
        assert least(other, space) == energy, other.__name__
    return energy


@settings(max_examples=150, suppress_health_check=HealthCheck)
@given(covered(limit=250))
def test_lattice_equals_exhaustive(problem):
    agreed(problem, everything)


@settings(max_examples=40)
@given(reductions())
def test_lattice_equals_exhaustive_where_sums_are_added_on_the_way(problem):
    agreed(problem, everything)


@settings(max_examples=30, suppress_health_check=HealthCheck)
@given(middling())
def test_lattice_equals_solver_where_not_all_can_be_tried(problem):
    agreed(problem, solver)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=HealthCheck)
@given(middling())
def test_lattice_equals_solver_on_many(problem):
    agreed(problem, solver)


@settings(max_examples=30, suppress_health_check=HealthCheck)
@given(covered(limit=250))
def test_all_three_agree(problem):
    agreed(problem, everything, solver)


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=HealthCheck)
@given(covered(limit=2000))
def test_lattice_equals_exhaustive_on_many(problem):
    agreed(problem, everything)


# -- real layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nest", "spec", "energy"), TABLE)
def test_reference_values(nest, spec, energy):
    assert agreed((nest, load_architecture(spec))) == energy


DEPTHWISE = [
    conv(G=32, K=1, C=1, P=112, Q=112, R=3, S=3),
    conv(G=64, K=1, C=1, P=56, Q=56, R=3, S=3, stride=(2, 2)),
    conv(G=256, K=1, C=1, P=28, Q=28, R=3, S=3),
    conv(G=512, K=1, C=1, P=14, Q=14, R=5, S=5, stride=(2, 2)),
    conv(G=1024, K=1, C=1, P=7, Q=7, R=3, S=3),
]
MACHINES = ["simple3", str(Path(__file__).parents[1] / "specs" / "unshared_scratchpads.yaml")]

FEW = [
    conv(K=512, C=2048, P=7, Q=7),
    conv(K=64, C=64, P=14, Q=14, R=3, S=3),
    conv(G=2, K=24, C=24, P=13, Q=13, R=3, S=3, dilation=(2, 2)),
    conv(G=96, K=1, C=1, P=14, Q=14, R=3, S=3, stride=(2, 2)),
    gemm(M=128, N=1000, K=512),
]


@pytest.mark.parametrize("spec", MACHINES)
@pytest.mark.parametrize("nest", FEW, ids=str)
def test_lattice_equals_solver(nest, spec):
    agreed((nest, load_architecture(spec)), solver)


@pytest.mark.slow
@pytest.mark.parametrize("spec", MACHINES)
def test_lattice_equals_solver_on_whole_networks(spec):
    arch = load_architecture(spec)
    networks = [load(name, None).network.unique for name in ("alexnet", "vgg19", "resnet50", "inception_v1")]
    for nest in dict.fromkeys([nest for unique in networks for nest in unique] + DEPTHWISE):
        agreed((nest, arch), solver)


# -- machines of other shapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=4)
@given(nest=gemms(largest=8, operations=256))
def test_other_shapes(name, nest):
    arch = Architecture("shape", SHAPES[name])
    agreed((nest, arch), solver)


@pytest.mark.parametrize("name", ROLLING)
def test_rolling_windows(name):
    text, levels = ROLLING[name]
    nest, arch = parse_nest(text), Architecture("rolling", levels)
    agreed((nest, arch), solver)


@settings(max_examples=25, suppress_health_check=HealthCheck)
@given(rolling())
def test_rolling_windows_of_two_memories(problem):
    agreed(problem, solver)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=HealthCheck)
@given(rolling())
def test_rolling_windows_on_many(problem):
    agreed(problem, solver)


# -- what is not covered -----------------------------------------------------------------------------------------------


def machine(*, home=None, mesh=None, inner=None, compute=None):
    """A home, a fan-out and a memory, with changes."""
    changed = ((HOME, home), (FanOut("PE", (Axis("x", 4),)), mesh), (memory("L1", 8, 1), inner), (MAC, compute))
    return Architecture("machine", tuple(replace(level, **(change or {})) for level, change in changed))


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        (machine(mesh={"halo": True}), "PE shares halos of I"),
        (machine(inner={"leak_energy": Fraction(1)}), "a level leaks: energy depends on cycles"),
        (machine(home={"line_words": 4}), "HOME is accessed by lines, and may keep the output"),
        (machine(inner={"packed": True}, compute={"widths": Widths(output=4)}), "L1 packs outputs"),
        (machine(compute={"widths": Widths(partial=32)}), "partial sums are wider or narrower than results in HOME"),
        (machine(home={"read_energy": Fraction(1, 10**15)}), "energies have too many digits"),
    ],
)
def test_what_is_not_covered_is_named(arch, reason):
    nest = conv(K=2, C=2, P=4, Q=4, R=3, S=3)
    assert reason in missing(nest, arch)
    assert solve_lattice(Mapspace(nest, arch, Factors.PERFECT)) is None


def test_several_fan_outs_are_not_covered():
    arch = machine()
    several = replace(arch, levels=(arch.home, FanOut("F", (Axis("y", 2),)), *arch.levels[1:]))
    assert missing(gemm(M=2), several) == ["there are several fan-outs"]


def test_a_layer_that_is_too_large_is_not_covered():
    assert missing(gemm(M=2**20, N=2**20, K=2**20), machine()) == ["energies have too many digits"]


def test_a_layer_with_very_many_tile_extents_is_not_covered():
    problem = gemm(M=2520, N=2520, K=2520, B=60), machine()
    assert missing(*problem) == ["there are 1327104 tile extents, more than 262144"]


def test_halos_are_of_sliding_windows():
    assert missing(gemm(M=8, N=8, K=8), machine(mesh={"halo": True})) == []


def test_no_mapping_is_legal():
    arch = machine(inner={"size_words": 2, "must_keep": frozenset(Role)})
    with pytest.raises(InfeasibleError, match="too small by 1"):
        solve_lattice(Mapspace(gemm(M=2, N=2), arch, Factors.PERFECT))


# -- the lattice -------------------------------------------------------------------------------------------------------


def test_points_are_all_combinations_of_divisors():
    points = Lattice({"K": 12, "P": 7})
    found = {(int(k), int(p)) for k, p in zip(points.extents["K"], points.extents["P"], strict=True)}
    assert found == {(k, p) for k in divisors(12) for p in divisors(7)}
    assert points.size == 12


@pytest.mark.parametrize(("n", "expected"), [(1, []), (2, [(2, 1)]), (360, [(2, 3), (3, 2), (5, 1)]), (97, [(97, 1)])])
def test_factorised(n, expected):
    assert factorised(n) == expected


def test_codes_say_what_divides():
    points = Lattice({"K": 12, "P": 4})
    for i in range(points.size):
        divides = points.divides(points.codes[[i]], points.codes)
        for j in range(points.size):
            assert divides[j] == all(points.at(j)[d] % points.at(i)[d] == 0 for d in points.dims)
