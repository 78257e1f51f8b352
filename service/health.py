"""Is the process alive, and may it be sent requests. Two questions: a lost database must not restart the fleet."""

from typing import Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.kit.access import parts_of
from service.kit.answers import answer
from service.kit.cancellation import within
from service.kit.problems import Unavailable
from service.kit.strict import StrictRoute

# A prober waits a second or two; the answer "not ready" has to arrive within that.
_LONGEST_S: Final = 1.0

router = APIRouter(prefix="/health", tags=["health"], route_class=StrictRoute)


class Live(BaseModel):
    status: Literal["live"] = "live"


class Ready(BaseModel):
    status: Literal["ready", "not ready"]
    checks: dict[str, Literal["ok", "gone", "draining"]]


@router.get("/live", response_model=Live)
async def live() -> Response:
    """200 as long as the process answers, whatever its dependencies do."""
    return answer(Live())


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready, "description": "Not ready"}})
async def ready(request: Request) -> Response:
    """Each needed dependency with its state; 503 when one is gone or the process is draining."""
    checks: dict[str, Literal["ok", "gone", "draining"]] = {"database": "ok", "revocations": "ok", "process": "ok"}
    try:
        await within(_LONGEST_S, parts_of(request).db.ping())
    except (Unavailable, TimeoutError):
        checks["database"] = "gone"
    if parts_of(request).revocations.age_s == float("inf"):
        checks["revocations"] = "gone"
    if request.app.state.draining:
        checks["process"] = "draining"
    if set(checks.values()) == {"ok"}:
        return answer(Ready(status="ready", checks=checks))
    return answer(Ready(status="not ready", checks=checks), 503, {"Retry-After": "1"})
