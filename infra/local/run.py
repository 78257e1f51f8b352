"""Commands that end: run to their end, with one line about what went wrong."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from infra.local.errors import PlatformError
from infra.local.host import PROJECT

_LONG_S = 600  # an index over many rows may take its time


def clean_environment() -> dict[str, str]:
    """The caller's, without what would turn libpq or the service elsewhere: a PGHOST of another project, say."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG") and key != "TASKS_DATABASE_URL"}


def run(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None, given: str = "") -> str:
    """Its output. Raises PlatformError with the line that says why when it fails; `given` is its standard input."""
    try:
        done = subprocess.run(  # noqa: S603  # our own doors and the wheel's binaries
            command,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            cwd=PROJECT,
            env={**clean_environment(), **(environment or {})},
            # Ctrl-C in the terminal is for `up` alone, which ends its children itself.
            start_new_session=True,
            timeout=_LONG_S,
        )
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"{name} did not end within {_LONG_S} s") from error
    if done.returncode != 0:
        raise PlatformError(f"{name} failed (exit code {done.returncode}): {telling(done.stdout)}")
    return done.stdout


def telling(output: str) -> str:
    """The line of a log that says most: of a full disk if any does, then an error, then the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("No space left on device", "FATAL", "ERROR", "error:", "Error"):
        found = [line for line in lines if mark in line]
        if found:
            return found[-1]
    return lines[-1] if lines else "it said nothing"
