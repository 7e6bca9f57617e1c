"""The search: every distinct layer of ResNet-50 in several ways, and layers larger than any published case."""

from __future__ import annotations

import resource
import statistics

import mapper
from frontends.onnx import load

WAYS = {
    "energy, perfect factors": {"factors": "perfect"},
    "energy, imperfect factors": {},
    "EDP, perfect factors": {"factors": "perfect", "objective": "edp"},
}

LARGE = {
    "GEMM 4096 x 4096 x 11008": "gemm M=4096 N=4096 K=11008",
    "GEMM 4096 x 32000 x 4096": "gemm M=4096 N=32000 K=4096",
    "GEMM 1 x 14336 x 4096": "gemm M=1 N=14336 K=4096",
    "vocabulary: GEMM 128 x 50257 x 768": "gemm M=128 N=50257 K=768",
    "attention scores: 12 heads of 64, 197 tokens": "gemm B=12 M=197 N=197 K=64",
    "attention scores: 32 heads of 128, 2048 tokens": "gemm B=32 M=2048 N=2048 K=128",
    "ViT, 197 tokens: 768 to 3072": "gemm M=197 N=3072 K=768",
    "3-D convolution": "einsum O[k,x,y,z] += I[c,x+u,y+v,z+w] * W[k,c,u,v,w] k=64 c=32 x=16 y=56 z=56 u=3 v=3 w=3",
    "depthwise, dilated": "conv G=384 P=28 Q=28 R=3 S=3 dilation=2",
}


def search() -> None:
    """CPU and wall seconds for a distinct layer, and until a mapping is within 1 % of the best; peak memory so far."""
    layers = [layer for layer in load("resnet50").network.unique if layer.macs]
    print(
        f"| ResNet-50, {len(layers)} distinct products | machine | proven | median CPU-s | largest CPU-s "
        "| median wall s | within 1 %: median s | MB |\n|---|---|---|---|---|---|---|---|"
    )
    for arch in ("simple3", "eyeriss_v1"):
        for name, options in WAYS.items():
            results = [mapper.search_layer(layer, arch, time_limit=60, **options) for layer in layers]
            proven = sum(r.status is mapper.Status.OPTIMAL for r in results)
            cpu = [r.statistics.cpu_s for r in results]
            wall = statistics.median(r.statistics.wall_s for r in results)
            near = statistics.median(_within(r) for r in results)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            figures = f"{statistics.median(cpu):.2f} | {max(cpu):.2f} | {wall:.2f} | {near:.2f} | {memory}"
            print(f"| {name} | `{arch}` | {proven} | {figures} |", flush=True)


def _within(result: mapper.Result) -> float:
    """Seconds until a mapping was known that is within 1 % of the one returned."""
    near = [t for t, value in result.statistics.incumbents if value * 100 <= result.value * 101]
    return min(near, default=result.statistics.wall_s)


def large() -> None:
    """Layers larger than any published case: proven within a minute, or how far from it."""
    print("| layer on `simple3`, energy | status | gap | energy | CPU-s |\n|---|---|---|---|---|")
    for name, layer in LARGE.items():
        result = mapper.search_layer(layer, "simple3", time_limit=60)
        energy, seconds = int(result.cost.energy), result.statistics.cpu_s
        print(f"| {name} | {result.status} | {result.gap:.2%} | {energy:,} | {seconds:.2f} |", flush=True)
