"""Counts: what the cost model predicts and the executor observes, as exact integers over all instances together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """Words read from and written to one storage node."""

    reads: int
    writes: int


@dataclass(frozen=True, slots=True)
class Moves:
    """Words of one tensor on one network: delivered to an instance below, and partial sums added on the way up."""

    delivered: int
    reduced: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a mapping.

    `accesses` has an entry for each storage node, by (memory, tensor); `moves` one for each fan-out and tensor;
    `operations` is the number of operations, `steps` the lockstep steps in which the instances do them.
    """

    accesses: Mapping[tuple[str, str], Access]
    moves: Mapping[tuple[str, str], Moves]
    operations: int
    steps: int
