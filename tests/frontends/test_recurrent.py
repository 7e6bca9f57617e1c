"""LSTM, GRU and RNN: what they are made of, by hand, and what it computes, by ONNX Runtime and the standard's cases."""

import re
from itertools import product

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case import node as standard
from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401, reading them registers their cases
from onnx_cases import assert_model_equals_onnxruntime, executed, loaded, model, run_onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from frontends.onnx.expand import expansion
from frontends.onnx.inference import top
from mapper.errors import InputError

T, B, C, H = 3, 2, 5, 4  # steps, batch, inputs and hidden values of a step
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}
DIRECTIONS = ("forward", "reverse", "bidirectional")
STANDARD = [case for case in standard._NodeTestCases if re.search("lstm|gru|rnn", case.name)]


def recurrent(
    op, *, bias=True, lengths=None, states=False, peepholes=False, outputs=None, stored=True, opset=17, **attributes
):
    """A model of one node, with random weights; `lengths` is "input", or the constant lengths of the sequences."""
    rng, rows = np.random.default_rng(7), GATES[op] * H
    count = 1 + (attributes.get("direction") == "bidirectional")
    state = (B, count, H) if attributes.get("layout") else (count, B, H)
    shapes = {"X": (B, T, C) if attributes.get("layout") else (T, B, C)}
    weights = {"W": (count, rows, C), "R": (count, rows, H)}
    weights |= {"B": (count, 2 * rows)} if bias else {}
    weights |= {"P": (count, 3 * H)} if peepholes else {}
    constants = {name: rng.normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    if not stored:
        shapes |= weights
        constants = {}
    if lengths not in (None, "input"):
        constants["lengths"] = np.array(lengths, np.int32)
    starts = ["h", "c"][: len(OUTPUTS[op]) - 1] if states else []
    shapes |= dict.fromkeys(starts, state)
    inputs = ["X", "W", "R", "B" if bias else "", "lengths" if lengths is not None else ""]
    inputs += [*starts, *[""] * (2 - len(starts)), "P" if peepholes else ""]
    while not inputs[-1]:
        inputs.pop()
    outputs = OUTPUTS[op] if outputs is None else outputs
    node = helper.make_node(op, inputs, outputs, name="cell", hidden_size=H, **attributes)
    proto = model([node], shapes, [name for name in outputs if name], constants=constants, opset=opset)
    if lengths == "input":
        proto.graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [B]))
    return proto


def expanded(proto):
    """The model with the parts of its one node instead of the node."""
    region = top(proto, set())
    (node,) = region.graph.node
    parts, opsets = expansion(node, region)
    graph = onnx.GraphProto()
    graph.CopyFrom(proto.graph)
    del graph.node[:]
    graph.node.extend(parts.node)
    graph.initializer.extend(parts.initializer)
    return helper.make_model(graph, ir_version=8, opset_imports=opsets)


def layers(read):
    """Each layer by name: its dims, and how often it runs."""
    return {layer.name: (dict(layer.nest.dims), layer.times) for layer in read.network.layers}


def macs(read):
    return sum(layer.nest.operations * layer.times for layer in read.network.layers)


# -- layers and traffic, by hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "attributes"), [("RNN", {}), ("LSTM", {}), ("GRU", {"linear_before_reset": 1})])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_one_direction_is_a_product_of_all_inputs_and_one_of_the_state_at_each_step(
    op, attributes, direction, tmp_path
):
    read = loaded(recurrent(op, direction=direction, **attributes), tmp_path)
    n = GATES[op] * 4
    assert layers(read) == {
        "cell/input": ({"M": 6, "N": n, "K": 5}, 1),
        "cell/steps/recurrent": ({"M": 2, "N": n, "K": 4}, 3),
    }
    assert macs(read) == 3 * 2 * n * (5 + 4)
    assert {layer.op for layer in read.network.layers} == {op}


def test_the_hidden_gate_of_a_gru_has_a_product_of_its_own_if_it_is_reset_before(tmp_path):
    read = loaded(recurrent("GRU"), tmp_path)
    assert layers(read) == {
        "cell/input": ({"M": 6, "N": 12, "K": 5}, 1),
        "cell/steps/recurrent": ({"M": 2, "N": 8, "K": 4}, 3),
        "cell/steps/hidden/recurrent": ({"M": 2, "N": 4, "K": 4}, 3),
    }
    assert macs(read) == 3 * 2 * 12 * (5 + 4)


def test_two_directions_have_layers_of_their_own(tmp_path):
    read = loaded(recurrent("LSTM", direction="bidirectional"), tmp_path)
    assert layers(read) == {
        f"cell/{way}/{name}": shape
        for way in ("forward", "backward")
        for name, shape in {
            "input": ({"M": 6, "N": 16, "K": 5}, 1),
            "steps/recurrent": ({"M": 2, "N": 16, "K": 4}, 3),
        }.items()
    }
    assert macs(read) == 2 * 3 * 2 * 16 * (5 + 4)


def moved(read):
    """What is read and written beside the layers' own traffic, by name: of nodes attached to a layer under its name."""
    found = {}
    for node in read.network.others:
        reads, writes = (sum(n for n, _ in elements) for elements in (node.reads, node.writes))
        if reads or writes:
            before = found.get(node.to or node.name, (0, 0, node.times))
            found[node.to or node.name] = (before[0] + reads, before[1] + writes, node.times)
    return found


def test_traffic_of_a_step_is_the_inputs_part_the_gates_and_the_state(tmp_path):
    state, gates = 2 * 4, 2 * 16
    assert moved(loaded(recurrent("LSTM", states=True), tmp_path)) == {
        "cell/input": (16, 0, 1),  # the sum of the biases
        "cell/steps/recurrent": (gates, 0, 3),  # the inputs' part, as soon as the product is there
        "cell/rest": (gates + state, 2 * state, 3),  # C and the gates; C' and H', which is the output as well
    }
    peepholes = moved(loaded(recurrent("LSTM", peepholes=True), tmp_path))
    assert peepholes["cell/rest"] == (gates + state + 3 * 4, 2 * state, 3)
    assert moved(loaded(recurrent("RNN"), tmp_path)) == {
        "cell/input": (4, 0, 1),
        "cell/steps/recurrent": (state, 0, 3),
    }
    assert moved(loaded(recurrent("GRU", linear_before_reset=1), tmp_path)) == {
        "cell/input": (12, 0, 1),
        "cell/steps/recurrent": (12, 0, 3),  # the bias of R
        "cell/rest": (3 * state + 3 * state + state, state, 3),  # both parts of three gates, and H
    }
    assert moved(loaded(recurrent("GRU"), tmp_path)) == {
        "cell/input": (12, 0, 1),
        "cell/rest": (2 * state + 2 * state + state, 3 * state, 3),  # writes r H, 1 - z and z H
        "cell/steps/hidden/recurrent": (3 * state, 0, 3),  # the inputs' part, 1 - z and z H
    }


def test_weights_that_are_computed_are_added_and_taken_apart_without_a_copy(tmp_path):
    read = assert_model_equals_onnxruntime(recurrent("LSTM", stored=False), tmp_path)
    assert moved(read) == {
        **moved(loaded(recurrent("LSTM"), tmp_path)),
        "cell/rest_2": (2 * 16, 16, 1),  # the sum of the biases
    }
    assert layers(read) == layers(loaded(recurrent("LSTM"), tmp_path))


def test_a_sequence_that_may_end_reads_its_states_and_whether_it_has(tmp_path):
    state = 2 * 4
    plain = moved(loaded(recurrent("LSTM"), tmp_path))
    masked = moved(loaded(recurrent("LSTM", lengths=(2, 3)), tmp_path))
    reads, writes, times = plain["cell/rest"]
    # whether each of two sequences goes on, and H; of H' and the output, which may differ, both
    assert masked == {**plain, "cell/rest": (reads + 2 + state, writes + state, times)}
    alone = moved(loaded(recurrent("LSTM", lengths=(2, 3), outputs=["", "Y_h"]), tmp_path))
    assert alone["cell/rest"] == (reads + 2 + state, writes, times)


# -- values, by ONNX Runtime -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "linear", "direction", "full"),
    [
        (op, linear, direction, full)
        for op, linear, direction, full in product(GATES, (0, 1), DIRECTIONS, (False, True))
        if op == "GRU" or not linear
    ],
)
def test_values_equal_onnxruntimes(op, linear, direction, full, tmp_path):
    attributes = {"linear_before_reset": linear} if op == "GRU" else {}
    proto = recurrent(op, direction=direction, bias=full, states=full, peepholes=full and op == "LSTM", **attributes)
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert macs(read) == (1 + (direction == "bidirectional")) * T * B * GATES[op] * H * (C + H)


@pytest.mark.parametrize("lengths", [(3, 3), (1, 2), (2, 0), "input"])
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_sequences_may_be_shorter(op, direction, lengths, tmp_path):
    assert_model_equals_onnxruntime(recurrent(op, direction=direction, lengths=lengths, states=True), tmp_path)


@pytest.mark.parametrize(
    "outputs", [["Y"], ["", "Y_h"], ["", "", "Y_c"], ["Y", "", "Y_c"], ["Y", "Y_h"]], ids=lambda names: "-".join(names)
)
def test_outputs_may_be_left_out(outputs, tmp_path):
    assert_model_equals_onnxruntime(recurrent("LSTM", outputs=outputs), tmp_path)


@pytest.mark.parametrize("opset", [7, 13, 14, 22])
@pytest.mark.parametrize("op", GATES)
def test_every_opset_says_the_same(op, opset, tmp_path):
    proto = recurrent(op, direction="bidirectional", lengths=(3, 2), states=True, opset=opset)
    assert layers(assert_model_equals_onnxruntime(proto, tmp_path)) == layers(
        loaded(recurrent(op, direction="bidirectional"), tmp_path)
    )


FUNCTIONS = {
    **dict.fromkeys(("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"), ""),
    **dict.fromkeys(("Elu", "LeakyRelu", "ThresholdedRelu"), "a"),
    **dict.fromkeys(("Affine", "HardSigmoid", "ScaledTanh"), "ab"),
}
"""Each activation of the standard, and which of alpha and beta it has."""


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("op", GATES)
def test_activations(op, name, tmp_path):
    """In each place another alpha and beta; the names may be written in any case, but for an RNN in ONNX Runtime."""
    places = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    told = {"activations": [name if op == "RNN" else name.upper()] * places}
    for key, letter, values in (("activation_alpha", "a", [0.3, 0.2, 0.1]), ("activation_beta", "b", [0.5, 0.6, 0.7])):
        if letter in FUNCTIONS[name]:
            told[key] = values[:places]
    assert_model_equals_onnxruntime(recurrent(op, **told), tmp_path)


def test_alpha_and_beta_are_used_up_by_those_that_have_one_and_have_defaults(tmp_path):
    names = ["Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "Tanh", "LeakyRelu"]
    proto = recurrent(
        "LSTM", direction="bidirectional", activations=names, activation_alpha=[0.4, 0.3], activation_beta=[0.6]
    )
    assert_model_equals_onnxruntime(proto, tmp_path)


def test_an_rnn_may_name_the_two_activations_that_are_its_default(tmp_path):
    assert_model_equals_onnxruntime(recurrent("RNN", activations=["Tanh", "Tanh"]), tmp_path)


@pytest.mark.parametrize("op", GATES)
def test_what_an_activation_is_given_is_clipped(op, tmp_path):
    """An LSTM's cell is not, and becomes larger than the bound here."""
    places = {"LSTM": 3, "GRU": 2, "RNN": 1}[op]
    told = {"activations": ["Affine"] * places, "activation_alpha": [1.0] * places, "activation_beta": [0.8] * places}
    read = assert_model_equals_onnxruntime(recurrent(op, clip=0.3, peepholes=op == "LSTM", **told), tmp_path)
    free = loaded(recurrent(op, peepholes=op == "LSTM", **told), tmp_path)
    X = np.random.default_rng(3).normal(size=(T, B, C)).astype(np.float32)
    protos = [recurrent(op, **told, **clip) for clip in ({}, {"clip": 0.3})]
    values = [run_onnxruntime(expanded(proto), {"X": X})[0] for proto in protos]
    assert not np.allclose(*values)  # so that the bound matters
    assert layers(read) == layers(free)


@pytest.mark.parametrize("peepholes", [False, True])
def test_input_and_forget_gate_may_be_coupled(peepholes, tmp_path):
    assert_model_equals_onnxruntime(recurrent("LSTM", input_forget=1, peepholes=peepholes), tmp_path)


@pytest.mark.parametrize("op", GATES)
def test_half_precision(op, tmp_path):
    proto = recurrent(op, lengths=(3, 2), clip=2.0)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), tensor.name))
    read = assert_model_equals_onnxruntime(proto, tmp_path)
    assert {tensor.bits for layer in read.network.layers for tensor in layer.nest.tensors} == {16}


def test_within_a_loop_a_step_runs_once_for_each_trip_and_step(tmp_path):
    weights = recurrent("RNN")
    (cell,) = weights.graph.node
    cell.output[:] = ["Y", "Y_h"]
    flat = helper.make_node("Squeeze", ["Y", "one"], ["next"])
    go_on = helper.make_node("Identity", ["condition"], ["go_on"])
    cell.input[0] = "state"
    body = helper.make_graph(
        [cell, flat, go_on],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, (T, B, H)),
        ],
        [onnx.ValueInfoProto(name=name) for name in ("go_on", "next")],
    )
    stored = {t.name: numpy_helper.to_array(t) for t in weights.graph.initializer}
    stored |= {"W": stored["R"], "trips": np.array(5), "one": np.array([1])}
    loop = helper.make_node("Loop", ["trips", "", "X"], ["Z"], name="loop", body=body)
    read = assert_model_equals_onnxruntime(model([loop], {"X": (T, B, H)}, ["Z"], constants=stored), tmp_path)
    assert layers(read) == {
        "loop/cell/input": ({"M": 6, "N": 4, "K": 4}, 5),
        "loop/cell/steps/recurrent": ({"M": 2, "N": 4, "K": 4}, 15),
    }


# -- values, by the standard -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", STANDARD, ids=lambda case: case.name)
def test_cases_of_the_standard(case, tmp_path):
    names = [value.name for value in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        found = run_onnxruntime(expanded(case.model), dict(zip(names, inputs, strict=True)))
        for ours, theirs in zip(found, outputs, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    read = loaded(case.model, tmp_path)
    if "batchwise" not in case.name:  # which ONNX Runtime does not run
        found = executed(read)
        assert found.passed, found.failure
    assert len(read.network.layers) >= 2


def test_the_standard_has_cases():
    assert len(STANDARD) >= 18
    assert {case.model.graph.node[0].op_type for case in STANDARD} == set(GATES)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("lengths", [None, (3, 2)])
def test_batches_may_come_first(op, direction, lengths):
    """Layout 1 is layout 0 with steps and batch the other way round; ONNX Runtime has the latter only."""
    rng = np.random.default_rng(5)
    told = {"direction": direction, "lengths": lengths, "states": True}
    steps_first, batch_first = (recurrent(op, layout=layout, opset=14, **told) for layout in (0, 1))
    steps_first.graph.node[0].attribute.remove(
        next(a for a in steps_first.graph.node[0].attribute if a.name == "layout")
    )
    arrays = {
        value.name: rng.normal(size=[d.dim_value for d in value.type.tensor_type.shape.dim]).astype(np.float32)
        for value in steps_first.graph.input
    }
    expected = run_onnxruntime(steps_first, arrays)
    found = run_onnxruntime(expanded(batch_first), {name: array.swapaxes(0, 1) for name, array in arrays.items()})
    turned = [found[0].transpose(1, 2, 0, 3), *(state.swapaxes(0, 1) for state in found[1:])]
    for ours, theirs in zip(turned, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert len(expected) == len(OUTPUTS[op])


def test_batches_first_have_the_same_layers_and_traffic(tmp_path):
    batch_first, steps_first = (loaded(recurrent("LSTM", layout=n), tmp_path) for n in (1, 0))
    assert layers(batch_first) == layers(steps_first)
    assert moved(batch_first) == moved(steps_first)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("LSTM", {"direction": "sideways"}, "unknown direction sideways (one of forward, reverse, bidirectional)"),
        ("RNN", {"layout": 2}, "in layout 2 is not supported"),
        ("GRU", {"activations": ["Sigmoid"]}, "it has 1 activations where 2 are needed"),
        ("GRU", {"activations": ["Sigmoid", "Gelu"]}, "unknown activation Gelu"),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [1.0]}, "the activation Affine needs"),
        ("RNN", {"activations": ["ScaledTanh"]}, "the activation ScaledTanh needs"),
        ("LSTM", {"clip": 0.0}, "clip is 0, and must be more than 0"),
    ],
)
def test_attributes_that_are_not_supported(op, attributes, message, tmp_path):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        loaded(recurrent(op, **attributes), tmp_path)
    assert str(caught.value.place).endswith(f"{op} node cell")


@pytest.mark.parametrize(
    ("name", "shape", "needed"),
    [
        ("W", (1, 16, 6), "(1, 16, 5)"),
        ("W", (1, 12, 5), "(1, 16, 5)"),
        ("R", (1, 16, 5), "(1, 16, 4)"),
        ("B", (1, 16), "(1, 32)"),
        ("lengths", (3,), "(2,)"),
        ("h", (2, 2, 4), "(1, 2, 4)"),
        ("c", (1, 2, 3), "(1, 2, 4)"),
        ("P", (1, 4), "(1, 12)"),
    ],
)
def test_shapes_that_do_not_fit(name, shape, needed, tmp_path):
    proto = recurrent("LSTM", stored=False, lengths="input", states=True, peepholes=True)
    (value,) = (value for value in proto.graph.input if value.name == name)
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    with pytest.raises(InputError, match=re.escape(f"{name} has shape {shape}, not {needed}")):
        loaded(proto, tmp_path)


def test_a_direction_that_the_weights_do_not_have(tmp_path):
    proto = recurrent("GRU")
    proto.graph.node[0].attribute.append(helper.make_attribute("direction", "bidirectional"))
    with pytest.raises(InputError, match=re.escape("W has shape (1, 12, 5), not (2, 12, 5)")):
        loaded(proto, tmp_path)


# -- as integers -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("options", [{}, {"states": True}, {"lengths": (2, 3)}, {"peepholes": True}, {"bias": False}])
@pytest.mark.parametrize("each", [False, True], ids=["one scale", "a scale for each column"])
def test_an_lstm_quantised_as_it_runs(each, options, direction, tmp_path):
    """By ONNX Runtime's own quantiser, to the value: the states of a step are quantised all together."""
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    onnx.save_model(recurrent("LSTM", direction=direction, **options), source)
    quantize_dynamic(source, target, per_channel=each, weight_type=QuantType.QInt8)
    proto = onnx.load(target)
    assert [node.op_type for node in proto.graph.node] == ["DynamicQuantizeLSTM"]
    if "lengths" in options and direction != "forward":  # which steps come together is not what it is elsewhere
        for value in proto.graph.output:
            shape = (T, 2 if direction == "bidirectional" else 1, B, H)
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape[value.name != "Y" :]))
        (node,) = loaded(proto, tmp_path).network.nodes
        assert node.note == "its multiply-accumulates are not counted"
        return
    read = loaded(proto, tmp_path)
    found = executed(read)
    assert found.passed and not found.uncompared, found.failure
    assert layers(read) == {
        name.replace("cell", "cell_quant"): (layer, times)
        for name, (layer, times) in layers(loaded(onnx.load(source), tmp_path)).items()
    }
    for layer in read.network.layers:
        assert [tensor.bits for tensor in layer.nest.tensors] == [8, 8, None]
        assert layer.nest.partial_bits == 32
    assert not [node.note for node in read.network.nodes if node.note]
