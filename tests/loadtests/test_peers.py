"""The naive peer is the same service: on one database it answers the same reads with the same JSON.

One test with parts: the servers take seconds to start, and two test workers would start them twice.
"""

import http.client
import json
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from loadtests.bench import measure
from loadtests.cases import CASES, Case
from loadtests.driver import Plan
from loadtests.rig import Rig, ask, differences, rig
from loadtests.servers import HOST

ROWS, OWNERS = 150, 6
LIST = CASES["list"]
BOTH = ("product", "naive")


def a_case_of_the_table_has_one_answer(running: Rig) -> None:
    for case in CASES.values():
        if case.method == "GET":
            assert isinstance(ask(case, running.owners[0], running.servers["naive"]), dict), case.name
            assert differences(case, running, BOTH) == []


def a_list_has_one_answer(running: Rig) -> None:
    queries = {"": 25, "?page=3": 25, "?page=99": 25, "?status=COMPLETED&limit=3&page=2": 8, "?limit=100": 25}
    for query, total in queries.items():
        case = replace(LIST, path=f"/api/v1/tasks{query}")
        page = ask(case, running.owners[0], running.servers["naive"])
        assert isinstance(page, dict), query
        assert page["data"]["pagination"]["totalTasks"] == total, query
        assert differences(case, running, BOTH) == [], query


def a_refusal_has_one_status(running: Rig) -> None:
    refusals = {"/999999": 404, f"/{running.owners[1].task_id}": 403, "?page=0": 400, "?limit=101": 400}
    for path, status in refusals.items():
        case = replace(LIST, path=f"/api/v1/tasks{path}", status=status)
        for name, server in running.servers.items():
            refused = ask(case, running.owners[0], server)
            assert isinstance(refused, dict), (name, path, refused)
            assert refused["success"] is False


def a_forged_token_is_refused(running: Rig) -> None:
    owner, other = running.owners[:2]
    forged = replace(owner, token=owner.token.rpartition(".")[0] + "." + other.token.rpartition(".")[2])
    for server in running.servers.values():
        assert str(ask(LIST, forged, server)).startswith("status 401")


def a_created_task_is_stored_and_shown_in_full(running: Rig) -> None:
    owner, case, shapes = running.owners[2], CASES["create"], []
    for server in running.servers.values():
        connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
        head, _, body = case.request(owner, server.port).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        connection.request(case.method, case.path, body, headers)
        response = connection.getresponse()
        created = json.loads(response.read())
        connection.close()
        assert response.status == 201
        shown = replace(owner, task_id=created["data"]["task"]["id"])
        assert differences(CASES["task"], replace(running, owners=[shown]), BOTH) == []
        shapes.append({**created, "data": {"task": created["data"]["task"].keys()}})
    assert shapes[0] == shapes[1]
    with psycopg.connect(running.url) as database:
        count = database.execute("SELECT count(*) FROM tasks WHERE user_id = %s", [owner.id]).fetchone()
    assert count == (ROWS // OWNERS + 2,)


def servers_that_differ_are_found(running: Rig) -> None:
    """Negative control: the refusals of the two are not the same JSON."""
    case = Case("missing", "a task that is not there", "/api/v1/tasks/999999", status=404)
    assert len(differences(case, running, BOTH)) == OWNERS


def a_round_measures_the_servers_own_cpu(running: Rig) -> None:
    for server in running.servers.values():
        requests = [LIST.request(owner, server.port) for owner in running.owners]
        measured = measure(running, server, Plan(HOST, server.port, requests, connections=2, max_requests=40))
        assert measured.report.clean
        assert measured.report.answered == 40
        assert measured.cpu_ms > 0
        # What the product answers from its cache costs the database nothing.
        assert measured.database_cpu_ms > 0 or server is running.servers["product"]


PARTS = (
    a_case_of_the_table_has_one_answer,
    a_list_has_one_answer,
    a_refusal_has_one_status,
    a_forged_token_is_refused,
    servers_that_differ_are_found,
    a_round_measures_the_servers_own_cpu,
    a_created_task_is_stored_and_shown_in_full,
)


def test_both_servers_are_one_service(subtests: pytest.Subtests) -> None:
    with rig(BOTH, rows=ROWS, owners=OWNERS, pool=2, say=lambda _: None) as running:
        pids = [server.pid for server in (running.database, *running.servers.values())]
        for part in PARTS:
            with subtests.test(part.__name__):
                part(running)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
