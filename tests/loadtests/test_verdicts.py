"""The rule that makes verdicts of figures: what is confirmed, and what must never be."""

import json

import pytest

from loadtests.experiments.outcome import Figure, Outcome, Standing, Verdict, exact, judge, standing
from loadtests.experiments.report import Result, to_document, to_json
from loadtests.experiments.size import FULL, Size
from loadtests.reports import document as report
from loadtests.reports.text import to_text
from loadtests.stats import Interval
from roadmap.claims import Claim, Expectation

TIMES = Expectation(metric="speed-up", unit="times", at_least=5, at_most=10, source="strategy")
AFTER = Expectation(metric="after", unit="ms", at_least=None, at_most=30, source="strategy")
BEFORE = Expectation(metric="before", unit="ms", at_least=200, at_most=None, source="strategy")


def claim(*expectations: Expectation) -> Claim:
    return Claim(
        id="x", phase="1", statement="It is faster", reading="r", subjects=None, experiment="e",
        expectations=expectations,
    )  # fmt: skip


def speed_up(condition: str, low: float, high: float, *, counts: bool = True) -> Figure:
    return Figure(condition, "speed-up", "times", Interval((low + high) / 2, low, high), counts=counts)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (5, 10, Standing.WITHIN),
        (6, 7, Standing.WITHIN),
        (4.9, 7, Standing.ACROSS),
        (9, 10.1, Standing.ACROSS),
        (1, 20, Standing.ACROSS),
        (0.9, 1.1, Standing.BELOW),
        (79, 81, Standing.ABOVE),
    ],
)
def test_an_interval_stands_where_all_of_it_lies(low: float, high: float, expected: Standing) -> None:
    assert standing(Interval((low + high) / 2, low, high), TIMES) is expected


def test_an_open_bound_is_never_missed() -> None:
    assert standing(exact(0.001), AFTER) is Standing.WITHIN
    assert standing(Interval(30, 29, 31), AFTER) is Standing.ACROSS
    assert standing(exact(1e9), BEFORE) is Standing.WITHIN
    assert standing(exact(199.9), BEFORE) is Standing.BELOW


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(6, 7)], Verdict.CONFIRMED),
        ([(6, 7), (5, 9)], Verdict.CONFIRMED),
        ([(1, 1.1)], Verdict.REFUTED),
        ([(80, 90)], Verdict.REFUTED),  # faster than claimed is not as claimed
        ([(1, 1.1), (80, 90)], Verdict.REFUTED),
        ([(6, 7), (80, 90), (800, 900)], Verdict.CONDITIONAL),
        ([(4, 6)], Verdict.CONDITIONAL),
        ([(4, 6), (80, 90)], Verdict.CONDITIONAL),
    ],
)
def test_a_verdict_takes_every_condition(intervals: list[tuple[float, float]], verdict: Verdict) -> None:
    figures = [speed_up(f"condition {number}", *interval) for number, interval in enumerate(intervals)]
    assert judge(claim(TIMES), figures).verdict is verdict


def test_all_expectations_must_hold_in_a_condition() -> None:
    both = claim(BEFORE, AFTER)
    slow_then_fast = [Figure("a", "before", "ms", exact(250)), Figure("a", "after", "ms", exact(2))]
    assert judge(both, slow_then_fast).verdict is Verdict.CONFIRMED
    fast_anyway = [Figure("b", "before", "ms", exact(4)), Figure("b", "after", "ms", exact(2))]
    assert judge(both, fast_anyway).verdict is Verdict.REFUTED
    judgement = judge(both, [*slow_then_fast, *fast_anyway])
    assert (judgement.verdict, judgement.holds, judgement.fails) == (Verdict.CONDITIONAL, ["a"], ["b"])


@pytest.mark.parametrize("figures", [[], [speed_up("a", 6, 7, counts=False)], [Figure("a", "beauty", "%", exact(7))]])
def test_what_was_not_measured_has_no_verdict(figures: list[Figure]) -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        judge(claim(TIMES), figures)


def test_a_condition_without_one_of_its_metrics_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="before not measured in the condition a"):
        judge(claim(BEFORE, AFTER), [Figure("a", "after", "ms", exact(2))])


def document_of(*results: Result) -> report.Document:
    return to_document(results, FULL, made_at="2026-03-01T10:20:30+00:00", facts={"commit": "1234567"})


def test_text_and_json_tell_the_same() -> None:
    figures = [
        Figure("10,000 rows", "speed-up", "times", Interval(6.5, 6, 7), {"ms without": 1.25}),
        speed_up("1,000,000 rows", 700, 900),
        speed_up("shown only", 6, 7, counts=False),
    ]
    results = [Result(claim(TIMES), Outcome(figures, "It depends on rows."))]
    text, data = to_text(document_of(*results)), json.loads(json.dumps(to_json(results, FULL)))
    for part in (
        "6.5 (6..7) times",
        "5 to 10 times",
        "within",
        "above",
        "ms without",
        "1.25",
        "It depends on rows.",
        "fails in 1 conditions, is undecided in 0 and holds in 1: 10,000 rows",
        "Verdict: conditional.",
        "1 conditional: What the strategy claims of phase 1",
        "commit",
    ):
        assert part in text
    (told,) = data["claims"]
    assert (data["valid"], told["verdict"], told["judgement"]["fails"]) == (True, "conditional", ["1,000,000 rows"])
    assert told["figures"][0]["value"] == {"median": 6.5, "low": 6, "high": 7}


def test_an_unfit_rig_has_no_verdict_in_either_form() -> None:
    results = [Result(claim(TIMES), Outcome([speed_up("a", 6, 7)], "", ["a lost request"]))]
    told = document_of(*results)
    assert "INVALID RIG: a lost request" in to_text(told)
    assert "Verdict: INVALID RIG" in to_text(told)
    assert told.headline == "INVALID"
    assert {check.outcome for check in told.checks} == {report.Outcome.INVALID}
    data = to_json(results, FULL)
    assert data["valid"] is False
    assert "confirmed" not in json.dumps(data)


def test_a_refuted_claim_is_a_finding_and_no_failure() -> None:
    figures = [speed_up("a", 6, 7), speed_up("b", 80, 90), speed_up("c", 4, 6), speed_up("d", 6, 7, counts=False)]
    confirmed = Result(claim(TIMES), Outcome(figures[:1], "So it is."))
    refuted = Result(claim(TIMES), Outcome(figures[1:2], "It is faster."))
    mixed = Result(claim(TIMES), Outcome(figures, "It depends."))
    told = document_of(confirmed, refuted, mixed)
    assert told.verdict == "1 confirmed, 1 refuted, 1 conditional"
    assert told.outcome is report.Outcome.INFO
    assert [(check.measured, check.outcome) for check in told.groups["verdict"]] == [
        ("confirmed", report.Outcome.PASSED),
        ("refuted", report.Outcome.INFO),
        ("conditional", report.Outcome.INFO),
    ]
    last = document_of(mixed).groups["x"]
    assert [(check.name, check.outcome, check.detail) for check in last] == [
        ("a: speed-up", report.Outcome.PASSED, "within"),
        ("b: speed-up", report.Outcome.INFO, "above"),
        ("c: speed-up", report.Outcome.INCONCLUSIVE, "across"),
    ]


def test_curves_over_sizes_are_drawn_and_a_single_size_is_not() -> None:
    def point(curve: str, rows: int, times: float) -> Figure:
        return Figure(f"{rows} rows, {curve}", "speed-up", "times", exact(times), curve=curve, rows=rows)

    one = [point("list", 10, 6), point("login", 10, 1)]
    two = [*one, point("list", 100, 60), point("login", 100, 1)]
    assert document_of(Result(claim(TIMES), Outcome(one, ""))).charts == []
    (chart,) = document_of(Result(claim(TIMES), Outcome(two, ""))).charts
    assert [(series.name, series.x, series.y) for series in chart.series] == [
        ("list", [10, 100], [6, 60]),
        ("login", [10, 100], [1, 1]),
    ]
    assert [mark.at for mark in chart.marks] == [5, 10]
    assert (chart.log_x, chart.log_y) == (True, True)


def test_a_size_keeps_what_does_not_exceed() -> None:
    assert FULL.up_to(100_000).rows == (10_000, 100_000)
    assert FULL.up_to(5_000).rows == (5_000,)
    assert Size(rows=(7,)).up_to(8).rows == (7,)
