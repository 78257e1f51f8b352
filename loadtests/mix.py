"""The requests of people, as the load model has them: shares of kinds, and how unequal the people are.

Registration and login are left out (0.6 % of the requests): hashing passwords is a load of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import psycopg

from loadtests.cases import Case
from loadtests.paced import Request
from loadtests.personas import PERSONAS, kinds_of, task_call
from loadtests.world import Keys, Owner, make_token

SHARES = kinds_of(*PERSONAS)
READS: Mapping[str, float] = {kind: SHARES[kind] for kind in ("list", "filter", "get", "search", "stats")}
WRITES: Mapping[str, float] = {kind: SHARES[kind] for kind in ("create", "update", "complete", "delete")}
PAGE = 10  # people open what the first page shows
OWN_TASKS = "SELECT user_id, array_agg(id ORDER BY id) FROM tasks GROUP BY user_id ORDER BY user_id"


@dataclass(frozen=True)
class Person:
    """A user with a token. `tasks` are their newest, which are read and changed; `deletable` the older half, which
    nothing else asks for.
    """

    id: int
    token: str
    deletable: list[int]
    tasks: Sequence[int]


def read_people(url: str, keys: Keys) -> list[Person]:
    """Everybody who has tasks, by id."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(OWN_TASKS).fetchall()
    people = []
    for user_id, tasks in rows:
        half = len(tasks) // 2
        people.append(Person(user_id, make_token(keys, user_id), tasks[:half][::-1], tasks[half:][-PAGE:]))
    return people


def zipf(people: int) -> list[float]:
    """Weights by rank, exponent 1: the first asks twice as often as the second and as many times as the last as
    there are people.
    """
    return [1 / rank for rank in range(1, people + 1)]


def alike(people: int) -> list[float]:
    return [1.0] * people


@dataclass(frozen=True)
class Ask:
    """One request before it is addressed to a server."""

    case: Case
    person: Person
    task_id: int

    def to(self, port: int) -> Request:
        owner = Owner(self.person.id, self.person.token, self.task_id)
        return Request(self.case.request(owner, port), self.case.status, self.case.name)


def asks(
    people: Sequence[Person], weights: Sequence[float], kinds: Mapping[str, float], count: int, random: Random
) -> list[Ask]:
    """So many requests in an order that the generator fixes. Deleted tasks are taken from `people`, so that no task is
    deleted twice; who has none left to delete creates one instead.
    """
    chosen = random.choices([*kinds], [*kinds.values()], k=count)
    return [
        ask(kind, person, random) for kind, person in zip(chosen, random.choices(people, weights, k=count), strict=True)
    ]


def ask(kind: str, person: Person, random: Random) -> Ask:
    if kind == "delete" and not person.deletable:
        kind = "create"
    task_id = person.deletable.pop() if kind == "delete" else random.choice(person.tasks)
    return Ask(case(kind, random), person, task_id)


def case(kind: str, random: Random) -> Case:
    made = task_call(kind, random)
    return Case(kind, made.route, made.path, made.method, made.body, made.status)
