"""Both sides of every bound of an account, after trimming."""

import itertools
from typing import Any

import pytest

from tests.support.client import PASSWORD, Client

NUMBERS = itertools.count(1)


def registration(**members: Any) -> dict[str, Any]:
    return {"name": "Ada Lovelace", "email": f"limit{next(NUMBERS)}@example.com", "password": PASSWORD, **members}


ACCEPTED = {
    "name of 2": {"name": "Al"},
    "name of 50": {"name": "x" * 50},
    "name of 50 in spaces": {"name": f"  {'x' * 50}  "},
    "name of 50 beyond ASCII": {"name": "\N{GRINNING FACE}" * 50},
    "password of 6": {"password": "abcde1"},
    "password of 128": {"password": "1" + "x" * 127},
    "password of 128 in spaces": {"password": f" 1{'x' * 127} "},
    "address with a tag": {"email": "ada+tag@mail.example.com"},
}
REFUSED = {
    "name of 1": ({"name": "A"}, "name", "Name must be at least 2 characters"),
    "name of 1 in spaces": ({"name": "  A  "}, "name", "Name must be at least 2 characters"),
    "name of 51": ({"name": "x" * 51}, "name", "Name must be at most 50 characters"),
    "name that is a number": ({"name": 12}, "name", "Name must be a string"),
    "password of 5": ({"password": "abcd1"}, "password", "Password must be at least 6 characters"),
    "password of 5 in spaces": ({"password": " abcd1 "}, "password", "Password must be at least 6 characters"),
    "password of 129": ({"password": "1" + "x" * 128}, "password", "Password must be at most 128 characters"),
    "password with no digit": ({"password": "abcdef"}, "password", "Password must contain a digit"),
    "password with a digit of another script": (
        {"password": "abcde\u0661"},
        "password",
        "Password must contain a digit",
    ),
    "address without @": ({"email": "ada.example.com"}, "email", "Email must be a valid e-mail address"),
    "address without a domain": ({"email": "ada@"}, "email", "Email must be a valid e-mail address"),
    "address of a bare host": ({"email": "ada@localhost"}, "email", "Email must be a valid e-mail address"),
    "address that is empty": ({"email": " "}, "email", "Email must be a valid e-mail address"),
    "address too long": ({"email": f"a@{'x.' * 130}example.com"}, "email", "Email must be at most 254 characters"),
    "role that is none": ({"role": "ROOT"}, "role", "Role must be one of USER, ADMIN"),
    "unknown member": ({"isAdmin": True}, "isAdmin", "IsAdmin is not a known field"),
    "member in snake case": ({"created_at": 1}, "created_at", "Created_at is not a known field"),
}


@pytest.mark.parametrize("members", ACCEPTED.values(), ids=ACCEPTED)
async def test_registration_takes(shared: Client, members: dict[str, Any]) -> None:
    body = registration(**members)
    response = await shared.post("/auth/register", json=body)
    assert response.status_code == 201, response.text
    assert response.json()["data"]["user"]["name"] == body["name"].strip()
    login = await shared.post("/auth/login", json={"email": body["email"], "password": body["password"]})
    assert login.status_code == 200


@pytest.mark.parametrize(("members", "field", "message"), REFUSED.values(), ids=REFUSED)
async def test_registration_refuses(shared: Client, members: dict[str, Any], field: str, message: str) -> None:
    response = await shared.post("/auth/register", json=registration(**members))
    assert response.status_code == 400
    body = response.json()
    assert (body["success"], body["message"], body["code"]) == (False, message, "validation_failed")
    assert body["errors"] == [{"field": field, "path": field, "msg": message}]


@pytest.mark.parametrize("missing", ["name", "email", "password"])
async def test_registration_needs(shared: Client, missing: str) -> None:
    body = registration()
    del body[missing]
    response = await shared.post("/auth/register", json=body)
    assert response.status_code == 400
    assert response.json()["message"] == f"{missing.capitalize()} is required"


async def test_every_wrong_field_is_listed_and_the_first_is_the_message(shared: Client) -> None:
    response = await shared.post("/auth/register", json={"name": "A", "email": "x", "password": "short"})
    errors = response.json()["errors"]
    assert [error["field"] for error in errors] == ["name", "email", "password"]
    assert response.json()["message"] == errors[0]["msg"]


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@example.com"}, {"email": "no address", "password": "x"}, {"email": 1}]
)
async def test_login_that_cannot_be_understood_is_400(shared: Client, body: dict[str, Any]) -> None:
    response = await shared.post("/auth/login", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
