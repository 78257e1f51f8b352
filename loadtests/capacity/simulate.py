"""Servers behind a balancer as a discrete-event simulation: Poisson arrivals, each server a queue in order of arrival.

A request's end is known when it arrives, because nobody overtakes: each server keeps the moments at which its workers
come free in a heap. Who routes by what is under way needs the ends of all requests too, in one more heap.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush, heapreplace
from random import Random
from statistics import median

from loadtests.stats import quantile

Draw = Callable[[Random, int], Sequence[float]]
"""So many service times, in seconds, by a generator of random numbers."""


class Routing(StrEnum):
    RANDOM = "random"
    LEAST_BUSY = "least busy"
    """The server with the fewest requests under way, one of them by chance if there are several."""


@dataclass(frozen=True)
class Fleet:
    """Alike servers, each with its own queue and so many workers (cores)."""

    servers: int
    workers: int = 1
    routing: Routing = Routing.RANDOM

    def __post_init__(self) -> None:
        if self.servers < 1 or self.workers < 1:
            raise ValueError("a fleet needs a server and a worker")


def exponential(mean_s: float) -> Draw:
    return lambda random, count: exactly(mean_s, [-math.log(1 - random.random()) for _ in range(count)])


def gamma(mean_s: float, scv: float) -> Draw:
    """Squared coefficient of variation `scv`: near 0 all alike, 1 exponential, above it a few that are very long."""
    shape = 1 / scv
    return lambda random, count: exactly(mean_s, [random.gammavariate(shape, scv) for _ in range(count)])


def exactly(mean: float, values: Sequence[float]) -> list[float]:
    """Scaled to this mean. By chance it would be off by a little, and a full queue by a lot: of 100,000 simulated jobs
    nearly all the error comes from there.
    """
    scale = mean * len(values) / sum(values)
    return [value * scale for value in values]


def sampled(values_s: Sequence[float]) -> Draw:
    """Each as likely as the others, with replacement."""
    return lambda random, count: random.choices(values_s, k=count)


def simulate(fleet: Fleet, rate_per_s: float, draw: Draw, *, jobs: int, seed: int, warm_up: float = 0.1) -> list[float]:
    """Response times in seconds in order of arrival, without the first `warm_up` share of the jobs, which met empty
    servers. The same arguments give the same times. The caller sees to it that the fleet is not overloaded.
    """
    random = Random(seed)  # noqa: S311 (reproducible, no secret)
    gaps = exponential(1 / rate_per_s)(random, jobs)
    services = draw(random, jobs)
    play = _at_random if fleet.routing is Routing.RANDOM or fleet.servers == 1 else _least_busy
    return list(play(fleet, gaps, services, random))[round(jobs * warm_up) :]


def _at_random(fleet: Fleet, gaps: Sequence[float], services: Sequence[float], random: Random) -> Iterator[float]:
    queues = [[0.0] * fleet.workers for _ in range(fleet.servers)]
    now = 0.0
    for gap, service, free in zip(gaps, services, random.choices(queues, k=len(gaps)), strict=True):
        now += gap
        end = (max(now, free[0])) + service
        heapreplace(free, end)
        yield end - now


def _least_busy(fleet: Fleet, gaps: Sequence[float], services: Sequence[float], random: Random) -> Iterator[float]:
    """Servers stand in rooms by how many requests they have; a server that changes room swaps with the last in it."""
    queues = [[0.0] * fleet.workers for _ in range(fleet.servers)]
    rooms: list[list[int]] = [list(range(fleet.servers)), []]
    places = list(range(fleet.servers))
    under_way = [0] * fleet.servers
    ends: list[tuple[float, int]] = []

    def move(server: int, to: int) -> None:
        left, place = rooms[under_way[server]], places[server]
        last = left.pop()
        if last != server:
            left[place], places[last] = last, place
        under_way[server] = to
        if to == len(rooms):
            rooms.append([])
        places[server] = len(rooms[to])
        rooms[to].append(server)

    now, chance = 0.0, random.random
    for gap, service in zip(gaps, services, strict=True):
        now += gap
        while ends and ends[0][0] <= now:
            server = heappop(ends)[1]
            move(server, under_way[server] - 1)
        room = rooms[0]
        number = 0
        while not room:
            number += 1
            room = rooms[number]
        server = room[int(chance() * len(room))]
        move(server, number + 1)
        free = queues[server]
        end = (max(now, free[0])) + service
        heapreplace(free, end)
        heappush(ends, (end, server))
        yield end - now


def percentiles(responses: Sequence[float], shares: Sequence[float], window: int = 0) -> list[float]:
    """For each share, over all responses; or, read as a measurement is, the median over whole windows of so many
    consecutive ones.
    """
    if not 0 < window < len(responses):
        window = len(responses)
    starts = range(0, len(responses) - window + 1, window)
    windows = [sorted(responses[start : start + window]) for start in starts]
    return [median(quantile(ordered, share) for ordered in windows) for share in shares]
