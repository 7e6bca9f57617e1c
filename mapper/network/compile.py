"""A whole network: each distinct layer solved once, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, replace
from typing import Any

from mapper.arch import Architecture, Constraint, Only
from mapper.errors import InputError, Interrupted, MapperError, all_of
from mapper.ir import DimRole, LoopNest, Network
from mapper.mapping.constraints import resolve
from mapper.network.idle import IdleInLayers, by_axis
from mapper.network.totals import Mapped
from mapper.options import Options, mapspace, solve_layer
from mapper.search.result import Result

OnSolved = Callable[[LoopNest, Result], None]
"""Called in the calling process whenever a layer is solved."""


@dataclass(frozen=True, repr=False)
class Compiled(Mapped[Result]):
    """A network with the result of each of its distinct layers, and what was asked for."""

    options: Options

    @property
    def warnings(self) -> tuple[IdleInLayers, ...]:
        """The axes that layers leave idle because of lists of dims or of constraints, each once."""
        return by_axis((layer.name, self.result(layer).warnings) for layer in self.network.layers)

    def to_dict(self) -> dict[str, Any]:
        """The network as plain data: what `mapper compile --format json` prints."""
        from mapper.documents.network import summary

        return summary(self)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each node, in order, as in `layers.csv`: what a DataFrame takes. Columns `total_...` count all
        runs of a node, and add up to the totals."""
        from mapper.documents.network import node_rows, summary

        return node_rows(summary(self))

    def __repr__(self) -> str:
        from mapper.documents.show import compiled_text

        return f"<Compiled {compiled_text(self)}>"

    def _repr_html_(self) -> str:
        from mapper.documents.show import compiled_html

        return compiled_html(self)


def compile_network(
    network: Network,
    arch: Architecture,
    options: Options | None = None,
    *,
    executor: Executor | None = None,
    on_solved: OnSolved | None = None,
) -> Compiled:
    """Solve each distinct layer of a network on an architecture.

    With an `executor` (a process pool, a dask client's executor...) layers are solved in parallel there, else one after
    the other here. Raises what `check_network` does, before any is solved, and InfeasibleError or InputError naming
    every layer for which the search finds no mapping, after all others. Raises Interrupted, with the layers that were
    solved by then, on an interrupt.
    """
    options = options or Options()
    check_network(network, arch, options)
    results: dict[LoopNest, Result] = {}
    problems: dict[LoopNest, MapperError] = {}

    def take(nest: LoopNest, result: Callable[[], Result]) -> None:
        try:
            found = result()
        except MapperError as error:
            problems[nest] = error
            return
        results[nest] = found
        if on_solved:
            on_solved(nest, found)

    try:
        if executor is None:
            for nest in network.unique:
                take(nest, lambda nest=nest: _solve(nest, arch, options))  # type: ignore[misc]
        else:
            futures: dict[Future[Result], LoopNest] = {
                executor.submit(_solve, nest, arch, options): nest for nest in _hardest_first(network)
            }
            for future in as_completed(futures):
                take(futures[future], future.result)
    except KeyboardInterrupt as interrupt:
        solved = {layer.name: results[layer.nest] for layer in network.layers if layer.nest in results}
        best = interrupt.result if isinstance(interrupt, Interrupted) else None
        told = f"{len(results)} of {len(network.unique)} distinct layers are solved"
        raise Interrupted(told, best, solved) from None
    if problem := all_of(_named(network, problems)):
        raise problem
    return Compiled(network, arch, {nest: results[nest] for nest in network.unique}, options)


def check_network(network: Network, arch: Architecture, options: Options | None = None) -> None:
    """Raise InputError or InfeasibleError with all that shows before any layer is solved.

    Constraints that no layer can take, and by layer those that contradict each other and memories that are too small.
    """
    options = options or Options()
    problems: dict[LoopNest, MapperError] = {}
    if problem := all_of(_idle(options.constraints, network, arch)):
        raise problem
    options.limits.check(arch)
    if options.dataflow is not None:
        arch.dataflow(options.dataflow)
    for nest in network.unique:
        try:
            mapspace(nest, arch, options, strict=False)
        except MapperError as error:
            problems[nest] = error
    if problem := all_of(_named(network, problems)):
        raise problem


def _named(network: Network, problems: dict[LoopNest, MapperError]) -> Iterator[MapperError]:
    """The problems of layers, each line with the name of the first layer that has it."""
    names = {layer.nest: layer.name for layer in reversed(network.layers)}
    for nest in network.unique:
        if nest in problems:
            error = problems[nest]
            yield from (type(error)(line, place=f"layer {names[nest]}") for line in str(error).splitlines())


def _idle(constraints: tuple[Constraint, ...], network: Network, arch: Architecture) -> Iterator[MapperError]:
    """The constraints with names that the architecture does not have, or none of the network's layers."""
    nests = list(network.unique)
    for constraint in constraints:
        parts: list[Constraint] = [constraint]
        if isinstance(constraint, Only):  # each name by itself; roles are known words
            names = [dim for dim in constraint.dims if dim not in set(DimRole)]
            parts = [replace(constraint, dims=(name,)) for name in names] or parts
        for part in parts:
            found = [error for nest in nests if (error := _refusal(part, nest, arch))]
            if nests and len(found) == len(nests):
                yield found[0] if len({str(error) for error in found}) == 1 else _unused(part, network)


def _refusal(constraint: Constraint, nest: LoopNest, arch: Architecture) -> MapperError | None:
    """Why a layer cannot take a constraint, None if it can."""
    try:
        resolve([constraint], nest, arch, strict=True)
    except MapperError as error:
        return error
    return None


def _unused(constraint: Constraint, network: Network) -> MapperError:
    dims = dict.fromkeys(dim for nest in network.unique for dim in nest.extents)
    tensors = dict.fromkeys(tensor.name for nest in network.unique for tensor in nest.tensors)
    return InputError(
        f"no layer of {network.name} has what it names",
        place=str(constraint),
        hint=f"dims are {', '.join(dims)}; tensors are {', '.join(tensors)}; both may go by role",
    )


def _hardest_first(network: Network) -> list[LoopNest]:
    """Layers with more dims to cut take longer: starting them first keeps all workers busy to the end."""
    return sorted(network.unique, key=lambda nest: -sum(n > 1 for _, n in nest.dims))


def _solve(nest: LoopNest, arch: Architecture, options: Options) -> Result:
    return solve_layer(nest, arch, options, strict=False)
