"""Dead tokens: rows in one table, which every process reads as a delta and holds in memory.

A row kills one token (logout) or all tokens of a user below an epoch (deleted user, changed role). The delta is taken
by transaction id, not by time or row id: both become visible out of order, and a row missed once would be missed for
ever. The bound: a commit is known to every process after one poll and one query, under 2 s with the default 1 s.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from service.kit.db import DIRECTORY, Database, UserId, WriteSession

# Above every epoch: nothing that names this user is valid any more.
EVERY_EPOCH: Final = 2**31 - 1
# A token is taken for some seconds after its end (leeway), and may be made while its user is being revoked: a row that
# went at the same moment as the token would let it live again.
_MARGIN_S: Final = 120


class Revocations:
    def __init__(self, db: Database, lifetime_s: int) -> None:
        self._db = db
        self._lifetime = timedelta(seconds=lifetime_s + _MARGIN_S)
        self._since = "0"
        self._tokens: dict[str, float] = {}
        self._users: dict[int, tuple[int, float]] = {}
        self._read_at: float | None = None
        # Set when another process says that there is something to read before the next turn.
        self.nudged = asyncio.Event()
        self._tell: Callable[[], None] = lambda: None

    def covers(self, token_id: str, user_id: UserId, epoch: int) -> bool:
        """True for everybody before the first read: a token cannot be trusted until then."""
        if self._read_at is None:
            return True
        if token_id in self._tokens:
            return True
        user = self._users.get(user_id)
        return user is not None and epoch < user[0]

    @property
    def known(self) -> bool:
        """Whether they have been read at all."""
        return self._read_at is not None

    @property
    def age_s(self) -> float:
        """Seconds since the last complete read; infinite before the first."""
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at

    def tell_others_by(self, tell: Callable[[], None]) -> None:
        """A push that may get lost: it shortens the wait, and the delta alone keeps the bound."""
        self._tell = tell

    async def revoke_token(self, session: WriteSession, token_id: str, expires_at: int) -> None:
        until = expires_at + _MARGIN_S
        await session.execute(
            "INSERT INTO revocations (token_id, expires_at) VALUES (%s, to_timestamp(%s))", (token_id, until)
        )
        session.after_commit(lambda: self._tokens.__setitem__(token_id, until))
        session.after_commit(self._tell)

    async def revoke_user(self, session: WriteSession, user_id: UserId, below_epoch: int = EVERY_EPOCH) -> None:
        await session.execute(
            "INSERT INTO revocations (user_id, below_epoch, expires_at) VALUES (%s, %s, now() + %s)",
            (user_id, below_epoch, self._lifetime),
        )
        until = time.time() + self._lifetime.total_seconds()
        session.after_commit(lambda: self._users.__setitem__(user_id, (below_epoch, until)))
        session.after_commit(self._tell)

    async def refresh(self) -> None:
        """Reads what has been committed since the last call. Raises Unavailable."""
        rows = await self._db.read(DIRECTORY).rows(
            """
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text, r.token_id, r.user_id, r.below_epoch,
                   extract(epoch FROM r.expires_at)::float8
            FROM (SELECT 1) AS always
            LEFT JOIN revocations AS r ON r.xact >= %s::xid8 AND r.expires_at > now()
            """,
            (self._since,),
        )
        for _, token_id, user_id, below_epoch, expires_at in rows:
            if token_id is not None:
                self._tokens[token_id] = expires_at
            elif user_id is not None:
                known = self._users.get(user_id, (0, 0.0))
                self._users[user_id] = (max(known[0], below_epoch), max(known[1], expires_at))
        self._since = rows[0][0]
        self._read_at = time.monotonic()

    def forget_expired(self, now: float) -> None:
        self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        self._users = {user: entry for user, entry in self._users.items() if entry[1] > now}
