"""How fast mappings are evaluated: one by one, and in batches that differ in their steps."""

from __future__ import annotations

import numpy as np

import mapper
from benchmarks.timing import median_cpu_s

LAYER = "conv K=64 C=64 P=56 Q=56 R=3 S=3"  # the 3 x 3 convolution of the first stage of ResNet-50
MAPPING = """
keep DRAM I W O
for Q 8
keep GLB O
for C 32
keep GLB I
parfor K 16 PE.y
parfor R 1 PE.y
parfor K 8 PE.x
parfor C 8 PE.x
keep WSPAD W
for P 1
for Q 2
keep PSPAD O
for C 1
keep ISPAD I
for K 1
for Q 1
for S 1
"""  # the optimum of the search
SIZES = (1_000, 10_000, 100_000)
SCALAR_RUNS = 300


def evaluation() -> None:
    """CPU milliseconds of `evaluate`, and mappings per CPU second of `evaluate_batch`, legality included."""
    nest, arch, mapping = problem()
    assert not mapper.violations(nest, arch, mapping)
    alone = median_cpu_s(lambda: mapper.evaluate(nest, arch, mapping), SCALAR_RUNS)
    print("| ResNet-50 layer on `eyeriss_v1` | CPU-ms | mappings per CPU-s |\n|---|---|---|")
    print(f"| `evaluate`, one mapping | {alone * 1e3:.2f} | {1 / alone:,.0f} |", flush=True)
    for kind, perfect in (("dividing", True), ("any", False)):
        for size in SIZES:
            steps = draw_steps(nest, mapping, size, perfect=perfect)
            seconds = median_cpu_s(lambda s=steps: mapper.evaluate_batch(nest, arch, mapping, s))  # type: ignore[misc]
            print(
                f"| `evaluate_batch`, {size:,} mappings, {kind} steps | {seconds * 1e3:.2f} | {size / seconds:,.0f} |",
                flush=True,
            )


def problem() -> tuple[mapper.LoopNest, mapper.Architecture, mapper.Mapping]:
    """The layer, the machine and the structure of the mappings."""
    from frontends.einsum import parse_layer

    return parse_layer(LAYER), mapper.load_architecture("eyeriss_v1"), mapper.parse_mapping(MAPPING)


def draw_steps(nest: mapper.LoopNest, mapping: mapper.Mapping, size: int, *, perfect: bool) -> np.ndarray:
    """Random steps of shape (size, loops) that split all dims completely, with divisors only if `perfect`."""
    rng = np.random.default_rng(0)
    loops = [item for item in mapping.items if not isinstance(item, mapper.Keep)]
    last = {item.dim: i for i, item in enumerate(loops)}
    tile = {d: np.full(size, n) for d, n in nest.dims}
    columns = []
    for i, item in enumerate(loops):
        if last[item.dim] == i:
            step = np.ones(size, int)
        elif perfect:
            step = np.empty(size, int)
            for n in np.unique(tile[item.dim]):
                rows, numbers = tile[item.dim] == n, np.arange(1, n + 1)
                step[rows] = rng.choice(numbers[n % numbers == 0], rows.sum())
        else:
            step = rng.integers(1, tile[item.dim] + 1)
        tile[item.dim] = step
        columns.append(step)
    return np.stack(columns, axis=1)
