"""A PostgreSQL cluster from nothing: initdb, the service's role, its database. All of it, or it is redone."""

import os
import shutil
import tempfile
from pathlib import Path

from infra.local.credentials import password, write_private
from infra.local.errors import PlatformError
from infra.local.plan import DATABASE, SERVICE_ROLE, SUPERUSER, Site
from infra.local.run import run

_UNFINISHED = "postgres.unfinished."


def create(site: Site) -> bool:
    """True when a cluster was made, False when there was one.

    It is made beside its place and renamed when it is whole, so an interrupted first start leaves nothing to mend.
    """
    folder = site.folder
    for left in folder.root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    if folder.postgres.exists():
        if not (folder.postgres / "PG_VERSION").exists():
            raise PlatformError(f"{folder.postgres} holds no PostgreSQL data: move it away and run `up` again")
        return False
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.root))
    try:
        site.host.hand_over(unfinished)
        _initialise(site, unfinished)
        unfinished.rename(folder.postgres)
        _sync(folder.root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _initialise(site: Site, data: Path) -> None:
    secret = site.folder.secrets / "initdb.password"
    write_private(secret, password(site, SUPERUSER))
    try:
        run(
            "initdb",
            (
                *site.host.drop,
                str(site.host.postgres_bin / "initdb"),
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The same order of text on every machine, whatever its C library.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ),
        )
    finally:
        secret.unlink()
    role = password(site, SERVICE_ROLE)
    _single_user(site, data, "postgres", f"CREATE ROLE {SERVICE_ROLE} LOGIN PASSWORD '{role}';\n")
    _single_user(site, data, "postgres", f"CREATE DATABASE {DATABASE} OWNER {SERVICE_ROLE};\n")
    _single_user(site, data, DATABASE, "CREATE EXTENSION pg_stat_statements;\n")


def _single_user(site: Site, data: Path, database: str, sql: str) -> None:
    """One statement on standard input; no server listens. A failing statement is kept out of the log: a password
    may be in it.
    """
    options = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off")
    postgres = str(site.host.postgres_bin / "postgres")
    run("postgres", (*site.host.drop, postgres, "--single", "-D", str(data), *options, database), given=sql)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
