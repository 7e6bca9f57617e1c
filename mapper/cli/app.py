"""The commands and their options; what they do is in the modules beside this one."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from mapper.cli.guard import guarded


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Objective(StrEnum):
    """What is made least; ties go to the fewest cycles."""

    ENERGY = "energy"


class Factors(StrEnum):
    """Which loop factors the search may use."""

    PERFECT = "perfect"


CORES = os.cpu_count() or 1

app = typer.Typer(
    name="mapper",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Maps neural networks onto accelerators: proves each layer's best mapping and executes it.",
    epilog="Exit codes: 0 ok, 1 bad input, 2 usage, 3 no legal mapping, 4 verification mismatch, "
    "70 internal error, 130 interrupted.",
)
archs_app = typer.Typer(
    invoke_without_command=True, help="The architectures that come with the package, and checks of your own."
)
app.add_typer(archs_app, name="archs")

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
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Layers solved at the same time.")]
TimeLimit = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--time-limit", "-t", min=0.001, metavar="SECONDS", help="For each layer; the best found is kept."),
]
OutputFormat = Annotated[Format, typer.Option("--format", "-f", help="What is printed to stdout.")]
Shapes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--shape", metavar="INPUT=1x3x224x224", help="Shape of an input with symbolic dims; repeatable."),
]
Search = Annotated[Objective, typer.Option("--objective", help="What to make least.")]
SearchFactors = Annotated[Factors, typer.Option("--factors", help="Loop factors to search: those that divide.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"mapper (tilewright) {version('tilewright')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("compile")
@guarded
def compile_command(
    model: Model,
    arch: Arch,
    objective: Search = Objective.ENERGY,
    output: Output = None,
    jobs: Jobs = CORES,
    time_limit: TimeLimit = None,
    verify: Annotated[bool, typer.Option("--verify", help="Execute every layer's mapping and compare.")] = False,
    format: OutputFormat = Format.TABLE,
    shape: Shapes = None,
) -> None:
    """Map every layer of a model, each proven optimal.

    Example: mapper compile alexnet --arch eyeriss_v1 -o build --verify
    """
    from mapper.cli.compile import Request, run

    request = Request(model, arch, str(objective), output, jobs, time_limit, verify, format is Format.JSON, shape or [])
    run(request)


@app.command("map")
@guarded
def map_command(
    layer: Annotated[
        str, typer.Argument(metavar="LAYER", help="'conv K=.. C=..', 'gemm M=.. N=.. K=..' or 'einsum ..'")
    ],
    arch: Arch,
    objective: Search = Objective.ENERGY,
    factors: SearchFactors = Factors.PERFECT,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", metavar="FILE", help="Write the schedule here, as YAML (or .json)."),
    ] = None,
    time_limit: TimeLimit = None,
    format: OutputFormat = Format.TABLE,
) -> None:
    """Map one layer, proven optimal.

    Layers: 'conv K=256 C=48 P=27 Q=27 R=5 S=5 stride=1' (dims N G K C P Q R S, default 1, K and C per group; stride
    and dilation as 2 or 2x1), 'gemm M=16 N=16 K=16' (B for a batch), 'einsum O[m,n] += A[m,k] * B[k,n] m=4 n=4 k=4'.
    """
    from mapper.cli.layer import map_layer

    map_layer(layer, arch, str(objective), output, time_limit, as_json=format is Format.JSON)


@app.command("evaluate")
@guarded
def evaluate_command(
    schedule: Annotated[
        Path, typer.Argument(metavar="SCHEDULE", help="A schedule that 'map -o' or 'compile -o' wrote.")
    ],
    arch: Arch,
    explain: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--explain", metavar="MEMORY:TENSOR", help="What makes up the counts of one storage node."),
    ] = None,
    format: OutputFormat = Format.TABLE,
) -> None:
    """Everything that is counted of a mapping: tiles, reads and writes, networks, capacity, cycles, energy.

    Or why the mapping is illegal. Example: mapper evaluate layer.yaml --arch simple3 --explain GLB:I
    """
    from mapper.cli.evaluation import evaluate_schedule

    evaluate_schedule(schedule, arch, explain, as_json=format is Format.JSON)


@app.command("verify")
@guarded
def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that 'compile -o' wrote.")],
    format: OutputFormat = Format.TABLE,
) -> None:
    """Execute what was compiled, word by word, and compare counts and values (with ONNX Runtime's)."""
    from mapper.cli.verify import verify_folder

    verify_folder(folder, as_json=format is Format.JSON)


@app.command("ops")
@guarded
def ops_command(format: OutputFormat = Format.TABLE) -> None:
    """The ONNX operators and how each is treated."""
    from mapper.cli.catalog import print_operators

    print_operators(as_json=format is Format.JSON)


@archs_app.callback()
@guarded
def archs_command(context: typer.Context) -> None:
    """The architectures that come with the package, and checks of your own."""
    if context.invoked_subcommand is None:
        from mapper.cli.catalog import list_architectures

        list_architectures(as_json=False)


@archs_app.command("list")
@guarded
def archs_list(format: OutputFormat = Format.TABLE) -> None:
    """Name and describe each architecture."""
    from mapper.cli.catalog import list_architectures

    list_architectures(as_json=format is Format.JSON)


@archs_app.command("show")
@guarded
def archs_show(name: Annotated[str, typer.Argument(metavar="NAME|FILE")]) -> None:
    """Print an architecture's YAML: a start for your own."""
    from mapper.arch import find_spec

    print(find_spec(name).text, end="")


@archs_app.command("tables")
@guarded
def archs_tables(
    name: Annotated[Optional[str], typer.Argument(metavar="[TABLE|FILE]")] = None,  # noqa: UP045
    format: OutputFormat = Format.TABLE,
) -> None:
    """The energy tables that a spec can name, or the rows of one with their sources."""
    from mapper.cli.catalog import list_tables, show_table

    if name is None:
        list_tables(as_json=format is Format.JSON)
    else:
        show_table(name, as_json=format is Format.JSON)


@archs_app.command("check")
@guarded
def archs_check(file: Annotated[str, typer.Argument(metavar="FILE")]) -> None:
    """Check an architecture file: what it describes, or every problem with its file:line:column."""
    from mapper.cli.catalog import check_architecture

    check_architecture(file)
