"""Bring the platform up: prepare, start each server when what it depends on is ready, then stay or return."""

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import credentials, demo, postgres, processes, supervise, valkey
from infra.local.demo import Account
from infra.local.errors import PlatformError
from infra.local.folder import Folder
from infra.local.leftovers import end_leftovers
from infra.local.lock import Holder, Lock, changing
from infra.local.plan import LOOPBACK, Job, Plan, Server, Site
from infra.local.ready import is_ready
from infra.local.run import run, telling
from infra.local.signals import Interrupts
from infra.local.supervise import Supervisor

_READY_S = 120
_SUPERVISOR_S = 10  # on top of what its servers may take to stop

Say = Callable[[str], None]

# By kind of server: what must be there before its first start. Each says whether it had to make it, and what it is.
_MAKERS: Mapping[str, tuple[str, Callable[[Site], bool], str]] = {
    "postgresql": ("initdb", postgres.create, "a new cluster"),
    "valkey": ("valkey", valkey.create, "new passwords"),
}


@dataclass(frozen=True)
class Platform:
    """One that is ready."""

    plan: Plan
    site: Site
    accounts: tuple[Account, ...]
    took_s: float


def up(plan: Plan, site: Site, *, detach: bool, say: Say, announce: Callable[[Platform], None]) -> None:
    """Returns when all is ready (`detach`), or else when it was stopped by a signal or by `down`.

    Raises PlatformError, or KeyboardInterrupt when stopped before it was ready; then nothing is left running.
    """
    began = time.monotonic()
    interrupts = Interrupts()
    site.folder.claim(site.host)
    lock = Lock(site.folder)
    me = processes.identify(os.getpid())
    if me:
        lock.note(Holder(me, plan.phase, site.base_port, socket=""))
    starting = contextlib.ExitStack()  # not closed when it fails: then this process ends, and the kernel does it
    starting.enter_context(changing(site.folder))
    _prepare(plan, site, say)
    interrupts.hold()  # until the supervisor is known and the clause that stops it is entered
    supervisord, socket_path = supervise.spawn(plan, site.folder, lock)
    process = processes.identify(supervisord.pid)
    if process:
        lock.note(Holder(process, plan.phase, site.base_port, str(socket_path)))
    ready = False
    try:
        interrupts.release()
        supervisor = Supervisor(str(socket_path))
        supervise.await_supervisor(supervisor, supervisord, site.folder)
        for server in plan.servers:
            run_jobs(server, say)
            start(server, supervisor, site.folder, say)
        accounts = demo.ensure(site, plan.server("api"))
        site.folder.record_phase(plan.phase)
        starting.close()
        ready = not detach  # before it is said: who reads it may press Ctrl-C at once
        announce(Platform(plan, site, accounts, time.monotonic() - began))
        if not detach:
            _stay(supervisord, site.folder, say)
    except BaseException as reason:
        asked = ready and isinstance(reason, KeyboardInterrupt)
        if asked:
            say("stopping")
        _stop(supervisord, plan, site.folder, socket_path)
        if not asked:
            raise
        say("stopped")


def _prepare(plan: Plan, site: Site, say: Say) -> None:
    folder = site.folder
    folder.phase()  # a damaged record is refused before anything is touched
    for name, process in end_leftovers(folder).items():
        say(f"  {name:<12} stopped pid {process.pid}, left behind by a supervisor that was killed")
    check_ports(plan.servers)
    folder.check_space()
    credentials.ensure(site)
    make(plan.servers, site, say)


def make(servers: Iterable[Server], site: Site, say: Say) -> None:
    """What must be there before the servers' first start; what is there already is left alone."""
    for server in servers:
        if server.kind in _MAKERS:
            name, create, what = _MAKERS[server.kind]
            began = time.monotonic()
            if create(site):
                say(f"  {name:<12} {what:<45} done in {time.monotonic() - began:.1f} s")


def check_ports(servers: Iterable[Server]) -> None:
    """Raises PlatformError for the first port that somebody else listens on."""
    for server in servers:
        for purpose, port in server.ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    raise PlatformError(
                        f"port {port} is in use, and {server.name} needs it ({purpose}): stop what uses it, or choose "
                        "another base port with --port N"
                    ) from error


def run_jobs(server: Server, say: Say) -> None:
    for job in server.before:
        for line in run_job(job, say).splitlines():
            say(f"  {'':<12} {line}")


def run_job(job: Job, say: Say) -> str:
    """Its output."""
    began = time.monotonic()
    output = run(job.name, job.command, job.environment)
    say(f"  {job.name:<12} {job.what:<45} done in {time.monotonic() - began:.1f} s")
    return output


def start(server: Server, supervisor: Supervisor, folder: Folder, say: Say) -> None:
    """Returns when it is ready."""
    began = time.monotonic()
    supervisor.start(server.name)
    await_ready(server, supervisor, folder)
    what = f"{server.kind}, {server.role}"
    say(f"  {server.name:<12} {what:<24} {LOOPBACK}:{server.port:<10} ready in {time.monotonic() - began:.1f} s")


def await_ready(server: Server, supervisor: Supervisor, folder: Folder) -> None:
    """Raises PlatformError, with the telling line of its log, when the server ends instead or takes too long."""
    log = folder.log(server.name)
    before = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + _READY_S
    first = supervisor.processes()[server.name].pid
    while not is_ready(server.probe):
        now = supervisor.processes()[server.name]
        if now.state in {"restarting", "failed"} or now.pid != first:
            raise PlatformError(f"{server.name} ended right after its start: {_since(log, before)}; see {log}")
        if time.monotonic() > deadline:
            raise PlatformError(f"{server.name} is not ready after {_READY_S} s: {_since(log, before)}; see {log}")
        time.sleep(0.05)


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return telling(file.read().decode(errors="replace"))


def _stay(supervisord: "subprocess.Popen[bytes]", folder: Folder, say: Say) -> None:
    if supervisord.wait() == 0:
        say("stopped by `down`")
        return
    raise PlatformError(f"the supervisor was killed, so its servers were stopped: see {folder.log('supervisor')}")


def _stop(supervisord: "subprocess.Popen[bytes]", plan: Plan, folder: Folder, socket_path: Path) -> None:
    """Supervisor stops the last started first and waits for each, so the API drains while its database is there."""
    supervisord.terminate()
    try:
        supervisord.wait(sum(server.stop_s for server in plan.servers) + _SUPERVISOR_S)
    except subprocess.TimeoutExpired:
        supervisord.kill()
        supervisord.wait()
    end_leftovers(folder)
    shutil.rmtree(socket_path.parent, ignore_errors=True)
