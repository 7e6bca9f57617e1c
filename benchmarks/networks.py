"""Reading and executing whole networks."""

from __future__ import annotations

import subprocess
import sys
import time

import mapper
from backends.execute.network import verify_network
from frontends.onnx import load

EXECUTED = (("survey/alexnet", "eyeriss_v1"), ("resnet50", "simple3"))


def networks() -> None:
    """Wall seconds of a process that reads and lists a model, and of a run through its mappings with every check."""
    print("| model | machine | layers | MACs | read and list: wall s | execute and compare: wall s |")
    print("|---|---|---|---|---|---|")
    for model, name in EXECUTED:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mapper", "inspect", model], check=True, capture_output=True)
        reading = time.perf_counter() - start
        read, arch = load(model), mapper.load_architecture(name)
        found = mapper.compile_model(model, arch, factors="perfect")
        mappings = {nest: result.mapping for nest, result in found.results.items()}
        counts = {nest: result.cost.counts for nest, result in found.results.items()}
        start = time.perf_counter()
        assert verify_network(read, arch, mappings, counts).passed
        executing = time.perf_counter() - start
        layers, macs = len(read.network.layers), sum(n.times * n.nest.macs for n in read.network.layers if n.nest)
        print(f"| {model} | `{name}` | {layers} | {macs:,} | {reading:.1f} | {executing:.0f} |", flush=True)
