"""Emulated servers, measured: one of them step by step as the product is, then several behind one routing.

Real servers by the dozen need cores by the dozen. A server that sleeps needs next to none, so what a number of them
does to waiting can be seen here, and only that: no database and no cache stands behind these.
"""

import http.client
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from loadtests.capacity.balanced import Spread, load
from loadtests.capacity.measured import Step
from loadtests.capacity.quiet import await_calm, seen_during
from loadtests.capacity.simulate import Routing
from loadtests.capacity.size import EMULATED_LOAD, HELD_OUT, Size
from loadtests.cases import Peer
from loadtests.driver import Report
from loadtests.experiments.stage import Say, faults
from loadtests.paced import Pace, Request
from loadtests.peers.emulated import HELD
from loadtests.rig import start
from loadtests.servers import HOST, Server, ServerError

EMULATED = Peer(
    name="emulated",
    module="loadtests.peers.emulated",
    arguments=(),
    environment={
        "EMULATED_MEAN_MS": "{mean_ms}",
        "EMULATED_SEED": "{seed}",
        "PEER_HOST": "{host}",
        "PEER_PORT": "{port}",
    },
    ready_path=HELD,
    ready_status=200,
)


def measure_emulated(size: Size, say: Say) -> tuple[list[Step], list[str]]:
    """The steps of one server (but that which is held out, the product's alone) and of each fleet, interleaved by
    rounds, and the faults of the rig.
    """
    plans = [(1, Routing.RANDOM, aimed, size.emulated_s) for aimed in size.loads if aimed != HELD_OUT]
    plans += [(servers, routing, EMULATED_LOAD, size.fleet_s) for servers, routing in size.fleets]
    steps: list[Step] = []
    problems: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        say("measuring: starting emulated servers")
        servers = [
            start(stack, EMULATED, {"mean_ms": size.emulated_mean_ms, "seed": size.seed * 100 + number}, folder)
            for number in range(max(count for count, *_ in plans))
        ]
        for server in servers:
            server.wait_ready()
        for number in range(1, size.rounds + 1):
            order = list(enumerate(plans))
            Random(size.seed * 2_000 + number).shuffle(order)  # noqa: S311 (reproducible, no secret)
            for place, (count, routing, aimed, seconds) in order:
                rate = count * aimed * 1_000 / size.emulated_mean_ms
                spread = spread_over(servers[:count], routing, rate, seconds, size.seed * 100 + number * 10 + place)
                await_calm(size.patience_s)
                step, report = measure_fleet(servers[:count], spread, aimed, number)
                steps.append(step)
                problems += faults(f"emulated, {count} servers, load {aimed:g}, round {number}", report)
                say(
                    f"measuring: emulated round {number}/{size.rounds}: {count} servers, {routing},"
                    f" busy {step.busy:.2f}, p50 {report.p50_ms:.0f} ms, p95 {report.p95_ms:.0f} ms"
                )
    return steps, problems


def spread_over(servers: Sequence[Server], routing: Routing, rate: float, seconds: float, seed: int) -> Spread:
    first, *others = [server.port for server in servers]
    request = Request(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return Spread(Pace(HOST, first, [request], rate, seconds, seed=seed), others, routing)


def measure_fleet(servers: Sequence[Server], spread: Spread, aimed: float, number: int) -> tuple[Step, Report]:
    before = sum(held(server) for server in servers)
    report, neighbours = seen_during(lambda: load(spread))
    held_s = sum(held(server) for server in servers) - before
    step = Step(
        round=number,
        load=aimed,
        servers=len(servers),
        routing=spread.routing,
        seconds=report.elapsed_s,
        answered=report.answered,
        rate_per_s=report.answered / report.elapsed_s,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        busy=held_s / report.elapsed_s / len(servers),
        service_ms=held_s * 1_000 / max(1, report.answered),
        generator_busy=report.busy,
        neighbours=neighbours,
    )
    return step, report


def held(server: Server) -> float:
    """Seconds for which its worker was taken, so far."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
    try:
        connection.request("GET", HELD)
        return float(json.loads(connection.getresponse().read())["held_s"])
    except OSError as error:
        raise ServerError(f"{server.name} does not tell how long it was busy: {error}") from error
    finally:
        connection.close()
