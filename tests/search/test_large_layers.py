"""Layers larger than any published case: proven, or nearly, on `simple3` in a minute, on six memories in such work.

For each the least value is known from proofs: a bound above it is as wrong as a mapping below it, proven or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

import mapper
from benchmarks.search import LARGE
from frontends.einsum import parse_layer

SIX = Path(__file__).parents[1] / "specs" / "six_memories.yaml"

SIX_LAYERS = {
    "ResNet 3x3 conv": "conv K=256 C=256 P=14 Q=14 R=3 S=3",
    "depthwise conv": "conv G=384 P=28 Q=28 R=3 S=3",
    "transformer GEMM": "gemm M=512 N=3072 K=768",
}


LEAST = {
    "GEMM 4096 x 4096 x 11008": "783571484672",
    "GEMM 4096 x 32000 x 4096": "2294284288000",
    "GEMM 1 x 14336 x 4096": "11867934720",
    "vocabulary: GEMM 128 x 50257 x 768": ("25310404864", "24380518144"),
    "attention scores: 12 heads of 64, 197 tokens": "243378528",
    "attention scores: 32 heads of 128, 2048 tokens": "83751862272",
    "ViT, 197 tokens: 768 to 3072": "2193848832",
    "3-D convolution": "9924437504",
    "depthwise, dilated": "158939520",
    "six memories: ResNet 3x3 conv": "60949770.24",
    "six memories: depthwise conv": "22793687.04",
    "six memories: transformer GEMM": "526091550.72",
}
"""The least energy, as proven: one, or one with perfect and one with imperfect factors."""

PRODUCTS = {
    "vocabulary: GEMM 128 x 50257 x 768": ("488457606624018432", "471924046991818752"),
    "ViT, 197 tokens: 768 to 3072": "3983046634635264",
    "3-D convolution": "107561212459352064",
    "six memories: ResNet 3x3 conv": "7021392769843.2",
    "six memories: depthwise conv": "231538272952.32",
    "six memories: transformer GEMM": "657711363061186.56",
}
"""The least energy x cycles of some, likewise."""

IN_A_MINUTE = {"time_limit": 60}
IN_A_MINUTES_WORK = {"deterministic_limit": 120}
"""Units of the solver's work, half a CPU second each or more: a busy machine changes no answer."""

LAYERS = {name: ("simple3", layer, IN_A_MINUTE) for name, layer in LARGE.items()} | {
    f"six memories: {name}": (str(SIX), layer, IN_A_MINUTES_WORK) for name, layer in SIX_LAYERS.items()
}

NEAR = Fraction(2, 100)
"""How far from the bound a mapping may be that is not proven: gap under 2 %."""


def known(table: Mapping[str, str | tuple[str, str]], name: str, factors: mapper.Factors) -> Fraction:
    entry = table[name]
    return Fraction(entry if isinstance(entry, str) else entry[factors is mapper.Factors.IMPERFECT])


def check(name: str, factors: mapper.Factors, objective: mapper.Objective, least: Fraction) -> None:
    """Search within the limit and hold every claim of the result to the least value, and to the cost model."""
    spec, layer, limit = LAYERS[name]
    nest, arch = parse_layer(layer), mapper.load_architecture(spec)
    result = mapper.search_layer(layer, spec, factors=factors, objective=objective, **limit)
    assert mapper.violations(nest, arch, result.mapping) == []
    cost = mapper.evaluate(nest, arch, result.mapping)
    assert (cost.energy, cost.cycles) == (result.cost.energy, result.cost.cycles)
    value = cost.edp if objective is mapper.Objective.EDP else cost.energy
    assert result.bound <= least <= value
    if result.status is mapper.Status.OPTIMAL:
        assert result.bound == value
    else:
        assert value < result.bound * (1 + NEAR)


@pytest.mark.slow
@pytest.mark.parametrize("factors", mapper.Factors)
@pytest.mark.parametrize("name", LAYERS)
def test_least_energy(name: str, factors: mapper.Factors) -> None:
    check(name, factors, mapper.Objective.ENERGY, known(LEAST, name, factors))


@pytest.mark.slow
@pytest.mark.parametrize("factors", mapper.Factors)
@pytest.mark.parametrize("name", PRODUCTS)
def test_least_product_of_energy_and_cycles(name: str, factors: mapper.Factors) -> None:
    check(name, factors, mapper.Objective.EDP, known(PRODUCTS, name, factors))
