"""What a token says, how long it lives, and where others find the key to check it."""

import time

from joserfc import jwt
from joserfc.jwk import KeySet

from service.auth.service import make_admin
from service.kit.db import DIRECTORY
from tests.support.client import PASSWORD, Client, User
from tests.support.tokens import claims_of, header_of

WEEK_S = 7 * 24 * 3600


async def test_a_token_names_its_key_its_user_and_its_end(shared: Client) -> None:
    begun = int(time.time())
    user = await shared.user()
    header, claims = header_of(user.token), claims_of(user.token)
    assert set(header) == {"alg", "kid", "typ"}
    assert header["alg"] == "ES256"
    assert claims.keys() >= {"iss", "aud", "exp", "iat", "jti", "sub", "role"}
    assert (claims["iss"], claims["aud"]) == (
        shared.parts.settings.tokens.issuer,
        shared.parts.settings.tokens.audience,
    )
    assert (claims["sub"], claims["role"]) == (str(user.id), "USER")
    assert begun <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == WEEK_S
    assert not {"email", "name", "password"} & claims.keys()


async def test_no_two_tokens_are_the_same(shared: Client) -> None:
    user = await shared.user()
    login = {"email": user.email, "password": PASSWORD}
    tokens = [(await shared.post("/auth/login", json=login)).json()["data"]["token"] for _ in range(2)]
    assert len({claims_of(token)["jti"] for token in [user.token, *tokens]}) == 3


async def test_anyone_can_check_a_token_with_the_published_keys(shared: Client) -> None:
    user = await shared.user()
    response = await shared.get("//.well-known/jwks.json")
    assert response.status_code == 200
    [key] = response.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert "d" not in key, "the private half is published"
    decoded = jwt.decode(user.token, KeySet.import_key_set(response.json()), algorithms=["ES256"])
    assert decoded.header["kid"] == key["kid"]


async def test_a_changed_role_ends_the_sessions_that_carry_the_old_one(shared: Client) -> None:
    user = await shared.user()
    async with shared.parts.db.write(DIRECTORY) as session:
        await make_admin(session, shared.parts.revocations, email=user.email, name="Ada", hashed="unused")
    assert (await shared.get("/auth/me", user)).status_code == 401
    login = await shared.post("/auth/login", json={"email": user.email, "password": PASSWORD})
    promoted = User(user.id, user.email, login.json()["data"]["token"])
    assert claims_of(promoted.token)["role"] == "ADMIN"
    assert (await shared.get("/users", promoted)).status_code == 200
