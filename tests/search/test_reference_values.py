"""The reference values of the design: each proven optimal, exactly."""

import pytest

from mapper.arch import load_architecture
from mapper.ir import conv, gemm
from mapper.mapping import violations
from mapper.search import Engine, Factors, Mapspace, Objective, Status
from mapper.search.engines import solve

CONV2 = conv(K=256, C=48, P=27, Q=27, R=5, S=5)
CONV3 = conv(K=384, C=256, P=13, Q=13, R=3, S=3)
VGG = conv(K=256, C=128, P=56, Q=56, R=3, S=3)
CONV1 = conv(K=64, C=3, P=112, Q=112, R=7, S=7, stride=(2, 2))

TABLE = [
    pytest.param(gemm(M=16, N=16, K=16), "simple3", 162_048, id="GEMM 16^3"),
    pytest.param(gemm(M=1024, N=1024, K=1024), "simple3", 4_745_854_976, id="GEMM 1024^3"),
    pytest.param(gemm(M=4096, N=11008, K=4096), "simple3", 789_233_795_072, id="GEMM 4096 x 11008 x 4096"),
    pytest.param(CONV2, "simple3", 797_242_848, id="AlexNet conv2"),
    pytest.param(CONV3, "simple3", 657_958_656, id="AlexNet conv3"),
    pytest.param(VGG, "simple3", 3_382_734_848, id="VGG"),
    pytest.param(CONV1, "simple3", 587_855_732, id="ResNet-50 conv1"),
    pytest.param(CONV2, "simple3_rolling", 797_242_848, id="AlexNet conv2, rolling"),
    pytest.param(CONV3, "simple3_rolling", 657_958_656, id="AlexNet conv3, rolling"),
    pytest.param(VGG, "simple3_rolling", 3_376_512_000, id="VGG, rolling"),
    pytest.param(CONV1, "simple3_rolling", 587_148_122, id="ResNet-50 conv1, rolling"),
]


@pytest.mark.parametrize(("nest", "spec", "energy"), TABLE)
def test_energy_optimum(nest, spec, energy):
    arch = load_architecture(spec)
    result = solve(Mapspace(nest, arch, Factors.PERFECT), engine=Engine.SOLVER)
    assert result.status is Status.OPTIMAL
    assert result.cost.energy == result.bound == energy
    assert result.gap == 0
    assert violations(nest, arch, result.mapping) == []


PRODUCTS = [
    pytest.param(gemm(M=1024, N=1024, K=1024), "simple3", 4_745_854_976, 4_194_304, id="GEMM 1024^3"),
    pytest.param(CONV2, "simple3_rolling", 808_414_368, 874_800, id="AlexNet conv2"),
    pytest.param(CONV3, "simple3_rolling", 657_958_656, 584_064, id="AlexNet conv3"),
    pytest.param(VGG, "simple3_rolling", 3_376_512_000, 3_612_672, id="VGG"),
    pytest.param(CONV1, "simple3_rolling", 637_462_106, 460_992, id="ResNet-50 conv1"),
]


@pytest.mark.parametrize(("nest", "spec", "energy", "cycles"), PRODUCTS)
def test_edp_optimum(nest, spec, energy, cycles):
    result = solve(Mapspace(nest, load_architecture(spec), Factors.PERFECT), Objective.EDP)
    assert result.status is Status.OPTIMAL
    assert (result.cost.energy, result.cost.cycles) == (energy, cycles)
    assert result.value == result.bound == energy * cycles


def test_fewest_cycles_of_the_least_energy():
    space = Mapspace(gemm(M=1024, N=1024, K=1024), load_architecture("simple3"), Factors.PERFECT)
    assert solve(space).cost.cycles == 4_194_304
