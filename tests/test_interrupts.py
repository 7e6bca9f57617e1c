"""Ctrl-C in Python: it ends the search and the loop around it, and leaves what was found by then."""

import _thread
import pickle
import signal
import threading

import pytest
from onnx import TensorProto, helper

import mapper
from mapper.search import cpsat

LAYER = "conv K=64 C=64 P=56 Q=56 R=3 S=3"


def interrupting(after=1):
    """A callback that interrupts the main thread when it is called for that time."""
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) == after:
            _thread.interrupt_main()

    return call


def test_a_search_raises_with_its_best_result():
    turns = 0
    with pytest.raises(mapper.Interrupted) as interrupt:
        for _ in range(3):
            turns += 1
            mapper.search(LAYER, "simple3", on_progress=interrupting())
    result = interrupt.value.result
    assert turns == 1 and isinstance(interrupt.value, KeyboardInterrupt)
    assert (result.status, result.statistics.interrupted) == (mapper.Status.FEASIBLE, True)
    assert 0 < result.bound <= result.cost.energy
    assert not mapper.violations(
        mapper.conv(K=64, C=64, P=56, Q=56, R=3, S=3), mapper.load_architecture("simple3"), result.mapping
    )


@pytest.mark.parametrize("place", ["mapper.search.cpsat.Search", "mapper.options.mapspace", "mapper.api._architecture"])
def test_an_interrupt_before_anything_is_found_has_no_result(monkeypatch, place):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    with pytest.raises(mapper.Interrupted, match="no mapping was found yet") as interrupt:
        mapper.search(LAYER, "simple3")
    assert interrupt.value.result is None and interrupt.value.solved == {}


def two_layers():
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("MatMul", [a, w], [b], name=f"into_{b}") for a, w, b in ("xvy", "ywz")]
    shapes = {"x": [2, 3], "v": [3, 4], "w": [4, 5]}
    inputs = [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "two", inputs, [value("z", TensorProto.FLOAT, [2, 5])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("jobs", [None, 1])
def test_a_compilation_raises_with_what_is_solved(jobs):
    with pytest.raises(mapper.Interrupted, match="1 of 2 distinct layers are solved") as interrupt:
        mapper.compile_model(two_layers(), "simple3", jobs=jobs, on_solved=interrupting())
    assert [(name, result.status) for name, result in interrupt.value.solved.items()] == [("into_y", "optimal")]


def test_it_survives_a_process_pool():
    try:
        mapper.search(LAYER, "simple3", on_progress=interrupting())
    except mapper.Interrupted as interrupt:
        copy = pickle.loads(pickle.dumps(interrupt))
        assert (type(copy), str(copy), copy.result) == (mapper.Interrupted, str(interrupt), interrupt.result)


def test_workers_do_not_change_how_interrupts_are_answered():
    before = signal.getsignal(signal.SIGINT)
    mapper.compile_model(two_layers(), "simple3", jobs=2)
    assert signal.getsignal(signal.SIGINT) is before
    found = []
    thread = threading.Thread(target=lambda: found.append(mapper.compile_model(two_layers(), "simple3", jobs=1)))
    thread.start()  # where no signal can be handled
    thread.join()
    assert found[0].energy > 0


def test_the_search_itself_returns():
    """What `Interrupted` carries is what the search found: it knows of no caller's loop."""
    space = mapper.Mapspace(mapper.gemm(M=64, N=64, K=64), mapper.load_architecture("simple3"))
    assert cpsat.solve(space, on_progress=interrupting()).statistics.interrupted
