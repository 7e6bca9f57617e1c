"""The calls that put the parts together, for use from Python; the command line does the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from mapper.arch import Architecture, Constraint, load_architecture
from mapper.errors import InputError
from mapper.ir import LoopNest
from mapper.options import Options, read_constraints, solve_layer
from mapper.search import Factors, Limits, Objective
from mapper.search.limits import NONE
from mapper.spelling import nearest

if TYPE_CHECKING:
    from mapper.network import Compiled
    from mapper.network.compile import OnSolved
    from mapper.search import Result
    from mapper.search.reports import OnProgress

Choice = TypeVar("Choice", bound=StrEnum)


def search_layer(
    layer: LoopNest | str,
    arch: Architecture | str,
    *,
    objective: Objective | str = Objective.ENERGY,
    constraints: Iterable[Constraint | str] = (),
    dataflow: str | None = None,
    factors: Factors | str = Factors.IMPERFECT,
    even: bool = False,
    limits: Limits | None = None,
    time_limit: float | None = None,
    deterministic_limit: float | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """The best mapping of a layer on an architecture, with its proof.

    `layer` is a nest or its short form ('gemm M=16 N=16 K=16'), `arch` an architecture, its name or its file.
    `objective` is what is made least: energy, latency, edp, or pareto for the whole front of energy against cycles.
    `constraints` ('K spatial PE.x = 16') hold beside those of the spec and of its `dataflow` of that name. `factors`
    are perfect or imperfect, mappings with `even` have one tile for each memory, `limits` are caps on what they cost.
    After `time_limit` seconds, `deterministic_limit` units of the solver's work, or an interrupt, the best mapping
    found by then is returned, with its bound; `on_progress` is called, perhaps in another thread, when a better one
    is found or the bound rises.

    Raises InputError for what cannot be read and for constraints that contradict each other, InfeasibleError if no
    mapping is legal.
    """
    from frontends.einsum import parse_layer

    nest = parse_layer(layer) if isinstance(layer, str) else layer
    options = _options(objective, constraints, dataflow, factors, even, limits, time_limit, deterministic_limit)
    return solve_layer(nest, _architecture(arch), options, on_progress=on_progress)


def compile_model(
    model: str,
    arch: Architecture | str,
    *,
    objective: Objective | str = Objective.ENERGY,
    constraints: Iterable[Constraint | str] = (),
    dataflow: str | None = None,
    factors: Factors | str = Factors.IMPERFECT,
    even: bool = False,
    limits: Limits | None = None,
    time_limit: float | None = None,
    deterministic_limit: float | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    dims: Mapping[str, int] | None = None,
    values: Mapping[str, float] | None = None,
    executor: Executor | None = None,
    on_solved: OnSolved | None = None,
) -> Compiled:
    """Map every layer of an ONNX model, each distinct one once.

    `model` is a file or a short name ('alexnet'), `shapes` gives inputs with symbolic dims a shape, `dims`
    the symbols a size, `values` inputs a number for good. The options are those of `search_layer`, for each layer; a
    constraint is left out for layers without its dims and tensors. With an `executor`, such as a process pool, layers
    are solved in parallel there.

    Raises InputError for what cannot be read and for constraints that contradict each other or that no layer can take,
    InfeasibleError naming every layer that cannot be mapped.
    """
    from frontends.onnx import load
    from mapper.network import compile_network

    return compile_network(
        load(model, shapes, dims, values).network,
        _architecture(arch),
        _options(objective, constraints, dataflow, factors, even, limits, time_limit, deterministic_limit),
        executor=executor,
        on_solved=on_solved,
    )


def _architecture(arch: Architecture | str) -> Architecture:
    return load_architecture(arch) if isinstance(arch, str) else arch


def _options(
    objective: Objective | str,
    constraints: Iterable[Constraint | str],
    dataflow: str | None,
    factors: Factors | str,
    even: bool,
    limits: Limits | None,
    time_limit: float | None,
    deterministic_limit: float | None,
) -> Options:
    return Options(
        objective=_choice(Objective, objective, "objective"),
        constraints=read_constraints(constraints),
        dataflow=dataflow,
        factors=_choice(Factors, factors, "kind of factors"),
        even=even,
        limits=limits or NONE,
        time_limit=time_limit,
        deterministic_limit=deterministic_limit,
    )


def _choice(kind: type[Choice], value: str, what: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise InputError(f"there is no {what} '{value}'", hint=nearest(value, list(kind))) from None
