"""Success in the old backend's envelope, as bytes with their entity tag."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from service.kit import etags
from service.kit.edge import context_of

T = TypeVar("T")


def iso_ms(moment: datetime) -> str:
    """``2025-01-01T00:00:00.000Z``; the moment must be in UTC, as every session's time zone is."""
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


Timestamp = Annotated[
    datetime,
    PlainSerializer(iso_ms, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-01-01T00:00:00.000Z"]}),
]
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[42])]
# PostgreSQL's text cannot hold NUL. Lone surrogates are refused by pydantic itself.
Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]*$")]


class Wire(BaseModel):
    """camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        from_attributes=True,
        json_schema_serialization_defaults_required=True,
    )


class Body(Wire):
    """What a client sends: nothing unknown, no number in quotes."""

    model_config = ConfigDict(extra="forbid", validate_by_name=False, from_attributes=False)


class Done(Wire):
    success: Literal[True] = True
    message: str


class Data(Wire, Generic[T]):
    success: Literal[True] = True
    data: T


class DoneWith(Wire, Generic[T]):
    success: Literal[True] = True
    message: str
    data: T


class CursorPagination(Wire):
    next_cursor: str | None
    limit: int


def answer(body: BaseModel, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """For writes, and for what no client may keep."""
    return Response(to_bytes(body), status, headers, "application/json")


def cacheable(request: Request, body: bytes, etag: str | None = None, *, keep: bool = False) -> Response:
    """200 with an ETag, or 304 when the client has it already. Private, and asked for again each time.

    ``keep`` lets the service itself keep it for this caller: only for what no other user's write can change.
    """
    context_of(request.scope).keep = keep
    tag = etag or etags.of_bytes(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Origin"}
    if etags.not_modified(request, tag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return Response(body, HTTPStatus.OK, headers, "application/json")


def to_bytes(body: BaseModel) -> bytes:
    return to_json(body, by_alias=True)
