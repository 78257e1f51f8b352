"""Two accounts to try the platform with, one user and one admin: made at the first start, shown at every one."""

import http.client
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.credentials import write_private
from infra.local.errors import PlatformError
from infra.local.plan import Server, Site, service_command, service_environment
from infra.local.run import run

_ANSWER_S = 10.0


@dataclass(frozen=True)
class Account:
    role: str
    name: str
    email: str
    password: str
    made: bool = False


def ensure(site: Site, api: Server) -> tuple[Account, ...]:
    """The accounts, made if they are not. Raises PlatformError when the service refuses one."""
    path = site.folder.secrets / "demo.json"
    accounts = _load(path)
    for index, account in enumerate(accounts):
        if not account.made:
            # Written down before it is made: after an interruption the same password is tried again.
            _save(path, accounts)
            _make(site, api, account)
            accounts[index] = replace(account, made=True)
            _save(path, accounts)
    return tuple(accounts)


def _load(path: Path) -> list[Account]:
    try:
        return [Account(**row) for row in json.loads(path.read_text())]
    except FileNotFoundError:
        return [
            Account("USER", "Demo User", "user@example.com", _new_password()),
            Account("ADMIN", "Demo Admin", "admin@example.com", _new_password()),
        ]
    except (ValueError, TypeError) as error:
        raise PlatformError(
            f"{path} cannot be read ({error}): remove it and run `up` with an empty database"
        ) from error


def _save(path: Path, accounts: list[Account]) -> None:
    write_private(path, json.dumps([asdict(account) for account in accounts], indent=2) + "\n")


def _new_password() -> str:
    return f"{secrets.token_urlsafe(9)}-{secrets.randbelow(900) + 100}"


def _make(site: Site, api: Server, account: Account) -> None:
    if account.role == "ADMIN":
        command = service_command(
            site, "create-admin", "--email", account.email, "--name", account.name, "--password-stdin"
        )
        try:
            run("create-admin", command, service_environment(site), given=f"{account.password}\n")
        except PlatformError as error:
            refusal = str(error)
        else:
            return
    else:
        body = {"name": account.name, "email": account.email, "password": account.password}
        status, refusal = _post(api, "/api/v1/auth/register", body)
        if status == http.HTTPStatus.CREATED:
            return
    # Made by a start that was interrupted before it could note so: then the password opens it.
    status, _ = _post(api, "/api/v1/auth/login", {"email": account.email, "password": account.password})
    if status != http.HTTPStatus.OK:
        raise PlatformError(f"the demo account {account.email} could not be made: {refusal}")


def _post(api: Server, path: str, body: dict[str, str]) -> tuple[int, str]:
    at = urlsplit(api.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=_ANSWER_S)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise PlatformError(f"the API did not answer POST {path}: {error}") from error
    finally:
        connection.close()
