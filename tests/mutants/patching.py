"""How to make a model or an executor wrong, for the time of a test."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backends.execute import counting, kernel
from mapper.arch import Architecture, FanOut
from mapper.cost import halo, traffic
from mapper.cost.cuts import Cuts
from mapper.cost.traffic import Link
from mapper.ir import Role

Mutant = Callable[[pytest.MonkeyPatch], None]


def around(owner: Any, name: str, change: Callable[..., Any]) -> Mutant:
    """`change(original, *arguments)` in place of a function."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *arguments, **more: change(original, *arguments, **more))

    return apply


def linked(change: Callable[[Link, Cuts], dict[str, Any]]) -> Mutant:
    """Other fields of each link of the model."""
    return around(
        traffic,
        "links",
        lambda links, arch, own: (replace(link, **change(link, own)) for link in links(arch, own)),
    )


def output_linked(change: Callable[[Link, Cuts], dict[str, Any]]) -> Mutant:
    """Other fields of each link of an output."""
    return linked(lambda link, own: change(link, own) if link.tensor.role is Role.OUTPUT else {})


def told(arch: Architecture, **wrong: Any) -> Architecture:
    """The architecture as one who misreads its networks takes it."""
    levels = (replace(level, **wrong) if isinstance(level, FanOut) else level for level in arch.levels)
    return replace(arch, levels=tuple(levels))


def model_told(**wrong: Any) -> Mutant:
    """A model that treats every network as if it were such."""
    return around(traffic, "links", lambda links, arch, own: links(told(arch, **wrong), own))


def executor_told(**wrong: Any) -> Mutant:
    """An executor that treats every network as if it were such."""
    return around(counting, "lower", lambda lower, nest, arch, mapping: lower(nest, told(arch, **wrong), mapping))


def lowered(change: Callable[[Any], dict[str, Any] | None]) -> Mutant:
    """A program changed in place, or with the other arrays that `change` returns."""

    def wrong(lower: Callable[..., Any], *layer: Any) -> Any:
        found = lower(*layer)
        return replace(found, program=found.program._replace(**(change(found.program) or {})))

    return around(counting, "lower", wrong)


def resting(change: Callable[[Any, Any], dict[str, Any] | None]) -> Mutant:
    """The same for the machine at rest: `change(program, machine)`."""

    def wrong(machine: Callable[..., Any], found: Any, *rest: Any) -> Any:
        state = machine(found, *rest)
        return state._replace(**(change(found.program, state) or {}))

    return around(counting, "machine", wrong)


def interpreted(patch: pytest.MonkeyPatch) -> None:
    """No mutant: the kernel as Python, on buffers with some room behind them."""
    for name, function in list(vars(kernel).items()):
        if hasattr(function, "py_func"):
            patch.setattr(kernel, name, function.py_func)

    def run(original: Callable[..., Any], p: Any, m: Any) -> Any:
        return original(p._replace(**{name: _records(getattr(p, name)) for name in ("items", "nodes", "terms")}), m)

    around(kernel, "run", run)(patch)

    def machine(original: Callable[..., Any], *given_: Any) -> Any:
        state, room = original(*given_), 5000
        return state._replace(
            store=np.append(state.store, np.full(room, np.nan)),
            held=np.append(state.held, np.zeros(room, state.held.dtype)),
            scratch=np.append(state.scratch, np.full(room, np.nan)),
            stamp=np.pad(state.stamp, ((0, 0), (0, room))),
        )

    around(counting, "machine", machine)(patch)


def _records(array: Any) -> Any:
    """A structured array whose records have their fields as attributes, as they have in compiled code."""
    found = np.empty(array.shape, object)
    for index in np.ndindex(array.shape):
        found[index] = SimpleNamespace(**dict(zip(array.dtype.names, array[index].item(), strict=True)))
    return found


def unremembered(patch: pytest.MonkeyPatch) -> None:
    """No mutant: the model does not remember unions from before it was wrong, nor wrong ones for later."""
    patch.setattr(halo, "_union_words", halo._union_words.__wrapped__)
