"""The first gate of the project: what the executor observes is what the cost model predicts, for any mapping."""

import prove
import pytest
from hypothesis import given, settings
from strategies import cases

SHARDS, EXAMPLES = 8, 300
"""2,400 random cases in all, in parts that can run side by side."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_executor_equals_model_and_reference(shard: int) -> None:
    settings(max_examples=EXAMPLES)(given(cases())(prove.check))()


def test_the_unbounded_proof_counts_its_cases_and_can_fail(capsys, monkeypatch) -> None:
    assert prove.main(["--cases", "40", "--part", "20"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{n} random mappings executed: every count equal to the model's, every result exact" for n in (20, 40)
    ]
    monkeypatch.setattr(prove, "check", lambda case: pytest.fail("not equal"))
    with pytest.raises(pytest.fail.Exception, match="not equal"):
        prove.main(["--cases", "20", "--part", "20"])
