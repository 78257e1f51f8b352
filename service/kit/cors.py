"""CORS for the configured origins, exactly as written: no pattern, no ``null``, no suffix."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.kit.cache.tier import lines_of

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SENT: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Request-Id",
    "traceparent",
)
_READ: Final = (
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
)


class Cors(CORSMiddleware):
    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            allow_credentials=True,
            expose_headers=_READ,
            max_age=600,
        )
        granted = list(self.simple_headers.items())
        self._granted = {
            origin.encode(): _lines([*granted, ("Access-Control-Allow-Origin", origin)]) for origin in origins
        }
        self._refused = _lines(granted)

    def lines(self, origin: bytes) -> bytes:
        """What an answer to this origin says beside its own headers, ready to be sent."""
        return self._granted.get(origin, self._refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without an Origin there is nothing to grant. What a browser keeps says ``Vary: Origin`` by itself."""
        if scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """2xx always. To another origin it grants nothing, and the browser refuses; a 400 would tell it no more."""
        response = super().preflight_response(request_headers)
        if response.status_code == Response(None, 200).status_code:
            return response
        return Response(None, 204, {"Vary": "Origin"})


def _lines(headers: list[tuple[str, str]]) -> bytes:
    return lines_of((name.lower().encode(), value.encode()) for name, value in headers)
