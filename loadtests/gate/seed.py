"""Users and tasks of a phase in the platform's own database, and people whose tokens are ready.

Set-based and fixed by its seed. How many tasks a user has follows Zipf's law with exponent 1: the first of N users has
about 1/ln(N) of all. Their tasks are spread over a year, as use spreads them over the whole table.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import gcd
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from joserfc.jwk import ECKey

from loadtests.world import Keys, make_token

CHUNK = 100_000
NEWEST_IDS = 2_000_000  # among which everybody's newest tasks are looked for: all of them in a small table
TASKS_KNOWN, DELETABLE = 10, 40
DOMAIN = "load.example.com"
DRIFT = 0.1  # what runs create and delete, as a share of the rows, until it is seeded again

OTHERS = (
    "SELECT count(*) FROM tasks JOIN users ON users.id = tasks.user_id WHERE users.email NOT LIKE '%%@' || %(domain)s"
)
CLEAR = ("TRUNCATE tasks, idempotency_keys, revocations", "DELETE FROM users WHERE email LIKE '%%@' || %(domain)s")
USERS = """
    INSERT INTO users (email, name, password_hash, role, token_epoch, created_at, updated_at)
    SELECT 'person' || n || '@' || %(domain)s, 'Person ' || n, 'no password', 'USER', 0, moment, moment
    FROM generate_series(1, %(users)s) AS n, (SELECT now() - interval '366 days' AS moment) AS start
    ORDER BY n
"""
ADMINISTRATOR = """
    INSERT INTO users (email, name, password_hash, role)
    VALUES ('admin@' || %(domain)s, 'Admin', 'no password', 'ADMIN')
"""
FIRST_USER = "SELECT min(id) FROM users WHERE email LIKE 'person%%@' || %(domain)s"
TASKS = """
    INSERT INTO tasks (title, description, status, user_id, created_at, updated_at)
    SELECT 'Prepare report number ' || n,
           CASE WHEN mod(n, 5) > 0 THEN 'Collect the figures of week ' || mod(n, 52) || ', compare them with the '
                || 'plan and send a summary to everyone who takes part in the review.' END,
           (ARRAY['PENDING', 'IN_PROGRESS', 'COMPLETED'])[1 + mod(n, 3)],
           -- Log-uniform ranks are Zipf's law; the multiplier scatters them over the ids.
           %(first)s + mod(least(%(users)s - 1, floor(power(%(users)s::float8, random()))::bigint - 1)
               * %(step)s, %(users)s),
           moment, moment + mod(n, 48) * interval '1 hour'
    FROM generate_series(%(start)s::bigint, %(stop)s::bigint - 1) AS n
    CROSS JOIN LATERAL (SELECT now() - interval '365 days' * (1 - n::float8 / %(rows)s) AS moment) AS at
"""
PEOPLE = f"""
    SELECT users.id, (array_agg(tasks.id ORDER BY tasks.id DESC))[1:{TASKS_KNOWN + DELETABLE}]
    FROM users JOIN tasks ON tasks.user_id = users.id
    WHERE users.email LIKE 'person%%@' || %(domain)s AND tasks.id > (SELECT max(id) FROM tasks) - {NEWEST_IDS}
    GROUP BY users.id ORDER BY users.id
"""  # noqa: S608 (whole numbers of this module)
ADMINISTRATORS = "SELECT id FROM users WHERE email = 'admin@' || %(domain)s"

Advance = Callable[[int, int], None]  # rows that are there, rows that are wanted


class SeedError(RuntimeError):
    """The database cannot be seeded; the text says what to do."""


@dataclass(frozen=True)
class Size:
    """`users` accounts own `rows` tasks. The same seed gives the same owners and texts."""

    rows: int
    users: int
    seed: int = 1

    @property
    def step(self) -> int:
        """A multiplier that visits every user once: it has no divisor in common with their number."""
        step = max(1, int(self.users * 0.618))
        while gcd(step, self.users) != 1:
            step += 1
        return step


def is_seeded(url: str, folder: Path, size: Size) -> bool:
    """Whether an earlier seed of this size is there, but for what runs have changed since."""
    try:
        noted = json.loads((folder / "seed.json").read_text())
    except (OSError, ValueError):
        return False
    if noted != asdict(size):
        return False
    with psycopg.connect(url) as connection:
        rows = one(connection, "SELECT count(*) FROM tasks")
        users = one(connection, "SELECT count(*) FROM users WHERE email LIKE 'person%%@' || %(domain)s")
    return abs(rows - size.rows) <= DRIFT * size.rows and users == size.users


def seed(url: str, folder: Path, size: Size, advance: Advance) -> None:
    """Replaces what an earlier seed left, and leaves the tables vacuumed. `url` is the superuser's.

    Raises SeedError when somebody else's tasks are there: they are not ours to remove.
    """
    (folder / "seed.json").unlink(missing_ok=True)
    with psycopg.connect(url, autocommit=True) as connection:
        if others := one(connection, OTHERS):
            raise SeedError(f"{others:,} tasks of other users are in this database: choose another folder with --data")
        for statement in CLEAR:
            connection.execute(statement, {"domain": DOMAIN})
        connection.execute(USERS, {"domain": DOMAIN, "users": size.users})
        connection.execute(ADMINISTRATOR, {"domain": DOMAIN})
        # Each user exists, as they were made just now: a check a row would take as long as the row.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SELECT setseed(%s)", [size.seed / 2**31])
        fixed = {"first": one(connection, FIRST_USER), "users": size.users, "step": size.step, "rows": size.rows}
        for start in range(0, size.rows, CHUNK):
            stop = min(size.rows, start + CHUNK)
            connection.execute(TASKS, {**fixed, "start": start, "stop": stop})
            advance(stop, size.rows)
        connection.execute("VACUUM (FREEZE, ANALYZE) users, tasks")
        connection.execute("CHECKPOINT")
    (folder / "seed.json").write_text(json.dumps(asdict(size)))


def one(connection: "psycopg.Connection[Any]", query: str) -> int:
    row = connection.execute(query.encode(), {"domain": DOMAIN} if "%(domain)s" in query else None).fetchone()
    return int(row[0]) if row else 0


def people(url: str, keys: Keys, size: Size) -> Mapping[str, list[dict[str, Any]]]:
    """Everybody with a token and their newest tasks, shuffled by the seed: those who own much do not come first.

    {"people": [{"id", "token", "tasks", "deletable"}], "administrators": [{"id", "token"}]}; the newest of a person's
    tasks are read and changed, and those behind them may be deleted.
    """
    with psycopg.connect(url) as connection:
        rows = connection.execute(PEOPLE, {"domain": DOMAIN}).fetchall()
        administrators = connection.execute(ADMINISTRATORS, {"domain": DOMAIN}).fetchall()
    Random(size.seed).shuffle(rows)  # noqa: S311 (reproducible, no secret)
    return {
        "people": [
            {"id": who, "token": make_token(keys, who), "tasks": ids[:TASKS_KNOWN], "deletable": ids[TASKS_KNOWN:]}
            for who, ids in rows
        ],
        "administrators": [{"id": who, "token": make_token(keys, who, "ADMIN")} for (who,) in administrators],
    }


def write_people(path: Path, url: str, keys: Keys, size: Size) -> None:
    """For the generators, readable by nobody else: tokens are as good as passwords while they live."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(people(url, keys, size), file)


def signing_keys(folder: Path) -> Keys:
    """The platform's newest signing key. SeedError when there is none, or it may not be read."""
    try:
        newest = max(folder.glob("*.pem"))  # names begin with the time of making
        return Keys(folder, ECKey.import_key(newest.read_bytes()), newest.stem)
    except (OSError, ValueError) as error:
        raise SeedError(f"no signing key can be read in {folder}: {error}") from error
