"""What is measured, as data: cases (requests), peers (servers) and comparisons (rows of the table).

A new row is a Comparison; a new server is a Peer. Nothing else has to know.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtests.servers import HOST
from loadtests.world import Owner


@dataclass(frozen=True)
class Peer:
    """A server to start as `python -m <module> <arguments>`.

    Placeholders in `environment`: {url} of the database, {pool} connections, {host}, {port}, {second_port}, {keys} the
    folder of signing keys, {key} the one key file, {valkey} the URL of Valkey, {collector} the port that takes traces,
    {answers} the file of recorded answers.
    It is ready when GET `ready_path` answers `ready_status`. One that `repeats` gives everybody the answers that were
    recorded for one user, and starts when they are.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ready_path: str
    ready_status: int
    repeats: bool = False

    def needs(self, placeholder: str) -> bool:
        return any(f"{{{placeholder}}}" in value for value in self.environment.values())


@dataclass(frozen=True)
class Case:
    """A request per owner; `path` and `body` may name {task_id}, a task of that owner."""

    name: str
    title: str
    path: str
    method: str = "GET"
    body: Mapping[str, str] | None = None
    status: int = 200

    def request(self, owner: Owner, port: int) -> bytes:
        content = b"" if self.body is None else json.dumps(dict(self.body)).encode()
        head = [
            f"{self.method} {self.path.format(task_id=owner.task_id)} HTTP/1.1",
            f"Host: {HOST}:{port}",
            f"Authorization: Bearer {owner.token}",
            "Accept: application/json",
        ]
        if content:
            head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join([*head, "", ""]).encode() + content


@dataclass(frozen=True)
class Comparison:
    """One row: how many times the requests/s of `peer` the `subject` answers. `goal` is the least that is wanted."""

    case: str
    subject: str
    peer: str
    goal: float | None = None


UNCACHED = Peer(
    name="product-uncached",
    module="service",
    arguments=("serve",),
    environment={
        "TASKS_DATABASE_URL": "{url}",
        "TASKS_DATABASE_READ_POOL_SIZE": "{pool}",
        "TASKS_DATABASE_WRITE_POOL_SIZE": "{pool}",
        "TASKS_HTTP_HOST": "{host}",
        "TASKS_HTTP_PORT": "{port}",
        "TASKS_METRICS_PORT": "{second_port}",
        "TASKS_TOKENS_FOLDER": "{keys}",
        # Limits are on and pay their price, leases from Valkey included; a generator asks for its few users ten times
        # as often as people may.
        "TASKS_LIMITS_READ": "12000/60",
        "TASKS_LIMITS_WRITE": "3000/60",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://{host}:{collector}",
        "OTEL_TRACES_SAMPLER_ARG": "0.05",
    },
    ready_path="/health/ready",
    ready_status=200,
)
PRODUCT = replace(
    UNCACHED,
    name="product",
    # Answers outlive the run: what is measured is a hit, and not how often a minute's life makes a miss.
    environment={**UNCACHED.environment, "TASKS_VALKEY_URL": "{valkey}", "TASKS_CACHE_TTL_S": "3600"},
)
NAIVE = Peer(
    name="naive",
    module="loadtests.peers.naive",
    arguments=(),
    environment={
        "PEER_DATABASE_URL": "{url}",
        "PEER_POOL_SIZE": "{pool}",
        "PEER_HOST": "{host}",
        "PEER_PORT": "{port}",
        "PEER_TOKENS_KEY": "{key}",
    },
    ready_path="/api/v1/auth/me",
    ready_status=401,
)
RAW = Peer(
    name="raw",
    module="loadtests.peers.raw",
    arguments=(),
    environment={"PEER_ANSWERS": "{answers}", "PEER_HOST": "{host}", "PEER_PORT": "{port}"},
    ready_path="/api/v1/auth/me",
    ready_status=200,
    repeats=True,
)
FASTAPI = replace(RAW, name="fastapi", module="loadtests.peers.bare")
PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (PRODUCT, UNCACHED, NAIVE, RAW, FASTAPI)}

CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case("list", "list, page of 10", "/api/v1/tasks?page=1&limit=10"),
        Case("task", "get task", "/api/v1/tasks/{task_id}"),
        Case("me", "who am I", "/api/v1/auth/me"),
        # Last, because it changes the data that the others read.
        Case(
            "create",
            "create task",
            "/api/v1/tasks",
            method="POST",
            body={"title": "Prepare the next report", "description": "Collect the figures of the week."},
            status=201,
        ),
    )
}

COMPARISONS: Sequence[Comparison] = (
    Comparison("list", "product", "raw", goal=0.75),
    Comparison("list", "product", "fastapi", goal=1.5),
    Comparison("list", "product", "naive", goal=20),
    Comparison("list", "product-uncached", "naive", goal=4),
    Comparison("create", "product", "naive", goal=2),
    Comparison("me", "product", "raw", goal=0.75),
    Comparison("task", "product", "raw", goal=0.75),
)
# Instructions a request of the list in process, subject by peer; `goal` is the most that is wanted.
INSTRUCTIONS = Comparison("list", "product", "fastapi", goal=0.7)
