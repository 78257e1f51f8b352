"""The framework's own price: FastAPI routes that return a Response with the recorded bytes. No token, no check."""

import os
from collections.abc import Mapping

from fastapi import FastAPI, Response
from fastapi.telemetry import TelemetryConfig

from loadtests.peers import recorded

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}  # as in the product


def create_app(environment: Mapping[str, str] = os.environ) -> FastAPI:
    """KeyError for a setting that is missing; the file of answers must exist."""
    app = FastAPI(telemetry=NO_TELEMETRY, openapi_url=None)
    for path, answer in recorded.read(environment).items():
        add(app, path or "/{rest:path}", answer)
    return app


def add(app: FastAPI, path: str, answer: recorded.Recorded) -> None:
    headers, body = dict(answer.headers), answer.body

    @app.get(path)
    async def repeat() -> Response:
        return Response(body, headers=headers)


if __name__ == "__main__":
    recorded.serve(create_app())
