"""Limits beside a real abuser, small: who is refused is counted, how fast the others are is not asserted."""

from dataclasses import replace

import pytest

from loadtests.driver import Report
from loadtests.experiments import protection
from loadtests.experiments.outcome import Figure, Verdict, judge
from loadtests.experiments.protection import ABUSERS, LIMITED, POLLING, UNLIMITED, Arm, Round, faults_of
from loadtests.experiments.size import Size
from loadtests.stats import Interval
from roadmap.claims import load_claims

(CLAIM,) = [claim for claim in load_claims().claims if claim.experiment == "protection"]
TINY = Size(rounds=1, seconds=0.5)


def test_the_abuser_is_refused_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "ABUSERS", {POLLING: 200.0})
    monkeypatch.setattr(protection, "LEAD_SECONDS", 0.5)
    monkeypatch.setattr(protection, "QUOTA", "50/30")
    monkeypatch.setattr(protection, "ARMS", [arm for arm in protection.ARMS if arm.abuser in (None, POLLING)])
    outcome = protection.run(CLAIM, TINY, lambda _: None)
    # An honest user who is refused would be a problem: 429 is not the status that is right for them.
    assert [problem for problem in outcome.problems if "generator" not in problem] == []
    limited, unlimited, better = outcome.figures
    assert limited.beside["refused/s"] > 50
    assert limited.beside["abuser served/s"] * 2 <= 50 < unlimited.beside["abuser served/s"] * 2
    assert (limited.metric, better.metric) == tuple(each.metric for each in CLAIM.expectations)
    assert POLLING in outcome.sentence


def test_honest_users_who_are_refused_are_a_fault_of_the_rig_unless_nothing_protects_them() -> None:
    """Negative control: fast refusals of everybody would look like a splendid p95."""
    refused = Report(
        answered=10, wrong_status=4, lost=0, statuses={"200": 6, "429": 4}, elapsed_s=1.0, rate_per_s=10.0,
        p50_ms=0.1, p95_ms=0.1, p99_ms=0.1, max_ms=0.1, body_bytes=1, busy=0.1,
    )  # fmt: skip
    for arm in (Arm(LIMITED, None), Arm(LIMITED, POLLING), Arm(UNLIMITED, None)):
        (fault,) = faults_of(arm, Round(refused, None), 1)
        assert "429" in fault
        assert faults_of(arm, Round(replace(refused, wrong_status=0), None), 1) == []
    assert faults_of(Arm(UNLIMITED, POLLING), Round(refused, None), 1) == []


@pytest.mark.parametrize(
    ("moves", "better", "verdict"),
    [
        ((1.0, 1.5), (5.0, 9.0), Verdict.CONFIRMED),
        ((1.0, 1.5), (0.9, 1.1), Verdict.REFUTED),  # limits that do nothing, beside an abuser who does nothing
        ((8.0, 9.0), (0.9, 1.1), Verdict.REFUTED),
        ((1.5, 2.5), (5.0, 9.0), Verdict.CONDITIONAL),
    ],
)
def test_protected_is_who_is_steady_because_of_the_limits(
    moves: tuple[float, float], better: tuple[float, float], verdict: Verdict
) -> None:
    values = [Interval(sum(each) / 2, *each) for each in (moves, better)]
    figures = [Figure("c", e.metric, e.unit, value) for e, value in zip(CLAIM.expectations, values, strict=True)]
    assert judge(CLAIM, figures).verdict is verdict


def test_every_abuser_is_bounded() -> None:
    assert all(0 < how <= 1_000 for how in ABUSERS.values())
