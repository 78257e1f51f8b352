"""What other rooms may use of this one."""

from service.users.errors import EmailTaken, RoleNotAllowed
from service.users.models import Account
from service.users.repository import by_email, by_id, insert, set_role
from service.users.schemas import Profile, Role

__all__ = [
    "Account",
    "EmailTaken",
    "Profile",
    "Role",
    "RoleNotAllowed",
    "by_email",
    "by_id",
    "insert",
    "set_role",
]
