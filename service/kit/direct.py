"""Runs a route from a plan made once, where FastAPI would walk the tree of its dependencies on every request.

FastAPI still reads the signature, documents it and matches the path. Only the execution is ours: its resolution was
40 % of the CPU of a list. What a signature may hold here: a request, dependencies (coroutines, or generators that end
with the function), path and header values, one model of query parameters, one model as the body. Anything else is
refused when the route is made, so that there is one way for all.
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.kit.problems import BadRequest, UnsupportedMediaType

_Shared = dict[Any, Any]  # what each dependency gave, so that two who ask share one
_MISSING = object()


def plan(dependant: Dependant) -> Callable[[Request], Awaitable[Response]]:
    """What answers a request: dependencies first, so that who may not ask learns nothing of what is wrong with it.

    Raises TypeError for a signature that it cannot serve.
    """
    root = _Node(dependant)
    endpoint = root.call

    async def run(request: Request) -> Response:
        response = await endpoint(**await root.values(request, {}))
        if not isinstance(response, Response):
            raise TypeError(f"{endpoint} must return a Response")
        return response

    return run


class _Node:
    """A route function or a dependency, with what it is given."""

    def __init__(self, dependant: Dependant) -> None:
        if dependant.call is None:
            raise TypeError("a dependency without a function")
        self.call: Callable[..., Any] = dependant.call
        self.name = dependant.name or ""
        self.children = [_Node(child) for child in dependant.dependencies]
        self.opens = inspect.isasyncgenfunction(dependant.call)
        self._request_name = dependant.request_param_name
        self._path = [(field.name, field.alias, field) for field in dependant.path_params]
        self._headers = [(field.name, field.alias, field) for field in dependant.header_params]
        self._query = dependant.query_params[0] if dependant.query_params else None
        self._body = dependant.body_params[0] if dependant.body_params else None
        self._refuse_the_rest(dependant)
        if self.opens:
            self.call = asynccontextmanager(dependant.call)

    def _refuse_the_rest(self, dependant: Dependant) -> None:
        coroutine = inspect.iscoroutinefunction(self.call) or inspect.iscoroutinefunction(
            getattr(self.call, "__call__", None)  # noqa: B004 (whether it is a coroutine, not whether it is callable)
        )
        if not (coroutine or (self.opens and dependant.scope == "function")):
            raise TypeError(f"{self.call} must be a coroutine, or a generator with scope='function'")
        if (
            len(dependant.query_params) > 1
            or len(dependant.body_params) > 1
            or dependant.cookie_params
            or dependant.response_param_name
            or dependant.background_tasks_param_name
            or dependant.concurrency
        ):
            raise TypeError(f"{self.call} asks for what a route here cannot be given")

    async def values(self, request: Request, shared: _Shared) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._request_name is not None:
            values[self._request_name] = request
        for child in self.children:
            value = shared.get(child.call, _MISSING)
            if value is _MISSING:
                given = child.call(**await child.values(request, shared))
                if child.opens:
                    stack: AsyncExitStack = request.scope["fastapi_function_astack"]
                    value = await stack.enter_async_context(given)
                else:
                    value = await given
                shared[child.call] = value
            values[child.name] = value
        if errors := await self._read_parameters(request, values):
            raise RequestValidationError(errors)
        return values

    async def _read_parameters(self, request: Request, values: dict[str, Any]) -> list[Any]:
        errors: list[Any] = []
        for name, alias, field in self._path:
            values[name], found = field.validate(request.path_params[alias], {}, loc=("path", alias))
            errors += found
        for name, alias, field in self._headers:
            given = request.headers.get(alias)
            if given is not None:
                values[name], found = field.validate(given, {}, loc=("header", alias))
                errors += found
        if self._query is not None:
            query = dict(request.query_params)
            values[self._query.name], found = self._query.validate(query, {}, loc=("query",))
            errors += found
        if self._body is not None:
            values[self._body.name], found = self._body.validate(await _json(request), {}, loc=("body",))
            errors += found
        return errors


async def _json(request: Request) -> Any:
    """Strict JSON: no NaN, no Infinity, bounded depth, and nothing else is taken for it."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise UnsupportedMediaType
    try:
        body = await request.body()
    except ClientDisconnect as error:  # nobody reads the answer; it must not count as our failure
        raise BadRequest from error
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "not JSON"}]) from error
