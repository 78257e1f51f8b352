"""What cannot work on this machine is one clear line, an exit code and no traceback."""

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.__main__ import main
from tests.infra.local.door import Door

VERBS = ("up", "down", "status", "logs", "restart", "psql", "url")


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The door without a process of its own, for what ends before anything is started."""
    try:
        code = main(arguments)
    except SystemExit as ending:
        code = int(ending.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("verb", VERBS)
def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert "Exit codes: 0" in out
    assert "--data DIR" in out


@pytest.mark.parametrize("port", ["0", "1023", "32748", "99999", "many"])
def test_a_port_out_of_range(capsys: pytest.CaptureFixture[str], port: str) -> None:
    code, _, err = run(capsys, "up", "--port", port)
    assert code == 2
    assert "--port" in err


def test_an_unknown_phase_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "up", "--phase", "9")
    assert code == 2
    assert "'current'" in err
    assert "'4'" in err


def test_a_phase_that_is_not_built_yet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "up", "--phase", "4", "--data", str(tmp_path / "data"))
    assert code == 2
    assert err.startswith("error: phase 4 is not built yet: it needs")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [["status", "--yaml"], ["stat"], [], ["restart"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(capsys, *arguments)[0] == 2


@pytest.mark.parametrize("verb", [["status"], ["psql", "-c", "SELECT 1"], ["url"], ["restart", "api"], ["logs"]])
def test_nothing_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: list[str]) -> None:
    code, out, err = run(capsys, *verb, "--data", str(tmp_path / "data"))
    assert (code, out) == (3, "")
    assert str(tmp_path / "data") in err
    assert not (tmp_path / "data").exists()


def test_nothing_runs_for_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "status", "--json", "--data", str(tmp_path / "data"))
    assert code == 3
    assert json.loads(out) == {"running": False, "phase": None, "data": str(tmp_path / "data"), "servers": []}


def test_down_of_nothing_is_done(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "down", "--wipe", "--data", str(tmp_path / "data"))[0] == 0


@pytest.mark.parametrize("name", ["it's", 'a"b', "100%", "a ;b", "a #b", "a\nb"])
def test_a_path_that_supervisor_cannot_write_down(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    code, _, err = run(capsys, "up", "--data", str(tmp_path / name))
    assert code == 2
    assert "cannot be in this path" in err


@pytest.mark.parametrize(("offset", "who"), [(0, "api"), (1, "api"), (10, "postgres")])
def test_a_busy_port_is_named(door: Door, offset: int, who: str) -> None:
    with socket.socket() as other:
        # An earlier test's connections may still be closing on this port.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", door.port + offset))
        other.listen()
        done = door("up", "--detach")
    assert done.returncode == 1
    line = one_line(done)
    assert f"port {door.port + offset} is in use, and {who} needs it" in line
    assert "--port" in line
    assert not (door.data / "postgres").exists()


def test_another_program_s_folder_is_neither_used_nor_removed(door: Door) -> None:
    door.data.mkdir()
    (door.data / "thesis.txt").write_text("ten years")
    for done in (door("up", "--detach"), door("down", "--wipe")):
        assert done.returncode == 2
        assert str(door.data) in one_line(done)
    assert [path.name for path in door.data.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", ["file/data", "file", "/proc/data"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    done = Door(tmp_path / below, 20_000)("up", "--detach")
    assert done.returncode == 1
    assert "--data DIR" in one_line(done)


def test_a_folder_without_permission(tmp_path: Path, door: Door) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    command = Door(closed / "data", door.port).command("up", "--detach")
    if os.geteuid() == 0:
        # Root may write anywhere, so somebody else tries; the capability lets them read the interpreter.
        caps = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        command = ["setpriv", "--reuid=nobody", "--clear-groups", *caps, *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Permission denied: choose a folder that you can write to" in one_line(done)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)],  # noqa: S607  # wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607  # wherever it is


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_full_disk(door: Door, small_disk: Path) -> None:
    on_it = Door(small_disk / "data", door.port)
    done = on_it("up", "--detach")
    assert done.returncode == 1
    assert "free some space" in one_line(done)
    on_it("down", "--wipe")
    fill(small_disk / "ballast")
    done = on_it("up", "--detach")
    assert done.returncode == 1
    assert "free some space" in one_line(done)


def test_a_damaged_record_is_refused_before_anything_starts(door: Door) -> None:
    door.data.mkdir()
    (door.data / ".tasks-platform").touch()
    (door.data / "platform.json").write_text('{"phase": ')
    done = door("up", "--detach")
    assert done.returncode == 1
    assert f"{door.data}/platform.json cannot be read" in one_line(done)
    assert door("status").returncode == 3
    assert door("down", "--wipe").returncode == 0
    assert not door.data.exists()


def test_a_lost_password_is_not_replaced_silently(door: Door) -> None:
    (door.data / "postgres").mkdir(parents=True)
    (door.data / ".tasks-platform").touch()
    done = door("up", "--detach")
    assert done.returncode == 1
    assert "password" in one_line(done)
