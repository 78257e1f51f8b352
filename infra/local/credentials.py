"""PostgreSQL's passwords: made once, kept in libpq passfiles, never in an argument, a variable or a log."""

import os
import secrets
from pathlib import Path

from infra.local.errors import PlatformError
from infra.local.plan import LOOPBACK, SERVICE_ROLE, SUPERUSER, Site


def write_private(path: Path, text: str) -> None:
    """All of it or nothing, readable by nobody else from its first byte."""
    whole = path.with_name(f"{path.name}.tmp")
    whole.unlink(missing_ok=True)
    file = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    whole.replace(path)


def password(site: Site, role: str) -> str:
    """The role's password. It is made as long as there is no cluster yet; after that its loss is an error."""
    path = Path(site.passfile(role))
    if not path.exists():
        if site.folder.postgres.exists():
            raise PlatformError(
                f"{path} is gone, and with it PostgreSQL's password: put it back from a copy, or begin afresh with "
                "`down --wipe`, which removes the data too"
            )
        # The port is left open: the same data may be started on another one.
        write_private(path, f"{LOOPBACK}:*:*:{role}:{secrets.token_urlsafe(24)}\n")
    return path.read_text().strip().rpartition(":")[2]


def ensure(site: Site) -> None:
    for role in (SUPERUSER, SERVICE_ROLE):
        password(site, role)
