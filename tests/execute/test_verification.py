"""Verification: no false alarm on the kinds of models that people have, and no fault that passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import odd_models as kinds
import pytest
from onnx import TensorProto, helper
from test_network import Ran, contract, counts, saved, verify

from backends.execute import executed, network, referee
from backends.execute.bounds import magnitude, misplaced, terms
from backends.execute.compare import TOLERANCE
from backends.execute.exact import exact
from backends.execute.executed import Executed
from backends.execute.reference import reference
from frontends.onnx import control, load
from mapper.ir import gemm

CANCELLING = {"text": np.random.default_rng(3).integers(0, 2, (1, 16))}
"""Bytes whose features are alike."""


# -- no false alarm ----------------------------------------------------------------------------------------------------

FLOAT8 = ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")
NARROW = ("BFLOAT16", "FLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "UINT4", "INT4")
PASS = {
    "text classifier": kinds.text_classifier,
    "rounding tie": kinds.rounding_tie,
    "dynamic bytes": kinds.dynamic_bytes,
    "half inside": kinds.half_inside,
    "half inside a branch": kinds.half_inside_a_branch,
    **{
        f"noise: {op}": (lambda folder, op=op: kinds.noise(folder, op))
        for op in ("RandomNormalLike", "RandomUniform", "Bernoulli", "Multinomial", "Dropout")
    },
    **{name: (lambda folder, name=name: kinds.float8(folder, TensorProto.DataType.Value(name))) for name in FLOAT8},
    **{
        f"to {name}": (lambda folder, name=name: kinds.narrow(folder, TensorProto.DataType.Value(name)))
        for name in NARROW
    },
    "written in place": kinds.written_in_place,
    "quantised cells": kinds.quantised_cells,
    "classified": kinds.classified,
}


@pytest.mark.parametrize("name", PASS)
def test_right_mappings_pass(name: str, tmp_path: Path):
    found = verify(load(PASS[name](tmp_path)))
    assert (found.failure, found.uncompared) == (None, ())
    assert found.layers_checked and found.refereed == "outputs"
    assert all(check.refereed for check in found.layers) or name == "quantised cells"
    assert (found.steps > 0) == (name in ("rounding tie", "quantised cells", "classified"))


def test_what_cancels_is_ill_conditioned(tmp_path: Path):
    """Both are percents from double precision, and so are we from ONNX Runtime, though no layer errs."""
    found = verify(load(kinds.text_classifier(tmp_path)), inputs=CANCELLING)
    assert found.passed, found.failure
    (seen,) = found.ill_conditioned
    assert 10 * TOLERANCE < seen.relative_error < seen.allowed < 1
    assert 10 * TOLERANCE < seen.ours < 1 and 10 * TOLERANCE < seen.referee < 1 and seen.unknown is None
    assert all(check.relative_error < TOLERANCE for check in found.wiring)


def test_what_jumps_behind_it_follows_onnxruntime(tmp_path: Path):
    found = verify(load(kinds.text_classifier(tmp_path, parity=True)), inputs=CANCELLING)
    assert found.passed, found.failure
    (seen,) = found.ill_conditioned
    assert seen.name.startswith("input Mul_") and " of Cast node " in seen.name and found.steps


def test_an_unknown_distance_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """ONNX Runtime and `onnx` have no operator of these in double precision."""

    def refuse(self, region, node, *rest):
        raise executed.InputError("there is no double precision of it", place=node.name)

    monkeypatch.setattr(executed.Double, "operator", refuse)
    (seen,) = verify(load(kinds.text_classifier(tmp_path)), inputs=CANCELLING).ill_conditioned
    assert (seen.ours, seen.referee) == (None, None)
    assert seen.unknown.endswith("there is no double precision of it")


def test_what_is_not_finite_is_named_and_executed_on_something_else(tmp_path: Path):
    path = kinds.not_finite(tmp_path)
    found = verify(load(path))
    ((name, why),) = found.uncompared
    assert found.passed and found.layers_checked == 1
    assert name == "layer ReduceSum_2" and "come of x:" in why and "--data" in why

    def wrong(nest, *rest):
        ran = contract(nest, *rest)
        return Ran(ran.output * (1 + 1e-12), ran.counts)

    assert "double precision" in verify(load(path), wrong).failure


def test_draws_that_cannot_be_repeated_are_not_compared(tmp_path: Path):
    found = verify(load(kinds.noise_in_a_loop(tmp_path)))
    assert found.passed and found.refereed == "layers" and not found.wiring
    ((_, why),) = found.uncompared
    assert why.endswith("RandomNormalLike_1 draws anew each time that it runs")


def test_what_onnxruntime_cannot_run_is_not_said_to_be_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = load(kinds.dynamic_bytes(tmp_path))

    def refuse(self, proto, nodes, *rest, **options):
        if len(nodes) > 1 or nodes[0].op_type == "MatMulInteger":
            raise executed.InputError("ONNX Runtime cannot run it", place="here")
        return original(self, proto, nodes, *rest, **options)

    original = network.Runtime.run
    monkeypatch.setattr(network.Runtime, "run", refuse)
    found = verify(model)
    assert found.passed and found.refereed is None
    assert len(found.uncompared) == 2
    assert found.outputs["MatMulInteger_1"].shape == (4, 8)


def test_a_value_of_another_shape_is_named(tmp_path: Path):
    model = load(kinds.half_inside(tmp_path))
    region = model.region
    shapes = replace(region.shapes, dims={**region.shapes.dims, "Cast_0": (2, 64)})
    model = replace(model, region=replace(region, shapes=shapes))
    with pytest.raises(
        executed.MapperError, match=r"layer MatMul_1: Cast_0 has shape \(4, 64\) when the model runs; the"
    ):
        verify(model)


def test_signed_bytes_are_asked_for_as_unsigned_ones(tmp_path: Path):
    """ONNX Runtime has no other way to add their products in more than 16 bits on every processor."""
    node = helper.make_node("MatMulInteger", ["a", "b", "", "z"], ["y"], name="mm")
    kinds_of = {"a": TensorProto.UINT8, "b": TensorProto.INT8, "z": TensorProto.INT8}
    made, stored = exact([node], kinds_of)
    assert [each.op_type for each in made] == ["Cast", "Add", "Cast"] * 2 + ["MatMulInteger"]
    assert made[2].attribute[0].i == made[5].attribute[0].i == TensorProto.UINT8
    assert list(made[-1].input) == ["a", made[2].output[0], "", made[5].output[0]] and len(stored) == 1
    for other in ({**kinds_of, "a": TensorProto.INT8}, {**kinds_of, "b": TensorProto.UINT8}):
        assert exact([node], other) == ([node], [])
    bare = helper.make_node("MatMulInteger", ["a", "b"], ["y"], name="mm")
    made, stored = exact([bare], kinds_of)
    assert len(made[-1].input) == 4 and len(stored) == 2


# -- no fault passes ---------------------------------------------------------------------------------------------------


def plain(folder: Path):
    """A convolution with a stride, pads and a bias, and a product with a transposed weight and a bias."""
    rng, node = np.random.default_rng(0), helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 1]),
        node("Reshape", ["c", "to"], ["m"], name="reshape"),
        node("Gemm", ["m", "v", "d"], ["g"], name="gemm", transB=1, alpha=0.5, beta=2.0),
        node("Sub", ["g", "one"], ["y"], name="sub"),
    ]
    shapes = {"w": (6, 3, 3, 3), "b": (6,), "v": (24, 24), "d": (24,), "one": (24,)}
    constants = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return saved(folder, nodes, {"x": (1, 3, 7, 6)}, "y", {**constants, "to": np.array([-1, 24])})


def one_element(nest, arch, mapping, operands):
    ran = contract(nest, arch, mapping, operands)
    ran.output.flat[-1] *= 1 + 1e-12
    return ran


def one_product(nest, arch, mapping, operands):
    """The last product of the last result, left out."""
    name = nest.tensors[1].name
    weight = operands[name].copy()
    weight.flat[-1] = 0
    return contract(nest, arch, mapping, operands | {name: weight})


def turned(nest, arch, mapping, operands):
    name = nest.tensors[1].name
    return contract(
        nest, arch, mapping, operands | {name: operands[name].swapaxes(-1, -2).reshape(operands[name].shape)}
    )


def single_precision(nest, arch, mapping, operands):
    """Sums in float32, as no executor here makes them."""
    return Ran(contract(nest, arch, mapping, operands).output.astype(np.float32).astype(np.float64), counts(nest))


EXECUTORS = (one_element, one_product, turned, single_precision)


@pytest.mark.parametrize("mutant", EXECUTORS)
@pytest.mark.parametrize("layer", ["conv", "gemm"])
def test_wrong_executors_are_told_from_double_precision(mutant, layer: str, tmp_path: Path):
    model = plain(tmp_path)
    target = next(node.nest for node in model.network.layers if node.name == layer)
    found = verify(model, lambda nest, *rest: (mutant if nest is target else contract)(nest, *rest))
    assert found.failure.startswith(f"layer {layer}: ") and "against double precision" in found.failure


@pytest.mark.parametrize("mutant", EXECUTORS)
def test_wrong_executors_show_where_outputs_cancel(mutant, tmp_path: Path):
    """Each layer is as strict as elsewhere."""
    model = load(kinds.text_classifier(tmp_path, depth=2))
    last = model.network.layers[-1].nest

    def wrong(nest, *rest):
        return (mutant if nest is last else contract)(nest, *rest)

    assert "against double precision" in verify(model, wrong, inputs=CANCELLING).failure


@pytest.mark.parametrize("off", [1, -1])
def test_integers_are_exact(off: int, tmp_path: Path):
    def wrong(nest, *rest):
        ran = contract(nest, *rest)
        ran.output.flat[0] += off
        return ran

    assert "against double precision" in verify(load(kinds.dynamic_bytes(tmp_path)), wrong).failure


def transposed(binding):
    (name, view), *_ = [pair for pair in binding.operands.items() if pair[1].value == "v"] or [(None, None)]
    return name and replace(binding, operands={**binding.operands, name: replace(view, perm=view.perm[::-1])})


def shifted_pads(binding):
    """One row of pads at the other end."""
    pairs = [(name, view) for name, view in binding.operands.items() if any(view.pads[2:3])]
    for name, view in pairs:
        (before, after), rest = view.pads[2], view.pads[3:]
        pads = (*view.pads[:2], (before - 1, after + 1), *rest)
        return replace(binding, operands={**binding.operands, name: replace(view, pads=pads)})
    return None


def result(**changes):
    return lambda binding: replace(binding, result=replace(binding.result, **changes))


BINDINGS = {
    "transposed weight": ("gemm", transposed),
    "pads off by one": ("conv", shifted_pads),
    "dropped bias of a convolution": ("conv", result(bias=None)),
    "dropped bias of a product": ("gemm", result(bias=None)),
    "alpha": ("gemm", result(alpha=0.5001)),
    "beta": ("gemm", result(beta=1.0)),
}


@pytest.mark.parametrize("name", BINDINGS)
def test_wrong_operands_are_told_from_onnxruntime(name: str, tmp_path: Path):
    """The nest is executed as it should be, on something else than the operator means."""
    layer, change = BINDINGS[name]
    model = plain(tmp_path)
    wrong = change(model.region.bindings[layer])
    assert wrong is not None
    bindings = {**model.region.bindings, layer: wrong}
    found = verify(replace(model, region=replace(model.region, bindings=bindings)))
    assert found.failure.startswith(f"layer {layer}: ") and "against ONNX Runtime" in found.failure
    assert all(not check.mismatch for check in found.wiring)


def swapped(original):
    """The inputs of Sub the other way round, in whatever walks the model."""

    def told(walk, region, node, *rest):
        if node.op_type == "Sub":
            name, inputs = f"{node.name} swapped", list(node.input)[::-1]
            node = helper.make_node("Sub", inputs, list(node.output), name=name)
        return original(walk, region, node, *rest)

    return told


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("inputs", [{}, CANCELLING])
def test_wrong_wiring_is_told_from_the_whole_model(depth: int, inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Even where outputs are ill-conditioned: the same code with ONNX Runtime's layers gives something else."""
    model = load(kinds.text_classifier(tmp_path, depth=depth))
    for module in (referee, executed):
        monkeypatch.setattr(module, "told", swapped(module.told))
    found = verify(model, inputs=inputs)
    assert all(not check.mismatch for check in found.layers)
    assert found.failure.startswith("wiring of Sub node " if found.ill_conditioned else "wiring of output ")


def test_a_trip_too_few_is_wrong_wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def short(node, values, trip, body):
        fewer = {**values, node.input[0]: values[node.input[0]] - 1}
        return loop(node, fewer, trip, body)

    loop, path = control.loop, kinds.repeated(tmp_path)
    assert verify(load(path)).passed
    monkeypatch.setattr(control, "loop", short)
    assert verify(load(path)).failure.startswith("wiring of output ")


@pytest.mark.parametrize(("off", "inputs"), [(0.01, {}), (1.0, {}), (1.0, CANCELLING)])
def test_what_is_handed_on_otherwise_is_no_rounding(
    off: float, inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A layer that is right, and another value where it is read, of the size of itself where all cancels anyway."""
    right = Executed.layer

    def layer(self, region, node, values, part):
        found = right(self, region, node, values, part)
        return found + off * np.abs(found).max() * (node.name == self.site.model.network.layers[-1].name)

    monkeypatch.setattr(Executed, "layer", lambda *given: layer(*given).astype(np.float32))
    found = verify(load(kinds.text_classifier(tmp_path)), inputs=inputs)
    assert found.failure.startswith("output ")


@pytest.mark.parametrize("off", [2, 100])
def test_more_than_one_step_is_no_rounding(off: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor is a quantised value two steps off, though what it is made of agrees."""
    original = executed.told

    def told(walk, region, node, *rest):
        found = original(walk, region, node, *rest)
        if node.op_type == "QuantizeLinear":
            (name,) = found
            found[name] = found[name].copy()
            found[name].flat[7] ^= off
        return found

    monkeypatch.setattr(executed, "told", told)
    assert verify(load(kinds.rounding_tie(tmp_path))).failure.startswith("output ")


def test_a_referee_that_contradicts_itself_excuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    original = referee.told

    def told(walk, region, node, *rest):
        found = original(walk, region, node, *rest)
        return {name: array * np.float32(rng.normal(1, 0.1)) for name, array in found.items()}

    monkeypatch.setattr(referee, "told", told)
    assert not verify(plain(tmp_path)).passed


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_the_bound_holds_and_is_sharp():
    """Sums in any order pass; one product that is off by what it is itself times 1e-12 does not."""
    seed = np.random.SeedSequence().entropy
    print("seed", seed)
    rng = np.random.default_rng(seed)
    nest = gemm(M=4, N=5, K=700)
    operands = {t.name: rng.standard_normal(nest.shape(t)) * 10.0 ** rng.integers(-3, 4) for t in nest.tensors[:2]}
    exact_sums, size = reference(nest, operands), magnitude(nest, operands)
    shape = exact_sums.shape
    a, b = (operands[t.name].reshape(-1, *operands[t.name].shape[-2:])[0] for t in nest.tensors[:2])
    order = rng.permutation(700)
    other = np.zeros((4, 5))
    for k in order:
        other += np.outer(a[:, k], b[k])
    assert terms(nest) == 700
    assert misplaced(nest, other.reshape(shape), exact_sums, size, integers=False) is None
    wrong = other.reshape(shape) + 1e-12 * size
    assert misplaced(nest, wrong, exact_sums, size, integers=False) is not None


def test_integers_up_to_what_doubles_hold_are_exact():
    nest = gemm(M=1, N=1, K=2)
    shape = nest.shape(nest.output)
    right, small, large = np.full(shape, 5.0), np.full(shape, 9.0), np.full(shape, 2.0**60)
    assert misplaced(nest, right, right + 1, small, integers=True) is not None
    assert misplaced(nest, right, right + 1, large, integers=True) is None


def test_what_is_beyond_single_precision_is_not_compared_but_executed(tmp_path: Path):
    """Infinities depend on the order of a sum: ONNX Runtime's may be no numbers where ours are infinite."""
    graph = kinds.Graph()
    weight = graph.constant(1e30 * np.random.default_rng(0).standard_normal((8, 3)))
    y = graph("MatMul", graph("Mul", "x", graph.constant(1e20)), weight)
    path = graph.save(tmp_path / "huge.onnx", {"x": (TensorProto.FLOAT, (4, 8))}, y)
    found = verify(load(path))
    assert found.passed, found.failure
    assert "beyond float32" in dict(found.uncompared)["layer MatMul_1"]

    def wrong(nest, *rest):
        ran = contract(nest, *rest)
        return Ran(ran.output * (1 + 1e-12), ran.counts)

    assert "double precision" in verify(load(path), wrong).failure


def test_sums_of_nothing_but_zeros_warn_of_nothing(tmp_path: Path):
    """The share of an error in sum|a||b| is not asked where that is 0 (warnings are errors here)."""
    graph = kinds.Graph()
    y = graph("MatMul", graph("Mul", "x", graph.constant([[0.0], [1.0]])), graph.constant(np.ones((4, 3))))
    found = verify(load(graph.save(tmp_path / "zeros.onnx", {"x": (TensorProto.FLOAT, (2, 4))}, y)))
    assert found.passed, found.failure


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64, TensorProto.UINT32, TensorProto.UINT64])
@pytest.mark.parametrize("op", ["MatMul", "ReduceSum"])
@pytest.mark.parametrize("half", [False, True])
def test_integers_that_overflow_raise_no_false_alarm(kind: int, op: str, half: bool, tmp_path: Path):
    """Products wrap as ONNX Runtime's do, its sums saturate; what double precision does not hold is said."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    large = 2 ** (dtype.itemsize * (4 if half else 8) - 2) + 3
    graph = kinds.Graph()
    if op == "MatMul":
        y = graph(op, "x", graph.constant(np.full((5, 2), large), dtype))
    else:
        y = graph(op, graph("Mul", "x", graph.constant(large, dtype)))
    model = load(graph.save(tmp_path / "large.onnx", {"x": (kind, (3, 5))}, y, kind))
    if not model.network.layers:
        return
    found = verify(model, inputs={"x": np.ones((3, 5), dtype)})
    assert found.passed, found.failure
    if op == "MatMul":
        assert ("2^53" in "".join(why for _, why in found.uncompared)) == (5 * large >= 2**53)

    def wrong(nest, *rest):
        ran = contract(nest, *rest)
        return Ran(ran.output + (1 if np.abs(ran.output).max() < 2**53 else 2**20), ran.counts)

    assert verify(model, wrong, inputs={"x": np.ones((3, 5), dtype)}).failure


def test_constants_that_are_not_finite_are_named_as_such(tmp_path: Path):
    graph = kinds.Graph()
    weight = graph.constant([[1.0, np.inf], [np.nan, 2.0]])
    found = verify(
        load(graph.save(tmp_path / "inf.onnx", {"x": (TensorProto.FLOAT, (4, 2))}, graph("MatMul", "x", weight)))
    )
    assert found.passed, found.failure
    why = dict(found.uncompared)["layer MatMul_0"]
    assert why == f"it has values that are not finite as its constants {weight}: it was executed on others"


def test_floats_beside_positions_are_no_steps(tmp_path: Path):
    """TopK makes both; the last bits of the greatest values are no side of anything."""
    graph = kinds.Graph()
    weight = graph.constant(np.random.default_rng(0).standard_normal((64, 32)))
    y = graph("TopK", graph("MatMul", "x", weight), graph.constant([8], np.int64), outputs=2)
    found = verify(load(graph.save(tmp_path / "topk.onnx", {"x": (TensorProto.FLOAT, (16, 64))}, y)))
    assert found.passed and found.steps == 0
    assert max(check.relative_error for check in found.layers) > 0
