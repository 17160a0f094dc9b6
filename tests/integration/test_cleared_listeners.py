"""All listeners of sessions are cleared, as SQLAlchemy's own tests do: a session may live on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.event import registry
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.events import SessionEvents

from sqlalchemy_rediscache.testing import audit
from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage, make_engine
from tests.integration.test_writes import city
from tests.servers import Database


@contextmanager
def cleared() -> Iterator[None]:
    """Nobody hears what happens to sessions; within the block others may begin to."""
    events: Any = SessionEvents
    dispatch = events.dispatch
    levels = [getattr(dispatch, name) for name in dispatch._event_names]
    heard: Any = [(one, list(one)) for level in levels for one in level._clslevel.values()]
    known: Any = registry._key_to_collection
    # Copied first: the collector may take some out while they are looked at.
    keys = {key: found.copy() for key, found in known.copy().items()}
    events._clear()
    try:
        yield
    finally:
        for listeners, before in heard:
            listeners.extend(one for one in before if one not in listeners)
        for key, found in keys.items():
            known[key].update(found)


@pytest.fixture(params=["factory", "class"])
def stage(database: Database, make_cache: CacheMaker, request: Any) -> Stage:
    """The cache serves a factory, or a class of sessions."""
    stage = Stage(database, make_cache(lock_ttl=0.2))
    stage.populate()
    if request.param == "class":

        class Own(Session):
            pass

        stage.cache.enable(Own)
        stage.Own = sessionmaker(stage.engine, class_=Own)  # type: ignore[attr-defined]
    else:
        stage.Own = stage.Session  # type: ignore[attr-defined]
    return stage


def living(stage: Stage) -> Session:
    """A session that has begun a transaction of which the cache was told."""
    session: Session = stage.Own()  # type: ignore[attr-defined]
    session.scalars(select(User)).all()
    return session


def own(session: Session) -> list[str | None]:
    """What a session reads of a row in three ways."""
    found = []
    session.expire_all()
    found.append(session.get_one(User, 1).city)
    session.expunge_all()
    found.append(session.get_one(User, 1).city)
    session.expunge_all()
    found.append(session.scalars(select(User).where(User.id == 1)).one().city)
    return found


def test_the_listeners_are_cleared_and_restored() -> None:
    """What this file stands on: all listeners of classes go, and come back."""

    def listener(*happened: Any) -> None:
        pass

    event.listen(Session, "after_begin", listener)
    try:
        with cleared():
            assert not event.contains(Session, "after_begin", listener)
            assert listener not in Session().dispatch.after_begin
        assert event.contains(Session, "after_begin", listener)
        assert listener in Session().dispatch.after_begin
    finally:
        event.remove(Session, "after_begin", listener)


@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize("writes", [False, True])
def test_a_session_that_lives_on(stage: Stage, commits: bool, writes: bool) -> None:
    """Its next transaction reads what it wrote, and nobody else does before its commit."""
    stage.warm(User, 1)
    with living(stage) as session:
        if writes:
            session.get_one(User, 2).city = "first"
            session.flush()
        with cleared():
            session.commit()
            stage.warm(User, 1, 2)
            session.get_one(User, 1).city = "new"
            session.flush()
            assert own(session) == ["new"] * 3
            with stage.Session() as other:
                assert other.get_one(User, 1).city == "x"
            if commits:
                session.commit()
            else:
                session.rollback()
            assert own(session) == ["new" if commits else "x"] * 3
            session.close()
            expected = ("new" if commits else "x", "first" if writes else "x")
            assert (city(stage, 1), city(stage, 2)) == expected
    assert audit(stage.cache, stage.engine) == []


@pytest.mark.parametrize("commits", [False, True])
def test_in_the_middle_of_a_transaction(stage: Stage, commits: bool) -> None:
    """What it wrote before and after is its own until it commits."""
    stage.warm(User, 1, 2)
    with living(stage) as session:
        session.get_one(User, 2).city = "before"
        session.flush()
        with cleared():
            session.get_one(User, 1).city = "new"
            session.flush()
            assert own(session) == ["new"] * 3
            assert (city(stage, 1), city(stage, 2)) == ("x", "x")
            if commits:
                session.commit()
            session.close()
            expected = ("new", "before") if commits else ("x", "x")
            assert (city(stage, 1), city(stage, 2)) == expected
    assert audit(stage.cache, stage.engine) == []


def test_heard_again(stage: Stage) -> None:
    """A session that went through it unheard is followed again from its next transaction on."""
    stage.warm(User, 1)
    with living(stage) as session:
        session.get_one(User, 1).city = "one"
        session.flush()
        with cleared():
            session.commit()
        session.get_one(User, 1).city = "two"
        session.flush()
        assert own(session) == ["two"] * 3
        session.commit()
        assert city(stage, 1) == "two"
        session.get_one(User, 1).city = "three"
        session.flush()
        session.rollback()
        assert own(session) == ["two"] * 3
    assert city(stage, 1) == "two"
    assert audit(stage.cache, stage.engine) == []


def test_a_session_after_the_factory_was_disabled(stage: Stage) -> None:
    """Sessions that exist then are not heard any more, either."""
    stage.warm(User, 1)
    with living(stage) as session:
        target = session.__class__ if stage.Own is not stage.Session else stage.Session  # type: ignore[attr-defined]
        stage.cache.disable(target)
        session.commit()
        session.get_one(User, 1).city = "new"
        session.flush()
        assert own(session) == ["new"] * 3
        session.rollback()
        assert own(session) == ["x"] * 3


def test_a_connection_that_lives_on(database: Database, make_cache: CacheMaker) -> None:
    """A session in the transactions of a connection that others begin and commit."""
    stage = Stage(database, make_cache(lock_ttl=0.2))
    stage.populate()
    stage.warm(User, 1)
    engine = make_engine(database)
    with engine.connect() as connection:
        factory = stage.cache.enable(sessionmaker(connection))
        session = factory()
        outer = connection.begin()
        session.get_one(User, 1).city = "one"
        session.flush()
        with cleared():
            session.commit()
            outer.commit()
            for name in ("two", "three"):
                time.sleep(0.25)  # until the lock is void that nobody releases
                stage.warm(User, 1)
                outer = connection.begin()
                session.get_one(User, 1).city = name
                session.commit()
                outer.commit()
                assert city(stage, 1) == name
        session.close()
    engine.dispose()
    assert audit(stage.cache, stage.engine) == []
