import configparser
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.errors import PlatformError
from infra.local.folder import Folder
from infra.local.host import Host
from infra.local.plan import Plan, Site, plan
from infra.local.supervise import Supervisor, configuration, runtime_folder
from roadmap.phases import load

FOLDER = Folder(Path("/data/a b"))
HOST = Host("/venv/python", Path("/project"), Path("/pg/bin"), Path("/bin/valkey-server"))
SITE = Site(FOLDER, HOST, 5000)


def written(the_plan: Plan) -> configparser.RawConfigParser:
    """As supervisord reads it: the same parser with the same comment signs."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(configuration(the_plan, FOLDER, Path("/run/s")))
    return parser


@pytest.fixture
def current() -> Plan:
    return plan(load().phase("current"), SITE)


def test_each_server_of_the_plan_is_a_program(current: Plan) -> None:
    parser = written(current)
    for rank, server in enumerate(current.servers):
        program = parser[f"program:{server.name}"]
        assert tuple(shlex.split(program["command"])) == server.command
        assert program["priority"] == str(rank)
        assert program["stopsignal"] == server.stop_signal.name[3:]
        assert (program["autostart"], program["autorestart"]) == ("false", "true")


def test_a_percent_sign_survives_supervisor_s_expansion(current: Plan) -> None:
    environment = written(current)["program:api"]["environment"]
    assert "passfile=/data/a%%20b/secrets/tasks.pgpass" in environment
    assert "passfile=/data/a%20b/secrets/tasks.pgpass" in environment % {}


def test_an_empty_setting_survives_supervisor_s_quoting() -> None:
    command = shlex.split(written(plan(load().phase("1"), SITE))["program:valkey"]["command"])
    assert command[command.index("--save") + 1] == ""


def test_what_runs_already_is_described_the_same_in_a_later_phase(current: Plan) -> None:
    before, after = written(current), written(plan(load().phase("1"), SITE))
    assert dict(before["program:postgres"]) == dict(after["program:postgres"])
    assert dict(before["program:api"]) != dict(after["program:api"])


def test_the_order_of_stops_follows_the_plan(current: Plan) -> None:
    turned = written(replace(current, servers=current.servers[::-1]))
    assert int(turned["program:api"]["priority"]) < int(turned["program:postgres"]["priority"])


def test_the_socket_s_folder_is_short_private_and_its_own_for_each_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = (runtime_folder(Folder(Path("/deep" * 60) / name)) for name in ("a", "b"))
    assert one != other
    assert len(os.fsencode(one.name)) < 40
    assert one.stat().st_mode & 0o777 == 0o700


def test_a_runtime_folder_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = runtime_folder(FOLDER)
    path.chmod(0o755)
    with pytest.raises(PlatformError, match="not a private folder"):
        runtime_folder(FOLDER)
    path.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    path.symlink_to(elsewhere)
    with pytest.raises(PlatformError, match="not a private folder"):
        runtime_folder(FOLDER)


def test_a_supervisor_that_is_not_there(tmp_path: Path) -> None:
    supervisor = Supervisor(str(tmp_path / "s"))
    assert not supervisor.answers()
    with pytest.raises(PlatformError, match="does not answer"):
        supervisor.processes()
