"""The OpenAPI document: FastAPI's own, with every failure in the one shape that it really has."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from service.kit import problems
from service.kit.limits.limiter import TooManyRequests
from service.kit.problems import ProblemBody, ValidationFailed, documented

_DESCRIPTION: Final = """
Tasks of users. Success is `{"success": true, "message"?, "data"?}`; every failure is RFC 9457 problem+json beside
`success`, `message`, `code` and `errors`. `code` is stable: program against it, show `message` to people.
""".strip()

# What any route may answer, whatever else it documents.
_EVERYWHERE: Final = documented(
    TooManyRequests,
    problems.HeadersTooLarge,
    problems.InternalError,
    problems.Unavailable,
    problems.DeadlineExceeded,
)
_WITH_BODY: Final = documented(problems.RequestTimeout, problems.BodyTooLarge, problems.UnsupportedMediaType)
_WRITES: Final = documented(problems.OutcomeUnknown)
_INVALID: Final = documented(ValidationFailed)
_UNGUARDED: Final = ("/health/live", "/health/ready", "/.well-known/jwks.json", "/")


# Swagger UI comes from a public CDN and starts itself with an inline script.
_DOCS_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; script-src 'unsafe-inline' https://cdn.jsdelivr.net"
)


async def docs_page() -> Response:
    page = get_swagger_ui_html(openapi_url="/openapi.json", title="Task Manager API", swagger_favicon_url="data:,")
    page.headers["Content-Security-Policy"] = _DOCS_POLICY
    return page


def describe(api: FastAPI) -> None:
    """Makes ``api.openapi()`` return the finished document; it is built once, at its first use."""

    def build() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _document(api)
        return api.openapi_schema

    api.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _document(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=api.title, version=api.version, openapi_version="3.1.0", description=_DESCRIPTION, routes=api.routes
    )
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schema = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    # Some codes belong to no route: those of unknown paths and methods.
    schema["properties"]["code"]["enum"] = problems.codes()
    schemas["Problem"] = schema
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    # FastAPI's 422 is never sent: what cannot be understood is 400 here. Ours (a reused key) has another body.
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    additions = [_EVERYWHERE, _INVALID]
    if "requestBody" in operation:
        additions.append(_WITH_BODY)
    if method != "get":
        additions.append(_WRITES)
    for addition in additions:
        for status, response in addition.items():
            _merge(responses, str(status), response)
    if path in _UNGUARDED:
        return
    success = next(status for status in responses if status.startswith("2"))
    if method == "get":
        etag = {"description": "Send it back in If-None-Match.", "schema": {"type": "string"}}
        responses[success].setdefault("headers", {})["ETag"] = etag
        responses["304"] = {"description": "Not changed since the ETag in If-None-Match"}
        _header(operation, "If-None-Match", "ETags the client has; 304 without a body when one still holds.")
    if "412" in responses:
        _header(operation, "If-Match", "Only if the ETag still holds, else 412. Not required.")


def _merge(responses: dict[str, Any], status: str, addition: dict[str, Any]) -> None:
    media = problems.MEDIA_TYPE
    known = responses.setdefault(status, {"description": addition["description"]})
    content = known.setdefault("content", {}).setdefault(
        media, {"schema": addition["content"][media]["schema"], "examples": {}}
    )
    content["examples"] |= addition["content"][media]["examples"]


def _header(operation: dict[str, Any], name: str, description: str) -> None:
    operation.setdefault("parameters", []).append(
        {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}
    )
