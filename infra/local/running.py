"""What can be asked of, and done to, a platform that runs."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from infra.local import processes
from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.host import this_host
from infra.local.leftovers import end_leftovers, leftovers
from infra.local.lock import Holder, Lock, holder, is_held
from infra.local.plan import Plan, Server, Site, plan
from infra.local.processes import awaited
from infra.local.ready import is_ready
from infra.local.supervise import Process, Supervisor
from infra.local.up import await_ready
from roadmap.phases import load

_STOP_S = 120


@dataclass(frozen=True)
class Running:
    holder: Holder
    site: Site
    plan: Plan

    def supervisor(self) -> Supervisor:
        return Supervisor(self.holder.socket)

    def server(self, name: str) -> Server:
        """Raises PlatformError naming the servers there are."""
        if name not in {server.name for server in self.plan.servers}:
            names = ", ".join(server.name for server in self.plan.servers)
            raise PlatformError(f"no server {name} in phase {self.plan.phase}: there are {names}", Exit.USAGE)
        return self.plan.server(name)


def find(folder: Folder) -> Running | None:
    found = holder(folder)
    if found is None:
        return None
    site = Site(folder, this_host(), found.port)
    return Running(found, site, plan(load().phase(found.phase), site))


def require(folder: Folder) -> Running:
    """Raises PlatformError with Exit.NOT_RUNNING."""
    running = find(folder)
    if running is None:
        raise PlatformError(f"not running on {folder.root}: start it with `up`", Exit.NOT_RUNNING)
    return running


@dataclass(frozen=True)
class Status:
    code: Exit  # OK when each server is ready, NOT_RUNNING when there is none, FAILED for anything between
    phase: str | None  # None without a supervisor
    servers: list[dict[str, object]]


def status(folder: Folder) -> Status:
    running = find(folder)
    if running is None:
        # Their supervisor was killed: nobody restarts them now, and the next `up` or `down` stops them.
        orphans = [_row(name, pid=process.pid, state="orphaned") for name, process in leftovers(folder).items()]
        return Status(Exit.FAILED if orphans else Exit.NOT_RUNNING, None, orphans)
    try:
        live = running.supervisor().processes()
    except PlatformError:
        live = {}
    rows = [_server_row(server, live.get(server.name)) for server in running.plan.servers]
    return Status(Exit.OK if all(row["ready"] for row in rows) else Exit.FAILED, running.plan.phase, rows)


def _server_row(server: Server, process: Process | None) -> dict[str, object]:
    state = process.state if process else "unknown"
    ready = state in {"running", "starting"} and is_ready(server.probe)
    if state == "running" and not ready:
        state = "unready"
    return _row(
        server.name,
        kind=server.kind,
        role=server.role,
        pid=process.pid if process else None,
        port=server.port,
        ports=dict(server.ports),
        url=server.url,
        state="running" if ready else state,
        ready=ready,
    )


def _row(name: str, **known: object) -> dict[str, object]:
    unknown = dict.fromkeys(("kind", "role", "pid", "port", "ports", "url", "state"))
    return {"name": name, **unknown, "ready": False, **known}


def restart(folder: Folder, name: str) -> int:
    """The server's new pid, once it is ready."""
    running = require(folder)
    server, supervisor = running.server(name), running.supervisor()
    stop(server, supervisor)
    supervisor.start(name)
    await_ready(server, supervisor, folder)
    return supervisor.processes()[name].pid or 0


def stop(server: Server, supervisor: Supervisor) -> None:
    """Returns when it has stopped; one that does not run is left alone."""
    if supervisor.processes()[server.name].state not in {"stopped", "failed"}:
        supervisor.stop(server.name)
        awaited(lambda: supervisor.processes()[server.name].state == "stopped", server.stop_s + 5, every_s=0.01)


def down(folder: Folder, *, wipe: bool) -> list[str]:
    """Stop everything on this folder; what was done, in sentences. Nothing to stop is no error."""
    if not folder.root.exists():
        return [f"nothing runs on {folder.root}"]
    if not folder.is_ours():
        raise PlatformError(f"{folder.root} is not this platform's (no {folder.marker.name})", Exit.USAGE)
    done = []
    found = holder(folder)
    if found:
        _stop(found, folder)
        done.append(f"stopped phase {found.phase} on {folder.root}")
    folder.run.mkdir(mode=0o700, exist_ok=True)  # an `up` that was refused at once has made none
    lock = Lock(folder)
    try:
        done += [f"stopped {name} (pid {process.pid}), left behind" for name, process in end_leftovers(folder).items()]
        if not done:
            done.append(f"nothing runs on {folder.root}")
        if wipe:
            folder.wipe()
            done.append(f"removed {folder.root}")
    finally:
        lock.release()
    return done


def _stop(found: Holder, folder: Folder) -> None:
    processes.end(found.process, signal.SIGTERM, _STOP_S)
    # A foreground `up` keeps the lock until it has said goodbye.
    awaited(lambda: not is_held(folder), 10)
    if found.socket:
        shutil.rmtree(Path(found.socket).parent, ignore_errors=True)
