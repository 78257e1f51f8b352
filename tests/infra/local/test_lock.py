import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import processes
from infra.local.errors import Exit, PlatformError
from infra.local.folder import Folder
from infra.local.lock import Holder, Lock, changing, holder, is_held, note_phase


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.run.mkdir()
    return made


def myself() -> Holder:
    me = processes.identify(os.getpid())
    assert me
    return Holder(me, "current", 5000, "/run/s")


def test_one_holder_at_a_time(folder: Folder) -> None:
    lock = Lock(folder)
    lock.note(myself())
    assert holder(folder) == myself()
    with pytest.raises(PlatformError, match=f"already running .* pid {os.getpid()}, http://127.0.0.1:5000") as refused:
        Lock(folder)
    assert refused.value.code == Exit.ALREADY_RUNNING
    lock.release()
    assert holder(folder) is None
    Lock(folder).release()


def test_the_lock_lives_as_long_as_who_inherited_it(folder: Folder) -> None:
    lock = Lock(folder)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=lock.fileno()) as heir:
        lock.release()
        assert is_held(folder)
        heir.kill()
    assert not is_held(folder)


def test_a_shorter_note_leaves_nothing_of_the_longer(folder: Folder) -> None:
    lock = Lock(folder)
    me = myself()
    lock.note(Holder(me.process, "current", 31000, "/a/much/longer/path"))
    lock.note(me)
    assert holder(folder) == me
    lock.release()


def test_the_note_of_an_ended_process_is_not_believed(folder: Folder) -> None:
    lock = Lock(folder)
    lock.note(Holder(processes.Identity(os.getpid(), 1), "current", 5000, ""))
    assert is_held(folder)
    assert holder(folder) is None
    with pytest.raises(PlatformError, match="at work on"):
        Lock(folder)
    lock.release()


def test_who_upgraded_notes_the_phase_for_who_holds_the_lock(folder: Folder) -> None:
    note_phase(folder, "1")
    lock = Lock(folder)
    lock.note(myself())
    note_phase(folder, "1")
    assert holder(folder) == replace(myself(), phase="1")
    lock.release()


def test_one_change_at_a_time(folder: Folder) -> None:
    with changing(folder), pytest.raises(PlatformError, match="at work on") as refused, changing(folder):
        pass
    assert refused.value.code == Exit.ALREADY_RUNNING
    with changing(folder):
        pass


def test_nothing_was_ever_here(tmp_path: Path) -> None:
    assert not is_held(Folder(tmp_path / "nowhere"))
    assert holder(Folder(tmp_path / "nowhere")) is None
