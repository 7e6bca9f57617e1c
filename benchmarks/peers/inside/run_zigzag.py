"""Asks ZigZag for the mapping of least energy of a layer. Runs in ZigZag's environment: question.json answer.json."""

from __future__ import annotations

import json
import math
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

LPF_LIMIT, SPATIAL_MAPPINGS = 6, 3  # what its API has by default
UNLIMITED_BITS = 10**12
DIMS = {"K": "K", "C": "C", "OY": "P", "OX": "Q", "FY": "R", "FX": "S"}
OPERANDS = {"I": "I1", "W": "I2", "O": "O"}
WAYS = {"I1": ("tl", "fh"), "I2": ("tl", "fh"), "O": ("tl", "fl", "th", "fh")}  # to and from the lower and higher one


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Energy, CPU seconds and mapping."""
    from zigzag.mapping.temporal_mapping import TemporalMappingType  # type: ignore[import-not-found]
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage  # type: ignore[import-not-found]
    from zigzag.stages.main import MainStage  # type: ignore[import-not-found]
    from zigzag.stages.mapping.spatial_mapping_generation import (  # type: ignore[import-not-found]
        SpatialMappingGeneratorStage,
    )
    from zigzag.stages.mapping.temporal_mapping_generator_stage import (  # type: ignore[import-not-found]
        TemporalMappingGeneratorStage,
    )
    from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage  # type: ignore[import-not-found]
    from zigzag.stages.parser.workload_parser import WorkloadParserStage  # type: ignore[import-not-found]
    from zigzag.stages.results.reduce_stages import MinimalEnergyStage  # type: ignore[import-not-found]
    from zigzag.stages.workload_iterator import WorkloadStage  # type: ignore[import-not-found]

    Path("machine.yaml").write_text(json.dumps(_machine(question["machine"])))
    Path("mapping.yaml").write_text(json.dumps([{"name": "default", "memory_operand_links": OPERANDS}]))
    stages = [  # those of its API for opt='energy', without the ones that save and draw
        WorkloadParserStage,
        AcceleratorParserStage,
        WorkloadStage,
        MinimalEnergyStage,
        SpatialMappingGeneratorStage,
        MinimalEnergyStage,
        TemporalMappingGeneratorStage,
        CostModelStage,
    ]
    started = time.process_time()
    found = MainStage(
        stages,
        workload=[_layer(question)],
        accelerator="machine.yaml",
        mapping="mapping.yaml",
        loma_lpf_limit=LPF_LIMIT,
        loma_show_progress_bar=False,
        nb_mappings_generated=SPATIAL_MAPPINGS,
        enable_mix_spatial_mapping_generation=False,
        temporal_mapping_type=TemporalMappingType.UNEVEN,
        access_same_data_considered_as_no_access=question["waive_repeated_reads"],
    ).run()[0][0]
    seconds = time.process_time() - started
    return {
        "energy": float(found.energy_total),
        "cpu_s": seconds,
        "version": version("zigzag-dse"),
        "mappings": _mappings(question, found),
    }


def _layer(question: dict[str, Any]) -> dict[str, Any]:
    stride, dims = question["stride"], question["dims"]
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"],
        "loop_dims": ["B", "G", *DIMS],
        "loop_sizes": [1, 1, *(dims[dim] for dim in DIMS.values())],
        "operand_precision": dict.fromkeys(("W", "I", "O", "O_final"), question["machine"]["word_bits"]),
        "operand_source": {"I": 0, "W": 0},
    }


def _machine(machine: dict[str, Any]) -> dict[str, Any]:
    """Ports a word wide, so that an access is a word; each operand has a port of its own."""
    bits, sizes = machine["word_bits"], list(machine["axes"].values())
    axes = [f"D{i}" for i, _ in enumerate(sizes, 1)]
    ports = [
        {
            "name": f"rw_port_{i}",
            "type": "read_write",
            "bandwidth_min": bits,
            "bandwidth_max": bits,
            "allocation": [f"{operand}, {way}" for way in WAYS[operand]],
        }
        for i, operand in enumerate(OPERANDS.values(), 1)
    ]
    memories = {
        memory["name"]: {
            "size": UNLIMITED_BITS if memory["words"] is None else memory["words"] * bits,
            "r_cost": memory["read"],
            "w_cost": memory["write"],
            "area": 0,
            "latency": 1,
            "operands": list(OPERANDS.values()),
            "ports": ports,
            "served_dimensions": axes if memory["above_fanout"] else [],
        }
        for memory in reversed(machine["memories"])
    }
    array = {"unit_energy": machine["operation"], "unit_area": 0, "dimensions": axes, "sizes": sizes}
    return {"name": "machine", "memories": memories, "operational_array": array}


def _mappings(question: dict[str, Any], found: Any) -> list[str]:
    """The mapping in texts, a loop for each loop, one for each place of the spatial loops; none if there is no such.

    A memory's node stands above the loops that ZigZag gives to it and to those below. Spatial loops stand below all
    nodes of the outer memories and above all of the inner ones, which ZigZag does not demand.
    """
    memories = question["machine"]["memories"]
    levels = {str(op): level for op, level in found.temporal_mapping.mapping_dic_stationary.items()}
    inwards = [(DIMS[str(dim)], size) for level in levels["O"] for dim, size in level]
    loops = [("", *loop) for loop in reversed(inwards)]
    nodes = {  # loops above each
        (memory["name"], op): len(loops) - sum(len(level) for level in levels[op][: i + 1])
        for op in OPERANDS
        for i, memory in enumerate(reversed(memories))
    }
    outer = {memory["name"] for memory in memories if memory["above_fanout"]}
    lowest = max(position for (memory, _), position in nodes.items() if memory in outer)
    highest = min(position for (memory, _), position in nodes.items() if memory not in outer)
    spatial = _spatial(question, found, loops)
    return [_text(question, loops[:at] + spatial + loops[at:], nodes, at) for at in range(lowest, highest + 1)]


def _spatial(question: dict[str, Any], found: Any, loops: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Spatial loops; the largest of each dim just so long that with the temporal ones it covers the dim."""
    spatial = [
        (f"{question['machine']['fanout']}.{axis}", DIMS[str(dim)], int(size))
        for axis, unrolled in zip(question["machine"]["axes"], found.layer.spatial_mapping.values(), strict=True)
        for dim, size in unrolled.items()
    ]
    for dim in {dim for _, dim, _ in spatial}:
        largest = max((i for i, loop in enumerate(spatial) if loop[1] == dim), key=lambda i: spatial[i][2])
        others = [size for i, (_, d, size) in enumerate(spatial) if d == dim and i != largest]
        rest = math.prod(others) * math.prod(size for _, d, size in loops if d == dim)
        spatial[largest] = (spatial[largest][0], dim, math.ceil(question["dims"][dim] / rest))
    return spatial


def _text(
    question: dict[str, Any], loops: list[tuple[str, str, int]], nodes: dict[tuple[str, str], int], fanout_at: int
) -> str:
    """Loops come outermost first, spatial ones with an axis; `nodes` says how many temporal ones are above a node."""
    order = [memory["name"] for memory in question["machine"]["memories"]]
    outer = {memory["name"] for memory in question["machine"]["memories"] if memory["above_fanout"]}
    lines, temporal, done = [], 0, set()

    def keep(memories: set[str]) -> None:
        for memory, tensor in sorted(nodes, key=lambda node: order.index(node[0])):
            if nodes[memory, tensor] == temporal and memory in memories and (memory, tensor) not in done:
                done.add((memory, tensor))
                lines.append(f"keep {memory} {tensor}")

    for i, (axis, dim, _) in enumerate(loops):
        keep(outer)
        step = math.prod(size for _, d, size in loops[i + 1 :] if d == dim)
        if axis:
            lines.append(f"parfor {dim} {step} {axis}")
        else:
            if temporal >= fanout_at:
                keep(set(order))
            lines.append(f"for {dim} {step}")
            temporal += 1
    keep(set(order))
    return "\n".join(lines)


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:])
    try:
        said = answer(json.loads(asked.read_text()))
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    answered.write_text(json.dumps(said))
