"""One platform on one data folder: a lock that the kernel frees with its last holder, and a note of who that is."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.processes import Identity


@dataclass(frozen=True)
class Holder:
    """The process that stops the platform on SIGTERM, and what it runs. Only worth reading while the lock is held."""

    process: Identity
    phase: str
    port: int
    socket: str  # of the supervisor

    @classmethod
    def parse(cls, text: str) -> "Holder":
        note = json.loads(text)
        return cls(Identity(**note.pop("process")), **note)


class Lock:
    """Held while any process has its descriptor: `up`, then supervisor, which inherits it and hands it to no child."""

    def __init__(self, folder: Folder) -> None:
        """Raises PlatformError with Exit.ALREADY_RUNNING when somebody else has it."""
        self._file = os.open(_path(folder), os.O_RDWR | os.O_CREAT, 0o600)
        # A second is for `status` and `down`, which try the lock for an instant.
        if not _try_for(self._file, 1.0):
            os.close(self._file)
            raise PlatformError(already_running(folder), Exit.ALREADY_RUNNING)

    def fileno(self) -> int:
        return self._file

    def note(self, holder: Holder) -> None:
        _write(self._file, holder)

    def release(self) -> None:
        os.close(self._file)


def note_phase(folder: Folder, phase: str) -> None:
    """For who has upgraded a platform that somebody else holds. Nothing happens when it is gone meanwhile."""
    running = holder(folder)
    if running:
        file = os.open(_path(folder), os.O_RDWR)
        try:
            _write(file, replace(running, phase=phase))
        finally:
            os.close(file)


@contextlib.contextmanager
def changing(folder: Folder) -> Iterator[None]:
    """One start or upgrade at a time, beside the lock, which a platform holds all its life.

    Raises PlatformError with Exit.ALREADY_RUNNING when there is another.
    """
    file = os.open(folder.run / "changing", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_for(file, 0):
            raise PlatformError(_at_work(folder), Exit.ALREADY_RUNNING)
        yield
    finally:
        os.close(file)


def _write(file: int, holder: Holder) -> None:
    # Spaces over the rest of a longer note, in the same stroke: a reader never finds half of each.
    os.pwrite(file, json.dumps(asdict(holder)).encode().ljust(os.fstat(file).st_size), 0)


def _path(folder: Folder) -> Path:
    return folder.run / "lock"


def _try_for(file: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def already_running(folder: Folder) -> str:
    running = holder(folder)
    if running is None:
        return _at_work(folder)
    return (
        f"already running on {folder.root}: phase {running.phase}, pid {running.process.pid}, "
        f"http://127.0.0.1:{running.port}; stop it with `down`, or choose another folder with --data DIR"
    )


def _at_work(folder: Folder) -> str:
    return f"another `up` or `down` is at work on {folder.root}: try again in a moment"


def is_held(folder: Folder) -> bool:
    try:
        file = os.open(_path(folder), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_for(file, 0)
    finally:
        os.close(file)


def holder(folder: Folder) -> Holder | None:
    """None when nothing runs on this folder, or when it is only just beginning to."""
    if not is_held(folder):
        return None
    try:
        found = Holder.parse(_path(folder).read_text())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return found if found.process.alive() else None
