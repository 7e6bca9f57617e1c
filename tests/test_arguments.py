"""Wrong arguments of everything public: InputError, whatever they are."""

import ast
import concurrent.futures
import dataclasses
import enum
import inspect
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import mapper
from mapper.arguments import _ATOMS, checked, rule, shown

NEST, ARCH = mapper.gemm(M=2, N=2, K=2), mapper.load_architecture("simple3")
TEXT = "keep DRAM A B O\nparfor M 1 PE.x\nkeep RF A B O\nfor N 1\nfor K 1\n"
MAPPING = mapper.parse_mapping(TEXT)
WRONG = [
    None, True, False, 0, -1, 3, 10**400, 1.5, -0.0, float("nan"), float("inf"), Fraction(1, 3), np.int64(2),
    np.float32(1), np.arange(3), np.zeros((2, 3)), "", " ", "\0", "\n", "no such", "a: [", "\ud800", b"x", ...,
    [], [1], [None], ["M"], (), (1,), (None, None), {}, {"x": 1}, {1: 2}, {"M": "x"}, {"max_word": 1}, set(),
    object(), int, len, Path("nowhere"), Path(), NEST, ARCH, MAPPING, mapper.Objective.EDP, mapper.Factors.PERFECT,
    mapper.Limits(),
]  # fmt: skip


def small_model() -> ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "small",
        [value("x", TensorProto.FLOAT, ["n", 3]), value("w", TensorProto.FLOAT, [3, 4])],
        [value("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


SEARCH = {"layer": NEST, "arch": ARCH, "deterministic_limit": 0.001}
GOOD = {
    "search": SEARCH,
    "search_layer": SEARCH,
    "compile_model": {"model": small_model(), "arch": ARCH, "dims": {"n": 2}, "deterministic_limit": 0.001},
    "conv": {},
    "gemm": {},
    "load_architecture": {"spec": "simple3"},
    "parse_constraint": {"text": "K spatial PE.x = 2"},
    "parse_mapping": {"text": TEXT},
    "dim_roles": {"nest": NEST},
    "parse_nest": {"text": str(NEST)},
    "evaluate": {"nest": NEST, "arch": ARCH, "mapping": MAPPING},
    "break_down": {"nest": NEST, "arch": ARCH, "mapping": MAPPING},
    "violations": {"nest": NEST, "arch": ARCH, "mapping": MAPPING},
    "explain": {"nest": NEST, "arch": ARCH, "mapping": MAPPING, "memory": "RF", "tensor": "A"},
    "evaluate_batch": {"nest": NEST, "arch": ARCH, "mapping": MAPPING, "steps": [(1, 1, 1)]},
    "LoopNest": {"dims": NEST.dims, "tensors": NEST.tensors},
    "Architecture": {"name": "simple3", "levels": ARCH.levels},
    "Network": {"name": "net", "tensors": (), "nodes": ()},
    "Mapping": {"items": MAPPING.items},
    "Mapspace": {"nest": NEST, "arch": ARCH},
    "Keep": {"memory": "RF", "tensor": "A"},
    "Loop": {"dim": "M", "step": 1},
    "ParFor": {"dim": "M", "step": 1, "fanout": "PE", "axis": "x"},
    "Limits": {},
    "DimRole": {"value": "batch"},
    "Objective": {"value": "edp"},
    "Factors": {"value": "perfect"},
    "Status": {"value": "optimal"},
    "Engine": {"value": "auto"},
}
RESULTS = {
    "BatchCost", "Breakdown", "Compiled", "Cost", "Counts", "Explanation", "Point", "Progress", "Result", "Statistics",
}  # fmt: skip
"""What the package makes and nobody else."""
ERRORS = {
    name for name in mapper.__all__ if isinstance(getattr(mapper, name), type) and name.endswith(("Error", "ted"))
}


def parameters(name):
    found = getattr(mapper, name)
    if isinstance(found, enum.EnumType):
        return ["value"]
    if name == "search":
        found = mapper.search_layer
    return list(inspect.signature(found).parameters)


def functions():
    return [name for name in GOOD if not isinstance(getattr(mapper, name), type)]


def test_every_public_name_is_tried():
    assert {*GOOD, *RESULTS, *ERRORS, "Constraint"} == set(mapper.__all__)


@pytest.mark.parametrize("name", GOOD)
def test_wrong_arguments_are_input_errors(name):
    function, good = getattr(mapper, name), GOOD[name]
    by_value = isinstance(function, enum.EnumType)
    (function(*good.values()) if by_value else function(**good))
    tried = refused = 0
    for parameter in parameters(name):
        for wrong in WRONG:
            if by_value and isinstance(wrong, np.ndarray):
                continue  # Python compares it with each member before it asks
            if parameter.startswith("on_") and callable(wrong):
                continue  # it is called
            tried += 1
            try:
                function(wrong) if by_value else function(**{**good, parameter: wrong})
            except (mapper.InputError, mapper.InfeasibleError) as error:
                refused += 1
                assert str(error).strip() and len(str(error)) < 3000, (name, parameter, wrong)
            except Exception as error:
                raise AssertionError(f"{name}({parameter}={shown(wrong)})") from error
    assert refused > tried / 3


@pytest.mark.parametrize("name", functions())
def test_calls_of_another_form_are_input_errors(name):
    function, good = getattr(mapper, name), GOOD[name]
    with pytest.raises(mapper.InputError, match="takes no 'frobnicate'"):
        function(**good, frobnicate=1)
    with pytest.raises(mapper.InputError, match="too many positional arguments"):
        function(*[3] * 40)
    required = [key for key in parameters(name) if key in good and key != "deterministic_limit" and key != "dims"]
    for key in required:
        with pytest.raises(mapper.InputError, match=f"missing a required argument: '{key}'"):
            function(**{k: v for k, v in good.items() if k != key})


def test_all_wrong_arguments_are_named_at_once():
    with pytest.raises(mapper.InputError) as error:
        mapper.search(3, "simple3", objectiv="edp", tim_limit=3)
    assert str(error.value) == (
        "search_layer takes no 'objectiv' (did you mean objective?)\n"
        "search_layer takes no 'tim_limit' (did you mean time_limit or limits?)"
    )
    with pytest.raises(mapper.InputError) as error:
        mapper.search(3, "simple3", even="no", limits=[])
    assert str(error.value).splitlines() == [
        "search_layer: layer is a LoopNest or a text, not 3 (mapper.conv, gemm and parse_nest make one)",
        "search_layer: even is True or False, not 'no'",
        "search_layer: limits is Limits or a dict of a text to anything, not []",
    ]


def test_an_illegal_mapping_has_no_cost():
    for call in (mapper.evaluate, mapper.break_down, lambda *a: mapper.explain(*a, "RF", "A")):
        with pytest.raises(mapper.InputError, match=r"illegal on simple3: .*\n") as error:
            call(NEST, ARCH, mapper.parse_mapping("keep DRAM A B O\nfor X 1\nfor M 0\n"))
        assert len(str(error.value).splitlines()) == 2


def test_every_annotation_has_a_rule():
    found = [getattr(mapper, name) for name in GOOD if name != "search"]
    calls = [inspect.signature(call).parameters for call in found if not isinstance(call, type)]
    kinds = [dataclasses.fields(kind) for kind in found if dataclasses.is_dataclass(kind) and kind is not mapper.Limits]
    written = {str(parameter.annotation) for call in calls for parameter in call.values()}
    written |= {str(field.type) for fields in kinds for field in fields}
    nodes = [node for text in written for node in ast.walk(ast.parse(text, mode="eval"))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert names - _ATOMS.keys() <= {"tuple", "frozenset", "Dict", "Iterable", "npt"}
    assert all(rule(text).words for text in written)


def test_checked_functions_are_those_they_check():
    assert mapper.evaluate is mapper.evaluate
    assert pickle.loads(pickle.dumps(mapper.evaluate)) is mapper.evaluate  # as a process pool needs it
    assert inspect.signature(mapper.gemm) == inspect.signature(mapper.gemm.__wrapped__)
    assert mapper.compile_model.__doc__ == mapper.compile_model.__wrapped__.__doc__


def test_iterators_are_not_used_up():
    @checked
    def total(numbers: "Iterable[int]") -> int:  # noqa: F821
        return sum(numbers)

    assert total(iter([1, 2])) == 3
    with pytest.raises(mapper.InputError, match=r"total: numbers is a list, each entry an integer, not \['1'\]"):
        total(["1"])


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_machines_are_names_files_paths_or_text(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(ARCH.spec.text)
    for machine in ("simple3", str(file), file, ARCH.spec.text, ARCH):
        assert mapper.search(NEST, machine, time_limit=60).cost.energy == mapper.search(NEST, ARCH).cost.energy
    with pytest.raises(mapper.InputError, match="the spec:2:1: unknown key 'levls'"):
        mapper.load_architecture("name: a\nlevls: []\n")
    with pytest.raises(mapper.InputError, match="simple3: cannot be read: No such file"):
        mapper.load_architecture(Path("simple3"))  # a path is a file


def test_steps_of_a_convolution_are_a_number_or_one_for_each_axis():
    expected = mapper.conv(K=2, P=4, Q=4, R=3, S=3, stride=(2, 2), dilation=(1, 1))
    for stride in (2, np.int64(2), (2,), [2, 2]):
        assert mapper.conv(K=2, P=4, Q=4, R=3, S=3, stride=stride) == expected
    with pytest.raises(mapper.InputError, match="dilation is given for 2 axes, the layer has 3"):
        mapper.conv(P=4, stride=(1, 2, 3), dilation=(1, 1))


def test_limits_are_a_dict_of_their_names():
    limits = {"max_cycles": 4, "min_utilization": 0.001, "max_words": {"RF": 40}}
    expected = mapper.Limits(4, min_utilization=Fraction(1, 1000), max_words=(("RF", 40),))
    assert mapper.Limits(**limits) == expected
    assert mapper.search(NEST, ARCH, limits=limits).cost.cycles <= 4
    with pytest.raises(mapper.InputError, match=r"there is no limit 'max_cycle' \(did you mean max_cycles"):
        mapper.search(NEST, ARCH, limits={"max_cycle": 4})


def test_models_are_protos_and_paths(tmp_path):
    model = small_model()
    before = model.SerializeToString(deterministic=True)
    by_proto = mapper.compile_model(model, ARCH, dims={"n": 2})
    assert model.SerializeToString(deterministic=True) == before  # the caller's is not changed
    file = tmp_path / "small.onnx"
    file.write_bytes(before)
    by_path = mapper.compile_model(file, "simple3", shapes={"x": [2, 3]})
    assert by_path.energy == by_proto.energy and by_path.network == by_proto.network
    assert by_proto.network.name == "small"
    with pytest.raises(mapper.InputError, match="small: the graph is empty"):
        mapper.compile_model(helper.make_model(helper.make_graph([], "small", [], [])), ARCH)


def test_layers_are_solved_in_jobs_of_its_own():
    solved = []
    found = mapper.compile_model(
        small_model(), ARCH, dims={"n": 2}, jobs=2, on_solved=lambda nest, result: solved.append(nest)
    )
    assert solved == [layer.nest for layer in found.network.layers]
    for jobs in (0, -1, 10**30):
        with pytest.raises(mapper.InputError, match="jobs are 1 to 1024 processes"):
            mapper.compile_model(small_model(), ARCH, dims={"n": 2}, jobs=jobs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, pytest.raises(mapper.InputError, match="not both"):
        mapper.compile_model(small_model(), ARCH, jobs=2, executor=pool)


def test_names_that_the_machine_or_the_layer_does_not_have():
    for function, name, message in [
        (ARCH.memory, "GBL", "simple3 has no memory 'GBL' (did you mean GLB?)"),
        (ARCH.memory, 3, "simple3 has no memory 3 (known: DRAM, GLB, RF)"),
        (ARCH.dataflow, "ws", "simple3 has no dataflow 'ws' (its spec names none)"),
        (NEST.tensor, "W", "the layer has no tensor 'W' (known: A, B, O)"),
    ]:
        with pytest.raises(mapper.InputError) as error:
            function(name)
        assert str(error.value) == message


@pytest.mark.parametrize("what", ["stride", "dilation"])
def test_steps_of_windows_are_at_least_one(what):
    for wrong in (0, -1, (1, 0)):
        with pytest.raises(
            mapper.InputError, match=f"{what} is a whole number of at least 1, not {min(np.ravel(wrong))}"
        ):
            mapper.conv(K=2, P=2, R=2, **{what: wrong})


def test_operands_are_real_numbers():
    from backends.execute import execute

    good = np.ones((2, 2))
    assert np.array_equal(execute(NEST, ARCH, MAPPING, {"A": good.tolist(), "B": good.astype(object)}).output, 2 * good)
    for wrong in (good * 1j, [["x"] * 2] * 2, [[1], [1, 2]], good.astype("M8[s]"), object()):
        with pytest.raises(mapper.InputError, match="operand B is no array of real numbers"):
            execute(NEST, ARCH, MAPPING, {"A": good, "B": wrong})
    with pytest.raises(mapper.InputError, match=r"execute: arch is an Architecture, not 'simple3'"):
        execute(NEST, "simple3", MAPPING, {"A": good, "B": good})
    with pytest.raises(mapper.InputError, match=r"execute: operands is a dict"):
        execute(NEST, ARCH, MAPPING, [good, good])
