"""Reads and writes that happen while a flush is under way, or after one that failed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, FetchedValue, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    Session,
    mapped_column,
    object_session,
    sessionmaker,
)

from sqlalchemy_rediscache import CacheMixin, RedisCache
from sqlalchemy_rediscache.testing import audit
from tests.listening import listening


class Base(DeclarativeBase):
    """The models of this file."""


class Page(CacheMixin, Base):
    """Is stamped by a trigger; its stamp is read back with a SELECT in the middle of a flush."""

    __tablename__ = "page"
    __table_args__ = {"implicit_returning": False}  # noqa: RUF012 (SQLAlchemy's own form)
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    stamp: Mapped[int] = mapped_column(
        server_default=text("0"), server_onupdate=FetchedValue(), nullable=False
    )


class Word(CacheMixin, Base):
    """A row with a unique column."""

    __tablename__ = "word"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


def test_a_default_that_a_flush_reads_back_is_the_new_one(
    tables: Engine, cache: RedisCache
) -> None:
    """The SELECT of eager_defaults comes after the UPDATE, and is not answered from before it."""
    with tables.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER stamped AFTER UPDATE OF body ON page BEGIN "
                "UPDATE page SET stamp = stamp + 1 WHERE id = NEW.id; END"
            )
        )
        connection.execute(text("INSERT INTO page (id, body) VALUES (1, 'first')"))
    factory = cache.enable(sessionmaker(tables))
    with factory() as session:
        assert session.get_one(Page, 1).stamp == 0
    with factory() as session:
        page = session.get_one(Page, 1)
        page.body = "second"
        session.flush()
        assert page.__dict__["stamp"] == 1


def test_a_listener_reads_what_its_flush_wrote(factory: sessionmaker[Session]) -> None:
    """A SELECT by key in after_update sees the row as the UPDATE left it."""
    with factory() as session, session.begin():
        session.add(Word(id=1, text="first"))
    with factory() as session:
        assert session.get_one(Word, 1).text == "first"
    seen: list[Any] = []

    def after_update(mapper: Mapper[Any], connection: Connection, target: Word) -> None:
        session = object_session(target)
        assert session is not None
        seen.append(session.scalar(select(Word.text).where(Word.id == 1)))

    with listening(Word, "after_update", after_update), factory() as session, session.begin():
        session.get_one(Word, 1).text = "second"
    assert seen == ["second"]


def test_bulk_writes_after_a_failed_flush_invalidate(
    engine: Engine, cache: RedisCache, factory: sessionmaker[Session]
) -> None:
    """A flush that failed in a savepoint is over: what comes after it is no part of it."""
    with factory() as session, session.begin():
        session.add_all([Word(id=1, text="first"), Word(id=2, text="other")])
    with factory() as session:
        assert session.get_one(Word, 1).text == "first"
    with factory() as session, session.begin():
        savepoint = session.begin_nested()
        session.add(Word(id=3, text="other"))
        with pytest.raises(IntegrityError):
            session.flush()
        savepoint.rollback()
        session.bulk_update_mappings(Word.__mapper__, [{"id": 1, "text": "second"}])
    assert audit(cache, engine) == []
    with factory() as session:
        assert session.get_one(Word, 1).text == "second"


@pytest.mark.parametrize("kind", ["factory", "class"])
def test_only_lookups_by_key_ask_where_they_would_write(
    tables: Engine, cache: RedisCache, kind: str
) -> None:
    """An application's get_bind() is asked as often as without the cache for other statements."""
    asked: list[Any] = []

    class Routed(Session):
        def get_bind(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(kwargs.get("clause"))
            return super().get_bind(*args, **kwargs)

    factory = sessionmaker(tables, class_=Routed)
    cache.enable(factory if kind == "factory" else Routed)
    with factory() as session:
        assert session.scalars(select(Word)).all() == []
    assert len(asked) == 1
