"""The doors of ``python -m service``: what they print, how they end, and that the first administrator can log in."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from service import __version__
from service.__main__ import main
from service.settings import Database, Settings
from tests.support.client import PASSWORD, Client

ROOT = Path(__file__).parents[2]
COMMANDS = ("serve", "migrate", "create-admin", "rotate-key", "openapi")
CREATE_ADMIN = ["create-admin", "--name", "Grace Hopper", "--password-stdin", "--email"]

Create = Callable[[str, str], int]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TASKS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def create(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Create:
    """``create-admin`` on the database of ``client``: address and password in, exit code out."""
    monkeypatch.setenv("TASKS_DATABASE_URL", settings.database.url.get_secret_value())
    monkeypatch.setenv("TASKS_TOKENS_FOLDER", str(settings.tokens.folder))
    monkeypatch.setenv("TASKS_PASSWORDS_MEMORY_KIB", "8")
    monkeypatch.setenv("TASKS_PASSWORDS_PASSES", "1")

    def run(email: str, password: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        return main([*CREATE_ADMIN, email])

    return run


def ended(arguments: list[str]) -> int:
    """The exit code, also of what argparse ends by itself."""
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def door(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, for what a process does to itself: this one's logs must stay as they are."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TASKS_")}
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env={**bare, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_door_opens_as_a_module_without_any_setting() -> None:
    done = door("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["--help"]) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert command in text
    assert "exit codes: 0 done, 1 failed" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([command, "--help"]) == 0
    assert "exit codes" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["dance"], ["create-admin"], ["migrate", "--to"], ["serve", "--port", "1"]])
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(arguments) == 2
    assert "usage: python -m service" in capsys.readouterr().err


def test_the_document_is_printed_without_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["openapi"] == "3.1.0"
    assert "/api/v1/tasks" in document["paths"]


def test_the_document_is_of_the_rooms_that_are_mounted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_ROOMS_NAMES", "tasks")
    assert main(["openapi"]) == 0
    paths = json.loads(capsys.readouterr().out)["paths"]
    assert {path.split("/")[3] for path in paths if path.startswith("/api/v1/")} == {"tasks"}


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["create-admin", "--name", "x", "--email", "y"]])
def test_without_a_database_each_command_names_the_variable(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("TASKS_DATABASE_URL (postgresql://")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TASKS_HTTP_PORT", "http", "TASKS_HTTP_PORT: "),
        ("TASKS_DATABASE_URL", "postgres-password", "TASKS_DATABASE_URL: is not a postgresql:// URL"),
        ("TASKS_LOG_LEVEL", "loud", "TASKS_LOG_LEVEL: "),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, message: str
) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", "postgresql://127.0.0.1/none")
    monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert "postgres-password" not in line


def test_an_unknown_room_is_one_line_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = {"TASKS_ROOMS_NAMES": "tasks,billing"}
    message = "service: TASKS_ROOMS_NAMES: billing is not a room; there are auth, users, tasks\n"
    served = door("serve", TASKS_DATABASE_URL="postgresql://127.0.0.1/none", **rooms)
    assert (served.returncode, served.stdout, served.stderr) == (2, "", message)
    monkeypatch.setenv("TASKS_ROOMS_NAMES", rooms["TASKS_ROOMS_NAMES"])
    assert main(["openapi"]) == 2
    assert capsys.readouterr() == ("", message)


def test_a_new_administrator_logs_in(
    create: Create, sql: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create("Grace@Example.com", "a good passw0rd") == 0
    assert "administrator 1 is made" in capsys.readouterr().out
    row = sql.execute("SELECT email, name, role, password_hash FROM users").fetchone()
    assert row is not None
    assert row[:3] == ("grace@example.com", "Grace Hopper", "ADMIN")
    assert row[3].startswith("$argon2id$")
    assert create("grace@example.com", "another passw0rd") == 0
    assert "in place; name and password are unchanged" in capsys.readouterr().out
    assert sql.execute("SELECT count(*), max(password_hash) FROM users").fetchone() == (1, row[3])


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("grace@example.com", "short1", None),
        ("grace@example.com", "shor1", "Password must be at least 6 characters"),
        ("grace@example.com", "no digit here", "Password must contain a digit"),
        ("grace@example.com", "", "Password must be at least 6 characters"),
        ("not an address", PASSWORD, "Email must be a valid e-mail address"),
    ],
)
def test_an_administrator_is_held_to_the_rules_of_everybody(
    create: Create,
    sql: psycopg.Connection,
    capsys: pytest.CaptureFixture[str],
    email: str,
    password: str,
    message: str | None,
) -> None:
    code = create(email, password)
    printed = capsys.readouterr()
    assert printed.err == ("" if message is None else f"service: {message}\n")
    assert code == (0 if message is None else 1)
    assert sql.execute("SELECT count(*) FROM users").fetchone() == (1 if message is None else 0,)
    assert not password or password not in printed.out + printed.err


async def test_a_user_is_promoted_and_their_old_session_ends(
    client: Client, create: Create, capsys: pytest.CaptureFixture[str]
) -> None:
    user = await client.user(name="Ada Lovelace")
    assert await asyncio.to_thread(create, user.email, "ignored passw0rd") == 0
    assert "in place; name and password are unchanged" in capsys.readouterr().out
    await client.parts.revocations.refresh()  # what each server does within a second by itself
    assert (await client.get("/auth/me", user)).status_code == 401
    login = await client.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    assert (login.json()["data"]["user"]["role"], login.json()["data"]["user"]["name"]) == ("ADMIN", "Ada Lovelace")
    admin = {"Authorization": f"Bearer {login.json()['data']['token']}"}
    assert (await client.get("/users", headers=admin)).status_code == 200


def test_create_admin_says_what_is_missing(
    make_database: Callable[..., Database],
    create: Create,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TASKS_DATABASE_URL", make_database().url.get_secret_value())
    assert create("grace@example.com", PASSWORD) == 1
    assert capsys.readouterr().err == "service: the database has no tables yet: run python -m service migrate first\n"
    monkeypatch.setenv("TASKS_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/none")
    assert create("grace@example.com", PASSWORD) == 1
    assert "the database does not answer" in capsys.readouterr().err
    (tmp_path / "file").touch()
    monkeypatch.setenv("TASKS_TOKENS_FOLDER", str(tmp_path / "file" / "keys"))
    assert create("grace@example.com", PASSWORD) == 1
    assert "give TASKS_TOKENS_FOLDER a writable folder" in capsys.readouterr().err
