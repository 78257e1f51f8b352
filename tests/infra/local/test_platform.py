"""The platform on real servers: it comes up, it recovers from kills, it goes down and keeps its rows."""

import http.client
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil

from tests.infra.local.door import Door, all_gone, eventually, gone

# No await in it: unlike a sleeping session, this one does not notice that its postmaster died.
BUSY = "DO $$ BEGIN LOOP END LOOP; END $$"


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def everything(door: Door) -> list[psutil.Process]:
    """Each process of the platform, from the supervisor down."""
    return family(psutil.Process(door.server("postgres")["pid"]).ppid())


def test_status_lists_each_server(platform: Door) -> None:
    done = platform("status", "--json")
    assert done.returncode == 0
    servers = {row["name"]: row for row in json.loads(done.stdout)["servers"]}
    assert {name: (row["kind"], row["port"], row["state"]) for name, row in servers.items()} == {
        "postgres": ("postgresql", platform.port + 10, "running"),
        "valkey": ("valkey", platform.port + 20, "running"),
        "api": ("api", platform.port, "running"),
    }
    assert all(psutil.pid_exists(row["pid"]) for row in servers.values())
    assert servers["api"]["url"] == platform("url").stdout.strip() == f"http://127.0.0.1:{platform.port}"
    assert "running" in platform("status").stdout


def test_durable_settings_are_in_force(platform: Door) -> None:
    names = "fsync,synchronous_commit,full_page_writes,data_checksums,listen_addresses,unix_socket_directories"
    shown = "||','||".join(f"current_setting('{name}')" for name in names.split(","))
    assert platform.sql(f"SELECT {shown}", "--superuser") == "on,on,on,on,127.0.0.1,"
    assert platform.sql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "f"
    assert platform.sql("SELECT datlocale || pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == "C.UTF-8UTF8"
    assert platform.sql("SELECT count(*) > 0 FROM pg_stat_statements") == "t"


def test_no_password_is_seen_outside_the_secrets_folder(platform: Door) -> None:
    secrets = platform.data / "secrets"
    files = [*secrets.glob("*.pgpass"), *secrets.glob("*.password")]
    passwords = [path.read_text().strip().rpartition(":")[2] for path in files]
    accounts = [row["password"] for row in json.loads((secrets / "demo.json").read_text())]
    for process in everything(platform):
        said = f"{process.cmdline()} {process.environ()}"
        assert not [word for word in (*passwords, *accounts) if word in said]
    told = [path for folder in ("run", "logs") for path in (platform.data / folder).iterdir() if path.is_file()]
    for path in (*told, platform.data / "platform.json"):
        assert not [word for word in (*passwords, *accounts) if word in path.read_text(errors="replace")], path
    assert secrets.stat().st_mode & 0o777 == 0o700
    files = [path for path in secrets.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (len(passwords), len(accounts)) == (4, 2)


def test_without_its_password_nobody_enters(platform: Door) -> None:
    url = platform("url", "postgres").stdout.strip().partition("?")[0]
    psql = str(Path(psutil.Process(platform.server("postgres")["pid"]).exe()).with_name("psql"))
    done = subprocess.run([psql, "-w", url, "-c", "SELECT 1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no password supplied" in done.stderr


def test_servers_do_not_run_as_root(platform: Door) -> None:
    names = {psutil.Process(row["pid"]).username() for row in platform.status()["servers"]}
    assert "root" not in names


def test_a_second_up_says_so(platform: Door) -> None:
    done = platform("up", "--detach")
    assert (done.returncode, done.stdout) == (4, "")
    assert re.fullmatch(r"error: already running on .*: phase 1, pid \d+, http://127.*\n", done.stderr)
    assert platform("status").returncode == 0


def test_a_killed_api_is_back(platform: Door) -> None:
    pid = platform.server("api")["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid), "killed")
    took = eventually(lambda: platform.answers() == 200, "the API answers again")
    assert platform.server("api")["pid"] != pid
    print(f"killed API answered again after {took:.2f} s")  # noqa: T201  # for who reads the run


def test_a_killed_postmaster_recovers_and_the_api_with_it(platform: Door) -> None:
    before = platform.status()
    users = platform.sql("SELECT count(*) FROM users")
    api, postmaster = (next(row["pid"] for row in before["servers"] if row["name"] == n) for n in ("api", "postgres"))
    with platform.open("psql", "-c", BUSY) as busy:
        busy_session = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO $$%'"
        eventually(lambda: platform.sql(busy_session), "a session is busy")
        backend = psutil.Process(int(platform.sql(busy_session)))
        os.kill(postmaster, signal.SIGKILL)
        busy.wait(30)
        took = eventually(lambda: platform.answers() == 200, "the API answers again")
        assert gone(backend)
    assert platform.server("api")["pid"] == api
    assert platform.server("postgres")["pid"] != postmaster
    assert platform.sql("SELECT count(*) FROM users") == users
    print(f"killed PostgreSQL: the same API answered again after {took:.2f} s")  # noqa: T201  # for who reads the run


def test_restart_gives_a_new_process(platform: Door) -> None:
    before = platform.server("api")["pid"]
    done = platform("restart", "api")
    assert done.returncode == 0, done.stderr
    assert platform.server("api")["pid"] != before
    assert platform.answers() == 200
    assert platform("restart", "nobody").returncode == 2


def test_logs_of_one_and_of_all(platform: Door) -> None:
    one = platform("logs", "postgres", "-n", "5").stdout
    assert 0 < len(one.splitlines()) <= 5
    assert "postgres.log" in platform("logs").stdout
    assert platform("logs", "nobody").returncode == 2


def test_servers_of_a_killed_supervisor_are_found_by_their_pids(platform: Door) -> None:
    processes = everything(platform)
    processes[0].kill()
    eventually(lambda: gone(processes[0]), "the supervisor is gone")
    status = platform("status", "--json")
    assert status.returncode == 1
    assert {row["state"] for row in json.loads(status.stdout)["servers"]} == {"orphaned"}
    done = platform("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("left behind by a supervisor that was killed") == 3
    assert all_gone(processes)
    assert platform("status").returncode == 0


def test_down_leaves_no_process_and_up_finds_the_rows(platform: Door) -> None:
    users = platform.sql("SELECT string_agg(email, ' ' ORDER BY email) FROM users")
    assert "user@example.com" in users
    accounts = (platform.data / "secrets" / "demo.json").read_text()
    processes = everything(platform)
    assert platform("down").returncode == 0
    assert all_gone(processes)
    assert platform("status").returncode == 3
    assert "database system is shut down" in (platform.data / "logs" / "postgres.log").read_text().splitlines()[-1]

    done = platform("up", "--detach", "--json")
    assert done.returncode == 0, done.stderr
    assert "new cluster" not in done.stderr
    assert re.search(
        r"postgres .* ready in (?s:.*)valkey .* ready in (?s:.*)migrate .* done in (?s:.*)api .* ready in \d",
        done.stderr,
    )
    ready = json.loads(done.stdout)
    assert ready["urls"]["api"] == f"http://127.0.0.1:{platform.port}/api/v1"
    assert [row["password"] for row in ready["accounts"]] == [row["password"] for row in json.loads(accounts)]
    print(f"warm start: {ready['ready_s']} s")  # noqa: T201  # for who reads the run
    assert platform.sql("SELECT string_agg(email, ' ' ORDER BY email) FROM users") == users
    assert (platform.data / "secrets" / "demo.json").read_text() == accounts


def test_the_demo_accounts_open_the_service(platform: Door) -> None:
    for account in json.loads((platform.data / "secrets" / "demo.json").read_text()):
        connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=10)
        body = json.dumps({"email": account["email"], "password": account["password"]})
        connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["data"]["user"]["role"] == account["role"]
        connection.close()
