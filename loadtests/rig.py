"""The running servers of a comparison: one database, one set of data, every peer beside it."""

import http.client
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.cache import valkey
from loadtests.cases import CASES, PEERS, Case, Peer
from loadtests.cluster import postgres
from loadtests.collector import collector
from loadtests.doors import Say
from loadtests.servers import HOST, Server, ServerError, answers, free_port, launched, python_module, run_command
from loadtests.world import Owner, make_keys, read_owners, seed

SAMPLE_OWNERS = 10
_SETTINGS = ("TASKS_", "PEER_", "OTEL_")

Migrate = Callable[[str], None]


@dataclass(frozen=True)
class Rig:
    """`owners` in the order of their ids; `servers` by the name of the peer. `recorded` is the user whose answers the
    repeating peers give; `values` fill the placeholders of settings.
    """

    database: Server
    url: str
    servers: Mapping[str, Server]
    owners: Sequence[Owner]
    recorded: Owner
    values: Mapping[str, object]


def environment_of(settings: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """The caller's environment without settings of any peer: they would change what is measured."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return inherited | {name: value.format_map(values) for name, value in settings.items()}


def migrate_to_head(url: str) -> None:
    """The schema is the product's own, to its head, so that every peer has its indexes."""
    environment = environment_of({"TASKS_DATABASE_URL": "{url}"}, {"url": url})
    run_command(python_module("service", "migrate", "--to", "head"), environment)


def start(stack: ExitStack, peer: Peer, values: Mapping[str, object], folder: Path) -> Server:
    """One peer on a port of its own, not ready yet, stopped with the stack."""
    port = free_port()
    ports = {"host": HOST, "port": port, "second_port": free_port()}
    return stack.enter_context(
        launched(
            peer.name,
            python_module(peer.module, *peer.arguments),
            port=port,
            log=folder / f"{peer.name}.log",
            ready=lambda: answers(port, peer.ready_path, peer.ready_status),
            environment=environment_of(peer.environment, {**values, **ports}),
        )
    )


@contextmanager
def rig(
    peers: Sequence[str], *, rows: int, owners: int, pool: int, say: Say, migrate: Migrate = migrate_to_head
) -> Iterator[Rig]:
    """Everything up and seeded while it is wanted; nothing is left afterwards. ServerError when a part fails."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        say("starting PostgreSQL")
        cluster = stack.enter_context(postgres(folder))
        migrate(cluster.url)
        keys = make_keys(folder / "keys")
        values: dict[str, object] = {"url": cluster.url, "pool": pool, "keys": keys.folder, "key": keys.path}
        values["answers"] = folder / "answers.json"
        values["collector"] = stack.enter_context(collector())
        if any(PEERS[name].needs("valkey") for name in peers):
            values["valkey"] = f"valkey://{HOST}:{stack.enter_context(valkey(folder)).port}"
        say(f"starting {', '.join(peers)}; seeding {rows:,} tasks of {owners:,} users")
        servers = {name: start(stack, PEERS[name], values, folder) for name in peers if not PEERS[name].repeats}
        seed(cluster.url, rows=rows, owners=owners)
        for server in servers.values():
            server.wait_ready()
        users = read_owners(cluster.url, keys)
        first = next(iter(servers.values()))
        recorded = typical(users[:SAMPLE_OWNERS], first)
        (folder / "answers.json").write_text(json.dumps(recordings(recorded, first)))
        for name in peers:
            if name not in servers:
                servers[name] = start(stack, PEERS[name], values, folder)
                servers[name].wait_ready()
        yield Rig(cluster.server, cluster.url, servers, users, recorded, values)


def typical(owners: Sequence[Owner], server: Server) -> Owner:
    """The one whose list is of middling length: some owners' tasks have no descriptions."""
    by_length = sorted(owners, key=lambda owner: len(get(CASES["list"], owner, server)[2]))
    return by_length[len(by_length) // 2]


def recordings(owner: Owner, server: Server) -> dict[str, object]:
    """What a repeating peer has to send for the server's bytes, headers included, by path; "" for a numbered one."""
    found: dict[str, object] = {}
    for case in CASES.values():
        if case.method == "GET":
            status, headers, body = get(case, owner, server)
            if status != case.status:
                raise ServerError(f"{server.name} answers {case.name} with {status}: {body[:200]!r}")
            path = "" if "{" in case.path else case.path.partition("?")[0]
            # The server software adds a date by itself.
            kept = [(name.lower(), value) for name, value in headers if name.lower() != "date"]
            found[path] = {"headers": kept, "body": body.decode()}
    return found


def get(case: Case, owner: Owner, server: Server) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
    try:
        path = case.path.format(task_id=owner.task_id)
        connection.request(case.method, path, headers={"Authorization": f"Bearer {owner.token}"})
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def ask(case: Case, owner: Owner, server: Server) -> object:
    """The parsed body of one answer, or a text with its status when that is not the case's own."""
    status, _, content = get(case, owner, server)
    return json.loads(content) if status == case.status else f"status {status}: {content[:200]!r}"


def differences(case: Case, running_: Rig, names: Sequence[str]) -> list[str]:
    """Where a peer answers the same read otherwise than the first one does: then their speeds compare nothing."""
    if case.method != "GET":
        return []
    first, *others = names
    found = []
    for other in others:
        owners = [running_.recorded] if PEERS[other].repeats else running_.owners[:SAMPLE_OWNERS]
        found += [
            f"{case.name}: {other} and {first} answer user {owner.id} differently"
            for owner in owners
            if ask(case, owner, running_.servers[other]) != ask(case, owner, running_.servers[first])
        ]
    return found
