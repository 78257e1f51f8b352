from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from service.kit.db import Base

# Milliseconds, as on the wire: what a client has read compares equal to what is stored.
_MOMENT = TIMESTAMP(timezone=True, precision=3)


class User(Base):
    __tablename__ = "users"
    __table_args__ = (sa.CheckConstraint("role IN ('USER', 'ADMIN')", "role"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    # Lower case always: addresses are compared without case.
    email: Mapped[str] = mapped_column(sa.Text, unique=True)
    name: Mapped[str] = mapped_column(sa.Text)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    role: Mapped[str] = mapped_column(sa.Text, server_default="USER")
    # Raised when the role changes: tokens made before carry the old one and die.
    token_epoch: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=sa.func.now())
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=sa.func.now())


class Preferences(Base):
    __tablename__ = "preferences"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    theme: Mapped[str] = mapped_column(sa.Text)
    notify_email: Mapped[bool]
    page_size: Mapped[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A row of ``users``; the columns in their order."""

    id: int
    email: str
    name: str
    password_hash: str
    role: str
    token_epoch: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    theme: str = "system"
    notify_email: bool = True
    page_size: int = 10
