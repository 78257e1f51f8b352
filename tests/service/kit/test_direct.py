"""The plan that runs a route: it does what FastAPI documents, and refuses what it cannot do when it is made."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.kit.strict import StrictRoute


class Body(BaseModel):
    name: str


def api_with(endpoint: Any, method: str = "GET") -> FastAPI:
    router = APIRouter(route_class=StrictRoute)
    router.add_api_route("/{id}", endpoint, methods=[method])
    api = FastAPI()
    api.include_router(router)
    return api


async def call(api: FastAPI, method: str = "GET", path: str = "/7", **more: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(api, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://plan.test") as http:
        return await http.request(method, path, **more)


async def test_a_dependency_is_run_once_however_many_ask_for_it() -> None:
    runs: list[str] = []

    async def root() -> str:
        runs.append("root")
        return "root"

    async def left(given: Annotated[str, Depends(root)]) -> str:
        return f"left of {given}"

    async def endpoint(one: Annotated[str, Depends(left)], two: Annotated[str, Depends(root)]) -> Response:
        return JSONResponse([one, two])

    response = await call(api_with(endpoint))
    assert response.json() == ["left of root", "root"]
    assert runs == ["root"]
    await call(api_with(endpoint))
    assert runs == ["root", "root"], "each request runs it anew"


async def test_what_a_dependency_opened_is_closed_before_the_answer_leaves() -> None:
    order: list[str] = []

    async def transaction() -> AsyncIterator[str]:
        order.append("begin")
        yield "session"
        order.append("commit")

    class Answer(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            order.append("send")
            await super().__call__(scope, receive, send)

    async def endpoint(session: Annotated[str, Depends(transaction, scope="function")]) -> Response:
        order.append(f"work in {session}")
        return Answer()

    assert (await call(api_with(endpoint))).status_code == 200
    assert order == ["begin", "work in session", "commit", "send"]


async def test_a_failure_reaches_what_was_opened_so_that_it_rolls_back() -> None:
    seen: list[str] = []

    async def transaction() -> AsyncIterator[str]:
        try:
            yield "session"
        except RuntimeError:
            seen.append("rolled back")
            raise

    async def endpoint(session: Annotated[str, Depends(transaction, scope="function")]) -> Response:
        raise RuntimeError(session)

    assert (await call(api_with(endpoint))).status_code == 500
    assert seen == ["rolled back"]


async def test_the_body_is_not_read_when_a_dependency_refuses() -> None:
    async def guard(request: Request) -> None:
        if "token" not in request.headers:
            raise RequestValidationError([{"type": "missing", "loc": ("header", "token"), "msg": "guarded"}])

    async def endpoint(_: Annotated[None, Depends(guard)], body: Body) -> Response:
        return JSONResponse(body.name)

    api = api_with(endpoint, "POST")
    refused = await call(api, "POST", content=b"{", headers={"Content-Type": "application/json"})
    assert refused.json()["detail"][0]["msg"] == "guarded"
    assert (await call(api, "POST", json={"name": "Ada"}, headers={"token": "x"})).json() == "Ada"


async def _two_bodies(one: Body, two: Body) -> Response:
    return JSONResponse([one.name, two.name])


async def _two_parameters(one: int, two: int) -> Response:
    return JSONResponse([one, two])


async def _cookie(session: Annotated[str, Cookie()]) -> Response:
    return JSONResponse(session)


def _plain() -> Response:
    return Response()


def _plain_dependency() -> int:
    return 1


async def _with_plain_dependency(one: Annotated[int, Depends(_plain_dependency)]) -> Response:
    return JSONResponse(one)


async def _opened() -> AsyncIterator[int]:
    yield 1


async def _closed_after_the_answer(one: Annotated[int, Depends(_opened)]) -> Response:
    return JSONResponse(one)


@pytest.mark.parametrize(
    "endpoint", [_two_bodies, _two_parameters, _cookie, _plain, _with_plain_dependency, _closed_after_the_answer]
)
def test_a_signature_that_cannot_be_served_is_refused_when_the_route_is_made(endpoint: Any) -> None:
    with pytest.raises(TypeError):
        api_with(endpoint, "POST")
