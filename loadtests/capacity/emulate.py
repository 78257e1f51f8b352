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
from loadtests.capacity.quiet import seen_during
from loadtests.capacity.simulate import Routing
from loadtests.capacity.size import EMULATED_LOAD, HELD_OUT, Size
from loadtests.cases import Peer
from loadtests.doors import Say
from loadtests.driver import Report
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


def measure_emulated(size: Size, say: Say) -> list[Step]:
    """The steps of one server (but that which is held out, the product's alone) and of each fleet, interleaved by
    rounds.
    """
    plans = [(1, Routing.RANDOM, aimed, size.emulated_s) for aimed in size.loads if aimed != HELD_OUT]
    plans += [(servers, routing, EMULATED_LOAD, size.fleet_s) for servers, routing in size.fleets]
    steps: list[Step] = []
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
                # Neighbours are not awaited: who sleeps needs no core.
                spread = spread_over(servers[:count], routing, rate, seconds, size.seed * 100 + number * 10 + place)
                steps.append(measure_fleet(servers[:count], spread, aimed, number))
                say(told(f"emulated, round {number}/{size.rounds}, {count} servers, {routing}", steps[-1]))
    return steps


def told(where: str, step: Step) -> str:
    return (
        f"measuring: {where}: {step.rate_per_s:.0f}/s, busy {step.busy:.2f}, p50 {step.p50_ms:.1f} ms,"
        f" p95 {step.p95_ms:.1f} ms, neighbours {step.neighbours:.0%}"
    )


def unanswered(report: Report) -> int:
    return report.lost + report.wrong_status


def spread_over(servers: Sequence[Server], routing: Routing, rate: float, seconds: float, seed: int) -> Spread:
    first, *others = [server.port for server in servers]
    request = Request(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return Spread(Pace(HOST, first, [request], rate, seconds, seed=seed), others, routing)


def measure_fleet(servers: Sequence[Server], spread: Spread, aimed: float, number: int) -> Step:
    before = sum(held(server) for server in servers)
    report, neighbours = seen_during(lambda: load(spread))
    held_s = sum(held(server) for server in servers) - before
    return Step(
        round=number,
        load=aimed,
        servers=len(servers),
        routing=spread.routing,
        seconds=report.elapsed_s,
        answered=report.answered,
        unanswered=unanswered(report),
        rate_per_s=report.answered / report.elapsed_s,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        busy=held_s / report.elapsed_s / len(servers),
        service_ms=held_s * 1_000 / max(1, report.answered),
        generator_busy=report.busy,
        neighbours=neighbours,
    )


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
