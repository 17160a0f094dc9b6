"""Savepoints, nested blocks, and sessions that share a connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from sqlalchemy import RootTransaction, text, update
from sqlalchemy.orm import Session, sessionmaker

from tests.fix_caches import CacheMaker
from tests.integration.models import User
from tests.integration.stage import Stage
from tests.integration.test_writes import city, values_in
from tests.servers import Database


@pytest.fixture
def stage(database: Database, make_cache: CacheMaker) -> Stage:
    """As everywhere, but savepoints work on SQLite."""
    stage = Stage(database, make_cache(), begin=True)
    stage.populate()
    return stage


def test_a_kept_savepoint_commits_with_its_transaction(
    stage: Stage, redis_client: redis.Redis
) -> None:
    """Releasing a savepoint publishes nothing; the commit does."""
    stage.warm(User, 1, 2)
    with stage.Session() as session:
        session.get_one(User, 1).city = "outer"
        with session.begin_nested():
            session.get_one(User, 2).city = "inner"
        assert not any(b"inner" in value for value in values_in(redis_client, "users"))
        assert (city(stage, 1), city(stage, 2)) == ("x", "x")
        session.commit()
    assert (city(stage, 1), city(stage, 2)) == ("outer", "inner")


def test_a_savepoint_released_before_a_rollback(stage: Stage) -> None:
    """What a released savepoint wrote is undone with the transaction."""
    stage.warm(User, 1)
    with stage.Session() as session:
        with session.begin_nested():
            session.get_one(User, 1).city = "inner"
        session.rollback()
    assert city(stage, 1) == "x"


def test_a_rolled_back_savepoint_is_not_published(stage: Stage) -> None:
    """The outer change is committed, the inner one is not seen by anyone."""
    stage.warm(User, 1, 2)
    with stage.Session() as session:
        user = session.get_one(User, 1)
        user.city = "outer"
        savepoint = session.begin_nested()
        user.city = "inner"
        session.get_one(User, 2).city = "inner"
        session.flush()
        savepoint.rollback()
        assert user.city == "outer"
        session.commit()
    assert (city(stage, 1), city(stage, 2)) == ("outer", "x")


def test_an_outer_write_survives_an_inner_rollback(stage: Stage) -> None:
    """The rollback of a savepoint drops no invalidation of what was written before it."""
    stage.warm(User, 1)
    with stage.Session() as session:
        session.execute(update(User).where(User.id == 1).values(city="outer"))
        savepoint = session.begin_nested()
        session.execute(text("UPDATE users SET name = 'inner' WHERE id = 2"))
        savepoint.rollback()
        session.commit()
    assert city(stage, 1) == "outer"


def test_nested_savepoints(stage: Stage) -> None:
    """Three levels, the middle one rolled back."""
    stage.warm(User, 1, 2, 3)
    with stage.Session() as session:
        session.get_one(User, 1).city = "one"
        middle = session.begin_nested()
        session.get_one(User, 2).city = "two"
        with session.begin_nested():
            session.get_one(User, 3).city = "three"
        middle.rollback()
        session.commit()
    assert [city(stage, number) for number in (1, 2, 3)] == ["one", "x", "x"]


def test_reads_inside_a_savepoint(stage: Stage) -> None:
    """What a savepoint wrote is read inside, and after its rollback no longer."""
    stage.warm(User, 1)
    with stage.Session() as session:
        savepoint = session.begin_nested()
        session.execute(update(User).where(User.id == 1).values(city="inner"))
        session.expire_all()
        assert session.get_one(User, 1).city == "inner"
        savepoint.rollback()
        session.expire_all()
        assert session.get_one(User, 1).city == "x"
        session.rollback()
    assert city(stage, 1) == "x"


@contextmanager
def joined(stage: Stage, **options: Any) -> Iterator[tuple[RootTransaction, sessionmaker[Session]]]:
    """A transaction of a connection, and a cached factory of sessions that work in it."""
    with stage.engine.connect() as connection:
        yield connection.begin(), stage.cache.enable(sessionmaker(connection, **options))


def test_a_session_in_an_outer_transaction_that_rolls_back(stage: Stage) -> None:
    """The commit of a session on a given connection is not the database's commit."""
    stage.warm(User, 1)
    with joined(stage) as (outer, factory):
        with factory() as session:
            session.get_one(User, 1).city = "joined"
            session.commit()
            assert session.get_one(User, 1).city == "joined"
        assert city(stage, 1) == "x"
        outer.rollback()
    assert city(stage, 1) == "x"


def test_a_session_in_an_outer_transaction_that_commits(stage: Stage) -> None:
    """What was written through such a session is seen after the outer commit."""
    stage.warm(User, 1)
    with joined(stage) as (outer, factory):
        with factory() as session:
            session.get_one(User, 1).city = "joined"
            session.commit()
        assert city(stage, 1) == "x"
        outer.commit()
    assert city(stage, 1) == "joined"


def test_join_transaction_mode_savepoint(stage: Stage) -> None:
    """The recipe for test suites: each session commit is a savepoint of the outer transaction."""
    stage.warm(User, 1)
    with joined(stage, join_transaction_mode="create_savepoint") as (outer, factory):
        for _ in range(2):
            with factory() as session:
                session.get_one(User, 1).city = "joined"
                session.commit()
        outer.rollback()
    assert city(stage, 1) == "x"


def test_a_second_session_in_the_middle(stage: Stage) -> None:
    """A session that only reads, beside one that has flushed, sees and caches what is committed."""
    with stage.Session() as writer:
        writer.get_one(User, 1).city = "new"
        writer.flush()
        assert city(stage, 1) == "x"
        assert city(stage, 1) == "x"
        writer.commit()
    assert city(stage, 1) == "new"


def test_begin_block_with_an_error(stage: Stage) -> None:
    """An exception in `session.begin()` rolls back."""
    stage.warm(User, 1)
    session: Session
    try:
        with stage.Session() as session, session.begin():
            session.get_one(User, 1).city = "lost"
            session.flush()
            raise LookupError
    except LookupError:
        pass
    assert city(stage, 1) == "x"


def test_a_savepoint_of_the_connection_that_is_rolled_back(stage: Stage) -> None:
    """What the session flushed within it is undone, which no event of the session tells."""
    stage.warm(User, 1)
    with stage.Session() as session:
        session.get_one(User, 2).city = "outer"
        session.flush()
        savepoint = session.connection().begin_nested()
        session.get_one(User, 1).city = "inner"
        session.flush()
        savepoint.rollback()
        session.commit()
    assert (city(stage, 1), city(stage, 2)) == ("x", "outer")


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_a_transaction_ended_by_text(stage: Stage, end: str) -> None:
    """What was written before it is not published by the commit after it: others may write."""
    stage.warm(User, 1)
    with stage.Session() as session:
        session.get_one(User, 1).city = "mine"
        session.flush()
        session.execute(text(end))
        with stage.Session.begin() as other:
            other.get_one(User, 1).city = "other"
        session.commit()
    assert city(stage, 1) == "other"
