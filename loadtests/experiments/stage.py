"""What the experiments have in common when they bring servers up and load them."""

import http.client
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.cache import valkey
from loadtests.cases import Peer
from loadtests.cluster import Cluster, postgres
from loadtests.collector import collector
from loadtests.driver import DRAIN_SECONDS, Plan, Report
from loadtests.paced import Pace
from loadtests.rig import environment_of, start
from loadtests.servers import HOST, Server, ServerError, free_port, python_module, run_command
from loadtests.world import Keys, make_keys

POOL = 8
# A busier generator adds its own waiting to what it measures.
GENERATOR_LIMIT = 0.6


@dataclass(frozen=True)
class Served:
    """A server, and where it tells its metrics."""

    server: Server
    metrics_port: int

    @property
    def port(self) -> int:
        return self.server.port


@dataclass(frozen=True)
class Stage:
    """A PostgreSQL and a Valkey; servers are started on it one by one and stop with it."""

    cluster: Cluster
    keys: Keys
    folder: Path
    values: Mapping[str, object]
    stack: ExitStack

    def serve(self, peer: Peer, name: str, url: str, settings: Mapping[str, str] | None = None) -> Served:
        """Not ready yet (see `ready`). `settings` on top of the peer's own; `name` tells its log from others'."""
        metrics_port = free_port()
        environment = {**peer.environment, "TASKS_METRICS_PORT": str(metrics_port), **(settings or {})}
        named = replace(peer, name=name, environment=environment)
        return Served(start(self.stack, named, {**self.values, "url": url}, self.folder), metrics_port)


@contextmanager
def stage(settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """Nothing of it is left afterwards. ServerError when a part does not start."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        cluster = stack.enter_context(postgres(folder, settings))
        keys = make_keys(folder / "keys")
        values: dict[str, object] = {
            "pool": POOL,
            "keys": keys.folder,
            "collector": stack.enter_context(collector()),
            "valkey": f"valkey://{HOST}:{stack.enter_context(valkey(folder)).port}",
        }
        yield Stage(cluster, keys, folder, values, stack)


def migrate(url: str, revision: str) -> None:
    """The product's own schema: 0001 is that of the old backend, without a secondary index; head has them."""
    environment = environment_of({"TASKS_DATABASE_URL": "{url}"}, {"url": url})
    run_command(python_module("service", "migrate", "--to", revision), environment)


def ready(served: Iterable[Served]) -> None:
    """Returns when all of them answer. They start side by side."""
    for each in served:
        each.server.wait_ready()


def load(plan: Plan | Pace) -> Report:
    """Runs a generator, closed-loop for a Plan and open-loop for a Pace, to its end."""
    module = "loadtests.driver" if isinstance(plan, Plan) else "loadtests.paced"
    limit_s = plan.seconds + DRAIN_SECONDS + 30
    return Report(**json.loads(run_command(python_module(module), given=plan.to_json(), limit_s=limit_s)))


def faults(where: str, report: Report) -> list[str]:
    """Why this round proves nothing; empty when it does."""
    found = []
    if not report.clean:
        found.append(f"{where}: {report.answered} answers by status {report.statuses}, {report.lost} requests lost")
    if report.busy >= GENERATOR_LIMIT:
        found.append(f"{where}: the generator used {report.busy:.0%} of its core, so it measured itself too")
    return found


def metric(served: Served, name: str, labels: Sequence[str] = ()) -> float:
    """Sum over the samples of a counter whose labels hold all these texts."""
    connection = http.client.HTTPConnection(HOST, served.metrics_port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except OSError as error:
        raise ServerError(f"{served.server.name} tells no metrics: {error}") from error
    finally:
        connection.close()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.partition("{")[0].partition(" ")[0] == name and all(label in line for label in labels)
    )
