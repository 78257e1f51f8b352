"""What other rooms may use of this one."""

from service.tasks.repository import newest_of_owner
from service.tasks.schemas import Status, StatusCounts

__all__ = ["Status", "StatusCounts", "newest_of_owner"]
