"""The first administrator comes from the command line: nobody can register as one."""

from psycopg.errors import UndefinedTable
from pydantic import ValidationError

from service.app import build_parts
from service.auth import service
from service.auth.schemas import Register
from service.kit import validation
from service.kit.db import DIRECTORY
from service.kit.problems import Problem
from service.settings import Settings


class AdminError(Exception):
    """The message says which field is wrong or what is missing."""


async def create_admin(settings: Settings, *, email: str, name: str, password: str) -> str:
    """What was done, for a person to read."""
    try:
        body = Register(email=email, name=name, password=password)
    except ValidationError as error:
        findings = [{**finding, "loc": ("body", *finding["loc"])} for finding in error.errors()]
        raise AdminError(validation.failed(findings).detail) from error
    parts = build_parts(settings)
    try:
        hashed = await parts.passwords.hash(body.password)
        async with parts.db.write(DIRECTORY) as session:
            user_id, new = await service.make_admin(
                session, parts.revocations, email=body.email, name=body.name, hashed=hashed
            )
    except UndefinedTable as error:
        raise AdminError("the database has no tables yet: run python -m service migrate first") from error
    except Problem as problem:
        raise AdminError(f"the database does not answer: {problem.detail}") from problem
    finally:
        parts.passwords.close()
        await parts.db.close()
    return f"administrator {user_id} is {'made' if new else 'in place; name and password are unchanged'}"
