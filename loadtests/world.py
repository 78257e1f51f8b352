"""The data of a measurement and the tokens of its users: the same for every server that is compared."""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from joserfc import jwt
from joserfc.jwk import ECKey

KEY_ID = "bench"
TOKEN_SECONDS = 86_400
ISSUER = "tasks"
AUDIENCE = "tasks-api"

# Set-based: 200,000 rows in a few seconds. Every figure follows from the row number, so each run has the same data.
# Owners take turns, which spreads each of them over the whole table as years of use do.
SEED_USERS = """
    INSERT INTO users (email, name, password_hash, role, token_epoch, created_at, updated_at)
    SELECT 'owner' || n || '@example.com', 'Owner ' || n, 'no password', 'USER', 0, moment, moment
    FROM generate_series(1, %(owners)s) AS n, (SELECT timestamptz '2025-01-01 00:00:00Z' AS moment) AS start
    ORDER BY n
"""
SEED_TASKS = """
    INSERT INTO tasks (title, description, status, user_id, created_at, updated_at)
    SELECT 'Prepare report number ' || n,
           CASE WHEN mod(n, 5) > 0 THEN 'Collect the figures of week ' || mod(n, 52) || ', compare them with the '
                || 'plan and send a summary to everyone who takes part in the review.' END,
           (ARRAY['PENDING', 'IN_PROGRESS', 'COMPLETED'])[1 + mod(n / %(owners)s + n, 3)],
           owner.id, moment, moment + mod(n, 48) * interval '1 hour'
    FROM generate_series(0, %(rows)s - 1) AS n
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM users) AS owner
        ON owner.place = mod(n, %(owners)s)
    CROSS JOIN LATERAL (SELECT timestamptz '2025-01-01 00:00:00Z' + n * interval '100.001 seconds' AS moment) AS start
    ORDER BY n
"""
# Newest task of each owner, for requests that name one.
NEWEST_TASKS = "SELECT user_id, max(id) FROM tasks GROUP BY user_id ORDER BY user_id"


@dataclass(frozen=True)
class Owner:
    """A user with a valid token and one task of theirs."""

    id: int
    token: str
    task_id: int


@dataclass(frozen=True)
class Keys:
    """A signing key as the product keeps it: `<kid>.pem` in a private folder."""

    folder: Path
    key: ECKey
    kid: str = KEY_ID

    @property
    def path(self) -> Path:
        return self.folder / f"{self.kid}.pem"


def make_keys(folder: Path) -> Keys:
    folder.mkdir(mode=0o700)
    keys = Keys(folder, ECKey.generate_key("P-256", private=True))
    with os.fdopen(os.open(keys.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(keys.key.as_pem(private=True))
    return keys


def make_token(keys: Keys, user_id: int, role: str = "USER") -> str:
    """An access token as the product issues it at login."""
    issued = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "role": role,
        "jti": secrets.token_urlsafe(16),
        "iat": issued,
        "exp": issued + TOKEN_SECONDS,
        "ver": 0,
    }
    return jwt.encode({"alg": "ES256", "kid": keys.kid, "typ": "at+jwt"}, claims, keys.key)


def seed(url: str, *, rows: int, owners: int) -> None:
    """Fills migrated, empty tables and leaves them vacuumed, so that no autovacuum starts in the middle of a round."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SEED_USERS, {"owners": owners})
        connection.execute(SEED_TASKS, {"owners": owners, "rows": rows})
        connection.execute("VACUUM (FREEZE, ANALYZE) users, tasks")
        connection.execute("CHECKPOINT")


def read_owners(url: str, keys: Keys) -> Sequence[Owner]:
    with psycopg.connect(url) as connection:
        newest = connection.execute(NEWEST_TASKS).fetchall()
    return [Owner(user_id, make_token(keys, user_id), task_id) for user_id, task_id in newest]
