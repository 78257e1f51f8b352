"""What a route may ask for: who is calling, and a session that fits."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from service.kit.db import DIRECTORY, Database, ReadSession, WriteSession
from service.kit.edge import context_of
from service.kit.keys import KeyFolder
from service.kit.paging import Cursors
from service.kit.passwords import Passwords
from service.kit.problems import Forbidden, NotSignedIn
from service.kit.revocations import Revocations
from service.kit.tokens import Principal, Tokens
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one process is made of; built by ``service.app`` and closed there in reverse."""

    settings: Settings
    db: Database
    folder: KeyFolder
    revocations: Revocations
    tokens: Tokens
    passwords: Passwords
    cursors: Cursors
    fingerprints: bytes


class AdminsOnly(Forbidden):
    code, message = "admins_only", "Only an administrator may do this"


async def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


# Every dependency is a coroutine: FastAPI would send a plain function to a thread, once a request.
PartsOf = Annotated[Parts, Depends(_parts)]

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The token of register or login.")


async def _signed_in(
    request: Request,
    parts: PartsOf,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    if credentials is None:
        raise NotSignedIn
    principal = parts.tokens.verify(credentials.credentials)
    context_of(request.scope).user_id = principal.user_id
    return principal


SignedIn = Annotated[Principal, Depends(_signed_in)]


async def _admin(principal: SignedIn) -> Principal:
    if principal.role != "ADMIN":
        raise AdminsOnly
    return principal


Admin = Annotated[Principal, Depends(_admin)]


async def _own_read(parts: PartsOf, principal: SignedIn) -> ReadSession:
    return parts.db.read(principal.user_id)


async def _directory_read(parts: PartsOf) -> ReadSession:
    return parts.db.read(DIRECTORY)


async def _own_write(parts: PartsOf, principal: SignedIn) -> AsyncIterator[WriteSession]:
    async with parts.db.write(principal.user_id) as session:
        yield session


async def _directory_write(parts: PartsOf) -> AsyncIterator[WriteSession]:
    async with parts.db.write(DIRECTORY) as session:
        yield session


# scope="function": the block ends, and with it the transaction, before the first byte of the answer is sent. FastAPI's
# default would commit behind the answer: a 201 for what may then fail.
OwnRead = Annotated[ReadSession, Depends(_own_read)]
OwnWrite = Annotated[WriteSession, Depends(_own_write, scope="function")]
DirectoryRead = Annotated[ReadSession, Depends(_directory_read)]
DirectoryWrite = Annotated[WriteSession, Depends(_directory_write, scope="function")]
