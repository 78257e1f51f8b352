"""The simulation against theory, at fixed seeds: M/M/c by Erlang, the mean of M/G/1 by Pollaczek and Khinchine."""

from statistics import fmean

import pytest

from loadtests.capacity.erlang import mean_wait, response_quantile
from loadtests.capacity.simulate import (
    Draw,
    Fleet,
    Routing,
    exponential,
    gamma,
    percentiles,
    sampled,
    simulate,
)

JOBS = 150_000


def close(simulated: float, theory: float) -> bool:
    return abs(simulated / theory - 1) < 0.04


@pytest.mark.parametrize(("workers", "offered"), [(1, 0.5), (1, 0.7), (10, 7.0), (10, 8.0)])
def test_it_agrees_with_erlang(workers: int, offered: float) -> None:
    responses = simulate(Fleet(1, workers), offered, exponential(1.0), jobs=JOBS, seed=3)
    assert close(fmean(responses), 1 + mean_wait(offered, workers, 1.0))
    for share, simulated in zip((0.5, 0.95), percentiles(responses, (0.5, 0.95)), strict=True):
        assert close(simulated, response_quantile(offered, workers, 1.0, share))
    # Negative control: a worker more is seen.
    assert not close(fmean(responses), 1 + mean_wait(offered, workers + 1, 1.0))


@pytest.mark.parametrize(
    ("draw", "scv"), [(gamma(1.0, 0.25), 0.25), (gamma(1.0, 4.0), 4.0), (sampled([0.5, 0.5, 2.0]), 0.5)]
)
def test_it_agrees_with_pollaczek_and_khinchine(draw: Draw, scv: float) -> None:
    load = 0.7
    responses = simulate(Fleet(1), load, draw, jobs=JOBS, seed=5)
    expected = 1 + load * (1 + scv) / 2 / (1 - load)
    assert abs(fmean(responses) / expected - 1) < 0.06
    # Negative control: another spread is seen.
    assert abs(fmean(responses) / (1 + load * (1 + 2 * scv) / 2 / (1 - load)) - 1) > 0.06


def test_servers_that_are_chosen_at_random_are_single_ones() -> None:
    responses = simulate(Fleet(16), 16 * 0.7, exponential(1.0), jobs=JOBS, seed=2)
    assert close(fmean(responses), 1 / 0.3)


def test_the_least_busy_of_two_is_between_one_queue_for_both_and_chance() -> None:
    load = 2 * 0.8
    one_queue = fmean(simulate(Fleet(1, 2), load, exponential(1.0), jobs=JOBS, seed=4))
    least_busy = fmean(simulate(Fleet(2, 1, Routing.LEAST_BUSY), load, exponential(1.0), jobs=JOBS, seed=4))
    at_random = fmean(simulate(Fleet(2), load, exponential(1.0), jobs=JOBS, seed=4))
    assert one_queue < least_busy < at_random / 1.5


def test_the_same_seed_gives_the_same_times_and_warm_up_is_dropped() -> None:
    for routing in Routing:
        fleet = Fleet(3, 2, routing)
        first, again, other = (simulate(fleet, 4.0, exponential(1.0), jobs=500, seed=seed) for seed in (1, 1, 2))
        assert first == again != other
        assert len(first) == 450
        assert simulate(fleet, 4.0, exponential(1.0), jobs=500, seed=1, warm_up=0)[50:] == first


def test_windows_are_read_one_by_one() -> None:
    assert percentiles([1, 1, 1, 9, 9, 9, 2, 2, 2, 100], [0.5], 3) == [2]
    assert percentiles([1, 2, 3], [0.5, 1.0], 7) == [2, 3]


def test_a_fleet_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a server"):
        Fleet(0)
