"""The data folder: what lies where, whose it is, and the phase in force. One folder serves every phase."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import Exit, PlatformError
from infra.local.host import PROJECT, Host

DEFAULT = PROJECT / ".local"
MARKER_TEXT = "The data of the local platform. `python -m infra.local down --wipe` removes this folder.\n"
# A new cluster takes 55 MiB, and PostgreSQL stops hard when it cannot write its log: refuse early, with a reason.
FIRST_START_BYTES = 200 * 2**20
LATER_START_BYTES = 50 * 2**20


@dataclass(frozen=True)
class Folder:
    root: Path

    @classmethod
    def at(cls, data: str | None) -> "Folder":
        """`data` as given on the command line; None is `.local/` of the project, wherever the caller stands."""
        root = Path(os.path.realpath(data)) if data else DEFAULT
        # Supervisor's file format cannot quote these, takes what follows " ;" or " #" for a comment, and resolves
        # % once or twice depending on the key.
        if any(bad in f"{root}{PROJECT}" for bad in ('"', "'", "\n", "\r", " ;", " #", "%")):
            raise PlatformError(f"{root}: quotes, line ends, %, ' ;' and ' #' cannot be in this path", Exit.USAGE)
        return cls(root)

    @property
    def marker(self) -> Path:
        return self.root / ".tasks-platform"

    @property
    def state(self) -> Path:
        return self.root / "platform.json"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def tokens(self) -> Path:
        return self.secrets / "tokens"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def bytecode(self) -> Path:
        return self.root / "bytecode"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def is_ours(self) -> bool:
        # The project's own folder needs no mark: the service alone, run by hand, keeps its signing keys there.
        return self.root == DEFAULT or self.marker.is_file()

    def claim(self, host: Host) -> None:
        """Make the folder and its rooms, or accept ours; a folder that holds anything else is refused."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.is_ours() and any(self.root.iterdir()):
            raise PlatformError(
                f"{self.root} holds something that is not this platform's: choose another folder with --data DIR",
                Exit.USAGE,
            )
        self.marker.write_text(MARKER_TEXT)
        for room, mode in ((self.secrets, 0o700), (self.logs, 0o755), (self.run, 0o700)):
            room.mkdir(exist_ok=True)
            room.chmod(mode)
        for room in (self.tokens, self.bytecode):
            room.mkdir(exist_ok=True)
            room.chmod(0o700)
            host.hand_over(room)  # what the servers themselves write

    def check_space(self) -> None:
        needed = LATER_START_BYTES if self.postgres.exists() else FIRST_START_BYTES
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise PlatformError(
                f"the disk of {self.root} is full: {free // 2**20} MiB free, {needed // 2**20} MiB needed: "
                "free some space, or choose a folder on another disk with --data DIR"
            )

    def phase(self) -> str | None:
        """The phase that the data is at; None before the first start."""
        try:
            recorded = json.loads(self.state.read_text())
            return str(recorded["phase"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PlatformError(
                f"{self.state} cannot be read ({error}): remove this one file and run `up` with the phase that was in "
                "force; no row is in it"
            ) from error

    def record_phase(self, phase: str) -> None:
        whole = self.state.with_suffix(".tmp")
        whole.write_text(json.dumps({"format": 1, "phase": phase}) + "\n")
        whole.replace(self.state)

    def wipe(self) -> None:
        """Nobody may be running on it: the caller holds the lock."""
        if not self.is_ours():
            raise PlatformError(f"{self.root} is not this platform's (no {self.marker.name}): not removed", Exit.USAGE)
        shutil.rmtree(self.root)
