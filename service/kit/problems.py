"""Every failure has one shape: RFC 9457 problem+json beside the old backend's success, message and errors."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    field: str
    path: str
    msg: str


class Problem(HTTPException):
    """Raised anywhere below a route. An HTTPException, since FastAPI lets only those pass out of body parsing."""

    status: ClassVar[int]
    code: ClassVar[str]
    message: ClassVar[str]
    # Where a registry names the problem; the others are named by their code.
    type_uri: ClassVar[str | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(self.status, message or self.message, headers)
        self.errors = tuple(errors)
        self.extra: dict[str, Any] = {}


class ValidationFailed(Problem):
    status, code, message = 400, "validation_failed", "The request is not valid"

    @classmethod
    def of(cls, field: str, msg: str) -> "ValidationFailed":
        return cls(msg, errors=[FieldError(field=field, path=field, msg=msg)])


class BadRequest(Problem):
    """Answered before there is a request, so no route documents it."""

    status, code, message = 400, "bad_request", "This is not a valid HTTP request"


class NotSignedIn(Problem):
    """401 means "log in again" and nothing else: the React client forgets its token on it."""

    status, code, message = 401, "not_signed_in", "Please log in"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    status, code, message = 403, "forbidden", "You may not do this"


class NotFound(Problem):
    status, code, message = 404, "not_found", "There is nothing here"


class MethodNotAllowed(Problem):
    status, code, message = 405, "method_not_allowed", "This method is not allowed here"


class RequestTimeout(Problem):
    """The body did not arrive in time: the client's slowness, which must not count as our failure."""

    status, code, message = 408, "request_timeout", "The request body did not arrive in time"

    def __init__(self) -> None:
        super().__init__(headers={"Connection": "close"})


class Stale(Problem):
    status, code, message = 412, "stale", "It has changed since you read it; read it again"


class BodyTooLarge(Problem):
    status, code, message = 413, "body_too_large", "The request body is too large"


class UnsupportedMediaType(Problem):
    status, code, message = 415, "unsupported_media_type", "Send the body as application/json"


class HeadersTooLarge(Problem):
    status, code, message = 431, "headers_too_large", "The request headers are too large"


class InternalError(Problem):
    status, code, message = 500, "internal_error", "Something went wrong on our side"


class Unavailable(Problem):
    """A needed part is gone or busy; nothing was changed."""

    status, code, message = 503, "unavailable", "The service is busy or restarting; try again in a moment"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class OutcomeUnknown(Unavailable):
    code = "outcome_unknown"
    message = "It is not known whether this was saved; send it again with the same Idempotency-Key to find out"


class DeadlineExceeded(Unavailable):
    code, message = "deadline_exceeded", "This took too long; try again in a moment"


# Raised by the framework for every route; a plain status becomes the problem of that status.
BY_STATUS: Mapping[int, type[Problem]] = {
    problem.status: problem for problem in (ValidationFailed, Forbidden, NotFound, MethodNotAllowed, BodyTooLarge)
}


class ProblemBody(BaseModel):
    """The body of every failure. ``errors`` lists each refused field and is empty for other failures."""

    model_config = ConfigDict(title="Problem")

    success: Literal[False]
    message: str
    code: str
    errors: list[FieldError]
    type: str
    title: str
    status: int
    detail: str
    instance: str
    traceId: str | None = Field(default=None, description="only on 5xx: what to quote to support")  # noqa: N815 (wire name)
    violated_policies: list[str] | None = Field(
        default=None, alias="violated-policies", description="only on 429: the policies whose quota is used up"
    )


def render(problem: Problem, *, path: str, trace_id: str) -> Response:
    body: dict[str, Any] = {
        "success": False,
        "message": problem.detail,
        "code": problem.code,
        "errors": [error.model_dump() for error in problem.errors],
        "type": problem.type_uri or f"urn:tasks:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        # Percent-encoded, since a path may hold what no URI reference may (and what no log line should).
        "instance": quote(path, safe="/"),
    }
    body |= problem.extra
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        body["traceId"] = trace_id
    return Response(to_json(body), problem.status, problem.headers, MEDIA_TYPE)


def codes(problem: type[Problem] = Problem) -> list[str]:
    """Every code that there is, sorted."""
    own = [problem.code] if hasattr(problem, "code") else []
    return sorted({*own, *(code for below in problem.__subclasses__() for code in codes(below))})


def documented(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route: for each status its problems, with one example a code."""
    responses: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        phrase = HTTPStatus(problem.status).phrase
        entry = responses.setdefault(
            problem.status,
            {
                "description": phrase,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][problem.code] = {
            "value": {
                "success": False,
                "message": problem.message,
                "code": problem.code,
                "errors": [],
                "type": problem.type_uri or f"urn:tasks:problem:{problem.code}",
                "title": phrase,
                "status": problem.status,
                "detail": problem.message,
                "instance": "/api/v1/...",
            }
        }
    return responses
