"""The connection is lost exactly at COMMIT: nobody knows what happened, and the client can find out."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from httpx2 import Response
from structlog.testing import capture_logs

from service.settings import Database, Settings
from tests.support.client import PASSWORD, Client, User
from tests.support.outage import busy, changed, listening, quiet
from tests.support.postgres import Postgres
from tests.support.problems import problem_of
from tests.support.proxy import AtCommit, Proxy, proxied
from tests.support.wait import until

_TASK = {"title": "Write the report"}
_ACCOUNT = {"name": "Alan Turing", "email": "alan@example.com", "password": PASSWORD}
_CUTS = pytest.mark.parametrize("cut", [AtCommit.NEVER_ARRIVES, AtCommit.ANSWER_IS_LOST], ids=lambda cut: cut.name)


@pytest.fixture
async def proxy(postgres: Postgres) -> AsyncIterator[Proxy]:
    async with proxied(postgres) as proxy:
        yield proxy


@pytest.fixture
def settings(settings: Settings, proxy: Proxy) -> Settings:
    """The service goes through the proxy, the test itself does not."""
    return settings.model_copy(update={"database": proxy.settings(settings.database)})


async def arm(proxy: Proxy, client: Client, cut: AtCommit) -> None:
    """For the next COMMIT: that of a request, once the process has cleaned up what every process does at its start."""
    await until(lambda: quiet(client), "no transaction is under way")
    proxy.at_commit = cut


async def found_out(client: Client, path: str, user: User | None, key: str, body: dict[str, str]) -> Response:
    """The same request again, as often as the first one's transaction is still ending at the server."""
    last: list[Response] = []

    async def answered() -> bool:
        last[:] = [await client.post(path, user, headers={"Idempotency-Key": key}, json=body)]
        return last[0].status_code != 409

    await until(answered, "the first transaction has ended")
    return last[0]


def count(database: Database, query: str) -> int:
    with psycopg.connect(database.url.get_secret_value()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


@_CUTS
async def test_a_task_is_there_once_after_a_retry(
    client: Client, proxy: Proxy, database: Database, cut: AtCommit
) -> None:
    user = await client.user()
    await arm(proxy, client, cut)
    busy(await client.post("/tasks", user, headers={"Idempotency-Key": "k"}, json=_TASK), "outcome_unknown")
    again = await found_out(client, "/tasks", user, "k", _TASK)
    assert again.status_code == 201
    assert ("idempotency-replayed" in again.headers) == (cut is AtCommit.ANSWER_IS_LOST)
    assert count(database, "SELECT count(*) FROM tasks") == 1
    assert count(database, "SELECT max(id) FROM tasks") == again.json()["data"]["task"]["id"]
    await until(lambda: quiet(client), "every connection is back")


@_CUTS
async def test_an_account_is_there_once_after_a_retry(
    client: Client, proxy: Proxy, database: Database, cut: AtCommit
) -> None:
    await client.get("//health/ready")
    await arm(proxy, client, cut)
    headers = {"Idempotency-Key": "k"}
    busy(await client.post("/auth/register", headers=headers, json=_ACCOUNT), "outcome_unknown")
    again = await found_out(client, "/auth/register", None, "k", _ACCOUNT)
    assert again.status_code == 201
    assert count(database, "SELECT count(*) FROM users") == 1
    token = {"Authorization": f"Bearer {again.json()['data']['token']}"}
    assert (await client.get("/auth/me", headers=token)).status_code == 200


@_CUTS
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_without_a_key_is_told_to_be_unknown(
    client: Client, proxy: Proxy, database: Database, method: str, cut: AtCommit
) -> None:
    user = await client.user()
    task = (await client.task(user))["id"]
    await arm(proxy, client, cut)
    body = {"json": {"status": "COMPLETED"}} if method == "PUT" else {}
    busy(await client.call(method, f"/tasks/{task}", user, **body), "outcome_unknown")
    unchanged = count(database, "SELECT count(*) FROM tasks WHERE status = 'PENDING'") == 1
    assert unchanged == (cut is AtCommit.NEVER_ARRIVES)


async def test_a_deadline_during_the_commit_is_an_unknown_outcome_too(
    settings: Settings, proxy: Proxy, database: Database
) -> None:
    """Synchronous replication that hangs looks like this: done at one server, and the answer does not come."""
    async with listening(changed(settings, http={"deadline_s": 1})) as client:
        user = await client.user()
        await arm(proxy, client, AtCommit.ANSWER_IS_LATE)
        late = await client.post("/tasks", user, headers={"Idempotency-Key": "k"}, json=_TASK)
        busy(late, "outcome_unknown")
        proxy.flow()
        again = await client.post("/tasks", user, headers={"Idempotency-Key": "k"}, json=_TASK)
        assert again.headers["idempotency-replayed"] == "true"
        assert count(database, "SELECT count(*) FROM tasks") == 1


async def test_an_answer_waits_for_its_commit(client: Client, database: Database) -> None:
    """A check that PostgreSQL makes only at COMMIT must be able to take a 201 back."""
    user = await client.user()
    with psycopg.connect(database.url.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'at the very end'; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tasks DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.title = 'Refuse me') EXECUTE FUNCTION refuse();
            """
        )
    with capture_logs() as events:
        refused = await client.post("/tasks", user, headers={"Idempotency-Key": "k"}, json={"title": "Refuse me"})
    assert [event["exception"][0]["sqlstate"] for event in events] == ["P0001"]
    problem_of(refused, 500, "internal_error")
    assert "at the very end" not in refused.text
    assert count(database, "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM idempotency_keys)") == 0
    await until(lambda: quiet(client), "every connection is back")
    # Nothing of it was kept, so the key is free for another body.
    allowed = await client.post("/tasks", user, headers={"Idempotency-Key": "k"}, json=_TASK)
    assert allowed.status_code == 201
    assert count(database, "SELECT count(*) FROM tasks") == 1
