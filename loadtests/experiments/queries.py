"""The indexes of the claim as data: each with the queries that it is measured on. A new one is a line of `INDEXES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

Values = tuple[object, ...]
Draw = Callable[[Random, int], Values]

COLUMNS = "id, title, description, status, user_id, created_at, updated_at"
STATUSES = ("PENDING", "IN_PROGRESS", "COMPLETED")
SCHEMAS = {"without": "public", "with": "indexed"}


def page(where: str) -> str:
    """One statement for total and page, as the product's repository has it."""
    return f"""
    SELECT counted.total, t.* FROM (SELECT count(*) AS total FROM {{schema}}.tasks WHERE {where}) AS counted
    LEFT JOIN LATERAL (
        SELECT {COLUMNS} FROM {{schema}}.tasks WHERE {where} ORDER BY created_at DESC, id DESC LIMIT 10 OFFSET 0
    ) AS t ON true
    """  # noqa: S608 (literals of this file only)


@dataclass(frozen=True)
class Query:
    """`sql` names its {schema}; `draw` gives its values from a generator and the number of owners."""

    name: str
    sql: str
    draw: Draw

    def of(self, side: str) -> bytes:
        return self.sql.format(schema=SCHEMAS[side]).encode()


@dataclass(frozen=True)
class Index:
    """`subject` as the strategy names it, `on` in SQL, and the queries it is measured on. `named`: by the strategy."""

    subject: str
    on: str
    queries: Sequence[Query]
    named: bool = True


def an_owner(random: Random, owners: int) -> int:
    return random.randint(1, owners)


def owner_and_status(random: Random, owners: int) -> Values:
    return an_owner(random, owners), random.choice(STATUSES)


LIST = Query("list", page("user_id = %s"), lambda random, owners: (an_owner(random, owners),) * 2)
FILTER = Query(
    "list of a status",
    page("user_id = %s AND status = %s"),
    lambda random, owners: owner_and_status(random, owners) * 2,
)
LOGIN = Query(
    "login",
    "SELECT id, email, name, password_hash, role, token_epoch, created_at FROM {schema}.users WHERE email = %s",
    lambda random, owners: (f"owner{an_owner(random, owners)}@example.com",),
)
# What the two indexes on one column are meant for; no route of the product asks it.
ALL_OF_STATUS = Query(
    "newest of a status, everybody's",
    f"SELECT {COLUMNS} FROM {{schema}}.tasks WHERE status = %s ORDER BY created_at DESC, id DESC LIMIT 10",  # noqa: S608
    lambda random, _owners: (random.choice(STATUSES),),
)
ALL_NEWEST = Query(
    "newest, everybody's",
    f"SELECT {COLUMNS} FROM {{schema}}.tasks ORDER BY created_at DESC, id DESC LIMIT 10",  # noqa: S608
    lambda _random, _owners: (),
)
INDEXES: Mapping[str, Index] = {
    index.subject: index
    for index in (
        Index("users(email)", "users (email)", [LOGIN]),
        Index("tasks(user_id)", "tasks (user_id)", [LIST]),
        Index("tasks(status)", "tasks (status)", [ALL_OF_STATUS, FILTER]),
        Index("tasks(created_at)", "tasks (created_at)", [ALL_NEWEST, LIST]),
        Index("tasks(user_id, status)", "tasks (user_id, status)", [FILTER, LIST]),
        # The product's own, of its second migration.
        Index(
            "tasks(user_id, created_at DESC, id DESC)",
            "tasks (user_id, created_at DESC, id DESC)",
            [LIST],
            named=False,
        ),
    )
}
