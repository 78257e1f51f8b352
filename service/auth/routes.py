from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.auth import service
from service.auth.errors import WrongCredentials
from service.auth.schemas import LoggedIn, Login, Me, Register, Registered, RegisteredUser
from service.kit.access import DirectoryRead, DirectoryWrite, OwnRead, OwnWrite, SignedIn, parts_of
from service.kit.answers import Data, Done, DoneWith, answer, cacheable, to_bytes
from service.kit.idempotency import Idempotency, KeyHeader, KeyReused, StillRunning
from service.kit.limits.limiter import LimitsUnavailable
from service.kit.problems import NotSignedIn, documented
from service.kit.strict import StrictRoute
from service.users.api import EmailTaken, RoleNotAllowed

router = APIRouter(prefix="/auth", tags=["auth"], route_class=StrictRoute)
public = APIRouter(tags=["auth"], route_class=StrictRoute)

_REGISTERED = "User registered successfully"


@router.post(
    "/register",
    status_code=201,
    responses=documented(EmailTaken, RoleNotAllowed, StillRunning, KeyReused, LimitsUnavailable),
    response_model=DoneWith[Registered],
)
async def register(request: Request, session: DirectoryWrite, body: Register, key: KeyHeader = None) -> Response:
    """Makes an account and logs it in. Administrators are made on the command line, never here."""
    parts = parts_of(request)
    hashed = await service.password_hash(parts.passwords, body)
    once = Idempotency(parts.fingerprints, session, "anyone POST /auth/register", key, body)
    if (first := await once.first_answer()) is not None:
        user = RegisteredUser.model_validate(first["user"])
        return _registered(user, parts.tokens.sign(first["claims"]), {"Idempotency-Replayed": "true"})
    made = await service.register(session, parts.tokens, body, hashed)
    # The token itself is not stored: with the claims the same one can be signed again.
    await once.store({"user": made.user.model_dump(mode="json", by_alias=True), "claims": made.claims})
    return _registered(made.user, parts.tokens.sign(made.claims))


def _registered(user: RegisteredUser, token: str, headers: dict[str, str] | None = None) -> Response:
    data = Registered(user=user, token=token)
    return answer(DoneWith[Registered](message=_REGISTERED, data=data), 201, headers)


@router.post("/login", responses=documented(WrongCredentials, LimitsUnavailable), response_model=DoneWith[LoggedIn])
async def login(request: Request, session: DirectoryRead, body: Login) -> Response:
    """A token for an e-mail and a password; valid for seven days unless it is revoked."""
    parts = parts_of(request)
    user, token = await service.login(session, parts.passwords, parts.tokens, body)
    return answer(DoneWith[LoggedIn](message="Login successful", data=LoggedIn(user=user, token=token)))


@router.get("/me", responses=documented(NotSignedIn), response_model=Data[Me])
async def read_me(request: Request, me: SignedIn, session: OwnRead) -> Response:
    """Who the token belongs to."""
    body = to_bytes(Data[Me](data=Me(user=await service.me(session, me.user_id))))
    return cacheable(request, body, keep=True)


@router.post("/logout", responses=documented(NotSignedIn), response_model=Done)
async def logout(request: Request, me: SignedIn, session: OwnWrite) -> Response:
    """Ends this session: the token is dead on every server within 2 s."""
    await service.logout(session, parts_of(request).revocations, me)
    return answer(Done(message="Logout successful"))


@public.get("/.well-known/jwks.json")
async def jwks(request: Request) -> Response:
    """The public keys of the tokens, as a JWK Set (RFC 7517)."""
    return JSONResponse(parts_of(request).folder.keys.public())
