from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from service.kit.db import Base

_MOMENT = TIMESTAMP(timezone=True, precision=3)


class Task(Base):
    __tablename__ = "tasks"
    __table_args__ = (
        sa.CheckConstraint("status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED')", "status"),
        # The list: a user's tasks, newest first, by themselves or of one status.
        sa.Index("tasks_owner_newest_idx", "user_id", sa.text("created_at DESC"), sa.text("id DESC")),
        sa.Index("tasks_owner_status_newest_idx", "user_id", "status", sa.text("created_at DESC"), sa.text("id DESC")),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    title: Mapped[str] = mapped_column(sa.Text)
    description: Mapped[str | None] = mapped_column(sa.Text)
    status: Mapped[str] = mapped_column(sa.Text, server_default="PENDING")
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=sa.func.now())
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=sa.func.now())


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A row of ``tasks``; the columns in their order."""

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
