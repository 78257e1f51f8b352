"""Several service processes on one database and one Valkey, and what their caches count."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from httpx2 import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from service.admin import create_admin
from service.kit.keys import KeyFolder
from service.settings import Database, Settings, Tokens
from tests.support.client import PASSWORD, User
from tests.support.outage import served
from tests.support.server import Server
from tests.support.wait import until

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Fleet:
    """``processes`` are clients of /api/v1, in the order of ``servers``."""

    servers: list[Server]
    processes: list[AsyncClient]
    database: Database
    folder: Path

    async def user(self) -> User:
        """A new user, whom no process knows anything of yet."""
        email = f"cached{next(_NUMBERS)}@example.com"
        body = {"name": "Ada Lovelace", "email": email, "password": PASSWORD}
        made = await self.processes[0].post("/auth/register", json=body)
        assert made.status_code == 201, made.text
        data = made.json()["data"]
        return User(data["user"]["id"], email, data["token"])

    async def again(self, user: User) -> User:
        """Another session of the same user."""
        answer = await self.processes[0].post("/auth/login", json={"email": user.email, "password": PASSWORD})
        return User(user.id, user.email, answer.json()["data"]["token"])

    async def admin(self) -> User:
        email = f"cached-admin{next(_NUMBERS)}@example.com"
        await self.make_admin(email)
        return await self.again(User(0, email, ""))

    async def make_admin(self, email: str) -> None:
        """As the command line does it: without Valkey."""
        settings = Settings.model_validate(
            {
                "database": self.database,
                "tokens": Tokens(folder=self.folder / "tokens"),
                "passwords": {"memory_kib": 8, "passes": 1},
            }
        )
        await create_admin(settings, email=email, name="Grace Hopper", password=PASSWORD)

    async def counted(self, name: str, **labels: str) -> float:
        """The sum of a counter over all processes and over the labels that are not named."""
        return sum([await counted(server, name, **labels) for server in self.servers])

    def sql(self) -> psycopg.Connection:
        """To change what is true without telling anybody."""
        return psycopg.connect(self.database.url.get_secret_value(), autocommit=True)

    async def cached(self) -> bool:
        """Whether every process reaches Valkey: what it is asked twice, it answers from its cache."""
        user = await self.user()
        for server, http in zip(self.servers, self.processes, strict=True):
            before = await counted(server, "tasks_cache_hits_total", tier="process")
            for _ in range(2):
                await http.get("/auth/me", headers=user.headers)
            if await counted(server, "tasks_cache_hits_total", tier="process") == before:
                return False
        return True


async def counted(server: Server, name: str, **labels: str) -> float:
    async with AsyncClient() as http:
        text = (await http.get(server.metrics_url)).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        sample.value for sample in samples if sample.name == name and labels.items() <= dict(sample.labels).items()
    )


@asynccontextmanager
async def cached_fleet(database: Database, folder: Path, envs: Sequence[Mapping[str, str]]) -> AsyncIterator[Fleet]:
    """A process for each environment, all with the same keys; returns when each of them answers from its cache."""
    KeyFolder(folder / "tokens")
    async with AsyncExitStack() as stack:
        members = [stack.enter_async_context(served(database, folder, env)) for env in envs]
        # One first: it compiles what the others then only load.
        found = [await members[0], *await asyncio.gather(*members[1:])]
        fleet = Fleet([server for server, _ in found], [http for _, http in found], database, folder)
        await until(fleet.cached, "every process answers from its cache")
        yield fleet


async def task(http: AsyncClient, user: User, title: str) -> dict[str, Any]:
    made = await http.post("/tasks", headers=user.headers, json={"title": title})
    assert made.status_code == 201, made.text
    created: dict[str, Any] = made.json()["data"]["task"]
    return created


async def titles(http: AsyncClient, user: User, query: str = "") -> list[str]:
    answer = await http.get(f"/tasks{query}", headers=user.headers)
    assert answer.status_code == 200, answer.text
    return [listed["title"] for listed in answer.json()["data"]["tasks"]]


async def burst(servers: Sequence[Server], path: str, user: User, count: int) -> list[tuple[int, bytes]]:
    """``count`` GETs at one moment, each on a connection of its own that was open before; status and body of each."""
    asked = (
        f"GET /api/v1{path} HTTP/1.1\r\nHost: tasks.test\r\nConnection: close\r\n"
        f"Authorization: Bearer {user.token}\r\n\r\n"
    ).encode()
    ports = itertools.islice(itertools.cycle(server.port for server in servers), count)
    streams = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for port in ports))
    for _, writer in streams:
        writer.write(asked)
    answers = await asyncio.gather(*(reader.read() for reader, _ in streams))
    for _, writer in streams:
        writer.close()
    parts = [answer.partition(b"\r\n\r\n") for answer in answers]
    return [(int(re.findall(rb"^HTTP/1.1 (\d+)", head)[0]), body) for head, _, body in parts]
