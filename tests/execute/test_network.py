"""Networks run through their mappings, layer by layer, against ONNX Runtime."""

import re
from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backends.execute.compare import TOLERANCE, difference, relative_error
from backends.execute.network import Verification, verify_network
from backends.execute.reference import reference
from frontends.onnx import load
from mapper.arch import Architecture, Compute, Memory
from mapper.cost import evaluate
from mapper.errors import InputError, MissingExtraError
from mapper.ir import Term
from mapper.mapping import Access, Counts, Keep, Loop, Mapping, Moves

ARCH = Architecture("one memory", (Memory("DRAM"), Compute("MAC")))
MAPPING = Mapping(tuple(Keep("DRAM", tensor) for tensor in "IWO"))


@dataclass
class Ran:
    output: np.ndarray
    counts: Counts


def counts(nest):
    """Stand-in counts, told apart by the layer."""
    return Counts({("DRAM", "W"): Access(nest.operations, 0)}, {}, nest.operations, nest.operations)


def contract(nest, arch, mapping, operands):
    """A stand-in executor: what the layer must give, by einsum."""
    assert arch is ARCH and mapping is MAPPING
    return Ran(reference(nest, operands), counts(nest))


def verify(model, execute=contract, **options) -> Verification:
    nests = model.network.unique
    expected = {nest: counts(nest) for nest in nests}
    return verify_network(model, ARCH, dict.fromkeys(nests, MAPPING), expected, execute=execute, **options)


def saved(tmp_path, nodes, inputs, output, constants, opset=17):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "case", values, [result], initializer=stored)
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save_model(proto, tmp_path / "case.onnx")
    return load(str(tmp_path / "case.onnx"))


@pytest.fixture
def small(tmp_path):
    """Strided and grouped convolutions, a branch, a view, Gemm, a batched product; all weights are 1."""

    def ones(*shape):
        return np.ones(shape, np.float32)

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1], strides=[2, 1]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"], name="norm"),
        node("Relu", ["n1"], ["r1"], name="relu"),
        node("Conv", ["r1", "w2"], ["c2"], name="conv2", group=2, pads=[1, 1, 1, 1]),
        node("Add", ["c2", "r1"], ["s"], name="add"),
        node("Reshape", ["s", "to"], ["flat"], name="reshape"),
        node("Transpose", ["w3"], ["w3t"], name="folded", perm=[1, 0]),
        node("Gemm", ["flat", "w3t", "b3"], ["g"], name="fc", transB=1, alpha=0.5),
        node("Reshape", ["g", "heads"], ["h"], name="split"),
        node("MatMul", ["h", "h2"], ["y"], name="heads"),
        node("Softmax", ["y"], ["p"], name="softmax"),
    ]
    constants = {
        "w1": ones(4, 3, 3, 3),
        "b1": ones(4),
        "scale": ones(4),
        "shift": ones(4),
        "mean": ones(4),
        "var": ones(4),
        "w2": ones(4, 2, 3, 3),
        "to": np.array([1, -1]),
        "w3": ones(100, 12),
        "b3": ones(12),
        "heads": np.array([3, 2, 2]),
        "h2": ones(3, 2, 5),
    }
    return saved(tmp_path, nodes, {"x": (1, 3, 9, 5)}, "p", constants)


def test_a_network_agrees(small):
    seen = []
    found = verify(small, on_layer=seen.append)
    assert [check.name for check in found.layers] == ["conv1", "conv2", "fc", "heads"]
    assert list(found.layers) == seen
    assert found.passed and found.counts_match and found.layers_checked == 4
    assert found.max_relative_error < TOLERANCE / 10
    assert verify(small, seed=1).max_relative_error != found.max_relative_error


def test_the_counting_executor_agrees(small):
    """The real thing: tiles in a second memory, counts of the cost model."""
    arch = Architecture("two memories", (Memory("DRAM"), Memory("GLB"), Compute("MAC")))
    mappings = {}
    for nest in small.network.unique:
        names = [tensor.name for tensor in nest.tensors]
        dim, extent = max(nest.dims, key=lambda pair: pair[1])
        items = (*(Keep("DRAM", n) for n in names), Loop(dim, -(-extent // 2)), *(Keep("GLB", n) for n in names))
        mappings[nest] = Mapping((*items, *(Loop(d, 1) for d, n in nest.dims if n > 1)))
    expected = {nest: evaluate(nest, arch, mapping).counts for nest, mapping in mappings.items()}
    found = verify_network(small, arch, mappings, expected)
    assert found.passed and found.layers_checked == 4, found


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "survey/alexnet"])
def test_known_models_agree(name):
    """Weights made by nodes, weights that are inputs, an opset whose Softmax is not today's."""
    model = load(name)
    found = verify(model)
    assert found.passed and found.layers_checked == len(model.network.layers)


def transposed_weight(nest, arch, mapping, operands):
    name = nest.tensors[1].name
    turned = operands[name].swapaxes(-1, -2).reshape(operands[name].shape)
    return contract(nest, arch, mapping, operands | {name: turned})


def dropped_tile(nest, arch, mapping, operands):
    """The last tile of the reduction over channels, or over K, is never done."""
    name = nest.tensors[1].name
    weight = operands[name].copy()
    channels = weight.swapaxes(0, -2 if name == "B" else 2)
    channels[-max(len(channels) // 4, 1) :] = 0
    return contract(nest, arch, mapping, operands | {name: weight})


def swapped_stride(nest, arch, mapping, operands):
    """The vertical stride is used horizontally and the other way round; beyond the image there are zeros."""
    (p, r), (q, s) = nest.tensor("I").ranks[3:]
    ranks = (*nest.tensor("I").ranks[:3], (Term(p.dim, q.coef), r), (Term(q.dim, p.coef), s))
    other = replace(nest, tensors=(replace(nest.tensor("I"), ranks=ranks), *nest.tensors[1:]))
    image = np.zeros(other.shape(other.tensor("I")), np.float32)
    rows, columns = (min(pair) for pair in zip(image.shape[3:], operands["I"].shape[3:], strict=True))
    image[..., :rows, :columns] = operands["I"][..., :rows, :columns]
    return contract(other, arch, mapping, operands | {"I": image})


@pytest.mark.parametrize(
    ("mutate", "layer"),
    [
        *((transposed_weight, layer) for layer in ("conv1", "conv2", "fc", "heads")),
        *((dropped_tile, layer) for layer in ("conv1", "conv2", "fc", "heads")),
        (swapped_stride, "conv1"),
    ],
)
def test_mutants_fail(small, mutate, layer):
    target = next(node.nest for node in small.network.layers if node.name == layer)

    def mutant(nest, *rest):
        return (mutate if nest is target else contract)(nest, *rest)

    found = verify(small, mutant)
    check = next(check for check in found.layers if check.name == layer)
    assert not found.passed
    assert check.relative_error > 100 * TOLERANCE
    assert "relative error" in check.mismatch
    assert found.counts_match


def listed(tmp_path, *, stored=False):
    """A sequence that the model is given or makes of constants, from which one is taken, and which is an output."""
    node = helper.make_node
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, (3, 4))
    nodes = [
        *([node("SequenceConstruct", ["a", "b"], ["s"], name="construct")] if stored else []),
        node("SequenceAt", ["s", "at"], ["x"], name="take"),
        node("MatMul", ["x", "w"], ["y"], name="mm"),
        node("SequenceInsert", ["s", "y"], ["more"], name="insert"),
    ]
    more = helper.make_tensor_sequence_value_info("more", TensorProto.FLOAT, None)
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((4, 4)), "a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    at = helper.make_tensor_value_info("at", TensorProto.INT64, ())
    if not stored:
        constants.append(numpy_helper.from_array(np.array(1), "at"))
    graph = helper.make_graph(nodes, "case", [at] if stored else [sequence], [more], initializer=constants)
    path = tmp_path / "case.onnx"
    onnx.save_model(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_sequences_are_executed_and_compared(tmp_path):
    model = load(str(listed(tmp_path)))
    rng = np.random.default_rng(1)
    given = [rng.standard_normal((3, 4)).astype(np.float32) for _ in range(2)]
    found = verify(model, inputs={"s": given})
    assert found.passed and found.layers_checked == 1
    assert [check.name for check in found.others] == ["length of output more", *(f"output more[{i}]" for i in range(3))]
    with pytest.raises(InputError, match="input s is no tensor: none is made up, it must be given"):
        verify(model)

    def wrong(nest, *rest):
        return Ran(contract(nest, *rest).output + 1, counts(nest))

    checks = {check.name: check.mismatch for check in verify(model, wrong, inputs={"s": given}).others}
    assert {name for name, mismatch in checks.items() if mismatch} == {"output more[2]"}


def test_a_sequence_of_constants(tmp_path):
    found = verify(load(str(listed(tmp_path, stored=True))))
    assert found.passed and found.layers_checked == 1 and len(found.others) == 4


def test_text_is_compared(tmp_path):
    """A number of classes becomes the name of one."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["y"], name="mm"),
        node("ArgMax", ["y"], ["at"], axis=1, name="best"),
        node("Gather", ["names", "at"], ["text"], name="names"),
    ]
    names = np.array(["cat", "dog", "owl"], object)
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (5, 4))],
        [helper.make_tensor_value_info("text", TensorProto.STRING, None)],
        initializer=[
            numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w"),
            numpy_helper.from_array(names, "names"),
        ],
    )
    path = tmp_path / "case.onnx"
    onnx.save_model(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    model = load(str(path))
    found = verify(model)
    assert found.passed and found.outputs["text"].dtype == object

    def wrong(nest, *rest):
        return Ran(-contract(nest, *rest).output, counts(nest))

    (mismatch,) = (check.mismatch for check in verify(model, wrong).others)
    assert re.fullmatch(r"at \[\d,0\] '(cat|dog|owl)', not '(cat|dog|owl)'", mismatch)


def test_unlike_counts_fail(small):
    def mutant(nest, arch, mapping, operands):
        ran = contract(nest, arch, mapping, operands)
        return Ran(ran.output, replace(ran.counts, steps=ran.counts.steps + 1))

    found = verify(small, mutant)
    assert not found.passed and not found.counts_match
    assert found.max_relative_error < TOLERANCE
    operations = small.network.layers[0].nest.operations
    assert found.layers[0].mismatch == f"steps: expected {operations}, executed {operations + 1}"


def test_the_first_difference_of_counts():
    one = Counts({("GLB", "I"): Access(3, 4)}, {("PE", "I"): Moves(5, 0, 6)}, 6, 7)
    assert difference(one, replace(one)) is None
    assert difference(one, replace(one, accesses={})) == f"GLB I: expected {Access(3, 4)}, executed None"
    assert (
        difference(replace(one, moves={}), one) == "PE I: expected None, executed Moves(delivered=5, reduced=0, hops=6)"
    )
    assert difference(one, replace(one, operations=8)) == "operations: expected 6, executed 8"


def test_relative_error():
    theirs = np.array([1.0, -4.0], np.float32)
    assert relative_error(np.array([1.0, -3.0], np.float32), theirs) == 0.25
    assert relative_error(theirs[:1], theirs) == np.inf
    assert relative_error(np.array([np.nan, -4.0]), theirs) == np.inf
    assert relative_error(np.zeros(2), np.zeros(2)) == 0.0
    assert relative_error(np.ones(2), np.zeros(2)) == np.inf
    lowest = np.array([np.finfo(np.float32).min, 1], np.float32)
    assert relative_error(np.array([-np.inf, 1], np.float32), lowest) == 0.0
    assert relative_error(np.array([np.inf, 1], np.float32), lowest) == np.inf
    assert relative_error(np.array([0, 1], np.float32), lowest) == np.inf


def test_a_missing_mapping_is_named(small):
    with pytest.raises(InputError, match="conv1: the layer has no mapping"):
        verify_network(small, ARCH, {}, {}, execute=contract)


def test_a_model_that_onnxruntime_cannot_run(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="mm"),
        helper.make_node("Reshape", ["m", "to"], ["y"], name="bad"),
        helper.make_node("MatMul", ["y", "w"], ["z"], name="mm2"),
    ]
    ones = np.ones((4, 4), np.float32)
    model = saved(tmp_path, nodes, {"x": (4, 4)}, "z", {"w": ones, "to": np.array([4, 4])})
    model.region.proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([3, 5]), "to"))
    with pytest.raises(InputError, match="Reshape node bad: ONNX Runtime cannot run it"):
        verify(model)


def test_without_onnxruntime(small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewright\[verify\]'"):
        verify(small)


def test_constants_that_steer_are_kept(tmp_path):
    """Scales of a Resize and a mask made of integer nodes keep their values, and weights beside the file are found."""
    node = helper.make_node
    nodes = [
        node("Resize", ["x", "", "scales"], ["r"], name="resize", mode="nearest"),
        node("Conv", ["r", "w"], ["c"], name="conv"),
        node("Add", ["one", "one"], ["two"], name="two"),
        node("Concat", ["two", "two"], ["to"], name="to", axis=0),
        node("Reshape", ["c", "to"], ["m"], name="reshape"),
        node("MatMul", ["m", "m"], ["y"], name="square"),
    ]
    constants = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "w": np.ones((1, 2, 3, 3), np.float32),
        "one": np.array([1]),
    }
    model = saved(tmp_path, nodes, {"x": (1, 2, 2, 2)}, "y", constants)
    onnx.save_model(
        model.region.proto, tmp_path / "big.onnx", save_as_external_data=True, location="data", size_threshold=0
    )
    for read in (model, load(str(tmp_path / "big.onnx"))):
        assert [check.name for check in verify(read).layers] == ["conv", "square"]
        assert verify(read).passed
