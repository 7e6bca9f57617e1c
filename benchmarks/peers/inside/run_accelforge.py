"""Asks AccelForge for the mapping of least energy of a layer. Runs in its environment: question.json answer.json."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Energy, CPU seconds and mapping."""
    import accelforge  # type: ignore[import-not-found]
    from accelforge.mapper.FFM.main import map_workload_to_arch  # type: ignore[import-not-found]
    from accelforge.util.parallel import set_n_parallel_jobs  # type: ignore[import-not-found]

    set_n_parallel_jobs(1)
    Path("spec.yaml").write_text(_machine(question["machine"]) + _layer(question))
    spec = accelforge.Spec.from_yaml("spec.yaml")
    spec.mapper.metrics = accelforge.Metrics.ENERGY
    started = time.process_time()
    found = map_workload_to_arch(spec, print_progress=False, eval_in_detail=False).data.iloc[0]
    seconds = time.process_time() - started
    return {
        "energy": float(found["Total<SEP>energy"]),
        "cpu_s": seconds,
        "version": version("accelforge"),
        "mappings": [_text(found["Total<SEP>mapping"]())],
    }


def _machine(machine: dict[str, Any]) -> str:
    """The levels, outermost first; every memory keeps every tensor."""
    bits, lines = machine["word_bits"], ["arch:", "  nodes:"]
    fanout = [{"name": axis, "fanout": size} for axis, size in machine["axes"].items()]
    free = {"leak_power": 0, "area": 0}
    below = False
    for memory in machine["memories"]:
        if not memory["above_fanout"] and not below:
            below = True
            lines.append(_node("Container", {"name": machine["fanout"], "spatial": fanout}))
        size = "inf" if memory["words"] is None else memory["words"] * bits
        actions = [
            {"name": action, "energy": memory[action], "latency": 0, "bits_per_action": bits}
            for action in ("read", "write")
        ]
        held = {"name": memory["name"], "size": size, "tensors": {"keep": "All"}, "actions": actions}
        lines.append(_node("Memory", held | free))
    compute = {"name": "compute", "energy": machine["operation"], "latency": 1}
    lines.append(_node("Compute", {"name": "MAC", "actions": [compute]} | free))
    return "\n".join(lines) + "\n"


def _node(kind: str, fields: dict[str, Any]) -> str:
    return f"  - !{kind} {json.dumps(fields)}"


def _layer(question: dict[str, Any]) -> str:
    """One einsum, of the dims longer than 1."""
    dims = {dim: size for dim, size in question["dims"].items() if size > 1}
    rows = {"H": ("P", "R"), "X": ("Q", "S")}
    strided = f"{question['stride']} * " if question["stride"] > 1 else ""
    image = {
        rank: " + ".join(f"{strided if dim == pixel else ''}{dim.lower()}" for dim in (pixel, tap) if dim in dims)
        for rank, (pixel, tap) in rows.items()
        if pixel in dims or tap in dims
    }
    projections = {
        "I": {"C": "c"} | image if "C" in dims else image,
        "W": {dim: dim.lower() for dim in "KCRS" if dim in dims},
        "O": {dim: dim.lower() for dim in "KPQ" if dim in dims},
    }
    einsum = {
        "name": "layer",
        "iteration_space_shape": [f"0 <= {dim.lower()} < {size}" for dim, size in dims.items()],
        "tensor_accesses": [
            {"name": tensor, "projection": projection, "output": tensor == "O"}
            for tensor, projection in projections.items()
        ],
        "renames": {"input": "I", "weight": "W", "output": "O"},
    }
    workload = {"bits_per_value": {"All": question["machine"]["word_bits"]}, "einsums": [einsum]}
    return f"workload: {json.dumps(workload)}\n"


def _text(mapping: Any) -> str:
    """A line for each node of the mapping; those that only reserve space have none."""
    lines = []
    for node in mapping.nodes:
        match type(node).__name__:
            case "Storage":
                lines.append(f"keep {node.component} {' '.join(node.tensors)}")
            case "Temporal":
                lines.append(f"for {str(node.rank_variable).upper()} {node.tile_shape}")
            case "Spatial":
                axis = f"{node.component}.{node.name}"
                lines.append(f"parfor {str(node.rank_variable).upper()} {node.tile_shape} {axis}")
    return "\n".join(lines)


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:])
    try:
        said = answer(json.loads(asked.read_text()))
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    answered.write_text(json.dumps(said))
