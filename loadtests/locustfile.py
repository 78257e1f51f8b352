"""The people of the load model for Locust: `locust -f loadtests/locustfile.py --host http://127.0.0.1:5000`.

With `--people FILE` (made by `python -m loadtests seed`) each signs in with a token that is ready, as people do whose
token lives for seven days; without it everybody registers first, which costs the server a password hash each.
"""

import itertools
import json
import random
import sys
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, ClassVar
from uuid import uuid4

from gevent import GreenletExit
from locust import FastHttpUser, TaskSet, events, tag
from locust.env import Environment
from locust.exception import StopUser

# Locust puts this file's folder on the path, and not the project's.
sys.path.append(str(Path(__file__).parent.parent))

from loadtests.personas import API, CREATED, PERSONAS, Call, task_call

THINK_S = 10.0
KNOWN_TASKS = 10  # what the first page shows
KNOWN_TAGS = 100  # entity tags a person keeps, as a browser's cache has an end too
NOT_MODIFIED = 304
TIMES = 10  # Locust wants whole weights; the least share of the load model is a tenth of a per cent


@events.init_command_line_parser.add_listener
def options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--people", default="", env_var="LOCUST_PEOPLE", help="file with tokens that are ready, by `seed`"
    )
    parser.add_argument(
        "--think", type=float, default=THINK_S, env_var="LOCUST_THINK", help="mean pause of a person, s"
    )


class Crowd:
    """Who is still to come: people with tokens in the order of their file, from the one that `first` says.

    Every process of a distributed run takes its own share, so that nobody is there twice.
    """

    def __init__(self, path: str, share: int = 0, shares: int = 1) -> None:
        known: Mapping[str, list[Any]] = json.loads(Path(path).read_text()) if path else {}
        self._people = iter(known.get("people", [])[share::shares])
        self._administrators = itertools.cycle(known.get("administrators", []))
        self._numbers: Iterator[int] = itertools.count(share, shares)

    def number(self) -> int:
        return next(self._numbers)

    def person(self) -> Mapping[str, Any] | None:
        return next(self._people, None)

    def administrator(self) -> Mapping[str, Any] | None:
        return next(self._administrators, None)


@events.test_start.add_listener
def gather(environment: Environment, **_: Any) -> None:
    given, runner = environment.parsed_options, environment.runner
    share = getattr(runner, "worker_index", 0)
    shares = max(1, getattr(given, "processes", None) or 1)
    Person.crowd = Crowd(given.people if given else "", share, shares)
    Person.think_s = given.think if given else THINK_S


def kind(name: str, *tags: str) -> Callable[["Person"], None]:
    """A task that asks one request of this kind."""

    @tag(name, *tags)
    def ask(person: "Person") -> None:
        person.ask(name)

    ask.__name__ = name
    return ask


def kinds(persona: str) -> list[TaskSet | Callable[..., Any]]:
    """Each task as often as it weighs, as Locust draws from a list."""
    return [KINDS[name] for name, share in PERSONAS[persona].items() for _ in range(round(share * TIMES))]


def weight(persona: str) -> int:
    return round(sum(PERSONAS[persona].values()) * TIMES)


KINDS = {
    **{name: kind(name, "read") for name in ("list", "filter", "get", "search", "stats")},
    **{name: kind(name, "write") for name in ("create", "update", "complete", "delete")},
    **{name: kind(name, "accounts") for name in ("login", "register")},
    "admin": kind("admin", "read"),
}


class Person(FastHttpUser):
    """Thinks, asks, and remembers entity tags and the newest tasks as its browser would."""

    abstract = True
    crowd = Crowd("")
    think_s = THINK_S
    # Above the think time: a connection that is closed between two requests costs a new one.
    network_timeout = connection_timeout = 30.0
    chance = random.Random()  # noqa: S311 (whose turn it is, no secret)
    sent: ClassVar[int] = 0
    given_up: ClassVar[int] = 0
    under_way: ClassVar[dict["Person", float]] = {}  # since when, on the monotonic clock
    leaving: ClassVar[bool] = False  # nobody asks any more

    def wait_time(self) -> float:
        return self.chance.expovariate(1 / self.think_s)

    def on_start(self) -> None:
        if not self.tasks:  # `--tags` has left nothing to do
            raise StopUser
        number = self.crowd.number()
        self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.tags: dict[str, str] = {}
        self.tasks_known: deque[int] = deque(maxlen=KNOWN_TASKS)
        self.token = self.email = self.password = ""
        self.enter()
        self.wait()  # as if they had been there before: who comes does not ask at once

    def enter(self) -> None:
        known = self.crowd.person()
        if known is None:
            self.ask("register")
        else:
            self.token = known["token"]
            self.tasks_known.extend(known["tasks"][:KNOWN_TASKS])

    def ask(self, name: str) -> None:
        if name in {"get", "update", "complete", "delete"} and not self.tasks_known:
            name = "list"
        self.send(self.account_call(name) if name in {"login", "register"} else task_call(name, self.chance))

    def account_call(self, name: str) -> Call:
        """Signs in with what was registered last; nobody else knows a password."""
        if name == "register":
            self.email, self.password = f"{uuid4().hex}@load.example.com", f"{token_urlsafe(12)}-1"
        body = {"email": self.email, "password": self.password}
        path = f"{API}/auth/{name}"
        if name == "login":
            return Call(name, "POST", path, path, body)
        return Call(name, "POST", path, path, {**body, "name": "Newcomer"}, CREATED)

    def send(self, call: Call) -> None:
        if Person.leaving:
            raise StopUser
        task = self.chance.choice(self.tasks_known) if "{task_id}" in call.path else 0
        path = call.path.format(task_id=task)
        headers = {"Accept": "application/json", "X-Forwarded-For": self.address}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if call.method == "GET" and path in self.tags:
            headers["If-None-Match"] = self.tags[path]
        with (
            self.counted(),
            self.client.request(
                call.method,
                path,
                name=call.route,
                headers=headers,
                json=call.body,
                catch_response=True,
                context={"kind": call.kind},
            ) as answer,
        ):
            right = answer.status_code in {call.status, NOT_MODIFIED}
            if not right:
                answer.failure(f"{answer.status_code} instead of {call.status}")
        if not right:
            return
        if call.method == "GET" and answer.status_code == call.status:
            self.remember(path, answer.headers.get("etag"))
        self.learn(call, task, answer)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Locust kills whom it sends home, and some of them have just begun to ask: those requests are given up."""
        Person.sent += 1
        self.under_way[self] = time.monotonic()
        try:
            yield
        except GreenletExit:
            Person.given_up += 1
            raise
        finally:
            del self.under_way[self]

    def remember(self, path: str, etag: str | None) -> None:
        if etag is not None:
            self.tags[path] = etag
            if len(self.tags) > KNOWN_TAGS:
                del self.tags[next(iter(self.tags))]

    def learn(self, call: Call, task: int, answer: Any) -> None:
        """What a person knows after an answer: their token, their newest tasks."""
        if call.kind == "delete":
            self.tasks_known.remove(task)
        elif call.kind == "create":
            self.tasks_known.append(answer.json()["data"]["task"]["id"])
        elif call.kind in {"login", "register"}:
            self.token = answer.json()["data"]["token"]
            self.tags.clear()
        elif call.kind == "list" and answer.status_code != NOT_MODIFIED:
            self.tasks_known = deque((task["id"] for task in answer.json()["data"]["tasks"][::-1]), KNOWN_TASKS)


class Reader(Person):
    tasks = kinds("reader")
    weight = weight("reader")


class Planner(Person):
    tasks = kinds("planner")
    weight = weight("planner")


class Newcomer(Person):
    """Has registered just now, signs in again and again, and sometimes makes another account."""

    tasks = kinds("newcomer")
    weight = weight("newcomer")

    def enter(self) -> None:
        self.ask("register")


class Administrator(Person):
    """Looks at the directory. Without a token of one, who cannot be registered, nobody comes."""

    tasks = kinds("administrator")
    weight = weight("administrator")

    def enter(self) -> None:
        known = self.crowd.administrator()
        if known is None:
            raise StopUser
        self.token = known["token"]
