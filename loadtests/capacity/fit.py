"""One server as a queue, fitted on its measured steps: what a request takes, how unequal requests are, and what each
waits for that is not the server.

Service times are gamma distributed, with exponential ones among them. Their mean follows from a line: how busy a server
is by its rate. The spread and a fixed delay (database, network and generator, which no queue
of the server's holds up) are chosen so that the simulation comes nearest to the measured p50 and p95 of all steps, by
the squares of the logarithms of their ratios. The simulation is read as the measurement was, in windows as long.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from loadtests.capacity.measured import Step, alike, middle
from loadtests.capacity.simulate import Draw, Fleet, gamma, percentiles, simulate

JOBS = 100_000
SEED = 1
SHARES = (0.5, 0.95)
LEAST_SCV, MOST_SCV = 0.02, 30.0
# A simulated queue that is nearly full depends on its seed more than on anything else.
MOST_BUSY = 0.97
_GOLDEN = (math.sqrt(5) - 1) / 2


class FitError(ValueError):
    """The steps cannot be fitted: the text says why."""


@dataclass(frozen=True)
class Times:
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Line:
    """How busy a server is by its rate: a share that no request causes alone, and `marginal_ms` for each request.

    So a request costs less the more of them there are, and never less than `marginal_ms`.
    """

    fixed_share: float
    marginal_ms: float

    def busy(self, rate_per_s: float) -> float:
        return self.fixed_share + rate_per_s * self.marginal_ms / 1_000

    def service_ms(self, rate_per_s: float) -> float:
        """Mean of a request, its part of the fixed share included."""
        return self.busy(rate_per_s) * 1_000 / rate_per_s

    def rate(self, busy: float) -> float:
        """Requests/s that keep one server so busy. FitError where it is so without any."""
        if busy <= self.fixed_share:
            raise FitError(f"by the fit a server is {self.fixed_share:.0%} busy without a request")
        return (busy - self.fixed_share) * 1_000 / self.marginal_ms


@dataclass(frozen=True)
class Fit:
    """`misfit` is the root mean square of the logarithms of predicted by measured, over the steps it was fitted on;
    `jobs` is how long its simulations are.
    """

    line: Line
    scv: float
    delay_ms: float
    misfit: float
    jobs: int = JOBS

    def times(self, fleet: Fleet, rate_per_s: float, *, window: int = 0, seed: int = SEED) -> Times:
        """Response times of alike servers that share the rate. FitError when that is more than they can serve."""
        one = rate_per_s / fleet.servers
        busy = self.line.busy(one)
        if not 0 < busy <= MOST_BUSY:
            raise FitError(f"{rate_per_s:,.0f} requests/s keep each of {fleet.servers} servers {busy:.0%} busy")
        responses = respond(fleet, rate_per_s, self.line.service_ms(one), self.scv, self.jobs, seed)
        p50, p95 = percentiles(responses, SHARES, window)
        return Times(p50 + self.delay_ms, p95 + self.delay_ms)


def scaled(units: Sequence[float], mean: float) -> Draw:
    """Service times that were drawn already, with mean 1: they take as long to draw as the queue to play."""
    return lambda _random, _count: [mean * unit for unit in units]


def respond(fleet: Fleet, rate_per_s: float, service_ms: float, scv: float, jobs: int, seed: int) -> list[float]:
    """Response times in ms, without the delay."""
    draw = gamma(service_ms / 1_000, scv)
    return [time_s * 1_000 for time_s in simulate(fleet, rate_per_s, draw, jobs=jobs, seed=seed)]


@dataclass(frozen=True)
class Point:
    """The medians of the repetitions of one load."""

    rate_per_s: float
    service_ms: float
    times: Times
    window: int


def point(steps: Sequence[Step]) -> Point:
    times = Times(middle(steps, lambda s: s.p50_ms), middle(steps, lambda s: s.p95_ms))
    window = round(middle(steps, lambda s: s.answered))
    return Point(middle(steps, lambda s: s.rate_per_s), middle(steps, lambda s: s.service_ms), times, window)


def straight(points: Sequence[Point]) -> Line:
    """Least squares of the busy share over the rate. Where noise makes it say that requests are dearer the more there
    are, or cost nothing, every request costs the mean.
    """
    rates = [each.rate_per_s for each in points]
    shares = [each.rate_per_s * each.service_ms / 1_000 for each in points]
    mean_rate, mean_share = fmean(rates), fmean(shares)
    spread = sum((rate - mean_rate) ** 2 for rate in rates)
    together = sum((rate - mean_rate) * (share - mean_share) for rate, share in zip(rates, shares, strict=True))
    level = mean_share / mean_rate
    slope = together / spread if spread else level
    if not 0 < slope <= level:
        slope = level
    return Line(mean_share - slope * mean_rate, slope * 1_000)


def lowest(of: Callable[[float], float], low: float, high: float, steps: int) -> float:
    """Where a function with one valley is lowest, by golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = of(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = of(right)
    return (low + high) / 2


def fit(steps: Sequence[Step], *, jobs: int = JOBS, seed: int = SEED) -> Fit:
    """FitError without two loads, or when one of them is more than the server could serve."""
    points = [point(repetitions) for repetitions in alike(steps)]
    if len(points) < 2:  # noqa: PLR2004 (a line needs two)
        raise FitError("one server was measured at fewer than two loads")
    line = straight(points)
    one = Fleet(1)
    for each in points:
        if line.busy(each.rate_per_s) > MOST_BUSY:
            raise FitError(f"{each.rate_per_s:.0f} requests/s kept the server {line.busy(each.rate_per_s):.0%} busy")

    def alone(scv: float) -> list[tuple[float, float]]:
        """Simulated without delay, and measured, for each percentile of each step."""
        pairs = []
        units = gamma(1.0, scv)(Random(seed), jobs)  # noqa: S311 (reproducible, no secret)
        for each in points:
            draw = scaled(units, line.service_ms(each.rate_per_s))
            responses = simulate(one, each.rate_per_s / 1_000, draw, jobs=jobs, seed=seed)
            seen = (each.times.p50_ms, each.times.p95_ms)
            pairs += list(zip(percentiles(responses, SHARES, each.window), seen, strict=True))
        return pairs

    longest = max(each.times.p50_ms for each in points)

    def delay(pairs: Sequence[tuple[float, float]]) -> float:
        return lowest(lambda ms: misfit(pairs, ms), 0.0, longest, 40)

    def total(log_scv: float) -> float:
        pairs = alone(math.exp(log_scv))
        return misfit(pairs, delay(pairs))

    scv = math.exp(lowest(total, math.log(LEAST_SCV), math.log(MOST_SCV), 9))
    pairs = alone(scv)
    chosen = delay(pairs)
    return Fit(line, scv, chosen, misfit(pairs, chosen), jobs)


def misfit(pairs: Sequence[tuple[float, float]], delay_ms: float) -> float:
    logs = [math.log((simulated + delay_ms) / measured) for simulated, measured in pairs]
    return math.sqrt(sum(log * log for log in logs) / len(logs))


def resampled(steps: Sequence[Step], *, resamples: int, seed: int) -> Iterator[Line]:
    """Lines of service time over repetitions drawn again, whole rounds at a time: what changed within a round changed
    for all of its steps.
    """
    rounds: Mapping[int, list[Step]] = {
        number: [step for step in steps if step.round == number] for number in sorted({step.round for step in steps})
    }
    random = Random(seed)  # noqa: S311 (reproducible, no secret)
    for _ in range(resamples):
        drawn = [step for number in random.choices([*rounds], k=len(rounds)) for step in rounds[number]]
        yield straight([point(repetitions) for repetitions in alike(drawn)])
