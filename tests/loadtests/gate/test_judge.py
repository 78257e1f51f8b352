"""The verdict: each breach of validity alone makes a run prove nothing; only figures decide between PASS and FAIL."""

import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from loadtests.gate.evidence import Asked, Held, Sample
from loadtests.gate.judge import Judgement, Verdict, judge
from loadtests.gate.machine import Usage
from loadtests.gate.scrape import Deltas
from loadtests.reports.document import Outcome

ASKED = Asked("1", users=400, think_s=10, p95_ms=50, error_rate=0.005, min_samples=1_000, hit_ratio=0.2)
SECONDS = 60.0
SERVER = Deltas(requests=4_800, errors=0, hits=600, misses=1_800, statements=4_000, pool_wait_p95_s=0.001)


def samples(count: int, *, typical_ms: float = 10.0, seed: int = 1, wrong: int = 0) -> list[Sample]:
    """Latencies with p95 at three times the typical one, spread evenly over the hold."""
    random = Random(seed)
    return [(100 + SECONDS * n / count, "list", random.expovariate(1 / typical_ms), n >= wrong) for n in range(count)]


def held(**changes: Any) -> Held:
    usual: dict[str, Any] = {
        "start": 100.0,
        "seconds": SECONDS,
        "crowd": samples(2_400, seed=1),
        "probe": samples(2_400, seed=2),
        "usage": Usage(core=0.3, neighbours=0.02, cpu_s={}),
        "server": SERVER,
        "unaccounted": 0,
    }
    return Held(**usual | changes)


def reasons(judgement: Judgement) -> list[str]:
    return [check.name for check in judgement.reasons]


def test_a_good_run_passes_with_its_interval() -> None:
    judgement = judge(ASKED, held())
    assert (judgement.verdict, reasons(judgement)) == (Verdict.PASS, [])
    assert judgement.p95_ms is not None
    assert judgement.p95_ms.low < judgement.p95_ms.median < judgement.p95_ms.high < 50


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("generator core", {"usage": Usage(core=0.61, neighbours=0.02, cpu_s={})}),
        ("neighbours", {"usage": Usage(core=0.3, neighbours=0.11, cpu_s={})}),
        ("achieved rate", {}),
        ("Locust and prober agree", {}),
        ("accounted for", {"unaccounted": 1}),
    ],
)
@pytest.mark.parametrize("typical_ms", [10, 100])
def test_a_breach_of_validity_is_invalid_whatever_the_latencies_are(
    reason: str, changes: dict[str, Any], typical_ms: float
) -> None:
    usual = {"crowd": samples(2_400, typical_ms=typical_ms), "probe": samples(2_400, typical_ms=typical_ms, seed=2)}
    if reason == "Locust and prober agree":
        usual["crowd"] = samples(2_400, typical_ms=1.5 * typical_ms)
    if reason == "achieved rate":
        usual["crowd"] = [each for n, each in enumerate(usual["crowd"]) if n % 20 > 1]
    judgement = judge(ASKED, held(**usual, **changes))
    assert judgement.verdict == Verdict.INVALID
    assert reasons(judgement) == [reason]
    assert judgement.reasons[0].detail, "it says what to do next"


def test_at_the_limits_a_run_is_valid() -> None:
    at = held(usage=Usage(core=0.60, neighbours=0.10, cpu_s={}), crowd=samples(2_290))
    assert judge(ASKED, at).verdict == Verdict.PASS


def test_too_few_samples_are_invalid_and_none_never_pass() -> None:
    assert reasons(judge(ASKED, held(probe=samples(999)))) == ["samples"]
    nothing = judge(replace(ASKED, min_samples=0, error_rate=1), held(probe=[], crowd=[], server=None))
    assert nothing.verdict == Verdict.INVALID
    assert "samples" in reasons(nothing)


def test_samples_within_one_block_have_no_interval_and_prove_nothing() -> None:
    burst = [(100.0 + n / 1_000, "list", 10.0, True) for n in range(2_000)]
    assert "samples" in reasons(judge(ASKED, held(probe=burst)))


@pytest.mark.parametrize(
    ("typical_ms", "verdict"), [(10.0, Verdict.PASS), (16.7, Verdict.INCONCLUSIVE), (25.0, Verdict.FAIL)]
)
def test_the_whole_interval_decides(typical_ms: float, verdict: Verdict) -> None:
    made = held(crowd=samples(2_400, typical_ms=typical_ms), probe=samples(2_400, typical_ms=typical_ms, seed=2))
    judgement = judge(ASKED, made)
    assert judgement.verdict == verdict
    assert reasons(judgement) == ([] if verdict == Verdict.PASS else ["p95"])


@pytest.mark.parametrize(
    ("wrong", "verdict"), [(0, Verdict.PASS), (10, Verdict.PASS), (24, Verdict.INCONCLUSIVE), (60, Verdict.FAIL)]
)
def test_errors_are_judged_by_their_interval(wrong: int, verdict: Verdict) -> None:
    judgement = judge(ASKED, held(probe=samples(2_400, seed=2, wrong=wrong)))
    assert judgement.verdict == verdict
    assert reasons(judgement) == ([] if verdict == Verdict.PASS else ["errors"])


def test_hashing_passwords_is_not_judged() -> None:
    logins = [(100.0 + n / 10, "login", 400.0, True) for n in range(500)]
    assert judge(ASKED, held(crowd=[*samples(2_000), *logins])).verdict == Verdict.PASS


@pytest.mark.parametrize(
    ("reason", "asked", "server"),
    [
        ("hit ratio", {"hit_ratio": 0.3}, SERVER),
        ("hit ratio", {}, replace(SERVER, hits=0, misses=0)),
        ("SQL statements a request", {"statements_per_request": 0.8}, SERVER),
        ("pool wait, p95 ms, at most", {}, replace(SERVER, pool_wait_p95_s=0.01)),
        ("pool wait, p95 ms, at most", {}, replace(SERVER, pool_wait_p95_s=math.inf)),
    ],
)
def test_what_the_server_says_can_fail_a_run(reason: str, asked: dict[str, Any], server: Deltas) -> None:
    judgement = judge(replace(ASKED, **asked), held(server=server))
    assert (judgement.verdict, reasons(judgement)) == (Verdict.FAIL, [reason])


def test_what_a_phase_asks_nothing_of_is_only_stated() -> None:
    checks = judge(replace(ASKED, hit_ratio=None), held(server=replace(SERVER, hits=0, misses=0))).checks
    (hits,) = (check for check in checks if check.name == "hit ratio")
    assert (hits.outcome, hits.measured) == (Outcome.INFO, "none")


def test_each_verdict_has_its_exit_code() -> None:
    codes = {verdict.value: verdict.exit_code for verdict in Verdict}
    assert codes == {"PASS": 0, "FAIL": 1, "INVALID": 3, "INCONCLUSIVE": 4}
