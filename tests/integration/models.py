"""The models that most integration tests use."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_rediscache import CacheMixin, CachePolicy


class Base(DeclarativeBase):
    """The base of these models."""


class Team(CacheMixin, Base):
    """What users belong to."""

    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    users: Mapped[list[User]] = relationship(back_populates="team", cascade="all, delete-orphan")


class User(CacheMixin, Base):
    """A plain cached model with a many-to-one."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    city: Mapped[str | None] = mapped_column(String(40))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team | None] = relationship(back_populates="users")


class Page(CacheMixin, Base):
    """Its database row goes with its owner's, its parent reference is nulled by the database."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("page.id", ondelete="SET NULL"))
    title: Mapped[str] = mapped_column(String(40))


class Emptied(CacheMixin, Base):
    """Commits only empty its rows."""

    __tablename__ = "emptied"
    __cache__ = CachePolicy(write="invalidate")
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))


class Account(CacheMixin, Base):
    """One of its columns must never reach Redis."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    cost: Mapped[str | None] = mapped_column(String(40), info={"cache": False})


class Log(Base):
    """Not cached."""

    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    user: Mapped[User | None] = relationship()
