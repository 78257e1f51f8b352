"""Valkey: who may do what on the one that runs, and what its users are made of."""

import os
import signal
import socket
import threading
from pathlib import Path

import psutil
import pytest

from infra.local import resp, valkey
from infra.local.folder import Folder
from infra.local.host import this_host
from infra.local.plan import Site
from tests.infra.local.door import Door, eventually


def password(folder: Path, user: str) -> str:
    return (folder / "secrets" / f"valkey-{user}.password").read_text().strip()


def asked(platform: Door, *command: str, user: str = "tasks", secret: str | None = None) -> resp.Reply:
    known = password(platform.data, user) if secret is None else secret
    return resp.ask(f"valkey://{user}@127.0.0.1:{platform.port + 20}/0", known, *command)


def test_it_answers_whom_the_password_lets_in(platform: Door) -> None:
    assert platform("url", "valkey").stdout.strip() == f"valkey://tasks@127.0.0.1:{platform.port + 20}/0"
    assert asked(platform, "PING") == asked(platform, "PING", user="operator") == "PONG"
    with pytest.raises(resp.RefusedError, match="NOAUTH"):
        asked(platform, "PING", secret="")
    for user in ("tasks", "default"):
        with pytest.raises(resp.RefusedError, match="WRONGPASS"):
            asked(platform, "PING", user=user, secret="a guess")


def test_it_keeps_nothing_and_makes_room_by_itself(platform: Door) -> None:
    for name, value in {
        "save": "",
        "appendonly": "no",
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "maxmemory": str(128 * 2**20),
        "maxmemory-policy": "allkeys-lfu",
    }.items():
        assert asked(platform, "CONFIG", "GET", name, user="operator") == [name, value]
    with pytest.raises(resp.RefusedError, match="NOPERM"):
        asked(platform, "SAVE", user="operator")


def test_the_service_s_user_has_what_a_cache_needs(platform: Door) -> None:
    assert asked(platform, "SET", "test:a", "1", "PX", "60000") == "OK"
    assert asked(platform, "MGET", "test:a", "test:b") == ["1", None]
    assert asked(platform, "INCR", "test:a") == 2
    script = "return {redis.call('TIME')[1], redis.call('UNLINK', KEYS[1])}"
    assert asked(platform, "EVAL", script, "1", "test:a") == [asked(platform, "TIME")[0], 1]  # type: ignore[index]
    assert asked(platform, "PUBLISH", "test:channel", "x") == 0
    assert asked(platform, "SUBSCRIBE", "__redis__:invalidate") == ["subscribe", "__redis__:invalidate", 1]
    assert asked(platform, "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP") == "OK"
    assert "evicted_keys" in str(asked(platform, "INFO", "stats"))


@pytest.mark.parametrize(
    "command", ["CONFIG GET *", "DEBUG SLEEP 0", "SHUTDOWN", "KEYS *", "FLUSHALL", "MONITOR", "ACL LIST", "CLIENT LIST"]
)
def test_the_service_s_user_can_neither_look_around_nor_break_it(platform: Door, command: str) -> None:
    with pytest.raises(resp.RefusedError, match=r"NOPERM|not allowed"):
        asked(platform, *command.split())


def test_killed_it_is_back_and_empty(platform: Door) -> None:
    assert asked(platform, "SET", "test:kept", "no") == "OK"
    before = platform.server("valkey")["pid"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(before), "killed")

    def is_back() -> bool:
        try:
            return asked(platform, "PING") == "PONG"
        except OSError:
            return False

    took = eventually(is_back, "it answers again")
    assert asked(platform, "GET", "test:kept") is None
    row = platform.server("valkey")
    assert (row["state"], row["pid"] != before) == ("running", True)
    print(f"killed Valkey answered again after {took:.2f} s")  # noqa: T201  # for who reads the run


def test_passwords_are_made_once_and_a_lost_one_anew(tmp_path: Path) -> None:
    site = Site(Folder(tmp_path), this_host(), 5000)
    site.folder.secrets.mkdir()
    assert valkey.create(site)
    made = {user: password(tmp_path, user) for user in ("tasks", "operator")}
    users = Path(site.valkey_users).read_text()
    assert not [secret for secret in made.values() if secret in users]
    assert {path.stat().st_mode & 0o777 for path in site.folder.secrets.iterdir()} == {0o600}

    assert not valkey.create(site)
    assert Path(site.valkey_users).read_text() == users
    Path(site.password_file("tasks")).unlink()
    assert valkey.create(site)
    assert password(tmp_path, "tasks") != made["tasks"]
    assert password(tmp_path, "operator") == made["operator"]


@pytest.mark.parametrize("answer", [b"", b"+PON", b"HTTP/1.1 400 Bad Request\r\n"])
def test_another_server_is_no_valkey(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectionResetError):
            resp.ask(f"valkey://127.0.0.1:{port}/0", "", "PING")
        thread.join()
