"""Messages of bounded length, whatever they quote."""

import pytest
from onnx import helper, load, save

NAME, WORDS = "n" * 3000, "n " * 3000


@pytest.mark.parametrize("long", [NAME, WORDS, "9" * 5000])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: tiny", "name: [{}]"),
        ("axes: {x: 4}", "axes: {{x: {}}}"),
        ("axes: {x: 4}", "axes: {{x: {{size: 4, dims: ['{}']}}}}\n    constraints: ['{}']"),
        ("read: 100 pJ", "read: '{}'"),
        ("memory: RF", "'{}': RF"),
    ],
)
def test_a_spec(old, new, long, mapper, spec):
    spec.write_text(spec.read_text().replace(old, new.format(*[long] * new.count("{}"))))
    assert_readable(mapper("archs", "check", spec))
    assert_readable(mapper("map", "gemm M=2 N=2 K=2", "--arch", spec))


@pytest.mark.parametrize("long", [NAME, WORDS, "9" * 5000])
@pytest.mark.parametrize(
    "layer", ["{}", "gemm M={} N=2 K=2", "gemm {}=2", "gemm M=2 {}", "conv stride={}", "O[m] += {}"]
)
def test_a_layer(layer, long, mapper, spec):
    assert_readable(mapper("map", layer.format(long), "--arch", spec), fails=True)


@pytest.mark.parametrize("long", [NAME, WORDS])
@pytest.mark.parametrize("option", ["--constraint", "--dataflow", "--shape", "--dim", "--value", "--max-words"])
@pytest.mark.parametrize("word", ["{}", "{}=1", "K spatial {} = 2", "{} spatial PE.x = 2"])
def test_an_option(word, option, long, mapper, spec, model):
    assert_readable(mapper("compile", model, "--arch", spec, option, word.format(long)), fails=True)


@pytest.mark.parametrize("long", [NAME, WORDS])
def test_a_model(long, mapper, spec, model):
    proto = load(model)
    proto.graph.node[0].name = long
    proto.graph.node[0].attribute.append(helper.make_attribute("strides", [0, 1]))
    save(proto, model)
    assert_readable(mapper("inspect", model), fails=True)
    assert_readable(mapper("inspect", long), fails=True)


def assert_readable(output, fails=False):
    assert output.code in ((1, 2) if fails else (0, 1)), output
    assert output.err or not fails
    assert max(map(len, output.err.splitlines()), default=0) <= 1100, output.err
