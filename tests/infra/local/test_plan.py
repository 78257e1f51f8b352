"""The plan is a pure function: these tests start nothing and write nothing."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.host import Host
from infra.local.plan import HIGHEST_BASE, Plan, Site, missing, plan
from roadmap.phases import Phase, load

ROADMAP = load()
CURRENT, FIRST = ROADMAP.phase("current"), ROADMAP.phase("1")
FOLDER = Folder(Path("/data/a b"))
ORDINARY = Host("/venv/python", Path("/project"), Path("/pg/bin"), Path("/wheel/valkey-server"))
ROOT = replace(ORDINARY, drop=("setpriv", "--reuid=nobody"), owner=(1, 1))


def planned(host: Host = ORDINARY, base: int = 5000, phase: Phase = FIRST) -> Plan:
    return plan(phase, Site(FOLDER, host, base))


def test_the_same_questions_get_the_same_plan() -> None:
    assert planned() == planned()
    assert not FOLDER.root.exists()


def test_ports_count_from_the_base() -> None:
    ports = {server.name: dict(server.ports) for server in planned(base=7000).servers}
    assert ports == {
        "postgres": {"postgresql": 7010},
        "valkey": {"valkey": 7020},
        "api": {"http": 7000, "metrics": 7001},
    }


def test_every_port_stays_below_those_of_outgoing_connections() -> None:
    assert max(port for server in planned(base=HIGHEST_BASE).servers for port in server.ports.values()) == 32767
    for base in (80, HIGHEST_BASE + 1):
        with pytest.raises(PlatformError, match="--port must lie between"):
            planned(base=base)


def test_a_server_starts_after_what_it_depends_on() -> None:
    started: set[str] = set()
    for server in planned().servers:
        assert started.issuperset(server.depends)
        started.add(server.name)


def test_postgresql_listens_on_loopback_and_keeps_what_it_answered() -> None:
    server = planned().server("postgres")
    for setting in (
        "port=5010",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=on",
        "synchronous_commit=on",
        "full_page_writes=on",
    ):
        assert server.command[server.command.index(setting) - 1] == "-c"
    assert server.stop_signal == signal.SIGINT


def test_there_is_a_valkey_where_the_topology_has_one() -> None:
    assert [server.name for server in planned(phase=CURRENT).servers] == ["postgres", "api"]
    assert [server.name for server in planned(phase=FIRST).servers] == ["postgres", "valkey", "api"]
    emptied = replace(FIRST, topology=replace(FIRST.topology, valkey_nodes=0))
    assert [server.name for server in planned(phase=emptied).servers] == ["postgres", "api"]


def test_valkey_is_a_cache_on_loopback_that_keeps_nothing() -> None:
    server = planned().server("valkey")
    for name, value in {
        "--bind": "127.0.0.1",
        "--port": "5020",
        "--protected-mode": "yes",
        "--save": "",
        "--appendonly": "no",
        "--maxmemory": "128mb",
        "--maxmemory-policy": "allkeys-lfu",
        "--aclfile": "/data/a b/secrets/valkey.acl",
    }.items():
        assert server.command[server.command.index(name) + 1] == value
    assert server.stop_signal == signal.SIGTERM


def test_the_api_is_told_of_valkey_where_there_is_one() -> None:
    before, after = (planned(phase=phase).server("api").environment for phase in (CURRENT, FIRST))
    assert dict(after.items() - before.items()) == {
        "TASKS_VALKEY_URL": "valkey://tasks@127.0.0.1:5020/0",
        "TASKS_VALKEY_PASSWORD_FILE": "/data/a b/secrets/valkey-tasks.password",
    }
    assert before.items() <= after.items()


def test_the_api_gets_its_settings_and_no_password() -> None:
    api = planned(phase=CURRENT).server("api")
    assert api.environment == {
        "TASKS_DATABASE_URL": "postgresql://tasks@127.0.0.1:5010/tasks?passfile=/data/a%20b/secrets/tasks.pgpass",
        "TASKS_HTTP_HOST": "127.0.0.1",
        "TASKS_HTTP_PORT": "5000",
        "TASKS_HTTP_TRUSTED_PROXIES": "127.0.0.1/32",
        "TASKS_METRICS_HOST": "127.0.0.1",
        "TASKS_METRICS_PORT": "5001",
        "TASKS_TOKENS_FOLDER": "/data/a b/secrets/tokens",
        "PYTHONPYCACHEPREFIX": "/data/a b/bytecode",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    assert api.command[-3:] == ("-m", "service", "serve")
    assert api.probe.url == "http://127.0.0.1:5000/health/ready"


@pytest.mark.parametrize("phase", [CURRENT, FIRST])
def test_the_schema_is_the_phase_s(phase: Phase) -> None:
    (migrate,) = planned(phase=phase).server("api").before
    assert migrate.command == ("/venv/python", "-m", "service", "migrate", "--to", phase.topology.schema)


def test_a_rehearsal_has_the_settings_of_the_performance() -> None:
    api = planned().server("api")
    assert api.rehearsal
    assert api.rehearsal.environment == api.environment


def test_as_root_servers_and_jobs_drop_to_another_user() -> None:
    for server in planned(ROOT).servers:
        behind_the_launcher = server.command[server.command.index("--") + 1 :]
        assert behind_the_launcher[:2] == ROOT.drop
        assert all(job.command[:2] == ROOT.drop for job in server.before)
    assert not any("setpriv" in server.command for server in planned(ORDINARY).servers)


def test_only_what_is_built_is_planned() -> None:
    assert missing(CURRENT.topology) == missing(FIRST.topology) == ()
    for phase in ROADMAP.phases:
        if missing(phase.topology):
            with pytest.raises(PlatformError, match=f"phase {phase.name} is not built yet: it needs") as refused:
                plan(phase, Site(FOLDER, ORDINARY, 5000))
            assert refused.value.code == Exit.USAGE


def test_a_topology_is_compared_part_by_part() -> None:
    assert missing(replace(CURRENT.topology, cdn=True, api_servers=3)) == ("api_servers", "cdn")
