"""Forged tokens: each is 401 with the one shape, and none says which check it failed."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import forge
from tests.support.client import Client, User
from tests.support.problems import problem_of
from tests.support.tokens import claims_of, header_of

Claims = dict[str, Any]


@dataclass
class Attacker:
    """Has a token of their own, all public keys, and a key pair that the service does not know."""

    client: Client
    user: User
    key: ec.EllipticCurvePrivateKey
    own: ec.EllipticCurvePrivateKey

    @property
    def header(self) -> Claims:
        return header_of(self.user.token)

    @property
    def claims(self) -> Claims:
        return claims_of(self.user.token)

    async def refused(self, token: str | bytes) -> None:
        value = b"Bearer " + (token.encode() if isinstance(token, str) else token)
        response = await self.client.http.get("/api/v1/auth/me", headers={b"Authorization": value})
        body = problem_of(response, 401, "not_signed_in")
        assert body["message"] in ("Your session is not valid; please log in again", "Please log in")

    async def accepted(self, token: str) -> None:
        response = await self.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert response.json()["data"]["user"]["id"] == self.user.id


@pytest.fixture
async def attacker(shared: Client, token_folder: Path) -> Attacker:
    user = await shared.user()
    return Attacker(shared, user, forge.key_of(token_folder, header_of(user.token)["kid"]), forge.new_key())


async def test_the_forger_forges_well(attacker: Attacker) -> None:
    """The negative control: signed with the service's own key, the same token is taken."""
    await attacker.accepted(forge.signed(attacker.header, attacker.claims, attacker.key))
    await attacker.accepted(forge.signed(attacker.header, {**attacker.claims, "extra": [1]}, attacker.key))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 0, True, [], ["ES256"], {"a": 1}])
async def test_no_algorithm_is_no_signature(attacker: Attacker, algorithm: Any) -> None:
    header = {**attacker.header, "alg": algorithm}
    token = forge.unsigned(header, attacker.claims)
    await attacker.refused(token)
    await attacker.refused(token + forge.b64(b"x" * 64))
    await attacker.refused(forge.signed(header, attacker.claims, attacker.key))


@pytest.mark.parametrize(
    "algorithm", ["HS256", "HS384", "HS512", "ES256K", "ES384", "RS256", "PS256", "EdDSA", "es256"]
)
async def test_another_algorithm_is_refused(attacker: Attacker, algorithm: str) -> None:
    header = {**attacker.header, "alg": algorithm}
    await attacker.refused(forge.signed(header, attacker.claims, attacker.key))
    await attacker.refused(forge.mac(header, attacker.claims, b""))


async def test_the_public_key_is_no_shared_secret(attacker: Attacker) -> None:
    keys = (await attacker.client.get("//.well-known/jwks.json")).json()["keys"]
    jwk = next(key for key in keys if key["kid"] == attacker.header["kid"])
    pem = forge.public_pem(attacker.key)
    secrets = [pem, pem.strip(), json.dumps(jwk).encode(), json.dumps(jwk, separators=(",", ":")).encode(), b"secret"]
    for secret in [*secrets, jwk["x"].encode(), jwk["kid"].encode()]:
        await attacker.refused(forge.mac({**attacker.header, "alg": "HS256"}, attacker.claims, secret))


async def test_the_published_keys_hold_nothing_private(attacker: Attacker) -> None:
    document = (await attacker.client.get("//.well-known/jwks.json")).json()
    assert set(document) == {"keys"}
    for key in document["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_another_key_under_our_kid_is_refused(attacker: Attacker) -> None:
    await attacker.refused(forge.signed(attacker.header, {**attacker.claims, "role": "ADMIN"}, attacker.own))


KIDS: tuple[Any, ...] = (
    "", "unknown", "../../../../etc/passwd", "/dev/null", "..", ".", "%2e%2e", "*", "secret", "' OR '1'='1", "\0",
    "| sleep 9", "http://127.0.0.1/key", "k" * 1500, None, 0, True, [], {}, ["a"], 1.5,
)  # fmt: skip


@pytest.mark.parametrize("kid", KIDS)
async def test_an_unknown_kid_is_refused(attacker: Attacker, kid: Any) -> None:
    header = {**attacker.header, "kid": kid}
    for key in (attacker.own, attacker.key):
        await attacker.refused(forge.signed(header, attacker.claims, key))
    await attacker.refused(forge.mac({**header, "alg": "HS256"}, attacker.claims, b""))


async def test_a_token_without_kid_is_refused(attacker: Attacker) -> None:
    header = {name: value for name, value in attacker.header.items() if name != "kid"}
    for key in (attacker.own, attacker.key):
        await attacker.refused(forge.signed(header, attacker.claims, key))


async def test_a_key_that_the_token_brings_along_is_never_used(attacker: Attacker) -> None:
    numbers = attacker.own.public_key().public_numbers()
    x, y = (forge.b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "mine"}
    url = f"{attacker.client.http.base_url}/keys"
    for more in ({"jwk": jwk}, {"jku": url}, {"x5u": url}, {"x5c": [forge.b64(b"x")]}, {"jwk": jwk, "kid": "mine"}):
        await attacker.refused(forge.signed({**attacker.header, **more}, attacker.claims, attacker.own))


@pytest.mark.parametrize(
    "more", [{"crit": ["exp"]}, {"crit": ["x"], "x": 1}, {"crit": []}, {"crit": "b64"}, {"b64": False, "crit": ["b64"]}]
)
async def test_extensions_that_must_be_understood_are_refused(attacker: Attacker, more: Claims) -> None:
    await attacker.refused(forge.signed({**attacker.header, **more}, attacker.claims, attacker.key))


@pytest.mark.parametrize("kind", ["JWT", "id+jwt", "refresh+jwt", "at+JWT\0", "", None, 1, ["at+jwt"]])
async def test_a_token_of_another_kind_is_refused(attacker: Attacker, kind: Any) -> None:
    """Signed by the right key: what it was made for decides."""
    await attacker.refused(forge.signed({**attacker.header, "typ": kind}, attacker.claims, attacker.key))


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "iat", "jti", "sub", "role", "ver"])
async def test_each_claim_is_needed(attacker: Attacker, name: str) -> None:
    claims = {key: value for key, value in attacker.claims.items() if key != name}
    await attacker.refused(forge.signed(attacker.header, claims, attacker.key))


NOW = time.time()
WRONG: dict[str, list[Any]] = {
    "iss": ["", "other", "TASKS", None, 1, ["tasks"], {"tasks": 1}],
    "aud": ["", "other", "tasks", None, 1, ["other"], {"tasks-api": 1}],
    "exp": [0, -1, int(NOW) - 3600, int(NOW) - 6, "9999999999", None, True, [], {}, 1e300, -(2**70), "NaN"],
    "iat": [int(NOW) + 3600, 2**70, "0", None, True, [], 1.5],
    "nbf": [int(NOW) + 3600, 2**70, "0", "x", None, True, [], {}, 1e308],
    "sub": ["", "x", "-1", "1.5", "1e3", " 1", "1\n", "0x1", "9" * 30, str(2**63), "0", "00", "01",
            "\N{ARABIC-INDIC DIGIT ONE}", "\N{SUPERSCRIPT TWO}", None, [], {}, True, 1.5, -1, "1;DROP TABLE users"],
    "role": ["", "admin", "ROOT", "USER ", None, 1, True, [], ["ADMIN"], {"ADMIN": 1}],
    "ver": ["0", None, True, 1.5, [], {}, -1, 2**40, 2**70],
    "jti": [None, 1, [], {}, True],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_claim_is_refused_though_the_signature_is_right(attacker: Attacker, name: str) -> None:
    for value in WRONG[name]:
        token = forge.signed(attacker.header, {**attacker.claims, name: value}, attacker.key)
        response = await attacker.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 401, f"{name} = {value!r}: {response.text}"
        problem_of(response, 401, "not_signed_in")


async def test_rights_are_not_taken_from_what_is_not_signed(attacker: Attacker) -> None:
    head, _, signature = attacker.user.token.split(".")
    for change in ({"role": "ADMIN"}, {"sub": "1"}, {"exp": attacker.claims["exp"] + 1}, {"ver": 9}, {"jti": "new"}):
        changed = forge.b64(json.dumps({**attacker.claims, **change}).encode())
        if changed != attacker.user.token.split(".")[1]:
            await attacker.refused(f"{head}.{changed}.{signature}")


PARTS: dict[str, Callable[[str, str, str], str]] = {
    "no signature": lambda h, c, _: f"{h}.{c}",
    "empty signature": lambda h, c, _: f"{h}.{c}.",
    "zero signature": lambda h, c, _: f"{h}.{c}.{forge.b64(bytes(64))}",
    "short signature": lambda h, c, s: f"{h}.{c}.{s[:-8]}",
    "long signature": lambda h, c, s: f"{h}.{c}.{s}AAAA",
    "other signature": lambda h, c, s: f"{h}.{c}.{s[:10]}{'A' if s[10] != 'A' else 'B'}{s[11:]}",
    "padding": lambda h, c, s: f"{h}.{c}.{s}==",
    "four parts": lambda h, c, s: f"{h}.{c}.{s}.{s}",
    "five parts": lambda h, c, s: f"{h}..{c}.{s}.{s}",
    "a dot behind": lambda h, c, s: f"{h}.{c}.{s}.",
    "a dot before": lambda h, c, s: f".{h}.{c}.{s}",
    "a space inside": lambda h, c, s: f"{h}. {c}.{s}",
    "a tab inside": lambda h, c, s: f"{h}.\t{c}.{s}",
    "text behind": lambda h, c, s: f"{h}.{c}.{s} garbage",
    "NUL behind": lambda h, c, s: f"{h}.{c}.{s}\0",
    "swapped": lambda h, c, s: f"{c}.{h}.{s}",
    "quoted": lambda h, c, s: f'"{h}.{c}.{s}"',
    "twice": lambda h, c, s: f"{h}.{c}.{s},{h}.{c}.{s}",
}


@pytest.mark.parametrize("name", PARTS)
async def test_a_damaged_token_is_refused(attacker: Attacker, name: str) -> None:
    await attacker.accepted(attacker.user.token)
    await attacker.refused(PARTS[name](*attacker.user.token.split(".")))


async def test_a_signature_in_der_is_refused(attacker: Attacker) -> None:
    await attacker.refused(forge.der(attacker.header, attacker.claims, attacker.key))


DOCUMENTS = (
    b"",
    b"null",
    b"[]",
    b"7",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"[" * 1200,
    b'{"a":' * 200,
    b'{"exp": NaN}',
    b"9" * 1200,
)


async def test_parts_that_are_no_json_objects_are_refused(attacker: Attacker) -> None:
    for document in DOCUMENTS:
        await attacker.refused(forge.signed(document, attacker.claims, attacker.own))
    for document in DOCUMENTS:
        await attacker.refused(forge.signed(attacker.header, document, attacker.key))


async def test_a_member_given_twice_is_read_once(attacker: Attacker) -> None:
    """Checked and used must be the same one of the two."""
    text = json.dumps(attacker.header).encode()
    await attacker.refused(forge.signed(text[:-1] + b', "alg": "none"}', attacker.claims, attacker.key))
    await attacker.refused(forge.signed(text[:-1] + b', "kid": "x"}', attacker.claims, attacker.key))


async def test_a_huge_token_is_refused(attacker: Attacker) -> None:
    for size in (2000, 8000, 20_000):
        await attacker.refused(forge.signed(attacker.header, {**attacker.claims, "pad": "x" * size}, attacker.key))
        await attacker.refused("." * size)
