"""Erlang's formulas for M/M/c: what a simulation must agree with where theory has an answer.

Loads are offered loads in erlangs (arrival rate times mean service time), below the number of workers; ValueError for
what is not: such a queue grows without end. Times are in the unit of `service_s`.
"""

import math

_BISECTIONS = 200


def busy_share(offered: float, workers: int) -> float:
    """Offered load by worker. ValueError unless it lies between 0 and 1."""
    if workers < 1:
        raise ValueError(f"{workers} workers serve nobody")
    if not 0 < offered < workers:
        raise ValueError(f"an offered load of {offered:g} must be above 0 and below the {workers} workers")
    return offered / workers


def waiting_probability(offered: float, workers: int) -> float:
    """Erlang C: the share of arrivals that find all workers busy.

    By the recursion of Erlang B, whose terms stay between 0 and 1: factorials would overflow at some 170 workers.
    """
    share = busy_share(offered, workers)
    blocked = 1.0
    for worker in range(1, workers + 1):
        blocked = offered * blocked / (worker + offered * blocked)
    return blocked / (1 - share * (1 - blocked))


def mean_wait(offered: float, workers: int, service_s: float) -> float:
    return waiting_probability(offered, workers) * service_s / (workers - offered)


def wait_quantile(offered: float, workers: int, service_s: float, share: float) -> float:
    """The wait that `share` of the arrivals do not exceed; 0 when so many do not wait at all."""
    waiting = waiting_probability(offered, workers)
    if waiting <= 1 - share:
        return 0.0
    return math.log(waiting / (1 - share)) * service_s / (workers - offered)


def response_tail(offered: float, workers: int, service_s: float, moment: float) -> float:
    """The share of arrivals whose wait and service together exceed `moment`."""
    waiting = waiting_probability(offered, workers)
    served, drained = 1 / service_s, (workers - offered) / service_s  # rates of the two exponentials
    alone = math.exp(-served * moment)
    if math.isclose(served, drained, rel_tol=1e-6):
        return (1 - waiting) * alone + waiting * (1 + served * moment) * alone
    both = (drained * alone - served * math.exp(-drained * moment)) / (drained - served)
    return (1 - waiting) * alone + waiting * both


def response_quantile(offered: float, workers: int, service_s: float, share: float) -> float:
    """The response time that `share` of the arrivals do not exceed, by bisection."""
    if not 0 < share < 1:
        raise ValueError(f"{share:g} is not within 0..1")
    low, high = 0.0, service_s
    while response_tail(offered, workers, service_s, high) > 1 - share:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if response_tail(offered, workers, service_s, middle) > 1 - share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
