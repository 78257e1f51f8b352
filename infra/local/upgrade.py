"""Up to a later phase on a platform that runs: what the two phases share goes on, the API is replaced at the end."""

import time
from collections.abc import Callable
from pathlib import Path

from infra.local import demo, supervise
from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.lock import already_running, changing, note_phase
from infra.local.plan import Server, plan
from infra.local.running import Running, require, stop
from infra.local.signals import Interrupts
from infra.local.supervise import Supervisor
from infra.local.up import Platform, Say, await_ready, check_ports, make, run_job, run_jobs, start
from roadmap.phases import Phase, Roadmap


def check_direction(roadmap: Roadmap, at: str, to: Phase, folder: Folder) -> None:
    """Raises PlatformError with Exit.USAGE when data of phase `at` would have to go back."""
    was = roadmap.phase(at)
    if roadmap.names.index(to.name) < roadmap.names.index(was.name):
        raise PlatformError(
            f"{folder.root} is at phase {at} (schema {was.topology.schema}) and is not taken back to phase {to.name} "
            f"(schema {to.topology.schema}): what a phase brought is not undone. Nothing was changed: run `up --phase "
            f"{at}`, or give phase {to.name} a folder of its own with --data DIR",
            Exit.USAGE,
        )


def upgrade(folder: Folder, phase: Phase, *, say: Say, announce: Callable[[Platform], None]) -> None:
    """Returns when all servers of `phase` are ready; whoever brought the platform up still owns it.

    Raises PlatformError, or KeyboardInterrupt with a message. The platform runs on in either case, and the same
    call again goes on from there: each step finds out for itself whether it is done.
    """
    interrupts = Interrupts()
    try:
        with changing(folder):
            running = require(folder)
            if running.plan.phase == phase.name or not running.holder.socket:
                raise PlatformError(already_running(folder), Exit.ALREADY_RUNNING)
            announce(_upgrade(running, phase, interrupts, say))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the platform runs on, and the same command finishes the upgrade") from None


def _upgrade(running: Running, phase: Phase, interrupts: Interrupts, say: Say) -> Platform:
    began = time.monotonic()
    site, folder, supervisor = running.site, running.site.folder, running.supervisor()
    to = plan(phase, site)
    say(f"phase {running.plan.phase} goes on serving while it becomes phase {to.phase}")
    there = supervisor.processes()
    new = [server for server in to.servers if server.name not in there]
    check_ports(new)
    folder.check_space()
    make(new, site, say)
    supervise.write_configuration(to, folder, Path(running.holder.socket))
    changed = supervisor.reread()
    for server in to.servers:
        run_jobs(server, say)  # for the API that is the migration, under the eyes of the old one
        if server in new:
            supervisor.add(server.name)
        if server.name in changed:
            _replace(server, supervisor, folder, interrupts, say)
        elif server in new or there[server.name].state in {"stopped", "failed"}:
            start(server, supervisor, folder, say)
    accounts = demo.ensure(site, to.server("api"))
    folder.record_phase(to.phase)
    note_phase(folder, to.phase)
    return Platform(to, site, accounts, time.monotonic() - began)


def _replace(server: Server, supervisor: Supervisor, folder: Folder, interrupts: Interrupts, say: Say) -> None:
    """A program's new description holds for a process group that is added anew. This is the one interruption."""
    if server.rehearsal:
        run_job(server.rehearsal, say)
    began = time.monotonic()
    interrupts.hold()  # between its stop and its start a signal would leave nobody serving
    try:
        stop(server, supervisor)
        supervisor.remove(server.name)
        supervisor.add(server.name)
        supervisor.start(server.name)
    finally:
        interrupts.release()
    await_ready(server, supervisor, folder)
    say(f"  {server.name:<12} {'replaced, to its new settings':<45} away for {time.monotonic() - began:.1f} s")
