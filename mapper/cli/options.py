"""The options that commands share, as they are written; `mapper.cli.asked` reads those of a search."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


# the choices stand here again because the search takes too long to import for `--help`; a test holds them equal


class Objective(StrEnum):
    """What is made least: see `mapper.search.Objective`."""

    ENERGY = "energy"
    LATENCY = "latency"
    EDP = "edp"
    PARETO = "pareto"


class Factors(StrEnum):
    """Which loop factors the search may use: see `mapper.search.Factors`."""

    PERFECT = "perfect"
    IMPERFECT = "imperfect"


class Mapspace(StrEnum):
    """Whether tensors have tiles of their own."""

    UNEVEN = "uneven"
    EVEN = "even"


class Engine(StrEnum):
    """Who proves the optimum: see `mapper.search.Engine`."""

    AUTO = "auto"
    SOLVER = "solver"
    LATTICE = "lattice"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a search, as it is written; numbers are texts because their units depend on the machine."""

    objective: str = Objective.ENERGY
    factors: str = Factors.IMPERFECT
    mapspace: str = Mapspace.UNEVEN
    constraints: list[str] = field(default_factory=list)
    dataflow: str | None = None
    max_cycles: str | None = None
    max_energy: str | None = None
    max_dram_bytes: str | None = None
    min_utilization: str | None = None
    max_words: list[str] = field(default_factory=list)
    time_limit: float | None = None
    deterministic_limit: float | None = None
    engine: str = Engine.AUTO


CORES = os.cpu_count() or 1

# -- what every command has --------------------------------------------------------------------------------------------

Arch = Annotated[
    str,
    typer.Option("--arch", "-a", metavar="NAME|FILE", help="Architecture: a name of 'mapper archs', or a YAML file."),
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="An ONNX file, or a short name: alexnet, resnet50, survey/alexnet, ...")
]
Output = Annotated[
    Optional[Path], typer.Option("--output", "-o", metavar="DIR", help="Write schedules and summary here.")  # noqa: UP045
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=1024, metavar="N", help="Layers solved at once.")]
OutputFormat = Annotated[Format, typer.Option("--format", "-f", help="What is printed to stdout.")]
Shapes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--shape",
        metavar="VALUE=1x3x224x224",
        help="Shape of an input, or of an inner value whose shape depends on what is computed; repeatable.",
    ),
]

Dims = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--dim", metavar="SYMBOL=1", help="Size of a symbolic dim in the shapes of inputs; repeatable."),
]

Values = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--value", metavar="INPUT=1", help="Number that an input always is, to choose a branch; repeatable."),
]

Data = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--data",
        metavar="FILE|DIR",
        help="Inputs to execute on: FILE.npz with an array for each, FILE.npy for a single one, or a folder of "
        "INPUT.npy. Default: random ones.",
    ),
]

# -- searches ----------------------------------------------------------------------------------------------------------

Goal = Annotated[
    Objective,
    typer.Option(
        "--objective",
        help="What to make least: energy (then cycles), latency (cycles, then energy), edp (energy x cycles); "
        "pareto: every trade of energy against cycles.",
    ),
]
LoopFactors = Annotated[
    Factors,
    typer.Option(
        "--factors",
        help="perfect: every step divides what it cuts; imperfect: the outermost cut of a dim may leave a shorter last "
        "piece.",
    ),
]
Tiles = Annotated[
    Mapspace,
    typer.Option(
        "--mapspace",
        help="uneven: each tensor has tiles of its own; even: one tile for each memory.",
    ),
]
Constraints = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--constraint",
        "-c",
        metavar="TEXT",
        help="'K spatial PE.x = 16' (or <= or >=; PE: all its axes; all: the whole dim), 'PE.x only K,C', "
        "'reduction tile RF:O = all' (dims by role), "
        "'K tile GLB:W >= 64', 'keep GLB:W', 'bypass GLB:I,O', 'RF:W above RF:I'; repeatable.",
    ),
]
Dataflow = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--dataflow",
        metavar="NAME",
        help="Keep to the dataflow of that name in the architecture file.",
    ),
]
MaxCycles = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--max-cycles",
        metavar="N",
        help="At most so many cycles: 600000, 1.5e6, 2M.",
    ),
]
MaxEnergy = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--max-energy",
        metavar="E",
        help="At most so much energy: 2 mJ, 450 MMAC; a bare number is in the architecture's unit.",
    ),
]
MaxBytes = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--max-dram-bytes",
        metavar="BYTES",
        help="At most so much read from and written to the outermost memory: 500000, 1.2 MB, 64KiB.",
    ),
]
MinUtilization = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--min-utilization",
        metavar="SHARE",
        help="At least this share of the peak operations: 0.8 or 80%.",
    ),
]
MaxWords = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--max-words",
        metavar="MEMORY=N",
        help="Tiles take at most N words of each instance of a memory: GLB=50k, GLB=64KiB; repeatable.",
    ),
]
TimeLimit = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--time-limit",
        "-t",
        metavar="SECONDS",
        help="For each layer; the best mapping found by then is kept, with its bound.",
    ),
]
DeterministicLimit = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--deterministic-limit",
        metavar="WORK",
        help="The same in the solver's units of work, each about a second: every run ends alike.",
    ),
]
ProvenBy = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="Who proves the least energy. auto: CP-SAT, started by the lattice search; solver: CP-SAT alone; lattice: "
        "the lattice search alone, where it covers the layer; both: each alone, and their answers compared.",
    ),
]
