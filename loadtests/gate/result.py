"""A course as a report: its checks, what each stage and each kind of request took, charts over time, and raw data."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from statistics import fmean

from hdrh.histogram import HdrHistogram

from loadtests.gate.conduct import Course, Stage
from loadtests.gate.evidence import Sample
from loadtests.gate.judge import Verdict
from loadtests.gate.seed import Size
from loadtests.reports.document import Chart, Check, Document, Mark, Outcome, Series, Table, utc_now
from loadtests.reports.document import Stage as Band
from loadtests.stats import quantile

BUCKET_S = 5.0
PERCENTILES = (0.50, 0.75, 0.90, 0.95, 0.99, 0.999)
HIGHEST_US = 120_000_000


def document(course: Course, size: Size, facts: Mapping[str, str], regression: Sequence[Check] = ()) -> Document:
    """ValueError for a course without a verdict."""
    judgement, held = course.judgement, course.held
    if judgement is None or held is None:
        raise ValueError("the course ended before its verdict")
    asked = course.asked
    title = f"phase {asked.phase}: {asked.users:,} users on {size.rows:,} tasks"
    return Document(
        kind="gate",
        title=title,
        verdict=judgement.verdict,
        sentence=sentence(course),
        made_at=utc_now(),
        label="measured",
        checks=[*judgement.checks, *regression],
        tables=[stages(course), kinds("the prober, while the load was held", held.probe), cpu(course)],
        charts=[latency(course), percentiles(course), load(course), errors(course), cores(course)],
        facts={
            **facts,
            "load": f"{asked.users:,} users who think {asked.think_s:g} s, seed {asked.seed}",
            "data": f"{size.rows:,} tasks of {size.users:,} users by Zipf's law",
        },
    )


def sentence(course: Course) -> str:
    judgement = course.judgement
    if judgement is None:
        return ""
    target = f"p95 of at most {course.asked.p95_ms:g} ms at {course.asked.users:,} users"
    p95 = judgement.p95_ms
    seen = "no p95 can be given" if p95 is None else f"measured {p95.median:.1f} ms ({p95.low:.1f} to {p95.high:.1f})"
    reasons = "; ".join(f"{check.name} {check.measured}, wanted {check.limit}" for check in judgement.reasons)
    said = {
        Verdict.PASS: f"The phase keeps its promise: {target}, {seen}.",
        Verdict.FAIL: f"The phase does not keep its promise ({target}; {seen}): {reasons}.",
        Verdict.INVALID: f"This run proves nothing: {reasons}.",
        Verdict.INCONCLUSIVE: f"The figures do not decide it ({target}; {seen}): {reasons}.",
    }[judgement.verdict]
    return f"{said} The knee: {course.knee}." if course.knee else said


def spread(samples: Sequence[Sample]) -> tuple[str, ...]:
    """p50, p95, p99 in ms, and errors."""
    latencies = sorted(latency_ms for _, _, latency_ms, _ in samples)
    if not latencies:
        return "-", "-", "-", "-"
    shown = (f"{quantile(latencies, share):.1f}" for share in (0.50, 0.95, 0.99))
    return *shown, f"{sum(not right for *_, right in samples):,}"


def stages(course: Course) -> Table:
    head = ("stage", "s", "users", "rate/s", "p50 ms", "p95 ms", "p99 ms", "errors", "Locust p95 ms", "generator core")
    rows = [
        (
            stage.name,
            f"{stage.end - stage.start:.0f}",
            f"{stage.users:,}",
            f"{stage.rate_per_s:,.1f}",
            *spread(stage.probe)[:3],
            f"{sum(not right for *_, right in (*stage.crowd, *stage.probe)):,}",
            spread(stage.crowd)[1],
            f"{stage.usage.core:.0%}",
        )
        for stage in course.stages
    ]
    return Table("stages", head, rows, "rate: Locust's people; percentiles: the prober's; errors: of both")


def by_kind(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample[1]].append(sample)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def kinds(title: str, samples: Sequence[Sample]) -> Table:
    rows = [(kind, f"{len(some):,}", *spread(some)) for kind, some in by_kind(samples).items()]
    return Table(title, ("kind", "answers", "p50 ms", "p95 ms", "p99 ms", "errors"), rows)


def cpu(course: Course) -> Table:
    """Of the hold: milliseconds of CPU a request, by process tree, so that it is seen where the time goes."""
    held = course.held
    rows = []
    if held is not None:
        requests = max(1, len(held.crowd) + len(held.probe))
        rows = [
            (name, f"{used:.1f}", f"{used / held.seconds:.0%}", f"{1000 * used / requests:.2f}")
            for name, used in held.usage.cpu_s.items()
        ]
    return Table("CPU while the load was held", ("processes", "CPU s", "of one core", "ms a request"), rows)


def bands(course: Course) -> list[Band]:
    return [Band(stage.name, stage.start - course.began, stage.end - course.began) for stage in course.stages]


def buckets(course: Course, samples: Sequence[Sample]) -> Iterator[tuple[float, list[Sample]]]:
    """Middle of each stretch of time since the start, with the samples that began in it."""
    found: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[int((sample[0] - course.began) / BUCKET_S)].append(sample)
    for number in range(max(found, default=-1) + 1):
        yield (number + 0.5) * BUCKET_S, found.get(number, [])


def over_time(course: Course, name: str, samples: Sequence[Sample], share: float) -> Series:
    points = list(buckets(course, samples))
    values = [quantile(sorted(s[2] for s in some), share) if some else None for _, some in points]
    return Series(name, [moment for moment, _ in points], values)


def latency(course: Course) -> Chart:
    series = [
        over_time(course, "prober p50", course.probe, 0.50),
        over_time(course, "prober p95", course.probe, 0.95),
        over_time(course, "Locust p95", course.crowd, 0.95),
    ]
    target = Mark(f"target {course.asked.p95_ms:g} ms", course.asked.p95_ms)
    return Chart("latency over time", "s", "ms", series, [target], bands(course), log_y=True)


def percentiles(course: Course) -> Chart:
    held = course.held
    series = []
    for name, samples in (("prober", held.probe if held else []), ("Locust", held.crowd if held else [])):
        latencies = sorted(sample[2] for sample in samples)
        if latencies:
            series.append(Series(name, [100 * p for p in PERCENTILES], [quantile(latencies, p) for p in PERCENTILES]))
    target = Mark(f"target {course.asked.p95_ms:g} ms at p95", course.asked.p95_ms)
    return Chart("percentiles while the load was held", "percentile", "ms", series, [target], log_y=True)


def load(course: Course) -> Chart:
    points = list(buckets(course, course.crowd))
    rate = Series("answers/s", [m for m, _ in points], [len(some) / BUCKET_S if some else None for _, some in points])
    ideal = [(moment, users / course.asked.think_s) for moment, users, _ in relative(course)]
    wanted = Series("users / think time", [m for m, _ in ideal], [value for _, value in ideal])
    return Chart("rate of Locust's people", "s", "requests/s", [rate, wanted], stages=bands(course))


def errors(course: Course) -> Chart:
    points = list(buckets(course, [*course.crowd, *course.probe]))
    share = [100 * fmean(not s[3] for s in some) if some else None for _, some in points]
    allowed = Mark("allowed", 100 * course.asked.error_rate)
    return Chart(
        "errors of both", "s", "%", [Series("errors", [m for m, _ in points], share)], [allowed], bands(course)
    )


def cores(course: Course) -> Chart:
    moments = [(moment, 100 * core) for moment, _, core in relative(course)]
    series = Series("generators' core", [m for m, _ in moments], [value for _, value in moments])
    most = Mark("most for a valid run", 100 * course.asked.limits.generator_core)
    return Chart("the generators' core", "s", "% busy", [series], [most], bands(course))


def relative(course: Course) -> list[tuple[float, int, float]]:
    return [(moment - course.began, users, core) for moment, users, core in course.moments]


def data(course: Course, size: Size, fingerprint: str) -> dict[str, object]:
    """What `result.json` keeps beside the document: enough to compare two runs and to draw other percentiles."""
    judgement, held = course.judgement, course.held
    if judgement is None or held is None:
        raise ValueError("the course ended before its verdict")
    return {
        "fingerprint": fingerprint,
        "asked": asdict(course.asked),
        "size": asdict(size),
        "verdict": judgement.verdict,
        "p95_ms": asdict(judgement.p95_ms) if judgement.p95_ms else None,
        "achieved_per_s": held.rate_per_s,
        "server": finite(asdict(held.server)) if held.server else None,
        "usage": asdict(held.usage),
        "stages": [stage_data(stage) for stage in course.stages],
        "histograms_us": {kind: histogram(some) for kind, some in by_kind(held.probe).items()},
    }


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows no infinity: what lies beyond all bounds is null."""
    return {name: value if isfinite(value) else None for name, value in values.items()}


def stage_data(stage: Stage) -> dict[str, object]:
    return {
        "name": stage.name,
        "users": stage.users,
        "seconds": stage.end - stage.start,
        "rate_per_s": stage.rate_per_s,
        "knee": stage.knee,
    }


def histogram(samples: Sequence[Sample]) -> str:
    """HdrHistogram V2, three digits, base64, of latencies in microseconds."""
    made = HdrHistogram(1, HIGHEST_US, 3)
    for _, _, latency_ms, _ in samples:
        made.record_value(min(HIGHEST_US, max(1, round(latency_ms * 1000))))
    text: bytes = made.encode()
    return text.decode()


def against(baseline: Mapping[str, object], made: Mapping[str, object]) -> list[Check]:
    """Whether it is slower than an earlier run: the intervals lie apart. Only runs of one machine, size and number of
    users are compared; of others it is said that they are not.
    """
    name = "p95 against the baseline"
    if any(baseline.get(key) != made.get(key) for key in ("fingerprint", "size")) or users_of(baseline) != users_of(
        made
    ):
        return [Check("baseline", name, "-", "-", Outcome.INFO, "another machine, size or load: not compared")]
    before, now = baseline.get("p95_ms"), made.get("p95_ms")
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [Check("baseline", name, "-", "-", Outcome.INFO, "one of the two has no p95")]
    measured = f"{now['median']:.1f} ms ({now['low']:.1f}..{now['high']:.1f})"
    slower = now["low"] > before["high"]
    outcome = Outcome.FAILED if slower else Outcome.PASSED
    return [
        Check(
            "baseline",
            name,
            measured,
            f"{before['median']:.1f} ms ({before['low']:.1f}..{before['high']:.1f})",
            outcome,
        )
    ]


def users_of(made: Mapping[str, object]) -> object:
    asked = made.get("asked")
    return asked.get("users") if isinstance(asked, dict) else None
