"""Whom we may send a signal: the process we recorded, and no other that bears its number later."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import processes
from tests.infra.local.door import eventually

SLEEP = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(2, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def started(command: list[str], folder: Path | None = None) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder)
    assert process.stdout
    process.stdout.readline()
    return process


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with started(SLEEP) as process:
        yield process
        process.kill()


def identity(process: "subprocess.Popen[bytes]") -> processes.Identity:
    found = processes.identify(process.pid)
    assert found
    return found


def test_a_process_is_known_by_its_file(sleeper: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    recorded = identity(sleeper)
    recorded.save(tmp_path / "pid")
    assert processes.load(tmp_path / "pid") == recorded
    sleeper.kill()
    # Not waited for yet, so its number is still taken.
    eventually(lambda: processes.load(tmp_path / "pid") is None, "it counts as gone")
    assert Path(f"/proc/{sleeper.pid}").exists()


def test_another_process_with_the_same_number_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    earlier = replace(identity(sleeper), started=1)
    assert not earlier.alive()
    processes.end(earlier, signal.SIGKILL, 0)
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "12", "x y", "1 2 3"])
def test_a_damaged_file_records_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    assert processes.load(tmp_path / "pid") is None


def test_who_does_not_listen_is_killed() -> None:
    with started(STUBBORN) as process:
        processes.end(identity(process), signal.SIGINT, 0.2)
        assert process.wait() == -signal.SIGKILL


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A data folder, and in it a program that by its name is PostgreSQL."""
    (tmp_path / "data").mkdir()
    (tmp_path / "postgres").write_bytes(Path("/bin/sleep").read_bytes())
    (tmp_path / "postgres").chmod(0o755)
    return tmp_path / "data"


def test_what_a_dead_postmaster_left_is_swept(cluster: Path) -> None:
    (cluster / "postmaster.pid").write_text("999999999\n")
    with (
        subprocess.Popen([cluster.parent / "postgres", "60"], cwd=cluster) as left,
        subprocess.Popen([cluster.parent / "postgres", "60"], cwd=cluster.parent) as of_another,
        subprocess.Popen(["sleep", "60"], cwd=cluster) as guest,  # noqa: S607  # any program
    ):
        eventually(lambda: left.pid in [it.pid for it in processes.working_in(cluster)], "it works there")
        processes.sweep(cluster)
        assert left.wait(10) == -signal.SIGKILL
        for other in (of_another, guest):
            assert other.poll() is None
            os.kill(other.pid, signal.SIGKILL)


def test_a_living_postmaster_s_family_is_left_alone(cluster: Path) -> None:
    with (
        subprocess.Popen([cluster.parent / "postgres", "60"], cwd=cluster) as postmaster,
        subprocess.Popen([cluster.parent / "postgres", "60"], cwd=cluster) as backend,
    ):
        (cluster / "postmaster.pid").write_text(f"{postmaster.pid}\n{cluster}\n")
        eventually(lambda: len(list(processes.working_in(cluster))) == 2, "both work there")
        processes.sweep(cluster)
        assert (postmaster.poll(), backend.poll()) == (None, None)
        postmaster.kill()
        backend.kill()
