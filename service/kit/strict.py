"""A route that refuses what it does not know: unknown or repeated query parameters, a body that is not JSON."""

import json
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from service.kit.problems import UnsupportedMediaType, ValidationFailed

_MOST_PARAMETERS = 32


class _JsonRequest(Request):
    async def json(self) -> Any:
        """Strict JSON: no NaN, no Infinity, bounded depth; raises what FastAPI answers as malformed JSON."""
        body = await self.body()
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_query = bool(self.dependant.query_params)
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            query = request.scope["query_string"]
            if query:
                _check_query(query, known=takes_query)
            if takes_body:
                content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if content_type != "application/json" and not content_type.endswith("+json"):
                    raise UnsupportedMediaType
                request = _JsonRequest(request.scope, request.receive)
            return await handle(request)

        return strict


def _check_query(query: bytes, *, known: bool) -> None:
    try:
        names = [name for name, _ in parse_qsl(query.decode("latin-1"), True, max_num_fields=_MOST_PARAMETERS)]
    except ValueError as error:
        raise ValidationFailed.of("query", f"At most {_MOST_PARAMETERS} query parameters are allowed") from error
    for name in names:
        if not known:
            raise ValidationFailed.of(name, f"{name} is not a parameter of this address")
        if names.count(name) > 1:
            raise ValidationFailed.of(name, f"{name} is given more than once")
