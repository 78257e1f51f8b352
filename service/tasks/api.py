"""What other rooms may use of this one."""

from service.tasks.repository import count_by_status, newest_of_owner
from service.tasks.schemas import Status, StatusCounts

__all__ = ["Status", "StatusCounts", "count_by_status", "newest_of_owner"]
