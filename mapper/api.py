"""The calls that put the parts together, for use from Python; the command line does the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Dict
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any

from mapper import cost
from mapper.arch import Architecture, Constraint, load_architecture
from mapper.arguments import is_integer, shown
from mapper.cost import breakdown
from mapper.cost import explain as explaining
from mapper.errors import InputError, Interrupted, all_of
from mapper.ir import LoopNest
from mapper.mapping import Mapping, violations
from mapper.options import Options, read_constraints, solve_layer
from mapper.search import Engine, Factors, Limits, Objective

if TYPE_CHECKING:
    from onnx import ModelProto

    from mapper.network import Compiled
    from mapper.network.compile import OnSolved
    from mapper.search import Result
    from mapper.search.reports import OnProgress


@contextmanager
def _interrupts(nothing: str) -> Iterator[None]:
    """Interrupts tell what was found by then, which before the search is `nothing`."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(nothing) from None


@_interrupts("no mapping was found yet")
def search_layer(
    layer: LoopNest | str,
    arch: Architecture | str | PathLike[str],
    *,
    objective: Objective | str = Objective.ENERGY,
    constraints: Iterable[Constraint | str] = (),
    dataflow: str | None = None,
    factors: Factors | str = Factors.IMPERFECT,
    even: bool = False,
    limits: Limits | Dict[str, Any] | None = None,
    time_limit: float | None = None,
    deterministic_limit: float | None = None,
    engine: Engine | str = Engine.AUTO,
    on_progress: OnProgress | None = None,
) -> Result:
    """The best mapping of a layer on an architecture, with its proof.

    `layer` is a nest or its short form ('gemm M=16 N=16 K=16'), `arch` an architecture, its name, its file or its YAML
    text. `objective` is what is made least: energy, latency, edp, or pareto for the whole front of energy against
    cycles. `constraints` ('K spatial PE.x = 16') hold beside those of the spec and of its `dataflow` of that name.
    `factors` are perfect or imperfect, mappings with `even` have one tile for each memory, `limits` are caps on what
    they cost: `Limits`, or a dict such as {"max_cycles": 1000}. After `time_limit` seconds, or `deterministic_limit`
    units of the solver's work, the best mapping found by then is returned, with its bound. `on_progress` is called,
    perhaps in another thread, when a better one is found or the bound rises. `engine` proves the optimum: auto, the
    solver, the lattice search, or both, whose answers are compared.

    Raises InputError for what cannot be read, for constraints that contradict each other and for what the lattice
    search does not cover where it is asked, InfeasibleError if no mapping is legal, and on Ctrl-C Interrupted, a
    KeyboardInterrupt with the best result so far.
    """
    from frontends.einsum import parse_layer

    nest = parse_layer(layer) if isinstance(layer, str) else layer
    options = _options(objective, constraints, dataflow, factors, even, limits, time_limit, deterministic_limit, engine)
    return solve_layer(nest, _architecture(arch), options, on_progress=on_progress)


@_interrupts("no layer is solved")
def compile_model(
    model: str | PathLike[str] | ModelProto,
    arch: Architecture | str | PathLike[str],
    *,
    objective: Objective | str = Objective.ENERGY,
    constraints: Iterable[Constraint | str] = (),
    dataflow: str | None = None,
    factors: Factors | str = Factors.IMPERFECT,
    even: bool = False,
    limits: Limits | Dict[str, Any] | None = None,
    time_limit: float | None = None,
    deterministic_limit: float | None = None,
    engine: Engine | str = Engine.AUTO,
    shapes: Dict[str, Iterable[int]] | None = None,
    dims: Dict[str, int] | None = None,
    values: Dict[str, float] | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    on_solved: OnSolved | None = None,
) -> Compiled:
    """Map every layer of an ONNX model, each distinct one once.

    `model` is a file, a short name ('alexnet') or an onnx.ModelProto, `shapes` gives a shape to inputs, and to values
    whose shape is open otherwise, `dims` a size to symbols, `values` inputs a number for good. The options are
    those of `search_layer`, for each layer; a constraint is left out for layers without its dims and tensors. Layers
    are solved one after the other, in `jobs` processes (a script guards its entry then: if __name__ == "__main__"), or
    in an `executor` of your own; `on_solved` is called with the nest and the result of each.

    Raises InputError for what cannot be read and for constraints that contradict each other or that no layer can take,
    InfeasibleError naming every layer that cannot be mapped, and on Ctrl-C Interrupted, a KeyboardInterrupt with the
    results of the layers that were solved by then.
    """
    from frontends.onnx import load
    from mapper.network import compile_network
    from mapper.network.workers import workers

    if jobs is not None and executor is not None:
        raise InputError("compile_model: give jobs or an executor, not both")
    options = _options(objective, constraints, dataflow, factors, even, limits, time_limit, deterministic_limit, engine)
    machine = _architecture(arch)
    try:
        network = load(model, _shapes(shapes), dims, values).network
        with nullcontext(executor) if jobs is None else workers(jobs, len(network.unique)) as pool:
            return compile_network(network, machine, options, executor=pool, on_solved=on_solved)
    except BrokenProcessPool as error:
        raise InputError(
            "a process that solved layers has died, perhaps for want of memory",
            place="compile_model",
            hint='take fewer jobs; a script guards its entry: if __name__ == "__main__"',
        ) from error


def evaluate(nest: LoopNest, arch: Architecture, mapping: Mapping) -> cost.Cost:
    """The cost of a legal mapping: what it reads, writes and moves, its energy and its cycles.

    Raises InputError with everything that is illegal about it, as `violations` lists it.
    """
    _check_legal(nest, arch, mapping)
    return cost.evaluate(nest, arch, mapping)


def break_down(nest: LoopNest, arch: Architecture, mapping: Mapping) -> breakdown.Breakdown:
    """The cost of a legal mapping taken apart: by storage node, by network and tensor, and by level.

    Raises InputError like `evaluate`.
    """
    _check_legal(nest, arch, mapping)
    return breakdown.break_down(nest, arch, mapping)


def explain(nest: LoopNest, arch: Architecture, mapping: Mapping, memory: str, tensor: str) -> explaining.Explanation:
    """What makes up the counts of a storage node of a legal mapping: which loops multiply each of them, and why.

    Raises InputError like `evaluate`, and with the nearest nodes if there is none of that tensor in that memory.
    """
    _check_legal(nest, arch, mapping)
    return explaining.explain(nest, arch, mapping, memory, tensor)


def _check_legal(nest: LoopNest, arch: Architecture, mapping: Mapping) -> None:
    if problem := all_of(InputError(text, place=f"illegal on {arch.name}") for text in violations(nest, arch, mapping)):
        raise problem


def _architecture(arch: Architecture | str | PathLike[str]) -> Architecture:
    return arch if isinstance(arch, Architecture) else load_architecture(arch)


def _shapes(shapes: Dict[str, Iterable[int]] | None) -> dict[str, tuple[int, ...]]:
    found = {name: tuple(shape) for name, shape in (shapes or {}).items()}  # also arrays and iterators
    for name, shape in found.items():
        if not all(map(is_integer, shape)):
            raise InputError(f"compile_model: the shape of {name} is of integers, not {shown(shape)}")
    return {name: tuple(map(int, shape)) for name, shape in found.items()}


def _options(
    objective: Objective | str,
    constraints: Iterable[Constraint | str],
    dataflow: str | None,
    factors: Factors | str,
    even: bool,
    limits: Limits | Dict[str, Any] | None,
    time_limit: float | None,
    deterministic_limit: float | None,
    engine: Engine | str,
) -> Options:
    return Options(
        objective=Objective(objective),
        constraints=read_constraints(constraints),
        dataflow=dataflow,
        factors=Factors(factors),
        even=even,
        limits=Limits.of(limits),
        time_limit=time_limit,
        deterministic_limit=deterministic_limit,
        engine=Engine(engine),
    )
