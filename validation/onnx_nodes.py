"""ONNX's own backend node tests: every case with a layer goes through lowering, mapping and execution."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from backends.execute.compare import relative_error, tolerance
from backends.execute.network import verify_network
from frontends.onnx import OnnxModel, load
from mapper.arch import load_architecture
from mapper.errors import InputError
from mapper.network import compile_network
from mapper.options import Options
from mapper.search import Factors
from validation.markdown import bullets, page, paragraph, table

MACHINE = "simple3"
TOLERANCE = 1e-3
"""Of the values that ONNX states for a case, which are computed in other orders and types than here."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case: the operator, whether it holds layers, and why it did not run (empty: it did)."""

    name: str
    op: str
    layers: int
    reason: str = ""
    wrong: str = ""


@cache
def outcomes() -> tuple[Outcome, ...]:
    """Every node test of the installed onnx."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the cases divide by zero and overflow on purpose
        return tuple(_outcome(case, Path(folder) / "case.onnx") for case in collect_testcases(None))


def _outcome(case: Any, path: Path) -> Outcome:
    path.write_bytes(case.model.SerializeToString())
    op = str(case.model.graph.node[0].op_type)
    try:
        model = load(str(path))
    except InputError as error:
        return Outcome(case.name, op, 0, f"not read: {_general(error.message)}")
    layers = len(model.network.layers)
    if not layers:
        return Outcome(case.name, op, 0)
    inputs, expected = case.data_sets[0]
    names = [value.name for value in case.model.graph.input]
    given = {name: _array(value) for name, value in zip(names, inputs, strict=False)}
    try:
        wrong = _wrong(model, given, dict(zip(model.region.outputs, map(_array, expected), strict=True)))
    except InputError as error:
        return Outcome(case.name, op, layers, _general(error.message))
    return Outcome(case.name, op, layers, wrong=wrong)


def _array(value: Any) -> Any:
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _wrong(model: OnnxModel, given: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """What is wrong with a case after mapping and execution; empty if nothing is."""
    arch = load_architecture(MACHINE)
    found = compile_network(model.network, arch, Options(factors=Factors.PERFECT))
    mappings = {nest: result.mapping for nest, result in found.results.items()}
    counts = {nest: result.cost.counts for nest, result in found.results.items()}
    ran = verify_network(model, arch, mappings, counts, inputs=given)
    if not ran.counts_match:
        return str(ran.failure)
    for name, values in expected.items():
        if name in ran.outputs:
            own = tolerance(values.dtype)
            allowed = max(TOLERANCE, own) if own else 0.0
            if relative_error(ran.outputs[name], np.asarray(values)) > allowed:
                return f"{name} is not what ONNX states"
    return ""


def _general(message: str) -> str:
    """A reason without the names and numbers of its case."""
    if "ONNX Runtime cannot run it" in message:
        return "ONNX Runtime cannot run it"  # its words differ between processors
    unknown = re.search(r"the shape of tensor \S+ is (?:unknown|needed)", message)
    return "a shape depends on the values of an input" if unknown else re.sub(r"\d+", "n", message)


def report() -> str:
    """The page."""
    found = outcomes()
    held = [case for case in found if case.layers]
    rows = []
    for op in sorted({case.op for case in held}):
        cases = [case for case in held if case.op == op]
        ran = [case for case in cases if not case.reason]
        rows.append((op, str(len(cases)), str(sum(not case.wrong for case in ran)), str(len(cases) - len(ran))))
    total = [str(sum(int(row[i]) for row in rows)) for i in (1, 2, 3)]
    return (
        page(
            "# ONNX's node tests",
            paragraph(f"""
            All {len(found)} node tests of the `onnx` package are read; {len(held)} of them hold something that
            multiplies and accumulates, or that adds or compares as a loop nest, and go through lowering, mapping on
            `{MACHINE}` and execution, which must count what the cost model says and give the values that ONNX states.
            Printed by `python -m validation onnx_nodes`; by the operator that a case begins with:"""),
            table(("operator", "cases", "passed", "not run"), [*rows, ("all", *total)]),
            "Why cases did not run:",
            bullets(*_reasons(held)),
            "Why cases were not read:",
            bullets(*_reasons([case for case in found if not case.layers])),
        )
        + "\n"
    )


def _reasons(cases: list[Outcome]) -> Iterator[str]:
    counted = Counter(case.reason for case in cases if case.reason)
    for reason, n in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])):
        names = sorted(case.op for case in cases if case.reason == reason)
        yield f"{n}: {reason.removeprefix('not read: ')} ({', '.join(dict.fromkeys(names))})"
