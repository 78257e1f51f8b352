"""A route that refuses what it does not know: unknown or repeated query parameters, a body that is not JSON."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.kit import direct
from service.kit.problems import ValidationFailed

_MOST_PARAMETERS = 32


class StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        run = direct.plan(self.dependant)
        takes_query = bool(self.dependant.query_params)

        async def strict(request: Request) -> Response:
            query = request.scope["query_string"]
            if query:
                _check_query(query, known=takes_query)
            return await run(request)

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
