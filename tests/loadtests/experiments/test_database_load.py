"""The database's load by its own count, small and real: what is asserted are statements, never times."""

import pytest

from loadtests.experiments import database_load
from loadtests.experiments.database_load import Condition
from loadtests.experiments.outcome import Figure, Verdict, exact, judge
from loadtests.experiments.size import Size
from loadtests.mix import READS, WRITES, zipf
from loadtests.stats import Interval
from roadmap.claims import load_claims

(CLAIM,) = [claim for claim in load_claims().claims if claim.experiment == "database_load"]
TINY = Size(rounds=1, seconds=0.8)
MIX = Condition("mix", zipf, {**READS, **WRITES})
LISTS = Condition("lists, endless", zipf, {"list": 1}, arm="endless")
# Negative control: the server without a cache on both sides.
SAME = Condition("no cache at all", zipf, {"list": 1}, arm="without")


def test_what_the_cache_answers_is_no_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_load, "CONDITIONS", [SAME, MIX, LISTS])
    monkeypatch.setattr(database_load, "TTL_S", 0.5)
    outcome = database_load.run(CLAIM, TINY, lambda _: None)
    assert [problem for problem in outcome.problems if "generator" not in problem] == []
    saved = {
        figure.condition: figure.value.median
        for figure in outcome.figures
        if figure.metric == "reduction of statements"
    }
    # The idle servers poll now and then, which is a statement or two more on either side.
    assert abs(saved[SAME.name]) < 10
    assert saved[LISTS.name] > 40
    assert saved[LISTS.name] > saved[MIX.name]
    beside = {figure.condition: figure.beside for figure in outcome.figures if figure.metric == "reduction"}
    answered = [beside[condition.name]["answered by the cache %"] for condition in (SAME, MIX, LISTS)]
    assert 0 == answered[0] < answered[1] < answered[2]
    assert "% with lists, endless" in outcome.sentence
    nothing = [Figure("c", "reduction", "%", exact(saved[SAME.name]))]
    assert judge(CLAIM, nothing).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (61, 69, Verdict.CONFIRMED),
        (55, 65, Verdict.CONDITIONAL),
        (-3, 4, Verdict.REFUTED),
        (75, 80, Verdict.REFUTED),
    ],
)
def test_more_than_claimed_is_not_as_claimed(low: float, high: float, verdict: Verdict) -> None:
    figures = [Figure("c", "reduction", "%", Interval((low + high) / 2, low, high))]
    assert judge(CLAIM, figures).verdict is verdict
