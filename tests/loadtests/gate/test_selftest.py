"""What the selftest makes of verdicts; `make test` calls `python -m loadtests selftest`, which runs the scenarios."""

from dataclasses import replace

import pytest

from loadtests.gate.evidence import Limits
from loadtests.gate.judge import Judgement, Verdict, judge
from loadtests.gate.machine import Usage
from loadtests.gate.selftest import THROTTLED, TOGETHER, check
from loadtests.reports.document import Check, Outcome
from tests.loadtests.gate.test_judge import held, samples

SCENARIOS = (*TOGETHER, THROTTLED)


def reason(name: str, outcome: Outcome) -> Check:
    return Check("any", name, "", "", outcome)


def test_the_scenarios_are_those_that_a_gate_must_see_through() -> None:
    assert [(each.verdict, each.reason) for each in SCENARIOS] == [
        (Verdict.PASS, ""),
        (Verdict.FAIL, "p95"),
        (Verdict.FAIL, "errors"),
        (Verdict.INVALID, "samples"),
        (Verdict.INVALID, "generator core"),
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_wrong_verdict_fails_and_so_does_the_right_one_for_another_reason(scenario: object) -> None:
    assert scenario in SCENARIOS
    for each in SCENARIOS:
        outcome = Outcome.INVALID if each.verdict == Verdict.INVALID else Outcome.FAILED
        right = Judgement(each.verdict, [reason(each.reason, outcome)] if each.reason else [], None)
        assert check(each, right).outcome == Outcome.PASSED
        if each.reason:
            other = Judgement(each.verdict, [reason("neighbours", outcome)], None)
            assert check(each, other).outcome == Outcome.FAILED
            assert check(each, Judgement(Verdict.PASS, [], None)).outcome == Outcome.FAILED


def test_a_gate_that_ignores_the_generators_cpu_is_found_out() -> None:
    """Every other check of the throttled generator is off: without this one it would pass."""
    busy = held(usage=Usage(core=1.0, neighbours=0.5, cpu_s={}), crowd=samples(120), probe=samples(120, seed=2))
    busy = replace(busy, server=None)
    asked = replace(THROTTLED.asked, users=20)
    assert check(THROTTLED, judge(asked, busy)).outcome == Outcome.PASSED
    ignoring = replace(asked, limits=replace(asked.limits, generator_core=2.0))
    assert judge(ignoring, busy).verdict == Verdict.PASS
    assert check(THROTTLED, judge(ignoring, busy)).outcome == Outcome.FAILED
    assert asked.limits.generator_core == Limits().generator_core == 0.60
