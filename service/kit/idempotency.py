"""A write that is sent twice happens once (draft-ietf-httpapi-idempotency-key-header).

The first answer is stored in the write's own transaction, so the answer exists exactly if the write does. A failed
write leaves no row: its key may be used again.
"""

import hashlib
import hmac
import re
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Header
from psycopg.types.json import Json
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from service.kit.db import WriteSession
from service.kit.problems import Problem, ValidationFailed

KEPT: Final = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyReused(Problem):
    status, code = 422, "idempotency_key_reused"
    message = "This Idempotency-Key was sent with another body; use a new key for a new request"


class StillRunning(Problem):
    status, code = 409, "idempotency_key_running"
    message = "A request with this Idempotency-Key is still running; ask again in a moment"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Up to 255 visible ASCII characters. The same key and body within 24 h replay the first answer.",
        examples=["0f8fad5b-d9cb-469f-a165-70867728950e"],
    ),
]


class Idempotency:
    """Keys of one principal and route. ``fingerprint`` is keyed: a body may hold a password."""

    def __init__(self, secret: bytes, session: WriteSession, scope: str, key: str | None, body: object) -> None:
        if key is not None and not _KEY.fullmatch(key):
            raise ValidationFailed.of("Idempotency-Key", "Idempotency-Key must be 1 to 255 visible ASCII characters")
        self._session = session
        self._scope = scope
        self._key = key
        self._fingerprint = hmac.digest(secret, to_json(body), hashlib.sha256)

    async def first_answer(self) -> dict[str, Any] | None:
        """What the first request answered, or None when this is the first.

        Raises :class:`StillRunning` while another transaction holds the key, :class:`KeyReused` for another body.
        """
        if self._key is None:
            return None
        # The lock is taken by a statement of its own: the next one's snapshot then sees what its last holder committed.
        [[locked]] = await self._session.rows(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self._scope} {self._key}",)
        )
        if not locked:
            raise StillRunning
        row = await self._session.row(
            """
            SELECT fingerprint, answer FROM idempotency_keys WHERE scope = %s AND key = %s AND created_at > now() - %s
            """,
            (self._scope, self._key, KEPT),
        )
        if row is None:
            return None
        if not hmac.compare_digest(row[0], self._fingerprint):
            raise KeyReused
        answer: dict[str, Any] = row[1]
        return answer

    async def store(self, answer: BaseModel | dict[str, Any]) -> None:
        """Keeps what must hold no secret; an expired row of the same key is replaced."""
        if self._key is None:
            return
        if isinstance(answer, BaseModel):
            answer = answer.model_dump(mode="json", by_alias=True)
        await self._session.execute(
            """
            INSERT INTO idempotency_keys (scope, key, fingerprint, answer) VALUES (%s, %s, %s, %s)
            ON CONFLICT (scope, key) DO UPDATE
            SET fingerprint = EXCLUDED.fingerprint, answer = EXCLUDED.answer, created_at = now()
            """,
            (self._scope, self._key, self._fingerprint, Json(answer)),
        )


def replay(first: dict[str, Any], status: int) -> Response:
    return Response(to_json(first), status, {"Idempotency-Replayed": "true"}, "application/json")
