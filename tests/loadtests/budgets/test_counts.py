"""What the windows of the requests make of one figure."""

from loadtests.budgets.counts import Work, a_request

ASKED, POLLED = 1, 2
IDLE = frozenset({POLLED})
ONE = Work(calls=1, buffers=3)


def test_a_statement_that_some_requests_make_has_its_share() -> None:
    assert a_request([{ASKED: ONE}, {ASKED: ONE}, {}, {ASKED: Work(2, 6)}], IDLE) == Work(1, 3)


def test_what_the_idle_server_makes_falls_into_a_window_without_counting() -> None:
    assert a_request([{ASKED: ONE}, {ASKED: ONE, POLLED: ONE}, {ASKED: ONE}], IDLE) == ONE


def test_a_statement_of_every_request_counts_though_the_idle_server_makes_it_too() -> None:
    both = {ASKED: ONE, POLLED: ONE}
    assert a_request([both, both, {ASKED: ONE, POLLED: Work(2, 6)}], IDLE) == Work(2, 6)


def test_a_request_that_asks_nothing_costs_nothing() -> None:
    assert a_request([{}, {POLLED: ONE}, {}], IDLE) == Work(0, 0)
