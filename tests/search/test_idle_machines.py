"""The machines that come with the package and the examples: each kind of layer keeps them busy, or is told why not."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

import mapper
from mapper.arch import Only, Spatial, Spec, load_architecture, parse_architecture, spec_names
from mapper.ir import conv, gemm, parse_nest, pool
from mapper.mapping.constraints import resolve, unrolled

OWN = {path.stem: path for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))}
LAYERS = {
    "conv": conv(K=32, C=16, P=4, Q=8, R=3, S=3),
    "gemm": gemm(M=16, N=32, K=32),
    "depthwise": conv(G=32, P=4, Q=8, R=3, S=3),
    "pool": pool(C=32, P=4, Q=4, R=2, S=2),
    "attention": parse_nest("S[b,h,q,k] += Q[b,h,q,d] * K[b,h,k,d] {b=1 h=4 q=16 k=16 d=16}"),
    "1-D": conv(K=32, C=16, Q=16, S=3),
}
SAID = {  # the axes that machines are told to leave idle, by dataflow and layer
    ("weight_stationary", "depthwise"): ["y"],  # there is one input channel to add up
    ("weight_stationary", "pool"): ["y"],
    ("output_stationary", "gemm"): ["y"],  # a single row of outputs
    ("output_stationary", "attention"): ["y"],
    ("output_stationary", "1-D"): ["y"],
}


def load(name):
    return load_architecture(str(OWN.get(name, name)))


def machines(names):
    return [(name, dataflow) for name in names for dataflow in (None, *dict(load(name).dataflows))]


def test_all_examples_are_here():
    assert list(OWN) == ["int8_accelerator", "my_accelerator", "weight_stationary"]


def search(layer, arch, dataflow=None):
    return mapper.search(layer, arch, objective="latency", factors="perfect", dataflow=dataflow)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("name", "dataflow"),
    [
        *machines(["my_accelerator", "weight_stationary"]),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in machines([*spec_names(), "int8_accelerator"])),
    ],
)
def test_no_axis_is_idle_in_silence(name, dataflow, layer):
    arch, nest = load(name), LAYERS[layer]
    result = search(nest, arch, dataflow)
    warned = {idle.place for idle in result.warnings}
    assert sorted(warned) == [f"PE.{axis}" for axis in SAID.get((dataflow, layer), [])]
    # of an axis that is idle without a word, everything that is left to unroll could be unrolled there; or something
    # could, and other parts of the machine take more time
    flow = arch.dataflow(dataflow) if dataflow else ()
    told = resolve((*arch.constraints, *flow), nest, arch, strict=False)
    used = unrolled(nest, result.mapping)
    for fanout in arch.fanouts:
        for axis in fanout.axes:
            if f"{fanout.name}.{axis.name}" in warned or any(key[1] == axis.name for key in used):
                continue
            left = {d for d, n in nest.dims if math.prod(m for key, m in used.items() if key[2] == d) < n}
            allowed = left & axis.takes(nest)
            for c in told:
                assert not isinstance(c, Spatial)
                if isinstance(c, Only) and c.axis in (None, axis.name):
                    allowed &= set(c.meant)
            assert allowed == left or (allowed and result.cost.bottleneck != arch.compute.name)


def test_a_product_runs_on_all_elements_of_the_documented_machine():
    arch, nest = load("weight_stationary"), gemm(M=32, N=32, K=32)
    result = search(nest, arch, "weight_stationary")
    assert math.prod(unrolled(nest, result.mapping).values()) == 256
    assert result.warnings == ()
    # by the names of a convolution it ran on 16 of them, in silence
    flow = [c for text in ("PE.x only K", "PE.y only C") for c in mapper.parse_constraint(text)]
    result = search(nest, replace(arch, dataflows=(("named", tuple(flow)),)), "named")
    assert math.prod(unrolled(nest, result.mapping).values()) == 16
    assert list(map(str, result.warnings)) == ["axis PE.y is idle: 'PE.y only C' leaves out M, N and K"]
    assert "<p>warning: axis PE.y is idle: " in result._repr_html_()


NAMES = {
    "output_channels": "K", "input_channels": "C", "groups": "G", "batch": "N", "rows": "P", "columns": "Q",
    "reduction": "C,R,S",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dataflow"), machines(OWN))
def test_for_a_convolution_a_role_is_the_name_of_its_dim(name, dataflow):
    # roles stand in lists of dims and in constraints; axes have names of their own
    text = re.sub(
        r"(?<=dims: )\[.*\]|^ +- (PE|reduction).*$",
        lambda part: re.sub("|".join(NAMES), lambda role: NAMES[role[0]], part[0]),
        OWN[name].read_text("utf-8"),
        flags=re.MULTILINE,
    )
    by_name = parse_architecture(Spec(name, text))
    assert by_name != load(name)
    for nest in (LAYERS["conv"], conv(N=4, K=16, C=8, P=4, Q=4, R=3, S=3, stride=(2,))):
        found, other = (search(nest, arch, dataflow) for arch in (load(name), by_name))
        assert (found.cost, found.mapping, found.status) == (other.cost, other.mapping, other.status)
