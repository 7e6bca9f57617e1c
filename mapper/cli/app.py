"""The commands and their options; what they do is in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mapper.cli.guard import guarded
from mapper.cli.options import (
    CORES,
    Arch,
    Asked,
    Constraints,
    Data,
    Dataflow,
    DeterministicLimit,
    Dims,
    Engine,
    Factors,
    Format,
    Goal,
    Jobs,
    LoopFactors,
    Mapspace,
    MaxBytes,
    MaxCycles,
    MaxEnergy,
    MaxWords,
    MinUtilization,
    Model,
    Objective,
    Output,
    OutputFormat,
    ProvenBy,
    Shapes,
    Tiles,
    TimeLimit,
    Values,
)

app = typer.Typer(
    name="mapper",
    no_args_is_help=True,
    rich_markup_mode=None,  # which takes brackets for markup, and half of the time of `--help`
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Maps neural networks onto accelerators: proves each layer's best mapping and executes it.",
    epilog="Exit codes: 0 ok, 1 bad input, 2 usage, 3 no legal mapping, 4 verification mismatch, "
    "70 internal error, 74 the system cannot read or write, or has no memory left, 130 interrupted.",
)
archs_app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="The architectures that come with the package, and checks of your own.",
)
app.add_typer(archs_app, name="archs")


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
    output: Output = None,
    jobs: Jobs = CORES,
    verify: Annotated[bool, typer.Option("--verify", help="Execute every layer's mapping and compare.")] = False,
    data: Data = None,
    format: OutputFormat = Format.TABLE,
    shape: Shapes = None,
    dim: Dims = None,
    value: Values = None,
    objective: Goal = Objective.ENERGY,
    factors: LoopFactors = Factors.IMPERFECT,
    mapspace: Tiles = Mapspace.UNEVEN,
    constraint: Constraints = None,
    dataflow: Dataflow = None,
    max_cycles: MaxCycles = None,
    max_energy: MaxEnergy = None,
    max_dram_bytes: MaxBytes = None,
    min_utilization: MinUtilization = None,
    max_words: MaxWords = None,
    time_limit: TimeLimit = None,
    deterministic_limit: DeterministicLimit = None,
    engine: ProvenBy = Engine.AUTO,
) -> None:
    """Map every layer of a model, each proven optimal.

    Example: mapper compile alexnet --arch eyeriss_v1 -o build --verify
    """
    from mapper.cli.compile import Request, run

    asked = Asked(
        objective,
        factors,
        mapspace,
        constraint or [],
        dataflow,
        max_cycles,
        max_energy,
        max_dram_bytes,
        min_utilization,
        max_words or [],
        time_limit,
        deterministic_limit,
        engine,
    )
    run(
        Request(
            model, arch, asked, output, jobs, verify, format is Format.JSON, shape or [], dim or [], value or [], data
        )
    )


@app.command("map")
@guarded
def map_command(
    layer: Annotated[
        str, typer.Argument(metavar="LAYER", help="'conv K=.. C=..', 'gemm M=.. N=.. K=..' or 'einsum ..'")
    ],
    arch: Arch,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", metavar="FILE", help="Write the schedule here: .yaml, .yml or .json."),
    ] = None,
    format: OutputFormat = Format.TABLE,
    objective: Goal = Objective.ENERGY,
    factors: LoopFactors = Factors.IMPERFECT,
    mapspace: Tiles = Mapspace.UNEVEN,
    constraint: Constraints = None,
    dataflow: Dataflow = None,
    max_cycles: MaxCycles = None,
    max_energy: MaxEnergy = None,
    max_dram_bytes: MaxBytes = None,
    min_utilization: MinUtilization = None,
    max_words: MaxWords = None,
    time_limit: TimeLimit = None,
    deterministic_limit: DeterministicLimit = None,
    engine: ProvenBy = Engine.AUTO,
) -> None:
    """Map one layer, proven optimal.

    Layers: 'conv K=256 C=48 P=27 Q=27 R=5 S=5 stride=1' (dims N G K C P Q R S, default 1, K and C per group; stride
    and dilation as 2 or 2x1), 'gemm M=16 N=16 K=16' (B for a batch), 'einsum O[m,n] += A[m,k] * B[k,n] m=4 n=4 k=4'.

    Example: mapper map "gemm M=64 N=64 K=64" --arch simple3 --objective edp -c "output_channels spatial PE.x = 16"
    """
    from mapper.cli.layer import map_layer

    asked = Asked(
        objective,
        factors,
        mapspace,
        constraint or [],
        dataflow,
        max_cycles,
        max_energy,
        max_dram_bytes,
        min_utilization,
        max_words or [],
        time_limit,
        deterministic_limit,
        engine,
    )
    map_layer(layer, arch, asked, output, as_json=format is Format.JSON)


@app.command("evaluate")
@guarded
def evaluate_command(
    schedule: Annotated[
        Path,
        typer.Argument(
            metavar="SCHEDULE", help="A schedule that 'map -o' or 'compile -o' wrote, or a name of 'archs schedules'."
        ),
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
    data: Data = None,
) -> None:
    """Execute what was compiled, word by word, and compare counts and values (with ONNX Runtime's)."""
    from mapper.cli.verify import verify_folder

    verify_folder(folder, data, as_json=format is Format.JSON)


@app.command("inspect")
@guarded
def inspect_command(
    model: Model,
    format: OutputFormat = Format.TABLE,
    shape: Shapes = None,
    dim: Dims = None,
    value: Values = None,
) -> None:
    """What a model holds: layers, dims, MACs, weights, activations, bits, and how every other operator is treated.

    Example: mapper inspect resnet50
    """
    from mapper.cli.inspect import inspect_model

    inspect_model(model, shape or [], dim or [], value or [], as_json=format is Format.JSON)


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


@archs_app.command("schedules")
@guarded
def archs_schedules(format: OutputFormat = Format.TABLE) -> None:
    """The schedules that come with the package: what chips ran, for 'mapper evaluate'."""
    from mapper.cli.catalog import list_schedules

    list_schedules(as_json=format is Format.JSON)


@archs_app.command("check")
@guarded
def archs_check(
    file: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    format: OutputFormat = Format.TABLE,
) -> None:
    """Check an architecture file: its peak, sizes, bandwidths, prices; or every problem with its file:line:column."""
    from mapper.cli.check import check_architecture

    check_architecture(file, as_json=format is Format.JSON)
