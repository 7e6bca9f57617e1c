"""Print the tables of docs/benchmarks.md. CPU seconds, medians: wall time on shared machines means little.

python -m benchmarks [proofs] [engines] [models] [search] [large] [evaluation] [executor] [networks]
"""

from __future__ import annotations

import statistics
import sys

import numpy as np

import mapper
from benchmarks.engines import engines
from benchmarks.evaluation import evaluation
from benchmarks.networks import networks
from benchmarks.search import large, search
from benchmarks.timing import RUNS, median_cpu_s
from frontends.onnx import load

LAYERS = {
    "GEMM 16 x 16 x 16": "gemm M=16 N=16 K=16",
    "GEMM 1024 x 1024 x 1024": "gemm M=1024 N=1024 K=1024",
    "GEMM 4096 x 11008 x 4096": "gemm M=4096 N=11008 K=4096",
    "AlexNet conv2, one group": "conv K=256 C=48 P=27 Q=27 R=5 S=5",
    "AlexNet conv3": "conv K=384 C=256 P=13 Q=13 R=3 S=3",
    "VGG 256 x 128 x 56 x 56": "conv K=256 C=128 P=56 Q=56 R=3 S=3",
    "ResNet-50 conv1": "conv K=64 C=3 P=112 Q=112 R=7 S=7 stride=2",
}


def proofs() -> None:
    """Energy optimum and CPU seconds to prove it, on both reference machines."""
    print("| layer | `simple3` energy | CPU-s | `simple3_rolling` energy | CPU-s |\n|---|---|---|---|---|")
    for name, layer in LAYERS.items():
        cells = []
        for arch in ("simple3", "simple3_rolling"):
            results = [mapper.search_layer(layer, arch, factors="perfect") for _ in range(RUNS)]
            assert all(r.status is mapper.Status.OPTIMAL for r in results)
            seconds = statistics.median(r.statistics.cpu_s for r in results)
            cells += [f"{int(results[0].cost.energy):,}", f"{seconds:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def models() -> None:
    """CPU seconds per distinct layer of whole models."""
    print("| model | machine | distinct layers | proven | median CPU-s | largest CPU-s |\n|---|---|---|---|---|---|")
    for model, arch in (("resnet50", "simple3"), ("survey/alexnet", "eyeriss_v1")):
        results = mapper.compile_model(model, arch).results.values()
        seconds = [r.statistics.cpu_s for r in results]
        proven = sum(r.status is mapper.Status.OPTIMAL for r in results)
        row = (model, f"`{arch}`", len(seconds), proven, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def executor() -> None:
    """CPU nanoseconds per operation of the counting executor, every word moved, every layer in full."""
    from backends.execute import execute

    print("| layer of `survey/alexnet` on `eyeriss_v1` | operations | CPU-s | ns per operation |\n|---|---|---|---|")
    arch = mapper.load_architecture("eyeriss_v1")
    for layer in load("survey/alexnet").network.layers:
        nest = layer.nest
        assert nest is not None
        mapping = mapper.search_layer(nest, arch).mapping
        rng = np.random.default_rng(0)
        operands = {t.name: rng.normal(size=nest.shape(t)) for t in nest.tensors if t is not nest.output}
        seconds = median_cpu_s(lambda n=nest, m=mapping, o=operands: execute(n, arch, m, o))  # type: ignore[misc]
        print(
            f"| {layer.name} | {nest.operations:,} | {seconds:.2f} | {seconds / nest.operations * 1e9:.1f} |",
            flush=True,
        )


TABLES = {
    "proofs": proofs,
    "engines": engines,
    "models": models,
    "search": search,
    "large": large,
    "evaluation": evaluation,
    "executor": executor,
    "networks": networks,
}

if __name__ == "__main__":
    for table in sys.argv[1:] or TABLES:
        TABLES[table]()
        print()
