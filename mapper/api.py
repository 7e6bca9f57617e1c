"""The calls that put the parts together, for use from Python; the command line does the same."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from mapper.arch import Architecture, load_architecture
from mapper.ir import LoopNest

if TYPE_CHECKING:
    from mapper.network import Compiled
    from mapper.network.compile import OnSolved
    from mapper.search import Result


def map_layer(layer: LoopNest | str, arch: Architecture | str, *, time_limit_s: float | None = None) -> Result:
    """The mapping of least energy for a layer, and of fewest cycles among those, with its proof.

    `layer` is a nest or its short form ('gemm M=16 N=16 K=16'), `arch` an architecture, its name or its file. With a
    time limit in seconds the best mapping found by then is returned, with its bound.
    Raises InputError for what cannot be read and InfeasibleError if no mapping is legal.
    """
    from frontends.einsum import parse_layer
    from mapper.search.cpsat import solve

    nest = parse_layer(layer) if isinstance(layer, str) else layer
    return solve(nest, _architecture(arch), time_limit_s=time_limit_s)


def compile_model(
    model: str,
    arch: Architecture | str,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    time_limit_s: float | None = None,
    executor: Executor | None = None,
    on_solved: OnSolved | None = None,
) -> Compiled:
    """Map every layer of an ONNX model, each distinct one once.

    `model` is a file or a short name ('alexnet'), `shapes` gives inputs with symbolic dims a shape, `time_limit_s`
    bounds each layer. With an `executor`, such as a process pool, layers are solved in parallel there.
    Raises InputError for what cannot be read and InfeasibleError naming a layer that cannot be mapped.
    """
    from frontends.onnx import load
    from mapper.network import compile_network

    return compile_network(
        load(model, shapes).network,
        _architecture(arch),
        time_limit_s=time_limit_s,
        executor=executor,
        on_solved=on_solved,
    )


def _architecture(arch: Architecture | str) -> Architecture:
    return load_architecture(arch) if isinstance(arch, str) else arch
