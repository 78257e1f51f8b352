"""One server as a queue, fitted on its measured steps: what a request takes, how unequal requests are, and what each
waits for that is not the server.

Service times are gamma distributed, with exponential ones among them. Their mean follows a line over the rate, because
a request costs less the more there are. The spread and a fixed delay (database, network and generator, which no queue
of the server's holds up) are chosen so that the simulation comes nearest to the measured p50 and p95 of all steps, by
the squares of the logarithms of their ratios. The simulation is read as the measurement was, in windows as long.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from loadtests.capacity.measured import Step, by_load, middle
from loadtests.capacity.simulate import Fleet, gamma, percentile, simulate

JOBS = 60_000
SEED = 1
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
    """Mean service time in ms at a rate, a server: `at_rest_ms` + `slope` * requests/s."""

    at_rest_ms: float
    slope: float

    def service_ms(self, rate_per_s: float) -> float:
        return self.at_rest_ms + self.slope * rate_per_s

    def busy(self, rate_per_s: float) -> float:
        return rate_per_s * self.service_ms(rate_per_s) / 1_000

    def rate(self, busy: float) -> float:
        """Requests/s that keep one server so busy. FitError where the line never gets there."""
        if math.isclose(self.slope, 0.0, abs_tol=1e-12):
            return busy * 1_000 / self.at_rest_ms
        root = self.at_rest_ms**2 + 4 * self.slope * busy * 1_000
        if root < 0:
            raise FitError(f"requests become so cheap with the rate that none keeps a server {busy:.0%} busy")
        return (math.sqrt(root) - self.at_rest_ms) / (2 * self.slope)


@dataclass(frozen=True)
class Fit:
    """`misfit` is the root mean square of the logarithms of predicted by measured, over the steps it was fitted on."""

    line: Line
    scv: float
    delay_ms: float
    misfit: float

    def times(self, fleet: Fleet, rate_per_s: float, *, window: int = 0, jobs: int = JOBS, seed: int = SEED) -> Times:
        """Response times of alike servers that share the rate. FitError when that is more than they can serve."""
        one = rate_per_s / fleet.servers
        busy = self.line.busy(one)
        if not 0 < busy <= MOST_BUSY:
            raise FitError(f"{rate_per_s:,.0f} requests/s keep each of {fleet.servers} servers {busy:.0%} busy")
        responses = respond(fleet, rate_per_s, self.line.service_ms(one), self.scv, jobs, seed)
        p50, p95 = (percentile(responses, share, window) + self.delay_ms for share in (0.5, 0.95))
        return Times(p50, p95)


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
    """Least squares; level when there is one rate only. A slope that would make requests free at the highest rate, or
    dearer with it, is not what requests do: then it is level too.
    """
    count = len(points)
    mean_rate = sum(p.rate_per_s for p in points) / count
    mean_ms = sum(p.service_ms for p in points) / count
    spread = sum((p.rate_per_s - mean_rate) ** 2 for p in points)
    if spread == 0:
        return Line(mean_ms, 0.0)
    slope = sum((p.rate_per_s - mean_rate) * (p.service_ms - mean_ms) for p in points) / spread
    line = Line(mean_ms - slope * mean_rate, slope)
    highest = max(p.rate_per_s for p in points)
    # Busier with the rate at every step: the derivative of rate * service time.
    rises = line.at_rest_ms + 2 * slope * highest > 0
    return line if slope <= 0 and rises else Line(mean_ms, 0.0)


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
    points = [point(repetitions) for repetitions in by_load(steps).values()]
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
        for each in points:
            responses = respond(one, each.rate_per_s, line.service_ms(each.rate_per_s), scv, jobs, seed)
            pairs += [
                (percentile(responses, 0.5, each.window), each.times.p50_ms),
                (percentile(responses, 0.95, each.window), each.times.p95_ms),
            ]
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
    return Fit(line, scv, chosen, misfit(pairs, chosen))


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
        yield straight([point(repetitions) for repetitions in by_load(drawn).values()])
