"""Readiness as a client sees it: asked of the server itself, never concluded from a process that runs."""

import http.client
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import resp
from infra.local.plan import Probe

_ANSWER_S = 2.0


def is_ready(probe: Probe) -> bool:
    if probe.command:
        done = subprocess.run(probe.command, check=False, capture_output=True)  # noqa: S603  # from our own plan
        return done.returncode == 0
    return _answers_pong(probe) if probe.password_file else _answers_200(probe.url)


def _answers_pong(probe: Probe) -> bool:
    try:
        return resp.ask(probe.url, Path(probe.password_file).read_text().strip(), "PING") == "PONG"
    except (OSError, resp.RefusedError):
        return False


def _answers_200(url: str) -> bool:
    # http.client knows no proxy variables, which would send loopback elsewhere.
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=_ANSWER_S)
    try:
        connection.request("GET", at.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
