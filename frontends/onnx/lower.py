"""From a model to a network: MAC operators become layers, everything else stays as data movement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frontends.onnx import control, einsum, graph, traffic
from frontends.onnx.binding import Binding
from frontends.onnx.expand import EXPANSIONS, expansion
from frontends.onnx.families import PRODUCTS, REDUCTIONS
from frontends.onnx.fold import rename
from frontends.onnx.inference import top, within
from frontends.onnx.merge import Label, merged
from frontends.onnx.region import Region
from frontends.onnx.registry import UNMAPPED, is_elementwise, is_view
from frontends.onnx.shapes import text
from frontends.onnx.site import Lowered, Site
from frontends.onnx.widths import Widths
from mapper.errors import InputError
from mapper.ir import LoopNest, Network, Node, Reduction
from mapper.ir.network import Elements

if TYPE_CHECKING:
    import onnx


ACCUMULATOR_BITS = 32
"""Of products of integers, as ONNX defines ConvInteger and MatMulInteger."""


def lower(proto: onnx.ModelProto, given: Mapping[str, tuple[int, ...]], name: str) -> tuple[Network, Region]:
    """The network of a model, and its region; InputError for what is of unknown shape or not supported.

    `given` are shapes of values that do not follow from those of the inputs.
    """
    lowering = _Lowering()
    region = top(proto, lowering.taken, given)
    found = lowering.run(region, str, 1)
    values = dict.fromkeys(value for node in found.nodes for value in (*node.inputs, *node.outputs))
    shapes = {value: lowering.shapes[value] for value in values if value in lowering.shapes}
    stored = frozenset(lowering.stored.intersection(shapes))
    return Network(name, tuple(shapes.items()), tuple(found.nodes), stored), found.region


@dataclass(frozen=True)
class Lowering:
    """What a region is lowered to: its nodes, the region with what these are made of, and by value the layer whose
    output it is once what is attached has worked on it."""

    nodes: list[Node]
    region: Region
    ends: dict[str, str]


@dataclass
class _Lowering:
    """What holds for all regions of a model: the names of nodes that are taken, and of values by their names in the
    network the shapes, and those that are constant."""

    taken: set[str] = field(default_factory=set)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)

    def run(
        self, region: Region, label: Label, times: int, whole: onnx.NodeProto | None = None, note: str = ""
    ) -> Lowering:
        """A region that runs so many times.

        `whole` is the node of the model that the region is part of, if it stands for more than one; whoever runs that
        node keeps to himself what passes between the parts that move data.
        """
        here = _Here(self, region, label, times, whole, note)
        for node in region.graph.node:
            folded = all(value in region.constant for value in node.output if value)
            # weights are stored as the integers that they are, and their scales are read with them
            if not folded or here.widths.dequantises(node) is not None:
                here.add(node)
        nodes = here.finished()
        return Lowering(nodes, replace(region, bindings=here.bindings, inner=here.inner), here.ends)


class _Here:
    """The lowering of one region."""

    def __init__(
        self, lowering: _Lowering, region: Region, label: Label, times: int, whole: onnx.NodeProto | None, note: str
    ) -> None:
        self.lowering, self.region, self.label = lowering, region, label
        self.times, self.whole, self.note = times, whole, note
        self.shapes = region.shapes
        self.readers = Counter(value for node in region.graph.node for value in graph.reads(node))
        self.readers.update(region.outputs)
        self.widths = Widths(region, self._is_layer, parts=whole is not None)
        self.nodes: list[Node] = []
        self.bindings: dict[str, Binding] = {}
        self.inner: dict[str, dict[str, Region]] = {}
        self.ends: dict[str, str] = {}  # by value, the layer whose output it is once what is attached has worked on it
        self.movers: list[onnx.NodeProto] = []  # nodes of this region that are data movement of their own
        self.owners: dict[str, str] = {}  # by node of the network, the node of this region that it comes from
        self.places: dict[str, int] = {}  # likewise, where it stands

    def add(self, node: onnx.NodeProto) -> None:
        """Lower a node."""
        before = len(self.nodes)
        try:
            if self._is_idle(node):
                self._move(node, "one of its sizes is 0: it computes nothing")
            elif self._is_product(node):
                self._layer(node, PRODUCTS[node.op_type](Site.of(node, self.region)))
            elif (reduction := self._reduction(node)) is not None:
                self._layer(node, reduction)
            elif (parts := expansion(node, self.region)) is not None:
                self._parts(node, *parts)
            elif node.op_type in control.OPERATORS and graph.is_standard(node):
                self._control(node)
            else:
                self._move(node, _note(node))
        except InputError as error:
            # a nest that refuses its extents, or a shape that is missing, does not know its node
            where = error.place if error.place and error.place.startswith(node.op_type) else graph.place(node)
            raise InputError(error.message, place=where, hint=error.hint or self._doubted(node)) from error
        remarks = "; ".join(self.shapes.remarks[value] for value in node.output if value in self.shapes.remarks)
        if remarks and len(self.nodes) > before:
            told = "; ".join(filter(None, (remarks, self.nodes[before].note)))
            self.nodes[before] = replace(self.nodes[before], note=told)
        for place, made in enumerate(self.nodes[before:], before):
            self.owners[made.name] = self.owners.get(made.to, node.name)
            self.places[made.name] = place

    def _doubted(self, node: onnx.NodeProto) -> str | None:
        """Where the shapes that a node meets are from, of those that do not follow from the inputs."""
        sources = self.shapes.sources
        told = [f"{name} is {text(self.shapes(name))} {sources[name]}" for name in graph.reads(node) if name in sources]
        return "; ".join(told) or None

    def finished(self) -> list[Node]:
        """The nodes, with the widths of layers as what is attached to them leaves them."""
        ends = {layer: value for value, layer in self.ends.items()}  # the last one counts
        self.nodes = [self._with_widths(node, ends[node.name]) if node.name in ends else node for node in self.nodes]
        for name in dict.fromkeys(v for node in self.region.graph.node for v in (*graph.reads(node), *node.output)):
            if name and name not in self.shapes.others and self.shapes.known(name):
                self.lowering.shapes.setdefault(self.label(name), self.shapes(name))
        self.lowering.stored.update(map(self.label, self.region.constant))
        if self.whole is None:
            return self.nodes
        rest = Node(f"{self.whole.name}/rest", self.whole.op_type, (), (), times=self.times)
        movers = {node.name: node for node in self.movers}
        taken = self.lowering.taken
        return merged(
            self.region, self.nodes, movers, self.owners, self.label, rest, lambda name: graph.unique(name, taken)
        )

    # -- layers ------------------------------------------------------------------------------------------------------

    def _reduction(self, node: onnx.NodeProto) -> Lowered | None:
        """A node as a nest of one operand, unless it is part of an operator: who runs that decides how to reduce."""
        if self.whole or node.op_type not in REDUCTIONS or not graph.is_standard(node):
            return None
        return REDUCTIONS[node.op_type](Site.of(node, self.region))

    def _is_product(self, node: onnx.NodeProto) -> bool:
        if not graph.is_standard(node) or node.op_type not in PRODUCTS:
            return False
        if node.op_type != "Einsum":
            return True
        product = einsum.is_product(graph.attributes(node).get("equation", ""))
        return product and not einsum.broadcasts(Site.of(node, self.region))

    def _is_layer(self, node: onnx.NodeProto) -> bool:
        return not self._is_idle(node) and (self._is_product(node) or self._reduction(node) is not None)

    def _is_idle(self, node: onnx.NodeProto) -> bool:
        """Whether what would be layers makes nothing, or sums of nothing."""
        key = ("" if graph.is_standard(node) else node.domain, node.op_type)
        outputs = [value for value in node.output if value]
        if key in EXPANSIONS and not self._is_product(node):  # some of its inputs may well be empty, like a cache
            return bool(outputs) and all(map(self.shapes.is_empty, outputs))
        operands = 0 if key[0] else 2 if node.op_type in PRODUCTS else int(node.op_type in REDUCTIONS)
        if not operands or not all(map(self.shapes.known, outputs)):  # it may not fit together, which it says itself
            return False
        return any(map(self.shapes.is_empty, node.input[:operands]))

    def _layer(self, node: onnx.NodeProto, lowered: Lowered) -> None:
        result = lowered.binding.result
        if self.shapes.known(result.value) and self.shapes(result.value) != result.shape:
            source = self.shapes.sources.get(result.value, "as ONNX infers")
            raise InputError(
                f"its output has shape {text(result.shape)}, not {text(self.shapes(result.value))} {source}"
            )
        self.bindings[node.name] = lowered.binding
        operands = tuple(view.value for view in lowered.binding.operands.values())
        op = self.whole.op_type if self.whole else node.op_type
        self._node(node.name, op, operands, (result.value,), nest=lowered.nest)
        self.ends[result.value] = node.name
        if result.bias is not None:
            name = graph.unique(f"{node.name}/bias", self.lowering.taken)
            read = ((result.bias_words, self.shapes.bits(result.bias)),)
            self._node(name, "Bias", (result.bias,), (), reads=read, to=node.name)
        zeros = tuple(view.zero for view in lowered.binding.operands.values() if view.zero is not None)
        if zeros:
            name = graph.unique(f"{node.name}/zeros", self.lowering.taken)
            self._node(name, "ZeroPoint", zeros, (), reads=self.region.moved(zeros), to=node.name)

    def _with_widths(self, layer: Node, end: str) -> Node:
        """A layer whose elements have the bits of the values that are read, and of the one that is written."""
        assert layer.nest is not None
        nest = layer.nest
        bits = {tensor.name: tensor.bits for tensor in nest.tensors}
        if layer.name in self.bindings:
            bits |= {name: self.widths.bits(v.value) for name, v in self.bindings[layer.name].operands.items()}
            narrow = all(_few(n) for name, n in bits.items() if name != nest.output.name)
            sums = narrow and nest.reduction is Reduction.SUM
            nest = replace(nest, partial_bits=ACCUMULATOR_BITS if sums else None)
        bits[nest.output.name] = self.shapes.bits(end)
        return replace(layer, nest=replace(nest, tensors=tuple(replace(t, bits=bits[t.name]) for t in nest.tensors)))

    # -- nodes made of others ----------------------------------------------------------------------------------------

    def _parts(self, node: onnx.NodeProto, body: onnx.GraphProto, opsets: list[onnx.OperatorSetIdProto]) -> None:
        self._with_integers(node, body)
        inner = within(self.region, body, (), f"{node.name}/", self.lowering.taken, opsets, parts=True)
        layers = [part for part in inner.graph.node if graph.is_standard(part) and part.op_type in PRODUCTS]
        if len(layers) == 1 and not any(part.op_type in control.OPERATORS for part in inner.graph.node):
            layers[0].name = node.name  # a layer keeps the name of its node
        own = {*graph.reads(node), *node.output}
        found = self.lowering.run(inner, _labels(self.label, own), self.times, self.whole or node, self.note)
        self.nodes += found.nodes
        self.inner[node.name] = {"": found.region}
        self.ends |= {value: layer for value, layer in found.ends.items() if value in node.output}

    def _with_integers(self, node: onnx.NodeProto, body: onnx.GraphProto) -> None:
        """Put what makes floats of stored weights of a node into its body, which then reads the integers."""
        makers: dict[str, onnx.NodeProto] = {}
        for value in graph.reads(node):
            if value in self.region.constant:
                makers |= {maker.name: maker for maker in self.widths.dequantised(value)}
        own = {value: f"{node.name}/{value}" for maker in makers.values() for value in maker.output if value}
        graph.keep(body.node, [rename(n, lambda name: own.get(name, name)) for n in (*makers.values(), *body.node)])

    def _control(self, node: onnx.NodeProto) -> None:
        try:
            nodes, inner, note = self._bodies(node)
        except InputError as error:
            self._move(node, f"its bodies are not compiled: {error.message}")
            return
        self.nodes += nodes
        self.inner[node.name] = inner
        outputs = tuple(value for value in node.output if value in self.region.used)
        self._node(node.name, node.op_type, graph.reads(node), outputs, note=note)

    def _bodies(self, node: onnx.NodeProto) -> tuple[list[Node], dict[str, Region], str]:
        """The nodes of its bodies, these, and a note; InputError if none can be compiled."""
        nodes: list[Node] = []
        inner: dict[str, Region] = {}
        problems: dict[str, InputError] = {}
        for body in control.bodies(node, self.region):
            prefix = f"{node.name}/{body.attribute.removesuffix('_branch')}/" if body.branch else f"{node.name}/"
            note, times = f"which branch runs depends on {node.input[0]}: both are compiled, and counted", self.times
            try:
                opsets, taken = self.region.proto.opset_import, self.lowering.taken
                parts = self.whole is not None
                region = within(self.region, body.graph, body.types, prefix, taken, opsets, parts=parts)
                control.check_states(body, region)
                stored = region.captured & self.region.constant
                region = replace(region, narrow={value: self.widths.bits(value) for value in stored})
                if not body.branch:
                    trips = control.trips(node, self.region, region)
                    note = "" if trips is not None else "how often it runs is not known: its body is counted once"
                    times *= 1 if trips is None else trips
                label = _labels(self.label, region.captured, prefix)
                found = self.lowering.run(region, label, times, self.whole, self.note or note)
            except InputError as error:
                problems[body.attribute] = error
                continue
            nodes += found.nodes
            inner[body.attribute] = found.region
        if not inner:
            raise next(iter(problems.values()))
        for attribute, problem in problems.items():
            note = f"its {attribute} is not compiled: {problem.message}"
        return nodes, inner, note

    # -- data movement -----------------------------------------------------------------------------------------------

    def _move(self, node: onnx.NodeProto, note: str) -> None:
        """A node that moves data: nothing if it is a view, other operands only if it is attached to a layer."""
        inputs, moved = graph.reads(node), self.widths.moved
        outputs = tuple(value for value in node.output if value in self.region.used) or tuple(node.output[:1])
        if is_view(node, outputs, self.shapes.types):
            if all(map(self.shapes.known, (inputs[0], outputs[0]))):
                read, made = map(self.shapes.elements, (inputs[0], outputs[0]))
                if read != made:
                    raise InputError(f"it makes {made} elements of {read}")
            if self._single(inputs[:1]):
                self.ends[outputs[0]] = self.ends[inputs[0]]
            self._node(node.name, node.op_type, inputs, outputs, note=note)
        elif (value := self._attaches(node, inputs, outputs)) is not None:
            layer = self.ends[outputs[0]] = self.ends[value]
            others = moved(name for name in inputs if name != value)
            self._node(node.name, node.op_type, inputs, outputs, reads=others, to=layer)
        elif (reader := self.widths.dequantises(node)) is not None:
            self._node(node.name, node.op_type, inputs, outputs, reads=moved(inputs[1:]), to=reader)
        elif self._quantises_what_moved(node):
            self._node(node.name, node.op_type, inputs, outputs, reads=moved(inputs[1:]))
        else:
            self.movers.append(node)
            reads = moved(traffic.read(node, self.region))
            writes = self.region.moved(self.widths.quantised(value) or value for value in outputs)
            self._node(node.name, node.op_type, inputs, outputs, reads=reads, writes=writes, note=note)

    def _quantises_what_moved(self, node: onnx.NodeProto) -> bool:
        """Whether a node quantises what another moves, which then writes what this one makes."""
        return (
            bool(node.input and self.widths.quantised(node.input[0]))
            and self.widths.makers.get(node.input[0]) in self.movers
        )

    def _attaches(self, node: onnx.NodeProto, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str | None:
        """The output of a layer that an element-wise node works on as soon as it is there; None if there is none.

        Of two layers' outputs it is that of the later: the other is in memory by then. Outputs that have been brought
        to a few bits are written before they are widened again.
        """
        if not is_elementwise(node) or len(outputs) != 1:
            return None
        own = [
            value
            for value in inputs
            if self._single((value,))
            and self.shapes.elements(value) == self.shapes.elements(outputs[0])
            and not (_few(self.shapes.bits(value)) and not _few(self.shapes.bits(outputs[0])))
        ]
        return max(own, key=lambda value: self.places.get(self.ends[value], -1), default=None)

    def _single(self, values: tuple[str, ...]) -> bool:
        """Whether a value is the output of a layer and has one reader."""
        return bool(values) and values[0] in self.ends and self.readers[values[0]] == 1

    def _node(
        self,
        name: str,
        op: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        *,
        nest: LoopNest | None = None,
        reads: Elements = (),
        writes: Elements = (),
        to: str = "",
        note: str = "",
    ) -> None:
        read = (value for value in inputs if nest or value not in self.region.invented)
        inputs, outputs = (tuple(map(self.label, values)) for values in (read, outputs))
        told = "; ".join(dict.fromkeys(filter(None, (note, self.note if nest else ""))))
        self.nodes.append(Node(name, op, inputs, outputs, nest, reads, writes, to, self.times, told))


def _labels(outer: Label, shared: Iterable[str], prefix: str = "") -> Label:
    """Names of the values of a region: those that it shares with the one around it keep theirs."""
    common = frozenset(shared)
    return lambda value: outer(value) if value in common else f"{prefix}{value}"


def _few(bits: int | None) -> bool:
    """Whether elements are so narrow that sums of their products need more."""
    return bits is not None and bits < 16


def _note(node: onnx.NodeProto) -> str:
    """What the node's traffic does not say: arithmetic that is not counted."""
    inside = {inner.op_type for body in graph.subgraphs(node) for inner in graph.all_nodes(body)}
    if node.op_type in UNMAPPED or inside & {*UNMAPPED, *PRODUCTS, *(op for _, op in EXPANSIONS)}:
        return "its multiply-accumulates are not counted"
    return ""
