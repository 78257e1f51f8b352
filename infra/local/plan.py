"""From a phase to the servers that must run: a pure function. Whatever starts or shows a server reads its plan."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.host import Host
from roadmap.phases import Phase, Topology

LOOPBACK = "127.0.0.1"
DATABASE = "tasks"
SERVICE_ROLE = "tasks"
SUPERUSER = "postgres"
OPERATOR = "operator"  # of Valkey

# Offsets from the base port. From 32768 up the system hands out ports to outgoing connections.
API, METRICS, POSTGRES, VALKEY = 0, 1, 10, 20
LOWEST_BASE, HIGHEST_BASE = 1024, 32767 - VALKEY

# What this platform can build so far. A phase that needs more is refused by the names of what is missing.
_BUILT: Mapping[str, tuple[object, ...]] = {
    "api_servers": (1,),
    "services": (1,),
    "load_balancer": (False,),
    "postgres_shards": (1,),
    "postgres_primaries": (1,),
    "postgres_replicas": (0,),
    "postgres_cross_region_replicas": (0,),
    "valkey_nodes": (0, 1),
    "cdn": (False,),
    "queue": (False,),
    "workers": (False,),
    "regions": (1,),
}


@dataclass(frozen=True)
class Site:
    """Where a plan is carried out."""

    folder: Folder
    host: Host
    base_port: int

    def passfile(self, role: str) -> str:
        return str(self.folder.secrets / f"{role}.pgpass")

    def password_file(self, user: str) -> str:
        """Of a user of Valkey: the password and a line end."""
        return str(self.folder.secrets / f"valkey-{user}.password")

    @property
    def valkey_users(self) -> str:
        return str(self.folder.secrets / "valkey.acl")


@dataclass(frozen=True)
class Probe:
    """Ready is: this command exits 0, or this URL answers 200, or Valkey there answers whom this password lets in."""

    command: tuple[str, ...] = ()
    url: str = ""
    password_file: str = ""


@dataclass(frozen=True)
class Job:
    """A command that ends."""

    name: str
    what: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Server:
    name: str
    kind: str
    role: str
    ports: Mapping[str, int]  # by purpose; the first is the one in `url`
    url: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stop_signal: signal.Signals
    stop_s: int  # after this long it is killed
    probe: Probe
    depends: tuple[str, ...] = ()
    before: tuple[Job, ...] = ()  # run to their end before it starts
    # Run before one that serves is replaced: what the next would stumble over is found while this one still answers.
    rehearsal: Job | None = None

    @property
    def port(self) -> int:
        return next(iter(self.ports.values()))


@dataclass(frozen=True)
class Plan:
    """`servers` stand in the order in which they start; they stop in the reverse."""

    phase: str
    servers: tuple[Server, ...]

    def server(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)


def missing(topology: Topology) -> tuple[str, ...]:
    """The parts of a topology that cannot be built here yet."""
    return tuple(name for name, built in _BUILT.items() if getattr(topology, name) not in built)


def plan(phase: Phase, site: Site) -> Plan:
    """Raises PlatformError when the phase needs what is not built yet, or when its ports would not fit."""
    absent = missing(phase.topology)
    if absent:
        raise PlatformError(f"phase {phase.name} is not built yet: it needs {', '.join(absent)}", Exit.USAGE)
    if not LOWEST_BASE <= site.base_port <= HIGHEST_BASE:
        raise PlatformError(f"--port must lie between {LOWEST_BASE} and {HIGHEST_BASE}", Exit.USAGE)
    postgres = _postgres(site)
    caches = tuple(_valkey(site) for _ in range(phase.topology.valkey_nodes))
    return Plan(phase.name, (postgres, *caches, _api(site, phase.topology.schema, postgres, caches)))


def service_command(site: Site, *arguments: str) -> tuple[str, ...]:
    return (*site.host.drop, site.host.python, "-m", "service", *arguments)


def service_environment(site: Site) -> dict[str, str]:
    """No secret is in it: the password is in the passfile that the URL names."""
    return {
        "TASKS_DATABASE_URL": database_url(site),
        "TASKS_HTTP_HOST": LOOPBACK,
        "TASKS_HTTP_PORT": str(site.base_port + API),
        # Who comes from this machine may say for whom: that is the balancer of later phases, and a load generator whose
        # people must not share one address and its limits.
        "TASKS_HTTP_TRUSTED_PROXIES": f"{LOOPBACK}/32",
        "TASKS_METRICS_HOST": LOOPBACK,
        "TASKS_METRICS_PORT": str(site.base_port + METRICS),
        "TASKS_TOKENS_FOLDER": str(site.folder.tokens),
        # `nobody` cannot write bytecode beside the sources, and a caller may have forbidden it there. Without a
        # place of its own each start compiles the service and its libraries again, which takes longer than 3 s.
        "PYTHONPYCACHEPREFIX": str(site.folder.bytecode),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def database_url(site: Site, role: str = SERVICE_ROLE, database: str = DATABASE) -> str:
    passfile = quote(site.passfile(role))
    return f"postgresql://{role}@{LOOPBACK}:{site.base_port + POSTGRES}/{database}?passfile={passfile}"


def _launched(site: Site, name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """The pid file is written before privileges are dropped: `nobody` must not choose whom root sends signals."""
    return (*_launcher(site), "--pid-file", str(site.folder.pid_file(name)), "--", *command)


def _launcher(site: Site) -> tuple[str, ...]:
    # -B: what root compiled `nobody` could not renew.
    return (site.host.python, "-B", "-m", "infra.local.launch")


def _postgres(site: Site) -> Server:
    port = site.base_port + POSTGRES
    settings = {
        "port": port,
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        # Said here so that no file can say otherwise: an answered write survives a crash.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": "128MB",
        "max_connections": 100,
        "shared_preload_libraries": "pg_stat_statements",
        "log_destination": "stderr",
        "logging_collector": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    data = str(site.folder.postgres)
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    server = (str(site.host.postgres_bin / "postgres"), "-D", data, *options)
    # The sweep runs as the user of the processes it looks at: in a container root may not look into others.
    swept = (*_launcher(site), "--sweep", data, "--", *server)
    return Server(
        name="postgres",
        kind="postgresql",
        role="primary",
        ports={"postgresql": port},
        url=database_url(site),
        command=_launched(site, "postgres", (*site.host.drop, *swept)),
        environment={},
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, a checkpoint is written
        stop_s=60,
        probe=Probe(command=(str(site.host.postgres_bin / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port))),
    )


def _valkey(site: Site) -> Server:
    port = site.base_port + VALKEY
    url = f"valkey://{SERVICE_ROLE}@{LOOPBACK}:{port}/0"
    settings = {
        "port": port,
        "bind": LOOPBACK,
        "protected-mode": "yes",
        "aclfile": site.valkey_users,  # holds hashes; a password in these arguments would be in everybody's `ps`
        "databases": 1,
        "maxclients": 1000,
        # A cache: all of it can be had again from PostgreSQL, so nothing is written to disk.
        "save": "",
        "appendonly": "no",
        # What lies in its working directory is loaded at the start: not what a stranger left where `up` was called.
        "dir": str(site.folder.run),
        "maxmemory": "128mb",
        # Any key may go when it is full, a generation without expiry too, as its pages are then just not found. Least
        # frequently and not least recently used: one walk through a long list must not push out what many read often.
        "maxmemory-policy": "allkeys-lfu",
    }
    options = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return Server(
        name="valkey",
        kind="valkey",
        role="cache",
        ports={"valkey": port},
        url=url,
        command=_launched(site, "valkey", (*site.host.drop, str(site.host.valkey_server), *options)),
        environment={},
        stop_signal=signal.SIGTERM,
        stop_s=10,
        probe=Probe(url=url, password_file=site.password_file(SERVICE_ROLE)),
    )


def _api(site: Site, schema: str, postgres: Server, caches: tuple[Server, ...]) -> Server:
    url = f"http://{LOOPBACK}:{site.base_port + API}"
    environment = service_environment(site)
    if caches:
        environment["TASKS_VALKEY_URL"] = caches[0].url
        environment["TASKS_VALKEY_PASSWORD_FILE"] = site.password_file(SERVICE_ROLE)
    migrate = service_command(site, "migrate", "--to", schema)
    return Server(
        name="api",
        kind="api",
        role="all rooms",
        ports={"http": site.base_port + API, "metrics": site.base_port + METRICS},
        url=url,
        command=_launched(site, "api", service_command(site, "serve")),
        environment=environment,
        stop_signal=signal.SIGTERM,  # drains, then ends
        stop_s=20,
        probe=Probe(url=f"{url}/health/ready"),
        depends=tuple(server.name for server in (postgres, *caches)),
        before=(Job("migrate", f"schema {schema}", migrate, environment),),
        # It reads the settings, builds the whole API and compiles what no process has imported before.
        rehearsal=Job("rehearse", "the API with its new settings", service_command(site, "openapi"), environment),
    )
