"""Counts: what the cost model predicts and the executor observes, as exact integers over all instances together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """Elements read from and written to one storage node; those that are partial sums, not yet results, are part of it.

    Where partial sums are wider than results they take more words.
    """

    reads: int
    writes: int
    partial_reads: int = 0
    partial_writes: int = 0


@dataclass(frozen=True, slots=True)
class Moves:
    """Elements of one tensor on one network.

    `delivered` to an instance below, partial sums `reduced` (added to another) on the way up, and the `hops` that
    everything passing the network's outer end makes along its axes.
    """

    delivered: int
    reduced: int
    hops: int


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
