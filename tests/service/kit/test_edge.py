"""What surrounds every request: its identity, its bounds, and the headers that every answer has."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.support.client import Client

LIMIT_BYTES = 64 * 1024
MADE_UP = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("given", ["a", "5f0c6a4e-1d2b-4c3d-8e9f-0a1b2c3d4e5f", "A.b_c:d-1", "x" * 128])
async def test_a_good_request_id_comes_back(shared: Client, given: str) -> None:
    for path in ("//", "/tasks", "/nothing"):
        response = await shared.get(path, headers={"X-Request-Id": given})
        assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "\x1b[31m", "{}", "a,b", "\N{SNOWMAN}", "<script>"])
async def test_a_bad_request_id_is_replaced(shared: Client, given: str) -> None:
    response = await shared.http.get("/api/v1/tasks", headers=[(b"X-Request-Id", given.encode())])
    assert MADE_UP.fullmatch(response.headers["x-request-id"])


async def test_without_a_request_id_each_request_gets_its_own(shared: Client) -> None:
    ids = {(await shared.get("//")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(MADE_UP.fullmatch(made) for made in ids)


async def test_every_answer_has_the_headers_of_safety(shared: Client) -> None:
    user = await shared.user()
    for response in (
        await shared.get("/tasks", user),
        await shared.post("/tasks", user, json={"title": "Write the report"}),
        await shared.get("/tasks"),
        await shared.get("/nothing"),
        await shared.get("//", headers={"X-Filler": "x" * 40_000}),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] in ("no-store", "private, no-cache")
        assert "server" not in response.headers
        assert "x-powered-by" not in response.headers


async def test_a_body_at_the_limit_is_read_and_one_past_it_is_413(shared: Client) -> None:
    user = await shared.user()
    for size, status in ((LIMIT_BYTES, 201), (LIMIT_BYTES + 1, 413)):
        body = b'{"title":"Write the report"}'.ljust(size)
        announced = await shared.post("/tasks", user, content=body, headers={"Content-Type": "application/json"})
        streamed = await shared.post("/tasks", user, content=pieces(body), headers={"Content-Type": "application/json"})
        assert "content-length" not in streamed.request.headers, "a chunked body announces no length"
        for response in (announced, streamed):
            assert response.status_code == status
            if status == 413:
                assert response.json()["code"] == "body_too_large"


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 4096):
        yield body[at : at + 4096]


@pytest.mark.parametrize("path", ["/auth/login", "/tasks", "/nothing"])
async def test_too_many_headers_are_431_everywhere(shared: Client, path: str) -> None:
    many = {f"X-Filler-{number}": "x" * 300 for number in range(120)}
    for headers in ({"X-Filler": "x" * 32_768}, many):
        response = await shared.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (431, "headers_too_large")
    assert (await shared.get("//", headers={"X-Filler": "x" * 30_000})).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"],
)
async def test_a_body_of_another_kind_is_415(shared: Client, content_type: str | None) -> None:
    user = await shared.user()
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await shared.post("/tasks", user, content=b'{"title":"Write the report"}', headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_json_by_any_of_its_names_is_taken(shared: Client, content_type: str) -> None:
    user = await shared.user()
    headers = {"Content-Type": content_type}
    response = await shared.post("/tasks", user, content=b'{"title":"Write the report"}', headers=headers)
    assert response.status_code == 201


async def test_a_forwarded_address_or_host_changes_nothing(shared: Client) -> None:
    user = await shared.user()
    plain = await shared.get("/tasks", user)
    spoofed = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.example", "Host": "evil.example"}
    response = await shared.get("/tasks", user, headers=spoofed)
    assert response.content == plain.content
    created = await shared.post("/tasks", user, json={"title": "Write the report"}, headers=spoofed)
    assert created.headers["location"].startswith("/api/v1/tasks/")
