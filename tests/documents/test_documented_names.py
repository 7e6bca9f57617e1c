"""Every name in what is written as data is in docs/output.md or docs/verification.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mapper
from frontends.onnx import describe, load
from mapper.documents.architecture import architecture_data
from mapper.documents.evaluation import evaluation_data, explanation_data
from mapper.documents.network import summary
from mapper.inventory import inventory

DOCS = Path(__file__).parents[2] / "docs"
OWN = re.compile(r"(.*_by_.*|dims|bits|extents|axes|tensors|dataflows|operands|attributes|values|shapes)")
"""What has names of its own kind as keys: of levels, tensors, operators, dims."""


def names(data: Any) -> Iterator[str]:
    match data:
        case {"counts": dict(counts), "network": dict(network), **rest}:  # by level and tensor
            yield from ("counts", "network")
            yield from names([moved for level in [*counts.values(), *network.values()] for moved in level.values()])
            yield from names(rest)
        case dict():
            for key, value in data.items():
                yield key
                yield from names(list(value.values()) if OWN.fullmatch(key) and isinstance(value, dict) else value)
        case list() | tuple():
            for each in data:
                yield from names(each)


@pytest.fixture(scope="module")
def told() -> set[str]:
    text = "".join((DOCS / name).read_text("utf-8") for name in ("output.md", "verification.md"))
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    compiled = mapper.compile_model("survey/lenet5", "eyeriss_v1", deterministic_limit=0.2)
    nest, arch = compiled.network.layers[0].nest, compiled.arch
    assert nest is not None
    result = compiled.results[nest]
    return {
        "layer": result.to_dict(),
        "evaluation": evaluation_data(nest, arch, mapper.break_down(nest, arch, result.mapping)),
        "explanation": explanation_data("DRAM:I", mapper.explain(nest, arch, result.mapping, "DRAM", "I")),
        "summary": summary(compiled),
        "inventory": inventory(compiled.network),
        "architecture": architecture_data(arch),
        "onnx": list(describe(load("survey/lenet5")).values()),
    }


@pytest.mark.parametrize("kind", ["layer", "evaluation", "explanation", "summary", "inventory", "architecture", "onnx"])
def test_every_name_is_documented(kind, documents, told):
    assert not set(names(documents[kind])) - told
