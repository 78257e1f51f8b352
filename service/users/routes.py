from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.kit import etags
from service.kit.access import Admin, AdminsOnly, DirectoryRead, DirectoryWrite, OwnRead, OwnWrite, SignedIn, parts_of
from service.kit.answers import Data, Done, DoneWith, answer, cacheable, to_bytes
from service.kit.paging import PageQuery, Plain
from service.kit.problems import NotSignedIn, Stale, documented
from service.kit.strict import StrictRoute
from service.users import service
from service.users.errors import CannotDeleteYourself, UserNotFound
from service.users.schemas import PreferencesBody, PreferencesData, PreferencesOut, UserDetail, UserList, UserStats

router = APIRouter(prefix="/users", tags=["users"], route_class=StrictRoute)

UserPath = Annotated[int, Path(alias="id", ge=1, le=2**53 - 1, description="A user's id"), Plain]


@router.get("", responses=documented(NotSignedIn, AdminsOnly), response_model=Data[UserList])
async def list_users(
    request: Request, _: Admin, session: DirectoryRead, query: Annotated[PageQuery, Query()]
) -> Response:
    """All users, newest first, each with the number of their tasks."""
    return cacheable(request, to_bytes(Data(data=await service.page(session, query))))


@router.get("/stats", responses=documented(NotSignedIn, AdminsOnly), response_model=Data[UserStats])
async def user_stats(request: Request, _: Admin, session: DirectoryRead) -> Response:
    """Numbers for the administrators' dashboard."""
    return cacheable(request, to_bytes(Data(data=await service.stats(session))), keep=True)


@router.get("/me/preferences", responses=documented(NotSignedIn), response_model=Data[PreferencesData])
async def read_preferences(request: Request, me: SignedIn, session: OwnRead) -> Response:
    """The caller's preferences; the defaults until something is saved."""
    return cacheable(request, to_bytes(_preferences(await service.preferences(session, me.user_id))))


@router.put("/me/preferences", responses=documented(NotSignedIn, Stale), response_model=DoneWith[PreferencesData])
async def save_preferences(request: Request, me: SignedIn, session: OwnWrite, body: PreferencesBody) -> Response:
    """Changes what is sent and keeps the rest."""
    current = _preferences(await service.held_preferences(session, me.user_id))
    etags.require_match(request, etags.of_bytes(to_bytes(current)))
    saved = await service.save_preferences(session, me.user_id, body)
    tag = etags.of_bytes(to_bytes(_preferences(saved)))
    body_out = DoneWith[PreferencesData](
        message="Preferences updated successfully", data=PreferencesData(preferences=saved)
    )
    return answer(body_out, headers={"ETag": tag})


@router.get("/{id}", responses=documented(NotSignedIn, AdminsOnly, UserNotFound), response_model=Data[UserDetail])
async def read_user(request: Request, _: Admin, session: DirectoryRead, user_id: UserPath) -> Response:
    """One user with their tasks, newest first; at most the 1,000 newest."""
    return cacheable(request, to_bytes(Data(data=await service.detail(session, user_id))))


@router.delete(
    "/{id}",
    responses=documented(CannotDeleteYourself, NotSignedIn, AdminsOnly, UserNotFound, Stale),
    response_model=Done,
)
async def delete_user(request: Request, admin: Admin, session: DirectoryWrite, user_id: UserPath) -> Response:
    """Deletes a user with all their tasks; their tokens die on every server within 2 s."""
    if etags.has_condition(request):
        current = Data[UserDetail](data=await service.detail(session, user_id))
        etags.require_match(request, etags.of_bytes(to_bytes(current)))
    await service.delete(session, parts_of(request).revocations, admin, user_id)
    return answer(Done(message="User deleted successfully"))


def _preferences(shown: PreferencesOut) -> Data[PreferencesData]:
    return Data(data=PreferencesData(preferences=shown))
