"""One API process: uvicorn on the public port, metrics on a port of their own, an orderly end."""

import asyncio
import gc
import signal
import socket
from types import FrameType

import prometheus_client
import uvicorn
from fastapi import FastAPI

from service.app import build_parts, create_api, wrapped
from service.kit import garbage, logs, wire
from service.kit.cancellation import give_up
from service.settings import Settings

_BACKLOG = 2048


class PortTakenError(Exception):
    """Another process listens where this one should; the message says where and which setting moves it."""


class _Server(uvicorn.Server):
    """On the first signal: not ready, so that a balancer looks away; then the listener closes; then the end."""

    def __init__(self, config: uvicorn.Config, api: FastAPI, drain_s: float) -> None:
        super().__init__(config)
        self._api = api
        self._drain_s = drain_s

    async def main_loop(self) -> None:
        tidying = asyncio.create_task(garbage.seldom())
        try:
            await super().main_loop()
        finally:
            give_up(tidying)
            await asyncio.gather(tidying, return_exceptions=True)

    def handle_exit(self, sig: int, _: FrameType | None) -> None:
        if self._api.state.draining:  # the second signal does not wait
            self.force_exit = sig == signal.SIGINT
            self.should_exit = True
            return
        self._api.state.draining = True
        if self._drain_s and sig == signal.SIGTERM:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._drain_s, self._stop)
        else:
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT; returns after the last request. Raises :class:`PortTakenError`."""
    logs.configure(settings.log.level)
    api = create_api(settings)
    api.state.parts = build_parts(settings)
    app, hits = wrapped(api, settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=wire.protocol(settings.http, hits),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody is believed about who is calling
        timeout_keep_alive=settings.http.keep_alive_s,
        timeout_graceful_shutdown=settings.http.shutdown_s,
    )
    with _listener(settings.http.host, settings.http.port) as listener:
        try:
            # Its thread is a daemon and ends with the process.
            prometheus_client.start_http_server(settings.metrics.port, settings.metrics.host)
        except OSError as error:
            raise PortTakenError(
                f"{settings.metrics.host}:{settings.metrics.port}: {error.strerror} (TASKS_METRICS_PORT)"
            ) from error
        # What exists now lives as long as the process.
        gc.collect()
        gc.freeze()
        _Server(config, api, settings.http.drain_s).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortTakenError(f"{host}:{port}: {error.strerror} (TASKS_HTTP_PORT)") from error
