"""The mappings that the Eyeriss chip ran, in our notation, and what the cost model says of them.

Nothing is fitted: the mappings follow from the published parameters, the counts from the mappings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import prod

from frontends.onnx import load
from mapper.arch import Architecture, FanOut, Memory, load_architecture
from mapper.cost import Cost, evaluate
from mapper.cost.cuts import Cuts
from mapper.ir import LoopNest, Network
from mapper.mapping import Keep, Mapping, ParFor, parse_mapping, tidy, violations
from validation.eyeriss_published import BATCH, BYTES_PER_WORD, LAYERS, Published

ARCHITECTURE, MODEL = "eyeriss_v1", "survey/alexnet"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the chip does against reading an input word twice.

    `window`: the ifmap scratchpad keeps the words that consecutive windows share. `diagonal`: one read of the global
    buffer serves all PEs that need the word, which lie on a diagonal of a PE set.
    """

    window: bool
    diagonal: bool


CHIP = Sharing(window=True, diagonal=True)
LESS = Sharing(window=False, diagonal=False), Sharing(window=True, diagonal=False)

OPEN = "CONV3"
"""The layer whose published mapping and measurement do not belong together."""
ALTERNATIVE = replace(next(layer for layer in LAYERS if layer.name == OPEN), q=3, r=2, t=2)
"""It with parameters that were *not* published; looked for because the published ones miss the measurement."""


def mb(words: int) -> float:
    """Words in MB, 10^6 bytes."""
    return words * BYTES_PER_WORD / 1e6


def machine(sharing: Sharing = CHIP) -> Architecture:
    """The chip as it ships, which is `CHIP`, or with less sharing."""
    arch = load_architecture(ARCHITECTURE)
    return replace(
        arch,
        levels=tuple(
            replace(level, halo=sharing.diagonal)
            if isinstance(level, FanOut)
            else replace(level, rolling=sharing.window)
            if isinstance(level, Memory) and level.name == "ISPAD"
            else level
            for level in arch.levels
        ),
    )


def nest_of(layer: Published, batch: int = BATCH) -> LoopNest:
    """The layer of the model for a batch of images."""
    nest = next(node.nest for node in _network().layers if node.name == layer.name)
    assert nest is not None
    return replace(nest, dims=tuple((dim, batch if dim == "N" else extent) for dim, extent in nest.dims))


def padding(layer: Published) -> Fraction:
    """The share of the layer's padded ifmap that is padding."""
    network, nest = _network(), nest_of(layer, batch=1)
    source = next(node.inputs[0] for node in network.layers if node.name == layer.name)
    return 1 - Fraction(prod(network.shapes[source]), nest.words(nest.tensor("I")))


@cache
def _network() -> Network:
    return load(MODEL).network


def mapping_of(layer: Published, nest: LoopNest, sharing: Sharing = CHIP) -> Mapping:
    """The row-stationary mapping with the published parameters.

    A PE set is R rows by e columns; where e exceeds the columns of the array it is folded into parts that stand above
    each other. Sets of other channels (r) stand above each other, sets of other filters (t) too if there is room, else
    side by side. From outside in: what the global buffer holds partial sums for (m filters, n images, e rows); the
    channels of a pass, whose input tile all passes over those filters share; the passes; the array; in each PE a filter
    row for p filters and q channels, over which the window slides.
    """
    size = {axis.name: axis.size for axis in machine().fanouts[0].axes}
    folds = -(-layer.e // size["x"])
    height = nest.extents["R"] * folds * layer.r
    sets = "y" if height * layer.t <= size["y"] else "x"
    text = f"""
        keep DRAM I W O
        for G 1
        for N {layer.n}
        for K {layer.m}
        for P {layer.e}
        keep GLB O
        for C {layer.q * layer.r}
        keep GLB I
        for K {layer.p * layer.t}
        parfor K {layer.p} PE.{sets}
        parfor C {layer.q} PE.y
        parfor P {-(-layer.e // folds)} PE.y
        parfor R 1 PE.y
        parfor P 1 PE.x
        keep WSPAD W
        for N 1
        for Q 1
        keep ISPAD I{" rolling" if sharing.window else ""}
        keep PSPAD O
        for C 1
        for S 1
        for K 1
    """
    return tidy(parse_mapping(text).items, dict(nest.dims))


def active_pes(nest: LoopNest, mapping: Mapping) -> int:
    """PEs at work in the first step of all, which is when the most are: pieces only get smaller."""
    pieces = {dim: [extent] for dim, extent in nest.dims}
    for item in mapping.items:
        if isinstance(item, ParFor):
            pieces[item.dim] = [
                min(item.step, size - skip) for size in pieces[item.dim] for skip in range(0, size, item.step)
            ]
        elif not isinstance(item, Keep):
            pieces[item.dim] = [min(item.step, size) for size in pieces[item.dim]]
    return prod(len(parts) for parts in pieces.values())


@dataclass(frozen=True)
class Predicted:
    """What the model says of a layer, beside what was measured; traffic in words of 16 bits."""

    layer: Published
    nest: LoopNest
    mapping: Mapping
    cost: Cost
    clock_hz: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.cost.counts.operations

    @property
    def milliseconds(self) -> float:
        """Run time at the core clock."""
        return self.cost.cycles / self.clock_hz * 1e3

    @property
    def measured_cycles(self) -> float:
        """The measured processing latency in cycles of the core clock."""
        return self.layer.processing_ms * self.clock_hz / 1e3

    @property
    def active_pes(self) -> int:
        """The most PEs that work in a step."""
        return active_pes(self.nest, self.mapping)

    @property
    def passes(self) -> int:
        """Processing passes: how often the filter scratchpads are loaded."""
        return Cuts(self.nest, self.mapping).steps(self.mapping.nodes("W")[-1])

    @property
    def filter_words_per_pass(self) -> int:
        """Different filter words that a pass brings to the array."""
        return self.layer.p * self.layer.t * self.layer.q * self.layer.r * self.nest.extents["R"] ** 2

    def dram(self, tensor: str) -> int:
        """DRAM accesses for a tensor."""
        access = self.cost.counts.accesses["DRAM", tensor]
        return access.reads + access.writes

    @property
    def dram_total(self) -> int:
        """All of them, nothing compressed."""
        return self.dram("I") + self.dram("W") + self.dram("O")

    @property
    def dram_padding(self) -> int:
        """Those that fetch padding; exact as padded layers always fetch whole planes."""
        share = padding(self.layer)
        assert share == 0 or self.layer.e == self.nest.extents["P"]
        return int(self.dram("I") * share)

    @property
    def inputs_to_array(self) -> int:
        """Words of the ifmap that the array reads from the global buffer."""
        return self.cost.counts.accesses["GLB", "I"].reads

    @property
    def sums_to_array(self) -> int:
        """Partial sums that the array reads from the global buffer; what goes to DRAM is read there too."""
        return self.cost.counts.accesses["GLB", "O"].reads - self.dram("O")

    @property
    def sums_from_array(self) -> int:
        """Partial sums and results that the array writes into it."""
        return self.cost.counts.accesses["GLB", "O"].writes

    @property
    def glb_array_side(self) -> int:
        """Accesses of the global buffer by the array."""
        return self.inputs_to_array + self.sums_to_array + self.sums_from_array

    @property
    def glb_without_arrival(self) -> int:
        """Those and the reads of results on their way to DRAM: all but the writes of the ifmap from DRAM."""
        return self.glb_array_side + self.dram("O")

    @property
    def glb_total(self) -> int:
        """All accesses of the global buffer."""
        return self.glb_without_arrival + self.dram("I")


def predict(layer: Published, sharing: Sharing = CHIP) -> Predicted:
    """The model's figures for a layer; AssertionError should its mapping not be legal."""
    arch, nest = machine(sharing), nest_of(layer)
    mapping = mapping_of(layer, nest, sharing)
    problems = violations(nest, arch, mapping)
    assert not problems, problems
    assert arch.clock_hz is not None
    return Predicted(layer, nest, mapping, evaluate(nest, arch, mapping), arch.clock_hz)
