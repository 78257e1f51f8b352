"""CORS: the configured origins exactly as written, and nobody else."""

import pytest

from tests.support.client import Client

ORIGIN = "http://localhost:3000"
STRANGERS = [
    "null",
    "http://localhost:3000.evil.com",
    "http://localhost:30001",
    "http://localhost",
    "https://localhost:3000",
    "http://evil.com/http://localhost:3000",
    "http://LOCALHOST:3000",
    "http://localhost:3000/",
    "*",
]


def preflight(origin: str, method: str = "POST", headers: str = "authorization,content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1", "/auth/login", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_the_preflight_of_the_application_is_granted(shared: Client, path: str, method: str) -> None:
    response = await shared.call("OPTIONS", path, headers=preflight(ORIGIN, method))
    assert response.is_success
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert method in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "origin" in response.headers["vary"].lower()


async def test_the_preflight_lets_the_added_headers_through(shared: Client) -> None:
    added = "idempotency-key,if-match,if-none-match,x-request-id,traceparent"
    response = await shared.call("OPTIONS", "/tasks", headers=preflight(ORIGIN, headers=added))
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert set(added.split(",")) <= {
        name.strip() for name in response.headers["access-control-allow-headers"].lower().split(",")
    }


@pytest.mark.parametrize("origin", STRANGERS)
async def test_the_preflight_of_a_stranger_is_2xx_and_grants_nothing(shared: Client, origin: str) -> None:
    response = await shared.call("OPTIONS", "/tasks", headers=preflight(origin))
    assert response.is_success
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(("method", "headers"), [("PATCH", "content-type"), ("TRACE", ""), ("POST", "x-evil")])
async def test_a_method_or_header_that_nothing_here_takes_is_not_granted(
    shared: Client, method: str, headers: str
) -> None:
    response = await shared.call("OPTIONS", "/tasks", headers=preflight(ORIGIN, method, headers))
    assert response.is_success
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origin", STRANGERS)
async def test_a_stranger_may_not_read_an_answer(shared: Client, origin: str) -> None:
    response = await shared.get("//", headers={"Origin": origin})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_the_application_may_read_every_answer_refusals_too(shared: Client) -> None:
    user = await shared.user()
    for response in (
        await shared.get("/tasks", user, headers={"Origin": ORIGIN}),
        await shared.get("/tasks", headers={"Origin": ORIGIN}),
        await shared.get("/nothing", headers={"Origin": ORIGIN}),
        await shared.get("/tasks", headers={"Origin": ORIGIN, "X-Filler": "x" * 40_000}),
    ):
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["access-control-allow-credentials"] == "true"
        exposed = response.headers["access-control-expose-headers"].lower()
        for name in ("etag", "idempotency-replayed", "retry-after", "x-request-id"):
            assert name in exposed


async def test_no_origin_no_permission(shared: Client) -> None:
    response = await shared.get("//")
    assert "access-control-allow-origin" not in response.headers
