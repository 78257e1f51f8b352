"""Alive and ready are two questions, with a lost database and without."""

from pathlib import Path

from pydantic import SecretStr

from service.settings import Database, Settings, Tokens
from tests.support.client import Client, running
from tests.support.net import free_port

ALL_WELL = {"database": "ok", "revocations": "ok", "process": "ok"}


async def test_a_whole_process_is_live_and_ready(client: Client) -> None:
    live, ready = await client.get("//health/live"), await client.get("//health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": ALL_WELL})


async def test_a_draining_process_answers_but_is_not_ready(client: Client) -> None:
    client.api.state.draining = True
    ready = await client.get("//health/ready")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    assert ready.json() == {"status": "not ready", "checks": {**ALL_WELL, "process": "draining"}}
    assert (await client.get("//health/live")).status_code == 200
    assert (await client.get("/auth/me", await client.user())).status_code == 200


async def test_without_its_database_a_process_is_live_not_ready_and_says_why(token_folder: Path) -> None:
    nowhere = Database(url=SecretStr(f"postgresql://postgres@127.0.0.1:{free_port()}/nothing"))
    async with running(Settings(database=nowhere, tokens=Tokens(folder=token_folder))) as client:
        assert (await client.get("//health/live")).status_code == 200
        ready = await client.get("//health/ready")
        gone = {"database": "gone", "revocations": "gone", "process": "ok"}
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "checks": gone})
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        login = await client.post(
            "/auth/login",
            json={"email": "ada@example.com", "password": "correct horse 7"},
            headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
        )
        assert (login.status_code, login.json()["code"], login.headers["retry-after"]) == (503, "unavailable", "1")
        assert login.json()["traceId"] == trace_id, "what to quote to support is the caller's own trace"
