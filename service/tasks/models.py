"""Rows as they are stored. The schema itself is in the migrations."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Task:
    """Times are whole milliseconds, as on the wire: what a client has read compares equal to what is stored."""

    id: int
    title: str
    description: str | None
    status: str
    user_id: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Owner:
    id: int
    name: str
    email: str
