"""supervisord: its configuration from a plan, its start, and the words we say to it (XML-RPC on its socket)."""

import hashlib
import http.client
import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.local.credentials import write_private
from infra.local.errors import PlatformError
from infra.local.folder import Folder
from infra.local.host import PROJECT
from infra.local.lock import Lock
from infra.local.plan import Plan, Server
from infra.local.processes import awaited
from infra.local.run import clean_environment, telling

_ANSWER_S = 5.0  # for the supervisor's own words; it never waits for a server in one of them
_FOREVER = 1_000_000  # a server is never given up: its disk may be freed, its port may come back

# Supervisor's states in the words of `status`.
STATES = {
    "STOPPED": "stopped",
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "EXITED": "restarting",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}


@dataclass(frozen=True)
class Process:
    state: str  # a value of STATES
    pid: int | None


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class _Transport(xmlrpc.client.Transport):
    """Not supervisor's own: that one waits without end for a supervisor that hangs."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: object) -> http.client.HTTPConnection:
        return _Connection(self._path)


class Supervisor:
    """Every call raises PlatformError when the supervisor does not answer or refuses."""

    def __init__(self, path: str) -> None:
        self._proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(path))

    def _call(self, name: str, *arguments: object) -> object:
        try:
            return getattr(self._proxy.supervisor, name)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise PlatformError(f"the supervisor refused {name}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise PlatformError(f"the supervisor does not answer: {error}") from error

    def answers(self) -> bool:
        try:
            self._call("getState")
        except PlatformError:
            return False
        return True

    def start(self, name: str) -> None:
        self._call("startProcess", name, False)  # do not wait: readiness is probed

    def stop(self, name: str) -> None:
        self._call("stopProcess", name, False)  # the caller waits

    def reread(self) -> set[str]:
        """The programs that its file now describes otherwise than they run; those that are new are not among them."""
        answer = self._call("reloadConfig")
        if not isinstance(answer, list):
            raise PlatformError("the supervisor's answer is not a list of changes")
        [[_, changed, _]] = answer
        return set(changed)

    def add(self, name: str) -> None:
        self._call("addProcessGroup", name)

    def remove(self, name: str) -> None:
        self._call("removeProcessGroup", name)  # refused while it runs

    def processes(self) -> dict[str, Process]:
        answer = self._call("getAllProcessInfo")
        if not isinstance(answer, list):
            raise PlatformError("the supervisor's answer is not a list of processes")
        return {row["name"]: Process(STATES.get(row["statename"], "failed"), row["pid"] or None) for row in answer}


def runtime_folder(folder: Folder) -> Path:
    """A short private folder for the socket, whose path may have 107 bytes at most while the data may lie deep."""
    digest = hashlib.sha256(os.fsencode(folder.root)).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"tasks-{os.geteuid()}-{digest}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PlatformError(f"{path} is not a private folder of this user: remove it and try again")
    return path


def configuration(plan: Plan, folder: Folder, socket_path: Path) -> str:
    """Supervisord's file. Nothing starts by itself: `up` starts the servers in order, each when the last is ready."""
    head = [
        "[unix_http_server]",
        f"file={_escaped(socket_path)}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "nocleanup=true",
        f"logfile={_escaped(folder.log('supervisor'))}",
        "logfile_maxbytes=1MB",
        "logfile_backups=2",
        f"pidfile={_escaped(socket_path.with_name('pid'))}",
        *(["user=root"] if os.geteuid() == 0 else []),
    ]
    programs = [line for rank, server in enumerate(plan.servers) for line in _program(server, rank, folder)]
    return "\n".join([*head, *programs, ""])


def _program(server: Server, rank: int, folder: Folder) -> Sequence[str]:
    environment = ",".join(f'{key}="{_escaped(value)}"' for key, value in server.environment.items())
    return (
        f"[program:{server.name}]",
        f"command={_escaped(shlex.join(server.command))}",
        f"directory={_escaped(PROJECT)}",
        f"environment={environment}",
        f"priority={rank}",  # stopped from the highest down, one after the other
        "autostart=false",
        "autorestart=true",
        "startsecs=1",
        f"startretries={_FOREVER}",
        f"stopsignal={server.stop_signal.name.removeprefix('SIG')}",
        f"stopwaitsecs={server.stop_s}",
        "killasgroup=true",
        "umask=077",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(folder.log(server.name))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=3",
    )


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def write_configuration(plan: Plan, folder: Folder, socket_path: Path) -> Path:
    file = folder.run / "supervisord.conf"
    write_private(file, configuration(plan, folder, socket_path))
    return file


def spawn(plan: Plan, folder: Folder, lock: Lock) -> tuple["subprocess.Popen[bytes]", Path]:
    """Supervisord in a session of its own, and the path of its socket; it outlives the caller and keeps the lock."""
    runtime = runtime_folder(folder)
    socket_path = runtime / "s"
    file = write_configuration(plan, folder, socket_path)
    with folder.log("supervisor").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter
            (sys.executable, "-m", "infra.local.supervisord", "-c", str(file)),
            # The lock travels as standard input, the one descriptor that supervisord leaves alone in itself
            # and replaces in each child: so it is free again exactly when the supervisor is gone.
            stdin=lock.fileno(),
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            env=clean_environment(),
            start_new_session=True,
            umask=0o077,
        )
    return process, socket_path


def await_supervisor(supervisor: Supervisor, process: "subprocess.Popen[bytes]", folder: Folder) -> None:
    awaited(lambda: process.poll() is not None or supervisor.answers(), 20)
    if not supervisor.answers():
        raise PlatformError(f"the supervisor did not start: {telling(folder.log('supervisor').read_text())}")
