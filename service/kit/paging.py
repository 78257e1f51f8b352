"""Pages by number, and signed cursors for walks that must not skip or repeat."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.kit.problems import ValidationFailed

_SIGNATURE_BYTES = 16
_LONGEST = 1024
_DIGITS = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)


def _plain(value: object) -> object:
    """A number in an address is its digits: one page has one spelling (pydantic would take 1_0, +1, 01 and " 1")."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "not a whole number")
    return value


# Behind the bounds in an annotation: in front of them pydantic writes no minimum and maximum into the schema.
Plain = BeforeValidator(_plain)
# (page - 1) * limit must fit PostgreSQL's bigint, and the page itself a JSON number.
Page = Annotated[int, Field(ge=1, le=2**53 - 1), Plain]
Limit = Annotated[int, Field(ge=1, le=100), Plain]


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    page: Page = 1
    limit: Limit = 10


def total_pages(total: int, limit: int) -> int:
    return -(-total // limit)


class Cursors:
    """Opaque to clients. A cursor is bound to the list it came from, so that it opens no other list."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, position: tuple[Any, ...], context: tuple[Any, ...]) -> str:
        # Unescaped: in escapes a long title of emoji would be past the longest cursor that open takes.
        payload = json.dumps(position, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._sign(payload, context) + payload).rstrip(b"=").decode()

    def open(self, cursor: str, context: tuple[Any, ...]) -> list[Any]:
        """Raises :class:`ValidationFailed` for a cursor that is not ours or belongs to another list."""
        refused = ValidationFailed.of("cursor", "Cursor is not valid for this list; start again without it")
        if len(cursor) > _LONGEST:
            raise refused
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise refused from error
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(payload, context)):
            raise refused
        position: list[Any] = json.loads(payload)
        return position

    def _sign(self, payload: bytes, context: tuple[Any, ...]) -> bytes:
        message = json.dumps(context).encode() + b"\0" + payload
        return hmac.digest(self._key, message, hashlib.sha256)[:_SIGNATURE_BYTES]
