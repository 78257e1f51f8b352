"""The running servers of a comparison: one database, one set of data, every peer beside it."""

import http.client
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.cases import PEERS, Case, Peer
from loadtests.cluster import postgres
from loadtests.servers import HOST, Server, answers, free_port, launched, python_module, run_command
from loadtests.world import Keys, Owner, make_keys, read_owners, seed

SAMPLE_OWNERS = 10

Say = Callable[[str], None]
Migrate = Callable[[str], None]


@dataclass(frozen=True)
class Rig:
    """`owners` in the order of their ids; `servers` by the name of the peer."""

    database: Server
    url: str
    servers: Mapping[str, Server]
    owners: Sequence[Owner]


def environment_of(settings: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """The caller's environment without settings of any peer: they would change what is measured."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "PEER_"))}
    return inherited | {name: value.format_map(values) for name, value in settings.items()}


def migrate_to_head(url: str) -> None:
    """The schema is the product's own, to its head, so that every peer has its indexes."""
    environment = environment_of({"TASKS_DATABASE_URL": "{url}"}, {"url": url})
    run_command(python_module("service", "migrate", "--to", "head"), environment)


def start(stack: ExitStack, peer: Peer, *, url: str, pool: int, keys: Keys, folder: Path) -> Server:
    """One peer on a port of its own, not ready yet, stopped with the stack."""
    port = free_port()
    values = {"url": url, "pool": pool, "host": HOST, "port": port, "second_port": free_port()}
    environment = environment_of(peer.environment, values | {"keys": keys.folder, "key": keys.path})
    return stack.enter_context(
        launched(
            peer.name,
            python_module(peer.module, *peer.arguments),
            port=port,
            log=folder / f"{peer.name}.log",
            ready=lambda: answers(port, peer.ready_path, peer.ready_status),
            environment=environment,
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
        say(f"starting {', '.join(peers)}; seeding {rows:,} tasks of {owners:,} users")
        servers = {
            name: start(stack, PEERS[name], url=cluster.url, pool=pool, keys=keys, folder=folder) for name in peers
        }
        seed(cluster.url, rows=rows, owners=owners)
        for server in servers.values():
            server.wait_ready()
        yield Rig(cluster.server, cluster.url, servers, read_owners(cluster.url, keys))


def ask(case: Case, owner: Owner, server: Server) -> object:
    """The parsed body of one answer, or a text with its status when that is not the case's own."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
    try:
        path = case.path.format(task_id=owner.task_id)
        connection.request(case.method, path, headers={"Authorization": f"Bearer {owner.token}"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return json.loads(content) if response.status == case.status else f"status {response.status}: {content[:200]!r}"


def differences(case: Case, running_: Rig, names: Sequence[str]) -> list[str]:
    """Where a peer answers the same read otherwise than the first one does: then their speeds compare nothing."""
    if case.method != "GET":
        return []
    first, *others = names
    found = []
    for owner in running_.owners[:SAMPLE_OWNERS]:
        wanted = ask(case, owner, running_.servers[first])
        for other in others:
            given = ask(case, owner, running_.servers[other])
            if given != wanted:
                found.append(f"{case.name}: {other} and {first} answer user {owner.id} differently")
    return found
