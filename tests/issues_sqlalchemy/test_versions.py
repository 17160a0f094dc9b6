"""Version counters that the application moves itself."""

from __future__ import annotations

from sqlalchemy import Engine, ForeignKey
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin, RedisCache


class Base(DeclarativeBase):
    """The models of this file."""


class Draft(CacheMixin, Base):
    """Has a version, and lines that are no columns of its row."""

    __tablename__ = "draft"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    version: Mapped[int] = mapped_column()
    lines: Mapped[list[Line]] = relationship()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 (SQLAlchemy's own form)


class Line(Base):
    """Belongs to a draft."""

    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    draft_id: Mapped[int] = mapped_column(ForeignKey("draft.id"))


def test_an_update_of_the_version_alone_is_seen(factory: sessionmaker[Session]) -> None:
    """A version that is assigned without any other change is what the next read returns."""
    with factory() as session, session.begin():
        session.add(Draft(id=1, title="first"))
    with factory() as session:
        draft = session.get_one(Draft, 1)
        draft.version = 7
        session.commit()
        assert draft.version == 7
    with factory() as session:
        assert session.get_one(Draft, 1).version == 7


def test_a_change_beside_the_row_publishes_no_version(tables: Engine, cache: RedisCache) -> None:
    """An object whose row is not updated does not tell the cache the version it was loaded with."""
    factory = cache.enable(sessionmaker(tables, expire_on_commit=False))
    with factory() as session, session.begin():
        session.add(Draft(id=1, title="first"))
    with factory() as session, factory() as other:
        draft = session.get_one(Draft, 1)
        with other.begin():
            other.get_one(Draft, 1).title = "second"
        draft.lines.append(Line(id=1))
        session.commit()
    with factory() as session:
        found = session.get_one(Draft, 1)
        assert (found.title, found.version) == ("second", 2)
