"""A client of the service in this process: the real application, and nothing of the network."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import FastAPI
from httpx2 import Response

from service.app import build_parts, create_api, wrapped
from service.auth.service import make_admin
from service.kit.access import Parts
from service.kit.db import DIRECTORY
from service.settings import Settings

PASSWORD = "correct horse 7"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class User:
    """Someone with a token. ``headers`` is what their client sends."""

    id: int
    email: str
    token: str
    password: str = PASSWORD

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Client:
    """Paths are below /api/v1 unless they begin with ``//``, which stands for the root: ``//health/live``."""

    def __init__(self, http: httpx2.AsyncClient, api: FastAPI) -> None:
        self.http = http
        self.api = api
        self.parts: Parts = api.state.parts

    async def call(
        self, method: str, path: str, user: User | None = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> Response:
        url = path[1:] if path.startswith("//") else f"/api/v1{path}"
        return await self.http.request(
            method, url, headers={**(user.headers if user else {}), **(headers or {})}, **more
        )

    async def get(self, path: str, user: User | None = None, **more: Any) -> Response:
        return await self.call("GET", path, user, **more)

    async def post(self, path: str, user: User | None = None, **more: Any) -> Response:
        return await self.call("POST", path, user, **more)

    async def put(self, path: str, user: User | None = None, **more: Any) -> Response:
        return await self.call("PUT", path, user, **more)

    async def delete(self, path: str, user: User | None = None, **more: Any) -> Response:
        return await self.call("DELETE", path, user, **more)

    async def user(self, name: str = "Ada Lovelace") -> User:
        """A new user, registered as any client would."""
        email = f"user{next(_NUMBERS)}@example.com"
        response = await self.post("/auth/register", json={"name": name, "email": email, "password": PASSWORD})
        assert response.status_code == 201, response.text
        data = response.json()["data"]
        return User(data["user"]["id"], email, data["token"])

    async def admin(self) -> User:
        """A new administrator, made as the command line makes one."""
        email = f"admin{next(_NUMBERS)}@example.com"
        hashed = await self.parts.passwords.hash(PASSWORD)
        async with self.parts.db.write(DIRECTORY) as session:
            await make_admin(session, self.parts.revocations, email=email, name="Grace Hopper", hashed=hashed)
        response = await self.post("/auth/login", json={"email": email, "password": PASSWORD})
        data = response.json()["data"]
        return User(data["user"]["id"], email, data["token"])

    async def task(self, user: User, title: str = "Write the report", **members: Any) -> dict[str, Any]:
        response = await self.post("/tasks", user, json={"title": title, **members})
        assert response.status_code == 201, response.text
        task: dict[str, Any] = response.json()["data"]["task"]
        return task


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Client]:
    """The service as one process of it would run, lifespan included."""
    api = create_api(settings)
    api.state.parts = build_parts(settings)
    transport = httpx2.ASGITransport(wrapped(api, settings).app, raise_app_exceptions=True)
    async with (
        api.router.lifespan_context(api),
        httpx2.AsyncClient(transport=transport, base_url="http://tasks.test") as http,
    ):
        yield Client(http, api)
