"""What a route may ask for: who is calling, and a session that fits."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from service.kit.cache.store import Store
from service.kit.db import DIRECTORY, Database, Key, ReadSession, UserId, WriteSession
from service.kit.edge import context_of
from service.kit.keys import KeyFolder
from service.kit.paging import Cursors
from service.kit.passwords import Passwords
from service.kit.problems import Forbidden, NotSignedIn
from service.kit.revocations import Revocations
from service.kit.tokens import Principal, Tokens
from service.kit.tracing import Tracing
from service.kit.valkey import Valkey
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one process is made of; built by ``service.app`` and closed there in reverse."""

    settings: Settings
    db: Database
    folder: KeyFolder
    revocations: Revocations
    store: Store
    valkey: Valkey | None
    counting: Valkey | None
    tracing: Tracing | None
    tokens: Tokens
    passwords: Passwords
    cursors: Cursors
    fingerprints: bytes


class AdminsOnly(Forbidden):
    code, message = "admins_only", "Only an administrator may do this"


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


class _Token(HTTPBearer):
    """The security scheme of the document, and the check itself."""

    def __init__(self) -> None:
        super().__init__(scheme_name="token", bearerFormat="JWT", description="The token of register or login.")

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]  # what FastAPI calls, whatever it returns
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotSignedIn
        principal = parts_of(request).tokens.verify(token.strip())
        context_of(request.scope).user_id = principal.user_id
        return principal


SignedIn = Annotated[Principal, Depends(_Token())]


async def _admin(principal: SignedIn) -> Principal:
    if principal.role != "ADMIN":
        raise AdminsOnly
    return principal


Admin = Annotated[Principal, Depends(_admin)]


async def _own_read(request: Request, principal: SignedIn) -> ReadSession:
    return parts_of(request).db.read(principal.user_id)


async def _directory_read(request: Request) -> ReadSession:
    return parts_of(request).db.read(DIRECTORY)


@asynccontextmanager
async def _writing(request: Request, key: Key, users: Iterable[UserId]) -> AsyncIterator[WriteSession]:
    """A transaction; once it may have happened, nobody is answered from before it."""
    parts = parts_of(request)
    session = parts.db.write(key)
    session.touched.update(users)
    context_of(request.scope).write = session
    try:
        async with session:
            yield session
    finally:
        if session.committing:
            await parts.store.end_generation(session.touched)


async def _own_write(request: Request, principal: SignedIn) -> AsyncIterator[WriteSession]:
    async with _writing(request, principal.user_id, [principal.user_id]) as session:
        yield session


async def _directory_write(request: Request) -> AsyncIterator[WriteSession]:
    async with _writing(request, DIRECTORY, []) as session:
        yield session


# scope="function": the block ends, and with it the transaction, before the first byte of the answer is sent. FastAPI's
# default would commit behind the answer: a 201 for what may then fail.
OwnRead = Annotated[ReadSession, Depends(_own_read)]
OwnWrite = Annotated[WriteSession, Depends(_own_write, scope="function")]
DirectoryRead = Annotated[ReadSession, Depends(_directory_read)]
DirectoryWrite = Annotated[WriteSession, Depends(_directory_write, scope="function")]
