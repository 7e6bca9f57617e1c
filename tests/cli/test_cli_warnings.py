"""Warnings of idle axes: on stderr, and in what is written."""

import json
from pathlib import Path

import pytest

from mapper.arch import spec_names
from mapper.ir import DimRole

GEMM = "gemm M=16 N=16 K=16"


@pytest.fixture
def listed(spec):
    """A small machine whose axis was made for the filters of convolutions."""
    spec.write_text(spec.read_text().replace("{x: 4}", "{x: {size: 4, dims: [filter]}}"))
    return spec


WHY = "its list of filter leaves out M, N and K"


def test_of_a_layer(mapper, listed, tmp_path):
    file = tmp_path / "best.yaml"
    found = mapper("map", GEMM, "--arch", listed, "-o", file)
    assert (found.code, found.err) == (0, f"mapper: warning: {GEMM}: axis PE.x is idle: {WHY}\n")
    assert "proven optimal" in found.out
    found = mapper("map", GEMM, "--arch", listed, "--format", "json")
    assert json.loads(found.out)["warnings"] == [
        {
            "warning": "idle axis",
            "axis": "PE.x",
            "size": 4,
            "causes": ["its list of filter"],
            "left_out": ["M", "N", "K"],
            "text": f"axis PE.x is idle: {WHY}",
        }
    ]
    assert found.err.count("\n") == 1
    # a schedule is of its mapping only
    assert "idle" not in file.read_text()
    assert mapper("evaluate", file, "--arch", listed).err == ""


def test_of_a_model_once_for_each_axis(mapper, model, listed, tmp_path):
    arguments = ("compile", model, "--arch", listed, "--jobs", 1, "--objective", "latency")
    found = mapper(*arguments, "-o", tmp_path / "build")
    why = "its list of filter leaves out N and K"  # convolutions have a filter, and M is 1
    assert (found.code, found.err) == (0, f"mapper: warning: axis PE.x is idle in 1 of 3 layers (gemm): {why}\n")
    (warning,) = json.loads((tmp_path / "build" / "summary.json").read_text())["warnings"]
    assert (warning["axis"], warning["layers"], warning["left_out"]) == ("PE.x", ["gemm"], ["N", "K"])
    found = mapper(*arguments, "-c", "filter_rows,filter_columns spatial PE = 1", "--format", "json")
    assert found.err.startswith("mapper: warning: axis PE.x is idle in 3 of 3 layers (conv/1, conv 2, gemm): ")
    assert found.err.count("\n") == 1
    (warning,) = json.loads(found.out)["warnings"]
    assert warning["causes"] == [
        "its list of filter", "'filter_rows spatial PE = 1'", "'filter_columns spatial PE = 1'"
    ]  # fmt: skip


def test_nothing_is_said_where_nothing_is_left_out(mapper, spec):
    found = mapper("map", GEMM, "--arch", spec, "-c", "output_channels spatial PE.x = 4", "--format", "json")
    assert (found.err, json.loads(found.out)["warnings"]) == ("", [])


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (
            "output_chanels spatial PE = 2",
            "the layer has no dim output_chanels (did you mean output_channels or input_channels?)",
        ),
        (
            "filter spatial PE = 2",
            "the layer has no dim of role filter "
            "(its dims: M batch, rows; N output_channels; K input_channels, reduction)",
        ),
        ("rows spatial PE = 5", "axis PE.x has 4 instances"),
    ],
)
def test_roles_that_cannot_be_kept_to(mapper, spec, constraint, message):
    found = mapper("map", GEMM, "--arch", spec, "-c", constraint)
    assert (found.code, found.out, found.err) == (1, "", f"mapper: error: {constraint}: {message}\n")


CHANNELS = "output_channels or input_channels"


@pytest.mark.parametrize(
    ("axis", "rest", "warnings"),
    [
        ("[output_channels, groups, K, M, B, T]", "constraints: [filter spatial PE = 1, keep RF:weight]", []),
        (
            "[output_chanel, k, heads]",
            "",
            [
                "axis PE.x: 'heads' is neither a role nor a dim of an operator (roles: ROLES)",
                "axis PE.x: 'k' is neither a role nor a dim of an operator (did you mean K?)",
                "axis PE.x: 'output_chanel' is neither a role nor a dim of an operator (did you mean CHANNELS?)",
            ],
        ),
        ("[]", "", ["axis PE.x: no dim may be unrolled there"]),
        (
            "[K]",
            "constraints: [bypass RF:weigth, 'RF:I above RF:psum', keep RF:A]\ndataflows: {ws: ['M tile RF:in = 1']}",
            [
                "constraints: bypass RF:weigth: 'weigth' is neither a role nor a tensor of an operator "
                "(did you mean weight?)",
                "constraints: RF:I above RF:psum: 'psum' is neither a role nor a tensor of an operator "
                "(roles: input, weight, output)",
                "ws: M tile RF:in = 1: 'in' is neither a role nor a tensor of an operator (did you mean I?)",
            ],
        ),
        (
            "[K]",
            "constraints: ['PE only K,Z']\ndataflows: {ws: [row tile RF:weight = 1]}",
            [
                "constraints: PE only K,Z: 'Z' is neither a role nor a dim of an operator (roles: ROLES)",
                "ws: row tile RF:weight = 1: 'row' is neither a role nor a dim of an operator (did you mean rows?)",
            ],
        ),
    ],
)
def test_a_spec_is_checked_for_words_that_mean_nothing(mapper, spec, axis, rest, warnings):
    spec.write_text(spec.read_text().replace("{x: 4}", f"{{x: {{size: 4, dims: {axis}}}}}") + rest)
    found = mapper("archs", "check", spec)
    told = [text.replace("ROLES", ", ".join(DimRole)).replace("CHANNELS", CHANNELS) for text in warnings]
    assert (found.code, found.err) == (0, "".join(f"mapper: warning: {spec}: {text}\n" for text in told))
    assert f"x unrolls {', '.join(sorted(axis.strip('[]').split(', '))) or 'nothing'}" in found.out
    data = json.loads(mapper("archs", "check", spec, "--format", "json").out)
    assert data["warnings"] == told
    (fanout,) = [level for level in data["levels"] if level["kind"] == "fanout"]
    assert fanout["dims"] == {"x": sorted(filter(None, axis.strip("[]").split(", ")))}


def test_the_machines_of_the_package_and_the_examples_mean_what_is_known(mapper):
    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    for spec in (*spec_names(), *examples):
        assert mapper("archs", "check", spec).err == ""
