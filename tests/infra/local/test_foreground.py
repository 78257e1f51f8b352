"""`up` in the foreground, and what stops it: Ctrl-C, SIGTERM, `down`, a killed supervisor, at any moment."""

import os
import signal
import subprocess
from functools import partial

import psutil
import pytest

from tests.infra.local.door import Door, all_gone, eventually, read_until


def below(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(stopped: Door, number: signal.Signals) -> None:
    with stopped.open("up", "--phase", "1") as process:
        announced = read_until(process, "stop it:")
        for word in (
            "/api/v1",
            "/docs",
            "/metrics",
            "postgresql://",
            "valkey://",
            "demo user",
            "demo admin",
            "curl -s",
            "Ctrl-C",
        ):
            assert word in announced
        servers = below(process)
        # As a terminal does it, to the whole group, and once more as a wrapper would.
        os.killpg(process.pid, number)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout
        assert process.stdout.read().split() == ["stopping", "stopped"]
        assert len(servers) > 3
        assert all_gone(servers)
    log = (stopped.data / "logs" / "supervisor.log").read_text()
    assert log.rindex("stopped: api") < log.rindex("stopped: valkey") < log.rindex("stopped: postgres")
    assert "database system is shut down" in (stopped.data / "logs" / "postgres.log").read_text().splitlines()[-1]


def test_down_from_another_terminal_when_nobody_reads_any_more(stopped: Door) -> None:
    with stopped.open("up") as process:
        read_until(process, "stop it:")
        assert process.stdout
        process.stdout.close()
        assert stopped("down").returncode == 0
        assert process.wait(5) == 0
    assert stopped("status").returncode == 3


def test_the_supervisor_is_killed(stopped: Door) -> None:
    with stopped.open("up") as process:
        read_until(process, "stop it:")
        servers = below(process)
        servers[0].kill()
        assert process.wait(30) == 1
        assert process.stderr
        assert process.stderr.read().startswith("error: the supervisor was killed")
        assert all_gone(servers)


def test_an_interrupted_first_start_is_redone(door: Door) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        with door.open("up") as process:
            eventually(lambda: list(door.data.glob("postgres.unfinished.*/global")), "initdb is at work")
            initdb = below(process)
            process.send_signal(number)
            assert process.wait(30) == code
        eventually(partial(all_gone, initdb), "initdb is gone")
        assert not (door.data / "postgres").exists()
        assert door("status").returncode == 3

    with door.open("up") as process:
        read_until(process, "postgres ")
        process.terminate()
        assert process.wait(30) == 130
    assert (door.data / "postgres" / "PG_VERSION").exists()
    assert not list(door.data.glob("postgres.unfinished.*"))
