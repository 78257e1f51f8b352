"""Access tokens: ES256, checked on each request without asking any server."""

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from joserfc import jwt
from joserfc.errors import JoseError

from service.kit.db import UserId
from service.kit.keys import KeyFolder
from service.kit.problems import NotSignedIn, Problem, Unavailable
from service.kit.revocations import EVERY_EPOCH, Revocations
from service.settings import Tokens as TokenSettings

Role = Literal["USER", "ADMIN"]

_ALGORITHM = "ES256"
_TYPE = "at+jwt"  # RFC 9068: a token of another kind, signed by the same key, is not an access token
_LONGEST = 2048
_USER_ID = re.compile(r"[1-9][0-9]{0,15}")
_REQUIRED = frozenset({"iss", "aud", "exp", "iat", "jti", "sub", "role", "ver"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``epoch`` is the user's token epoch when the token was made; a role change raises it."""

    user_id: UserId
    role: Role
    token_id: str
    epoch: int
    expires_at: int


class Tokens:
    def __init__(
        self,
        settings: TokenSettings,
        folder: KeyFolder,
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._revocations = revocations
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[Principal, str]] = OrderedDict()

    def new_claims(self, user_id: int, role: str, epoch: int) -> dict[str, Any]:
        now = int(self._clock())
        return {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": str(user_id),
            "role": role,
            "ver": epoch,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + self._settings.lifetime_s,
        }

    def sign(self, claims: dict[str, Any]) -> str:
        key = self._folder.keys.signing
        return jwt.encode({"alg": _ALGORITHM, "kid": key.kid, "typ": _TYPE}, claims, key, algorithms=[_ALGORITHM])

    def caller(self, authorization: bytes | None) -> Principal | None:
        """Who a header speaks for, or None when it is missing or not valid: for what may not refuse, but may count."""
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            return self.verify(token.strip().decode("latin-1"))
        except Problem:
            return None

    def known(self, authorization: bytes) -> Principal | None:
        """Who a header speaks for, if its token was verified before and still holds; None for every doubt."""
        if not authorization.startswith(b"Bearer "):
            return None
        digest = hashlib.sha256(authorization[7:]).digest()
        known = self._verified.get(digest)
        if known is None or known[1] not in self._folder.keys.kids:
            return None
        principal = known[0]
        if self._is_over(principal):
            return None
        self._verified.move_to_end(digest)
        return principal

    def verify(self, token: str) -> Principal:
        """Raises :class:`NotSignedIn`, the same for every defect, and Unavailable until revocations are known."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is None or known[1] not in self._folder.keys.kids:
            principal, kid = self._check(token)
            if self._settings.cache_entries:
                self._verified[digest] = (principal, kid)
                if len(self._verified) > self._settings.cache_entries:
                    self._verified.popitem(last=False)
        else:
            principal = known[0]
            self._verified.move_to_end(digest)
        if not self._revocations.known:
            raise Unavailable  # a token cannot be trusted before the first read
        if self._is_over(principal):
            self._verified.pop(digest, None)
            raise NotSignedIn("Your session has ended; please log in again")
        return principal

    def _is_over(self, principal: Principal) -> bool:
        return principal.expires_at + self._settings.leeway_s <= self._clock() or self._revocations.covers(
            principal.token_id, principal.user_id, principal.epoch
        )

    def _check(self, token: str) -> tuple[Principal, str]:
        kid, claims = self._decode(token)
        now = self._clock()
        leeway = self._settings.leeway_s
        if not (
            claims.keys() >= _REQUIRED
            and claims["iss"] == self._settings.issuer
            and claims["aud"] == self._settings.audience
            and all(type(claims.get(name, 0)) is int for name in ("exp", "iat", "nbf", "ver"))
            and claims["exp"] > now - leeway
            and claims["iat"] <= now + leeway
            and claims.get("nbf", 0) <= now + leeway
            and 0 <= claims["ver"] < EVERY_EPOCH
            and claims["role"] in ("USER", "ADMIN")
            and isinstance(claims["jti"], str)
            and isinstance(claims["sub"], str)
            and _USER_ID.fullmatch(claims["sub"])
        ):
            raise NotSignedIn("Your session is not valid; please log in again")
        principal = Principal(
            user_id=UserId(int(claims["sub"])),
            role=cast("Role", claims["role"]),
            token_id=claims["jti"],
            epoch=claims["ver"],
            expires_at=claims["exp"],
        )
        return principal, kid

    def _decode(self, token: str) -> tuple[str, dict[str, Any]]:
        refused = NotSignedIn("Your session is not valid; please log in again")
        if len(token) > _LONGEST:
            raise refused
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=[_ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise refused from error
        # Exactly what :meth:`sign` writes: whatever else a header says (`crit`, `b64`) is not ours.
        if decoded.header.keys() != {"alg", "kid", "typ"} or decoded.header["typ"] != _TYPE:
            raise refused
        return str(decoded.header["kid"]), decoded.claims

    def _key_of(self, message: Any) -> Any:
        """Only a key of our own folder, chosen by kid alone: `jwk`, `jku` and `x5u` headers are never looked at."""
        kid = message.headers().get("kid")
        if kid not in self._folder.keys.kids:
            raise KeyError(kid)
        return self._folder.keys.verifying.get_by_kid(kid)
