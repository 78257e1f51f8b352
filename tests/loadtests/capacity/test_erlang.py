"""Erlang's formulas against values from textbooks, their own inverses, and limits that overflow the naive ones."""

import math

import pytest

from loadtests.capacity.erlang import (
    mean_wait,
    response_quantile,
    response_tail,
    wait_quantile,
    waiting_probability,
)


@pytest.mark.parametrize(
    ("offered", "workers", "expected"),
    [(0.8, 1, 0.8), (1.0, 2, 1 / 3), (2.0, 3, 4 / 9), (8.0, 10, 0.409180)],
)
def test_the_share_that_waits(offered: float, workers: int, expected: float) -> None:
    assert waiting_probability(offered, workers) == pytest.approx(expected, rel=1e-5)


def test_hundreds_of_workers_do_not_overflow() -> None:
    shares = [waiting_probability(0.95 * workers, workers) for workers in (10, 100, 500, 900)]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < 0.1


def test_one_worker_is_m_m_1() -> None:
    assert mean_wait(0.8, 1, 2.0) == pytest.approx(8.0)
    assert response_quantile(0.8, 1, 2.0, 0.95) == pytest.approx(-math.log(0.05) * 10)
    assert wait_quantile(0.8, 1, 2.0, 0.95) == pytest.approx(math.log(0.8 / 0.05) * 10)


def test_who_does_not_wait_has_a_wait_of_0() -> None:
    assert wait_quantile(1.0, 10, 1.0, 0.95) == 0


@pytest.mark.parametrize(("offered", "workers"), [(0.5, 1), (8.0, 10), (9.0, 10), (400.0, 420)])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_where_the_tail_is_what_remains(offered: float, workers: int, share: float) -> None:
    moment = response_quantile(offered, workers, 0.01, share)
    assert response_tail(offered, workers, 0.01, moment) == pytest.approx(1 - share, rel=1e-6)


@pytest.mark.parametrize(("offered", "workers"), [(1.0, 1), (2.0, 1), (0.0, 1), (0.5, 0)])
def test_a_queue_without_end_is_refused(offered: float, workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        waiting_probability(offered, workers)
