"""The same layers on the same machine, by this mapper and by its peers; prints a table in Markdown.

python -m benchmarks.peers [--peer NAME]... [--layers N] [--seconds S] [--cache FOLDER] [--python INTERPRETER]
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import mapper
from benchmarks.peers.answers import Answer, Failure
from benchmarks.peers.environments import Peer, ask, install
from benchmarks.peers.layers import LAYERS, Layer
from frontends.einsum import parse_layer

MACHINE = "simple3"
KEEP_ALL = ("keep GLB:I,W,O", "keep RF:I,W,O")  # neither peer is asked to bypass a memory
ZIGZAG = ("zigzag-dse==3.9.1", "six")
PEERS = {
    "zigzag": Peer("ZigZag", "zigzag", ZIGZAG, "run_zigzag.py", (("waive_repeated_reads", True),)),
    "zigzag-charged": Peer(
        "ZigZag, every access charged", "zigzag", ZIGZAG, "run_zigzag.py", (("waive_repeated_reads", False),)
    ),
    "accelforge": Peer("AccelForge", "accelforge", ("accelforge==1.0.467",), "run_accelforge.py"),
}


def main() -> None:
    """Every layer by every mapper asked for; progress goes to stderr."""
    options = _options()
    arch = mapper.load_architecture(MACHINE)
    peers = [PEERS[name] for name in options.peer or PEERS]
    environments: dict[str, Path | Failure] = {}
    for peer in peers:
        if peer.environment not in environments:
            _say(f"environment of {peer.title}")
            environments[peer.environment] = install(peer, options.cache, options.python)
    columns = ["layer", "ours, no bypass: energy, status, CPU-s", "ours: energy, status, CPU-s"]
    columns += [f"{p.title}: energy, / ours; its mapping by our model / ours; CPU-s" for p in peers]
    for cells in (columns, ["---"] * len(columns)):
        print(f"| {' | '.join(cells)} |", flush=True)
    for layer in LAYERS[: options.layers]:
        _say(f"{layer.name}: ours")
        limit = options.seconds
        ours = mapper.search_layer(layer.text, arch, factors="perfect", constraints=KEEP_ALL, time_limit=limit)
        free = mapper.search_layer(layer.text, arch, time_limit=limit)
        cells = [layer.name, _ours(ours), _ours(free)]
        for peer in peers:
            _say(f"{layer.name}: {peer.title}")
            found: Path | Failure | Answer = environments[peer.environment]
            if isinstance(found, Path):
                found = ask(peer, found, _question(layer, arch), limit)
            cells.append(_theirs(found, layer, arch, ours.cost.energy) if isinstance(found, Answer) else found.reason)
        print(f"| {' | '.join(cells)} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="this mapper beside its peers")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one; repeatable")
    parser.add_argument("--layers", type=int, default=len(LAYERS), help="only the first so many")
    parser.add_argument("--seconds", type=float, default=120, help="wall time for each layer and mapper")
    parser.add_argument("--cache", type=Path, default=Path(".cache/peers"), help="where environments are kept")
    parser.add_argument("--python", default=sys.executable, help="makes the environments; 3.12 for AccelForge")
    return parser.parse_args()


def _question(layer: Layer, arch: mapper.Architecture) -> dict[str, Any]:
    """Layer and machine as JSON; energies are whole numbers on this machine."""
    (fanout,) = arch.fanouts
    return {
        "dims": dict(layer.dims),
        "stride": layer.stride,
        "machine": {
            "word_bits": arch.home.word_bits,
            "memories": [
                {
                    "name": memory.name,
                    "words": memory.size_words,
                    "read": int(memory.read_energy),
                    "write": int(memory.write_energy),
                    "above_fanout": arch.depth[memory.name] < arch.depth[fanout.name],
                }
                for memory in arch.memories
            ],
            "fanout": fanout.name,
            "axes": {axis.name: axis.size for axis in fanout.axes},
            "operation": int(arch.compute.energy),
        },
    }


def _ours(result: mapper.Result) -> str:
    return f"{int(result.cost.energy):,}, {result.status}, {result.statistics.cpu_s:.2f}"


def _theirs(answer: Answer, layer: Layer, arch: mapper.Architecture, ours: Fraction) -> str:
    """What a peer reports, beside what the cheapest of its legal mappings costs by our model; progress shows that."""
    _say(f"    {answer.version}")
    nest = parse_layer(layer.text)
    legal, problems = [], []
    for text in answer.mappings:
        mapping = mapper.parse_mapping(text)
        if broken := mapper.violations(nest, arch, mapping):
            problems += broken
        else:
            legal.append((mapper.evaluate(nest, arch, mapping).energy, text))
    evaluated = f"not legal here: {problems[0]}" if problems else "no such mapping here"
    if legal:
        energy, text = min(legal)
        _say(text)
        evaluated = f"{float(energy / ours):.3f}"
    return f"{answer.energy:,.0f}, {answer.energy / float(ours):.3f}; {evaluated}; {answer.cpu_s:.1f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
