"""Mutants: each wrong model and each wrong executor here is told from the right one by some mapping.

A mutant is one plausible mistake in one function of `mapper.cost` or `backends.execute`. It is caught if `prove.check`
says so: a count or a result differs, or the executor finds a word that is not where it should be. Any other exception
would be a mutant that breaks rather than errs, and fails its test.

The executor's compiled kernel runs as the Python that it is compiled from: that can be patched function by function,
and an address gone wrong raises instead of overwriting memory. It takes some ten times as long.
"""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain

import numpy as np
import prove
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutants.kernels import KERNEL
from mutants.models import MODEL
from mutants.patching import Mutant, interpreted, unremembered
from mutants.programs import PROGRAM
from strategies import Case, cases, rarities

from backends.execute import counting
from backends.execute.bounds import magnitude, misplaced
from backends.execute.compare import difference
from backends.execute.reference import reference
from mapper.cost import evaluate
from mapper.errors import VerificationError

BLOCK, RANDOM, RARE = 50, 16, 4
"""Cases are drawn in blocks, each from a seed of its own and only once a mutant has survived those before.

What a block has many of another lacks, so many small ones show more than a large one.
"""


@cache
def drawn(block: int) -> tuple[Case, ...]:
    """The same cases in each session: random ones first, then rarities."""
    found: list[Case] = []
    draw = settings(max_examples=BLOCK, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    strategy = cases() if block < RANDOM else rarities()
    seed(block)(draw(given(strategy)(lambda case: found.append(case))))()
    return tuple(found)


def caught_by(*mutants: Mutant, blocks: Iterable[int] = range(RANDOM + RARE)) -> tuple[int, Case, str] | None:
    """The first case that tells the mutant from what is right, its number and how; None if there is none."""
    number = 0
    with pytest.MonkeyPatch.context() as patch:
        for mutant in mutants:
            mutant(patch)
        for case in chain.from_iterable(map(drawn, blocks)):
            number += 1
            if how := told_apart(case):
                return number, case, how
    return None


def told_apart(case: Case) -> str | None:
    """What the gate says of a case; None if it passes."""
    try:
        prove.check(case)
    except VerificationError as error:
        return str(error)
    except AssertionError:
        return "a count or a result differs"
    return None


def verified(case: Case, *mutants: Mutant) -> str | None:
    """What the rule for layers of a model says of a case, on random floats; None if it passes."""
    rng = np.random.default_rng(0)
    operands = {t.name: rng.standard_normal(case.nest.shape(t)) for t in case.nest.tensors if t is not case.nest.output}
    exact, size = reference(case.nest, operands), magnitude(case.nest, operands)
    with pytest.MonkeyPatch.context() as patch:
        for mutant in mutants:
            mutant(patch)
        try:
            expected = evaluate(case.nest, case.arch, case.mapping).counts
            run = counting.execute(case.nest, case.arch, case.mapping, operands)
        except (VerificationError, AssertionError) as error:
            return str(error) or "the model contradicts itself"
    return difference(expected, run.counts) or misplaced(case.nest, run.output, exact, size, integers=False)


# -- the gate ----------------------------------------------------------------------------------------------------------

MUTANTS = {
    **{f"model: {name}": (unremembered, mutant) for name, mutant in MODEL.items()},
    **{f"program: {name}": (interpreted, mutant) for name, mutant in PROGRAM.items()},
    **{f"kernel: {name}": (interpreted, mutant) for name, mutant in KERNEL.items()},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name: str, record_property: Callable[[str, object], None]) -> None:
    """By a case that passes without the mutant, run the same way."""
    harness, mutant = MUTANTS[name]
    found = caught_by(harness, mutant)
    assert found is not None, "no mapping tells this mutant from what is right"
    number, case, how = found
    if harness is interpreted:
        assert verified(case, harness, mutant) is not None, "verification of a layer lets this executor pass"
    record_property("cases", number)
    print(f"{name}: {how}, in case {number}:\n{case.nest}\n{case.mapping}")
    with pytest.MonkeyPatch.context() as patch:
        harness(patch)
        assert told_apart(case) is None
    assert verified(case, harness) is None


def test_what_is_right_passes() -> None:
    """Compiled, and run the way mutants are."""
    blocks = *range(4), RANDOM
    assert caught_by(blocks=blocks) is None
    assert caught_by(unremembered, interpreted, blocks=blocks) is None
