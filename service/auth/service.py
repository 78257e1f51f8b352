"""Decisions on accounts and sessions: who may register as what, who is let in, what ends a session."""

from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter

from service.auth.errors import WrongCredentials
from service.auth.schemas import LoggedInUser, Login, Register, RegisteredUser
from service.kit.db import ReadSession, UserId, WriteSession
from service.kit.passwords import Passwords
from service.kit.problems import NotSignedIn
from service.kit.revocations import Revocations
from service.kit.tokens import Principal, Tokens
from service.users import api as users

REGISTERED = Counter("tasks_users_registered", "Users registered.")


@dataclass(frozen=True, slots=True)
class Registration:
    """``claims`` is the token before it is signed: what may be stored to make the same token again."""

    user: RegisteredUser
    claims: dict[str, Any]


async def password_hash(passwords: Passwords, body: Register) -> str:
    """Raises RoleNotAllowed before any work is done. Hashed before a transaction is open: hashing waits in a queue."""
    if body.role != "USER":
        raise users.RoleNotAllowed
    return await passwords.hash(body.password)


async def register(session: WriteSession, tokens: Tokens, body: Register, hashed: str) -> Registration:
    """Raises EmailTaken."""
    account = await users.insert(session, email=body.email, name=body.name, password_hash=hashed, role="USER")
    session.after_commit(REGISTERED.inc)
    return Registration(
        user=RegisteredUser.model_validate(account),
        claims=tokens.new_claims(account.id, account.role, account.token_epoch),
    )


async def login(session: ReadSession, passwords: Passwords, tokens: Tokens, body: Login) -> tuple[LoggedInUser, str]:
    account = await users.by_email(session, body.email)
    if not await passwords.verify(account.password_hash if account else None, body.password) or account is None:
        raise WrongCredentials
    claims = tokens.new_claims(account.id, account.role, account.token_epoch)
    return LoggedInUser.model_validate(account), tokens.sign(claims)


async def me(session: ReadSession, user_id: UserId) -> users.Profile:
    """Raises NotSignedIn when the user is gone: their token outlives them by up to 2 s."""
    account = await users.by_id(session, user_id)
    if account is None:
        raise NotSignedIn
    return users.Profile.model_validate(account)


async def logout(session: WriteSession, revocations: Revocations, principal: Principal) -> None:
    await revocations.revoke_token(session, principal.token_id, principal.expires_at)


async def make_admin(
    session: WriteSession, revocations: Revocations, *, email: str, name: str, hashed: str
) -> tuple[int, bool]:
    """The id of the administrator, and whether the account is new.

    A user who has the address already is promoted, keeps name and password, and has to log in again.
    """
    account = await users.by_email(session, email)
    if account is None:
        account = await users.insert(session, email=email, name=name, password_hash=hashed, role="ADMIN")
        return account.id, True
    if account.role != "ADMIN":
        epoch = await users.set_role(session, account.id, "ADMIN")
        if epoch is not None:
            await revocations.revoke_user(session, UserId(account.id), below_epoch=epoch)
    return account.id, False
