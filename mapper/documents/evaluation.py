"""Everything that is counted of one mapping, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from mapper.arch import Architecture
from mapper.cost.breakdown import Breakdown
from mapper.cost.explain import Explanation
from mapper.documents.layer import cost_data
from mapper.documents.numbers import exact
from mapper.documents.schema import schema
from mapper.ir import LoopNest


def evaluation_data(nest: LoopNest, arch: Architecture, found: Breakdown) -> dict[str, Any]:
    """A layer, its cost on an architecture, and that taken apart; counts are over all runs and instances."""
    parts: dict[str, Iterable[Any]] = {"nodes": found.nodes, "networks": found.networks, "levels": found.levels}
    return {
        "schema": schema("evaluation"),
        "layer": str(nest),
        "arch": arch.name,
        **cost_data(found.cost),
        **{name: [{k: _plain(v) for k, v in asdict(part).items()} for part in group] for name, group in parts.items()},
    }


def _plain(value: Any) -> Any:
    return exact(value) if isinstance(value, Fraction) else value


def explanation_data(node: str, found: Explanation) -> dict[str, Any]:
    """What makes up the counts of a storage node, `MEMORY:TENSOR`."""
    return {"schema": schema("explanation"), "node": node, **asdict(found)}
