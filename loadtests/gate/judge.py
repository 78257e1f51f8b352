"""The verdict: a pure function of what was asked and what was measured.

First whether the rig was fit. A breach there is INVALID, whatever the latencies are, and never PASS or FAIL. Then the
prober's p95 by its interval: below the target whole, above it whole, or across it; the share of errors likewise; then
what the server says of itself.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loadtests.gate.evidence import UNJUDGED, Asked, Held, Sample
from loadtests.reports.document import Check, Outcome
from loadtests.stats import Interval, block_quantile, quantile, share_interval

SHARE = 0.95


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 (a verdict)
    FAIL = "FAIL"
    INVALID = "INVALID"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        return {"PASS": 0, "FAIL": 1, "INVALID": 3, "INCONCLUSIVE": 4}[self.value]


@dataclass(frozen=True)
class Judgement:
    """`p95_ms` is the prober's, None without enough samples for an interval."""

    verdict: Verdict
    checks: Sequence[Check]
    p95_ms: Interval | None

    @property
    def reasons(self) -> list[Check]:
        """The checks that made the verdict; none for a PASS."""
        wanted = {"INVALID": Outcome.INVALID, "FAIL": Outcome.FAILED, "INCONCLUSIVE": Outcome.INCONCLUSIVE}
        return [check for check in self.checks if check.outcome == wanted.get(self.verdict)]


def judge(asked: Asked, held: Held) -> Judgement:
    interval = p95_interval(asked, held)
    checks = [*validity(asked, held, interval), *latency(asked, interval), *errors(asked, held), *server(asked, held)]
    outcomes = {check.outcome for check in checks}
    if Outcome.INVALID in outcomes:
        verdict = Verdict.INVALID
    elif Outcome.FAILED in outcomes:
        verdict = Verdict.FAIL
    elif Outcome.INCONCLUSIVE in outcomes:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS
    return Judgement(verdict, checks, interval)


def p95_interval(asked: Asked, held: Held) -> Interval | None:
    samples = [(began, latency_ms) for began, _, latency_ms, _ in held.judged]
    try:
        return block_quantile(samples, SHARE, block_s=asked.block_s, seed=asked.seed)
    except ValueError:
        return None


def p95_of(samples: Sequence[Sample]) -> float | None:
    latencies = sorted(latency_ms for _, kind, latency_ms, _ in samples if kind not in UNJUDGED)
    return quantile(latencies, SHARE) if latencies else None


def validity(asked: Asked, held: Held, interval: Interval | None) -> Iterator[Check]:
    limits = asked.limits

    def check(name: str, measured: str, limit: str, *, fit: bool, detail: str) -> Check:
        return Check(
            "validity", name, measured, limit, Outcome.PASSED if fit else Outcome.INVALID, "" if fit else detail
        )

    core = held.usage.core
    yield check(
        "generator core",
        f"{core:.0%} busy",
        f"<= {limits.generator_core:.0%}",
        fit=core <= limits.generator_core,
        detail="the generator was the bottleneck: latencies are partly its own; use a machine with more cores",
    )
    ideal = asked.users / (asked.think_s + mean_s(held.crowd))
    share = held.rate_per_s / ideal
    yield check(
        "achieved rate",
        f"{held.rate_per_s:,.1f}/s, {share:.0%} of {ideal:,.1f}",
        f">= {limits.achieved:.0%} of M/(Z+R)",
        fit=share >= limits.achieved,
        detail="people did not ask as often as they should: connections were lost, or the generator was late",
    )
    yield agreement(asked, held, check)
    count = len(held.judged)
    yield check(
        "samples",
        f"{count:,}",
        f">= {asked.min_samples:,}",
        fit=count >= asked.min_samples and interval is not None,
        detail="too few answers for a verdict: hold the load longer",
    )
    neighbours = held.usage.neighbours
    yield check(
        "neighbours",
        f"{neighbours:.1%} of the machine",
        f"<= {limits.neighbours:.0%}",
        fit=neighbours <= limits.neighbours,
        detail="something else used the machine meanwhile: stop it, or run on a quiet machine",
    )
    yield check(
        "accounted for",
        f"{held.unaccounted:,} requests missing",
        "0",
        fit=held.unaccounted == 0,
        detail="requests were sent whose end nobody saw",
    )


def mean_s(samples: Sequence[Sample]) -> float:
    return sum(latency_ms for _, _, latency_ms, _ in samples) / len(samples) / 1000 if samples else 0.0


def agreement(asked: Asked, held: Held, check: Callable[..., Check]) -> Check:
    limits, theirs, ours = asked.limits, p95_of(held.crowd), p95_of(held.probe)
    words = f"<= {limits.agreement_ms:g} ms or {limits.agreement:.0%} apart"
    if theirs is None or ours is None:
        return check(
            "Locust and prober agree", "nothing to compare", words, fit=False, detail="one of them saw nothing"
        )
    return check(
        "Locust and prober agree",
        f"p95 {theirs:.1f} and {ours:.1f} ms",
        words,
        fit=abs(theirs - ours) <= max(limits.agreement_ms, limits.agreement * ours),
        detail="two witnesses of the same moments tell different stories: one of the generators is late",
    )


def latency(asked: Asked, interval: Interval | None) -> Iterator[Check]:
    limit = f"<= {asked.p95_ms:g} ms"
    if interval is None:
        yield Check("verdict", "p95", "no interval", limit, Outcome.INCONCLUSIVE)
        return
    measured = f"{interval.median:.1f} ms ({interval.low:.1f}..{interval.high:.1f})"
    outcome = within(interval, asked.p95_ms)
    detail = "the interval straddles the target" if outcome == Outcome.INCONCLUSIVE else ""
    yield Check("verdict", "p95", measured, limit, outcome, detail)


def errors(asked: Asked, held: Held) -> Iterator[Check]:
    whole, limit = len(held.crowd) + len(held.probe), f"<= {asked.error_rate:.2%}"
    if whole == 0:
        yield Check("verdict", "errors", "nothing was answered", limit, Outcome.INCONCLUSIVE)
        return
    share = share_interval(held.errors, whole)
    measured = f"{held.errors:,} of {whole:,}, {share.median:.3%} (at most {share.high:.3%})"
    yield Check("verdict", "errors", measured, limit, within(share, asked.error_rate))


def within(interval: Interval, most: float) -> Outcome:
    if interval.high <= most:
        return Outcome.PASSED
    return Outcome.FAILED if interval.low > most else Outcome.INCONCLUSIVE


def server(asked: Asked, held: Held) -> Iterator[Check]:
    """Counted and not sampled, so there is no interval. What the phase asks nothing of is stated."""
    if held.server is None:
        return
    yield counted("hit ratio", held.server.hit_ratio, asked.hit_ratio, at_least=True, digits=2)
    yield counted(
        "SQL statements a request", held.server.statements_per_request, asked.statements_per_request, digits=2
    )
    # A tenth of the target: a pool that takes more of it is too small.
    yield counted("pool wait, p95 ms, at most", held.server.pool_wait_p95_s * 1000, asked.p95_ms / 10, digits=1)


def counted(name: str, value: float | None, bound: float | None, *, at_least: bool = False, digits: int) -> Check:
    measured = "none" if value is None else f"{value:.{digits}f}" if math.isfinite(value) else "beyond the last bucket"
    if bound is None:
        return Check("server", name, measured, "-", Outcome.INFO)
    limit = f"{'>=' if at_least else '<='} {bound:g}"
    good = value is not None and (value >= bound if at_least else value <= bound)
    return Check("server", name, measured, limit, Outcome.PASSED if good else Outcome.FAILED)
