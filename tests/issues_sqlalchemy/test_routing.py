"""Sessions that choose their engine themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine, Select, create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqlalchemy_rediscache import CacheMixin
from tests.fix_caches import CacheMaker


class Base(DeclarativeBase):
    """The models of this file."""


class Note(CacheMixin, Base):
    """A row."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def test_get_bind_is_called_by_keyword(engine: Engine, make_cache: CacheMaker) -> None:
    """A session's own get_bind() that takes keywords only works as without the cache."""

    class Routed(Session):
        def get_bind(self, mapper: Any = None, **kwargs: Any) -> Engine:
            return engine

    class Keywords(Session):
        def get_bind(self, **kwargs: Any) -> Engine:  # type: ignore[override]
            return engine

    Base.metadata.create_all(engine)
    cache = make_cache()
    with cache.enable(sessionmaker(class_=Routed))() as session, session.begin():
        session.add(Note(id=1, text="first"))
    with cache.enable(sessionmaker(class_=Keywords))() as session:
        assert session.get_one(Note, 1).text == "first"
        session.execute(update(Note).values(text="second"))


def _by_flush(session: Session, clause: Any) -> bool:
    return not session._flushing


def _by_statement(session: Session, clause: Any) -> bool:
    return isinstance(clause, Select)


@pytest.mark.parametrize("reads", [_by_flush, _by_statement])
def test_reads_of_a_replica_are_not_cached(
    engine: Engine, make_cache: CacheMaker, tmp_path: Path, reads: Callable[[Session, Any], bool]
) -> None:
    """A session that writes elsewhere than it reads gets nothing from the cache."""
    replica = create_engine(f"sqlite:///{tmp_path / 'replica.db'}")

    class Routed(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **kwargs: Any) -> Engine:
            return replica if reads(self, clause) else engine

    for one in (engine, replica):
        Base.metadata.create_all(one)
    with Session(replica) as session, session.begin():
        session.add(Note(id=1, text="first"))
    cache = make_cache()
    factory = cache.enable(sessionmaker(class_=Routed))
    for text in ("first", "second"):
        with Session(replica) as session, session.begin():
            session.get_one(Note, 1).text = text
        with factory() as session:
            assert session.get_one(Note, 1).text == text
    assert cache.stats().hits == 0
    replica.dispose()


def test_a_stand_in_for_an_engine_is_left_alone(make_cache: CacheMaker) -> None:
    """An application's test may give a session a mock: the cache does not listen to it."""
    engine = Mock()
    engine.connect.return_value.in_transaction.return_value = False
    with make_cache().enable(sessionmaker(engine))() as session:
        assert session.connection() is engine.connect.return_value
