"""The ceiling of one process: an ASGI function that sends the bytes recorded for a path. No token, no check."""

import os
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loadtests.peers import recorded


def create_app(environment: Mapping[str, str] = os.environ) -> ASGIApp:
    """KeyError for a setting that is missing; the file of answers must exist."""
    messages: dict[str, tuple[Message, Message]] = {
        path: (
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.encode(), value.encode()) for name, value in answer.headers],
            },
            {"type": "http.response.body", "body": answer.body},
        )
        for path, answer in recorded.read(environment).items()
    }
    other = messages[""]

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        start, body = messages.get(scope["path"], other)
        await send(start)
        await send(body)

    async def http_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return http_only


if __name__ == "__main__":
    recorded.serve(create_app())
