"""Writes while not every class is ready."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, ForeignKey, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    configure_mappers,
    mapped_column,
    relationship,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin
from tests.fix_caches import CacheMaker


def test_text_writes_do_not_configure_mappers(engine: Engine, make_cache: CacheMaker) -> None:
    """SQL that may write any table is sent while a relationship's target is yet to be imported."""

    class Base(DeclarativeBase):
        pass

    class Chapter(CacheMixin, Base):
        __tablename__ = "chapter"
        id: Mapped[int] = mapped_column(primary_key=True)
        tale_id: Mapped[int] = mapped_column(ForeignKey("tale.id"))
        tale: Mapped[Any] = relationship("Tale")

    factory = make_cache().enable(sessionmaker(engine))
    with factory() as session, session.begin():
        session.execute(text("CREATE TABLE anything (id INTEGER PRIMARY KEY)"))

    class Tale(CacheMixin, Base):
        __tablename__ = "tale"
        id: Mapped[int] = mapped_column(primary_key=True)

    configure_mappers()
    Base.metadata.create_all(engine)
    with factory() as session, session.begin():
        session.add(Chapter(id=1, tale=Tale(id=1)))
    with factory() as session:
        assert session.get_one(Chapter, 1).tale.id == 1
