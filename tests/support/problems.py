"""The one shape of every failure (RFC 9457 beside the old backend's members), as a client sees it."""

from typing import Any

from httpx2 import Response

_MEMBERS = {"success", "message", "code", "errors", "type", "title", "status", "detail", "instance"}


def problem_of(response: Response, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of a failure, after everything that holds for each of them; ``status`` and ``code`` when they matter."""
    assert response.status_code >= 400, response.text
    assert status is None or response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    server_side = response.status_code >= 500
    assert set(body) == (_MEMBERS | {"traceId"} if server_side else _MEMBERS)
    assert body["success"] is False
    assert body["status"] == response.status_code
    assert body["message"]
    assert body["message"] == body["detail"]
    assert body["type"] == f"urn:tasks:problem:{body['code']}"
    assert code is None or body["code"] == code, body
    assert body["instance"].startswith("/")
    assert body["instance"].isascii()
    for error in body["errors"]:
        assert set(error) == {"field", "path", "msg"}
        assert all(isinstance(value, str) for value in error.values())
    return body


def refused(response: Response, status: int = 400, field: str | None = None) -> dict[str, Any]:
    """A refusal of what the client sent; with ``field``, of that field and first of all."""
    body = problem_of(response, status)
    if field is not None:
        assert body["errors"], body
        assert body["errors"][0]["field"] == field, body
        assert body["message"] == body["errors"][0]["msg"]
    return body
