"""Mutated texts and plain data: layers, nests, mappings, schedules, specs, tables, constraints, quantities, folders."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from backends.emit import Schedule, nest_text, parse_schedule, schedule_data, to_json, to_yaml
from frontends.einsum import parse_layer
from fuzzing.kinds import Kind
from fuzzing.mutations import NUMBERS, spoilt_data, spoilt_text
from mapper.arch import Architecture, Spec, find_spec, load_architecture, parse_architecture, spec_names
from mapper.arch.energy import parse_table, table_names
from mapper.cli import asked, models
from mapper.cli.check import check_architecture
from mapper.cli.options import Asked
from mapper.cost.breakdown import break_down
from mapper.ir import LoopNest, parse_nest, parse_network
from mapper.mapping import Mapping, parse_mapping, violations
from mapper.options import Options, mapspace, read_constraints

ROOT = Path(__file__).parents[2]
LAYERS = (
    "conv K=4 C=3 P=5 Q=4 R=3 S=3 stride=2", "conv G=4 P=4 Q=4 R=3 S=3",
    "conv N=2 K=8 C=3 P=9 Q=9 R=3 S=3 stride=2x1 dilation=2",
    "conv K=4 C=3 D=4 P=5 Q=4 T=2 R=3 S=3 stride=1x2x2", "gemm M=8 N=6 K=4", "gemm M=4, N=4, K=2, B=3",
    "einsum O[m,n] += A[m,k] * B[k,n] m=16 n=16 k=16", "einsum 'O[b,m] += A[b,2*m+k] * B[k]' {b=2 m=5 k=3}",
    "O:8/32[M,N] += A:8[M,K] * B:4[K,N] {M=16 N=16 K=16}", "einsum O[C,P] max= I[C,2*P+R] C=6 P=7 R=3",
    "O[C] min= I[C,X+Y] {C=3 X=2 Y=4}",
)  # fmt: skip
MAPPED = (
    ("gemm M=8 N=6 K=4", "simple3",
     "keep DRAM A B O\nparfor M 2 PE.x\nparfor K 1 PE.x\nparfor M 1 PE.y\nparfor N 1 PE.y"),
    ("conv K=4 C=3 P=5 Q=4 R=3 S=3 stride=2", "eyeriss_v1",
     "keep DRAM I W O\nkeep GLB I\nkeep WSPAD W\nfor Q 1\nkeep PSPAD O\nfor C 1\nfor S 1\nkeep ISPAD I\nfor K 1\n"
     "for P 1\nfor R 1"),
    ("einsum O[C,P] max= I[C,2*P+R] C=6 P=7 R=3", "simple3_rolling",
     "keep DRAM I O\nparfor C 1 PE.y\nkeep RF I rolling\nkeep RF O\nfor P 1\nfor R 1"),
    ("conv G=4 P=4 Q=4 R=3 S=3", "simple3_rolling",
     "keep DRAM I W O\nparfor G 1 PE.y\nkeep RF I O\nfor R 1\nfor S 1\nkeep RF W\nfor P 1\nfor Q 1"),
)  # fmt: skip
"""Layers, machines, and a legal mapping of the one on the other."""
CONSTRAINTS = (
    "K spatial PE.x = 16", "R,S spatial PE = 1", "PE.x only K,C", "PE only M", "x only K", "K tile GLB:W >= 64",
    "K tile GLB = all", "M,N tile GLB:A,B <= 4", "keep GLB:W", "bypass GLB:I,O", "RF:W above RF:I", "keep RF:weight",
    "K spatial x >= all", "input tile RF <= 2",
)  # fmt: skip
NODES = ("GLB:I", "DRAM:A", "RF:O", "PSPAD:O", "MAC:A", "GLB", ":", "a:b:c", "")


@cache
def arch(name: str) -> Architecture:
    return load_architecture(name)


def yaml(data: Any) -> str:
    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    return stream.getvalue()


def read_yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def written(data: Any, random: Random) -> str:
    """Plain data as YAML or JSON; as JSON where it has no YAML form."""
    if random.randint(0, 3):
        return json.dumps(data)
    try:
        return yaml(data)
    except Exception:  # ruamel cannot write some keys and characters
        return json.dumps(data)


# -- layers, nests, mappings -------------------------------------------------------------------------------------------


def attempt_layer(text: str) -> None:
    nest = parse_layer(text)
    assert parse_nest(str(nest)) == nest


def attempt_nest(text: str) -> None:
    nest = parse_nest(text)
    assert parse_nest(str(nest)) == nest
    assert nest.operations > 0 and all(nest.words(tensor) > 0 for tensor in nest.tensors)


@cache
def nests() -> tuple[str, ...]:
    return tuple(str(parse_layer(layer)) for layer in LAYERS)


NETWORK = """network "a model"
tensor x 2x8x6
tensor w 4x8x3 stored
tensor "odd name" scalar
tensor y 2x4x4
tensor z 2x4x4
layer conv Conv (x w) -> (y) times 3 : O:8/32[N,K,P] += I[N,C,P+R] * W[K,C,R] {N=2 K=4 C=8 P=4 R=3}
other relu Relu (y) -> (z) : reads 0 writes 0 to conv
other "sum of \\u00e9" ReduceSum (z "odd name") -> () : reads 32,77:64 writes 1 note "not \\"counted\\""
layer pool MaxPool (z) -> (t) : O[P] max= I[P+R] {P=3 R=2}
"""


def attempt_network(text: str) -> None:
    network = parse_network(text)
    assert parse_network(str(network)) == network


def draw_mapping(random: Random) -> tuple[str, str, str]:
    layer, machine, text = random.choice(MAPPED)
    return layer, machine, spoilt_text(text, random, tuple(mapping for *_, mapping in MAPPED))


def attempt_mapping(given: tuple[str, str, str]) -> None:
    layer, machine, text = given
    mapping = parse_mapping(text)
    assert parse_mapping(str(mapping)) == mapping
    run(parse_layer(layer), arch(machine), mapping)


def run(nest: LoopNest, machine: Architecture, mapping: Mapping) -> None:
    """What `mapper evaluate` computes."""
    if violations(nest, machine, mapping):
        return
    break_down(nest, machine, mapping)
    nest_text(nest, machine, mapping)


# -- schedules ---------------------------------------------------------------------------------------------------------

ABOUT = {"status": "optimal", "energy_unit": "MAC", "energy": 10**20, "cycles": 17, "bound": 0.5}


@cache
def schedules() -> tuple[Schedule, ...]:
    return tuple(
        Schedule(f"layer {i}", parse_layer(layer), machine, parse_mapping(text), ABOUT)
        for i, (layer, machine, text) in enumerate(MAPPED)
    )


@cache
def schedules_data() -> tuple[Any, ...]:
    return tuple(json.loads(json.dumps(schedule_data(each))) for each in schedules())


@cache
def schedules_text(write: Callable[[Schedule], str]) -> tuple[str, ...]:
    return tuple(map(write, schedules()))


def draw_schedule(random: Random) -> str:
    others = schedules_data()
    data = dict(random.choice(others))
    if random.random() < 0.5:  # without what follows from the rest, a change may make another schedule
        data["layer"] = {key: data["layer"][key] for key in ("name", "nest")}
        follows = ("extent", "pieces", "tile", "elements")
        data["mapping"] = [{key: v for key, v in row.items() if key not in follows} for row in data["mapping"]]
    return written(spoilt_data(data, random, others), random)


def draw_schedule_text(random: Random) -> str:
    texts = random.choice((schedules_text(to_yaml), schedules_text(to_yaml), schedules_text(to_json)))
    return spoilt_text(random.choice(texts), random, texts)


def attempt_schedule(text: str) -> None:
    schedule = parse_schedule(text, "s.yaml")
    for machine in (schedule.arch, "simple3") if schedule.arch in spec_names() else ("simple3",):
        run(schedule.nest, arch(machine), schedule.mapping)


# -- machines ----------------------------------------------------------------------------------------------------------


@cache
def specs() -> tuple[str, ...]:
    own = [path.read_text("utf-8") for path in sorted((ROOT / "examples").glob("*.yaml"))]
    return (*(find_spec(name).text for name in spec_names()), *own)


@cache
def specs_data() -> tuple[Any, ...]:
    return tuple(map(read_yaml, specs()))


def attempt_spec(text: str) -> None:
    machine = parse_architecture(Spec("s.yaml", text))
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file, contextlib.redirect_stdout(io.StringIO()):
        file.write(text.encode("utf-8"))
        file.flush()
        check_architecture(file.name, as_json=True)
    for layer in (LAYERS[0], LAYERS[4]):
        mapspace(parse_layer(layer), machine, Options())


@cache
def tables() -> tuple[str, ...]:
    folder = ROOT / "arch_specs" / "tables"
    return tuple((folder / f"{name}.yaml").read_text("utf-8") for name in table_names())


@cache
def tables_data() -> tuple[Any, ...]:
    return tuple(map(read_yaml, tables()))


def attempt_table(text: str) -> None:
    table = parse_table(Spec("t.yaml", text))
    for row in table.rows:
        for action in sorted(row.actions):
            table.price(row.kind, action, 16, row.size_bits)


def data_of(documents: Callable[[], tuple[Any, ...]]) -> Callable[[Random], str]:
    return lambda random: written(spoilt_data(random.choice(documents()), random, documents()), random)


def text_of(documents: Callable[[], tuple[str, ...]]) -> Callable[[Random], str]:
    return lambda random: spoilt_text(random.choice(documents()), random, documents())


# -- what is asked of a search -----------------------------------------------------------------------------------------


def draw_constraints(random: Random) -> tuple[str, str, list[str]]:
    texts = [random.choice(CONSTRAINTS) for _ in range(random.randint(1, 3))]
    return (
        random.choice(LAYERS),
        random.choice(spec_names()),
        [spoilt_text(text, random, CONSTRAINTS) if random.randint(0, 2) else text for text in texts],
    )


def attempt_constraints(given: tuple[str, str, list[str]]) -> None:
    layer, machine, texts = given
    found = read_constraints(texts)
    for constraint in found:
        assert read_constraints(str(constraint)) == (constraint,)
    mapspace(parse_layer(layer), arch(machine), Options(constraints=found))


AMOUNTS = (
    "600000",
    "1.5e6",
    "2M",
    "602,112",
    "2 mJ",
    "450 MMAC",
    "1.2 MB",
    "64KiB",
    "0.8",
    "80%",
    "1_000",
    "10 pJ",
    "0",
)
PAIRS = ("GLB=50k", "input=1x3x224x224", "batch=1", "rate=16000", "x=-1.5", "RF=3", "past=0", "a b=2", "=", "x=1x0")


def draw_asked(random: Random) -> tuple[str, dict[str, Any], list[list[str]]]:
    def amount() -> str:
        odd = (spoilt_text(random.choice(AMOUNTS), random, AMOUNTS), random.choice(NUMBERS))
        return random.choice((*odd, *AMOUNTS))

    def pair() -> str:
        return spoilt_text(random.choice(PAIRS), random, PAIRS) if random.randint(0, 1) else random.choice(PAIRS)

    options: dict[str, Any] = {
        name: amount()
        for name in ("max_cycles", "max_energy", "max_dram_bytes", "min_utilization")
        if random.randint(0, 3) == 0
    }
    pairs = [[pair() for _ in range(random.choice((0, 0, 1, 2)))] for _ in range(4)]
    options["max_words"] = pairs.pop()
    if random.randint(0, 9) == 9:
        options["dataflow"] = random.choice(("row_stationary", "none", "", "\0"))
    for name in ("time_limit", "deterministic_limit"):
        if random.randint(0, 9) == 9:
            options[name] = random.choice((1.0, 0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf")))
    return random.choice(spec_names()), options, pairs


def attempt_asked(given: tuple[str, dict[str, Any], list[list[str]]]) -> None:
    machine, options, (shapes, dims, values) = given
    refusals = []
    for part in (
        lambda: asked.read(Asked(**options), arch(machine)),
        lambda: models.parse_shapes(shapes),
        lambda: models.parse_dims(dims),
        lambda: models.parse_values(values),
    ):
        try:
            part()
        except Exception as error:  # those of the user's making are raised once all parts were tried
            refusals.append(error)
    for error in sorted(refusals, key=lambda error: hasattr(error, "exit_code")):
        raise error


KINDS = (
    Kind("layers", lambda random: spoilt_text(random.choice(LAYERS), random, LAYERS), attempt_layer),
    Kind("nests", text_of(nests), attempt_nest),
    Kind("networks", lambda random: spoilt_text(NETWORK, random), attempt_network),
    Kind("mappings", draw_mapping, attempt_mapping),
    Kind("schedules as data", draw_schedule, attempt_schedule, structural=True),
    Kind("schedules as text", draw_schedule_text, attempt_schedule),
    Kind("specs as data", data_of(specs_data), attempt_spec, structural=True),
    Kind("specs as text", text_of(specs), attempt_spec),
    Kind("energy tables as data", data_of(tables_data), attempt_table, structural=True),
    Kind("energy tables as text", text_of(tables), attempt_table),
    Kind("constraints", draw_constraints, attempt_constraints),
    Kind("quantities", draw_asked, attempt_asked),
)
