"""Child processes: what is started is stopped, and a failed start tells why."""

import os
import socket
import sys
from pathlib import Path

import pytest

from loadtests import servers
from loadtests.cases import PEERS
from loadtests.rig import environment_of
from loadtests.servers import (
    HOST,
    PORTS,
    ServerError,
    cpu_between,
    cpu_by_process,
    free_port,
    launched,
    process_tree,
    run_command,
)

FOREVER = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FOREVER!r}])"


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("program", [FOREVER, STUBBORN])
def test_a_child_is_gone_when_the_block_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(servers, "STOP_SECONDS", 0.2)
    log, started = tmp_path / "log", []

    def interrupted() -> None:
        argv = [sys.executable, "-c", program]
        with launched("child", argv, port=1, log=log, ready=lambda: b"here" in log.read_bytes()) as server:
            server.wait_ready()
            started.append(server.pid)
            assert alive(server.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not alive(started[0])


def test_a_failed_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no database')"]
    with (
        launched("child", argv, port=1, log=tmp_path / "log", ready=lambda: False) as server,
        pytest.raises(ServerError, match=r"child ended with 1 at its start:\nno database"),
    ):
        server.wait_ready()


def test_a_child_that_never_gets_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 0.1)
    argv = [sys.executable, "-c", FOREVER]
    with (
        launched("child", argv, port=1, log=tmp_path / "log", ready=lambda: False) as server,
        pytest.raises(ServerError, match="not ready"),
    ):
        server.wait_ready()


def test_a_failed_command_shows_its_words() -> None:
    with pytest.raises(ServerError, match="no such revision"):
        run_command([sys.executable, "-c", "import sys; sys.exit('no such revision')"])
    assert run_command([sys.executable, "-c", "print(input())"], given="as given") == "as given\n"


def test_a_free_port_can_be_listened_on_and_is_no_port_of_outgoing_connections() -> None:
    port = free_port()
    assert port in PORTS
    with socket.socket() as listener:
        listener.bind((HOST, port))


def test_cpu_is_that_of_a_process_and_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-c", PARENT]
    with launched("parent", argv, port=1, log=log, ready=lambda: b"here" in log.read_bytes()) as server:
        server.wait_ready()
        tree = process_tree(server.pid)
        used = cpu_by_process(server.pid)
        for child in tree[1:]:
            os.kill(child, 9)
    assert len(tree) == 2
    assert used.keys() == set(tree)
    assert all(seconds > 0 for seconds in used.values())


def test_a_process_that_ended_between_two_readings_counts_nothing() -> None:
    assert cpu_between({1: 5.0, 2: 1.0}, {2: 1.5, 3: 0.25}) == 0.75


def test_a_peer_sees_no_settings_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("PEER_POOL_SIZE", "99")
    monkeypatch.setenv("HARMLESS", "kept")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "somebody-else")
    names = ("url", "pool", "host", "port", "second_port", "keys", "key", "valkey", "collector", "answers")
    values = dict.fromkeys(names, "7")
    for peer in PEERS.values():
        environment = environment_of(peer.environment, values)
        ours = {name for name in environment if name.startswith(("TASKS_", "PEER_", "OTEL_"))}
        assert ours == peer.environment.keys()
        filled = {name for name, value in peer.environment.items() if value.startswith("{")}
        assert {environment[name] for name in filled} == {"7"}
        assert environment["HARMLESS"] == "kept"
