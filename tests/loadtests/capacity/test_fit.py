"""A fit finds the queue again that the steps came from; it refuses steps that say nothing."""

from dataclasses import replace

import pytest

from loadtests.capacity.fit import FitError, Line, Point, Times, fit, resampled, straight
from loadtests.capacity.measured import undisturbed
from loadtests.capacity.simulate import Fleet, Routing
from tests.support.capacity import PRODUCT, ROUNDS, step

JOBS = 25_000


@pytest.mark.parametrize(("scv", "delay_ms"), [(1.0, 0.0), (3.0, 1.5)])
def test_a_known_queue_is_found_again(scv: float, delay_ms: float) -> None:
    truth = replace(PRODUCT, scv=scv, delay_ms=delay_ms)
    seen = [step(truth, Fleet(1), load, number, 15.0) for number in range(1, 6) for load in (0.6, 0.7, 0.85)]
    found = fit(seen, jobs=JOBS)
    assert found.line.marginal_ms == pytest.approx(0.7, rel=0.03)
    assert found.line.fixed_share == pytest.approx(0.05, abs=0.02)
    assert found.scv == pytest.approx(scv, rel=0.35)
    assert found.delay_ms == pytest.approx(delay_ms, abs=0.35)
    assert found.misfit < 0.15
    # What it is for: times between the steps, and of many servers.
    for fleet in (Fleet(1), Fleet(12, 1, Routing.LEAST_BUSY)):
        rate = truth.line.rate(0.75) * fleet.servers
        expected, times = truth.times(fleet, rate, seed=9), found.times(fleet, rate)
        assert times.p50_ms == pytest.approx(expected.p50_ms, rel=0.15)
        assert times.p95_ms == pytest.approx(expected.p95_ms, rel=0.15)


def test_a_line_leads_from_rate_to_busy_share_and_back() -> None:
    line = Line(0.1, 0.5)
    assert line.busy(1_000) == pytest.approx(0.6)
    assert line.service_ms(1_000) == pytest.approx(0.6)
    assert line.rate(0.6) == pytest.approx(1_000)
    with pytest.raises(FitError, match="10% busy without a request"):
        line.rate(0.05)


def test_noise_that_makes_requests_dearer_with_the_rate_is_levelled() -> None:
    def at(rate: float, service_ms: float) -> Point:
        return Point(rate, service_ms, Times(1, 1), 100)

    assert straight([at(500, 0.8), at(1_000, 0.9)]).fixed_share == pytest.approx(0)
    assert straight([at(500, 1.0), at(1_000, 0.5)]).marginal_ms == pytest.approx(0.5 / 0.75)
    falling = straight([at(500, 1.0), at(1_000, 0.8)])
    assert falling.fixed_share == pytest.approx(0.2)
    assert falling.marginal_ms == pytest.approx(0.6)


def test_too_few_or_too_full_steps_are_refused() -> None:
    one = [step(PRODUCT, Fleet(1), 0.6, 1, 1.0)]
    with pytest.raises(FitError, match="fewer than two loads"):
        fit(one)
    full = replace(one[0], load=0.9, service_ms=2.0)
    with pytest.raises(FitError, match="busy"):
        fit([*one, full])
    with pytest.raises(FitError, match="each of 2 servers"):
        PRODUCT.times(Fleet(2), 10_000)


def test_rounds_are_drawn_whole() -> None:
    seen = [step(PRODUCT, Fleet(1), load, number, 1.0) for number in range(1, ROUNDS + 1) for load in (0.6, 0.7)]
    lines = list(resampled(seen, resamples=50, seed=1))
    assert lines == list(resampled(seen, resamples=50, seed=1))
    middle = PRODUCT.line.service_ms(PRODUCT.line.rate(0.6))
    costs = [line.service_ms(PRODUCT.line.rate(0.6)) for line in lines]
    assert min(costs) < middle < max(costs) < middle * 1.03


def test_disturbed_repetitions_are_set_aside_while_enough_remain() -> None:
    calm = [step(PRODUCT, Fleet(1), 0.6, number, 0.2) for number in range(1, 4)]
    loud = [step(PRODUCT, Fleet(1), 0.6, number, 0.2, neighbours=0.5) for number in range(4, 6)]
    assert undisturbed([*calm, *loud]) == calm
    assert undisturbed([*calm[:2], *loud]) == [*calm[:2], *loud]
