"""uvicorn's HTTP/1.1 with a bound on what comes before there is a request, and with answers that lie ready.

Measured without the bound: 38 MB of short header lines on one connection cost 425 MB of memory, and one line of that
length held up every other client for seconds. The edge sees a request only when its headers are complete.
"""

import asyncio
import math
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.kit import problems
from service.kit.cache.hits import Hits
from service.kit.cache.tier import lines_of
from service.kit.problems import BadRequest, HeadersTooLarge, Problem
from service.settings import Http

# How long, and for how much, a refused client is listened to: closed at once, it would get a reset and no reason.
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1024 * 1024

# How long a stopping process listens to a client that is silent: it may be sending its next request this moment.
# Closed at once, as uvicorn does, one to three of eight busy clients got a reset for an answer.
_FAREWELL_S: Final = 0.5


# Of a body, or of an answer in two steps.
_UNUSUAL: Final = frozenset((b"content-length", b"transfer-encoding", b"expect"))


class Wire(HttpToolsProtocol):
    """Refuses, in the one shape of every failure, and closes."""

    limit_bytes: ClassVar[int]
    patience_s: ClassVar[float]
    hits: ClassVar[Hits | None]
    dated: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = False
        self._answered = False
        self._answered_at = -math.inf
        self._arriving = False
        self._progress = False
        self._refused_bytes: int | None = None
        self._leaving = False
        # Bytes since the parser last had something for the application: of headers, trailers, chunk extensions.
        self._overhead_bytes = 0
        self._head_bytes = 0  # at most what the request that is being read has of headers
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused_bytes is not None:
            self._refused_bytes += len(data)
            if self._refused_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        self._progress = False
        self._head_bytes = self._overhead_bytes + len(data)
        self._arriving = True
        super().data_received(data)
        self._arriving = False
        if self._progress or self._refused_bytes is not None:
            self._overhead_bytes = 0
            self._stop_waiting()
            return
        self._overhead_bytes += len(data)
        super()._unset_keepalive_if_required()
        if self._overhead_bytes > self.limit_bytes:
            self.logger.warning("Request headers are too large.")
            self._refuse(HeadersTooLarge())
        elif self._patience is None:
            self._patience = self.loop.call_later(self.patience_s, super().timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        # What the application needs to know is gathered when it is known that it will be asked.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._answered = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come this way too, and must not join the headers of a request that is being answered.
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._progress = True
        if self.hits is not None and self._is_plain() and self._answer_at_once(self.hits):
            return
        super()._unset_keepalive_if_required()
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._progress = True
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress = True
        if not self._answered:
            super().on_message_complete()

    def _is_plain(self) -> bool:
        """A GET without a wish for the connection, whose turn it is, and whose answer there is room for."""
        parser = self.parser
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        return (
            (cycle is None or cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and not self._leaving
            and self._head_bytes <= self.limit_bytes // 2
            and parser.get_method() == b"GET"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
        )

    def _answer_at_once(self, hits: Hits) -> bool:
        headers = dict(self.headers)
        if not headers.keys().isdisjoint(_UNUSUAL):
            return False
        sent = hits.answer(self.url, headers, self._server_lines())
        if sent is None:
            return False
        self._answered = True
        self.transport.write(sent)
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)
        return True

    def _server_lines(self) -> bytes:
        """The date, which uvicorn renews by the second."""
        headers = self.server_state.default_headers
        if headers is not Wire.dated[0]:
            Wire.dated = headers, lines_of(headers)
        return Wire.dated[1]

    def _unset_keepalive_if_required(self) -> None:
        """Not for each hit: a timer a request is dearer than one that looks, when it ends, whether it was in vain."""
        if not self._arriving:
            super()._unset_keepalive_if_required()

    def timeout_keep_alive_handler(self) -> None:
        left_s = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._rest(left_s)
        else:
            super().timeout_keep_alive_handler()

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """The answer that is due, or the next one, is this connection's last and says so."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._leaving = True
            self.loop.call_later(_FAREWELL_S, super().shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature; its text is not our shape)
        self._refuse(BadRequest())

    def _refuse(self, problem: Problem) -> None:
        response = problems.render(problem, path="/", trace_id="")
        headers = [*response.raw_headers, (b"connection", b"close"), (b"x-content-type-options", b"nosniff")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n".encode()
        self.transport.write(status + lines + b"\r\n" + bytes(response.body))
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        if cycle is None or cycle.response_complete:
            self._refused_bytes = 0
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def protocol(settings: Http, hits: Hits | None) -> type[Wire]:
    """For ``uvicorn.Config(http=...)``, which makes one for each connection."""
    # Twice: what is a little too long still reaches the edge, which answers with its event in the log.
    bounds = {"limit_bytes": 2 * settings.header_limit_bytes, "patience_s": settings.deadline_s}
    return type("BoundedWire", (Wire,), {**bounds, "hits": hits})
