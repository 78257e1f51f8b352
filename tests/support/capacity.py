"""Measurements as a known queue would have given them: what a fit has to find again."""

from dataclasses import replace
from functools import cache

from loadtests.capacity.fit import Fit, Line, respond
from loadtests.capacity.measured import Measured, Setup, Step, Work
from loadtests.capacity.simulate import Fleet, Routing, percentiles
from loadtests.capacity.size import FLEETS, LOADS

PRODUCT = Fit(Line(0.05, 0.7), scv=2.0, delay_ms=1.5, misfit=0.0, jobs=20_000)
EMULATED = Fit(Line(0.0, 20.0), scv=1.0, delay_ms=1.0, misfit=0.0, jobs=20_000)
ROUNDS = 3


def step(truth: Fit, fleet: Fleet, load: float, number: int, seconds: float, neighbours: float = 0.0) -> Step:
    """One run against servers that are as `truth` says, undisturbed unless `neighbours` says otherwise."""
    one = truth.line.rate(load)
    service_ms, rate = truth.line.service_ms(one), one * fleet.servers
    seed = number * 1_000 + round(load * 100) + fleet.servers
    responses = respond(fleet, rate, service_ms, truth.scv, round(rate * seconds), seed)
    p50, p95 = percentiles(responses, (0.5, 0.95))
    return Step(
        round=number,
        load=load,
        servers=fleet.servers,
        routing=fleet.routing,
        seconds=seconds,
        answered=len(responses),
        unanswered=0,
        rate_per_s=rate,
        p50_ms=p50 + truth.delay_ms,
        p95_ms=p95 + truth.delay_ms,
        busy=load,
        # Repetitions differ a little, as they do in life.
        service_ms=service_ms * (1 + 0.01 * (number - (ROUNDS + 1) / 2)),
        generator_busy=0.1,
        neighbours=neighbours,
    )


def work(number: int, cpu_ms: float, writes: float) -> Work:
    return Work(
        round=number,
        answered=1_000,
        unanswered=0,
        cpu_ms=cpu_ms * (1 + 0.01 * (number - (ROUNDS + 1) / 2)),
        statements=0.9,
        row_writes=writes,
        commits=writes,
        held_ms=0.2,
    )


@cache
def measured(product: Fit = PRODUCT, emulated: Fit = EMULATED) -> Measured:
    rounds = range(1, ROUNDS + 1)
    single = [step(emulated, Fleet(1), load, number, 500.0) for number in rounds for load in LOADS]
    fleets = [
        step(emulated, Fleet(servers, 1, routing), 0.7, number, 30.0)
        for number in rounds
        for servers, routing in FLEETS
    ]
    return Measured(
        setup=SETUP,
        write_share=0.22,
        capacity_per_s=1_300.0,
        product=tuple(step(product, Fleet(1), load, number, 30.0) for number in rounds for load in LOADS),
        mixed=tuple(work(number, 0.25, 0.22) for number in rounds),
        writes=tuple(work(number, 0.4, 1.0) for number in rounds),
        emulated=(*single, *fleets),
    )


SETUP = Setup(
    made_at="2026-11-25T12:00:00+00:00",
    processor="a processor",
    cores=2,
    python="3.11.7",
    rounds=ROUNDS,
    seconds=30.0,
    seed=1,
    users=500,
    tasks=50_000,
    ttl_s=3.0,
    read_pool=6,
    write_pool=6,
    emulated_mean_ms=20.0,
)


def off_at_the_held_out_step(given: Measured, times: float) -> Measured:
    """As if the server had been so many times as slow there as the queue says."""
    changed = (replace(each, p95_ms=each.p95_ms * times) if each.load == 0.8 else each for each in given.product)
    return replace(given, product=tuple(changed))


def off_with_many_servers(given: Measured, times: float) -> Measured:
    changed = (
        replace(each, p50_ms=each.p50_ms * times) if each.routing == Routing.LEAST_BUSY else each
        for each in given.emulated
    )
    return replace(given, emulated=tuple(changed))
