"""What other rooms may use of this one."""

from service.tasks.repository import (
    MOST_OF_OWNER,
    count_by_owner,
    count_by_status,
    newest_of_owner,
    owners_active_since,
)
from service.tasks.schemas import Status, StatusCounts

__all__ = [
    "MOST_OF_OWNER",
    "Status",
    "StatusCounts",
    "count_by_owner",
    "count_by_status",
    "newest_of_owner",
    "owners_active_since",
]
