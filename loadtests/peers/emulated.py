"""A server that is one worker and a queue, without the work: each request sleeps, alone, for an exponential time.

The HTTP stack is the product's. A sleeping server needs no core, so a machine with two can hold many: what a balancer
in front of K servers does is seen without K cores. GET /held tells for how long the worker was taken, all in all.
Settings: EMULATED_MEAN_MS, EMULATED_SEED, PEER_HOST, PEER_PORT.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from random import Random

from starlette.types import ASGIApp, Receive, Scope, Send

from loadtests.peers import recorded

HELD = "/held"


def create_app(environment: Mapping[str, str] = os.environ) -> ASGIApp:
    """KeyError for a setting that is missing."""
    mean_s = float(environment["EMULATED_MEAN_MS"]) / 1_000
    random = Random(int(environment["EMULATED_SEED"]))  # noqa: S311 (reproducible, no secret)
    worker = asyncio.Lock()  # hands over in the order of arrival
    held_s, served = 0.0, 0

    async def serve() -> None:
        nonlocal held_s, served
        async with worker:
            start = time.perf_counter()
            await asyncio.sleep(random.expovariate(1 / mean_s))
            held_s += time.perf_counter() - start
            served += 1

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != HELD:
            await serve()
        body = json.dumps({"held_s": held_s, "served": served}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    recorded.serve(create_app())
