"""The cache experiment on a small real table, and what its claim needs."""

import pytest

from loadtests.experiments import cache
from loadtests.experiments.outcome import Figure, Verdict, judge
from loadtests.experiments.size import Size
from loadtests.stats import Interval
from roadmap.claims import load_claims

(CLAIM,) = [claim for claim in load_claims().claims if claim.experiment == "cache"]
TINY = Size(rows=(600,), rounds=1, seconds=0.3)


def test_it_measures_both_schemas_and_confirms_nothing_that_was_fast_before() -> None:
    outcome = cache.run(CLAIM, TINY, lambda _: None)
    # Lost requests and wrong answers would be here; a busy machine may add its generator, which is no fault of ours.
    assert [problem for problem in outcome.problems if "generator" not in problem] == []
    assert [figure.metric for figure in outcome.figures] == ["p95 before", "p95 after", "gain"] * 2
    assert len({figure.condition for figure in outcome.figures}) == 2
    assert judge(CLAIM, outcome.figures).verdict is not Verdict.CONFIRMED
    assert all(figure.beside["answers"] > 0 for figure in outcome.figures if figure.metric != "gain")
    assert "p95" in outcome.sentence


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((190.0, 210.0), (20.0, 25.0), Verdict.CONDITIONAL),
        ((220.0, 250.0), (20.0, 25.0), Verdict.CONFIRMED),
        ((220.0, 250.0), (210.0, 260.0), Verdict.REFUTED),  # a cache that does nothing
        ((3.0, 4.0), (1.0, 1.2), Verdict.REFUTED),  # fast before
    ],
)
def test_the_claim_needs_its_before_its_after_and_its_gain(
    before: tuple[float, float], after: tuple[float, float], verdict: Verdict
) -> None:
    gain = Interval(before[0] / after[0], before[0] / after[1], before[1] / after[0])
    figures = [
        Figure("c", "p95 before", "ms", Interval(sum(before) / 2, *before)),
        Figure("c", "p95 after", "ms", Interval(sum(after) / 2, *after)),
        Figure("c", "gain", "times", gain),
    ]
    assert judge(CLAIM, figures).verdict is verdict
