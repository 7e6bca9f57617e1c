"""Small models as exporters write them, end to end: counted by hand, and equal to ONNX Runtime on the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import model_zoo as zoo
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_cases import executed, saved

from backends.execute.network import verify_network
from frontends.onnx import load
from mapper.arch import load_architecture
from mapper.errors import InputError
from mapper.ir import parse_network
from mapper.network import compile_network
from mapper.options import Options
from mapper.search import Factors


@dataclass(frozen=True)
class Case:
    """A model for some sizes of its symbolic dims; its multiply-accumulates, and how many layers multiply and how many
    only reduce."""

    build: Callable[[], onnx.ModelProto]
    dims: dict[str, int]
    macs: int
    products: int
    reductions: int = 0


def attention(rows: int, keys: int, width: int) -> int:
    """What the words find in so many others, all heads together: scores and values."""
    return 2 * rows * keys * width


def encoder(batch: int, sequence: int) -> Case:
    """Four projections and two products of attention, two of the layers behind it, in each of two blocks."""
    rows, d, f, blocks = batch * sequence, 8, 12, 2
    block = 4 * rows * d * d + attention(rows, sequence, d) + 2 * rows * d * f
    return Case(zoo.encoder, {"batch": batch, "sequence": sequence}, blocks * block, blocks * 8)


def decoder(batch: int, sequence: int, past: int) -> Case:
    """Q, K and V are one product, and there are logits; a normalisation has two means."""
    rows, d, f, words, blocks = batch * sequence, 8, 12, 20, 2
    block = 4 * rows * d * d + attention(rows, past + sequence, d) + 2 * rows * d * f
    dims = {"batch": batch, "sequence": sequence, "past": past}
    return Case(zoo.decoder, dims, blocks * block + rows * d * words, blocks * 6 + 1, 2 * (2 * blocks + 1))


def gated_decoder(batch: int, sequence: int, past: int) -> Case:
    """Keys and values have half of the heads, and a third product is the gate; a normalisation has one mean. The
    rotations are those of known places."""
    rows, d, f, words = batch * sequence, 8, 12, 20
    block = 3 * rows * d * d + attention(rows, past + sequence, d) + 3 * rows * d * f
    dims = {"batch": batch, "sequence": sequence, "past": past}
    return Case(zoo.gated_decoder, dims, block + rows * d * words, 10, 3)


def generator(batch: int, sequence: int, past: int) -> Case:
    """Queries, keys and values are one product, with half as many heads for the keys; five with the gate in a block."""
    rows, d, f, words, blocks = batch * sequence, 64, 80, 20, 2
    block = 3 * rows * d * d + attention(rows, past + sequence, d) + 3 * rows * d * f
    dims = {"batch": batch, "sequence": sequence, "past": past, "total": past + sequence}
    return Case(zoo.generator, dims, blocks * block + rows * d * words, blocks * 7 + 1)


def vit(batch: int) -> Case:
    """Nine patches of 4 x 4 and a class token; the head reads the token."""
    tokens, d, f, classes, blocks = 9 + 1, 8, 12, 5, 2
    rows = batch * tokens
    block = 4 * rows * d * d + attention(rows, tokens, d) + 2 * rows * d * f
    macs = batch * (9 * d * 3 * 4 * 4 + d * classes) + blocks * block
    return Case(zoo.vit, {"batch": batch}, macs, 2 + blocks * 6)


def unet(batch: int, height: int, width: int, *, resize: bool = False) -> Case:
    """Two convolutions on each of two levels down, below, and up; at the end one of 1 x 1.

    On the way up each input of a transposed convolution meets its four taps, one in each phase; or what was resized is
    convolved by 1 x 1.
    """
    sizes = [batch * (height >> level) * (width >> level) for level in range(3)]
    channels = [4, 8, 16]
    macs = sum(9 * size * n * (m + n) for size, m, n in zip(sizes, [3, *channels], channels, strict=False))
    for level in (1, 0):
        n, m, size = channels[level], channels[level + 1], sizes[level]
        macs += size * m * n if resize else sizes[level + 1] * 4 * m * n
        macs += 9 * size * n * (2 * n + n)
    macs += sizes[0] * 4 * 2
    dims = {"batch": batch, "height": height, "width": width}
    return Case(lambda: zoo.unet(resize=resize), dims, macs, 11 + 2 * (1 if resize else 4), 2)


def quantized_cnn(batch: int) -> Case:
    """Outputs of 4 x 4: a convolution of 3 channels, a depthwise one; pooled, four channels of 2 x 2 are classified."""
    macs = batch * (4 * 4 * 4 * 9 * 3 + 4 * 4 * 4 * 9 + 4 * 2 * 2 * 5)
    return Case(zoo.quantized_cnn, {"batch": batch}, macs, 3, 1)


SMALL = {
    "encoder": encoder(2, 5),
    "decoder": decoder(2, 3, 4),
    "gated decoder": gated_decoder(2, 3, 4),
    "generator": generator(2, 1, 4),
    "vit": vit(2),
    "unet": unet(1, 12, 8),
    "resized unet": unet(1, 11, 9, resize=True),
    "quantized cnn": quantized_cnn(2),
}
CASES = SMALL | {
    "encoder, one word": encoder(1, 1),
    "decoder, nothing before": decoder(2, 3, 0),
    "decoder, a mask that is not small": decoder(1, 2, 70),
    "gated decoder, nothing before": gated_decoder(1, 4, 0),
    "gated decoder, one word after many": gated_decoder(3, 1, 5000),
    "generator, nothing before": generator(2, 3, 0),
    "generator, several words": generator(1, 3, 4),
    "vit, one image": vit(1),
    "unet, two images": unet(2, 8, 16),
    "resized unet, even": unet(2, 8, 12, resize=True),
}


def drawn(proto: onnx.ModelProto, dims: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of these sizes: numbers of words and masks of 0 and 1, real values."""
    rng, found = np.random.default_rng(seed), {}
    for value in proto.graph.input:
        kind = value.type.tensor_type
        shape = [dims[d.dim_param] if d.dim_param else d.dim_value for d in kind.shape.dim]
        real = kind.elem_type == zoo.FLOAT
        found[value.name] = rng.standard_normal(shape, np.float32) if real else rng.integers(0, 2, shape)
    if "total" in dims:  # the words are counted by their mask: each sequence has one less than the one before it
        found["attention_mask"] = 1 - np.tri(dims["batch"], dims["total"], -1, np.int64)[:, ::-1]
    return found


def told(path: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime makes of a file as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_model_of_the_zoo(case, tmp_path):
    proto = case.build()
    path, inputs = saved(proto, tmp_path), drawn(proto, case.dims)
    read = load(path, dims=case.dims)
    layers = read.network.layers
    assert sum(layer.times * layer.nest.macs for layer in layers) == case.macs
    assert sum(layer.nest.macs > 0 for layer in layers) == case.products
    assert len(layers) == case.products + case.reductions
    assert not [node.note for node in read.network.nodes if node.note]
    assert parse_network(str(read.network)) == read.network
    found = executed(read, inputs=inputs)
    assert found.passed, found.failure
    assert not found.uncompared
    assert_equal(found.outputs, told(path, inputs))


@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_a_symbol_without_a_size_is_named(case, tmp_path):
    path = saved(case.build(), tmp_path)
    for symbol in case.dims:
        with pytest.raises(
            InputError, match=f"its dimension . is .*give it, for example: --dim {symbol}=1.$"
        ) as caught:
            load(path, dims={name: n for name, n in case.dims.items() if name != symbol})
        assert "\n" not in str(caught.value)


def test_more_words_than_there_are_places(tmp_path):
    """The sizes contradict each other only once constants are folded."""
    path = saved(zoo.encoder(), tmp_path)
    with pytest.raises(InputError, match=r"Add node /Add_7: .*Incompatible dimensions"):
        load(path, dims={"batch": 1, "sequence": 40})


@pytest.mark.slow
@pytest.mark.parametrize("factors", Factors)
@pytest.mark.parametrize("machine", ["simple3", "eyeriss_v1"])
@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_a_model_of_the_zoo_runs_through_its_mappings(case, machine, factors, tmp_path):
    """Mapped, executed word by word: every count is the cost model's, every value ONNX Runtime's."""
    proto, arch = case.build(), load_architecture(machine)
    path, inputs = saved(proto, tmp_path), drawn(proto, case.dims)
    read = load(path, dims=case.dims)
    compiled = compile_network(read.network, arch, Options(factors=factors, time_limit=3))
    mappings = {nest: result.mapping for nest, result in compiled.results.items()}
    counts = {nest: result.cost.counts for nest, result in compiled.results.items()}
    found = verify_network(read, arch, mappings, counts, inputs=inputs)
    assert found.passed, found.failure
    assert found.counts_match and found.layers_checked == len(read.network.layers)
    assert_equal(found.outputs, told(path, inputs))
