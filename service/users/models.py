"""Rows as they are stored. The schema itself is in the migrations."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Account:
    """``email`` is in lower case always: addresses are compared without case.

    ``token_epoch`` is raised when the role changes: tokens made before carry the old role and die.
    """

    id: int
    email: str
    name: str
    password_hash: str
    role: str
    token_epoch: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Preferences:
    theme: str = "system"
    notify_email: bool = True
    page_size: int = 10
