"""The first gate of the project: what the executor observes is what the cost model predicts, for any mapping."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from strategies import Case, cases

from backends.execute import execute
from backends.execute.reference import reference
from mapper.cost import count


@given(cases())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_executor_equals_model_and_reference(case: Case) -> None:
    rng = np.random.default_rng(0)
    # small whole numbers: sums are exact in whatever order they are added
    operands = {
        t.name: rng.integers(-8, 9, case.nest.shape(t)).astype(float)
        for t in case.nest.tensors
        if t is not case.nest.output
    }
    run = execute(case.nest, case.arch, case.mapping, operands)
    assert run.counts == count(case.nest, case.arch, case.mapping)
    assert np.array_equal(run.output, reference(case.nest, operands))
