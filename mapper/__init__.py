"""tilewright: proves the best way to run a neural network on an accelerator, and executes it.

    import mapper

    arch = mapper.load_architecture("simple3")
    result = mapper.search(mapper.gemm(M=16, N=16, K=16), arch)
    print(result.status, result.cost.energy, result.cost.cycles)
    print(result.mapping)

Functions:

    search(layer, arch, ...)             the best mapping of a layer, with its proof; search_layer is the same
    compile_model(model, arch, ...)      the best mapping of every layer of an ONNX model
    load_architecture(spec)              an accelerator by its name, its file or its YAML text
    conv(K=.., C=.., P=.., Q=.., ...)    a convolution as a layer
    gemm(M=.., N=.., K=..)               a matrix product as a layer
    dim_roles(nest)                      by which roles constraints and lists of dims may name each dim of a layer
    parse_nest(text)                     a layer out of 'O[m,n] += A[m,k] * B[k,n] {m=8 n=8 k=8}'
    parse_mapping(text)                  a mapping out of a line for each loop and storage node
    parse_constraint(text)               a constraint out of 'K spatial PE.x = 16'
    violations(nest, arch, mapping)      what is illegal about a mapping; an empty list if nothing is
    evaluate(nest, arch, mapping)        what a mapping costs: energy, cycles, every count
    break_down(nest, arch, mapping)      the same by storage node, network and level
    explain(nest, arch, mapping, ...)    which loops make up the counts of one storage node, and why
    evaluate_batch(nest, arch, ...)      the cost of many mappings that differ in their steps, at once

What they take and return, each with its own help: Architecture (replace changes values of its spec), LoopNest, Network,
Mapping of Keep, Loop and ParFor, Constraint, DimRole, Limits, Objective, Factors, Engine, Mapspace; Result with its
Status, Point and Statistics, Progress, Compiled, Cost, Counts, BatchCost, Breakdown, Explanation.

A wrong argument is an InputError, as is all that cannot be read; where no mapping is legal it is an InfeasibleError,
where execution disagrees a VerificationError: each a MapperError with message, place and hint. Ctrl-C is Interrupted, a
KeyboardInterrupt with what was found by then.

Names are imported when they are first used, so that `import mapper` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; `typing` would take longer to import than all else
if TYPE_CHECKING:
    from typing import Any

    from mapper.api import break_down, compile_model, evaluate, explain, search_layer
    from mapper.arch import Architecture, Constraint, load_architecture, parse_constraint
    from mapper.cost import Cost
    from mapper.cost.batch import BatchCost, evaluate_batch
    from mapper.cost.breakdown import Breakdown
    from mapper.cost.explain import Explanation
    from mapper.errors import FileError, InfeasibleError, InputError, Interrupted, MapperError, VerificationError
    from mapper.ir import DimRole, LoopNest, Network, conv, dim_roles, gemm, parse_nest
    from mapper.mapping import Counts, Keep, Loop, Mapping, ParFor, parse_mapping, violations
    from mapper.network import Compiled
    from mapper.search import Engine, Factors, Limits, Mapspace, Objective, Point, Progress, Result, Statistics, Status

_HOMES = {
    "mapper.api": ("break_down", "compile_model", "evaluate", "explain", "search_layer"),
    "mapper.arch": ("Architecture", "Constraint", "load_architecture", "parse_constraint"),
    "mapper.cost": ("Cost",),
    "mapper.cost.batch": ("BatchCost", "evaluate_batch"),
    "mapper.cost.breakdown": ("Breakdown",),
    "mapper.cost.explain": ("Explanation",),
    "mapper.errors": (
        "FileError",
        "InfeasibleError",
        "InputError",
        "Interrupted",
        "MapperError",
        "VerificationError",
    ),
    "mapper.ir": ("DimRole", "LoopNest", "Network", "conv", "dim_roles", "gemm", "parse_nest"),
    "mapper.mapping": ("Counts", "Keep", "Loop", "Mapping", "ParFor", "parse_mapping", "violations"),
    "mapper.network": ("Compiled",),
    "mapper.search": (
        "Engine",
        "Factors",
        "Limits",
        "Mapspace",
        "Objective",
        "Point",
        "Progress",
        "Result",
        "Statistics",
        "Status",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Architecture",
    "BatchCost",
    "Breakdown",
    "Compiled",
    "Constraint",
    "Cost",
    "Counts",
    "DimRole",
    "Engine",
    "Explanation",
    "Factors",
    "FileError",
    "InfeasibleError",
    "InputError",
    "Interrupted",
    "Keep",
    "Limits",
    "Loop",
    "LoopNest",
    "MapperError",
    "Mapping",
    "Mapspace",
    "Network",
    "Objective",
    "ParFor",
    "Point",
    "Progress",
    "Result",
    "Statistics",
    "Status",
    "VerificationError",
    "break_down",
    "compile_model",
    "conv",
    "dim_roles",
    "evaluate",
    "evaluate_batch",
    "explain",
    "gemm",
    "load_architecture",
    "parse_constraint",
    "parse_mapping",
    "parse_nest",
    "search",
    "search_layer",
    "violations",
]


def __getattr__(name: str) -> Any:
    import importlib  # which the start of the command need not wait for

    if name == "search":  # the package, which can be called
        return importlib.import_module("mapper.search")
    if name not in _HOME:
        raise AttributeError(f"module 'mapper' has no attribute '{name}'")
    found = getattr(importlib.import_module(_HOME[name]), name)
    if type(found) is type(__getattr__):  # a function, whose arguments are looked at
        from mapper.arguments import checked

        found = checked(found)
        found.__module__ = __name__  # where a process pool finds it
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
